"""What a layer costs on a whole chip: storage and arithmetic by the model, PEs, network and clock beside it.

Counts come from `sparsim.evaluate` with mean densities. Zeros are unevenly spread: PEs wait for each other at
every window of iacts, because those that share iacts or add up psums cannot drift further apart than an iact
spad is deep. At the end of a window its psums are added to those of the PE below, in the adders of the MACs.
Weights are fetched between passes, their spad is not doubled; iacts and psums move while PEs compute. Words
from and to a DRAM of limited bandwidth come before and after: no buffer is doubled, and the published penalty
of a limit is hard to explain otherwise. When PEs wait and what overlaps is assumed: no source says it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike

from sparsim.errors import MappingError, SpecError
from sparsim.machines.eyeriss.chip import DRAM, IACT_GLB, IACT_REG, PSUM_GLB, PSUM_SPAD, SPREAD_AT, Chip
from sparsim.machines.eyeriss.compression import ROLES, is_compressed, skips_zeros, stored_ways
from sparsim.machines.eyeriss.conv_dims import CONV_DIMS, IACTS, WEIGHTS, conv_dims
from sparsim.machines.eyeriss.noc import Delivery, SpatialLoop, plan
from sparsim.machines.eyeriss.pe.conv_tiling import Tiling
from sparsim.machines.eyeriss.pe.pe_estimate import PEEstimate, estimate
from sparsim.machines.eyeriss.row_stationary_nest import KEPT
from sparsim.model.evaluate import evaluate
from sparsim.model.result import Evaluation, TensorTraffic
from sparsim.records import Density, Layer, LevelMapping, Mapping
from sparsim.records.chip_spec import ADDRESS_SPADS
from sparsim.records.number_limits import MAX_COUNT
from sparsim.records.pe_spec import SparsePE

OVERLAPPING = ("PE", "iact", "psum")  # parts that work at the same time
Metric = Literal["delay", "energy", "edp"]
Storage = Literal["plain", "compressed"]
COMPUTE, NOC, ADDRESSES, CLOCK, CONTROL = "MAC", "NoC", "address spads", "clock", "control"


class Flow(NamedTuple):
    """Words of one kind on the network."""

    delivery: Delivery
    words: float  # distinct ones that leave, or for psums enter and leave, the GLB
    cycles: float

    @property
    def energy_pj(self) -> float:
        return self.words * self.delivery.energy_pj_per_word


class ChipEvaluation(NamedTuple):
    """A layer on a chip. `stored` is the layer as its tensors are stored: zeros of plain ones are values, so
    that their density is 1 there. All that follows is counted of it. `time` has the cycles that every part
    needs by itself: the longest of `PE` (with `weight`), `iact` and `psum`, and then `DRAM`. `energy_pj` is
    by component, DRAM apart."""

    layer: Layer
    stored: Layer
    mapping: Mapping
    spread: dict[str, int]  # over how many PEs every dim is spread
    evaluation: Evaluation
    pe: PEEstimate
    flows: dict[str, Flow]
    time: dict[str, float]
    cycles: int
    energy_pj: dict[str, float]
    dram_pj: float
    dram_bytes: float

    @property
    def chip_pj(self) -> float:
        """Energy of the chip, without DRAM."""
        return math.fsum(self.energy_pj.values())

    @property
    def storage(self) -> dict[str, Storage]:
        """How weights and iacts are stored, and travel."""
        return {role: _storage(self.flows[role].delivery.compressed) for role in ("weight", "iact")}

    def value(self, metric: Metric) -> tuple[float, float]:
        """What a plan makes small: cycles, energy with DRAM, or their product; then what decides a tie."""
        energy, cycles = self.chip_pj + self.dram_pj, float(self.cycles)
        return {"delay": (cycles, energy), "energy": (energy, cycles), "edp": (energy * cycles, energy)}[
            metric
        ]


def evaluate_chip(chip: Chip, layer: Layer, mapping: Mapping, metric: Metric = "energy") -> ChipEvaluation:
    """One layer under one mapping whose spatial loops lie on the chip's axes, stored as is best by `metric`.

    Raises SpecError for a layer that is no convolution, MappingError for a mapping that is invalid or does
    not fit however the layer is stored.
    """
    fitting = []
    for stored in stored_ways(chip, layer):
        try:
            fitting.append(evaluate_stored(chip, stored, mapping))
        except MappingError as error:
            last = error
    if not fitting:
        raise last
    return best_stored(fitting, metric)._replace(layer=layer)


def best_stored(found: Sequence[ChipEvaluation], metric: Metric) -> ChipEvaluation:
    """The best by `metric` of a layer in several of its `stored_ways`, in their order.

    None that takes more energy than the last one, which is stored most plainly: zeros must not cost energy,
    also where it is cycles that are to be few.
    """
    most = found[-1].value("energy")[0]
    return min(
        (each for each in found if each.value("energy")[0] <= most), key=lambda each: each.value(metric)
    )


def evaluate_stored(chip: Chip, layer: Layer, mapping: Mapping) -> ChipEvaluation:
    """`evaluate_chip` of a layer that is stored as it says, with density 1 for what is stored plainly."""
    levels = {level.level: level for level in mapping.levels}
    base = evaluate(chip.accelerator, mean_densities(layer), mapping)
    loops = spatial_loops(levels)
    flows = {role: _flow(chip, role, base, layer, loops) for role in ROLES}
    spread, tile = spread_of(loops), tile_of(mapping)
    pe = pe_estimate(chip, layer, spread, tile)
    passes = _passes(levels)
    time = {role: flow.cycles for role, flow in flows.items()}
    time["PE"] = (
        float(pe.cycles)
        + float(handing_over(chip, pe, tile))
        + passes * chip.spec.pe.fill_cycles
        + time["weight"]
    )
    dram_bytes = _dram_bytes(chip, layer, base)
    time["DRAM"] = 0.0
    if chip.spec.dram_gb_per_s is not None:
        time["DRAM"] = dram_bytes / (1000.0 * chip.spec.dram_gb_per_s / chip.spec.clock_mhz)
    total = max(time[part] for part in OVERLAPPING) + time["DRAM"]
    if not total <= MAX_COUNT:  # also refuses nan
        raise SpecError(f"{total:.3g} cycles, allowed are {MAX_COUNT:.3g}", path=f"layer {layer.name}")
    cycles = math.ceil(total)
    energy = {level.name: level.energy_pj for level in base.storage if KEPT[level.name]}
    widest_pj = energy.pop(DRAM)  # all words as wide as the widest
    dram_pj = widest_pj * dram_bytes / _dram_bytes(chip, layer, base, packed=False)
    energy[COMPUTE] = base.compute.energy_pj
    energy[NOC] = math.fsum(flow.energy_pj for flow in flows.values())
    energy[ADDRESSES] = _addresses(chip, pe)
    energy[CLOCK] = cycles * chip.spec.clock_pj_per_cycle
    energy[CONTROL] = float(pe.busy_cycles) * chip.spec.control_pj_per_pe_cycle
    return ChipEvaluation(
        layer, layer, mapping, spread, base, pe, flows, time, cycles, energy, dram_pj, dram_bytes
    )


def _storage(compressed: bool) -> Storage:
    return "compressed" if compressed else "plain"


def mean_densities(layer: Layer) -> Layer:
    """The layer with densities that count averages only: how zeros are spread is the PE estimate's part."""
    return replace(
        layer,
        densities={name: Density(density=density.density) for name, density in layer.densities.items()},
    )


