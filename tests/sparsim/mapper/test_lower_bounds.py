"""Lower bounds are lower bounds, and what the enumeration rejects early is invalid."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from naive.search import list_mappings
from small_searches import Search, searches

from sparsim import packs
from sparsim.kernels.candidates import enumerate_candidates
from sparsim.lower import ints, reals
from sparsim.mapper.engine import Budget, Engine, Problem

DRAWN = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


def make_engine(search: Search) -> Engine:
    problem = Problem(*search.case[:4], search.accounting)
    budget = Budget(None, None)
    return Engine(problem, search.space, ("energy",), top=1, threads=1, budget=budget, progress=None)


def enumerate_all(engine: Engine) -> tuple[dict[tuple[int, ...], np.ndarray], np.ndarray]:
    """(bounds of the candidates that pass, numbers rejected) when nothing is too slow or too expensive."""
    n_dims, number = len(engine.space.factors), 100_000
    out, values, rejected = ints(number, n_dims + 1), reals(number, 2), reals(3)
    n, done = enumerate_candidates(
        *engine.head, engine.make_work(), engine.codes, engine.limit, ints(n_dims), n_dims, 10**7, out,
        values, rejected,
    )  # fmt: skip
    assert done
    return {tuple(row): values[i] for i, row in enumerate(out[:n].tolist())}, rejected


@DRAWN
@given(searches())
def test_no_valid_mapping_is_below_its_bound_or_rejected(search: Search) -> None:
    engine = make_engine(search)
    bounds, rejected = enumerate_all(engine)
    candidates = np.prod([*(len(f) for f in search.space.factors), len(search.space.keep)])
    assert len(bounds) + rejected.sum() == candidates
    listed = list_mappings(search.case, search.space, search.accounting, test_fan=True, unit_loops=True)
    for i in np.flatnonzero(listed.result.status == packs.OK):
        least_cycles, least_energy = bounds[listed.candidate[i]]
        assert least_cycles <= listed.result.cycles[i]
        assert least_energy <= listed.result.energy_pj[i]
        assert engine.least[0] <= listed.result.cycles[i]
        assert engine.least[1] <= listed.result.energy_pj[i]
