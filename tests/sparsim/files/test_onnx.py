"""ONNX graphs as layers: what multiplies what, zeros of weights and activations, refused files."""

from __future__ import annotations

import csv
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.documented_keys import documented_keys
from support.named import names, naming

from sparsim.cli import main as cli
from sparsim.errors import FormatError, SparsimError, SpecError
from sparsim.files.onnx_densities import complete_shapes, measured
from sparsim.files.onnx_layers import layers_of
from sparsim.files.onnx_model import read_onnx
from sparsim.files.sparsim_yaml import load_documents
from sparsim.files.traced_layers import TracedLayer

onnx = pytest.importorskip("onnx")
helper = onnx.helper
FLOAT = onnx.TensorProto.FLOAT


def weights(*shape: int, zeros: int = 0, seed: int = 0) -> np.ndarray:
    """Numbers with so many zeros."""
    random = np.random.default_rng(seed)
    values = random.uniform(0.5, 1.5, shape).astype(np.float32)
    values.flat[random.permutation(values.size)[:zeros]] = 0
    return values


def save(
    path: Path,
    nodes: list[Any],
    inputs: dict[str, list[int | str]],
    constants: dict[str, np.ndarray],
    output: str = "y",
    opset: int = 17,
    **extra: Any,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(output, FLOAT, None)],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9, **extra), path)
    return path


def node(kind: str, inputs: str, output: str = "y", **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), [output], name=f"/{kind.lower()}/{kind}", **attributes)


W = weights
CASES: dict[str, tuple[list[Any], dict[str, Any], dict[str, np.ndarray], list[tuple[int, int, int]]]] = {
    # nodes, inputs, constants, (MACs per sample, weights, zeros) of each layer
    "conv": (
        [node("Conv", "x w", strides=[2, 2], pads=[1, 1, 1, 1], group=2)],
        {"x": [3, 4, 8, 8]}, {"w": W(6, 2, 3, 3, zeros=20)}, [(6 * 2 * 9 * 16, 108, 20)],
    ),
    "dilated conv in one dimension": (
        [node("Conv", "x w", dilations=[2])],
        {"x": [2, 4, 9]}, {"w": W(5, 4, 3, zeros=7)}, [(5 * 4 * 3 * 5, 60, 7)],
    ),
    "conv in three dimensions": (
        [node("Conv", "x w")],
        {"x": [1, 2, 4, 4, 4]}, {"w": W(3, 2, 2, 1, 1)}, [(3 * 2 * 2 * 48, 12, 0)],
    ),
    "transposed conv": (
        [node("ConvTranspose", "x w", strides=[2, 2], group=2)],
        {"x": [2, 4, 5, 5]}, {"w": W(4, 3, 2, 2, zeros=9)}, [(2 * 2 * 3 * 4 * 25, 48, 9)],
    ),
    "gemm": ([node("Gemm", "x w", transB=1)], {"x": [4, 6]}, {"w": W(5, 6, zeros=3)}, [(30, 30, 3)]),
    "matmul": ([node("MatMul", "x w")], {"x": [2, 7, 6]}, {"w": W(6, 5)}, [(7 * 30, 30, 0)]),
    "matmul from the left": ([node("MatMul", "w x")], {"x": [2, 6, 3]}, {"w": W(5, 6)}, [(3 * 30, 30, 0)]),
    "matrices of experts": (
        [node("MatMul", "x w")], {"x": [2, 4, 3, 6]}, {"w": W(4, 6, 5, zeros=11)}, [(4 * 3 * 30, 120, 11)],
    ),
    "attention": (
        [node("MatMul", "x z")], {"x": [2, 4, 7, 6], "z": [2, 4, 6, 7]}, {}, [(4 * 7 * 42, 4 * 42, 0)],
    ),
    "weight through operations": (
        [
            node("DequantizeLinear", "q scale zero", "w0"), node("Transpose", "w0", "w1", perm=[1, 0]),
            node("Identity", "w1", "w2"), node("MatMul", "x w2"),
        ],
        {"x": [1, 6]},
        {
            "q": np.array([[3, 0, 3, 1, 2, 3]] * 5, np.int8), "scale": np.float32(0.5),
            "zero": np.int8(3),
        },
        [(30, 30, 15)],
    ),
    "lstm": (
        [
            node("Transpose", "x", "z", perm=[1, 0, 2]),
            helper.make_node("LSTM", ["z", "w", "r"], ["y"], hidden_size=5, direction="bidirectional"),
        ],
        {"x": [2, 7, 3]}, {"w": W(2, 20, 3, zeros=4), "r": W(2, 20, 5)},
        [(7 * 60, 60, 1), (7 * 100, 100, 0), (7 * 60, 60, 3), (7 * 100, 100, 0)],
    ),
    "attention of heads that share keys": (
        [node("Attention", "x k v", q_num_heads=4, kv_num_heads=2)],
        {"x": [2, 7, 12], "k": [2, 5, 6], "v": [2, 5, 8]}, {},
        [(4 * 7 * 3 * 5, 60, 0), (4 * 7 * 5 * 4, 80, 0)],
    ),
    "einsum": (
        [
            node("Einsum", "x w", "z", equation="bthd,hde->bthe"),
            node("Einsum", "z z", equation="bthe,bshe->bhts"),
        ],
        {"x": [2, 7, 3, 4]}, {"w": W(3, 4, 5, zeros=8)}, [(7 * 60, 60, 8), (3 * 49 * 5, 3 * 35, 0)],
    ),
    "shared weights": (
        [node("MatMul", "x w", "z"), node("MatMul", "z w")], {"x": [1, 6]}, {"w": W(6, 6)}, [(36, 36, 0)] * 2,
    ),
}  # fmt: skip


