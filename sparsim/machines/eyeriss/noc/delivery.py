"""The delivery of a network for a pattern of groups: words per cycle, hops, wires, energy.

Every group needs equally many words, and the array waits for the group served last. With w(e) words on
edge e when each group gets one word, c(e) its capacity in bits per cycle and b the bits of a word, each
group, and so each PE, gets

    rate = min over e of c(e) / (w(e) b)    words per cycle

and the array `groups * rate` distinct words. Among the configurations of the routers (module `routing`), the
one that sends each word the fewest times is used, then the one that delivers most, then the one with the
shortest wires: each word is in one GLB cluster only, and a copy would take capacity there, or off-chip
bandwidth.

Weights are never in the GLB: they come from off chip through the same ports, which are always ready. Time to
fill the routers (a cycle per hop), conflicts in GLB banks and words that arrive early are not modelled.
Partial sums are described on their way out, from the PEs to the GLB; the way in has ports of its own, the
same rate and, without the links between clusters, less wire.
"""

import functools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sparsim.errors import MappingError
from sparsim.machines.eyeriss.noc.router_graph import Edge, edge_limits
from sparsim.machines.eyeriss.noc.routing import Mode, Route, configurations, edges
from sparsim.machines.eyeriss.noc.traffic_pattern import IDLE, Coordinate, Groups, groups
from sparsim.records.noc_spec import Axis, Noc, RouterNetwork, SpatialLoop


class Delivery(NamedTuple):
    """One configuration of a network for a pattern. Numbers are per distinct word, and are sums over all
    times it is sent (`copies`) and all branches of its routes.
    """

    noc: Noc
    network: RouterNetwork
    mode: Mode
    compressed: bool
    groups: int  # PEs in one group want the same words
    active_pes: int
    words_per_pe_cycle: float  # words per cycle that each active PE receives (psum: sends)
    copies: float  # times a word passes a GLB port
    hops: float  # links between routers that a word passes
    routers: float  # routers that a word passes
    wire_um: float  # wire that a word drives
    routes: tuple[Route, ...]

    @property
    def words_per_cycle(self) -> float:
        """Return the distinct words per cycle of the whole array."""
        return self.groups * self.words_per_pe_cycle

    @property
    def receipts_per_cycle(self) -> float:
        """Words per cycle that arrive at PEs, counted at every PE."""
        return self.active_pes * self.words_per_pe_cycle

    @property
    def bits_per_word(self) -> float:
        """Bits of a port that a word takes: 24 bits for 3 raw or 2 compressed words are 8 or 12."""
        return self.network.port_bits / self.network.words_per_port(self.compressed)

    @property
    def bits_per_cycle(self) -> float:
        """Bits per cycle through all GLB ports together."""
        return self.words_per_cycle * self.copies * self.bits_per_word

    @property
    def source_ports(self) -> int:
        """Return the number of GLB ports in use."""
        return len(self.routes)

    @property
    def bits_per_port(self) -> float:
        """Return the mean bits per cycle of the GLB ports in use."""
        return self.bits_per_cycle / self.source_ports

    @property
    def energy_pj_per_word(self) -> float:
        """Energy of wires and routers per distinct word."""
        wiring = self.noc.wiring
        per_bit = wiring.wire_pj_per_bit_mm * self.wire_um / 1000 + wiring.router_pj_per_bit * self.routers
        return per_bit * self.bits_per_word

    @property
    def loads(self) -> dict[Edge, float]:
        """Return the bits per cycle on every edge of the graph in use."""
        bits = self.words_per_pe_cycle * self.bits_per_word
        return {edge: n * bits for edge, n in _words_on_edges(self.noc, self.network, self.routes).items()}


def plan(
    noc: Noc,
    role: str,
    loops: Sequence[SpatialLoop],
    relevant: Iterable[Coordinate],
    *,
    compressed: bool = False,
) -> Delivery:
    """Return the best delivery for a dataspace with coordinates `relevant` under spatial `loops` (see
    `groups`).

    Results are cached, independent of the names of dims.
    """
    sums = tuple(c if isinstance(c, str) else tuple(c.items()) for c in relevant)
    if all(isinstance(c, str) for c in sums):
        loops, sums = _renamed(loops, sums)
    return _plan(noc, role, tuple(loops), sums, compressed)


def _renamed(
    loops: Sequence[SpatialLoop], relevant: Sequence[Any]
) -> tuple[list[SpatialLoop], tuple[str, ...]]:
    """Return the pattern with its relevant dims named in the order of their loops, and one name for all
    others.
    """
    names: dict[str, str] = {}
    for loop in loops:
        if loop.dim in relevant:
            names.setdefault(loop.dim, str(len(names)))
    return [_loop(names.get(loop.dim, ""), loop.bound, loop.axis) for loop in loops], tuple(names.values())


