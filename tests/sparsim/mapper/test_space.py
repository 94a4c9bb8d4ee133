"""A lowered mapspace holds the choices that chapter 17 counts, and gives them back as mappings."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive.mapspace import NaiveSpace, RandomPruned
from naive.search import as_pack, first_order
from support.examples import ENERGY, MATMUL, accelerator, fixed
from support.named import names, naming
from support.small_mapspaces import problems

from sparsim import EmptyMapspaceError, MappingError, SpecError, evaluate
from sparsim.files.sparsim_yaml import load_text
from sparsim.mapper.indexed_mapspace import SAMPLED, lower_mapspace, mapping_of, sizes
from sparsim.model.lower import lower_mappings
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    Layer,
    LevelConstraint,
    Mapping,
    Mapspace,
    NestConstraint,
    SparsePolicy,
    Storage,
)

ARCH = accelerator()
LAYER = Layer(shape=MATMUL, bounds={"M": 12, "N": 4, "K": 8}, densities={"A": fixed(0.375), "B": fixed(0.5)})
GATING = SparsePolicy(compute_gating=True)


def on(mapspace: Mapspace | None = None) -> Accelerator:
    return Accelerator(architecture=ARCH, policy=GATING, energy=ENERGY, mapspace=mapspace)


def example(in_spad: NestConstraint | None = None, in_dram: NestConstraint | None = None) -> Mapspace:
    """The constraints of 23.4."""
    return Mapspace(
        levels=(
            LevelConstraint(level="DRAM", temporal=in_dram or NestConstraint()),
            LevelConstraint(
                level="GLB",
                keep=("A",),
                bypass=("Z",),
                spatial=NestConstraint(factors={"N": 4}, inner=("K", "M", "N")),
            ),
            LevelConstraint(
                level="spad",
                keep=("A", "B", "Z"),
                temporal=in_spad or NestConstraint(factors={"N": 1}, at_most={"M": 2}, inner=("K",)),
            ),
        )
    )


def lists_nothing(twin: NaiveSpace) -> bool:
    kept = {name for mask in twin.masks for _, name in mask}
    return not twin.factor_size() or kept != set(twin.data)


def with_space(check: Callable[..., None]) -> Callable[..., None]:
    """Run `check(problem, twin, space, data)` on random mapspaces, and see that empty ones are refused."""

    @settings(deadline=None, max_examples=30)
    @given(problems(), st.data())
    def test(problem, data):
        twin = NaiveSpace(*problem)
        if lists_nothing(twin):
            with pytest.raises(EmptyMapspaceError):
                lower_mapspace(*problem)
        else:
            check(problem, twin, lower_mapspace(*problem), data)

    return test


@with_space
def test_choices_are_those_of_the_twin_in_its_order(problem, twin, space, data):
    for dim, rows in zip(twin.dims, space.factors, strict=True):
        assert rows.tolist() == twin.factorisations[dim]
    masks = [[sum(1 << v for v, d in enumerate(twin.data) if (s, d) in mask) for s in range(len(row))]
             for mask, row in zip(twin.masks, space.keep, strict=True)]  # fmt: skip
    assert space.keep.tolist() == masks


@with_space
def test_sizes(problem, twin, space, data):
    found = sizes(space)
    parts = twin.factor_size(), twin.order_size(), twin.split_size(), len(twin.masks)
    assert found[:4] == parts
    assert found.total == math.prod(parts)


@with_space
def test_any_mapping_of_the_twin_comes_back_from_indices(problem, twin, space, data):
    accelerator, layer = problem
    ids = [data.draw(st.integers(0, size - 1)) for size in sizes(space)[:4]]
    wanted = twin.mapping(*ids)
    pack = lower_mappings(accelerator, layer.shape, [wanted])
    factor, order, split, keep = (x[0] for x in (pack.factor, pack.order, pack.split, pack.flags[:, :, 0]))
    for d, rows in enumerate(space.factors):
        assert (rows == factor[:, d]).all(axis=1).any()
    for t, row in enumerate(order.tolist()):
        inner, outer = len(space.inner[t]), len(row) - len(space.outer[t])
        assert (tuple(row[:inner]), tuple(row[outer:])) == (space.inner[t], space.outer[t])
        assert sorted(row[inner:outer]) == list(space.free[t])
    again = mapping_of(accelerator, layer.shape, factor, order, split, keep, space)
    for mine, other in zip(lower_mappings(accelerator, layer.shape, [again]), pack, strict=True):
        assert (mine == other).all()
    for mine, other in zip(as_pack(space, *pack[:3], pack.flags[:, :, 0]), pack, strict=True):
        assert (mine == other).all()


@with_space
def test_first_order_is_the_order_of_id_0(problem, twin, space, data):
    dims = problem.layer.shape.dims
    assert [[dims[d] for d in row] for row in first_order(space)] == twin.orders(0)


def documented() -> Mapspace:
    text = (Path(__file__).parents[3] / "docs/reference/mapspace.md").read_text(encoding="utf-8")
    mapspace = load_text(text.partition("```yaml\n")[2].partition("```")[0]).mapspace
    assert mapspace is not None
    return mapspace


@pytest.mark.parametrize(
    ("mapspace", "wanted"),
    [
        (documented(), (540, 36, 4, 2)),
        (example(), (540, 36, 4, 2)),
        (
            example(
                in_spad=NestConstraint(factors={"N": 1}, at_least={"M": 2}, at_most={"M": 6}),
                in_dram=NestConstraint(outer=("M",)),
            ),
            (420, 12, 4, 2),
        ),
    ],
    ids=["docs", "example", "variant"],
)
def test_sizes_of_the_worked_example(mapspace, wanted):
    assert sizes(lower_mapspace(on(mapspace), LAYER))[:4] == wanted


def test_search_of_the_worked_example():
    """23.4: the first six mappings that Timeloop visits, how many it finds valid, and the best of them."""
    visited = {}

    def edp(mapping: Mapping) -> float | None:
        try:
            result = evaluate(on(), LAYER, mapping)
        except MappingError:
            return None
        visited[mapping] = result
        return result.energy_pj * result.cycles

    valid = RandomPruned(NaiveSpace(on(example()), LAYER), edp, victory=50, timeout=100).run()
    assert [(outline(m), round(visited[m].energy_pj / 384, 3)) for m, _ in valid[:6]] == [
        ("DRAM[ABZ] M6 K8 / GLB[A] N4X / spad[ABZ] M2", 98.081),
        ("DRAM[ABZ] M6 K8 / GLB[AB] N4X / spad[ABZ] M2", 105.081),
        ("DRAM[ABZ] K8 M6 / GLB[A] N4X / spad[ABZ] M2", 232.102),
        ("DRAM[ABZ] K8 M6 / GLB[AB] N4X / spad[ABZ] M2", 233.269),
        ("DRAM[ABZ] M12 / GLB[A] K8 N4X / spad[ABZ]", 148.831),
        ("DRAM[ABZ] M12 / GLB[AB] K8 N4X / spad[ABZ]", 63.831),
    ]
    assert len(valid) == 209
    best, _ = min(valid, key=lambda pair: pair[1])
    # Timeloop has K8 M2 at the spad, against its constraint, with the same numbers
    assert outline(best) == "DRAM[ABZ] M6 / GLB[A] N4X / spad[ABZ] M2 K8"
    assert (round(visited[best].energy_pj / 384, 3), visited[best].cycles) == (55.79, 96)


def outline(mapping: Mapping) -> str:
    """Levels and loops outermost first; loops of bound 1 left out, what is kept in brackets."""
    levels = []
    for level in mapping.levels:
        kept = "".join(name for name in "ABZ" if name not in level.bypass)
        loops = [(dim, level.temporal.factors[dim], "") for dim in level.temporal.order]
        if level.spatial is not None:
            along_y = len(level.spatial.order) - (level.spatial.split_x or 0)
            loops += [
                (dim, level.spatial.factors[dim], "Y" if i < along_y else "X")
                for i, dim in enumerate(level.spatial.order)
            ]
        text = [f"{dim}{bound}{axis}" for dim, bound, axis in loops if bound > 1]
        levels.append(" ".join([f"{level.level}[{kept}]", *text]))
    return " / ".join(levels)


def spad(**fields) -> LevelConstraint:
    return LevelConstraint(level="spad", temporal=NestConstraint(**fields))


def glb(**fields) -> LevelConstraint:
    return LevelConstraint(level="GLB", temporal=NestConstraint(**fields))


def dram(**fields) -> LevelConstraint:
    return LevelConstraint(level="DRAM", temporal=NestConstraint(**fields))


EMPTY = [
    (
        (spad(factors={"M": 5}),),
        "M 12 M = 5 at spad temporal 40",
        "M = 5 at spad temporal",
    ),
    (
        (spad(at_least={"M": 2}), dram(at_least={"M": 4}), glb(factors={"M": 6})),
        "M 12 M = 6 at GLB temporal 37 40 2",
        "M = 6 at GLB temporal",
    ),
    (
        (spad(factors={"K": 8}, default_at_most=4), dram(factors={"K": 3})),
        "K 8 K = 3 at DRAM temporal 20 3",
        "K = 3 at DRAM temporal",
    ),
    (
        tuple(LevelConstraint(level=name, bypass=("B",)) for name in ("DRAM", "GLB", "spad")),
        "dataspace B bypassed levels keep",
        "bypass of B",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("levels", "message", "constraint"), EMPTY, ids=["no-divisor", "too-tight", "two-at-once", "kept-nowhere"]
)
def test_empty_mapspace_says_what_to_relax(levels, message, constraint):
    with pytest.raises(EmptyMapspaceError) as error:
        lower_mapspace(on(Mapspace(levels=levels)), LAYER)
    assert names(error.value, message)
    assert error.value.constraint == constraint


def refused(make: Callable[[], Mapspace]) -> str:
    with pytest.raises(SpecError) as error:
        lower_mapspace(on(make()), LAYER)
    return str(error.value)


WRONG = [
    (lambda: LevelConstraint(level="GBL"), "GBL GLB"),
    (lambda: spad(at_most={"m": 2}), "m M N K"),
    (lambda: spad(inner=("Q",)), "Q M N K"),
    (
        lambda: LevelConstraint(level="GLB", keep=("C",)),
        "GLB C A B Z",
    ),
    (
        lambda: LevelConstraint(level="DRAM", spatial=NestConstraint()),
        "DRAM GLB",
    ),
    (lambda: spad(factors={"M": -1}), "M -1 0"),
    (lambda: spad(at_most={"M": 0}), "at_most M 0 1"),
    (lambda: spad(at_least={"M": 0}), "at_least M 0 1"),
    (lambda: spad(default_at_most=0), "default_at_most 0 1"),
    (lambda: spad(inner=("M",), outer=("M",)), "M"),
    (lambda: spad(split_x=1), "split_x"),
    (
        lambda: LevelConstraint(level="GLB", keep=("A",), bypass=("A",)),
        "GLB A keep bypass",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_what_is_wrong_is_said(make, message):
    assert names(refused(lambda: Mapspace(levels=(make(),))), message)


def test_levels_and_parallelism_are_checked():
    assert names(refused(lambda: Mapspace(levels=(spad(), spad()))), "mapspace spad twice")
    for value in (-0.1, 1.1, math.nan):
        words = f"mapspace min_parallelism {value:g} 0 1"
        assert names(refused(lambda value=value: Mapspace(min_parallelism=value)), words)


def test_what_does_not_fit_into_memory_is_refused_with_its_size():
    storage = tuple(Storage(name=f"L{i}", size_words=1) for i in range(12))
    arch = Architecture(storage=storage, compute=Compute(name="MAC"))
    layer = Layer(shape=MATMUL, bounds={"M": 2**20, "N": 1, "K": 1})
    number = math.comb(20 + 11, 11)
    with pytest.raises(SpecError, match=naming(f"M 1048576 {number}")):
        lower_mapspace(Accelerator(architecture=arch), layer)
    fixed_factors = tuple(
        LevelConstraint(level=level.name, temporal=NestConstraint(factors={"M": 1})) for level in storage[2:]
    )
    only_bypasses = Accelerator(architecture=arch, mapspace=Mapspace(levels=fixed_factors))
    space = lower_mapspace(only_bypasses, layer)
    assert sizes(space).bypasses == space.bypasses == 2**33
    assert space.is_sampled
    assert len(space.keep) <= SAMPLED


def test_flags_are_part_of_every_mapping():
    flagged = LevelConstraint(level="GLB", no_link_transfer=("A", "Z"), no_multicast_no_reduction=("B",))
    space = lower_mapspace(on(Mapspace(levels=(flagged,))), LAYER)
    assert space.flags.tolist() == [[0, 0, 0, 0], [0, 0b101, 0b010, 0], [0, 0, 0, 0]]
    assert np.array_equal(space.split, [0, -1, 0, 0])