def zeros(layer: TracedLayer) -> int:
    return 0 if layer.weight_density is None else round(layer.weights * (1 - layer.weight_density))


@pytest.mark.parametrize("case", CASES)
def test_products_are_counted(case: str, tmp_path: Path) -> None:
    nodes, inputs, constants, expected = CASES[case]
    opset = 23 if case.startswith("attention of") else 17
    found = layers_of(read_onnx(save(tmp_path / "net.onnx", nodes, inputs, constants, opset=opset)))
    got = [(layer.macs, layer.weights, zeros(layer)) for layer in found.layers]
    if case == "lstm":  # where the zeros are is up to the seed
        assert sum(row[-1] for row in got) == 4
        got, expected = ([row[:2] for row in rows] for rows in (got, expected))
    assert got == expected
    assert found.gaps == ()


def test_layers_are_named_after_weights_or_modules(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", "x fc.weight", "a"),
        helper.make_node("MatMul", ["a", "onnx::MatMul_7"], ["b"], name="/block/block.0/proj/MatMul"),
        helper.make_node("MatMul", ["b", "fc.weight"], ["c"], name="n3"),
        helper.make_node("MatMul", ["c", "c"], ["y"], name=""),
    ]
    constants = {"fc.weight": W(6, 6), "onnx::MatMul_7": W(6, 6)}
    found = layers_of(read_onnx(save(tmp_path / "net.onnx", nodes, {"x": [6, 6]}, constants)))
    assert [layer.name for layer in found.layers] == ["fc", "block.0.proj", "fc.part2", "y"]


def test_what_cannot_be_counted_is_named(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("FusedMatMul", ["x", "w"], ["a"], name="fused", domain="com.microsoft"),
        node("Mul", "w two", "w2"), node("Tanh", "w2", "w3"), node("MatMul", "x w3", "b"),
        node("Einsum", "x", "d", equation="ij->ji"), node("Einsum", "b w w", "e", equation="ij,jk,kl->il"),
        node("Add", "a b"),
    ]  # fmt: skip
    constants = {"w": W(6, 6), "two": np.float32(2)}
    found = layers_of(read_onnx(save(tmp_path / "net.onnx", nodes, {"x": [1, 6]}, constants)))
    (layer,) = found.layers
    assert (layer.macs, layer.weight_density) == (36, None)
    assert [gap.partition(" ")[0] for gap in found.gaps] == ["fused", "/einsum/Einsum", "matmul"]


def named(tmp_path: Path, batch: int | str = "batch") -> Path:
    """A network on (batch, 3, height, width) with a ReLU, and one of its weights in zeros."""
    nodes = [
        node("Conv", "x c", "a"), node("Relu", "a", "b"), node("GlobalAveragePool", "b", "d"),
        node("Flatten", "d", "e"), node("Gemm", "e f"),
    ]  # fmt: skip
    constants = {"c": W(4, 3, 3, 3) - 1, "f": W(4, 2, zeros=3)}
    return save(tmp_path / "named.onnx", nodes, {"x": [batch, 3, "height", "width"]}, constants)


