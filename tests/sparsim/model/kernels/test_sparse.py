"""The sparse analysis, energy and cycles against a literal re-implementation without arrays."""

from __future__ import annotations

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from naive.cost import Cost
from naive.nest import Problem
from naive.ranks import RefusedError
from naive.sparse import Sparse
from naive.traffic import dense_traffic
from support.small_nests import Case
from support.small_policies import sparse_cases

from sparsim.errors import MappingError
from sparsim.model.evaluate import evaluate
from sparsim.model.result import Evaluation, FormatAccess, TensorTraffic
from sparsim.records.accounting import Accounting
from sparsim.records.energy_table import resolve_energy


def twin(case: Case, accounting: str) -> Cost | None:
    """None: the mapping is invalid."""
    problem = Problem(case.arch, case.layer, case.mapping)
    energy = resolve_energy(case.arch, case.energy)
    traffic = dense_traffic(problem, accounting)
    if any(t.reads < 0 or t.fills < 0 for t in traffic.values()):
        return None
    assert case.policy is not None
    try:
        return Cost(Sparse(problem, case.policy, energy, traffic), energy)
    except RefusedError as reason:
        event(f"invalid: {reason}")
        return None


def kernel(case: Case, accounting: Accounting) -> Evaluation | None:
    try:
        return evaluate(*case.given, accounting=accounting)
    except MappingError:
        return None


@settings(max_examples=150, deadline=None)
@given(case=sparse_cases(), accounting=st.sampled_from(["timeloop-3", "count-drains"]))
def test_agrees_with_the_twin(case: Case, accounting: Accounting) -> None:
    expected, found = twin(case, accounting), kernel(case, accounting)
    assert (expected is None) == (found is None)
    if expected is None or found is None:
        return
    sparse = expected.sparse
    computes = found.compute.actual, found.compute.gated, found.compute.skipped
    assert computes == sparse.compute
    assert found.cycles == expected.cycles
    for (s, v), mine in sparse.tensors.items():
        name = sparse.problem.names[v]
        theirs = next(t for t in found.storage[s].tensors if t.dataspace == name)
        assert summary(theirs) == {
            "tile": mine.words,
            "random": mine.random,
            "gated": mine.removed["gating"],
            "skipped": mine.removed["skipping"],
            "metadata": mine.metadata,
            "gated metadata": mine.removed_metadata["gating"],
            "skipped metadata": mine.removed_metadata["skipping"],
            "reductions": mine.reductions,
            "most": mine.most,
        }, (s, name)
        assert theirs.instances_average == pytest.approx(mine.average, rel=1e-12)
        assert theirs.tile_density == pytest.approx(mine.density, rel=1e-12)
        assert theirs.energy_per_instance_pj == pytest.approx(expected.energy[s, v], rel=1e-12)
    assert [storage.energy_pj for storage in found.storage] == expected.level_energy
    assert found.energy_pj == expected.total


def summary(tensor: TensorTraffic) -> dict[str, object]:
    kinds = (tensor.reads, tensor.fills, tensor.updates)
    formats = (tensor.format_reads, tensor.format_fills, tensor.format_updates)
    return {
        "tile": tensor.tile_words,
        "random": [kind.actual for kind in kinds],
        "gated": [kind.gated for kind in kinds],
        "skipped": [kind.skipped for kind in kinds],
        "metadata": [units(access, "actual") for access in formats],
        "gated metadata": [units(access, "gated") for access in formats],
        "skipped metadata": [units(access, "skipped") for access in formats],
        "reductions": tensor.temporal_reductions,
        "most": tensor.utilized_words,
    }


def units(access: FormatAccess, outcome: str) -> list[list[int]]:
    return [list(row) for row in reversed(getattr(access, outcome))]
