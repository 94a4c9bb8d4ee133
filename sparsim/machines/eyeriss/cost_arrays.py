"""Costs of counts of accesses on a chip: cycles, energy by component and DRAM traffic of many cases at once.

Zeros are distributed unevenly, so that PEs wait for each other at every window of iacts: PEs that share iacts
or add up psums cannot be further apart than the depth of an iact spad. At the end of a window its psums are
added to those of the PE below, in the adders of the MACs. Weights are fetched between passes, because their
spad is not double-buffered; iacts and psums move while PEs compute. Words from and to a DRAM of limited
bandwidth move before and after the computation: no buffer is doubled, and the published penalty of the limit
is hard to explain otherwise. The waiting times and overlaps are assumptions without a source. On a chip with
a link for filters (`filter_loading`) nothing else moves while they are loaded.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import SpecError
from sparsim.machines.eyeriss.chip import DRAM, IACT_GLB, LEVELS, PSUM_GLB, WEIGHT_SPAD, Chip
from sparsim.machines.eyeriss.compression import OPERANDS, ROLES
from sparsim.machines.eyeriss.csc_words import pairs_per_nonzero, words_per_nonzero
from sparsim.machines.eyeriss.filter_loading import loading, waiting
from sparsim.machines.eyeriss.pe.pe_estimate import PEEstimate
from sparsim.machines.eyeriss.row_stationary_nest import KEPT
from sparsim.model.arrays import FILL, READ, UPDATE
from sparsim.records import Layer
from sparsim.records.chip_spec import ADDRESS_SPADS
from sparsim.records.number_limits import MAX_COUNT
from sparsim.records.objective import ObjectiveName, objective_value

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]
LINK = "link"
OVERLAPPING = ("PE", "iact", "psum", LINK)  # parts of the chip that work at the same time
COMPUTE, NOC, ADDRESSES, CLOCK, CONTROL = "MAC", "NoC", "address spads", "clock", "control"
_LEAVES_FROM = {
    "weight": DRAM,
    "iact": IACT_GLB,
    "psum": PSUM_GLB,
}  # the level from which words enter the network


class Ports(NamedTuple):
    """The delivery of one kind of words, as numbers or arrays with one entry per case."""

    words_per_cycle: Any
    energy_pj_per_word: Any
    compressed: Any
    dram_bits: Any  # bits of a word in the DRAM


class Costs(NamedTuple):
    """Costs of n cases; every array is (n,). See `ChipEvaluation`."""

    # distinct words by kind that leave the GLB, or enter and leave it for psums; compressed ones with what
    # their format adds
    words: dict[str, Reals]
    time: dict[str, Reals]
    cycles: Reals
    energy_pj: dict[str, Reals]
    dram_pj: Reals
    dram_parts: dict[str, Reals]  # bytes by kind

    @property
    def total_pj(self) -> Reals:
        """Energy with DRAM."""
        return _added(list(self.energy_pj.values())) + self.dram_pj

    def values(self, objective: ObjectiveName) -> list[tuple[float, float]]:
        """Return `value_of` every case."""
        pairs = zip(self.total_pj.tolist(), self.cycles.tolist(), strict=True)
        return [value_of(objective, *pair) for pair in pairs]


def value_of(objective: ObjectiveName, energy_pj: float, cycles: float) -> tuple[float, float]:
    """Return the value that a plan minimises: cycles, energy with DRAM, or their product; then the value that
    decides ties.
    """
    tie = cycles if objective == "energy" else energy_pj
    return objective_value(objective, energy_pj, cycles), tie


def costs_of(
    chip: Chip,
    layer: Layer,
    counts: tuple[Ints, Reals],
    ports: dict[str, Ports],
    pe: PEEstimate,
    filters: Any,
    passes: Any,
) -> Costs:
    """Costs of n cases of a layer.

    Parameters
    ----------
    counts : accesses that happen, (n, S, D, A), and energies of the hardware levels, (n, H), as in
        `BatchCounts`
    ports : by kind of words
    pe : of the n cases
    filters, passes : (n,) or numbers: filters that a PE keeps, and how often it gets new weights
    """
    actual, level_pj = counts
    by_level = {
        level: {d.name: actual[:, s, v] for v, d in enumerate(layer.shape.dataspaces)}
        for s, level in enumerate(LEVELS[::-1])
    }
    words: dict[str, Reals] = {}
    time: dict[str, Reals] = {}
    stored = {role: _stored(chip, pe, ports, role, words_per_nonzero) for role in OPERANDS}
    for role, dataspace in ROLES.items():
        moved = by_level[_LEAVES_FROM[role]][dataspace].astype(np.float64)
        words[role] = moved[:, READ] + moved[:, UPDATE] if role == "psum" else moved[:, READ] * stored[role]
        half = 2.0 if role == "psum" else 1.0  # psums enter and leave through separate ports
        time[role] = words[role] / half / ports[role].words_per_cycle
    time["weight"] = loading(chip.spec, words["weight"], passes, ports["weight"].words_per_cycle)
    time["PE"] = (
        pe.cycles + handing_over(chip, pe, filters) + passes * chip.spec.pe.fill_cycles + time["weight"]
    )
    dram_parts, as_widest = (_dram_bytes(chip, by_level[DRAM], ports, given) for given in (stored, None))
    dram_bytes, as_wide_as_widest = (
        np.sum(list(parts.values()), axis=0) for parts in (dram_parts, as_widest)
    )
    time["DRAM"] = np.zeros_like(dram_bytes)
    if chip.spec.dram_gb_per_s is not None:
        time["DRAM"] = dram_bytes / (1000.0 * chip.spec.dram_gb_per_s / chip.spec.clock_mhz)
    if chip.spec.filter_link is not None:
        time[LINK] = waiting(chip.spec, words["weight"], passes)
    total = np.max(list(together(time).values()), axis=0) + time["DRAM"]
    if not (total <= MAX_COUNT).all():  # also refuses nan
        raise SpecError(
            f"cycles must be at most {MAX_COUNT:.3g}, got {total.max():.3g}", path=f"layer {layer.name}"
        )
    cycles = np.ceil(total)
    energy = {level: level_pj[:, s + 1] for s, level in enumerate(LEVELS[::-1]) if KEPT[level]}
    dram_pj = energy.pop(DRAM) * dram_bytes / as_wide_as_widest
    energy[WEIGHT_SPAD] = energy[WEIGHT_SPAD] * _stored(chip, pe, ports, "weight", pairs_per_nonzero)
    energy[IACT_GLB] = energy[IACT_GLB] * stored["iact"]
    energy[COMPUTE] = level_pj[:, 0]
    energy[NOC] = _added([words[role] * ports[role].energy_pj_per_word for role in ROLES])
    energy[ADDRESSES] = _addresses(chip, pe)
    energy[CLOCK] = cycles * chip.spec.clock_pj_per_cycle
    energy[CONTROL] = pe.busy_cycles * chip.spec.control_pj_per_pe_cycle
    return Costs(words, time, cycles, energy, dram_pj, dram_parts)


def together(time: dict[str, Any]) -> dict[str, Any]:
    """Return the cycles of the parts that work at the same time; with those of loading filters, if nothing
    else moves meanwhile.
    """
    loading = time["weight"] if LINK in time else 0.0
    return {part: time[part] + (0.0 if part == "PE" else loading) for part in OVERLAPPING if part in time}


def handing_over(chip: Chip, pe: PEEstimate, filters: Any) -> Any:
    """Cycles in which psums are added to what comes from the PE below: the adders are those of the MACs, so
    that every psum takes a slot at the end of its window. The first ones wait for the last MAC of the window
    if all filters fit a word.
    """
    words = np.ceil(np.asarray(filters) / chip.spec.pe.simd_width)
    return pe.passes * (words + (words == 1) * (chip.spec.pe.accumulate_cycles - 1))


def _addresses(chip: Chip, pe: PEEstimate) -> Reals:
    """Return the reads of the address spads, which are written as rarely as weights and iacts arrive."""
    actions = chip.energy.actions if chip.energy else {}
    reads = {"iact": pe.accesses.iact_address_reads, "weight": pe.accesses.weight_address_reads}
    priced = [
        n * actions[ADDRESS_SPADS[role]]["read"]
        for role, n in reads.items()
        if ADDRESS_SPADS[role] in actions
    ]
    return _added(priced) if priced else np.zeros_like(pe.busy_cycles)


def _stored(chip: Chip, pe: PEEstimate, ports: dict[str, Ports], role: str, per_nonzero: Any) -> Reals:
    """Return what a word of an operand that the model counts takes, by one of the rules of `csc_words`."""
    return np.where(ports[role].compressed, per_nonzero(chip.spec.pe, pe, role), 1.0)


def _dram_bytes(
    chip: Chip, moved: dict[str, Ints], ports: dict[str, Ports], stored: dict[str, Reals] | None
) -> dict[str, Reals]:
    """Return the off-chip traffic by kind, as words are `stored`, or without it as wide as the widest."""
    word_bits = chip.architecture.storage[0].word_bits
    found = {}
    for role, dataspace in ROLES.items():
        words = moved[dataspace][:, [READ, FILL, UPDATE]].sum(axis=1)
        width = word_bits if stored is None else ports[role].dram_bits * stored.get(role, 1.0)
        found[role] = words * width / 8
    return found


def _added(parts: Sequence[Reals]) -> Reals:
    """Return sums that do not depend on the order of the parts."""
    rows = np.stack(np.broadcast_arrays(*map(np.atleast_1d, parts)), axis=-1)
    return np.array([math.fsum(row) for row in rows.tolist()])
