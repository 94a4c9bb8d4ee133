"""Energy, off-chip words and time of layers and networks, against the model and by hand."""

from __future__ import annotations

import importlib
import math
from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace
from support.small_chips import conv, small_chip

import sparsim
from sparsim.machines.eyeriss import (
    Chip,
    ChipEvaluation,
    NetworkEvaluation,
    load_chip,
    plan_layer,
    plan_network,
)
from sparsim.machines.eyeriss.chip_area import chip_area
from sparsim.machines.eyeriss.csc_words import words_per_nonzero
from sparsim.machines.eyeriss.layer_cost import spatial_loops, tile_of
from sparsim.machines.eyeriss.noc import plan
from sparsim.machines.eyeriss.pe.conv_tiling import Conv, Tiling
from sparsim.machines.eyeriss.pe.pe_estimate import estimate
from sparsim.records import Density
from sparsim.report.chip_rows import edp, layer_row, limit_of, totals

SMALL = small_chip()
LAYER = conv(M=8, C=6, R=3, S=3, P=4, Q=4, iacts=0.5, weights=0.4)


@cache
def planned() -> ChipEvaluation:
    """The plan of `LAYER`."""
    return plan_layer(SMALL, LAYER)


def per_nonzero(found: ChipEvaluation, role: str) -> tuple[float, float]:
    """Pairs of 12 bits, and these with the addresses, that a nonzero of an operand takes: by all numbers of
    nonzeros in a column of weights, whose last word of two pairs may have one; by segments of iacts.
    """
    bounds, (filters, channels) = found.layer.bounds, tile_of(found.mapping)
    if role == "iact":
        segments = -(-bounds["C"] // channels)
        return 1.0, 1.0 + 4 / 12 * segments / bounds["C"] / found.stored.density("Inputs").density
    density = found.stored.density("Weights").density
    sizes = [min(filters, bounds["M"] - first) for first in range(0, bounds["M"], filters)]
    pairs = sum(
        2 * -(-n // 2) * math.comb(m, n) * density**n * (1 - density) ** (m - n)
        for m in sizes
        for n in range(m + 1)
    )
    nonzeros = bounds["M"] * density
    return pairs / nonzeros, (pairs + 7 / 12 * len(sizes)) / nonzeros


def test_memories_and_macs_cost_what_the_model_says() -> None:
    result = sparsim.evaluate(SMALL.accelerator, LAYER, planned().mapping)
    on_chip = {level.name: level.energy_pj for level in result.storage if level.energy_pj}
    on_chip.pop("DRAM")
    compressed = {
        "weight_spad": per_nonzero(planned(), "weight")[0],
        "iact_glb": per_nonzero(planned(), "iact")[1],
    }
    assert {name: planned().energy_pj[name] for name in on_chip} == {
        name: pytest.approx(energy * compressed.get(name, 1.0)) for name, energy in on_chip.items()
    }
    assert planned().energy_pj["MAC"] == result.compute.energy_pj
    assert set(planned().energy_pj) == {*on_chip, "MAC", "NoC", "address spads", "clock", "control"}


def test_words_on_the_network_are_those_that_leave_the_buffers() -> None:
    """Weights come from DRAM; psums enter and leave the psum buffer. Weights and iacts are compressed."""
    result = planned().evaluation
    reads = {
        role: next(t for t in result.level(level).tensors if t.dataspace == dataspace)
        for role, level, dataspace in (
            ("weight", "DRAM", "Weights"),
            ("iact", "iact_glb", "Inputs"),
            ("psum", "psum_glb", "Outputs"),
        )
    }
    words = {role: traffic.reads.actual for role, traffic in reads.items()}
    words["psum"] += reads["psum"].updates.actual
    loops = spatial_loops({level.level: level for level in planned().mapping.levels})
    relevant = {"weight": "GCMRS", "iact": "NGCRPSQ", "psum": "NGMPQ"}
    energy = 0.0
    for role, flow in planned().flows.items():
        delivery = plan(SMALL.spec.noc, role, loops, sorted(relevant[role]), compressed=role != "psum")
        if role != "psum":
            words[role] *= per_nonzero(planned(), role)[1]
        assert flow.words == pytest.approx(words[role])
        assert flow.delivery == delivery
        energy += words[role] * delivery.energy_pj_per_word
        ways = 2 if role == "psum" else 1
        assert flow.cycles == pytest.approx(words[role] / delivery.words_per_cycle / ways)
    assert planned().energy_pj["NoC"] == pytest.approx(energy)


def test_clock_and_control_count_cycles() -> None:
    spec = SMALL.spec
    assert planned().energy_pj["clock"] == pytest.approx(planned().cycles * spec.clock_pj_per_cycle)
    control = float(planned().pe.busy_cycles) * spec.control_pj_per_pe_cycle
    assert planned().energy_pj["control"] == pytest.approx(control)
    assert float(planned().pe.busy_cycles) <= planned().cycles * spec.noc.pes


def test_off_chip_bytes_of_a_dense_layer_by_hand() -> None:
    """Everything fits the chip, so that every word of 8 bits passes once: 5 x 3 weights, 3 x 4 iacts, 5 x 4
    outputs.
    """
    found = plan_layer(load_chip("eyeriss_v1_5"), conv(M=5, C=3, P=2, Q=2), "energy")
    assert found.dram_bytes == 15 + 12 + 20
    assert found.dram_pj == pytest.approx(47 * 8 * 8)  # LPDDR4 takes 8 pJ per bit


def test_off_chip_words_that_are_compressed_are_12_bits_wide() -> None:
    """Half of 16 x 8 weights and of 8 x 16 iacts with their counts, and with what their columns and segments
    add, 16 x 16 outputs of 8 bits.
    """
    layer = conv(M=16, C=8, P=4, Q=4, iacts=0.5, weights=0.5)
    found = plan_layer(SMALL, layer, "energy")
    added = per_nonzero(found, "weight")[1] + per_nonzero(found, "iact")[1]
    assert added > 2.1
    assert found.dram_bytes == pytest.approx((64 * 12 * added + 256 * 8) / 8)


@pytest.mark.parametrize(
    ("filters", "weights", "bits"),
    [
        (1, 1.0, 24 + 7),  # one weight fills a word of two
        (2, 1.0, 24 + 7),
        (3, 1.0, 48 + 7),
        (3, 0.5, 24 * (6 / 8 + 2 / 8) + 7),  # 1, 3, 3 and 1 of 8 columns have 0, 1, 2 and 3 nonzeros
        (4, 0.0001, 0.0096 + 7),  # empty columns have their address
    ],
)
def test_a_column_of_weights_takes_whole_words_and_an_address(filters, weights, bits) -> None:
    pe = load_chip("eyeriss_v2").spec.pe
    found = estimate(pe, Conv(M=filters, C=8), Tiling(M0=filters, C0=8), 0.5, weights)
    words = float(words_per_nonzero(pe, found, "weight"))
    assert words * 12 * filters * weights == pytest.approx(bits, rel=1e-4)


def test_a_segment_of_iacts_takes_an_address() -> None:
    pe = load_chip("eyeriss_v2").spec.pe
    found = estimate(pe, Conv(M=4, C=12), Tiling(M0=4, C0=6), 0.5, 1.0)
    assert float(words_per_nonzero(pe, found, "iact")) == pytest.approx(1 + 4 / (12 * 6 * 0.5))


def with_dram(chip: Chip, gb_per_s: float) -> Chip:
    return chip._replace(spec=replace(chip.spec, dram_gb_per_s=gb_per_s))


def test_off_chip_bandwidth_limits() -> None:
    """0.02 GB/s at 200 MHz are 0.1 bytes per cycle."""
    slow = plan_layer(with_dram(SMALL, 0.02), LAYER)
    assert slow.time["DRAM"] == pytest.approx(slow.dram_bytes / 0.1)
    computing = max(slow.time[part] for part in ("PE", "iact", "psum"))
    assert slow.cycles == math.ceil(computing + slow.time["DRAM"]) > planned().cycles
    assert limit_of(slow) == "DRAM"
    assert plan_layer(with_dram(SMALL, 1e9), LAYER).cycles - planned().cycles in (0, 1)


def test_objectives_win_in_their_own_discipline() -> None:
    layer = conv(M=32, C=24, R=3, S=3, P=8, Q=8, iacts=0.5, weights=0.4)
    found = {objective: plan_layer(SMALL, layer, objective) for objective in ("delay", "energy", "edp")}
    value = {
        "delay": lambda x: x.cycles,
        "energy": lambda x: x.chip_pj + x.dram_pj,
        "edp": edp,
    }
    for objective, of in value.items():
        assert of(found[objective]) == min(map(of, found.values()))


def test_gating_saves_energy_and_no_cycles_where_skipping_saves_both() -> None:
    dense, sparse = conv(M=12, C=12, P=8, Q=8), conv(M=12, C=12, P=8, Q=8, iacts=0.3)
    for name, saved in (("eyeriss_v1_5", False), ("eyeriss_v2", True)):
        before, after = (plan_layer(load_chip(name), layer) for layer in (dense, sparse))
        assert (after.pe.cycles < before.pe.cycles) == saved
        assert after.chip_pj < before.chip_pj


def test_equal_layers_are_planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    seen: list[str] = []

    def counted(chip: Chip, layer: sparsim.Layer, *others: Any) -> ChipEvaluation:
        calls.append(layer.name)
        return plan_layer(chip, layer, *others)

    module = importlib.import_module("sparsim.machines.eyeriss.plan_network")  # not the function
    monkeypatch.setattr(module, "plan_layer", counted)
    layers = [replace(LAYER, name="a"), conv(M=4, C=2), replace(LAYER, name="b")]
    layers.append(replace(LAYER, name="c", densities={"Inputs": Density(density=0.5)}))
    found = plan_network(SMALL, layers, progress=lambda x: seen.append(x.layer.name))
    assert calls == ["a", "tiny", "c"]
    assert seen == [x.layer.name for x in found.layers] == ["a", "tiny", "b", "c"]
    assert found.layers[2].cycles == found.layers[0].cycles == planned().cycles


def test_totals_are_sums_and_quotients() -> None:
    layers = [LAYER, conv(M=4, C=2, P=3, Q=3)]
    found = NetworkEvaluation(SMALL, tuple(plan_layer(SMALL, layer) for layer in layers))
    seconds = sum(x.cycles for x in found.layers) / 200e6
    joules = sum(sum(x.energy_pj.values()) for x in found.layers) * 1e-12
    operations = 2 * (8 * 6 * 3 * 3 * 4 * 4 + 4 * 2 * 3 * 3)
    got = totals(found)
    assert got["inferences_per_s"] == pytest.approx(1 / seconds)
    assert got["inferences_per_j"] == pytest.approx(1 / joules)
    assert got["gops_per_w"] == pytest.approx(operations / joules / 1e9)
    assert got["watts"] == pytest.approx(joules / seconds)
    assert got["dram_bytes"] == sum(x.dram_bytes for x in found.layers)
    assert got["area_um2"] == sum(chip_area(SMALL).values())
    assert got["noc_area_share"] == chip_area(SMALL)["NoC"] / got["area_um2"]
    bare = SMALL._replace(accelerator=replace(SMALL.accelerator, components=()))
    assert "area_um2" not in totals(found._replace(chip=bare))
    assert sum(found.energy_pj.values()) == pytest.approx(found.chip_pj)
    row = layer_row(found.layers[0])
    assert row["edp_j_cycles"] == pytest.approx(
        (planned().chip_pj + planned().dram_pj) * 1e-12 * planned().cycles
    )
    assert row["macs_per_cycle"] * planned().cycles == 8 * 6 * 3 * 3 * 4 * 4  # type: ignore[operator]
    assert found.layers[0] == planned()
