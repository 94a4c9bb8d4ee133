"""Traces as workloads and masks: against torch, element by element."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.named import names
from support.traced import Run
from torch import Tensor, nn
from torch.nn import functional as F

from gmp.errors import TraceError
from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import input_mask, weight_mask, workload_of, write_masks
from sparsim.files.sparsim_yaml import dump, load_documents
from sparsim.records import CONV
from sparsim.records.layer_counts import macs, tensor_shape


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


CONVOLUTIONS = [
    (nn.Conv1d(3, 4, 3, stride=2, padding=2), (2, 3, 8)),
    (nn.Conv2d(3, 4, (2, 3), stride=(2, 1), padding=(1, 0)), (2, 3, 5, 6)),
    (nn.Conv2d(3, 4, (3, 2), dilation=(1, 2), padding="same"), (2, 3, 4, 5)),
    (nn.Conv2d(3, 4, 1, stride=3), (2, 3, 5, 8)),
    (nn.Conv3d(3, 4, 1), (2, 3, 2, 3, 4)),
    (nn.Conv3d(3, 4, (1, 1, 2), padding=(0, 0, 1)), (2, 3, 2, 3, 4)),
    (nn.Conv1d(6, 4, 3, groups=2, dilation=2), (2, 6, 8)),
    (nn.Conv2d(4, 6, (2, 3), stride=(1, 2), padding=1, groups=2), (2, 4, 5, 6)),
    (nn.Conv2d(3, 6, 3, padding=1, groups=3), (2, 3, 4, 5)),  # depthwise, two outputs a channel
    (nn.Conv3d(4, 4, 1, groups=4), (2, 4, 2, 3, 4)),
    (nn.Linear(3, 4), (2, 5, 7, 3)),
    (nn.Linear(3, 4), (2, 3)),
]


@pytest.mark.parametrize(("layer", "shape"), CONVOLUTIONS)
def test_masks_pair_the_zeros_as_the_layer_does(layer, shape):
    """Products of two nonzeros, output by output: the problem shape's loops against torch."""
    layer = nn.Sequential(layer)
    layer[0].weight.data *= torch.rand_like(layer[0].weight) < 0.6
    x = F.relu(torch.randn(shape))
    (row,) = (traced := trace(layer, [x], mask_samples=2)).layers
    (spec,) = workload_of(traced, name="one", batch=2).layers
    weights = weight_mask(row.computation, row.weight_mask)
    inputs = input_mask(row.computation, row.input_mask)
    assert (weights.shape, inputs.shape) == tuple(tensor_shape(spec, name) for name in ("Weights", "Inputs"))

    step = {**CONV.coefficients, **spec.coefficients}
    pairs = np.zeros([spec.bounds[dim] for dim in "NGMPQ"], np.int64)
    for n, g, m, p, q, r, s in np.ndindex(*pairs.shape, spec.bounds["R"], spec.bounds["S"]):
        column = inputs[n, g, :, s * step["Wdilation"] + q * step["Wstride"],
                        r * step["Hdilation"] + p * step["Hstride"]]  # fmt: skip
        pairs[n, g, m, p, q] += (weights[g, :, m, s, r] & column).sum()

    layer[0].weight.data = (layer[0].weight != 0).float()
    layer[0].bias.data.zero_()
    expected = layer((x != 0).float()).detach().numpy()
    if isinstance(layer[0], nn.Linear):
        expected = np.moveaxis(expected.reshape(2, spec.bounds["Q"], spec.bounds["P"], 4), (3, 2), (1, 2))
    assert np.array_equal(pairs, expected.reshape(pairs.shape).round())


@pytest.mark.parametrize(
    ("layer", "bounds", "note"),
    [
        (nn.Conv3d(2, 4, 2, stride=(2, 1, 1)), "N4 M4 C4 R2 S2 P3 Q3", "depth costed as GEMM"),
        (nn.Conv3d(2, 4, 3, padding=1, groups=2), "G2 N8 M2 C3 R3 S3 P4 Q4", "depth costed as GEMM"),
        (nn.Conv3d(2, 4, (1, 3, 3), stride=(2, 1, 1)), "N4 M4 C2 R3 S3 P2 Q2", ""),
        (nn.Conv3d(2, 4, (3, 1, 1), stride=(2, 1, 1), padding=(1, 0, 0)), "N2 M4 C2 R3 P2 Q16", ""),
        (nn.ConvTranspose3d(2, 4, 2, stride=2), "N2 M32 C2 P16 Q4", ""),
    ],
)
def test_windows_over_three_axes_keep_their_macs(layer, bounds, note, tmp_path):
    found = trace(nn.Sequential(layer), [torch.rand(2, 2, 4, 4, 4)], mask_samples=2)
    (row,) = workload_of(found, name="x", batch=2).layers
    assert " ".join(f"{dim}{n}" for dim, n in row.bounds.items() if n > 1) == bounds
    assert row.note == note
    assert macs(row) == 2 * found.macs
    if note:
        words = f"layer 0 {layer.kernel_size} masks"
        for write in (
            lambda: workload_of(found, name="x", masks="m"),
            lambda: write_masks(found, tmp_path, 2),
        ):
            with pytest.raises(TraceError) as error:
                write()
            assert names(error.value, words)


