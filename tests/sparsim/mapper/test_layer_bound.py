"""No mapping of a mapspace is below the bound of its layer, which takes no search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace
from naive.search import list_mappings
from support.small_searches import Search, losing_a_word, searches

from pointnet.original.published_runs import DESIGNS, runs, study_mapspace
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.mapper import layer_bound
from sparsim.mapper.covered_parts import list_parts
from sparsim.mapper.layer_bound import bound_layer
from sparsim.model import arrays as packs
from sparsim.model.evaluate import evaluate
from sparsim.records import CONV, Layer

DRAWN = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@DRAWN
@given(searches())
def test_no_valid_mapping_is_below_the_bound_of_its_layer(search: Search) -> None:
    check_bound(search)


def test_it_counts_the_word_that_rounding_takes_from_fills() -> None:
    check_bound(losing_a_word())


def check_bound(search: Search) -> None:
    energy_pj, cycles = bound_layer(*search.arguments)
    listed = list_mappings(search.case, search.space, "timeloop-3", test_fan=True, unit_loops=False)
    valid = np.flatnonzero(listed.result.status == packs.OK)
    assert (energy_pj <= listed.result.energy_pj[valid]).all()
    assert (cycles <= listed.result.cycles[valid]).all()


@pytest.mark.parametrize("design", ["onchip", "gating"])
def test_it_is_near_what_the_published_mappings_of_the_study_reach(design: str) -> None:
    accelerator = replace(load_accelerator(DESIGNS[design]), mapspace=study_mapspace())
    for run in runs():
        if (run.design, run.variant) == (design, "sparse") and run.layer.bounds["C"] not in (3, 131):
            energy_pj, cycles = bound_layer(accelerator, run.layer)
            found = evaluate(accelerator, run.layer, run.mapping)
            assert 0.2 * found.energy_pj < energy_pj <= found.energy_pj
            assert 0 < cycles <= found.cycles


def test_a_long_first_step_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = replace(load_accelerator(DESIGNS["onchip"]), mapspace=study_mapspace())
    layer = Layer(name="fc", shape=CONV, bounds=dict.fromkeys(CONV.dims, 1) | {"M": 64, "C": 12})
    energy_pj, cycles = bound_layer(accelerator, layer)
    monkeypatch.setattr(layer_bound, "CHEAP_US", 0.0)
    less, same = bound_layer(accelerator, layer)
    assert 0 < less < energy_pj
    assert same == cycles


def test_of_padded_dims_the_least_of_all_covered_bounds() -> None:
    mapspace = replace(study_mapspace(), divisibility={"C": "imperfect"})
    accelerator = replace(load_accelerator(DESIGNS["onchip"]), mapspace=mapspace)
    layer = Layer(name="fc", shape=CONV, bounds=dict.fromkeys(CONV.dims, 1) | {"M": 64, "C": 131})
    parts = list_parts(accelerator, layer)
    assert len(parts) > 1
    alone = replace(accelerator, mapspace=study_mapspace())
    assert bound_layer(accelerator, layer)[1] <= bound_layer(alone, layer)[1]
