"""One mapping, many mappings and fixed mappings give the same numbers, to the last bit."""

from __future__ import annotations

import pickle
import random
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import accelerator, loops, mapping, matmul, sliding_window, uniform
from support.named import naming
from support.small_nests import Case, dense_cases
from support.small_policies import Network, networks, sparse_cases

from sparsim.errors import MappingError, SparsimError, SpecError
from sparsim.model import arrays as packs
from sparsim.model.evaluate import evaluate, evaluate_batch
from sparsim.model.frozen import Frozen
from sparsim.model.result import Deferred
from sparsim.records import Density, LevelMapping, Mapping, Nest, Option, Saf, SparsePolicy
from validation.random_cases import draw_case

Answer = tuple[float, float, list[float]] | None


def single(case: Case) -> Answer:
    """(pJ, cycles, accesses of every level); None: invalid."""
    try:
        result = evaluate(*case.given)
    except MappingError:
        return None
    return result.energy_pj, result.cycles, [float(level.accesses) for level in result.intensity.levels]


def batch(case: Case, mappings: list[Mapping], threads: int) -> list[Answer]:
    found = evaluate_batch(*case.given[:2], mappings, threads=threads)
    rows = zip(*(field.tolist() for field in found), strict=True)
    return [(pj, cycles, words) if status == packs.OK else None for pj, cycles, status, words in rows]


@st.composite
def reordered(draw: Any, original: Mapping) -> Mapping:
    """The same loops in another order, other tensors bypassed (but at the outermost level)."""
    levels = []
    for i, level in enumerate(original.levels):
        dims = tuple(level.temporal.factors)
        order = tuple(draw(st.permutations(dims)))
        nest = Nest(factors=level.temporal.factors, order=order)
        keep = draw(st.booleans()) or i == 0
        levels.append(msgspec.structs.replace(level, temporal=nest, bypass=() if keep else level.bypass))
    return Mapping(levels=tuple(levels))


@st.composite
def batches(draw: Any) -> tuple[Case, list[Mapping]]:
    case = draw(sparse_cases() | dense_cases())
    others = draw(st.lists(reordered(case.mapping), max_size=4))
    return case, [case.mapping, *others]


@settings(max_examples=60, deadline=None)
@given(drawn=batches())
def test_batch_equals_single_with_any_number_of_threads(drawn: tuple[Case, list[Mapping]]) -> None:
    case, mappings = drawn
    expected = [single(case._replace(mapping=one)) for one in mappings]
    for threads in (1, 2, 3):
        assert batch(case, mappings, threads) == expected


@pytest.mark.filterwarnings("ignore::sparsim.errors.EnergyWarning")  # tables are drawn with gaps
def test_batch_equals_single_on_drawn_cases() -> None:
    """With networks, spatial skipping and built-in energies, which the strategies leave out."""
    compared = 0
    for seed in range(250):
        drawn = draw_case(random.Random(seed))
        arch, policy, energy = attrgetter("architecture", "policy", "energy")(drawn.accelerator)
        case = Case(arch, drawn.layer, policy, energy, drawn.mapping)
        if any(d.distribution == "banded" for d in case.layer.densities.values()):
            continue
        assert batch(case, [case.mapping], 1) == [single(case)], seed
        compared += 1
    assert compared > 200


def single_layers(network: Network, densities: np.ndarray) -> list[Answer]:
    answers = []
    for i, (layer, nests) in enumerate(zip(network.layers, network.mappings, strict=True)):
        given = {
            d.name: Density(distribution=layer.density(d.name).distribution, density=float(densities[i, v]))
            for v, d in enumerate(layer.shape.dataspaces)
        }
        layer = msgspec.structs.replace(layer, densities=given)
        answers.append(single(Case(network.arch, layer, network.policy, network.energy, nests)))
    return answers


