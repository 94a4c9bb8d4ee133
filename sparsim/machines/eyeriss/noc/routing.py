"""Configurations of the routers for one pattern of groups.

Routers are muxes that are configured once per layer. Each mesh link, and each router's port to its PEs,
therefore carries the words of one GLB port. Clusters that are fed by the same GLB ports form a region; a
configuration of the network is a partition of the busy clusters into regions, with one tree of links per
region and router number.

Partitions tried: the pattern's own (clusters belong together if a group spans them), every cluster for
itself, cluster rows, cluster columns, and all together. Where the mesh does not connect a region it falls
apart, and a word has to be sent to each piece. Trees run along the row first or along the column first,
from the first or the last cluster of the region, whichever is free of other regions' links.

Simplifications: a PE listens to one router, so the words of one group pass one port, and groups are dealt to
the routers of a cluster; a tree reaches all clusters of its region, also for words that few of them take; all
router numbers use the same tree. A router without a mesh is a bus, whose words reach the rows of PEs that
want them.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import networkx as nx
import numpy as np

from sparsim.machines.eyeriss.noc.router_graph import (
    Cluster,
    Edge,
    glb,
    pe_bus,
    psum_columns,
    psum_path,
    router,
)
from sparsim.machines.eyeriss.noc.traffic_pattern import IDLE, Groups
from sparsim.records.noc_spec import Noc, RouterNetwork

Mode = Literal["unicast", "broadcast", "grouped multicast", "interleaved multicast", "accumulation", "bus"]
Region = tuple[Cluster, ...]
Links = tuple[tuple[Cluster, Cluster], ...]


class Route(NamedTuple):
    """The traffic of one GLB port: a word of each of `groups` in turn.

    Words go from the GLB of cluster `root` over `links` to `clusters`; partial sums go through `clusters` in
    this order and end in the GLB of `root`, and `pe_columns` has the PE column of each of their `groups`.
    Of a bus, `row_groups` has for each row of PEs how many of the groups have a PE there; empty stands for
    all.
    """

    router: int
    root: Cluster
    clusters: Region
    links: Links
    groups: tuple[int, ...]
    pe_columns: tuple[int, ...] = ()
    row_groups: tuple[int, ...] = ()


def configurations(noc: Noc, network: RouterNetwork, groups: Groups) -> Iterator[tuple[Mode, list[Route]]]:
    """Yield all feasible configurations of `network` for `groups`, each once, the pattern's own partition
    first.
    """
    seen = set()
    for partition in _partitions(groups):
        pieces = tuple(sorted(piece for region in partition for piece in _pieces(network, region)))
        if pieces in seen:
            continue
        seen.add(pieces)
        trees = _trees(network, pieces)
        if trees is not None:
            routes = [
                route
                for region, (root, links) in zip(pieces, trees, strict=True)
                for route in _routes(network, groups, region, root, links)
            ]
            yield _mode(noc, network, partition, pieces), routes


def edges(noc: Noc, network: RouterNetwork, route: Route) -> Iterator[tuple[Edge, int]]:
    """(edge of the graph, words on it when every group of the route gets one word)."""
    i, words = route.router, len(route.groups)
    for here, there in route.links:
        yield (router(here, i), router(there, i)), words
    if network.role != "psum":
        yield (glb(route.root, i), router(route.root, i)), words
        for cluster in route.clusters:
            for edge, _ in pe_bus(noc, network, cluster, i):
                if found := _words_of(edge, route):
                    yield edge, found
        return
    yield (router(route.root, i), glb(route.root, i)), words
    for k, cluster in enumerate(route.clusters):
        for column in psum_columns(noc, network, i):
            sums = route.pe_columns.count(column)
            path = [edge for edge, _ in psum_path(noc, cluster, i, column)]
            # the first one adds to the partial sums from its GLB
            for edge in path[0 if k else 1 :] if sums else ():
                yield edge, sums


def _words_of(edge: Edge, route: Route) -> int:
    """Return the words on an edge to a PE. On a bus, a row of PEs that no tag of a word matches is gated
    behind its first segment, in which all tags are compared (JSSC 52(1), 2017: X-buses and their Y-bus).
    """
    _, _, _, row, column = edge[1]
    return route.row_groups[int(row)] if route.row_groups and column else len(route.groups)


def _partitions(groups: Groups) -> Iterator[list[Region]]:
    busy = [(int(r), int(c)) for r, c in np.argwhere((groups != IDLE).any(axis=(2, 3)))]
    yield _own_partition(groups, busy)
    yield [(cluster,) for cluster in busy]
    for axis in (0, 1):
        lines = sorted({cluster[axis] for cluster in busy})
        yield [tuple(c for c in busy if c[axis] == line) for line in lines]
    yield [tuple(busy)]


def _own_partition(groups: Groups, busy: list[Cluster]) -> list[Region]:
    shares = nx.Graph()
    for cluster in busy:
        members = np.unique(groups[cluster])
        shares.add_edges_from((cluster, int(group)) for group in members[members != IDLE])
    regions = ([node for node in part if isinstance(node, tuple)] for part in nx.connected_components(shares))
    return sorted(tuple(sorted(region)) for region in regions)


def _pieces(network: RouterNetwork, region: Region) -> Iterable[Region]:
    """Return the parts of a region that the mesh connects."""
    if network.mesh == "two-dimensional":
        return [region]
    line = {"horizontal": 0, "vertical": 1}.get(network.mesh)
    if line is None:
        return [(cluster,) for cluster in region]
    lines = sorted({cluster[line] for cluster in region})
    return [tuple(c for c in region if c[line] == n) for n in lines]


def _mode(noc: Noc, network: RouterNetwork, partition: list[Region], pieces: tuple[Region, ...]) -> Mode:
    """Return the name of the mode, by the clusters that need the same words, even if the mesh connects only
    parts of them.
    """
    if noc.clusters == (1, 1):
        return "bus"
    if network.role == "psum":
        return "unicast" if all(len(piece) == 1 for piece in pieces) else "accumulation"
    if all(len(region) == 1 for region in partition):
        return "unicast"
    if len(partition) == 1:
        return "broadcast"
    in_order = sorted(partition)
    together = [cluster for region in in_order for cluster in region]
    return "grouped multicast" if together == sorted(together) else "interleaved multicast"


def _trees(network: RouterNetwork, pieces: Iterable[Region]) -> list[tuple[Cluster, Links]] | None:
    """Return root and links of each region, with no link used twice; None if regions conflict."""
    taken: set[tuple[Cluster, Cluster]] = set()
    trees = []
    for region in pieces:
        tree = next((t for t in _possible_trees(network, region) if taken.isdisjoint(t[1])), None)
        if tree is None:
            return None
        taken.update(tree[1])
        trees.append(tree)
    return trees


def _possible_trees(network: RouterNetwork, region: Region) -> Iterator[tuple[Cluster, Links]]:
    first, last = min(region), max(region)
    if network.role == "psum":
        yield last, _links(first, [last], along=0)
        return
    for root in (first, last):  # each of two interleaved regions on a line is fed from one end
        for along in (1, 0):
            yield root, _links(root, region, along)


def _links(root: Cluster, targets: Iterable[Cluster], along: int) -> Links:
    """Return the union of paths from `root` that go along coordinate `along` first, then along the other."""
    found: dict[tuple[Cluster, Cluster], None] = {}
    for target in targets:
        here = root
        for axis in (along, 1 - along):
            step = 1 if target[axis] > here[axis] else -1
            for at in (
                range(here[axis] + step, target[axis] + step, step) if target[axis] != here[axis] else ()
            ):
                there = (at, here[1]) if axis == 0 else (here[0], at)
                found[here, there] = None
                here = there
    return tuple(found)


def _routes(
    network: RouterNetwork, groups: Groups, region: Region, root: Cluster, links: Links
) -> Iterator[Route]:
    """Yield one route per router number that carries any words."""
    block = np.stack([groups[cluster] for cluster in region])  # (clusters, PE rows, PE columns)
    for i in range(network.routers_per_cluster):
        if network.role == "psum":
            columns = range(i, i + 1) if network.pe_side == "column" else range(block.shape[2])
            sums = [(group, c) for c in columns for group in _members(block[:, :, c])]
            mine = sums if network.pe_side == "column" else sums[i :: network.routers_per_cluster]
            if mine:
                carried, pe_columns = zip(*mine, strict=True)
                yield Route(i, root, region, links, carried, pe_columns)
            continue
        rows: tuple[int, ...] = ()
        if network.pe_side == "all":
            carried = tuple(_members(block)[i :: network.routers_per_cluster])
            if network.mesh == "none":
                members = (_members(block[:, row]) for row in range(block.shape[1]))
                rows = tuple(len(set(carried).intersection(row)) for row in members)
        else:
            carried = tuple(_members(block[:, i] if network.pe_side == "row" else block[:, :, i]))
        if carried:
            yield Route(i, root, region, links, carried, row_groups=rows)


def _members(block: Groups) -> list[int]:
    return [int(group) for group in np.unique(block) if group != IDLE]
