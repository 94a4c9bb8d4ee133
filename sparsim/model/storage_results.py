"""Conversion of packs to results of the storage levels: indices become names again, counts become rates
(model 14 to 16).
"""

from __future__ import annotations

import math

from sparsim.estimate.accelerator_energy import resolved_energy
from sparsim.model import arrays as packs
from sparsim.model.arrays import ArchPack, LayerPack, PolicyPack
from sparsim.model.leakage import leakage
from sparsim.model.result import (
    Access,
    Bandwidth,
    FormatAccess,
    LoopView,
    StorageResult,
    TensorTraffic,
    Units,
    or_nothing,
    ratio,
)
from sparsim.model.workspace import Scratch, without_scratch
from sparsim.records import Accelerator, Density, Layer
from sparsim.records.energy_table import STORAGE_ACTIONS

ACTION_NAMES = tuple(STORAGE_ACTIONS)
NO_FORMAT = FormatAccess(actual=(), gated=(), skipped=(), actual_bits=0, gated_bits=0, skipped_bits=0)
LOOP_KINDS = {packs.TEMPORAL: "temporal", packs.SPATIAL_X: "spatial-x", packs.SPATIAL_Y: "spatial-y"}


class EvaluatedMapping:
    """The packs of one evaluated mapping and the records that they come from, which results are made of."""

    def __init__(
        self, accelerator: Accelerator, layer: Layer, lowered: tuple[ArchPack, LayerPack, PolicyPack],
        scratch: Scratch, accounting: str,
    ) -> None:  # fmt: skip
        self.arch, self.policy, self.layer = accelerator.architecture, accelerator.policy, layer
        self.energy = resolved_energy(accelerator)
        self.arch_pack, self.layer_pack, self.policy_pack = lowered
        self.nest, self.sparse, self.cost = without_scratch(scratch)
        self.accounting = accounting
        self.levels = self.arch.storage[::-1]
        self.areas = self.energy.areas[::-1]
        self.data = [d.name for d in layer.shape.dataspaces]
        self.active = self.policy is not None and self.policy.active
        self.cc = int(self.cost.cycles[0])
        self.leaking = leakage(accelerator)
        self.leaks = self.leakage()

    def leakage(self) -> list[float]:
        """Return the leakage of every level in pJ, innermost first."""
        found = self.leaking
        if found is None:
            return [0.0] * len(self.levels)
        instances = self.sparse.space[1:].prod(axis=2) * (self.nest.kept != 0)
        cycles = int(self.cost.total[1]) - int(self.arch_pack.latency[0])
        energies: list[float] = (found.per_cycle(instances.max(axis=1)) * cycles).tolist()
        return energies


def storage_results(of: EvaluatedMapping) -> tuple[StorageResult, ...]:
    """Return the results of every storage level, innermost first."""
    levels = _Levels(of)
    return tuple(levels.storage(s) for s in range(len(of.levels)))


