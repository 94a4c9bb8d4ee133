"""Measured layers against counts by hand: shapes, operations, and zeros of the tensors that reach memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.named import naming
from support.traced import Run, density, outputs
from torch import Tensor, nn
from torch.nn import functional as F

from gmp.errors import TraceError
from gmp.tracing.trace import Computation, trace


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def batch_norm(channels: int) -> nn.Module:
    """One that shifts and mirrors, so that zeros before it are other ones than zeros after it."""
    norm = nn.BatchNorm1d(channels)
    for values in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(values.data)
    return norm


NORM = batch_norm(6).eval()


def hard(x: Tensor) -> Tensor:
    return F.hardtanh(x, 0.0, 0.3)


def assigned(x: Tensor) -> Tensor:
    x[x < 0] = 0
    return x


STEPS = {
    "nn.ReLU": nn.ReLU(),
    "nn.ReLU in place": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "torch.relu": torch.relu,
    "x.relu": lambda x: x.relu(),
    "x.relu_": lambda x: x.relu_(),
    "x.clamp": lambda x: x.clamp(min=0.1) - 0.1,
    "F.relu6": F.relu6,
    "F.hardtanh": hard,
    "F.leaky_relu": F.leaky_relu,
    "nn.Hardshrink": nn.Hardshrink(0.4),
    "nn.Dropout": nn.Dropout(0.5),
    "F.dropout": lambda x: F.dropout(x, 0.5, training=False),
    "nn.BatchNorm1d": NORM,
    "F.batch_norm": lambda x: F.batch_norm(x, torch.linspace(-1, 1, 6), torch.ones(6)),
    "flatten, view_as": lambda x: F.relu(NORM(x.flatten(0, -2))).view_as(x),
    "in place": lambda x: x.mul_(2).sub_(0.5).relu_(),
    "residual": lambda x: F.relu(x + 0.1 * x),
    "torch.where": lambda x: torch.where(x > 0, x, 0.0),
    "x.masked_fill": lambda x: x.masked_fill(x < 0.1, 0),
    "x[x < 0] = 0": lambda x: assigned(x.clone()),
    "torch.max": lambda x: torch.max(x, torch.zeros_like(x)),
    "torch.maximum": lambda x: torch.maximum(x, x.new_zeros(())),
    "half precision": lambda x: F.relu(x.bfloat16()).float(),
    "double precision": lambda x: F.relu(x.to(torch.float64)).type_as(x),
    "x.round": lambda x: x.requires_grad_(False).round(),
    "F.relu squared": lambda x: (F.relu(x) - 0.01) ** 2,
}


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.sampled_from(sorted(STEPS)), max_size=5), batch=st.integers(1, 3))
def test_output_is_what_reaches_memory(steps, batch):
    """Each way to write batch-norm, activation and dropout, in any order, against running it step by step."""

    def run(model: nn.Module, x: Tensor) -> Tensor:
        x = model.first(x)
        for step in steps:
            x = STEPS[step](x)
        return model.last(x)

    for step in STEPS.values():
        if isinstance(step, nn.Module):
            step.eval()
    torch.manual_seed(0)
    model = Run(run, first=nn.Linear(4, 6), last=nn.Linear(6, 2)).eval()
    x = torch.randn(batch * 5, 4)
    with torch.no_grad():
        stored = model.first(x)
        for step in steps:
            stored = STEPS[step](stored)
    found = trace(model, [x[:5], x[5:]] if batch > 1 else [x])
    first, last = found.layers
    assert found.samples == batch * 5
    assert first.outputs.mean == pytest.approx(density(stored))
    assert last.inputs == first.outputs
    assert last.outputs.mean == 1.0


def test_logits_stay_dense():
    model = Run(
        lambda m, x: F.log_softmax(m.fc2(F.relu(m.fc1(x))), dim=1), fc1=nn.Linear(4, 9), fc2=nn.Linear(9, 3)
    )
    found = outputs(model, torch.randn(20, 4))
    assert found["fc1"] < 0.9
    assert found["fc2"] == 1.0


READERS = {
    "max over points": lambda y: y.amax(dim=1),
    "max-pool": lambda y: F.max_pool1d(y, 2),
    "concatenation": lambda y: torch.cat([y, torch.ones(3, 5, 1)], dim=-1),
    "indices": lambda y: y[:, torch.tensor([0, 2, 2, 4, 1])],
    "half of it": lambda y: y[:, :2],
    "softmax": lambda y: y.softmax(-1),
    "other axes first": lambda y: y.permute(2, 1, 0),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_that_is_not_elementwise_takes_it_from_memory(reader):
    """What comes after the reader, here a ReLU, is no longer the layer's output."""
    x = torch.randn(3, 5, 4)
    model = Run(lambda m, x: F.relu(READERS[reader](m.conv(x)) - 0.5), conv=nn.Linear(4, 6))
    assert outputs(model, x) == {"conv": 1.0}
    model = Run(lambda m, x: READERS[reader](F.relu(m.conv(x))), conv=nn.Linear(4, 6))
    assert outputs(model, x)["conv"] == pytest.approx(density(F.relu(model.conv(x))))