@settings(max_examples=60, deadline=None)
@given(network=networks(), data=st.data())
def test_frozen_equals_single_for_any_densities(network: Network, data: st.DataObject) -> None:
    density = st.sampled_from([0.0, 0.1, 0.5, 1.0]) | st.floats(0, 1)
    row = st.lists(density, min_size=3, max_size=3)
    size = len(network.layers)
    try:
        frozen = Frozen(*network.given)
    except MappingError:
        return
    for _ in range(3):
        densities = np.array(data.draw(st.lists(row, min_size=size, max_size=size)))
        expected = single_layers(network, densities)
        if None in expected:
            with pytest.raises(MappingError):
                frozen(densities)
            continue
        found = frozen(densities)
        fields = found.energy_pj.tolist(), found.cycles.tolist(), found.accesses.tolist()
        assert list(zip(*fields, strict=True)) == expected


def test_frozen_has_room_for_the_tensors_of_every_layer() -> None:
    """A small uniform tensor beside a large structured one, and the other way round."""
    case = matmul(arch=accelerator(GLB={"size_words": 10**6, "metadata_depth": 10**6}), A=uniform(0.4))
    layers = [
        msgspec.structs.replace(case.layer, bounds={"M": 8, "N": 8192, "K": 8}),
        msgspec.structs.replace(case.layer, bounds={"M": 2048, "N": 4, "K": 8}),
    ]
    in_glb = ({"K": 8}, {"M": 2048, "K": 4})  # half of the large A: many occupancies are likely
    mappings = [
        mapping(in_glb=Nest(factors=inside), in_dram=Nest(factors=outside))
        for inside, outside in zip(in_glb, ({"M": 8, "N": 8192}, {"N": 4, "K": 2}), strict=True)
    ]
    network = Network(case.arch, layers, case.policy, case.energy, mappings)
    densities = np.array([[0.4, 0.5, 1.0], [0.4, 0.5, 1.0]])
    found = Frozen(*network.given)(densities)
    fields = found.energy_pj.tolist(), found.cycles.tolist(), found.accesses.tolist()
    answers = list(zip(*fields, strict=True))
    assert answers == single_layers(network, densities)


def test_frozen_does_not_add_loops_to_layers_with_fewer_dims() -> None:
    """The last loop of GLB, though trivial, is the one that widens the leader's tile to a block of A."""
    arch = accelerator(GLB={"block_size": 4})
    skip = Saf(level="GLB", type="skipping", options=(Option(target="A", condition_on=("B",)),))
    policy = SparsePolicy(safs=(skip,))
    flat = matmul().layer
    tall = msgspec.structs.replace(
        flat,
        shape=msgspec.structs.replace(flat.shape, dims=("M", "N", "K", "X", "Y")),
        bounds={**flat.bounds, "X": 1, "Y": 1},
    )
    order = loops("NMK", N=4)
    loop_nests = mapping(in_glb=order, in_dram=loops("MK", M=8, K=8))
    network = Network(arch, [flat, tall], policy, matmul().energy, [loop_nests, loop_nests])
    densities = np.array([[0.5, 0.1, 1.0]] * 2)
    found = Frozen(*network.given)(densities)
    fields = found.energy_pj.tolist(), found.cycles.tolist(), found.accesses.tolist()
    answers = list(zip(*fields, strict=True))
    assert answers == single_layers(network, densities)
    assert answers[0] != answers[1]


def test_frozen_energy_by_level_is_that_of_single() -> None:
    case = matmul(A=uniform(0.2))
    frozen = Frozen(case.on(), [case.layer], [case.mapping])
    result = evaluate(*case.given)
    found = frozen([[0.2, 1.0, 1.0]]).level_energy_pj[0].tolist()
    assert found == [result.compute.energy_pj, *(level.energy_pj for level in result.storage)]