def test_runs_of_a_layer_count_as_samples_and_have_no_masks(tmp_path):
    shared = nn.Linear(3, 3)
    x = F.relu(torch.randn(4, 3))
    found = trace(nn.Sequential(shared, nn.ReLU(), shared), [x], mask_samples=2)
    (layer,) = workload_of(found, name="x", batch=2).layers
    assert layer.bounds == {"G": 1, "N": 4, "M": 3, "C": 3, "R": 1, "S": 1, "P": 1, "Q": 1}
    assert macs(layer) == 2 * found.macs
    both = torch.cat([x, F.relu(shared(x))])
    assert layer.density("Inputs").density == pytest.approx(float((both != 0).double().mean()))
    for write in (
        lambda: workload_of(found, name="x", masks="masks"),
        lambda: write_masks(found, tmp_path, 2),
    ):
        with pytest.raises(TraceError) as error:
            write()
        assert names(error.value, "layer 0 2 masks")


def test_runs_that_depend_on_the_sample_are_rounded():
    def run(model: nn.Module, x: Tensor) -> Tensor:
        return model.fc(model.fc(x)) if x.sum() > 0 else model.fc(x)

    found = trace(Run(run, fc=nn.Linear(3, 3)), [torch.ones(1, 3), -torch.ones(1, 3)])
    (two,), (one,) = (workload_of(found, name="x", batch=batch).layers for batch in (2, 1))
    assert (two.bounds["N"], two.note) == (3, "")
    assert (one.bounds["N"], one.note) == (2, "1.5 runs costed as 2")
    found = trace(Run(run, fc=nn.Linear(3, 3)), [torch.ones(1, 4, 3), -torch.ones(1, 4, 3)])
    (rows,) = workload_of(found, name="x", batch=1).layers  # 1.5 runs of 4 rows
    assert (macs(rows), rows.note) == (found.macs, "")


def test_masks_of_too_few_samples(tmp_path):
    found = trace(nn.Sequential(nn.Linear(3, 3)), [torch.ones(4, 3)], mask_samples=2)
    with pytest.raises(TraceError) as error:
        write_masks(found, tmp_path, 3)
    assert names(error.value, "layer 0 masks 3")


def test_masks_of_a_transformer(tmp_path):
    """Attention puts sequences before samples inside, and multiplies activations, which have no masks."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
    layer.self_attn.in_proj_weight.data[:, 0] = 0
    x = F.relu(torch.randn(2, 3, 4))
    found = trace(layer, [x], mask_samples=2)
    write_masks(found, tmp_path, 2)
    layers = workload_of(found, name="x", batch=2, masks="masks").layers
    masked = [spec.name for spec in layers if spec.density("Inputs").mask]
    assert masked == ["self_attn.in_proj_weight", "self_attn.out_proj", "linear1", "linear2"]
    weights, inputs = (
        np.load(tmp_path / f"self_attn.in_proj_weight.{tensor}.npy") for tensor in ("weights", "inputs")
    )
    assert np.array_equal(weights[0, :, :, 0, 0].T, layer.self_attn.in_proj_weight.detach().numpy() != 0)
    assert np.array_equal(inputs[:, 0, :, 0].swapaxes(1, 2), x.numpy() != 0)


@pytest.mark.parametrize("name", ["a/b", "/", "../up", "a%2Fb", "ä b"])
def test_masks_of_layers_whose_names_are_no_file_names(name, tmp_path):
    """The files lie in the folder, whatever the name, and the workload names them."""
    layers = nn.ModuleDict({name.replace(".", ""): nn.Linear(3, 3)})  # torch allows no dots
    found = trace(Run(lambda model, x: next(iter(model.layers.values()))(x), layers=layers),
                  [torch.ones(2, 3)], mask_samples=2)  # fmt: skip
    write_masks(found, tmp_path / "masks", 2)
    document = tmp_path / "workload.yaml"
    document.write_text(dump(workload_of(found, name="x", batch=2, masks="masks")), "utf-8")
    (layer,) = load_documents([document]).layers
    masks = {Path(layer.density(tensor).mask).resolve() for tensor in ("Weights", "Inputs")}
    assert masks == {path.resolve() for path in (tmp_path / "masks").iterdir()}
    assert {path.resolve() for path in tmp_path.rglob("*.npy")} == masks
    assert np.load(next(path for path in masks if "weights" in path.name)).shape == (1, 3, 3, 1, 1)


def test_names_that_differ_by_what_is_escaped_have_masks_of_their_own(tmp_path):
    layers = nn.ModuleDict({"a/b": nn.Linear(3, 3), "a%2Fb": nn.Linear(3, 3)})
    found = trace(Run(lambda model, x: model.layers["a%2Fb"](model.layers["a/b"](x)), layers=layers),
                  [torch.ones(2, 3)], mask_samples=2)  # fmt: skip
    write_masks(found, tmp_path, 2)
    assert len(list(tmp_path.iterdir())) == 4
