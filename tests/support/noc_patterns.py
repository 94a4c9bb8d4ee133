"""Small networks on chip and patterns for them, and the layers of the Eyeriss v2 paper as spatial loops."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
from hypothesis import strategies as st
from msgspec.structs import replace

from sparsim.machines.eyeriss.noc import Noc, SpatialLoop
from sparsim.machines.eyeriss.noc.traffic_pattern import IDLE, Groups
from sparsim.records.noc_spec import Mesh
from support.published_nocs import eyeriss_v1_noc, eyeriss_v2_noc

DIMS = "MCP"


def _with_mesh(noc: Noc, mesh: Mesh) -> Noc:
    networks = (replace(noc.networks[0], mesh=mesh), *noc.networks[1:])
    return replace(noc, networks=networks)


nocs = st.builds(
    _with_mesh,
    st.builds(
        eyeriss_v2_noc,
        clusters=st.tuples(st.integers(1, 4), st.integers(1, 3)),
        pe_rows=st.integers(1, 3),
        pe_columns=st.integers(1, 3),
    ),
    st.sampled_from(get_args(Mesh)),
) | st.builds(eyeriss_v1_noc, st.integers(1, 3), st.integers(1, 4))


@st.composite
def loops_for(draw: st.DrawFn, noc: Noc) -> list[SpatialLoop]:
    """Up to two loops per axis, in any order across axes."""
    loops = []
    for axis, size in noc.axes.items():
        outer = draw(st.integers(1, size))
        inner = draw(st.integers(1, size // outer))
        for bound in (outer, inner):
            loops.append(SpatialLoop(dim=draw(st.sampled_from(DIMS)), bound=bound, axis=axis))
    order = draw(st.permutations(range(4)))
    return [loop for k in order for loop in loops[2 * k : 2 * k + 2]]


coordinates = st.lists(
    st.sampled_from(DIMS) | st.dictionaries(st.sampled_from(DIMS), st.integers(1, 3), min_size=1), max_size=3
)


@st.composite
def any_pattern(draw: st.DrawFn, noc: Noc) -> Groups:
    """Any partition of any PEs into groups, also such that no loops make."""
    shape = tuple(noc.axes.values())
    raw = draw(st.lists(st.integers(IDLE, 4), min_size=noc.pes, max_size=noc.pes))
    pattern = np.array([0, *raw[1:]] if max(raw) == IDLE else raw)
    busy = pattern != IDLE
    pattern[busy] = np.unique(pattern[busy], return_inverse=True)[1]
    return pattern.reshape(shape).astype(np.int64)


def loops(
    noc: Noc, cluster_rows: str, cluster_columns: str, pe_rows: str, pe_columns: str
) -> list[SpatialLoop]:
    """One dim over each whole axis."""
    dims = (cluster_rows, cluster_columns, pe_rows, pe_columns)
    return [
        SpatialLoop(dim=dim, bound=size, axis=axis)
        for dim, (axis, size) in zip(dims, noc.axes.items(), strict=True)
    ]


def peak_bits_per_cycle(noc: Noc, role: str) -> int:
    """What all GLB ports of the network move together."""
    network = noc.network(role)
    return math.prod(noc.clusters) * network.routers_per_cluster * network.port_bits
