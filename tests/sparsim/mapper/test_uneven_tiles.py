"""Levels that are one memory: the model, and the accelerators and mapspaces with uneven tiles."""

from itertools import permutations
from typing import Any

import pytest
from msgspec.structs import replace
from support.named import naming

from sparsim import (
    Accelerator,
    Architecture,
    Compute,
    LevelConstraint,
    LevelMapping,
    Mapping,
    MappingError,
    Mapspace,
    NestConstraint,
    Option,
    Saf,
    SpecError,
    Storage,
    evaluate,
    gemm,
    load_accelerator,
    search,
)
from sparsim.files.timeloop.write_documents import to_documents
from sparsim.mapper.engine import Progress
from sparsim.mapper.indexed_mapspace import lower_mapspace
from sparsim.mapper.uneven_tiles import even_tiles, with_uneven_tiles

LAYER = gemm(16, 8, 32, densities={"Weights": 0.5, "Inputs": 0.75})
TENSORS = tuple(dataspace.name for dataspace in LAYER.shape.dataspaces)


def chip(**memory: Any) -> Accelerator:
    """Return a chip with one memory of 64 words above an array of four units."""
    glb = Storage(name="GLB", word_bits=8, **{"size_words": 64, **memory})
    return Accelerator(
        architecture=Architecture(
            storage=(Storage(name="DRAM", technology="DRAM", word_bits=8), glb),
            compute=Compute(name="MAC", mesh=(2, 2), word_bits=8),
        )
    )


def apart(mapping: Mapping, level: str, places: tuple[str, ...]) -> Mapping:
    """Return a mapping with each tensor in the level of the memory that `places` names."""
    levels = []
    for own in mapping.levels:
        kept = {
            tensor: place for tensor, place in zip(TENSORS, places, strict=True) if tensor not in own.bypass
        }
        if own.level != level:
            levels.append(own)
            continue
        levels += [
            LevelMapping(level=part, bypass=tuple(t for t in TENSORS if kept.get(t) != part))
            for part in sorted({f"{level}-2", f"{level}-3"} - {level}, reverse=True)
        ]
        levels.append(replace(own, bypass=tuple(t for t in TENSORS if kept.get(t) != level)))
    return replace(mapping, levels=tuple(levels))


@pytest.mark.filterwarnings("ignore::sparsim.EnergyWarning")
@pytest.mark.parametrize("kind", ["plain", "leak", "rule"])
def test_tiles_that_lie_apart_without_loops_between_cost_the_same(kind: str) -> None:
    accelerator = load_accelerator("eyeriss_like_onchip")
    assert accelerator.energy is not None
    assert accelerator.policy is not None
    if kind == "leak":
        actions = {name: {**one, "leak": 0.25} for name, one in accelerator.energy.actions.items()}
        energy = replace(accelerator.energy, actions=actions, rules="timeloop-4")
        accelerator = replace(accelerator, energy=energy)
    if kind == "rule":
        rule = Saf(
            level="shared_glb", type="skipping", options=(Option(target="Inputs", condition_on=("Weights",)),)
        )
        accelerator = replace(accelerator, policy=replace(accelerator.policy, safs=(rule,)))
    uneven = with_uneven_tiles(accelerator, LAYER.shape, ["shared_glb"])
    mapping = search(accelerator, LAYER, objective="energy", evaluations=50, method="local").best
    one = evaluate(accelerator, LAYER, mapping)
    names = ("shared_glb", "shared_glb-2", "shared_glb-3")
    for places in [("shared_glb",) * 3, *permutations(names)]:
        other = evaluate(uneven, LAYER, apart(mapping, "shared_glb", places))
        assert other.cycles == one.cycles
        assert other.energy_pj == pytest.approx(one.energy_pj, rel=1e-12)
        assert other.area_um2 == one.area_um2


SMALL = "DRAM: C16 M8 N8 | GLB-3 [bypass Weights Inputs]: | GLB-2 [bypass Weights Outputs]: | {}: M2Y C2X"
SMALL = SMALL.format("GLB [bypass Inputs Outputs]")


def test_tiles_share_the_room_of_their_memory() -> None:
    accelerator = with_uneven_tiles(chip(), LAYER.shape)
    full = SMALL.replace("C16 M8 N8", "C16 N2").replace("Inputs]:", "Inputs]: M8 N4", 1)
    with pytest.raises(MappingError, match=naming("GLB-3 64 70")):  # the tile of Outputs alone would fit
        evaluate(accelerator, LAYER, Mapping.parse(full))
    larger = with_uneven_tiles(chip(size_words=70), LAYER.shape)
    assert evaluate(larger, LAYER, Mapping.parse(full)).cycles == 1024