def spatial_loops(levels: dict[str, LevelMapping]) -> list[SpatialLoop]:
    """The loops that spread dims over the array, outer to inner."""
    found = []
    for level, axis in SPREAD_AT.items():
        nest = levels[level].spatial if level in levels else None
        if nest is not None:
            dims = [*(d for d in nest.factors if d not in nest.order), *nest.order]
            found += [
                SpatialLoop(dim=d, bound=nest.factors[d], axis=axis)
                for d in dims
                if nest.factors.get(d, 1) > 1
            ]
    return found


def _flow(chip: Chip, role: str, base: Evaluation, layer: Layer, loops: list[SpatialLoop]) -> Flow:
    dataspace = next(d for d in layer.shape.dataspaces if d.name == ROLES[role])
    relevant = sorted(relevant_dims(layer, dataspace.name))
    at = {"weight": DRAM, "iact": IACT_GLB, "psum": PSUM_GLB}[role]
    traffic = _traffic(base, at, dataspace.name)
    words = float(traffic.reads.actual)
    if role == "psum":
        words += traffic.updates.actual
    delivery = plan(chip.spec.noc, role, loops, relevant, compressed=is_compressed(chip, layer, role))
    half = 2.0 if role == "psum" else 1.0  # psums enter and leave over ports of their own
    return Flow(delivery, words, words / half / delivery.words_per_cycle)


def _traffic(base: Evaluation, level: str, dataspace: str) -> TensorTraffic:
    return next(t for t in base.level(level).tensors if t.dataspace == dataspace)


def relevant_dims(layer: Layer, dataspace: str) -> set[str]:
    found = next(d for d in layer.shape.dataspaces if d.name == dataspace)
    return {dim for side in found.terms() for dim, _ in side}


def worked_share(chip: Chip, layer: Layer, role: str) -> float:
    """Share of a kind of words that take a MAC's time: nonzero ones where zeros are skipped, else all."""
    return layer.density(ROLES[role]).density if skips_zeros(chip, role) else 1.0


