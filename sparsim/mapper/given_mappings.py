"""Location of given mappings, from which a search starts, in its mapspace."""

from collections.abc import Iterable

import numpy as np

from sparsim.errors import SparsimError
from sparsim.mapper.engine import Engine
from sparsim.mapper.relaxed_mappings import order_number, split_number
from sparsim.model.arrays import KEEP, Ints, MappingPack
from sparsim.model.consistency import check
from sparsim.model.lower import ints, lower_mapping
from sparsim.records import Accelerator, Layer, Mapping


def fitting_rows(accelerator: Accelerator, layer: Layer, mappings: Iterable[Mapping]) -> list[MappingPack]:
    """Lower the mappings whose names, factors and spatial loops fit accelerator and layer; others, for
    example of another design, are left out.
    """
    rows = []
    for mapping in mappings:
        try:
            check(accelerator, layer, mapping)
        except SparsimError:
            continue
        rows.append(lower_mapping(accelerator, layer.shape, mapping))
    return rows


def try_given(engine: Engine, rows: Iterable[MappingPack]) -> None:
    """Evaluate the mappings whose factors and bypass choices are in this part of the mapspace."""
    found = [one for one in (_located(engine, row) for row in rows) if one is not None]
    if found:
        candidates, numbers = (np.stack(each) for each in zip(*found, strict=True))
        engine.try_numbers(engine.make_work(), candidates, numbers)


def _located(engine: Engine, row: MappingPack) -> tuple[Ints, Ints] | None:
    """The candidate (R + 1,) and its numbers of orders and splits (T, 2); the order is the nearest that the
    mapspace has.
    """
    space, (factor, order, split) = engine.space, (row.factor[0], row.order[0], row.split[0])
    tables = [(rows, factor[:, dim]) for dim, rows in enumerate(space.factors)]
    tables.append((space.keep, row.flags[0, :, KEEP]))
    candidate, number = [], ints(len(factor), 2)
    for table, wanted in tables:
        same = np.flatnonzero((table == wanted).all(axis=1))
        if not len(same):
            return None
        candidate.append(int(same[0]))
    for t, dims in enumerate(space.free):
        loops = [dim for dim in order[t].tolist() if factor[t, dim] > 1]
        free = [dim for dim in dims if dim in loops]
        number[t, 0] = order_number(free, [dim for dim in loops if dim in free])
        number[t, 1] = split_number(engine.pack, t, factor[t], order[t, : split[t]].tolist())
    return np.array(candidate, np.int64), number
