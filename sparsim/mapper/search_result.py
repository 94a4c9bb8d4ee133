"""What a search returns: the best mappings, how far they may be from the optimum, and what was tried."""

from __future__ import annotations

from typing import Literal, NamedTuple

from sparsim.mapper.indexed_mapspace import Sizes
from sparsim.model.result import ResultRecord
from sparsim.records import Mapping
from sparsim.records.divisibility import Cover


class Found(NamedTuple):
    """One mapping with its results."""

    mapping: Mapping
    energy_pj: float
    cycles: int
    covers: tuple[Cover, ...] = ()  # its padded and imperfect dims
    values: tuple[float, ...] = ()  # of the objectives, and of what decides between equals


class Certificate(ResultRecord, frozen=True, kw_only=True):
    """What is proven about `value`, the first objective of the best mapping.

    `kind` "optimal": no mapping of the mapspace is better in any of the objectives, in their order;
    "gap": none is below `lower_bound` in the first objective. `gap` is (value - lower_bound) / value.
    """

    kind: Literal["optimal", "gap"]
    objective: str
    value: float
    lower_bound: float
    gap: float
    statement: str


class Statistics(ResultRecord, frozen=True, kw_only=True):
    """A candidate is one factorisation of every dim with one bypass choice; an arrangement is a candidate
    with an order and a split. What is rejected is not evaluated."""

    candidates: int = 0
    candidates_over_fan_out: int = 0
    candidates_over_capacity: int = 0
    candidates_over_bound: int = 0
    arrangements: int = 0
    arrangements_over_fan_out: int = 0
    arrangements_over_capacity: int = 0
    arrangements_over_bound: int = 0
    evaluated: int = 0
    valid: int = 0
    cpu_s: float = 0.0


class SearchResult(ResultRecord, frozen=True, kw_only=True):
    """`top` holds the best mappings, best first; equal ones in the order of the mapspace. `interrupted`:
    ended by Ctrl-C, so that the next run may find others."""

    objective: tuple[str, ...]
    method: str
    top: tuple[Found, ...]
    certificate: Certificate
    statistics: Statistics
    sizes: Sizes
    interrupted: bool = False

    def uncut(self) -> SearchResult:
        """This, or KeyboardInterrupt if Ctrl-C ended the search: then the best so far is none to keep."""
        if self.interrupted:
            raise KeyboardInterrupt
        return self

    @property
    def best(self) -> Mapping:
        return self.top[0].mapping

    @property
    def energy_pj(self) -> float:
        return self.top[0].energy_pj

    @property
    def cycles(self) -> int:
        return self.top[0].cycles