def test_bandwidth_is_that_of_the_memory() -> None:
    mapping = Mapping.parse(SMALL)
    wide, narrow = (with_uneven_tiles(chip(shared_bandwidth=words), LAYER.shape) for words in (1000.0, 0.5))
    free, slow = evaluate(wide, LAYER, mapping), evaluate(narrow, LAYER, mapping)
    one = evaluate(chip(shared_bandwidth=0.5), LAYER, Mapping.parse("DRAM: C16 M8 N8 | GLB: M2Y C2X"))
    assert slow.cycles == one.cycles > free.cycles


def test_levels_of_one_memory_are_neighbours_and_alike() -> None:
    dram = Storage(name="DRAM", technology="DRAM")
    outer = Storage(name="outer", size_words=64, memory="inner")
    inner = Storage(name="inner", size_words=64)
    compute = Compute(name="MAC")
    assert Architecture(storage=(dram, outer, inner), compute=compute).storage[1].memory == "inner"
    for storage in (
        (dram, inner, outer),
        (dram, outer, replace(inner, name="other")),
        (dram, outer, replace(inner, size_words=32)),
        (dram, outer, replace(inner, mesh=(2, 1))),
    ):
        with pytest.raises(SpecError, match=naming("storage outer")):
            Architecture(storage=storage, compute=compute)


def test_choices_of_what_a_memory_keeps() -> None:
    space = lower_mapspace(with_uneven_tiles(chip(), LAYER.shape), LAYER)
    keep = {tuple(row) for row in space.keep[:, :3].tolist()}  # masks of the memory's levels
    even = {(mask, 0, 0) for mask in range(8)}
    two = {(a, b, 0) for a, b in permutations((1, 2, 4), 2)}
    assert keep == even | two | set(permutations((1, 2, 4)))
    assert (space.keep[:, 3] == 7).all()
    mapspace = Mapspace(
        levels=(LevelConstraint(level="GLB", keep=("Weights", "Outputs"), bypass=("Inputs",)),)
    )
    fixed = with_uneven_tiles(replace(chip(), mapspace=mapspace), LAYER.shape)
    keep = lower_mapspace(fixed, LAYER).keep
    assert [level.name for level in fixed.architecture.storage] == ["DRAM", "GLB-2", "GLB"]
    assert sorted(keep[:, :2].tolist()) == [[1, 4], [4, 1], [5, 0]]


def test_even_tiles_are_a_part_of_the_mapspace() -> None:
    uneven = with_uneven_tiles(chip(), LAYER.shape)
    one = search(chip(), LAYER, objective="energy")
    even = search(even_tiles(uneven, LAYER.shape), LAYER, objective="energy")
    assert even.energy_pj == one.energy_pj
    assert even.certificate.kind == "optimal"
    assert evaluate(uneven, LAYER, even.best).energy_pj == even.energy_pj


def test_levels_that_cannot_be_split() -> None:
    with pytest.raises(SpecError, match=naming("DRAM")):
        with_uneven_tiles(chip(), LAYER.shape, ["DRAM"])
    with pytest.raises(SpecError, match=naming("GBL")):
        with_uneven_tiles(chip(), LAYER.shape, ["GBL"])
    mapspace = Mapspace(levels=(LevelConstraint(level="GLB", temporal=NestConstraint(factors={"M": 1})),))
    constrained = replace(chip(), mapspace=mapspace)
    with pytest.raises(SpecError, match=naming("GLB")):
        with_uneven_tiles(constrained, LAYER.shape, ["GLB"])
    assert with_uneven_tiles(constrained, LAYER.shape).architecture == chip().architecture


def test_a_memory_may_be_its_own_power_gate() -> None:
    gated = with_uneven_tiles(chip(power_gated_at="GLB"), LAYER.shape)
    assert gated == with_uneven_tiles(chip(), LAYER.shape)


def test_timeloop_has_no_shared_memories() -> None:
    with pytest.raises(SpecError, match=naming("GLB-3 GLB")):
        to_documents(with_uneven_tiles(chip(), LAYER.shape), LAYER, None)


def test_ctrl_c_among_even_tiles_returns_the_best_of_them() -> None:
    calls = []

    def interrupt(progress: Progress) -> None:
        calls.append(progress)
        if len(calls) == 1:
            raise KeyboardInterrupt

    uneven = with_uneven_tiles(chip(), LAYER.shape)
    found = search(uneven, LAYER, objective="energy", progress=interrupt)
    assert found.interrupted
    assert found.certificate.lower_bound <= found.certificate.value
    assert evaluate(uneven, LAYER, found.best).energy_pj == found.energy_pj


def test_a_padded_dim_may_have_uneven_tiles() -> None:
    accelerator = with_uneven_tiles(
        replace(chip(), mapspace=Mapspace(divisibility={"M": "padded"})), LAYER.shape
    )
    found = search(accelerator, LAYER, objective="energy", evaluations=100)
    even = search(even_tiles(accelerator, LAYER.shape), LAYER, objective="energy", evaluations=100)
    assert found.certificate.lower_bound <= found.energy_pj <= even.energy_pj