def spread_of(loops: list[SpatialLoop]) -> dict[str, int]:
    """Over how many PEs every dim is spread."""
    return {d: math.prod(loop.bound for loop in loops if loop.dim == d) for d in CONV_DIMS}


def tile_of(mapping: Mapping) -> tuple[int, int]:
    """(filters, channels) of a PE's tile."""
    levels = [level for level in mapping.levels if level.level in (PSUM_SPAD, IACT_REG)]
    nests = [nest for level in levels for nest in (level.temporal, level.spatial) if nest is not None]
    filters, channels = (math.prod(nest.factors.get(dim, 1) for nest in nests) for dim in ("M", "C"))
    return filters, channels


def pe_estimate(
    chip: Chip, layer: Layer, spread: dict[str, Any], tile: tuple[ArrayLike, ArrayLike]
) -> PEEstimate:
    """Time of the PEs, which wait for the slowest after every window; numbers or arrays of candidates."""
    return estimate(
        window_pe(chip), conv_dims(layer).conv(), tiling_of(spread, *tile), layer.density(IACTS).density,
        layer.density(WEIGHTS).density,
    )  # fmt: skip


def handing_over(chip: Chip, pe: PEEstimate, tile: tuple[Any, Any]) -> Any:
    """Cycles in which psums are added to what comes from the PE below: the adders are those of the MACs, so
    that every psum takes a slot at the end of its window."""
    return pe.passes * np.ceil(np.asarray(tile[0]) / chip.spec.pe.simd_width)


def even_cycles(chip: Chip, layer: Layer, spread: dict[str, Any], tile: tuple[Any, Any]) -> Any:
    """Cycles of the PE with the largest part if zeros were spread evenly and nothing was waited for."""
    bounds, lanes = conv_dims(layer).bounds, chip.spec.pe.simd_width
    iacts, weights = (worked_share(chip, layer, role) for role in ("iact", "weight"))
    filters = np.minimum(tile[0], -(-bounds.get("M", 1) // spread.get("M", 1)))
    column = np.ceil(filters / lanes) if weights == 1.0 else (filters * weights + (lanes - 1) / 2) / lanes
    full = np.ceil(filters / lanes)
    steps = iacts * bounds.get("S", 1) * tile[1] * np.minimum(column, full) + full  # and handing over
    steps = steps * -(-bounds.get("M", 1) // (spread.get("M", 1) * filters))
    steps = steps * -(-bounds.get("C", 1) // (spread.get("C", 1) * tile[1]))
    for dim in ("G", "R", "N", "Q", "P"):
        steps = steps * -(-bounds.get(dim, 1) // spread.get(dim, 1))
    return steps


def tiling_of(spread: dict[str, Any], filters: ArrayLike, channels: ArrayLike) -> Tiling:
    """One window at a time per PE, dims spread over so many PEs; dims that are left out over one."""
    return Tiling(
        M0=filters, C0=channels, pes_g=spread.get("G", 1), pes_m=spread.get("M", 1), pes_c=spread.get("C", 1),
        pes_r=spread.get("R", 1), pes_p=spread.get("N", 1) * spread.get("P", 1), pes_q=spread.get("Q", 1),
    )  # fmt: skip


def window_pe(chip: Chip) -> SparsePE:
    """The PE without the time to fill its pipeline, which passes once per pass and not per window."""
    return replace(chip.spec.pe, pipeline_stages=min(chip.spec.pe.pipeline_stages, 1))


def _passes(levels: dict[str, LevelMapping]) -> int:
    """How often PEs get new weights."""
    outside = (DRAM, PSUM_GLB, IACT_GLB)
    return math.prod(f for name in outside if name in levels for f in levels[name].temporal.factors.values())


def _addresses(chip: Chip, pe: PEEstimate) -> float:
    """Reads of the address spads; they are written as rarely as weights and iacts come."""
    actions = chip.energy.actions if chip.energy else {}
    reads = {
        ADDRESS_SPADS["iact"]: pe.accesses.iact_address_reads,
        ADDRESS_SPADS["weight"]: pe.accesses.weight_address_reads,
    }
    return math.fsum(float(n) * actions[name]["read"] for name, n in reads.items() if name in actions)


def _dram_bytes(chip: Chip, layer: Layer, base: Evaluation, *, packed: bool = True) -> float:
    """Off-chip traffic. `packed`: without counts where words are not compressed; psums leave as values."""
    word_bits, value_bits = base.level(DRAM).storage.word_bits, chip.spec.pe.value_bits
    bits = 0.0
    for role, dataspace in ROLES.items():
        traffic = _traffic(base, DRAM, dataspace)
        words = traffic.reads.actual + traffic.fills.actual + traffic.updates.actual
        wide = not packed or is_compressed(chip, layer, role)
        bits += words * (word_bits if wide else value_bits)
    return bits / 8
