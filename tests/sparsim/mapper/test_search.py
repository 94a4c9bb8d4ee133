"""Search against listing everything; budgets, threads, seeds, interrupts, certificates."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from naive.search import list_mappings
from small_mapspaces import Search, searches

from sparsim.errors import MappingError
from sparsim.evaluation import evaluate
from sparsim.mapper.objective import values
from sparsim.mapper.search import search

DRAWN = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
OBJECTIVES = [("energy",), ("delay",), ("edp",), ("delay", "energy"), ("energy", "delay")]


def found(result):
    return [
        tuple(values(result.objective, one.energy_pj, float(one.cycles)).tolist()) for one in result.top
    ]


@DRAWN
@given(searches(), st.sampled_from(OBJECTIVES))
def test_exhaustive_is_the_best_of_all(drawn: Search, objective: tuple[str, ...]) -> None:
    """Against a list with all positions of trivial loops, where no format sees them."""
    everything = drawn.case.policy is None
    listed = list_mappings(drawn.case, drawn.space, drawn.accounting, test_fan=True, unit_loops=everything)
    best = listed.values(objective)
    options = {"objective": objective, "method": "exhaustive", "accounting": drawn.accounting}
    if not best:
        with pytest.raises(MappingError, match="no mapping is valid"):
            search(*drawn.arguments, **options)
        return
    result = search(*drawn.arguments, **options)
    assert found(result) == best[:1]
    assert result.certificate.kind == "optimal"
    assert result.certificate.value == result.certificate.lower_bound == best[0][0]
    again = evaluate(*drawn.case[:4], result.best, accounting=drawn.accounting)
    assert (again.energy_pj, again.cycles) == (result.energy_pj, result.cycles)
    counts = result.statistics
    assert counts.arrangements == counts.evaluated + counts.arrangements_over_fan_out + (
        counts.arrangements_over_capacity + counts.arrangements_over_bound
    )


@DRAWN
@given(searches(), st.sampled_from(OBJECTIVES))
def test_top_is_the_start_of_the_sorted_list(drawn: Search, objective: tuple[str, ...]) -> None:
    listed = list_mappings(drawn.case, drawn.space, drawn.accounting, test_fan=True, unit_loops=False)
    best = listed.values(objective)
    assume(best)
    options = {"objective": objective, "method": "exhaustive", "accounting": drawn.accounting}
    assert found(search(*drawn.arguments, top=7, **options)) == best[:7]
