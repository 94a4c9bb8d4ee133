"""A layer on the sets of Eyeriss v1, pass by pass, as one would run it."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from sparsim.machines.eyeriss import Chip
from sparsim.machines.eyeriss.conv_dims import conv_dims
from sparsim.records import Layer
from sparsim.records.row_stationary import RowStationary


class Run(NamedTuple):
    passes: int
    cycles: float
    weights: int  # words from the DRAM to the PEs
    fetched: int  # iacts from the DRAM to the GLB
    iacts: int  # from the GLB to the PEs
    psums: int  # from the PEs to the GLB
    outputs: int


def blocks(size: int, step: int) -> list[range]:
    return [range(at, min(at + step, size)) for at in range(0, size, step)]


def run(chip: Chip, layer: Layer, x: RowStationary) -> Run:
    """All passes, outermost first: groups, images, strips, filters in the GLB, channels, filters at once."""
    dims, spec = conv_dims(layer), chip.spec
    G, N, M, C, R, S, P, Q = (dims.bounds[dim] for dim in "GNMCRSPQ")
    width, value_bytes = (
        len({q * dims.stride + s for q in range(Q) for s in range(S)}),
        spec.pe.value_bits / 8,
    )
    assert spec.noc.axes["pe_rows"] >= R
    ports = {role: spec.noc.network(role).raw_words for role in ("iact", "weight", "psum")}
    passes = weights = fetched = iacts = psums = 0
    working, held, kept = 0.0, None, None
    outermost = itertools.product(blocks(G, x.g), blocks(N, x.n), blocks(P, x.e), blocks(M, x.m))
    for g, n, strip, in_glb in outermost:
        rows = {row * dims.stride + r for row in strip for r in range(R)}
        for c in blocks(C, x.q * x.r):
            if (g, n, strip, c) != held:  # the GLB keeps the iacts of one pass
                fetched += len(g) * len(n) * len(c) * len(rows) * width
                held = (g, n, strip, c)
            for at in blocks(len(in_glb), x.p * x.t):
                m = in_glb[at.start : at.stop]
                passes += 1
                if (g, m, c) != kept:  # PEs keep the filters of one pass
                    weights += len(g) * len(m) * len(c) * R * S
                    kept = (g, m, c)
                iacts += len(g) * len(n) * len(c) * len(rows) * width
                psums += len(g) * len(n) * len(m) * len(strip) * Q
                working += len(n) * Q * x.p * (x.q * S + 1)  # the parameters hold for all passes
    moving_in, moving_out = iacts / ports["iact"], psums / ports["psum"]
    loads = [weights * value_bytes / passes] * passes  # the same in every pass
    link = spec.filter_link
    assert link is not None
    per_cycle = link.gb_per_s * 1000 / spec.clock_mhz
    prefetched = [min(load, link.prefetch_bytes) for load in loads]
    loading = sum(
        early / value_bytes / ports["weight"] + (load - early) / per_cycle
        for early, load in zip(prefetched, loads, strict=True)
    )
    longest = max(working, moving_in, moving_out, sum(prefetched) / per_cycle)
    return Run(passes, math.ceil(longest + loading - 1e-6), weights, fetched, iacts, psums, G * N * M * P * Q)


def run_length_bits(values: list[bool], run_bits: int, pairs: int, word_bits: int) -> float:
    """The bits of values of which only the nonzeros are marked, in pairs of a run of zeros and a value."""
    number, zeros, most = 0, 0, 2**run_bits - 1
    for nonzero in values:
        if nonzero or zeros == most:
            number, zeros = number + 1, 0
        else:
            zeros += 1
    return number / pairs * word_bits
