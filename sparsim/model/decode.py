"""Packs -> result records: indices become names again, counts become rates (model 14 to 16)."""

from __future__ import annotations

import math

import numpy as np

from sparsim.errors import MappingError
from sparsim.model import arrays as packs
from sparsim.model.arrays import CostPack, SparsePack
from sparsim.model.network_results import network_results
from sparsim.model.result import (
    ComputeResult,
    Deferred,
    Evaluation,
    LevelIntensity,
    NetworkResult,
    OperationalIntensity,
    or_nothing,
    ratio,
    single_ratio,
)
from sparsim.model.storage_results import EvaluatedMapping, storage_results
from sparsim.records.divisibility import covers_of
from sparsim.records.energy_table import COMPUTE_ACTIONS


class Decoder(EvaluatedMapping):
    """Makes the result, whose levels and networks are decoded when they are first looked at."""

    def evaluation(self, warnings: tuple[str, ...] = ()) -> Evaluation:
        self.refuse_negative()
        compute = self.compute()
        intensity = self.intensity(compute.actual)
        areas = zip(self.areas, self.arch_pack.mesh[1:, packs.INSTANCES].tolist(), strict=True)
        energy, cycles = float(self.cost.total[0]) + sum(self.leaks), int(self.cost.total[1])
        busy = (compute.actual + compute.gated) / compute.instances
        return Evaluation(
            architecture=self.arch.name,
            layer=self.layer.name,
            accounting=self.accounting,
            sparse_report=self.policy is not None,
            cycles=cycles,
            energy_pj=energy,
            utilization=or_nothing(ratio, busy, cycles),
            area_um2=compute.area_um2 + sum(area * instances for area, instances in areas),
            gflops=or_nothing(single_ratio, intensity.total_ops, cycles),
            edp_j_cycles=float(np.float32(cycles)) * energy / 1e12,
            algorithmic_computes=compute.algorithmic,
            actual_computes=compute.actual,
            compute=compute,
            storage=Deferred(lambda: storage_results(self)),
            networks=Deferred(self.networks),
            intensity=intensity,
            warnings=warnings,
            covers=covers_of(self.layer),
        )

    def networks(self) -> tuple[NetworkResult, ...]:
        lowered, counted = (self.arch_pack, self.layer_pack), (self.nest, self.cost)
        return network_results(self.arch, self.energy.wire_pj_per_bit_mm, lowered, counted, self.data)

    def refuse_negative(self) -> None:
        """Raise MappingError for counts and energies below 0, and for energies that are not numbers."""
        wrong = out_of_range(self.sparse, self.cost)
        if wrong is not None:
            raise MappingError(
                f"layer {self.layer.name}: counts and energies must be finite "
                f"numbers of at least 0, got {wrong:g}"
            )

    def compute(self) -> ComputeResult:
        unit, count = self.arch.compute, self.sparse.compute
        x, y, n = (int(i) for i in self.arch_pack.mesh[0])
        used = self.sparse.space[0].prod(axis=1).max()
        return ComputeResult(
            name=unit.name, compute=unit, instances=n, mesh=(x, y),
            energy_per_op_pj=float(self.arch_pack.compute_energy[packs.RANDOM]),
            instances_max=int(used), instances_average=self.average_units(), cycles=self.cc,
            algorithmic=int(self.nest.ops[packs.OPS]), actual=int(count[packs.RANDOM]),
            gated=int(count[packs.GATED]), skipped=int(count[packs.SKIPPED]),
            energy_pj=float(self.cost.level_pj[0]), area_um2=self.energy.compute_area * n,
            area_source=self.energy.compute_area_source,
            energy_source=dict(zip(COMPUTE_ACTIONS, self.energy.compute_sources, strict=True)),
        )  # fmt: skip

    def average_units(self) -> int:
        """Return the average number of units in use. With imperfect factors some are idle in some steps."""
        ops, steps = self.nest.ops[packs.OPS], self.nest.ops[packs.STEPS]
        if ops < steps * self.nest.ops[packs.UNITS]:
            return round(float(ops / steps))
        return int(self.sparse.compute_avg[0])

    def intensity(self, actual: int) -> OperationalIntensity:
        """Operations per byte (model 16.5)."""
        capacity, kept = self.sparse.capacity, self.nest.kept
        words = [self._outermost(capacity[:, v], kept[:, v]) for v in range(len(self.data))]
        words = [self.existing(n, v) for v, n in enumerate(words)]
        results = 0
        if self.accounting != "count-all":
            results = sum(w for w, rw in zip(words, self.layer_pack.read_write, strict=True) if rw)
        reductions = max(actual - results, 0)
        total = actual + reductions
        bits = self.levels[-1].word_bits
        return OperationalIntensity(
            elementwise_ops=actual, results=results, reduction_ops=reductions, total_ops=total,
            memory_accesses_required=sum(words), optimal_ops_per_byte=_per_byte(total, bits, sum(words)),
            levels=Deferred(lambda: self.level_intensities(total)),
        )  # fmt: skip

    def level_intensities(self, total: int) -> tuple[LevelIntensity, ...]:
        kept, dense = self.nest.kept.tolist(), self.nest.counts[:, :, :3].sum(axis=2).tolist()
        average, levels = self.sparse.avg.tolist(), []
        for s, level in enumerate(self.levels):
            accesses = sum(int(average[s + 1][v] * n) for v, n in enumerate(dense[s]) if kept[s][v])
            levels.append(LevelIntensity(level.name, accesses, _per_byte(total, level.word_bits, accesses)))
        return tuple(levels)

    def existing(self, words: int, v: int) -> int:
        """Return the words of dataspace v within the bounds of imperfect dims."""
        for dim in np.flatnonzero(self.layer_pack.real < self.layer_pack.bound):
            if self.layer_pack.relevant[v] >> dim & 1:
                words = words * int(self.layer_pack.real[dim]) // int(self.layer_pack.bound[dim])
        return words

    @staticmethod
    def _outermost(capacity: packs.Ints, kept: packs.Ints) -> int:
        """Utilised capacity at the outermost level where it is not zero."""
        filled = (capacity * kept).nonzero()[0]
        return int(capacity[filled[-1]]) if len(filled) else 0


def out_of_range(sparse: SparsePack, cost: CostPack) -> float | None:
    """Return the first count or energy below 0, or energy that is not a number, if there is one.

    Kernels refuse such sums; this function checks every part of them.
    """
    counts = (sparse.counts, sparse.format, sparse.compute, sparse.reductions, sparse.coded)
    reals = (cost.energy, cost.level_pj, cost.network_pj, sparse.avg)
    whole, real = (np.concatenate([array.ravel() for array in arrays]) for arrays in (counts, reals))
    if whole.min() >= 0 and real.min() >= 0 and real.max() < math.inf:
        return None
    for array in (*counts, *reals):
        least = array.min()
        most = array.max() if array.dtype == np.float64 else least
        if not (least >= 0 and most < math.inf):  # also refuses nan
            return float(least if least < 0 else most)
    return None


def _per_byte(ops: int, bits: int, words: int) -> float:
    return or_nothing(single_ratio, ops, bits * words // 8)