@functools.lru_cache(maxsize=4096)
def _loop(dim: str, bound: int, axis: Axis) -> SpatialLoop:
    return SpatialLoop(dim=dim, bound=bound, axis=axis)


def deliver(noc: Noc, role: str, pattern: Groups, *, compressed: bool = False) -> Delivery:
    """Return the best of `deliveries`. Equal patterns are evaluated once."""
    return _deliver(noc, role, _checked(noc, pattern).tobytes(), compressed)


def deliveries(noc: Noc, role: str, pattern: Groups, *, compressed: bool = False) -> tuple[Delivery, ...]:
    """Return all feasible deliveries to `pattern` (an array made by `groups`), the best first."""
    network, pattern = noc.network(role), _checked(noc, pattern)
    ways = configurations(noc, network, pattern)
    return _sorted(_evaluate(noc, network, pattern, mode, tuple(routes), compressed) for mode, routes in ways)


def _sorted(found: Iterable[Delivery]) -> tuple[Delivery, ...]:
    return tuple(sorted(found, key=lambda d: (d.copies, -d.words_per_pe_cycle, d.wire_um)))


@functools.lru_cache(maxsize=4096)
def _plan(
    noc: Noc,
    role: str,
    loops: tuple[SpatialLoop, ...],
    sums: tuple[str | tuple[tuple[str, int], ...], ...],
    compressed: bool,
) -> Delivery:
    return _deliver(noc, role, _pattern(noc, loops, sums), compressed)


@functools.lru_cache(maxsize=4096)
def _pattern(
    noc: Noc, loops: tuple[SpatialLoop, ...], sums: tuple[str | tuple[tuple[str, int], ...], ...]
) -> bytes:
    return groups(noc, loops, [c if isinstance(c, str) else dict(c) for c in sums]).tobytes()


@functools.lru_cache(maxsize=1024)
def _deliver(noc: Noc, role: str, pattern: bytes, compressed: bool) -> Delivery:
    groups_of = np.frombuffer(pattern, np.int64).reshape(tuple(noc.axes.values()))
    network = noc.network(role)
    ways = list(configurations(noc, network, groups_of))
    # others are not better, independent of what they deliver
    fewest = min(_sent(routes) for _, routes in ways)
    return _sorted(
        _evaluate(noc, network, groups_of, mode, tuple(routes), compressed)
        for mode, routes in ways
        if _sent(routes) == fewest
    )[0]


def _sent(routes: Iterable[Route]) -> int:
    """Return how often the words of all groups pass a GLB port, with one word per group."""
    return sum(len(route.groups) for route in routes)


def _evaluate(
    noc: Noc,
    network: RouterNetwork,
    pattern: Groups,
    mode: Mode,
    routes: tuple[Route, ...],
    compressed: bool,
) -> Delivery:
    limits = edge_limits(noc, network)
    words = _words_on_edges(noc, network, routes)
    distinct = int(pattern.max()) + 1
    bits = min(limits[edge].capacity / n for edge, n in words.items())  # per group and cycle
    bits_per_word = network.port_bits / network.words_per_port(compressed)
    sent = _sent(routes)
    hops = sum(len(route.groups) * len(route.links) for route in routes)
    length_um = math.fsum(limits[edge].length_um * n for edge, n in words.items())
    return Delivery(
        noc=noc,
        network=network,
        mode=mode,
        compressed=compressed,
        groups=distinct,
        active_pes=int((pattern != IDLE).sum()),
        words_per_pe_cycle=bits / bits_per_word,
        copies=sent / distinct,
        hops=hops / distinct,
        routers=(sent + hops) / distinct,
        wire_um=length_um / distinct,
        routes=routes,
    )


def _words_on_edges(noc: Noc, network: RouterNetwork, routes: Iterable[Route]) -> Counter[Edge]:
    """Return the words on every edge when each group receives one."""
    words: Counter[Edge] = Counter()
    for route in routes:
        for edge, n in edges(noc, network, route):
            words[edge] += n
    return words


def _checked(noc: Noc, pattern: Any) -> Groups:
    checked: Groups = np.ascontiguousarray(pattern, np.int64)
    shape = tuple(noc.axes.values())
    if checked.shape != shape:
        raise MappingError(f"groups must have the shape {shape} of noc {noc.name}, got {checked.shape}")
    present = np.unique(checked[checked != IDLE])
    if not np.array_equal(present, np.arange(len(present))) or not len(present):
        raise MappingError("groups must be numbered 0, 1, 2, ... without gaps, and idle PEs -1")
    return checked
