"""The workloads of the package against the numbers that their sources print."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.named import names, naming
from support.published_networks import NETWORKS

from pointnet.original.published_runs import runs
from sparsim.errors import SpecError
from sparsim.files.sparsim_yaml import dump, load_preset, load_text, load_workload, workload_names
from sparsim.records import CONV, Workload, effectual_macs, is_depthwise, macs, words

ROOT = Path(__file__).parents[3]
MOBILENETS = ("mobilenet_v1_050_128", "mobilenet_v1_050_128_sparse")

# Cycles of one Eyeriss v2 PE on the 28 layers by the model with uniform densities: simulated.txt of
# fig12_eyerissv2_pe_setup, Sparseloop artifact (MICRO 2022), commit de0374aa.
UNIFORM_CYCLES = (
    1769472, 542639, 461036, 277218, 873365, 513147, 1592158, 145982, 1478912, 271320, 2488901, 73728,
    1114008, 147456, 2220046, 147456, 2184395, 123864, 1407190, 147456, 1610614, 147456, 1790969, 36864,
    926942, 73728, 729810, 94976,
)  # fmt: skip


def total(workload: Workload) -> int:
    return sum(map(macs, workload.layers))


@pytest.fixture(params=workload_names())
def workload(request) -> Workload:
    return load_workload(request.param)


def test_names():
    assert workload_names() == (
        "alexnet", "alexnet_sparse", "alexnet_sparse_energy_aware", "eie_fc", "googlenet",
        "mobilenet_v1_050_128", "mobilenet_v1_050_128_sparse", "mobilenet_v1_100_224", "mobilenet_v2_100_224",
        "pointnet2_half_modelnet10_gmp90", "pointnet2_small", "pointnet2_small_energy90",
        "pointnet2_small_gmp90", "pointnet2_study", "pointnet2_study_modelnet10", "pointnet2_study_sparse",
        "resnet50", "sparse_resunet_sphere", "squeezenet_v1_0", "vgg16",
    )  # fmt: skip
    assert all(load_workload(name).name == name for name in workload_names())


def test_one_shape_and_round_trip(workload):
    assert {layer.shape for layer in workload.layers} == {CONV}
    assert load_text(dump(workload)).workload == workload
    assert load_preset(workload.name).layers == workload.layers


def test_every_density_says_where_it_comes_from(workload):
    """And what a word means stands beside it."""
    for layer in workload.layers:
        parts = [part.split() for part in str(workload.provenance[layer.name]).split(", ")]
        assert [name for name, _ in parts] == ["Weights", "Inputs", "Outputs"]
        for _, word in parts:
            assert word in ("seen", "derived", "assumed", "remembered")
            assert workload.provenance[word]
    facts = set(workload.provenance) - {layer.name for layer in workload.layers}
    assert "shapes" in facts
    assert workload.source


def test_each_layer_reads_the_channels_that_the_one_before_wrote(workload):
    """Points also bring their three coordinates, and pooling makes a vector of an image."""
    if workload.name in ("eie_fc", "sparse_resunet_sphere", "googlenet", "resnet50", "squeezenet_v1_0"):
        pytest.skip("layers of several networks, or with skip connections or branches")
    for before, after in zip(workload.layers, workload.layers[1:], strict=False):
        wrote = before.bounds["G"] * before.bounds["M"]
        reads = after.bounds["G"] * after.bounds["C"]
        points = workload.name.startswith("pointnet2")
        assert reads in ((wrote, wrote + 3) if points else (wrote, 36 * wrote, 49 * wrote))


@pytest.mark.parametrize("name", ["alexnet", "alexnet_sparse", "alexnet_sparse_energy_aware"])
def test_alexnet_has_the_published_operations(name):
    layers = load_workload(name).layers
    assert sum(map(macs, layers[:5])) == 665_784_864
    assert sum(map(macs, layers[5:])) == 58_621_952
    assert round(total(load_workload(name)) / 1e6, 1) == 724.4  # Eyeriss v2 (JETCAS 2019)
    # 4 images in Eyeriss (JSSC 2017), in 1e9
    assert [round(4 * macs(layer) / 1e9, 2) for layer in layers[:5]] == [0.42, 0.9, 0.6, 0.45, 0.3]
    assert [layer.bounds["G"] for layer in layers] == [1, 2, 1, 2, 2, 1, 1, 1]
    assert words(layers[0], "Inputs") == 3 * 227 * 227
    assert words(layers[1], "Inputs") == 96 * 31 * 31
    assert sum(words(layer, "Weights") for layer in layers) == 60_954_656


def test_what_is_said_of_both_alexnets():
    dense, sparse = load_workload("alexnet").layers, load_workload("alexnet_sparse").layers
    for one, other in zip(dense[1:5], sparse[1:5], strict=True):
        assert abs(one.density("Inputs").density - other.density("Inputs").density) < 0.0131
    assert sum(effectual_macs(layer) for layer in sparse) < sum(effectual_macs(layer) for layer in dense) / 2


def test_vgg16_has_the_published_operations_and_zeros():
    layers = load_workload("vgg16").layers
    assert sum(map(macs, layers[:13])) == 15_346_630_656
    assert sum(words(layer, "Weights") for layer in layers) == 138_357_544 - 13_416  # Caffe's, without biases
    # 3 images in Eyeriss (JSSC 2017), in 1e9
    rounded = [round(3 * macs(layer) / 1e9, 2) for layer in layers[:13]]
    assert rounded == [0.26, 5.55, 2.77, 5.55, 2.77, 5.55, 5.55, 2.77, 5.55, 5.55, 1.39, 1.39, 1.39]
    zeros = [round(100 * (1 - layer.density("Inputs").density), 1) for layer in layers[:13]]
    assert zeros == [1.6, 47.7, 24.8, 38.7, 39.7, 58.1, 58.7, 64.3, 74.7, 85.4, 79.4, 87.4, 88.5]


def test_energy_aware_pruning_leaves_fewer_weights_and_the_same_activations():
    sparse, other = (load_workload(f"alexnet_sparse{end}").layers for end in ("", "_energy_aware"))
    kept = [layer.density("Weights").density * words(layer, "Weights") for layer in other]
    assert sum(kept) == pytest.approx(5.78e6, rel=2e-3)
    for one, two in zip(sparse, other, strict=True):
        assert all(one.density(name) == two.density(name) for name in ("Inputs", "Outputs"))
    zeros = [round(100 * (1 - layer.density("Weights").density)) for layer in other]
    assert zeros == [83, 92, 91, 81, 74, 92, 91, 78]


def test_dense_mobilenet_has_the_activations_of_the_sparse_one():
    """A stand-in, because those of the dense network are not known."""
    dense, sparse = (load_workload(name).layers for name in MOBILENETS)
    for one, two in zip(dense, sparse, strict=True):
        assert one.density("Weights").density == 1.0
        assert all(one.density(name) == two.density(name) for name in ("Inputs", "Outputs"))


@pytest.mark.parametrize("name", MOBILENETS)
def test_mobilenet_has_the_published_operations(name):
    layers = load_workload(name).layers
    assert total(load_workload(name)) == 49_160_192  # Eyeriss v2 (JETCAS 2019): 49.2 M
    assert sum(macs(layer) for layer in layers if is_depthwise(layer)) == 2_838_528
    assert macs(layers[0]) + macs(layers[-1]) == 1_769_472 + 512_000
    assert [is_depthwise(layer) for layer in layers] == [False, *[True, False] * 13, False]
    assert [layer.name for layer in layers if layer.coefficients] == ["conv", "dw2", "dw4", "dw6", "dw12"]


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_follow_from_the_tables_of_the_papers(name):
    layers = load_workload(name).layers
    assert [(layer.name, layer.bounds) for layer in layers] == [
        (layer, bounds) for layer, bounds, _ in NETWORKS[name]()
    ]
    for layer, (_, _, stride) in zip(layers, NETWORKS[name](), strict=True):
        assert layer.coefficients == ({"Wstride": stride, "Hstride": stride} if stride > 1 else {})
        assert all(layer.density(d.name).density == 1 for d in CONV.dataspaces)


@pytest.mark.parametrize(
    ("name", "millions", "parameters"),
    [  # MACs as published, and parameters of the released networks without biases and batch norms
        ("googlenet", 1583, 6_998_552 - 8_280),  # Caffe's model zoo: bvlc_googlenet
        ("mobilenet_v1_100_224", 569, 4_231_976 - 1_000 - 21_888),  # the paper: 569 M; TensorFlow's release
        ("mobilenet_v2_100_224", 301, 3_504_872 - 1_000 - 34_112),  # the paper: 300 M; torchvision
        ("resnet50", 4_089, 25_557_032 - 1_000 - 53_120),  # torchvision
        ("squeezenet_v1_0", 833, 1_248_424 - 3_976),  # the paper's parameters
    ],
)
def test_totals_are_those_of_the_papers(name, millions, parameters):
    assert round(total(load_workload(name)) / 1e6) == millions
    assert sum(words(layer, "Weights") for layer in load_workload(name).layers) == parameters


@pytest.mark.parametrize(
    ("name", "model", "points"),
    [
        ("mobilenet_v2_100_224", "mobilenet_v2", 224),
        ("resnet50", "resnet50", 224),
        ("squeezenet_v1_0", "squeezenet1_0", 227),
    ],
)
def test_shapes_are_those_of_torchvision(name, model, points):
    """In any order, since shortcuts run elsewhere there."""
    models = pytest.importorskip("torchvision.models")
    torch = pytest.importorskip("torch")
    from gmp.tracing.trace import trace
    from gmp.tracing.traced_workload import workload_of

    traced = trace(models.get_model(model, weights=None).eval(), [torch.rand(1, 3, points, points)])
    theirs, ours = (
        sorted(sorted(layer.bounds.items()) for layer in found.layers)
        for found in (workload_of(traced, name=name, batch=1), load_workload(name))
    )
    assert theirs == ours


def test_mobilenets_densities_give_the_cycles_of_the_artifact():
    """One operation a cycle, by densities of two digits; all but dw10, which ran as if it were dense."""
    layers = load_workload("mobilenet_v1_050_128_sparse").layers
    for layer, cycles in zip(layers, UNIFORM_CYCLES, strict=True):
        if layer.name == "dw10":
            assert effectual_macs(layer) < cycles == macs(layer)
        else:
            assert effectual_macs(layer) == pytest.approx(cycles, rel=0.012)


def test_depthwise_weights_are_whole_in_number():
    layers = {layer.name: layer for layer in load_workload("mobilenet_v1_050_128_sparse").layers}
    nonzeros = {"dw1": 133, "dw2": 272, "dw3": 501, "dw4": 570, "dw5": 1058, "dw9": 1939}
    for name, count in nonzeros.items():
        weights = layers[name].density("Weights").density * words(layers[name], "Weights")
        assert weights == pytest.approx(count, abs=0.01)


@pytest.mark.parametrize(
    ("name", "variant"), [("pointnet2_study", "dense"), ("pointnet2_study_sparse", "sparse")]
)
def test_the_study(name, variant):
    theirs = [run.layer for run in runs() if (run.design, run.variant) == ("gating", variant)]
    for ours, layer in zip(load_workload(name).layers, theirs, strict=True):
        assert (ours.name, ours.bounds) == (layer.name, {**layer.bounds, "G": 1})
        assert all(ours.density(d.name) == layer.density(d.name) for d in CONV.dataspaces)
    assert total(load_workload(name)) == 2 * 837_519_872


def rows(heading: str) -> dict[str, list[float]]:
    """Means of a table of docs/results/pruning-results.md by layer, a spread behind the mean that has one."""
    page = (ROOT / "docs/results/pruning-results.md").read_text(encoding="utf-8")
    _, table = page.split(f"| layer | {heading}")
    found = [line.split("|")[1:-1] for line in table.split("\n\n")[0].splitlines() if line.startswith("| ")]
    return {
        cells[0].strip(): [float(x) for x in re.findall(r"[\d.]+", " ".join(cells[1:]))]
        for cells in found[1:]
    }


def test_traced_densities_are_those_of_the_documentation():
    pruned, real = rows("control: weights"), rows("study: inputs")
    for layer in load_workload("pointnet2_half_modelnet10_gmp90").layers:
        _, weights, _, _, mean, spread = pruned[layer.name]
        assert layer.density("Weights").density == weights
        assert (layer.density("Inputs").density, layer.density("Inputs").spread) == (mean, spread)
    for layer in load_workload("pointnet2_study_modelnet10").layers:
        _, _, mean, spread, _, outputs = real[layer.name]
        assert (layer.density("Inputs").density, layer.density("Inputs").spread) == (mean, spread)
        assert layer.density("Outputs").density == pytest.approx(outputs)
        assert layer.density("Weights").density == 1


def test_totals_of_the_documentation():
    """In millions, with one digit."""
    page = (ROOT / "docs/reference/workload.md").read_text(encoding="utf-8")
    printed = {}
    for name, *numbers in re.findall(r"^\| `(\w+)` \| (\d+) \| ([\d.,]+) \| ([\d.,]+) \|", page, re.M):
        printed[name] = [float(number.replace(",", "")) for number in numbers]
    assert set(printed) == set(workload_names())
    for name, numbers in printed.items():
        layers = load_workload(name).layers
        effectual = sum(effectual_macs(layer) for layer in layers)
        assert numbers == [len(layers), round(total(load_workload(name)) / 1e6, 1), round(effectual / 1e6, 1)]


def test_by_path(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text(dump(load_workload("alexnet")))
    assert load_workload(path) == load_workload(str(path)) == load_workload("alexnet")
    layer = tmp_path / "layer.yml"
    layer.write_text(dump(load_workload("alexnet").layers[0]))
    with pytest.raises(SpecError) as error:
        load_workload(layer)
    assert names(error.value, f"{layer} workload")


@pytest.mark.parametrize("load", [load_workload, load_preset])
def test_misspelt(load):
    with pytest.raises(SpecError) as error:
        load("mobilenet_v1_05_128")
    kind = "workload" if load is load_workload else "preset"
    assert names(error.value, f"{kind} mobilenet_v1_05_128 mobilenet_v1_050_128")


def test_an_accelerator_is_no_workload():
    with pytest.raises(SpecError, match=naming("eyeriss_like_onchip")):
        load_workload("eyeriss_like_onchip")


def test_no_torch_is_loaded():
    code = "import sys, sparsim; sparsim.load_workload('alexnet'); print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "False\n"
    )
