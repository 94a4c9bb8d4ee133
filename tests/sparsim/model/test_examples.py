"""The worked examples of the specification: every number of model 22.1 to 22.5, 23.5 and 23.6.

They were checked there against Timeloop 3.0.3.
"""

from __future__ import annotations

import msgspec
import pytest
from support.examples import (
    COMPRESSED,
    ENERGY,
    FORMATS_OF_A,
    accelerator,
    fixed,
    loops,
    mapping,
    matmul,
    sliding_window,
    uniform,
    window_layer,
)
from support.named import naming
from support.small_nests import Case

from sparsim.errors import MappingError
from sparsim.model.evaluate import Accounting, evaluate
from sparsim.model.result import Evaluation, TensorTraffic
from sparsim.records import Accelerator, Nest, Network, Option, Rank, Saf, SparsePolicy, TensorFormat
from sparsim.records.sparsity import rank_word_bits


def dense(tensor: TensorTraffic) -> tuple[int, int, int]:
    return tensor.reads.algorithmic, tensor.fills.algorithmic, tensor.updates.algorithmic


def actual(tensor: TensorTraffic) -> tuple[int, int, int]:
    return tensor.reads.actual, tensor.fills.actual, tensor.updates.actual


def tensor(result: Evaluation, level: str, name: str) -> TensorTraffic:
    return next(t for t in result.level(level).tensors if t.dataspace == name)


def evaluated(case: Case, accounting: Accounting = "timeloop-3") -> tuple[float, int]:
    result = evaluate(*case.given, accounting=accounting)
    return result.energy_pj, result.cycles


# 22.1


def test_sliding_window_counts_and_energy() -> None:
    result = evaluate(*sliding_window().given)
    table = {
        "spad": {"W": ((6, 6, 0), 15), "I": ((9, 6, 0), 18), "O": ((4, 0, 6), 13)},
        "GLB": {"W": ((6, 3, 0), 60), "I": ((12, 10, 0), 152), "O": ((0, 0, 8), 64)},
        "DRAM": {"W": ((3, 0, 0), 400), "I": ((10, 0, 0), 1200), "O": ((0, 0, 8), 800)},
    }
    for level, rows in table.items():
        for name, (counts, energy) in rows.items():
            found = tensor(result, level, name)
            assert (dense(found), found.energy_per_instance_pj) == (counts, energy), (level, name)
    assert result.compute.energy_pj == 48
    assert [tensor(result, "spad", name).partition_words for name in "WIO"] == [3, 2, 2]


def test_sliding_window_multicast() -> None:
    network = next(n for n in evaluate(*sliding_window().given).networks if n.outer == "GLB")
    weights, inputs, outputs = network.tensors
    assert [tuple(b) for b in weights.buckets] == [(4, 1, 6.0)]
    assert sorted(tuple(b) for b in inputs.buckets) == [(1, 1, 4.0), (1, 4, 8.0)]
    assert [tuple(b) for b in outputs.buckets] == [(1, 4, 8.0)]
    assert (inputs.link_transfers, inputs.average_hops) == (12, 2.0)


@pytest.mark.parametrize(
    ("accounting", "answer"),
    [
        ("timeloop-3", (2908, 6)),
        ("timeloop-2022", (2984, 8)),
        ("count-all", (3840, 8)),
        ("count-drains", (2964, 7)),
    ],
)
def test_sliding_window_under_every_convention(accounting: Accounting, answer: tuple[float, int]) -> None:
    assert evaluated(sliding_window(), accounting) == answer


def test_sliding_window_without_links() -> None:
    assert evaluated(sliding_window(GLB={"no_link_transfer": ("W", "I", "O")})) == (2968, 8)


# 22.2


@pytest.mark.parametrize(("order", "weight_fills", "energy"), [("KP", 6, 2843), ("PK", 24, 2978)])
def test_loop_order(order: str, weight_fills: int, energy: float) -> None:
    nests = mapping(in_spad=loops("R", R=3), in_glb=loops(order, K=2, P=4))
    result = evaluate(Accelerator(architecture=accelerator(), energy=ENERGY), window_layer(2, 4, 3), nests)
    assert (result.energy_pj, result.cycles) == (energy, 24)
    fills = {name: tensor(result, "spad", name).fills.algorithmic for name in "WI"}
    assert fills == {"W": weight_fills, "I": 12}
    assert dense(tensor(result, "spad", "O")) == (16, 0, 24)
    assert dense(tensor(result, "GLB", "O")) == (0, 0, 8)


# 22.3


def test_two_multicast_factors() -> None:
    spread = msgspec.structs.replace(loops("RP", P=2, R=2), split_x=1)
    nests = mapping(in_spad=loops("K", K=2), spread=spread)
    result = evaluate(
        Accelerator(architecture=accelerator(mesh=(2, 2)), energy=ENERGY), window_layer(2, 2, 2), nests
    )
    weights, inputs, outputs = next(n for n in result.networks if n.outer == "GLB").tensors
    assert [tuple(b) for b in inputs.buckets] == [(1, 2, 2.0), (2, 1, 1.0)]
    assert [tuple(b) for b in weights.buckets] == [(2, 2, 4.0)]
    assert [tuple(b) for b in outputs.buckets] == [(2, 2, 4.0)]
    assert outputs.spatial_reductions == 4
    assert inputs.average_hops == 4 / 3
    assert round(result.level("GLB").throttling, 4) == 0.7273
    assert (result.energy_pj, result.cycles) == (1392, 3)


