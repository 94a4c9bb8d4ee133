"""The cycle-level twin of the PEs of Eyeriss v2, which process real masks."""

import math
from typing import NamedTuple

import numpy as np

from sparsim.errors import MappingError, SpecError
from sparsim.machines.eyeriss.pe.conv_tiling import Accesses, Conv, Tiling, check_positive
from sparsim.machines.eyeriss.pe.csc import Bools, Columns, Ints, compressed_columns
from sparsim.machines.eyeriss.pe.kernels.pe_passes import run_passes
from sparsim.machines.eyeriss.pe.spad_capacity import limits
from sparsim.records.pe_spec import SparsePE


class ArrayRun(NamedTuple):
    """Cycles and counts of a layer on an array of PEs."""

    pe_cycles: Ints  # (passes, PEs) 0: no work
    busy_cycles: int  # cycles of all PEs in which the MACs have a column
    macs: int  # products of a nonzero iact and a weight, a nonzero one where zero weights are skipped
    gated_macs: int  # idle MAC slots of busy cycles
    accesses: Accesses

    @property
    def pass_cycles(self) -> Ints:
        """Return the cycles of every pass, which are those of its slowest PE."""
        slowest: Ints = self.pe_cycles.max(axis=1)
        return slowest

    @property
    def cycles(self) -> int:
        return int(self.pass_cycles.sum())

    @property
    def load_balance(self) -> float:
        """Return the mean cycles of all PEs, including those without work, divided by those of the
        slowest.
        """
        return float(self.pe_cycles.mean(axis=1).sum() / self.cycles) if self.cycles else 1.0

    @property
    def simd_efficiency(self) -> float:
        """Return the share of the MAC slots of busy cycles that is not gated."""
        slots = self.macs + self.gated_macs
        return self.macs / slots if slots else 1.0


def run_array(
    pe: SparsePE, conv: Conv, tiling: Tiling, iacts: Bools, weights: Bools, *, limited: bool = True
) -> ArrayRun:
    """A layer on an array of PEs: `iacts` (G, C, (P-1)*U+R, (Q-1)*U+S), `weights` (G, M, C, R, S), nonzeros.

    Raises SpecError for impossible sizes and masks of other shapes, MappingError for a tile that a spad
    cannot hold; `limited=False` takes spads for endless.
    """
    check_positive(conv)
    check_positive(tiling)
    sizes = [int(n) for n in (conv.G, conv.M, conv.C, conv.R, conv.P, conv.Q)]
    tile = [1, int(tiling.M0), int(tiling.C0), 1, int(tiling.P0), int(tiling.Q0)]
    split = [int(n) for n in tiling[4:]]
    iacts, weights = _checked_masks(conv, iacts, weights)
    columns = _columns(pe, weights, tile[1])
    words = -(-columns.pairs // pe.simd_width)
    if limited:
        _check_spads(pe, conv, tiling, words, tile[2])
    passes = math.prod(-(-n // (t * p)) for n, t, p in zip(sizes, tile, split, strict=True))
    cycles = np.zeros((passes, math.prod(split)), np.int64)
    counts = np.zeros(2 + len(Accesses._fields), np.int64)
    flags = (
        pe.skips_zero_iacts, pe.skips_zero_weights, pe.pipeline_stages, pe.lookahead_columns,
        pe.accumulate_cycles,
    )  # fmt: skip
    run_passes(
        iacts.astype(np.int64, order="C"), words, columns.nonzeros, columns.filters, int(conv.U),
        *(np.array(x, np.int64) for x in (sizes, tile, split, flags)),
        np.zeros(pe.lookahead_columns, np.int64), cycles, counts,
    )  # fmt: skip
    busy, macs, *accesses = counts.tolist()
    return ArrayRun(cycles, busy, macs, busy * pe.simd_width - macs, Accesses(*accesses))


def _checked_masks(conv: Conv, iacts: Bools, weights: Bools) -> tuple[Bools, Bools]:
    rows = (int(conv.P) - 1) * int(conv.U) + int(conv.R)
    columns = (int(conv.Q) - 1) * int(conv.U) + int(conv.S)
    need = {
        "iacts": (iacts, (conv.G, conv.C, rows, columns)),
        "weights": (weights, (conv.G, conv.M, conv.C, conv.R, conv.S)),
    }
    for name, (mask, shape) in need.items():
        if np.shape(mask) != shape:
            raise SpecError(
                f"the mask must have the shape {shape} of the tensor, got {np.shape(mask)}", path=name
            )
    return np.asarray(iacts) != 0, np.asarray(weights) != 0


def _columns(pe: SparsePE, weights: Bools, m0: int) -> Columns:
    """Return the columns per group, filter tile, channel, filter row and column."""
    tiles = []
    for first in range(0, weights.shape[1], m0):
        tile = np.moveaxis(weights[:, first : first + m0], 1, -1)
        stored = tile if pe.skips_zero_weights else np.ones_like(tile)
        tiles.append(compressed_columns(stored, pe.count_bits, pe.simd_width))
    return Columns(*(np.ascontiguousarray(np.stack(each, axis=1)) for each in zip(*tiles, strict=True)))


def _check_spads(pe: SparsePE, conv: Conv, tiling: Tiling, words: Ints, c0: int) -> None:
    starts = range(0, words.shape[2], c0)
    weights = max(int(words[:, :, c : c + c0].sum(axis=(2, 4)).max()) for c in starts)
    for name, need, have in [
        *limits(pe, conv, tiling),
        ("weight_data", np.int64(weights), pe.weight_data.words),
    ]:
        if int(need) > have:
            raise MappingError(
                f"{name} of PE {pe.name} has {have} words, but the tile needs {need}",
                level=name,
                need=float(need),
                have=float(have),
            )
