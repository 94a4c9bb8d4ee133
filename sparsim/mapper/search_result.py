"""What a search returns: the best mappings, how far they may be from the optimum, and what was tried."""

from __future__ import annotations

from typing import Literal, NamedTuple

from sparsim.mapper.indexed_mapspace import Sizes
from sparsim.model.result import ResultRecord
from sparsim.records import Mapping
from sparsim.records.divisibility import Cover


class Found(NamedTuple):
    """A mapping with its results.

    Attributes
    ----------
    mapping : Mapping
        The mapping.
    energy_pj : float
        Energy of the layer in pJ.
    cycles : int
        Cycles of the layer.
    covers : tuple of Cover
        The dims that the mapping pads or cuts short.
    values : tuple of float
        Values of the objectives, and of what decides between equals.
    """

    mapping: Mapping
    energy_pj: float
    cycles: int
    covers: tuple[Cover, ...] = ()
    values: tuple[float, ...] = ()


class Certificate(ResultRecord, frozen=True, kw_only=True):
    """What a search has proven about the first objective of the best mapping.

    Attributes
    ----------
    kind : {"optimal", "gap"}
        "optimal" means that no mapping of the mapspace is better in any of the objectives, in their order;
        "gap" means that none is below `lower_bound` in the first objective.
    objective : str
        Name of the first objective.
    value : float
        Its value for the best mapping: pJ ("energy"), cycles ("delay"), pJ x cycles ("edp") or words
        (accesses).
    lower_bound : float
        A value that no mapping of the mapspace is below, in the same unit.
    gap : float
        How much a better mapping could save at most: `(value - lower_bound) / value`, from 0 to 1.
    statement : str
        The same as a sentence.
    """

    kind: Literal["optimal", "gap"]
    objective: str
    value: float
    lower_bound: float
    gap: float
    statement: str


class Statistics(ResultRecord, frozen=True, kw_only=True):
    """How many mappings a search has rejected and evaluated.

    A candidate is one factorisation of every dim with one choice of what is kept; an arrangement is a
    candidate with an order and a split. What is rejected is not evaluated.

    Attributes
    ----------
    candidates, candidates_over_fan_out, candidates_over_capacity, candidates_over_bound : int
        Candidates that were looked at, and those that were rejected because they exceed the fan-out or a
        capacity, or because they cannot be better than the best mapping.
    arrangements, arrangements_over_fan_out, arrangements_over_capacity, arrangements_over_bound : int
        The same for arrangements.
    evaluated : int
        Mappings that were evaluated.
    valid : int
        Mappings of these that are valid.
    cpu_s : float
        CPU time in seconds.
    """

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
    """The best mappings that a search has found.

    Attributes
    ----------
    objective : tuple of str
        Names of the objectives, the most important one first.
    method : str
        The method that was used: "exhaustive", "random" or "local".
    top : tuple of Found
        The best mappings, the best one first; equal ones have the order of the mapspace.
    certificate : Certificate
        What is proven about the best mapping.
    statistics : Statistics
        How many mappings were rejected and evaluated.
    sizes : Sizes
        How many mappings the mapspace has.
    interrupted : bool
        Whether Ctrl-C has ended the search, so that the next run may find other mappings.
    """

    objective: tuple[str, ...]
    method: str
    top: tuple[Found, ...]
    certificate: Certificate
    statistics: Statistics
    sizes: Sizes
    interrupted: bool = False

    def uncut(self) -> SearchResult:
        """Return the result, unless Ctrl-C has ended the search.

        Returns
        -------
        SearchResult
            The result itself.

        Raises
        ------
        KeyboardInterrupt
            If the search was interrupted: the best mapping so far is not one to keep.
        """
        if self.interrupted:
            raise KeyboardInterrupt
        return self

    @property
    def best(self) -> Mapping:
        """The best mapping."""
        return self.top[0].mapping

    @property
    def energy_pj(self) -> float:
        """Energy of the layer under the best mapping in pJ."""
        return self.top[0].energy_pj

    @property
    def cycles(self) -> int:
        """Cycles of the layer under the best mapping."""
        return self.top[0].cycles