def test_dimensions_with_names_are_given(tmp_path: Path) -> None:
    path = named(tmp_path)
    by_dim = layers_of(read_onnx(path, {"height": 8, "width": 6})).layers
    assert by_dim == layers_of(read_onnx(path, {}, {"x": (5, 3, 8, 6)})).layers
    assert [layer.macs for layer in by_dim] == [4 * 27 * 24, 8]
    with pytest.raises(SpecError, match=naming("x")):
        read_onnx(path, {"height": 8})
    with pytest.raises(SpecError, match=naming("heigth height")):
        read_onnx(path, {"heigth": 8})
    with pytest.raises(SpecError, match=naming("x 4 2")):
        read_onnx(path, {}, {"x": (1, 3)})
    with pytest.raises(SpecError, match=naming("1 x 3 4")):
        read_onnx(path, {}, {"x": (1, 4, 8, 8)})


@pytest.mark.parametrize("batch", ["batch", 2])
def test_zeros_of_activations_are_measured(tmp_path: Path, batch: int | str) -> None:
    pytest.importorskip("onnxruntime")
    samples = np.random.default_rng(0).normal(size=(4, 3, 8, 6)).astype(np.float32)
    samples[samples < -0.5] = 0
    model = read_onnx(named(tmp_path, batch), samples={"x": samples})
    conv, _ = measured(model, layers_of(model), {"x": samples})
    shares = [np.count_nonzero(sample) / sample.size for sample in samples]
    assert conv.inputs == pytest.approx((np.mean(shares), np.std(shares)))
    kernel = W(4, 3, 3, 3) - 1
    windows = np.lib.stride_tricks.sliding_window_view(samples, (3, 3), axis=(2, 3))
    alive = np.einsum("nchwrs,mcrs->nmhw", windows, kernel) > 0
    shares = [np.count_nonzero(sample) / sample.size for sample in alive]
    assert conv.outputs == pytest.approx((np.mean(shares), np.std(shares)), abs=1e-6)


def test_sizes_that_are_computed_from_shapes_are_known(tmp_path: Path) -> None:
    """As in networks that are exported with dimensions of any size."""
    nodes = [
        node("Shape", "x", "s"), node("Equal", "s one", "e"), node("Where", "e six s", "t"),
        node("Expand", "x t", "z"), node("MatMul", "z w"),
    ]  # fmt: skip
    constants = {"one": np.array(1), "six": np.array(6), "w": W(4, 5)}
    path = save(tmp_path / "net.onnx", nodes, {"x": ["n", 1, 3, 4]}, constants)
    (layer,) = layers_of(read_onnx(path, {"n": 2})).layers
    assert layer.macs == 6 * 3 * 4 * 5


def test_samples_tell_shapes_that_inference_does_not(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    nodes = [node("NonZero", "x", "z"), node("Cast", "z", "f", to=FLOAT), node("MatMul", "f w")]
    model = read_onnx(save(tmp_path / "net.onnx", nodes, {"x": [1, 6]}, {"w": W(4, 5)}))
    with pytest.raises(SpecError, match=naming("net.onnx f --input NAME=SHAPE --inputs FILE.npz")):
        layers_of(model)
    complete_shapes(model, {"x": np.array([[0, 1, 2, 0, 3, 4]], np.float32)})
    (layer,) = layers_of(model).layers
    assert layer.macs == 2 * 4 * 5


def run(*arguments: object) -> int:
    sys.argv[1:] = [str(argument) for argument in arguments]
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture(autouse=True)
def _arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["sparsim"])