def test_an_output_read_by_another_layer_before_its_activation():
    def run(model: nn.Module, x: Tensor) -> Tensor:
        y = model.first(x)
        z = model.second(y)
        return F.relu(y) + F.relu(z)

    found = trace(Run(run, first=nn.Linear(4, 4), second=nn.Linear(4, 4)), [torch.randn(3, 4)])
    first, second = found.layers
    assert first.outputs.mean == second.inputs.mean == 1.0
    assert second.outputs.mean < 1.0


@pytest.mark.parametrize("masked", [
    lambda y: y.masked_fill(y < 0, -torch.inf), lambda y: torch.where(y > 0, y, -torch.inf),
])  # fmt: skip
def test_logits_without_choices_that_are_forbidden(masked):
    model = Run(lambda m, x: masked(m.fc(F.relu(x))).softmax(-1), fc=nn.Linear(4, 6))
    assert outputs(model, torch.randn(9, 4)) == {"fc": 1.0}


def test_a_model_that_is_one_layer():
    (layer,) = trace(nn.Linear(4, 2), [torch.ones(3, 4)]).layers
    assert (layer.name, layer.macs, layer.outputs.mean) == ("", 8, 1.0)


def test_sizes_and_comparisons_do_not_read():
    def run(model: nn.Module, x: Tensor) -> Tensor:
        y = model.fc(x)
        assert y.shape[0] == 3
        assert y.dim() == 2
        assert not (y > 1e9).any()
        return F.relu(y)

    model = Run(run, fc=nn.Linear(4, 20))
    x = torch.randn(3, 4)
    assert outputs(model, x)["fc"] == pytest.approx(density(F.relu(model.fc(x))))


def test_mean_and_spread_over_samples_do_not_depend_on_batches():
    x = F.relu(torch.randn(7, 5, 4) + torch.linspace(-1, 1, 7)[:, None, None])
    model = Run(lambda m, x: F.relu(m.fc(x)), fc=nn.Linear(4, 6))
    each = [density(cloud) for cloud in x]
    after = [density(F.relu(model.fc(cloud))) for cloud in x]
    for batches in ([x], [x[:3], x[3:]], [(x[:6], "labels"), (x[6:], "labels")]):
        found = trace(model, batches)
        (layer,) = found.layers
        assert found.samples == 7
        assert layer.inputs == pytest.approx((np.mean(each), np.std(each)))
        assert layer.outputs == pytest.approx((np.mean(after), np.std(after)))
        assert layer.input_densities == pytest.approx(each)
        assert layer.output_densities == pytest.approx(after)
        assert layer.inputs.spread > 0.05


@pytest.mark.parametrize(
    ("shape", "out"),
    [((2, 3), (1, 1)), ((10, 3), (5, 1)), ((2, 7, 3), (7, 1)), ((2, 5, 7, 3), (7, 5)), ((4, 7, 3), (7, 2)),
     ((2, 4, 5, 7, 3), (7, 20))],
)  # fmt: skip
def test_linear_is_a_convolution_over_points_and_neighbourhoods(shape, out):
    rows = shape[0] // 2

    def run(model: nn.Module, x: Tensor) -> Tensor:
        return model.fc(torch.randn(shape))

    (layer,) = trace(Run(run, fc=nn.Linear(3, 8)), [torch.randn(2, 1)]).layers
    assert layer.computation == Computation(C=3, M=8, out=out)
    assert layer.macs == rows * np.prod(shape[1:-1], dtype=int) * 3 * 8
    assert (layer.row()["P"], layer.row()["Q"]) == out