class _Levels:
    """The storage levels of one evaluated mapping, to be read out one by one."""

    def __init__(self, of: EvaluatedMapping) -> None:
        self.of = of
        # lists are ten times as fast as arrays for reading small arrays element by element
        nest, sparse, cost = of.nest, of.sparse, of.cost
        self.count, self.coded = sparse.counts.tolist(), sparse.coded.tolist()
        self.instances, self.average = sparse.space.prod(axis=2).tolist(), sparse.avg.tolist()
        self.space = sparse.space.tolist()
        self.dense, self.part, self.tile = nest.counts.tolist(), nest.part.tolist(), nest.tile.tolist()
        self.kept, self.mesh = nest.kept.tolist(), of.arch_pack.mesh.tolist()
        self.rho, self.capacity = sparse.rho.tolist(), sparse.capacity.tolist()
        self.reductions = sparse.reductions.tolist()
        self.clusters, self.energies = cost.clusters.tolist(), cost.energy.tolist()
        self.vector, self.slowdown = cost.vector.tolist(), cost.slowdown.tolist()
        self.words, self.price = cost.words.tolist(), of.arch_pack.energy.tolist()
        self.level_pj, self.cycles = cost.level_pj.tolist(), cost.cycles.tolist()
        self.rank_bits = of.policy_pack.rank[
            ..., packs.RANK_METADATA_BITS : packs.RANK_PAYLOAD_BITS + 1
        ].tolist()
        self.ranks = of.policy_pack.format[..., packs.N_RANKS].tolist()
        formats = of.policy.formats if of.policy else ()
        self.formats = {(f.level, f.dataspace): tuple(r.format.lower() for r in f.ranks) for f in formats}
        self.densities = [_density_name(of.layer.density(name)) for name in of.data]
        self.loops = self.all_loops()

    def storage(self, s: int) -> StorageResult:
        level = self.of.levels[s]
        x, y, n = self.mesh[s + 1]
        price = dict(zip(ACTION_NAMES, self.price[s], strict=True))
        vector = self.of.energy.vector_energy[::-1][s]
        tensors = tuple(self.tensor(s, v) for v, kept in enumerate(self.kept[s]) if kept)
        energy_pj = self.level_pj[s + 1]
        if self.of.leaks[s]:  # the reference adds accesses to leakage, one tensor after the other
            energy_pj = sum((t.energy_pj + t.addr_gen_energy_pj for t in tensors), start=self.of.leaks[s])
        return StorageResult(
            name=level.name, storage=level, instances=n, mesh=(x, y), area_per_instance_um2=self.of.areas[s],
            area_um2=self.of.areas[s] * n, area_source=self.of.energy.area_sources[::-1][s],
            energy_source=dict(zip(ACTION_NAMES, self.of.energy.storage_sources[::-1][s], strict=True)),
            vector_access_energy_pj=vector.energy_pj,
            vector_energy_source=vector.source, read_energy_pj=price["random_read"],
            write_energy_pj=price["random_fill"], metadata_read_energy_pj=price["random_metadata_read"],
            metadata_write_energy_pj=price["random_metadata_fill"],
            decompression_energy_pj=price["decompression_count"], loops=tuple(self.loops[s]),
            cycles=self.cycles[s + 1], throttling=self.slowdown[s],
            energy_pj=energy_pj, leakage_pj=self.of.leaks[s], tensors=tensors,
            leak_pj=0.0 if self.of.leaking is None else float(self.of.leaking.pj[s]),
            instances_per_gate=1 if self.of.leaking is None else int(self.of.leaking.shared[s]),
        )  # fmt: skip

    def all_loops(self) -> list[list[LoopView]]:
        """Return the loops of every level, outermost first."""
        nest, dims = self.of.nest, self.of.layer.shape.dims
        loops: list[list[LoopView]] = [[] for _ in self.of.levels]
        for row in nest.loop[nest.real[: nest.ops[packs.N_REAL]][::-1]].tolist():
            view = LoopView(dims[row[packs.DIM]], row[packs.BOUND], LOOP_KINDS[row[packs.KIND]])
            loops[row[packs.LEVEL]].append(view)
        return loops

    def tensor(self, s: int, v: int) -> TensorTraffic:
        instances, average = self.instances[s + 1][v], self.average[s + 1][v]
        clusters, per_instance = self.clusters[s][v], self.energies[s][v]
        decompressions, compressions = self.coded[s][v]
        count = self.count[s][v]
        addresses = self.addresses(s, v)
        per_address = float(self.of.arch_pack.addr_gen[s])
        # a cluster's energy is spread over its utilised instances, then taken for all of them
        scale = average / (instances / clusters) if clusters else 0.0
        vector = [*self.vector[s][v][: packs.DECOMPRESS], decompressions, compressions]
        actions = [n * price * scale for n, price in zip(vector, self.price[s], strict=True)]
        reads, fills, updates = [self.access(s, v, a, count[a]) for a in range(3)]
        f_reads, f_fills, f_updates = self.format_accesses(s, v)
        accesses = sum([row[packs.RANDOM] for row in count])
        shared, read, write = self.bandwidths(s, v, instances, average)
        return TensorTraffic(
            dataspace=self.of.data[v], partition_words=self.part[s][v], density_model=self.densities[v],
            tile_words=self.tile[s][v], tile_density=self.rho[s][v],
            utilized_words=self.capacity[s][v],
            format=self.formats.get((self.of.levels[s].name, self.of.data[v]), ()),
            format_words=self.capacity_units(s, v), instances_max=instances, instances_average=average,
            clusters=clusters, reads=reads, fills=fills, updates=updates, format_reads=f_reads,
            format_fills=f_fills, format_updates=f_updates, temporal_reductions=self.reductions[s][v],
            address_generations=addresses, decompressions=decompressions,
            compressions=compressions,
            energy_per_access_pj=or_nothing(ratio, per_instance, accesses if average > 0 else 0),
            energy_per_instance_pj=per_instance, energy_pj=per_instance * average,
            reduction_energy_per_instance_pj=0.0, reduction_energy_pj=0.0,  # adders are free (model 14.2)
            addr_gen_energy_per_cluster_pj=addresses * per_address,
            addr_gen_energy_pj=addresses * per_address * clusters,
            energy_by_action_pj=dict(zip(ACTION_NAMES, actions, strict=True)),
            shared=shared, read=read, write=write,
        )  # fmt: skip

    def access(self, s: int, v: int, a: int, count: list[int]) -> Access:
        return Access(algorithmic=self.dense[s][v][a], actual=count[0], gated=count[1], skipped=count[2])

    def addresses(self, s: int, v: int) -> int:
        a = packs.UPDATE if self.of.layer_pack.read_write[v] else packs.READ
        count = self.count[s][v]
        return sum([count[i][o] for i in (a, packs.FILL) for o in (packs.RANDOM, packs.GATED)])

    def capacity_units(self, s: int, v: int) -> tuple[Units, ...]:
        n = self.ranks[s][v] if self.of.active else 0
        units = self.of.sparse.capacity_units[s, v, :n].tolist() if n else []
        return tuple([Units(math.ceil(m), math.ceil(p)) for m, p in units[::-1]])

    def format_accesses(self, s: int, v: int) -> list[FormatAccess]:
        """Reads, fills and updates of metadata."""
        n = self.ranks[s][v] if self.of.active else 0
        if not n:
            return [NO_FORMAT] * 3
        width = self.rank_bits[s][v] if self.of.levels[s].metadata_width_bits > 0 else []
        moved = self.of.sparse.format[s, v, :, :, :n].tolist()
        return [self.format_access(outcomes, width) for outcomes in moved]

    @staticmethod
    def format_access(outcomes: list[list[list[int]]], width: list[list[int]]) -> FormatAccess:
        """`outcomes`: units of every rank for each outcome. `width`: bits of units that are stored."""
        units, bits = [], []
        for words in outcomes:
            units.append(tuple([Units(*row) for row in words[::-1]]))
            bits.append(sum([m * w[0] + p * w[1] for (m, p), w in zip(words, width, strict=False)]))
        return FormatAccess(
            actual=units[0], gated=units[1], skipped=units[2],
            actual_bits=bits[0], gated_bits=bits[1], skipped_bits=bits[2],
        )  # fmt: skip

    def bandwidths(
        self, s: int, v: int, instances: int, average: float
    ) -> tuple[Bandwidth, Bandwidth, Bandwidth]:
        """Shared, read and write bandwidth (model 14.3)."""
        words, bits = self.words[s][v], self.of.levels[s].word_bits
        read_bits, write_bits = words[packs.FORMAT_READ_BITS], words[packs.FORMAT_WRITE_BITS]
        read_format, write_format = read_bits // bits, write_bits // bits
        both_format = (read_bits + write_bits) // bits
        read, write = words[packs.READ_WORDS] + read_format, words[packs.WRITE_WORDS] + write_format
        spread = instances / average if average > 0 else math.inf
        slowdown = self.slowdown[s]
        cycles = self.of.cc
        r, w = (math.ceil(x / spread) / cycles if cycles else 0.0 for x in (read, write))
        x, y = self.space[s + 1][v] if self.of.policy is not None else (average, 1)

        def bandwidth(demand: float, format_words: float, total: float) -> Bandwidth:
            rate = slowdown * demand
            fraction = format_words / total if total else 0.0
            return Bandwidth(per_instance=rate, total=rate * x * y, format_fraction=float(fraction))

        return (
            bandwidth(r + w, both_format, read + write),
            bandwidth(r, read_format, read),
            bandwidth(w, write_format, write),
        )


def _density_name(density: Density) -> str:
    banded = density.distribution == "banded"
    return f"banded-{density.band_width}" if banded else density.distribution