def test_the_command_writes_a_workload(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert (
        run("trace", named(tmp_path), "--dim", "height=8", "--dim", "width=6", "-o", out, "--batch", 3) == 0
    )
    workload = load_documents([out / "workload.yaml"]).workload
    assert workload is not None
    assert [layer.bounds["N"] for layer in workload.layers] == [3, 3]
    assert workload.layers[1].densities["Weights"].density == 5 / 8
    rows = list(csv.DictReader((out / "trace.csv").read_text().splitlines()))
    assert [row["macs"] for row in rows] == [str(4 * 27 * 24), "8"]
    assert rows[0]["inputs_density"] == ""
    document = json.loads((out / "trace.json").read_text())
    assert (document["macs"], document["samples"]) == (4 * 27 * 24 + 8, 0)
    assert {*document, *rows[0]} == documented_keys("trace.json and trace.csv") - {"coverage"}
    assert "activations were not measured" in capsys.readouterr().out
    assert run("trace", named(tmp_path), "--dim", "height=8", "--dim", "width=6", "--json") == 0
    assert json.loads(capsys.readouterr().out)["layers"] == document["layers"]


def test_the_command_measures_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime")
    samples = np.zeros((3, 3, 8, 6))
    samples[:, :, ::2] = 1
    np.savez(tmp_path / "x.npz", x=samples)
    assert run("trace", named(tmp_path), "--inputs", tmp_path / "x.npz", "-o", tmp_path / "out") == 0
    document = json.loads((tmp_path / "out" / "trace.json").read_text())
    assert document["samples"] == 3
    assert document["layers"][0]["inputs_density"] == 0.5
    for arrays, message in (
        ({"z": samples}, "z x"),
        ({"x": samples[:, :2]}, "x (3, 2, 8, 6)"),
        ({"x": np.full_like(samples, np.nan)}, "x number"),
    ):
        np.savez(tmp_path / "x.npz", **arrays)
        given = ["--dim", "height=8", "--dim", "width=6", "--inputs", tmp_path / "x.npz"]
        assert run("trace", named(tmp_path), *given) == 2
        assert names(capsys.readouterr().err, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["net.pt2"], "python -m gmp trace net.pt2"),
        (["none.onnx"], "none.onnx file"),
        (["named.onnx", "--dim", "height"], "height NAME=VALUE"),
        (["named.onnx", "--dim", "height=0"], "size height 0"),
        (["named.onnx", "--input", "x=1xtwo"], "size x two"),
        (["named.onnx", "--batch", "0"], "--batch 0"),
    ],
)
def test_wrong_arguments_are_one_sentence(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    named(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert run("trace", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert names(line, message)


def test_external_data_lie_below_the_model(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = save(folder / "net.onnx", [node("MatMul", "x w")], {"x": [1, 64]}, {"w": W(64, 64, zeros=9)})
    proto = onnx.load(path)
    onnx.save(proto, path, save_as_external_data=True, location="net.data", size_threshold=0)
    (layer,) = layers_of(read_onnx(path)).layers
    assert layer.weight_density == 1 - 9 / 64**2
    (folder / "net.data").rename(tmp_path / "net.data")
    for location in ("../net.data", str(tmp_path / "net.data"), "link", "."):
        if location == "link":
            (folder / "link").symlink_to(tmp_path / "net.data")
        proto = onnx.load(path, load_external_data=False)
        entry = next(e for e in proto.graph.initializer[0].external_data if e.key == "location")
        entry.value = location
        onnx.save(proto, folder / "other.onnx")
        with pytest.raises(FormatError, match=naming("w")):
            layers_of(read_onnx(folder / "other.onnx"))
    (folder / "net.data").write_bytes(b"short")
    with pytest.raises(FormatError, match=naming("16,384 5")):
        layers_of(read_onnx(path))


def test_damaged_files_are_one_sentence(tmp_path: Path) -> None:
    path = named(tmp_path)
    data, draw = path.read_bytes(), random.Random(0)
    spoiled = [b"", b"\0" * 99, data[: len(data) // 2], b"PK\x03\x04", bytes(range(256))]
    for _ in range(60):
        flipped = bytearray(data)
        for _ in range(draw.choice([1, 3, 20])):
            flipped[draw.randrange(len(data))] = draw.randrange(256)
        spoiled.append(bytes(flipped))
    for content in spoiled:
        path.write_bytes(content)
        said = str(path)
        try:
            layers_of(read_onnx(path, {"height": 8, "width": 6}))
        except SparsimError as error:
            said = str(error)
        assert "\n" not in said
        assert str(path) in said


def test_graphs_that_ask_for_any_memory_are_refused(tmp_path: Path) -> None:
    """A slice of a shape with 2^40 elements is made while shapes are inferred."""
    nodes = [node("Shape", "x", "s"), node("Slice", "s b e a t", "z"), node("Reshape", "x z")]
    ends = {"b": 0, "e": 1 << 40, "a": 0, "t": 1}
    constants = {name: np.array([value]) for name, value in ends.items()}
    with pytest.raises(SparsimError):
        layers_of(read_onnx(save(tmp_path / "net.onnx", nodes, {"x": [1, 64]}, constants)))