def test_the_usual_way_to_write_pointnet_gives_the_same():
    """Channels second, 1x1 convolutions and BatchNorm2d, as in the published implementations."""
    ours = Run(lambda m, x: m.last(F.relu(m.bn(m.conv(x).flatten(0, 2))).view(2, 5, 7, 6).amax(2)),
               conv=nn.Linear(3, 6), bn=batch_norm(6), last=nn.Linear(6, 4))  # fmt: skip
    theirs = Run(lambda m, x: m.last(torch.max(F.relu(m.bn(m.conv(x.permute(0, 3, 2, 1)))), 2)[0]),
                 conv=nn.Conv2d(3, 6, 1), bn=nn.BatchNorm2d(6), last=nn.Conv1d(6, 4, 1))  # fmt: skip
    theirs.load_state_dict(
        {name: value.view_as(theirs.state_dict()[name]) for name, value in ours.state_dict().items()}
    )
    x = F.relu(torch.randn(2, 5, 7, 3))
    assert trace(theirs, [x]) == trace(ours, [x])


CONVOLUTIONS = [
    (nn.Conv1d(4, 6, 3, stride=2, dilation=2), (2, 4, 17)),
    (nn.Conv1d(4, 6, 1), (2, 4, 9)),
    (nn.Conv2d(4, 6, (3, 1), stride=(2, 1), dilation=(1, 3)), (2, 4, 9, 8)),
    (nn.Conv2d(4, 6, 3, groups=2), (2, 4, 6, 5)),
    (nn.Conv2d(4, 4, 3, groups=4, bias=False), (2, 4, 6, 5)),
    (nn.Conv3d(4, 6, (1, 2, 3), stride=(1, 2, 1)), (2, 4, 3, 6, 5)),
]


@pytest.mark.parametrize(("conv", "shape"), CONVOLUTIONS)
def test_operations_of_convolutions(conv, shape):
    """Ones through a layer of ones add up to the multiplications."""
    (layer,) = trace(Run(lambda m, x: m.conv(x), conv=conv), [torch.ones(shape)]).layers
    channels = (conv.in_channels, conv.out_channels)
    assert layer.computation[:2] == channels
    assert layer.weights == conv.weight.numel()
    ones = type(conv)(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, 0, conv.dilation, conv.groups
    )
    nn.init.ones_(ones.weight)
    nn.init.zeros_(ones.bias)
    assert layer.macs == round(ones(torch.ones(1, *shape[1:])).sum().item())


@pytest.mark.parametrize("padding", [2, "same", "valid"])
def test_padding(padding):
    conv = nn.Conv2d(1, 1, 5, padding=padding)
    (layer,) = trace(Run(lambda m, x: m.conv(x), conv=conv), [torch.ones(1, 1, 9, 9)]).layers
    assert layer.computation.padding == ((0, 0) if padding == "valid" else (2, 2))
    assert layer.computation.out == tuple(conv(torch.ones(1, 1, 9, 9)).shape[2:])


def test_slices_of_the_weights_are_parts_of_the_layer():
    """Here the slice runs first; what the module computes has the layer's name all the same."""

    def run(model: nn.Module, x: Tensor) -> Tensor:
        centres = F.linear(x[:, :2, :3], model.conv.weight[:, :3])
        return F.relu(model.conv(x)[:, :2] - centres)

    model = Run(run, conv=nn.Linear(5, 6, bias=False))
    model.conv.weight.data[:, 0] = 0
    whole, part = trace(model, [torch.randn(4, 7, 5)]).layers
    assert (whole.name, part.name) == ("conv", "conv.part2")
    assert (whole.computation, part.computation) == (
        Computation(C=5, M=6, out=(7, 1)),
        Computation(C=3, M=6, out=(2, 1)),
    )
    assert (whole.weight_density, part.weight_density) == (pytest.approx(0.8), pytest.approx(2 / 3))
    assert whole.outputs.mean == 1.0  # the difference is of points that were picked


def test_slices_of_one_shape_are_parts_of_their_own():
    """Queries and keys from one weight, say; each runs once, in every batch."""

    def run(model: nn.Module, x: Tensor) -> Tensor:
        queries, keys = model.fc.weight.chunk(2)
        return F.linear(x, queries) * F.linear(x, keys)

    model = Run(run, fc=nn.Linear(3, 8, bias=False))
    model.fc.weight.data[4:, 0] = 0
    rows = trace(model, [torch.randn(4, 3), torch.randn(2, 3)]).layers
    assert [(row.name, row.calls, row.weights) for row in rows] == [("fc", 1, 12), ("fc.part2", 1, 12)]
    assert [row.weight_density for row in rows] == [1.0, pytest.approx(2 / 3)]


