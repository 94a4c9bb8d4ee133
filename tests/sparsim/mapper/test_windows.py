"""Bounds and certificates of layers with sliding windows, beside the model and enumerations of everything."""

from __future__ import annotations

import random
from math import prod

import pytest
from support.examples import ENERGY, WINDOW, accelerator, loops, mapping
from support.small_nests import Case
from support.window_problems import constrained, window_problem

from sparsim.errors import EmptyMapspaceError
from sparsim.mapper.engine import Engine, Problem
from sparsim.mapper.exhaustive import search_all
from sparsim.mapper.incumbents import Incumbents
from sparsim.mapper.indexed_mapspace import lower_mapspace, sizes
from sparsim.mapper.kernels.lower_bounds import ACCESSES
from sparsim.mapper.relaxation import relax
from sparsim.mapper.search import search
from sparsim.mapper.search_budget import Budget
from sparsim.model.evaluate import evaluate
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    EnergyTable,
    Layer,
    LevelConstraint,
    Mapspace,
    Storage,
    conv2d,
)

PROVEN = 1e-9


def make_engine(problem: Problem, objective: str, most: float) -> Engine | None:
    """Return None if the mapspace is empty, or has more than `most` mappings."""
    try:
        space = lower_mapspace(problem.accelerator, problem.layer)
    except EmptyMapspaceError:
        return None
    if sizes(space).total > most:
        return None
    return Engine(problem, space, (objective,), top=1, threads=1, budget=Budget(None, None), progress=None)


def best_of_all(engine: Engine) -> float | None:
    kept = Incumbents(1, 1)
    for _ in search_all(engine.sibling(kept, None)):
        pass
    return kept.entries[0].values[0] if kept.entries else None


def test_no_mapping_of_windows_is_below_the_bound() -> None:
    checked = reached = 0
    for seed in range(100):
        problem = constrained(window_problem(seed), seed)
        for objective in ("energy", "accesses-GLB", "accesses-DRAM", "accesses-spad"):
            engine = make_engine(problem, objective, 1e6)
            best = best_of_all(engine) if engine else None
            if engine is None or best is None:
                break
            level = max(int(engine.codes[0]) - ACCESSES, 0)
            found = relax(engine.low, engine.bound, engine.pack, objective, lambda: True, level)
            assert found is not None
            assert found.least <= best * (1 + PROVEN)
            checked += 1
            reached += best - found.least <= PROVEN * best
    assert checked > 60
    assert reached > checked / 2  # constraints on orders are not in the bound


@pytest.mark.parametrize("objective", ["energy", "edp"])
def test_a_certified_window_is_the_best_of_all(objective: str) -> None:
    checked = proven = 0
    for seed in range(300):
        engine = make_engine(window_problem(seed), objective, 1e7)
        best = best_of_all(engine) if engine else None
        if engine is None or best is None:
            continue
        for _, _ in zip(range(200), engine.relax(), strict=False):
            pass
        assert engine.known.floor <= best * (1 + PROVEN)
        checked += 1
        if engine.kept.entries and engine.kept.entries[0].values[0] <= engine.known.floor * (1 + PROVEN):
            assert engine.kept.entries[0].values[0] == pytest.approx(best, rel=PROVEN)
            proven += 1
    assert checked > 30
    assert proven > 0.7 * checked


def delivered(side: int, steps: list[tuple[int, int]]) -> int:
    """Return the words that one child receives: `steps` are the distances that the loops outside of it move
    its window of `side` words, and their bounds, from the inside.
    """
    words, moved = side, 0
    for i, (distance, bound) in enumerate(steps):
        move = distance - moved
        first = steps[0][0]
        new = min(abs(move), side) if move == first else side
        words += new * (bound - 1) * prod(bound for _, bound in steps[i + 1 :])
        moved += distance
    return words


def test_only_moves_like_that_of_the_first_loop_bring_parts_of_a_window() -> None:
    draw = random.Random(1)
    for _ in range(200):
        names = ("spad", "glb", "dram")
        nests = {name: {dim: draw.choice([1, 1, 2, 2, 3, 4]) for dim in "KPR"} for name in names}
        orders = {name: draw.sample("KPR", 3) for name in names}  # outer to inner
        bounds = {dim: prod(nests[name][dim] for name in names) for dim in "KPR"}
        nest = mapping(**{f"in_{name}": loops("".join(orders[name]), **nests[name]) for name in names})
        layer = Layer(name="layer", shape=WINDOW, bounds=bounds)
        arch = accelerator((1, 1), GLB={"size_words": 10**6}, spad={"size_words": 10**6})
        result = evaluate(*Case(arch, layer, None, ENERGY, nest).given)
        tile, steps = dict(nests["spad"]), []
        for name in names[1:]:
            for dim in reversed(orders[name]):
                if nests[name][dim] > 1:
                    steps.append((0 if dim == "K" else tile[dim], nests[name][dim]))
                tile[dim] *= nests[name][dim]
        inputs = next(t for t in result.level("spad").tensors if t.dataspace == "I")
        side = nests["spad"]["P"] + nests["spad"]["R"] - 1
        assert inputs.fills.algorithmic == delivered(side, steps)


@pytest.mark.parametrize("objective", ["energy", "delay", "edp"])
def test_a_convolution_of_alexnet_is_proven(objective: str) -> None:
    """A DRAM of 200 pJ, a GLB of 6 pJ, and 14 x 12 PEs; every choice of factors and orders is free."""
    pj = {"DRAM": 200.0, "GLB": 6.0, "RF": 1.0}
    arch = Architecture(
        storage=(
            Storage(name="DRAM", technology="DRAM"),
            Storage(name="GLB", size_words=65_536),
            Storage(name="RF", size_words=512, mesh=(14, 12)),
        ),
        compute=Compute(name="MAC"),
    )
    actions = {name: {"read": price, "write": price} for name, price in pj.items()}
    keep = tuple(LevelConstraint(level=name, keep=("Weights", "Inputs", "Outputs")) for name in ("GLB", "RF"))
    energy = EnergyTable(actions={**actions, "MAC": {"mac_random": 1.0}})
    design = Accelerator(architecture=arch, energy=energy, mapspace=Mapspace(levels=keep))
    found = search(
        design, conv2d(256, 384, 3, padding=1, height=13, width=13), objective=objective, evaluations=400
    )
    assert found.certificate.kind == "optimal"
    assert found.energy_pj == pytest.approx(987.232e6, rel=1e-6)
    assert found.cycles == 958_464
