"""PointAcc: cycles and traffic by hand, layers one after the other, maps as its merger finds them."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from msgspec.structs import replace
from support.sparse_clouds import random_cloud, shell

from pointnet.network_config import Config, Scale, Stage
from pointnet.ops.coordinates import Coordinates
from pointnet.ops.kernel_maps import Kernel, kernel_map
from pointnet.trace_clouds import with_point_mappings
from sparsim import SpecError, gemm, load_hardware, load_workload
from sparsim.machines.pointacc import (
    kernel_map_cycles,
    matrix_cycles,
    neighbour_cycles,
    sampling_cycles,
    sort_cycles,
)
from sparsim.records import KernelMapSizes, Layer, PointMapping, Workload, words
from sparsim.records.pointacc_spec import PointAccSpec

SPEC = load_hardware("pointacc").spec
CLASSIFIER = [  # vectors, input and output channels of PointNet++ with 1024 points and 40 classes
    (16384, 3, 64), (16384, 64, 64), (16384, 64, 128), (8192, 131, 128), (8192, 128, 128), (8192, 128, 256),
    (128, 259, 256), (128, 256, 512), (128, 512, 1024), (1, 1024, 512), (1, 512, 256), (1, 256, 40),
]  # fmt: skip
SHELL = {"inputs": 5034, "outputs": 5034, "kernel_size": (3, 3, 3), "stride": (1, 1, 1)}


def sparse_layer(name: str, map_name: str, sizes: dict, pairs: tuple[int, ...], channels: int = 32) -> Layer:
    layer = gemm(channels, sum(pairs), channels, name=name)
    return replace(layer, kernel_map=KernelMapSizes(name=map_name, pairs=pairs, **sizes))


def dram_bytes(layers: list[Layer], **fields: object) -> list[float]:
    spec = replace(SPEC, **fields)
    costs = load_hardware(spec).cost(layers).layers
    return [cost.details["DRAM"] / spec.clock_mhz * spec.dram_gb_per_s * 1e3 for cost in costs]


def test_mapping_by_hand() -> None:
    assert sampling_cycles(1024, 512, 64) == 8176
    assert sampling_cycles(512, 128, 64) == 1016
    assert neighbour_cycles(1024, 512, 32, 64) == 16384
    assert neighbour_cycles(512, 128, 64, 64) == 2048
    assert kernel_map_cycles(**SHELL, lanes=64) == 4095
    assert (
        27 * math.ceil(2 * 2 * 5034 / 64)
        == 8505
        == kernel_map_cycles(**{**SHELL, "stride": (2, 2, 2)}, lanes=64)
    )
    assert sort_cycles(64, 64) == 1
    assert sort_cycles(256, 64) == 4 + 2 * 8


@pytest.mark.parametrize(("side", "cycles"), [(16, 3379760), (64, 236196)])
def test_products_of_the_classifier(side: int, cycles: int) -> None:
    assert sum(matrix_cycles(*layer, side, side) for layer in CLASSIFIER) == cycles
    layers = [gemm(m, n, k, name=f"{i}") for i, (n, k, m) in enumerate(CLASSIFIER)]
    found = load_hardware(replace(SPEC, rows=side, columns=side)).cost(layers)
    assert sum(layer.details["matrix"] for layer in found.layers) == cycles


def test_fused_layers_keep_what_is_between_them_on_chip() -> None:
    layers = [gemm(m, n, k, name=f"{i}") for i, (n, k, m) in enumerate(CLASSIFIER[:3])]
    weights = sum(words(layer, "Weights") for layer in layers) * SPEC.word_bytes
    assert sum(dram_bytes(layers, fused=False)) - weights == pytest.approx(12_681_216)
    assert sum(dram_bytes(layers)) - weights == pytest.approx(4_292_608)
    small = {"sram_kib": 10.0, "cache_kib": 5.0}  # weights do not fit together
    assert sum(dram_bytes(layers, **small)) - weights == pytest.approx(12_681_216)


def test_one_sparse_layer_by_hand() -> None:
    rest = (53274 - 13 * 2 * 1855) - 5034
    pairs = (*[1855] * 13, 5034 + rest, *[1855] * 13)
    layer = sparse_layer("one", "", SHELL, pairs)
    coordinates = 2 * 5034 * 3 * 2
    for fields, expected in (
        ({"flow": "gather-scatter"}, 23_922_048),
        ({"cache_kib": 1e6, "sram_kib": 2e6}, 1_125_840),
        ({"cache_kib": 0.0}, 4_213_200),
    ):
        assert dram_bytes([layer], **fields) == [pytest.approx(expected + coordinates)]
    found = load_hardware(SPEC).cost([layer]).layers[0]
    assert found.details["matrix"] == 53274
    assert found.details["mapping"] == 4095 + sort_cycles(5034, 64)
    assert (
        load_hardware(replace(SPEC, rows=16, columns=16)).cost([layer]).layers[0].details["matrix"] == 213096
    )


def test_a_map_is_built_once() -> None:
    level = {"inputs": 100, "outputs": 100, "kernel_size": (3, 3, 3), "stride": (1, 1, 1)}
    down = {"inputs": 100, "outputs": 40, "kernel_size": (2, 2, 2), "stride": (2, 2, 2)}
    up = {**down, "inputs": 40, "outputs": 100}
    layers = [
        sparse_layer("a", "level", level, (10,) * 27), sparse_layer("b", "level", level, (10,) * 27),
        sparse_layer("down", "down", down, (12,) * 8), sparse_layer("up", "down", up, (12,) * 8),
        sparse_layer("c", "", level, (10,) * 27), sparse_layer("d", "", level, (10,) * 27),
    ]  # fmt: skip
    mapping = [layer.details["mapping"] for layer in load_hardware("pointacc").cost(layers).layers]
    assert [cycles > 0 for cycles in mapping] == [True, False, True, False, True, True]


def test_units_work_one_after_the_other_or_together() -> None:
    mappings = (PointMapping(kind="knn", points=1024, queries=1024, neighbours=20, clouds=2),)
    layer = replace(gemm(64, 2 * 1024 * 20, 6, name="edge"), point_mappings=mappings)
    one, together = (
        load_hardware(replace(SPEC, overlapped=on)).cost([layer]).layers[0] for on in (False, True)
    )
    details = one.details
    assert details["mapping"] == 2 * neighbour_cycles(1024, 1024, 20, 64)
    assert one.cycles == math.ceil(details["mapping"] + max(details["matrix"], details["DRAM"]))
    assert together.cycles == math.ceil(max(details.values()))
    assert one.limit == together.limit


def test_points_that_do_not_fit_are_read_again_for_each_sample() -> None:
    def cloud(points: int) -> Layer:
        mappings = (PointMapping(kind="fps", points=points, queries=10),)
        return replace(gemm(1, 1, 1, name="x"), point_mappings=mappings)

    fits, more = 79_000, 80_000  # 776 KiB of 10 bytes
    small, large = (dram_bytes([cloud(points)])[0] for points in (fits, more))
    assert small == pytest.approx(fits * 6 + 6)
    assert large == pytest.approx(9 * more * 14 + 6)


def test_pointnet_on_both_versions() -> None:
    layers = load_workload("pointnet2_study").layers
    full, edge = (load_hardware(name).cost(layers) for name in ("pointacc", "pointacc_edge"))
    assert sum(layer.details["matrix"] for layer in full.layers) == 2 * 236196
    assert sum(layer.details["mapping"] for layer in full.layers) == 2 * (8176 + 16384 + 1016 + 2048)
    assert edge.cycles > 10 * full.cycles
    plan = load_hardware("pointacc").plan(layers)
    assert plan(plan.densities).cycles.sum() == pytest.approx(full.cycles, abs=len(layers))
    assert not plan.slopes(plan.densities).cycles.any()


def merged_pairs(coordinates: list[tuple[int, ...]], offset: tuple[int, ...]) -> list[tuple[int, int]]:
    """As the unit does: sort, shift, merge both lists, and take equal neighbours."""
    rows = sorted(range(len(coordinates)), key=lambda row: coordinates[row])
    shifted = [(tuple(c - d for c, d in zip(coordinates[row], offset, strict=True)), 0, row) for row in rows]
    outputs = [(coordinates[row], 1, row) for row in rows]
    merged = sorted(shifted + outputs)  # a merge of two sorted lists: a shift keeps the order
    return [
        (one[2], other[2])
        for one, other in pairwise(merged)
        if one[0] == other[0] and (one[1], other[1]) == (0, 1)
    ]


@pytest.mark.parametrize("rows", [shell(4), random_cloud(3, 60, 6)])
def test_merging_finds_the_kernel_map(rows) -> None:
    coordinates = Coordinates(rows)
    found = kernel_map(coordinates, coordinates, Kernel(3))
    points = [tuple(row) for row in coordinates.rows.tolist()]
    for k, offset in enumerate(found.kernel.offsets.tolist()):
        ours = slice(found.ends[k], found.ends[k + 1])
        pairs = zip(found.inputs[ours].tolist(), found.outputs[ours].tolist(), strict=True)
        assert sorted(pairs) == sorted(merged_pairs(points, (0, *offset)))


def test_traces_say_what_is_computed_on_coordinates() -> None:
    stages = (Stage(8, (Scale(0.1, 4, (8,)), Scale(0.2, 6, (8,)))), Stage(2, (Scale(0.4, 3, (8,)),)))
    names = ["sa1.0.mlp_convs.0", "sa1.1.mlp_convs.0", "sa2.mlp_convs.0", "sa3.mlp_convs.0", "fc1"]
    workload = Workload(layers=tuple(gemm(2, 2, 2, name=name) for name in names))
    config = Config(stages=stages, pooled=(8,), head=(8,), points=32)
    found = [layer.point_mappings for layer in with_point_mappings(workload, config, 2).layers]
    first = PointMapping(kind="fps", points=32, queries=8, clouds=2)
    assert found[0] == (first, PointMapping(kind="ball-query", points=32, queries=8, neighbours=4, clouds=2))
    assert found[1] == (PointMapping(kind="ball-query", points=32, queries=8, neighbours=6, clouds=2),)
    assert [each.points for each in found[2]] == [8, 8]
    assert found[3:] == [(), ()]


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        (PointMapping, {"kind": "fps", "points": 4, "queries": 5}),
        (PointMapping, {"kind": "fps", "points": 4, "queries": 2, "neighbours": 2}),
        (PointMapping, {"kind": "knn", "points": 0, "queries": 1}),
        (PointAccSpec, {"lanes": 0}), (PointAccSpec, {"dram_gb_per_s": -1.0}),
        (PointAccSpec, {"cache_kib": -1.0}), (PointAccSpec, {"word_bytes": 1.5}),
    ],
)  # fmt: skip
def test_bad_records(record: type, fields: dict[str, object]) -> None:
    known = {"name": "x", "clock_mhz": 1.0, "dram_gb_per_s": 1.0} if record is PointAccSpec else {}
    with pytest.raises(SpecError):
        record(**{**known, **fields})
