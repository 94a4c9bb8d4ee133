"""A sparse PE that really steps through its cycles, with a queue of columns, and an array of them."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sparsim.machines.eyeriss.pe.conv_tiling import Accesses, Conv, Tiling
from sparsim.records.pe_spec import SparsePE

NONE = Accesses(*[0] * len(Accesses._fields))


class Tile(NamedTuple):
    """What one PE does in one pass."""

    iacts: list[np.ndarray]  # per output row the (C0, columns) it needs
    weights: np.ndarray  # (M0, C0, S)
    windows: int  # of a row
    stride: int


class Step(NamedTuple):
    """What the fetch pipeline settles in one cycle."""

    words: tuple[frozenset[int], ...]  # of the column: which filters are in each
    macs: int
    on: bool  # a nonzero iact
    window: tuple[int, int]


def stored(column: Sequence[bool], pe: SparsePE) -> list[int | None]:
    """Entries of one column of weights, the filters of its nonzeros; None: an explicit zero."""
    if not pe.skips_zero_weights:
        return list(range(len(column)))
    found: list[int | None] = []
    zeros = 0
    for number, nonzero in enumerate(column):
        if nonzero:
            found.append(number)
            zeros = 0
        else:
            zeros += 1
            if zeros == pe.longest_run:  # written only if a nonzero follows
                found.append(None)
                zeros = 0
    while found and found[-1] is None:
        found.pop()
    return found


def words_of(entries: list[int | None], pe: SparsePE) -> tuple[frozenset[int], ...]:
    starts = range(0, len(entries), pe.simd_width)
    return tuple(frozenset(e for e in entries[at : at + pe.simd_width] if e is not None) for at in starts)


def steps(pe: SparsePE, tile: Tile) -> Iterator[Step]:
    _, c0, width = tile.weights.shape
    segment = min(width, tile.stride)
    for y, row in enumerate(tile.iacts):
        for window in range(tile.windows):
            for begin in range(0, width, segment):
                inside = [
                    (c, s)
                    for s in range(begin, min(begin + segment, width))
                    for c in range(c0)
                    if row[c, window * tile.stride + s] or not pe.skips_zero_iacts
                ]
                for c, s in inside:
                    entries = stored(list(tile.weights[:, c, s]), pe)
                    on = bool(row[c, window * tile.stride + s])
                    macs = sum(entry is not None for entry in entries) if on else 0
                    yield Step(words_of(entries, pe), macs, on, (y, window))
                if not inside:
                    yield Step((), 0, False, (y, window))


def cycles(pe: SparsePE, tile: Tile) -> int:
    """One cycle after the other: the MACs take a word of what waits, unless a psum that it needs was not
    written yet, then the fetch pipeline hands over if there is room.
    """
    todo = collections.deque(steps(pe, tile))
    if pe.pipeline_stages == 0:
        return sum(len(step.words) for step in todo)
    waiting: collections.deque[Step] = collections.deque()
    left: collections.deque[frozenset[int]] = collections.deque()
    written: dict[int, int] = {}  # the cycle in which each psum of the window may be read again
    cycle, last, window, on = 0, 0, (0, 0), False
    while todo or waiting or left:
        if not left and waiting:
            step = waiting[0]
            if step.window != window:
                written, window = {}, step.window
            needs = step.words[0] if step.on else ()
            if all(written.get(psum, 0) <= cycle for psum in needs):
                left, on = collections.deque(step.words), step.on
                waiting.popleft()
        if left:
            word = left.popleft()
            if on:
                written |= dict.fromkeys(word, cycle + pe.accumulate_cycles)
            last = cycle  # one cycle later than if there were no stage between
        if todo and (not todo[0].words or len(waiting) < pe.lookahead_columns):
            step = todo.popleft()
            if step.words:
                waiting.append(step)
            last = max(last, cycle + 1)
        cycle += 1
    return last + pe.pipeline_stages - 1


def accesses(pe: SparsePE, tile: Tile) -> Accesses:
    m0, c0, width = tile.weights.shape
    done = list(steps(pe, tile))
    columns = {w * tile.stride + s for w in range(tile.windows) for s in range(width)}
    kept = [
        int(row[c, x]) if pe.skips_zero_iacts else 1 for row in tile.iacts for c in range(c0) for x in columns
    ]
    lengths = [
        -(-len(stored(list(tile.weights[:, c, s]), pe)) // pe.simd_width)
        for c in range(c0)
        for s in range(width)
    ]
    macs = sum(step.macs for step in done)
    of_window = -(-width // min(width, tile.stride))
    windows = tile.windows * len(tile.iacts)
    psums = macs + windows * m0
    read = sum(int(row[:, w * tile.stride + s].sum()) if pe.skips_zero_iacts else c0
               for row in tile.iacts for w in range(tile.windows) for s in range(width))  # fmt: skip
    return Accesses(
        iact_address_reads=of_window * windows if pe.skips_zero_iacts else 0,
        iact_address_writes=(of_window + tile.windows - 1) * len(tile.iacts) if pe.skips_zero_iacts else 0,
        iact_data_reads=read,
        iact_data_writes=sum(kept),
        weight_address_reads=2 * sum(step.on for step in done) if pe.skips_zero_weights else 0,
        weight_address_writes=len(lengths) if pe.skips_zero_weights else 0,
        weight_data_reads=sum(len(step.words) for step in done if step.on),
        weight_data_writes=sum(lengths),
        psum_reads=psums,
        psum_writes=psums,
    )


def tile_of(
    conv: Conv, tiling: Tiling, iacts: np.ndarray, weights: np.ndarray, index: Sequence[int]
) -> Tile | None:
    """The tile of one PE in one pass, by its index along G, M, C, R, P, Q; None if there is none."""
    g, m, c, r, p, q = index
    rows = range(p * tiling.P0, min(conv.P, (p + 1) * tiling.P0))
    windows = range(q * tiling.Q0, min(conv.Q, (q + 1) * tiling.Q0))
    filters = slice(m * tiling.M0, (m + 1) * tiling.M0)
    channels = slice(c * tiling.C0, (c + 1) * tiling.C0)
    if g >= conv.G or r >= conv.R or not rows or not windows:
        return None
    part = weights[g, filters, channels, r]
    if 0 in part.shape:
        return None
    held = [iacts[g, channels, row * conv.U + r, windows[0] * conv.U :] for row in rows]
    return Tile(held, part, len(windows), conv.U)


def run(
    pe: SparsePE, conv: Conv, tiling: Tiling, iacts: np.ndarray, weights: np.ndarray
) -> tuple[list[list[int]], Accesses]:
    """(cycles of every PE in every pass, accesses of all)."""
    sizes = (conv.G, conv.M, conv.C, conv.R, conv.P, conv.Q)
    tile = (1, tiling.M0, tiling.C0, 1, tiling.P0, tiling.Q0)
    split = tiling[4:]
    passes = [range(-(-n // (t * p))) for n, t, p in zip(sizes, tile, split, strict=True)]
    found, total = [], NONE
    for p in itertools.product(*passes):
        found.append([])
        for k in itertools.product(*map(range, split)):
            index = [i * n + j for i, n, j in zip(p, split, k, strict=True)]
            one = tile_of(conv, tiling, iacts, weights, index)
            found[-1].append(cycles(pe, one) if one else 0)
            if one:
                total = Accesses(*(a + b for a, b in zip(total, accesses(pe, one), strict=True)))
    return found, total
