"""Chips with more PEs are the same chips."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.named import naming

from sparsim.errors import SpecError
from sparsim.files.sparsim_yaml import load_workload
from sparsim.machines.eyeriss import load_chip, plan_layer
from sparsim.machines.eyeriss.chip import IACT_GLB, PSUM_GLB
from sparsim.machines.eyeriss.scaled_chip import scaled


@pytest.mark.parametrize("name", ["eyeriss_v1", "eyeriss_v1_5", "eyeriss_v2"])
def test_a_chip_scaled_to_its_own_size_is_itself_but_for_the_name(name: str) -> None:
    chip = load_chip(name)
    noc = chip.spec.noc
    same = scaled(chip, noc.clusters, noc.pe_rows, noc.pe_columns)
    assert same == chip._replace(spec=replace(chip.spec, name=f"{name}_192"))


def test_pes_routers_glb_and_clock_grow_together() -> None:
    chip = load_chip("eyeriss_v1_5")
    large = scaled(chip, (8, 8), 4, 4)
    assert large.spec.noc.pes == 1024
    assert {n.role: n.routers_per_cluster for n in large.spec.noc.networks} == {
        "iact": 3, "weight": 4, "psum": 4,
    }  # fmt: skip
    sizes = [{level.name: level.size_words for level in x.architecture.storage} for x in (chip, large)]
    for level in (PSUM_GLB, IACT_GLB):
        assert (sizes[1][level] or 0) * 192 == (sizes[0][level] or 0) * 1024 > 0
    assert large.spec.clock_pj_per_cycle == pytest.approx(chip.spec.clock_pj_per_cycle * 1024 / 192)
    assert large.spec.control_pj_per_pe_cycle == chip.spec.control_pj_per_pe_cycle


def test_a_mesh_of_four_times_the_pes_is_four_times_as_fast_where_a_bus_is_not() -> None:
    layer = load_workload("alexnet").layers[-1]  # every weight is used once
    mesh, bus = load_chip("eyeriss_v1_5"), load_chip("eyeriss_v1")
    small, large = (plan_layer(scaled(mesh, (n, n), 4, 4), layer).cycles for n in (2, 4))
    assert 3.5 < small / large <= 4.0
    small, large = (plan_layer(scaled(bus, (1, 1), n, n), layer).cycles for n in (8, 16))
    assert 1.0 < small / large < 1.3  # less of the filters of a larger pass is prefetched


def test_a_chip_without_pes_is_an_error() -> None:
    with pytest.raises(SpecError, match=naming("cluster_rows 0")):
        scaled(load_chip("eyeriss_v2"), (0, 2), 3, 4)
