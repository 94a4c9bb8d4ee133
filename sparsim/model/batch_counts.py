"""Counts of accesses and energies of one layer under many mappings and densities, without a report."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from typing import Any, NamedTuple

import numpy as np

from sparsim.model import arrays
from sparsim.model.arrays import DensityPack, Ints, MappingPack, Reals
from sparsim.model.decode import out_of_range
from sparsim.model.kernel_calls import stacked
from sparsim.model.kernels.driver import ANALYSE, FINISH, run
from sparsim.model.lower import ACCOUNTING, lower_arch, lower_density, lower_layer, lower_policy
from sparsim.model.workspace import make_nest, make_scratch, most_children, no_table
from sparsim.records import Accelerator, Density, Layer
from sparsim.records.divisibility import cover, covers_of, diluted, padded_words
from sparsim.records.mapping import Divisibility

NOWHERE = -2  # neither a storage level nor, which is -1, the arithmetic


class BatchCounts(NamedTuple):
    """One row per pair of a mapping and densities. Where `status` is not 0 the pair is invalid
    (`sparsim.model.status.REASONS`) and the numbers say nothing."""

    status: Ints  # (n,)
    level: Ints  # (n,) the storage level where an invalid one does not fit, -1: the arithmetic
    actual: Ints  # (n, S, D, A) accesses that happen, per instance
    level_pj: Reals  # (n, H) energy of all instances

    def take(self, rows: Any) -> BatchCounts:
        return BatchCounts(*(field[rows] for field in self))


def count_batch(
    accelerator: Accelerator,
    layer: Layer,
    mappings: MappingPack,
    divisibility: Dict[str, Divisibility],
    densities: Reals,
) -> BatchCounts:
    """What `evaluate` counts for every mapping with every row of densities, at a hundredth of its time.

    Parameters
    ----------
    layer : with densities that are fixed-structured; how large they are does not count
    mappings : n mappings, of which at least one was checked
    divisibility : policies of the dims that mappings may cover beyond their bounds
    densities : (m, D) nonzero fractions

    Returns
    -------
    n * m rows, all densities of the first mapping first.
    """
    arch_pack, policy_pack = lower_arch(accelerator), lower_policy(accelerator, layer.shape)
    bounds, kind = np.unique(mappings.factor.prod(axis=1), axis=0, return_inverse=True)
    covers = [
        cover(layer, divisibility, dict(zip(layer.shape.dims, n, strict=True))) for n in bounds.tolist()
    ]
    layers = [lower_layer(each) for each in covers]
    lowered = [_lower_densities(layer, each, densities) for each in covers]
    most_words = np.max([each.words for each in layers], axis=0)
    largest = layers[0]._replace(bound=bounds.max(axis=0), words=most_words)
    nest = make_nest(arch_pack, largest, policy_pack, most_children(arch_pack, largest, mappings))
    scratch = make_scratch(arch_pack, largest, lowered[0][0], policy_pack, nest)
    one_layer, one_density = [stacked(each) for each in layers], [list(map(stacked, row)) for row in lowered]
    one_nest, table, networks = stacked(nest), no_table(nest), arch_pack.has_priced_networks
    out = np.empty((len(kind), 3))

    def call(mode: int, b: int, k: int, d: int) -> int:
        run(
            mode, arch_pack, one_layer[k], one_density[k][d], policy_pack, table, mappings, b, b + 1,
            ACCOUNTING["timeloop-3"], networks, one_nest, scratch.sparse, scratch.cost, out,
        )  # fmt: skip
        return int(out[b, 2])

    rows = len(kind) * len(densities)
    found = BatchCounts(
        status=np.zeros(rows, np.int64), level=np.full(rows, NOWHERE),
        actual=np.zeros((rows, *nest.kept.shape, 3), np.int64),
        level_pj=np.zeros((rows, len(scratch.cost.level_pj))),
    )  # fmt: skip
    both = len(densities) == 1  # in one call
    for row in range(rows):
        b, d = divmod(row, len(densities))
        k = int(kind.flat[b])
        if d == 0:
            nest.info[:] = 0.0
            analysed = call(ANALYSE | FINISH if both else ANALYSE, b, k, 0)
        status = analysed if both or analysed != arrays.OK else call(FINISH, b, k, d)
        if status != arrays.OK:
            found.level[row] = nest.info[0]
        elif out_of_range(scratch.sparse, scratch.cost) is not None:
            status = arrays.BAD_TOTAL
        else:
            found.actual[row] = scratch.sparse.counts[..., arrays.RANDOM]
            found.level_pj[row] = scratch.cost.level_pj
        found.status[row] = status
    return found


def _lower_densities(layer: Layer, covered: Layer, densities: Reals) -> list[DensityPack]:
    """Those of the covered layer: in tensors that padding makes larger there are as many nonzeros."""
    words = padded_words(layer, covers_of(covered))
    kind, names = lower_density(layer).kind, [dataspace.name for dataspace in layer.shape.dataspaces]
    return [
        DensityPack(
            kind,
            np.array(
                [
                    diluted(Density(density=d), *words[name]).density if name in words else d
                    for name, d in zip(names, row, strict=True)
                ]
            ),
        )
        for row in densities.tolist()
    ]
