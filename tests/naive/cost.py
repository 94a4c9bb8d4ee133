"""Capacity, energy and cycles from counts, in plain Python floats (model 12.4 to 14). No networks."""

from __future__ import annotations

import math

from naive.ranks import RefusedError
from naive.sparse import Key, Sparse, Tensor
from sparsim.records import Rank, Storage
from sparsim.records.energy_table import STORAGE_ACTIONS, ResolvedEnergy
from sparsim.records.sparsity import rank_word_bits

BLOCKS = {
    2: (251, 125, 84, 63, 51, 42, 36, 32, 28, 1), 4: (375, 188, 125, 94, 75, 63, 54, 47, 42, 1),
    8: (438, 219, 146, 110, 88, 73, 63, 55, 49, 1), 16: (469, 235, 157, 118, 94, 79, 67, 59, 52, 1),
    32: (485, 243, 162, 122, 97, 81, 70, 61, 52, 1),
}  # fmt: skip
ACTIONS = tuple(STORAGE_ACTIONS)
OUTCOMES = ("random", "gated", "skipped")
READ, FILL, UPDATE = 0, 1, 2


class Cost:
    """Energy per instance and cycles of every level; raises RefusedError."""

    def __init__(self, sparse: Sparse, energy: ResolvedEnergy) -> None:
        self.sparse, self.problem = sparse, sparse.problem
        self.prices = [dict(zip(ACTIONS, row, strict=True)) for row in energy.storage[::-1]]
        self._check_instances()
        self._check_capacity()
        self.vectors = {key: self._vectors(key) for key in sparse.tensors}
        self.energy = {key: self._energy(key) for key in sparse.tensors}
        random, gated, _ = sparse.compute
        self.compute_cycles = math.ceil((random + gated) / self._instances(-1))
        self.cycles = max(self.compute_cycles, *map(self._cycles, range(len(self.problem.levels))))
        of_random, of_gated, of_skipped = (
            n * pj for n, pj in zip(sparse.compute, energy.compute, strict=True)
        )
        self.compute_energy = of_random + of_skipped + of_gated  # all sums in the reference's order
        self.level_energy = [self._level_energy(s) for s in range(len(self.problem.levels))]
        self.total = self.compute_energy
        for level_energy in self.level_energy:
            self.total += level_energy

    def _instances(self, s: int) -> int:
        return math.prod(x.bound for x in self.problem.loops if x.level > s and x.kind != "t")

    def _check_instances(self) -> None:
        for s in range(-1, len(self.problem.levels)):
            for kind, most in zip("xy", self.problem.mesh(s), strict=True):
                if math.prod(x.bound for x in self.problem.loops if x.level > s and x.kind == kind) > most:
                    raise RefusedError("instances")

    def _check_capacity(self) -> None:
        """13.2."""
        for s, level in enumerate(self.problem.levels):
            if level.effective_size_words is None:
                continue
            tensors = [tensor for (at, _), tensor in self.sparse.tensors.items() if at == s]
            words = sum(tensor.most for tensor in tensors)
            bits = sum(math.ceil(_bits(tensor, level, tensor.most_units)) for tensor in tensors)
            if words > level.effective_size_words or bits > level.metadata_capacity_bits:
                raise RefusedError("capacity")
            if words < level.effective_size_words * level.min_utilization:
                raise RefusedError("utilization")

    def _vectors(self, key: Key) -> dict[str, float]:
        """Vector accesses per action (model 14.1)."""
        s, v = key
        tensor, level = self.sparse.tensors[key], self.problem.levels[s]
        ratio = self._block_ratio(key)
        found = dict.fromkeys(ACTIONS, 0.0)
        data = {
            "random": tensor.random,
            "gated": tensor.removed["gating"],
            "skipped": tensor.removed["skipping"],
        }
        metadata = {
            "random": tensor.metadata, "gated": tensor.removed_metadata["gating"],
            "skipped": tensor.removed_metadata["skipping"],
        }  # fmt: skip
        for outcome in OUTCOMES:
            for a, action in enumerate(("read", "fill", "update")):
                n = data[outcome][a]
                found[f"{outcome}_{action}"] = -(-n // level.block_size) * ratio if n else 0.0
                if level.metadata_width_bits:
                    bits = _bits(tensor, level, metadata[outcome][a])
                    found[f"{outcome}_metadata_{action}"] = math.ceil(bits / level.metadata_width_bits)
        parent = self.sparse.tensors.get((self.problem.parent(s, v), v))
        if parent and parent.compressed and not tensor.compressed:
            found["decompression_count"] = tensor.random[FILL]
            found["compression_count"] = parent.random[UPDATE] if self.problem.writes[v] else 0
        return found

    def _block_ratio(self, key: Key) -> float:
        s, v = key
        tensor, block = self.sparse.tensors[key], self.problem.levels[s].block_size
        if not tensor.compressed or block == 1 or not 0 < tensor.density < 1:
            return 1.0
        if block == 64 and tensor.words // block >= 500:
            return 1.0
        if block not in BLOCKS:
            raise RefusedError("block size")
        if BLOCKS[block][max(math.floor(tensor.density / 0.1) - 1, 0)] <= tensor.words // block:
            return 1.0
        chances = self.sparse.models[v].chances(tensor.words)
        full = sum(-(-k // block) * p for k, p in chances.items() if k)
        return full / (tensor.words * tensor.density / block)

    def _energy(self, key: Key) -> float:
        """Per instance (model 14.2)."""
        tensor, level = self.sparse.tensors[key], self.problem.levels[key[0]]
        energy = sum(n * self.prices[key[0]][action] for action, n in self.vectors[key].items())
        instances = self._instances(key[0])
        clusters = min(instances, math.prod(self.problem.mesh(key[0])) // level.cluster_size)
        return energy / (instances / clusters) if tensor.average else 0.0

    def _level_energy(self, s: int) -> float:
        """All instances: what a tensor costs is added up before it is added to the level."""
        energy = 0.0
        for v in range(len(self.problem.names)):
            if (s, v) in self.sparse.tensors:
                energy += self.energy[s, v] * self.sparse.tensors[s, v].average + self._addresses((s, v))
        return energy

    def _addresses(self, key: Key) -> float:
        """Energy of the address generators."""
        s, v = key
        tensor, level = self.sparse.tensors[key], self.problem.levels[s]
        clusters = min(self._instances(s), math.prod(self.problem.mesh(s)) // level.cluster_size)
        actions = (FILL, UPDATE if self.problem.writes[v] else READ)
        count = sum(tensor.random[a] + tensor.removed["gating"][a] for a in actions)
        return count * (level.addr_gen_energy_pj or 0.0) * clusters

    def _cycles(self, s: int) -> int:
        """14.3."""
        level, cc = self.problem.levels[s], self.compute_cycles
        read = write = 0.0
        for (at, _), tensor in self.sparse.tensors.items():
            if at == s and tensor.average:
                r, w = _words(tensor, level)
                spread = self._instances(s) / tensor.average
                read += math.ceil(r / spread) / max(cc, 1)
                write += math.ceil(w / spread) / max(cc, 1)
        limits = (
            (level.read_bandwidth, read),
            (level.write_bandwidth, write),
            (level.shared_bandwidth, read + write),
        )
        slowdown = min([1.0, *(limit / demand for limit, demand in limits if limit and limit < demand)])
        return cc if slowdown == 1.0 else math.ceil(max(cc, 1) / slowdown)


def _words(tensor: Tensor, level: Storage) -> tuple[int, int]:
    """Words read and written per instance; format words among them, skipped ones not."""
    gated, gated_metadata = tensor.removed["gating"], tensor.removed_metadata["gating"]
    data = [tensor.random[a] + gated[a] for a in range(3)]
    bits = [
        sum(
            _bits(tensor, level, units[a]) for units in (tensor.metadata, gated_metadata)
        )
        for a in range(3)
    ]  # fmt: skip
    if not level.metadata_width_bits:
        bits = [0, 0, 0]
    read = data[READ] + int(bits[READ]) // level.word_bits
    return read, data[FILL] + data[UPDATE] + int(bits[FILL] + bits[UPDATE]) // level.word_bits


def _bits(tensor: Tensor, level: Storage, units: list[list[float]] | list[list[int]]) -> float:
    ranks: list[Rank] = list(reversed(tensor.form.ranks)) if tensor.form else []
    total = 0.0
    for rank, (metadata, payload) in zip(ranks, units, strict=True):
        metadata_bits, payload_bits = rank_word_bits(rank, level)
        total += metadata * metadata_bits + payload * payload_bits
    return total