# 22.4


def test_compression_and_skipping_with_a_structured_tensor() -> None:
    result = evaluate(*matmul(A=fixed(0.375), B=fixed(0.5)).given)
    table = {
        "spad": {"A": (64, 64, 0), "B": (64, 8, 0), "Z": (56, 8, 64)},
        "GLB": {"A": (64, 64, 0), "B": (32, 32, 0), "Z": (32, 0, 64)},
        "DRAM": {"A": (64, 0, 0), "B": (32, 0, 0), "Z": (0, 0, 32)},
    }
    energies = {"spad": (66, 38, 164), "GLB": (511, 448, 704), "DRAM": (2400, 3200, 3200)}
    for level, rows in table.items():
        assert {t.dataspace: dense(t) for t in result.level(level).tensors} == rows
        found = [t.energy_per_instance_pj for t in result.level(level).tensors]
        assert found == pytest.approx(energies[level], rel=1e-12)
    assert [actual(tensor(result, level, "A"))[0] for level in ("spad", "GLB", "DRAM")] == [24, 24, 24]
    assert [m for m, _ in tensor(result, "spad", "A").format_reads.actual] == [24]
    assert [tuple(u) for u in tensor(result, "GLB", "A").format_reads.actual] == [(0, 18), (32, 0)]
    assert [tuple(u) for u in tensor(result, "DRAM", "A").format_reads.actual] == [(0, 3), (0, 18), (32, 0)]
    assert tensor(result, "spad", "B").reads == msgspec.structs.replace(
        tensor(result, "spad", "B").reads, actual=24, gated=0, skipped=40
    )
    assert (result.compute.actual, result.compute.gated, result.compute.skipped) == (48, 48, 0)
    assert (result.compute.cycles, result.compute.energy_pj) == (24, pytest.approx(100.8))
    assert round(result.level("GLB").throttling, 5) == 0.66207


@pytest.mark.parametrize(
    ("accounting", "answer"),
    [
        ("timeloop-3", (11635.8, 37)),
        ("timeloop-2022", (11939.8, 45)),
        ("count-all", (15363.8, 45)),
        ("count-drains", (11891.8, 37)),
    ],
)
def test_compression_under_every_convention(accounting: Accounting, answer: tuple[float, int]) -> None:
    assert evaluated(matmul(A=fixed(0.375), B=fixed(0.5)), accounting) == pytest.approx(answer, rel=1e-12)


def test_compression_and_skipping_with_a_uniform_tensor() -> None:
    result = evaluate(*matmul(A=uniform(0.2), B=fixed(0.5)).given)
    spad, glb, dram = (tensor(result, level, "A") for level in ("spad", "GLB", "DRAM"))
    assert spad.instances_average == pytest.approx(2.426758, abs=5e-7)
    assert spad.tile_density == pytest.approx(0.334809, abs=5e-7)
    assert glb.instances_average == pytest.approx(0.99997356, abs=5e-9)
    assert glb.tile_density == pytest.approx(0.20313037, abs=5e-9)
    assert [t.reads.actual for t in (spad, glb, dram)] == [22, 14, 13]
    assert [tuple(u) for u in spad.format_reads.actual] == [(22, 0)]
    assert [tuple(u) for u in glb.format_reads.actual] == [(0, 19), (12, 0)]
    assert [tuple(u) for u in dram.format_reads.actual] == [(0, 3), (0, 18), (10, 0)]
    assert dram.energy_pj == pytest.approx(1969.23, abs=0.005)
    assert tensor(result, "spad", "B").reads.skipped == 51
    assert (result.compute.actual, result.compute.gated, result.compute.cycles) == (26, 26, 13)
    assert spad.read.per_instance == pytest.approx(17 / 13)
    assert round(result.level("GLB").throttling, 3) == 0.416
    assert (round(result.energy_pj, 4), result.cycles) == (10796.8415, 32)
    assert (spad.utilized_words, [tuple(u) for u in spad.format_words]) == (4, [(4, 0)])
    assert (glb.utilized_words, [tuple(u) for u in glb.format_words]) == (13, [(0, 9), (15, 0)])


# 22.5


