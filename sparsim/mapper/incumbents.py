"""The best mappings that a search has found so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from sparsim.model.arrays import Ints, Reals
from sparsim.records import Layer


class Entry(NamedTuple):
    """A mapping that was found, with the values by which it is compared."""

    values: tuple[float, ...]
    part: int
    # position in this part of the mapspace, which after the part decides between equals
    place: tuple[int, ...]
    row: tuple[Ints, Ints, Ints, Ints]  # row of the MappingPack
    energy_pj: float
    cycles: int
    layer: Layer  # layer with the part's covered bounds


class Incumbents:
    """The best `top` mappings, best first."""

    def __init__(self, top: int, n_objectives: int, entries: Iterable[Entry] = ()) -> None:
        self.top, self._n_objectives = top, n_objectives
        self.entries: list[Entry] = list(entries)

    def copy(self) -> Incumbents:
        return Incumbents(self.top, self._n_objectives, self.entries)

    @property
    def limit(self) -> Reals:
        """Return (objectives,): the values that a mapping must not exceed to be among the best."""
        if len(self.entries) < self.top:
            return np.full(self._n_objectives, np.inf)
        return np.array(self.entries[-1].values)

    def beats(self, values: tuple[float, ...], part: int, place: tuple[int, ...]) -> bool:
        """Return whether no mapping of the candidate at `place`, whose mappings are not below `values`, is
        among the best.
        """
        if len(self.entries) < self.top:
            return False
        last = self.entries[-1]
        return (values, part, place) > (last.values, last.part, last.place[: len(place)])

    def promising(self, found: Reals) -> list[int]:
        """Return the rows that include the best `top`, best first: valid ones that are no worse than the
        limit and than `top` others.
        """
        valid = np.flatnonzero(~np.isnan(found[:, 0]))
        order = valid[np.lexsort(found[valid].T[::-1])]
        if not len(order):
            return []
        last = tuple(found[order[min(self.top, len(order)) - 1]].tolist())
        limit = min(tuple(self.limit.tolist()), last)
        chosen = []
        for i in order.tolist():
            if tuple(found[i].tolist()) > limit:
                break
            chosen.append(i)
        return chosen

    def keep(self, entry: Entry) -> None:
        if any((entry.part, entry.place) == (other.part, other.place) for other in self.entries):
            return
        entries = sorted([*self.entries, entry], key=lambda e: (e.values, e.part, e.place))
        self.entries = entries[: self.top]