def test_batch_marks_invalid_mappings_and_goes_on() -> None:
    case = sliding_window()
    crowded = Mapping(
        levels=(
            LevelMapping(level="DRAM"),
            LevelMapping(level="GLB"),
            LevelMapping(level="spad", temporal=Nest(factors={"P": 8, "R": 3})),
        )
    )
    small = msgspec.structs.replace(case.arch.storage[2], size_words=8)
    arch = msgspec.structs.replace(case.arch, storage=(*case.arch.storage[:2], small))
    found = evaluate_batch(*case._replace(arch=arch).given[:2], [crowded, case.mapping])
    assert found.status.tolist() == [packs.BAD_CAPACITY, packs.OK]
    assert np.isnan(found.energy_pj[0])
    assert np.isnan(found.cycles[0])
    assert found.energy_pj[1] == 2908


def test_empty_batch() -> None:
    assert evaluate_batch(*sliding_window().given[:2], []).status.tolist() == []


@pytest.mark.parametrize(
    ("densities", "text"),
    [
        ([[0.2, 1.0]], "densities 1 2 3"),
        ([[1.7, 1.0, 1.0]], "A 1.7 0 1"),
        ([[float("nan"), 1.0, 1.0]], "A 0 1"),
    ],
)
def test_frozen_refuses_densities_that_are_none(densities: list[list[float]], text: str) -> None:
    case = matmul(A=uniform(0.2))
    frozen = Frozen(case.on(), [case.layer], [case.mapping])
    with pytest.raises(SpecError, match=naming(text)):
        frozen(densities)


@pytest.mark.parametrize("distribution", ["banded", "actual"])
def test_what_needs_tables_is_for_single_evaluations(distribution: Any) -> None:
    case = matmul(A=Density(distribution=distribution))
    with pytest.raises(SparsimError, match=naming(f"A {distribution} evaluate_batch")):
        evaluate_batch(*case.given[:2], [case.mapping])
    with pytest.raises(SparsimError, match=naming(f"A {distribution} Frozen")):
        Frozen(case.on(), [case.layer], [case.mapping])


def test_unknown_accounting() -> None:
    with pytest.raises(SpecError, match=naming("timeloop-5 timeloop-4")):
        evaluate(*sliding_window().given, accounting="timeloop-5")  # type: ignore[arg-type]


def test_words_take_their_time_where_nothing_is_left_to_compute() -> None:
    """A tensor without nonzeros: no operations, but the other tensors still pass the GLB, 4 words a cycle."""
    result = evaluate(*matmul(A=Density(density=0.0), B=Density(density=0.5)).given)
    glb = result.level("GLB")
    assert (result.actual_computes, result.compute.cycles) == (0, 0)
    assert glb.throttling < 1.0
    reads = sum(tensor.reads.actual for tensor in glb.tensors)
    writes = sum(tensor.fills.actual + tensor.updates.actual for tensor in glb.tensors)
    assert result.cycles == max(-(-reads // 4), -(-writes // 4)) > 0


def test_results_of_levels_are_decoded_when_they_are_looked_at() -> None:
    calls = []

    def compute() -> tuple[int, ...]:
        calls.append(1)
        return 1, 2, 3

    found = Deferred(compute)
    assert not calls
    assert (len(found), found[0], found[::-1], list(reversed(found))) == (3, 1, (3, 2, 1), [3, 2, 1])
    assert found == (1, 2, 3)
    assert found == Deferred(lambda: (1, 2, 3))
    assert found != (1, 2)
    assert (repr(found), hash(found)) == ("(1, 2, 3)", hash((1, 2, 3)))
    assert pickle.loads(pickle.dumps(found)) == (1, 2, 3)
    assert calls == [1]


def test_evaluations_are_the_same_whether_or_not_they_were_looked_at() -> None:
    seen = evaluate(*matmul().given)
    assert (seen.storage[0].name, len(seen.networks)) == ("spad", 3)
    assert evaluate(*matmul().given) == seen
    assert pickle.loads(pickle.dumps(evaluate(*matmul().given))) == seen
    assert evaluate(*matmul().given).to_dict() == seen.to_dict()
    assert [level["name"] for level in seen.to_dict()["storage"]] == [level.name for level in seen.storage]
