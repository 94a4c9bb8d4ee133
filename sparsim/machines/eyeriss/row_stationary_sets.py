"""Row-stationary mappings of Eyeriss v1: sets of PEs on the array, their costs in closed form, their nests.

A set has a PE for each pair of a filter row and an output row (Chen, Krishna, Emer, Sze: Eyeriss, JSSC 52(1)
2017, sections III and V). The parameters are configured once for a layer, so that every pass takes as long as
a full one. The energies that the search compares are in units of a MAC.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from sparsim.errors import MappingError
from sparsim.machines.eyeriss.chip import DRAM, IACT_GLB, PSUM_GLB, PSUM_SPAD, WEIGHT_SPAD, Chip
from sparsim.machines.eyeriss.compression import ROLES, dram_bits
from sparsim.machines.eyeriss.conv_dims import CONV_DIMS, ConvDims, conv_dims
from sparsim.machines.eyeriss.filter_loading import loading, waiting
from sparsim.machines.eyeriss.row_stationary_nest import LANES, PLACES, Nests, tightened
from sparsim.records import Layer, macs

# energy of an access relative to a MAC: Chen, Emer, Sze: Eyeriss, ISCA 2016, normalised costs of 16-bit words
SPAD_COST, PE_COST, GLB_COST, DRAM_COST = 1.0, 2.0, 6.0, 200.0
SPAD_ACCESSES = 4  # of a MAC: filter, iact, and psum in and out


class Sets(NamedTuple):
    """The parameters of `RowStationary`, numbers or arrays that broadcast; `f`: output columns of a pass."""

    m: Any
    n: Any
    e: Any
    p: Any
    q: Any
    r: Any
    t: Any
    g: Any
    f: Any


class SetCosts(NamedTuple):
    """Costs of `Sets`, in their common shape."""

    fits: Any  # whether PEs and banks hold what they must
    cycles: Any
    energy: Any  # in units of a MAC


class Traffic(NamedTuple):
    """Words that `Sets` move, and in how many passes."""

    passes: Any
    weights: Any  # from the DRAM to the PEs
    fetched: Any  # iacts from the DRAM to the GLB
    iacts: Any  # from the GLB to the PEs
    psums: Any  # between GLB and PEs, in each direction
    outputs: Any  # to the DRAM


class Strips(NamedTuple):
    """Rows of the array that a set takes, and how filter and output rows are divided."""

    filter_rows: Any  # of a set
    filter_parts: Any  # passes over the filter rows, more than one if the array has fewer rows
    pieces: Any  # pieces of a set, one above the other
    columns: Any  # of a piece


def strips_of(chip: Chip, dims: ConvDims, e: Any) -> Strips:
    """Return how sets with `e` output rows are cut to the width of the array."""
    axes, rows = chip.spec.noc.axes, dims.bounds.get("R", 1)
    parts = -(-rows // axes["pe_rows"])
    pieces = -(-e // axes["pe_columns"])
    return Strips(-(-rows // parts), parts, pieces, -(-e // pieces))


def banks_of(chip: Chip, iact_words: Any, psum_words: Any) -> Any:
    """Return the banks that words of iacts and psums take; 0 for a chip without common banks."""
    banks, bits = chip.spec.glb_banks, {level.name: level.word_bits for level in chip.architecture.storage}
    if banks is None:
        return 0
    size = 8 * banks.bank_bytes
    return -(-iact_words * bits[IACT_GLB] // size) + -(-psum_words * bits[PSUM_GLB] // size)


def check_banks(chip: Chip, layer: Layer, sets: Sets) -> None:
    """Check that a mapping fits the banks that iacts and psums have in common. Raises MappingError."""
    if chip.spec.glb_banks is None:
        return
    dims = conv_dims(layer)
    held = _held(dims, strips_of(chip, dims, sets.e), sets, sets.e)
    need, have = banks_of(chip, held[IACT_GLB], held[PSUM_GLB]), chip.spec.glb_banks.number
    if need > have:
        raise MappingError(
            f"layer {layer.name}: iacts of n={sets.n} images and psums of m={sets.m} filters must fit the "
            f"{have} banks of the global buffer of {chip.name}, got {need} banks",
            level=IACT_GLB, need=need, have=have,
        )  # fmt: skip


def _rounds(dims: ConvDims, cut: Strips, sets: Sets) -> tuple[Any, Any]:
    """Return the passes over filters, and over channels and filter rows, of the same outputs."""
    filters = -(-dims.bounds.get("M", 1) // sets.m) * -(-sets.m // (sets.p * sets.t))
    return filters, -(-dims.bounds.get("C", 1) // (sets.q * sets.r)) * cut.filter_parts


def traffic_of(dims: ConvDims, cut: Strips, sets: Sets) -> Traffic:
    """Return the words that row-stationary mappings move; the last strip and the last columns have fewer of
    them.

    Every pass reads its iacts once from the GLB, and its psums once in each direction.
    """
    G, N, M, C, R, S, P, Q = (dims.bounds.get(dim, 1) for dim in "GNMCRSPQ")
    m, n, e, _, _, _, _, g, f = sets
    filters, channels = _rounds(dims, cut, sets)
    strips, parts, images = -(-P // e), -(-Q // f), -(-N // n)
    outputs = float(G * N * M) * P * Q
    down, right = (np.minimum(dims.stride, size) for size in (cut.filter_rows, S))  # new words of a window
    rows = ((P - strips) * down + strips * cut.filter_rows) * cut.filter_parts
    iacts = float(G * N * C) * rows * ((Q - parts) * right + parts * S)
    again = np.where(filters * channels > 1, images * strips * parts, 1)  # else PEs keep their filters
    blocks = np.where(channels > 1, -(-M // m), 1)  # else the GLB keeps its iacts
    return Traffic(
        passes=-(-G // g) * images * filters * channels * strips * parts,
        weights=float(G * M * C) * R * S * again,
        fetched=iacts * blocks,
        iacts=iacts * filters,
        psums=outputs * channels,
        outputs=outputs,
    )


def set_costs(chip: Chip, layer: Layer, sets: Sets) -> SetCosts:
    """Return the costs of row-stationary mappings of a layer in closed form.

    A pass takes the longest of the PEs (MACs, and a cycle for each psum that is handed over), of the iacts
    and of the psums, and then the time in which filters are loaded.
    """
    dims, spec = conv_dims(layer), chip.spec
    cut = strips_of(chip, dims, sets.e)
    G, N, S, P, Q = (dims.bounds.get(dim, 1) for dim in "GNSPQ")
    moved = traffic_of(dims, cut, sets)
    filters, channels = _rounds(dims, cut, sets)
    rate = {role: spec.noc.network(role).words_per_port(compressed=False) for role in ROLES}
    busy = -(-G // sets.g) * -(-P // sets.e) * filters * channels * float(N * Q) * sets.p * (sets.q * S + 1)
    longest = np.maximum(busy, np.maximum(moved.iacts / rate["iact"], moved.psums / rate["psum"]))
    cycles = np.maximum(longest, waiting(spec, moved.weights, moved.passes))
    cycles = cycles + loading(spec, moved.weights, moved.passes, rate["weight"])

    bits = {role: dram_bits(chip, role, False, layer.density(name).density) for role, name in ROLES.items()}
    off_chip = moved.weights * bits["weight"] + moved.fetched * bits["iact"] + moved.outputs * bits["psum"]
    energy = DRAM_COST * off_chip / spec.pe.value_bits
    energy = energy + GLB_COST * (moved.fetched + moved.iacts + 2 * moved.psums)
    energy = energy + PE_COST * moved.psums * cut.filter_rows * sets.r
    energy = energy + SPAD_COST * SPAD_ACCESSES * float(macs(layer))
    return SetCosts(_fits(chip, dims, cut, sets), cycles, energy)


def _fits(chip: Chip, dims: ConvDims, cut: Strips, sets: Sets) -> Any:
    """Return whether the spads of PEs and the GLB hold a pass, and psums of `m` filters."""
    pe, banks, columns = chip.spec.pe, chip.spec.glb_banks, dims.bounds.get("S", 1)
    fits = (sets.p <= pe.psum.words) & (sets.q * columns <= pe.iact_data.words)
    fits = fits & (sets.p * sets.q * columns <= pe.weight_data.words * pe.simd_width)
    padded = _held(dims, cut, sets, cut.pieces * cut.columns)  # as the model counts it
    for level in chip.architecture.storage:
        if level.name in padded and level.size_words is not None:
            fits = fits & (padded[level.name] <= level.size_words)
    if banks is not None:
        held = _held(dims, cut, sets, sets.e)
        fits = fits & (banks_of(chip, held[IACT_GLB], held[PSUM_GLB]) <= banks.number)
    return fits


def _held(dims: ConvDims, cut: Strips, sets: Sets, rows: Any) -> dict[str, Any]:
    """Return the words of iacts and psums in the GLB for strips of `rows` output rows."""
    height = (rows - 1) * dims.stride + cut.filter_rows
    width = (sets.f - 1) * dims.stride + dims.bounds.get("S", 1)
    at_once = sets.p * sets.t
    return {
        IACT_GLB: sets.n * sets.g * sets.q * sets.r * height * width,
        PSUM_GLB: sets.n * sets.g * -(-sets.m // at_once) * at_once * rows * sets.f,
    }


def placed(chip: Chip, dims: ConvDims, sets: Sets) -> dict[str, tuple[int, int]] | None:
    """Return over how many places below and beside each other sets are spread, for the dims G, C and M; None
    if the array has too few places. Sets for different channels add up their psums along columns.
    """
    axes, cut = chip.spec.noc.axes, strips_of(chip, dims, sets.e)
    below = axes["pe_rows"] // (cut.filter_rows * cut.pieces)
    beside = axes["pe_columns"] // cut.columns
    if cut.pieces > 1:
        beside = 1
    ways = [[(a, n // a) for a in range(1, n + 1) if n % a == 0] for n in (sets.g, sets.t)]
    for g, t in itertools.product(*ways):
        if g[0] * sets.r * t[0] <= below and g[1] * t[1] <= beside:
            return {"G": g, "C": (sets.r, 1), "M": t}
    return None


def set_nests(chip: Chip, layer: Layer, sets: Sets) -> Nests | None:
    """Return the loop nest of one mapping; None if its sets have no place on the array."""
    dims = conv_dims(layer)
    bound = {dim: dims.bounds.get(dim, 1) for dim in CONV_DIMS}
    places = placed(chip, dims, sets)
    if places is None:
        return None
    cut = strips_of(chip, dims, sets.e)
    factor = np.ones((1, len(PLACES), len(CONV_DIMS)), np.int64)

    def put(place: str, **factors: int) -> None:
        for dim, by in factors.items():
            factor[0, PLACES.index(place), CONV_DIMS.index(dim)] = by

    below, beside = ({dim: where[i] for dim, where in places.items()} for i in (0, 1))
    put("pe_rows", R=cut.filter_rows, P=cut.pieces, **below)
    put("pe_columns", P=cut.columns, **beside)
    lanes = min(chip.spec.pe.simd_width, sets.p)
    put(LANES, M=lanes)
    put(PSUM_SPAD, M=-(-sets.p // lanes), C=sets.q, S=bound["S"])
    put(WEIGHT_SPAD, N=sets.n, Q=sets.f)
    filters = -(-sets.m // (sets.p * sets.t))
    put(PSUM_GLB, C=-(-bound["C"] // (sets.q * sets.r)), R=cut.filter_parts, M=filters)
    put(DRAM, G=-(-bound["G"] // sets.g), N=-(-bound["N"] // sets.n), P=-(-bound["P"] // sets.e),
        Q=-(-bound["Q"] // sets.f), M=-(-bound["M"] // (filters * sets.p * sets.t)))  # fmt: skip
    return Nests(dims, tightened(factor, np.array([bound[dim] for dim in CONV_DIMS])))
