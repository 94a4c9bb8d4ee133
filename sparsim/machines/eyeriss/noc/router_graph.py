"""The wires of one router network as a graph.

Nodes: ("glb", row, column, i) is the GLB port of router i of a cluster, ("router", row, column, i) the
router, ("pe", row, column, PE row, PE column) a PE. Node attributes: kind, cluster_row, cluster_column,
index (router number; PEs have pe_row and pe_column). Edge attributes: capacity (bits per cycle) and
length_um.

Geometry: a cluster is its PEs, squares of one pitch, with the GLB and router clusters on their left. A
router reaches its PEs over a bus, of which each edge to a PE is the segment that ends there: a word drives
all of them, whichever PEs take it. Partial sums enter a PE column at its bottom (the last PE row), go up
from PE to PE and come back to the router, which passes them to the GLB or to the router below.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import networkx as nx

from sparsim.records.noc_spec import Noc, RouterNetwork

Node = tuple[str | int, ...]
Edge = tuple[Node, Node]
Cluster = tuple[int, int]


@functools.lru_cache(maxsize=16)
def build_graph(noc: Noc, network: RouterNetwork) -> nx.DiGraph:
    """Return the graph of one network of `noc`. It is shared between calls and frozen: copy it to change
    it.
    """
    graph = nx.DiGraph()
    rows, columns = noc.clusters
    for row in range(rows):
        for column in range(columns):
            _add_cluster(graph, noc, network, (row, column))
    pitch_y, pitch_x = cluster_pitch_um(noc)
    for row in range(rows):
        for column in range(columns):
            for south, east in mesh_steps(network):
                if 0 <= row + south < rows and 0 <= column + east < columns:
                    length_um = abs(south) * pitch_y + abs(east) * pitch_x
                    for i in range(network.routers_per_cluster):
                        ends = router((row, column), i), router((row + south, column + east), i)
                        graph.add_edge(*ends, capacity=network.port_bits, length_um=length_um)
    return nx.freeze(graph)


class EdgeLimit(NamedTuple):
    capacity: float  # bits per cycle
    length_um: float


@functools.lru_cache(maxsize=16)
def edge_limits(noc: Noc, network: RouterNetwork) -> dict[Edge, EdgeLimit]:
    """Return the attributes of all edges of `build_graph`, for fast access."""
    return {(a, b): EdgeLimit(**limit) for a, b, limit in build_graph(noc, network).edges(data=True)}


def mesh_steps(network: RouterNetwork) -> tuple[Cluster, ...]:
    """Return (rows south, columns east) of the links that leave a router."""
    if network.role == "psum":
        return ((1, 0),) if network.mesh == "vertical" else ()
    vertical, horizontal = ((1, 0), (-1, 0)), ((0, 1), (0, -1))
    return {
        "two-dimensional": vertical + horizontal, "vertical": vertical, "horizontal": horizontal, "none": (),
    }[network.mesh]  # fmt: skip


def cluster_pitch_um(noc: Noc) -> tuple[float, float]:
    """Distance between clusters, (down a column, along a row)."""
    wiring = noc.wiring
    return (
        noc.pe_rows * wiring.pe_pitch_um,
        noc.pe_columns * wiring.pe_pitch_um + wiring.glb_pitch_um,
    )


def glb(cluster: Cluster, i: int) -> Node:
    return ("glb", *cluster, i)


def router(cluster: Cluster, i: int) -> Node:
    return ("router", *cluster, i)


def pe(cluster: Cluster, row: int, column: int) -> Node:
    return ("pe", *cluster, row, column)


def pe_bus(noc: Noc, network: RouterNetwork, cluster: Cluster, i: int) -> Iterator[tuple[Edge, float]]:
    """Yield the edges over which router i sends words to PEs, with their lengths in um."""
    pitch = noc.wiring.pe_pitch_um
    start = router(cluster, i)
    for row in [i] if network.pe_side == "row" else range(noc.pe_rows):
        for column in [i] if network.pe_side == "column" else range(noc.pe_columns):
            trunk = pitch if column == 0 and row > 0 and network.pe_side != "row" else 0.0
            yield (start, pe(cluster, row, column)), pitch + trunk


def psum_path(noc: Noc, cluster: Cluster, i: int, column: int) -> Iterator[tuple[Edge, float]]:
    """Yield the edges of a partial sum through PE column `column`: from router i to its bottom, up, and
    back.
    """
    pitch = noc.wiring.pe_pitch_um
    sideways = (column + 1) * pitch
    bottom = noc.pe_rows - 1
    yield (router(cluster, i), pe(cluster, bottom, column)), sideways
    for row in range(bottom, 0, -1):
        yield (pe(cluster, row, column), pe(cluster, row - 1, column)), pitch
    yield (pe(cluster, 0, column), router(cluster, i)), sideways


def psum_columns(noc: Noc, network: RouterNetwork, i: int) -> range:
    """Return the PE columns whose partial sums router i carries."""
    return range(i, i + 1) if network.pe_side == "column" else range(noc.pe_columns)


def _add_cluster(graph: nx.DiGraph, noc: Noc, network: RouterNetwork, cluster: Cluster) -> None:
    place = {"cluster_row": cluster[0], "cluster_column": cluster[1]}
    for row in range(noc.pe_rows):
        for column in range(noc.pe_columns):
            graph.add_node(pe(cluster, row, column), kind="pe", pe_row=row, pe_column=column, **place)
    to_glb_um = noc.wiring.glb_pitch_um / 2
    for i in range(network.routers_per_cluster):
        graph.add_node(glb(cluster, i), kind="glb", index=i, **place)
        graph.add_node(router(cluster, i), kind="router", index=i, **place)
        bits = network.port_bits
        graph.add_edge(glb(cluster, i), router(cluster, i), capacity=bits, length_um=to_glb_um)
        if network.role == "psum":
            graph.add_edge(router(cluster, i), glb(cluster, i), capacity=bits, length_um=to_glb_um)
            wires = (psum_path(noc, cluster, i, c) for c in psum_columns(noc, network, i))
            edges = [edge for wire in wires for edge in wire]
        else:
            edges = list(pe_bus(noc, network, cluster, i))
        for ends, length_um in edges:
            graph.add_edge(*ends, capacity=bits, length_um=length_um)
