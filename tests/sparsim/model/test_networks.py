"""Networks between levels, with and without names, against their twin and in all ways to evaluate."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from naive.nest import Problem
from naive.networks import network_energies
from naive.search import list_mappings
from naive.traffic import dense_traffic
from support.small_nests import Case, dense_cases
from support.small_policies import Network as FrozenCase
from support.small_policies import every_price, networks
from support.small_searches import Search, searches

from sparsim.errors import MappingError, SpecError
from sparsim.mapper.search import search
from sparsim.model.evaluate import evaluate, evaluate_batch
from sparsim.model.frozen import Frozen
from sparsim.records import Architecture, Density, Layer, NamedNetwork, Network, Transfer

PRICES = st.sampled_from([0.0, 0.5, 1.25, 3.0])
AREA = 4e6


@st.composite
def meshes(draw: Any, make: Any, **fields: Any) -> Any:
    return make(
        router_energy_pj=draw(st.none() | PRICES), wire_energy_pj_per_bit_mm=draw(st.none() | PRICES),
        energy_per_hop_pj=draw(st.none() | PRICES), energy_per_ingress_pj=draw(st.none() | PRICES), **fields,
    )  # fmt: skip


@st.composite
def named(draw: Any, name: str, kinds: tuple[str, ...], tensors: list[str]) -> NamedNetwork:
    kind = draw(st.sampled_from(kinds))
    fields = {"name": name, "kind": kind, "word_bits": draw(st.sampled_from([8, 16]))}
    fields["latency_cycles"] = draw(st.integers(0, 3))
    if kind == "mesh":
        return draw(meshes(NamedNetwork, **fields))
    if kind == "reduction_tree":
        return NamedNetwork(
            wire_energy_pj_per_bit_mm=draw(PRICES), adder_energy_pj=draw(st.none() | PRICES), **fields
        )
    transfer = st.builds(
        Transfer, dataspace=st.sampled_from([None, *tensors]),
        multicast=st.sampled_from([None, 1, 2, 3, 4, 6]), energy_pj=PRICES,
    )  # fmt: skip
    return NamedNetwork(transfers=tuple(draw(st.lists(transfer, max_size=4))), **fields)


@st.composite
def below_a_level(draw: Any, name: str, tensors: list[str]) -> Network:
    """The network of a level: the automatic one, or others for one or both directions."""
    own = draw(meshes(Network, fill_latency_cycles=draw(st.integers(0, 3))))
    if draw(st.booleans()):
        own = replace(own, read=draw(named(f"{name} in", ("mesh", "multicast"), tensors)))
    if draw(st.booleans()):
        kinds = ("mesh", "multicast", "reduction_tree", "reduction_tree")
        own = replace(own, update=draw(named(f"{name} back", kinds, tensors)))
    return own


def with_networks(draw: Any, arch: Architecture, tensors: list[str]) -> Architecture:
    storage = tuple(
        replace(level, network=draw(below_a_level(level.name, tensors)), cluster_area_um2=AREA)
        for level in arch.storage
    )
    return replace(arch, storage=storage, compute=replace(arch.compute, area_um2=AREA))


@st.composite
def cases(draw: Any) -> Case:
    case = draw(dense_cases())
    tensors = [d.name for d in case.layer.shape.dataspaces]
    arch = with_networks(draw, case.arch, tensors)
    return case._replace(arch=arch, energy=every_price(arch))


def without_networks(case: Case) -> Case:
    storage = tuple(replace(level, network=Network()) for level in case.arch.storage)
    return case._replace(arch=replace(case.arch, storage=storage))


@settings(max_examples=60, deadline=None)
@given(case=cases())
def test_energies_and_latencies_are_those_of_the_twin(case: Case) -> None:
    try:
        plain = evaluate(*without_networks(case).given)
    except MappingError:
        return
    found = evaluate(*case.given)
    problem = Problem(case.arch, case.layer, case.mapping)
    areas = [AREA] * (len(case.arch.storage) + 1)
    twin = network_energies(problem, dense_traffic(problem, "timeloop-3"), areas)
    assert {one.name: one.energy_pj for one in found.networks} == pytest.approx(twin, rel=1e-12)
    total = plain.energy_pj
    for _, energy in sorted((one.name, one.energy_pj) for one in found.networks):
        total += energy
    assert found.energy_pj == pytest.approx(total, rel=1e-12)
    latency = sum(one.fill_latency_cycles + one.drain_latency_cycles for one in found.networks)
    assert found.cycles == plain.cycles + latency
    batch = evaluate_batch(*case.given[:2], [case.mapping])
    assert (batch.energy_pj[0], batch.cycles[0]) == (found.energy_pj, found.cycles)


def _half(layer: Layer, tensor: str) -> Density:
    return Density(distribution=layer.density(tensor).distribution, density=0.5)


@settings(max_examples=25, deadline=None)
@given(network=networks(), data=st.data())
def test_frozen_layers_cost_what_single_ones_do(network: FrozenCase, data: st.DataObject) -> None:
    """Also on an accelerator whose networks have other prices."""
    tensors = ["Weights", "Inputs", "Outputs"]
    arch = with_networks(data.draw, network.arch, tensors)
    try:
        frozen = Frozen(*network._replace(arch=arch).given)
    except MappingError:
        return
    half = [replace(layer, densities={n: _half(layer, n) for n in tensors}) for layer in network.layers]
    for priced in (arch, with_networks(data.draw, network.arch, tensors)):
        accelerator, layers, mappings = network._replace(arch=priced).given
        try:
            singles = [evaluate(accelerator, *pair) for pair in zip(half, mappings, strict=True)]
        except MappingError:
            continue
        found = frozen.on(accelerator)([[0.5] * 3 for _ in layers])
        assert found.energy_pj.tolist() == [one.energy_pj for one in singles]
        assert found.cycles.tolist() == [one.cycles for one in singles]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn=searches(dense=True), data=st.data())
def test_searches_find_the_best_with_their_networks(drawn: Search, data: st.DataObject) -> None:
    case = drawn.case
    arch = with_networks(data.draw, case.arch, [d.name for d in case.layer.shape.dataspaces])
    drawn = drawn._replace(case=case._replace(arch=arch))
    listed = list_mappings(drawn.case, drawn.space, drawn.accounting, test_fan=True, unit_loops=True)
    best = listed.values(("energy",))
    if not best:
        return
    result = search(*drawn.arguments, objective="energy", method="exhaustive", accounting=drawn.accounting)
    assert result.energy_pj == best[0][0]
    accelerator, layer = drawn.arguments
    again = evaluate(accelerator, layer, result.best, accounting=drawn.accounting)
    assert (again.energy_pj, again.cycles) == (result.energy_pj, result.cycles)


@pytest.mark.parametrize(
    "make",
    [
        lambda: NamedNetwork(name="n", kind="mesh", action="move"),
        lambda: NamedNetwork(name="n", router_energy_pj=1.0),
        lambda: NamedNetwork(name="n", kind="reduction_tree", energy_per_hop_pj=1.0),
        lambda: NamedNetwork(name="n", kind="mesh", adder_energy_pj=1.0),
        lambda: NamedNetwork(name="n", kind="mesh", router_energy_pj=-1.0),
        lambda: NamedNetwork(name="n", kind="ring"),
        lambda: Network(read=NamedNetwork(name="n", kind="reduction_tree")),
        lambda: Network(type="M:N", read=NamedNetwork(name="n")),
    ],
)
def test_records_that_contradict_themselves_are_refused(make: Any) -> None:
    with pytest.raises(SpecError):
        make()
