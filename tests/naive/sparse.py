"""From dense to actual counts, in plain Python floats (model 9.4 to 9.6, 10.2 to 10.4, 11, 12, 13.1).

Without spatial skipping, banded and actual densities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from naive.density import Model, model
from naive.leaders import decide
from naive.nest import Problem
from naive.ranks import Ranks, RefusedError, formats, match_ranks
from naive.traffic import Traffic
from sparsim.records import SparsePolicy, TensorFormat
from sparsim.records.energy_table import ResolvedEnergy

Units = list[list[float]]  # per rank, bottom first: metadata, payload
Key = tuple[int, int]  # level, dataspace


@dataclass
class Tensor:
    """One kept tensor at one level, per instance. Data: [reads, fills, updates] by outcome."""

    words: int
    form: TensorFormat | None
    ranks: Ranks
    average: float
    occupancy: float = 0.0
    units: Units = field(default_factory=list)
    work: list[float] = field(default_factory=list)
    metadata: list[list[list[int]]] = field(default_factory=list)  # action, rank, kind
    random: list[int] = field(default_factory=list)
    removed: dict[str, list[int]] = field(default_factory=lambda: {"gating": [0] * 3, "skipping": [0] * 3})
    removed_metadata: dict[str, list[list[list[int]]]] = field(default_factory=dict)
    reductions: int = 0
    most: int = 0
    most_units: Units = field(default_factory=list)

    @property
    def density(self) -> float:
        return self.occupancy / self.words

    @property
    def n_ranks(self) -> int:
        return len(self.form.ranks) if self.form else 0

    @property
    def compressed(self) -> bool:
        return self.form is not None and self.form.compressed


@dataclass
class Entry:
    kind: str
    p: float


class Sparse:
    """The sparse analysis of one mapping; raises RefusedError where the model refuses."""

    def __init__(
        self, problem: Problem, policy: SparsePolicy, energy: ResolvedEnergy, dense: dict[Key, Traffic]
    ) -> None:
        self.problem, self.policy, self.dense = problem, policy, dense
        self.prices = energy.storage[::-1]
        self.models = [
            model(problem.layer.density(name), problem.words(v, dict(problem.layer.bounds)))
            for v, name in enumerate(problem.names)
        ]
        self.operations = math.prod(loop.bound for loop in problem.loops)
        self.form = formats(problem, policy)
        self._check_neighbours()
        ranks = match_ranks(problem, policy)
        self.tensors = {key: self._tensor(key, ranks[key]) for key in ranks}
        self.entries = self._entries()
        self._reduce_by_format()
        self.computes = float(self.operations)
        self.optimized: dict[int, float] = {}
        for v in range(len(problem.names)):
            self._propagate(v)
        self.compute = self._split_computes()

    def _check_neighbours(self) -> None:
        """9.7."""
        for v, writes in enumerate(self.problem.writes):
            for s, level in enumerate(self.problem.levels):
                parent = self.problem.parent(s, v)
                if not self.problem.kept(s, v) or parent < 0:
                    continue
                own, outer = self.form.get((s, v)), self.form.get((parent, v))
                packed, packed_outside = own is not None and own.compressed, outer and outer.compressed
                if packed_outside and not packed and not level.decompression_supported:
                    raise RefusedError("decompression")
                if packed_outside and not packed and writes and not level.compression_supported:
                    raise RefusedError("compression")
                if own and packed and (not outer or not packed_outside or len(own.ranks) > len(outer.ranks)):
                    raise RefusedError("compressed inside")

    def _tensor(self, key: Key, ranks: Ranks) -> Tensor:
        """9.5, 13.1."""
        s, v = key
        density = self.models[v]
        instances = math.prod(x.bound for x in self.problem.loops if x.level > s and x.kind != "t")
        tensor = Tensor(self.problem.tile(s, v), self.form.get(key), ranks, float(instances))
        chances = list(density.chances(tensor.words).items())
        if (self.problem.parent(s, v), v) in self.form and density.least(tensor.words) == 0 and chances:
            empty = chances[0][1]
            tensor.average *= 1 - empty
            others = [(k, p / (1 - empty) if empty < 1 else 0.0) for k, p in chances[1:]]
            chances = [(chances[0][0], 0.0), *others]
        for k, p in chances:
            tensor.occupancy += p * k
        tensor.most = tensor.words
        if tensor.form:
            tensor.units = [[0.0, 0.0] for _ in tensor.form.ranks]
            for k, p in chances:
                if p > 0:
                    for r, (metadata, payload) in enumerate(_units(tensor, density, k)):
                        tensor.units[r][0] += p * metadata
                        tensor.units[r][1] += p * payload
            tensor.most = density.most(tensor.words)
            tensor.most_units = _units(tensor, density, tensor.most)
        return tensor

    def _entries(self) -> dict[Key, Entry]:
        """10.1 to 10.4."""
        outward = [level.name for level in self.problem.levels]
        entries: dict[Key, Entry] = {}
        for saf in sorted(self.policy.safs, key=lambda saf: (saf.type, outward.index(saf.level))):
            best: Any = None
            for option in saf.options:
                target = self.problem.names.index(option.target)
                leaders = [self.problem.names.index(name) for name in option.condition_on]
                level, tiles = decide(self.problem, outward.index(saf.level), target, leaders)
                useful = 1.0
                for leader in leaders:  # in order: products of floats
                    if leader in tiles:
                        useful *= 1 - self._empty(leader, tiles[leader])
                saving = self._saving(level, target, 1 - useful)
                if best is None or saving >= best[0]:
                    best = saving, (level, target), 1 - useful
            _, key, p = best
            if key not in entries or p > entries[key].p:
                entries[key] = Entry(saf.type, p)
        return entries

    def _empty(self, v: int, words: int) -> float:
        return self.models[v].empty(words)

    def _saving(self, level: int, target: int, p: float) -> float:
        child = self.problem.child(level, target)
        where = self.tensors[child if child >= 0 else level, target]
        units = sum(metadata + payload for metadata, payload in where.units)
        storage = self.problem.levels[level]
        words = self.tensors[level, target].occupancy + units * (
            storage.metadata_word_bits // storage.word_bits
        )
        return self.prices[level][0] / storage.block_size * words * p

    def _reduce_by_format(self) -> None:
        """9.6, 11.1."""
        for key, tensor in self.tensors.items():
            traffic = self.dense[key]
            tensor.work = [float(n) for n in (traffic.reads, traffic.fills, traffic.updates)]
            tensor.removed_metadata = {kind: _zeros(tensor.n_ranks) for kind in ("gating", "skipping")}
            tensor.metadata = _zeros(tensor.n_ranks)
            if tensor.form:
                tensor.metadata = [
                    [[math.ceil(m * (n / tensor.words)) for m in kinds] for kinds in tensor.units]
                    for n in tensor.work
                ]
                tensor.work = [x - math.floor(x * (1 - tensor.density)) for x in tensor.work]

    def _propagate(self, v: int) -> None:
        """11.2 to 11.4."""
        frozen = set()
        for s in range(len(self.problem.levels) - 1, -1, -1):
            entry = self.entries.get((s, v))
            if s not in frozen and (s, v) in self.tensors:
                self._settle(s, v)
                if entry:
                    self._split(s, v, entry.kind, entry.p)
            if not entry:
                continue
            inner = self._thin_out(s, v, entry.p)
            if inner >= 0:
                mine = self.entries[inner, v]
                if entry.p >= 1 or mine.p < entry.p:
                    raise RefusedError("weaker entry inside")
                self._settle(inner, v)
                tensor = self.tensors[inner, v]
                drains = [[self._drained(inner, v, n) for n in kinds] for kinds in tensor.metadata[0]]
                tensor.metadata[0] = [
                    [n + more for n, more in zip(kinds, leaving, strict=True)]
                    for kinds, leaving in zip(tensor.metadata[2], drains, strict=True)
                ]
                self._split(inner, v, mine.kind, 1 - (1 - mine.p) / (1 - entry.p))
                frozen.add(inner)
            elif not self.problem.writes[v]:
                self.computes -= math.floor(self.computes * entry.p)
                self.optimized[v] = _r6(entry.p)

    def _thin_out(self, s: int, v: int, p: float) -> int:
        """Entry (s, v) takes accesses from the levels inside, up to one with an entry, which is returned."""
        for k in range(s - 1, -1, -1):
            tensor = self.tensors.get((k, v))
            if tensor is None:
                continue
            tensor.work = [x - math.floor(x * p) for x in tensor.work]
            if tensor.form and self.tensors[s, v].n_ranks == 1:
                for action in (0, 1):
                    tensor.metadata[action][0] = [n - math.floor(n * p) for n in tensor.metadata[action][0]]
            if (k, v) in self.entries:
                return k
        return -1

    def _settle(self, s: int, v: int) -> None:
        tensor = self.tensors[s, v]
        tensor.random = [int(x) for x in tensor.work]
        self._count_reductions(s, v)

    def _count_reductions(self, s: int, v: int) -> None:
        tensor, traffic = self.tensors[s, v], self.dense[s, v]
        if self.problem.writes[v] and traffic.updates:
            served = traffic.reads - traffic.drains
            tensor.reductions = math.ceil(served * tensor.random[2] / traffic.updates)

    def _drained(self, s: int, v: int, words: int) -> int:
        """Words read for the level outside: the same share of all reads as in the dense traffic."""
        traffic = self.dense[s, v]
        return math.floor(words * (traffic.drains / traffic.reads)) if traffic.drains else 0

    def _split(self, s: int, v: int, kind: str, p: float) -> None:
        """11.3."""
        tensor = self.tensors[s, v]
        reads, _, updates = tensor.random
        reads -= self._drained(s, v, reads)
        removed = math.ceil(reads * p) if self.problem.writes[v] else math.floor(reads * p)
        tensor.removed[kind] = [removed, 0, math.floor(updates * p)]
        tensor.random = [n - gone for n, gone in zip(tensor.random, tensor.removed[kind], strict=True)]
        self._count_reductions(s, v)
        child = self.problem.child(s, v)
        ranks = self.tensors[child, v].n_ranks if child >= 0 else tensor.n_ranks
        for action in (0, 2):
            for r in range(min(ranks, tensor.n_ranks)):
                words = tensor.metadata[action][r]
                leaving = [0 if action else self._drained(s, v, n) for n in words]
                gone = [math.floor((n - out) * p) for n, out in zip(words, leaving, strict=True)]
                tensor.removed_metadata[kind][action][r] = gone
                tensor.metadata[action][r] = [
                    n - less for n, less in zip(tensor.metadata[action][r], gone, strict=True)
                ]

    def _split_computes(self) -> tuple[int, int, int]:
        """(random, gated, skipped) operations (12)."""
        a, b = (v for v, writes in enumerate(self.problem.writes) if not writes)
        total = int(self.computes)
        states_a, states_b = self._states(a, b), self._states(b, a)
        spent = {"random": 0.0, "gated": 0.0, "skipped": 0.0, "none": 0.0}
        gate = "gated" if self.policy.compute_gating else "random"
        skip = "skipped" if self.policy.compute_skipping else gate
        fates = {"NZ ZN": gate, "NA AN": skip, "ZZ": gate, "ZA AZ": skip, "AA": "none"}
        for pairs, fate in fates.items():
            spent[fate] += total * sum(states_a[x] * states_b[y] for x, y in pairs.split())
        gated, skipped, none = (math.floor(spent[fate]) for fate in ("gated", "skipped", "none"))
        return total - gated - skipped - none, gated, skipped

    def _states(self, v: int, other: int) -> dict[str, float]:
        """Chances that an operand is nonzero, a present zero, or absent."""
        innermost = min(s for s in range(len(self.problem.levels)) if self.problem.kept(s, v))
        d = _r6(_r6(self.models[v].of_one_point()))
        left_out = self.optimized.get(other, 0.0)
        if d > 0:
            d = d / (1 - left_out) if left_out < 1 else math.inf
        if not -1e-5 <= d <= 1.00001:
            raise RefusedError("operand state")
        zero = "A" if (innermost, v) in self.form else "Z"
        states = {"N": d, "Z": 0.0, "A": 0.0}
        states[zero] = 1 - d
        return {state: min(max(x, 0.0), 1.0) for state, x in states.items()}


def _zeros(n_ranks: int) -> list[list[list[int]]]:
    return [[[0, 0] for _ in range(n_ranks)] for _ in range(3)]


def _r6(x: float) -> float:
    return math.floor(1e6 * x + 0.5) / 1e6


def _units(tensor: Tensor, density: Model, nonzeros: int) -> Units:
    """Units of one tile that holds `nonzeros`, bottom rank first (model 9.1, 9.4)."""
    assert tensor.form is not None
    n_ranks = tensor.n_ranks
    units: Units = [[0.0, 0.0] for _ in range(n_ranks)]
    whole_tile = 0 if tensor.form.order == "inner-to-outer" else n_ranks - 1
    cur, fibers = tensor.words, 1
    for r in range(n_ranks - 1, -1, -1):
        length, below = tensor.ranks.fiber[r], tensor.ranks.sub[r]
        alive = fibers * (1 - density.empty_within(tensor.words, nonzeros, cur))
        filled = length * (1 - density.empty_within(tensor.words, nonzeros, below))
        if length > 1 or r == whole_tile:
            table = {
                "UOP": [0.0, alive * (length + 1)],
                "UB": [float(fibers * length)] * 2,
                "RLE": [alive * filled] * 2,
                "CP": [alive * math.ceil(filled)] * 2,
                "B": [alive * length, alive * math.ceil(filled)],
                "U": [0.0, 0.0],
            }
            units[r] = list(table[tensor.form.ranks[n_ranks - 1 - r].format])
        fibers *= length
        cur = below
    for kinds in units:
        if kinds != [0.0, 0.0]:
            kinds[1] = 0.0
            break
    return units
