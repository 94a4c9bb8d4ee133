"""Words that hop through statically set routers, cycle by cycle, and groups found by running the loops.

A router is a table: for each of its outputs the one input that it passes. Inputs and outputs are "glb",
"pe" or a neighbouring cluster. Words know their group, routers do not.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparsim.machines.eyeriss.noc import Noc, Route, RouterNetwork, SpatialLoop

Node = tuple[Any, ...]
Table = dict[tuple[int, Any, Any], Any]  # (router number, cluster, output): input


@dataclass
class Run:
    cycles: int = 0  # in which some port has words left to send
    busiest: int = 0  # most words on one wire in one cycle
    traffic: Counter[tuple[Node, Node]] = field(default_factory=Counter)  # words on each wire
    taken: dict[Any, list[int]] = field(default_factory=lambda: defaultdict(list))  # numbers of words, per PE
    sums: Counter[tuple[int, int]] = field(default_factory=Counter)  # (group, number): PEs that added


def naive_groups(noc: Noc, loops: Sequence[SpatialLoop], relevant: Iterable[Any]) -> dict[Node, Any]:
    """Coordinates of the dataspace at every PE that the loops use."""
    sums = [{c: 1} if isinstance(c, str) else c for c in relevant]
    found: dict[Node, Any] = {}
    for step in itertools.product(*(range(loop.bound) for loop in loops)):
        place = dict.fromkeys(noc.axes, 0)
        index: dict[str, int] = defaultdict(int)
        for loop, i in zip(loops, step, strict=True):
            place[loop.axis] = place[loop.axis] * loop.bound + i
            index[loop.dim] = index[loop.dim] * loop.bound + i
        found[tuple(place.values())] = tuple(sum(f * index[d] for d, f in s.items()) for s in sums)
    return found


def run(noc: Noc, network: RouterNetwork, pattern: Any, routes: Sequence[Route], port: int, n: int) -> Run:
    """Send n words per group along `routes`, `port` words per GLB port (psum: per chain) and cycle."""
    table = _table(network, routes)
    queues = {}
    for route in routes:
        columns = route.pe_columns or (-1,) * len(route.groups)
        start = ("glb", *route.root, route.router)
        assert start not in queues, "two routes leave one port"
        pairs = list(zip(route.groups, columns, strict=True))
        queues[start] = route.clusters[0], deque((*pair, k) for k in range(n) for pair in pairs)
    result = Run()
    moving: list[tuple[Any, int, Any]] = []  # (place, router number, word)
    step = _sum_step if network.role == "psum" else _word_step
    while moving or any(queue for _, queue in queues.values()):
        result.cycles += any(queue for _, queue in queues.values())
        for (_, *root, i), (first, queue) in queues.items():
            for _ in range(min(port, len(queue))):
                word = queue.popleft()
                bottom = ("pe", *first, noc.pe_rows - 1, word[1])
                moving.append((bottom if word[1] >= 0 else ("glb", *root, i), i, word))
        wires: Counter[tuple[Node, Node]] = Counter()
        moved = []
        for here, i, word in moving:
            for start, end, goes_on in step(noc, network, table, here, i):
                if _gated(network, pattern, end, word[0]):
                    continue
                wires[start, end] += 1
                if end[0] == "pe" and word[1] < 0 and pattern[end[1:]] == word[0]:
                    result.taken[end[1:]].append(word[2])
                if goes_on:
                    moved.append(((start, end), i, word) if end[0] == "router" else (end, i, word))
            if here[0] == "pe" and pattern[here[1:]] == word[0]:
                result.sums[word[0], word[2]] += 1
        moving = moved
        result.traffic += wires
        result.busiest = max(result.busiest, *wires.values(), 0)
    return result


def _gated(network: RouterNetwork, pattern: Any, end: Node, group: int) -> bool:
    """On a bus a row of PEs, none of which has the tag of a word, is gated behind its first segment."""
    bus = network.role != "psum" and network.mesh == "none" and network.pe_side == "all"
    return bus and end[0] == "pe" and end[4] > 0 and group not in pattern[end[1:4]]


def _table(network: RouterNetwork, routes: Sequence[Route]) -> Table:
    table: Table = {}

    def connect(i: int, cluster: Any, output: Any, source: Any) -> None:
        assert (i, cluster, output) not in table, f"output {output} of a router would pass two inputs"
        table[i, cluster, output] = source

    for route in routes:
        came_from: dict[Any, Any] = {} if network.role == "psum" else {route.root: "glb"}
        for here, there in route.links:
            source = came_from.get(here, "pe")
            if network.role == "psum" and here in route.clusters:
                source = "pe"
            connect(route.router, here, there, source)
            came_from[there] = here
        for cluster in route.clusters:
            if cluster in came_from:
                connect(route.router, cluster, "pe", came_from[cluster])
        if network.role == "psum":
            connect(route.router, route.root, "glb", "pe")
    return table


def _outputs(table: Table, i: int, here: Node) -> Iterator[tuple[Node, Any]]:
    """The router that a word has just reached, and each output that passes it on."""
    came, router = here
    cluster = router[1:3]
    source = came[0] if came[0] != "router" else came[1:3]
    for (number, place, output), passed in table.items():
        if (number, place, passed) == (i, cluster, source):
            yield router, output


def _word_step(
    noc: Noc, network: RouterNetwork, table: Table, here: Node, i: int
) -> Iterator[tuple[Node, Node, bool]]:
    if here[0] == "glb":
        yield here, ("router", *here[1:3], i), True
        return
    for router, output in _outputs(table, i, here):
        if output != "pe":
            yield router, ("router", *output, i), True
            continue
        for row in range(noc.pe_rows):
            for column in range(noc.pe_columns):
                if i == {"all": i, "row": row, "column": column}[network.pe_side]:
                    yield router, ("pe", *router[1:3], row, column), False


def _sum_step(
    noc: Noc, network: RouterNetwork, table: Table, here: Node, i: int
) -> Iterator[tuple[Node, Node, bool]]:
    if here[0] == "pe":
        _, row, column, pe_row, pe_column = here
        up = ("pe", row, column, pe_row - 1, pe_column) if pe_row else ("router", row, column, i)
        yield here, up, True
        return
    for router, output in _outputs(table, i, here):
        if output == "pe":
            column = i if network.pe_side == "column" else None
            assert column is not None, "chains over several clusters need a router per PE column"
            yield router, ("pe", *router[1:3], noc.pe_rows - 1, column), True
        elif output == "glb":
            yield router, ("glb", *router[1:3], i), False
        else:
            yield router, ("router", *output, i), True