@pytest.mark.parametrize(
    ("order", "metadata_reads"),
    [("outer-to-inner", [(0, 3), (8, 0)]), ("inner-to-outer", [(0, 0), (4, 0)])],
)
def test_order_of_rank_matching(order: str, metadata_reads: list[tuple[int, int]]) -> None:
    ranks = (Rank(format="UOP", flattened=(("K",),)), Rank(format="CP", flattened=(("K", "M"),)))
    policy = SparsePolicy(formats=(TensorFormat(level="DRAM", dataspace="A", ranks=ranks, order=order),))
    case = matmul(policy, A=fixed(0.125))
    flags = {"GLB": {"bypass": ("A",)}, "spad": {"bypass": ("A",)}}
    nests = mapping(
        in_spad=loops("K", K=4),
        spread=loops("N", N=4),
        in_glb=loops("M", M=8),
        in_dram=loops("K", K=2),
        **flags,
    )
    result = evaluate(*case._replace(mapping=nests).given)
    found = tensor(result, "DRAM", "A")
    assert found.reads.actual == 8
    assert [tuple(u) for u in found.format_reads.actual] == metadata_reads
    assert (result.energy_pj, result.cycles) == (9824, 64)


def test_nested_entries() -> None:
    a_on_b = (Option(target="A", condition_on=("B",)),)
    policy = SparsePolicy(
        safs=(
            Saf(level="GLB", type="skipping", options=a_on_b),
            Saf(level="spad", type="gating", options=a_on_b),
        )
    )
    result = evaluate(*matmul(policy, A=fixed(0.5), B=fixed(0.03125)).given)
    glb, spad = tensor(result, "GLB", "A"), tensor(result, "spad", "A")
    assert (glb.reads.actual, glb.reads.skipped, glb.fills.actual) == (32, 32, 64)
    assert (spad.reads.actual, spad.reads.gated, spad.fills.actual) == (2, 30, 32)
    assert (result.compute.actual, result.compute.cycles) == (8, 2)
    assert (result.energy_pj, result.cycles) == (pytest.approx(15838.0, rel=1e-12), 40)


# 23.5


def test_network_latencies() -> None:
    arch = accelerator(
        GLB={"network": Network(fill_latency_cycles=5)}, spad={"network": Network(drain_latency_cycles=3)}
    )
    assert evaluated(sliding_window(arch)) == (2908, 14)


def test_least_utilization() -> None:
    with pytest.raises(MappingError, match=naming("21 GLB min_utilization 512")):
        evaluate(*sliding_window(accelerator(GLB={"min_utilization": 0.5})).given)


def test_level_that_cannot_add() -> None:
    arch = accelerator(GLB={"reduction_supported": False, "network": Network(energy_per_hop_pj=1)})
    assert evaluated(sliding_window(arch))[0] == 2974


def test_spatial_loops_without_fan_out() -> None:
    case = sliding_window(spad={"spatial": Nest()})
    with pytest.raises(MappingError, match="no fan-out"):
        evaluate(*case.given)


def test_wrong_product() -> None:
    nests = mapping(spread=loops("P", P=4), in_glb=loops("R", R=3))
    with pytest.raises(MappingError, match=naming("P 4 8")):
        evaluate(*sliding_window()._replace(mapping=nests).given)


def test_operand_that_only_the_innermost_level_keeps() -> None:
    case = sliding_window(GLB={"bypass": ("W",)}, DRAM={"bypass": ("W",)})
    assert evaluated(case) == (2412, 6)


def test_too_small_metadata_storage() -> None:
    arch = accelerator(GLB={"metadata_depth": 1})
    with pytest.raises(MappingError, match=naming("200 GLB 16")):
        evaluate(*matmul(arch=arch, A=fixed(0.375), B=fixed(0.5)).given)


def test_too_few_ranks() -> None:
    formats = (
        FORMATS_OF_A[0],
        TensorFormat(level="GLB", dataspace="A", ranks=(Rank(format="CP"),)),
        FORMATS_OF_A[2],
    )
    policy = msgspec.structs.replace(COMPRESSED, formats=formats)
    with pytest.raises(MappingError, match=naming("A GLB")):
        evaluate(*matmul(policy, A=fixed(0.375), B=fixed(0.5)).given)


@pytest.mark.parametrize(
    ("supported", "text"),
    [(False, "A GLB decompression_supported"), (True, "A spad")],
)
def test_compressed_around_uncompressed(supported: bool, text: str) -> None:
    policy = msgspec.structs.replace(COMPRESSED, formats=(FORMATS_OF_A[0], FORMATS_OF_A[2]))
    arch = accelerator(GLB={"decompression_supported": supported})
    with pytest.raises(MappingError, match=naming(text)):
        evaluate(*matmul(policy, arch, A=fixed(0.375), B=fixed(0.5)).given)


def test_empty_policy_counts_as_dense() -> None:
    case = matmul(SparsePolicy(), A=fixed(0.375), B=fixed(0.5))
    assert evaluated(case) == (16960.0, 64)
    assert evaluate(*case.given).sparse_report


# 23.6


@pytest.mark.parametrize(("width", "asked", "granted"), [(32, 5, 8), (60, 7, 10)])
def test_word_bits_that_divide_the_width(width: int, asked: int, granted: int) -> None:
    level = msgspec.structs.replace(accelerator().storage[0], metadata_width_bits=width)
    assert rank_word_bits(Rank(format="CP", metadata_word_bits=asked), level)[0] == granted