def test_calls():
    model = Run(lambda m, x: m.fc(F.relu(m.fc(x))), fc=nn.Linear(4, 4))
    (layer,) = trace(model, [torch.randn(3, 4)]).layers
    assert layer.calls == 2
    assert layer.macs == 2 * 16


@pytest.mark.parametrize("change", [nn.utils.parametrizations.weight_norm, lambda layer: None])
def test_weights_that_are_computed(change):
    layer = nn.Linear(4, 4)
    change(layer)
    found = trace(Run(lambda m, x: m.fc(x), fc=layer), [torch.randn(3, 4)])
    assert [row.name for row in found.layers] == ["fc"]


def test_named_layers_only():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    found = trace(model, [torch.randn(3, 4)], names=["2"])
    assert [layer.name for layer in found.layers] == ["2"]


def test_masks_are_of_the_first_samples():
    x = F.relu(torch.randn(7, 5, 8, 4))  # 5 neighbourhoods of 8 points
    model = Run(lambda m, x: m.fc(x), fc=nn.Linear(4, 6))
    model.fc.weight.data[:2] = 0
    (layer,) = trace(model, [x[:2], x[2:]], mask_samples=3).layers
    assert layer.computation.out == (8, 5)
    assert np.array_equal(layer.input_mask, np.einsum("npqc->ncqp", x[:3].numpy() != 0))
    assert np.array_equal(layer.weight_mask[:, :, 0, 0], model.fc.weight.detach().numpy() != 0)
    (layer,) = trace(model, [x]).layers
    assert layer.input_mask is layer.weight_mask is None


@pytest.mark.parametrize(("conv", "shape"), CONVOLUTIONS)
def test_masks_of_convolutions(conv, shape):
    x = F.relu(torch.randn(shape))
    model = Run(lambda m, x: m.conv(x), conv=conv)
    (layer,) = trace(model, [x], mask_samples=9).layers
    assert np.array_equal(layer.input_mask.reshape(shape), x.numpy() != 0)
    assert layer.weight_mask.shape[2:] == layer.computation.window
    assert layer.input_mask.ndim == layer.weight_mask.ndim == 2 + len(layer.computation.out)


def test_the_model_stays_as_it_was():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    model[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trace(model, [torch.randn(3, 4)])
    assert [m.training for m in model.modules()] == [True, True, True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(TraceError):
        trace(model, [torch.full((3, 4), torch.inf)])
    assert [m.training for m in model.modules()] == [True, True, True, False, True]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def nan_weight() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4))
    model[0].weight.data[1, 1] = torch.nan
    return model


TWO = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("model", "batches", "names", "message"),
    [
        (TWO, [], None, "batches sample"),
        (TWO, [torch.ones(0, 4)], None, "batch sample"),
        (TWO, torch.ones(3, 2, 4), None, "batches tensor"),
        (TWO, {"x": torch.ones(1, 4)}, None, "batches dict"),
        (nn.Sequential(nn.LazyLinear(4)), [torch.ones(1, 4)], None,
         "layer 0 shape"),
        (TWO, [torch.ones(1, 4)], ["O"], "O Sequential 0 1"),
        (TWO, [torch.ones(1, 4)], [], "names []"),
        (TWO, [torch.ones(1, 4)], "0", "names 0"),
        (nn.ReLU(), [torch.ones(1, 4)], None, "ReLU"),
        (Run(lambda m, x: m.fc(x), fc=nn.Linear(4, 4), other=nn.Linear(4, 4)), [torch.ones(1, 4)],
         ["fc", "other"], "layer other names"),
        (TWO, [torch.tensor([[1.0, 2.0, torch.nan, 0.0]])], None, "layer 0 inputs"),
        (Run(lambda m, x: m.fc(x) * 3e38 * 3e38, fc=nn.Linear(4, 4)), [torch.ones(1, 4)], None,
         "layer fc outputs"),
        (Run(lambda m, x: m.fc(x).div(0), fc=nn.Linear(4, 4)), [torch.ones(1, 4)], None,
         "layer fc outputs"),
        (nan_weight(), [torch.ones(1, 4)], None, "layer 0 weights"),
    ],
)  # fmt: skip
def test_refused(model, batches, names, message):
    with pytest.raises(TraceError, match=naming(message)):
        trace(model, batches, names=names)
