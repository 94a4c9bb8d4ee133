"""Counts of accesses and energies of one layer under many mappings and densities, without a report."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Dict
from typing import Any, NamedTuple

import numpy as np

from sparsim.model import arrays
from sparsim.model.arrays import DensityPack, Ints, LayerPack, MappingPack, Reals
from sparsim.model.kernel_calls import run_counts
from sparsim.model.lower import ACCOUNTING, lower_arch, lower_density, lower_layer, lower_policy
from sparsim.model.workspace import make_nest, make_scratch, most_children
from sparsim.records import Accelerator, Density, Layer
from sparsim.records.divisibility import cover, covers_of, diluted, padded_words
from sparsim.records.mapping import Divisibility

NOWHERE = -2  # no level: storage levels are numbered from 0, and -1 is the arithmetic


class BatchCounts(NamedTuple):
    """One row per pair of a mapping and densities. Where `status` is not 0 the pair is invalid
    (`sparsim.model.status.REASONS`) and the numbers say nothing.
    """

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
    """Compute the counts of `evaluate` for every mapping with every row of densities, in a hundredth of its
    time.

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
    covered = mappings.factor.prod(axis=1)
    first, kind = distinct_rows(covered)
    bounds = covered[first]
    covers = [_cover(layer, divisibility, tuple(each)) for each in bounds.tolist()]
    layers = [lower_layer(each) for each in covers]
    lowered = [_lower_densities(layer, each, densities) for each in covers]
    most_words = np.max([each.words for each in layers], axis=0)
    largest = layers[0]._replace(bound=bounds.max(axis=0), words=most_words)
    nest = make_nest(arch_pack, largest, policy_pack, most_children(arch_pack, largest, mappings))
    scratch = make_scratch(arch_pack, largest, lowered[0][0], policy_pack, nest)
    n, m = len(kind), len(densities)
    row, each = kind.repeat(m), np.tile(np.arange(m), n)
    first_pj = 3 + len(nest.kept)  # after pJ, cycles, status and accesses of every storage level
    out = np.zeros((n * m, first_pj + len(scratch.cost.level_pj)))
    actual = np.zeros((n * m, *nest.kept.shape, 3), np.int64)
    run_counts(
        arch_pack, LayerPack(*_rows_of(layers, row)),
        DensityPack(*_rows_of(list(itertools.chain(*lowered)), row * m + each)), policy_pack,
        MappingPack(*(field.repeat(m, axis=0) for field in mappings)), ACCOUNTING["timeloop-3"], scratch,
        out, actual,
    )  # fmt: skip
    status = out[:, 2].astype(np.int64)
    level = np.where(status == arrays.OK, NOWHERE, out[:, 0]).astype(np.int64)
    return BatchCounts(status, level, actual, out[:, first_pj:])


def distinct_rows(array: Ints) -> tuple[Ints, Ints]:
    """Return the index of the first of each distinct row, in order, and for every row the number of its
    distinct row. It is faster than np.unique for few and long rows.
    """
    known: dict[bytes, int] = {}
    first: list[int] = []
    which = np.empty(len(array), np.int64)
    for i, row in enumerate(np.ascontiguousarray(array)):
        which[i] = known.setdefault(row.tobytes(), len(known))
        if which[i] == len(first):
            first.append(i)
    return np.array(first, np.int64), which


def _cover(layer: Layer, divisibility: Dict[str, Divisibility], bounds: tuple[int, ...]) -> Layer:
    """Return the layer with these bounds; the result is cached with the layer."""
    known: dict[tuple[int, ...], Layer] = layer.kept("covers", (divisibility,), dict)
    if bounds not in known:
        known[bounds] = cover(layer, divisibility, dict(zip(layer.shape.dims, bounds, strict=True)))
    return known[bounds]


def _rows_of(packs: Sequence[LayerPack] | Sequence[DensityPack], rows: Ints) -> Iterator[Any]:
    """Return one pack whose fields contain these rows of `packs`."""
    return (np.stack(field)[rows] for field in zip(*packs, strict=True))


def _lower_densities(layer: Layer, covered: Layer, densities: Reals) -> list[DensityPack]:
    """Return the densities of the covered layer, in which tensors enlarged by padding keep their number of
    nonzeros.
    """
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
