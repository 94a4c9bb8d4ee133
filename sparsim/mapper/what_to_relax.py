"""Search for the constraint that leaves a mapspace without a valid mapping, by leaving out each of them."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from sparsim.errors import SparsimError
from sparsim.mapper.covered_parts import list_parts
from sparsim.mapper.engine import Engine, Problem
from sparsim.mapper.first_mappings import guess_first
from sparsim.mapper.search_budget import Budget
from sparsim.records import LevelConstraint, Mapspace, NestConstraint


def what_to_relax(problem: Problem, mapspace: Mapspace) -> str:
    """Return, as part of a sentence, the first constraint without which some likely mapping is valid."""
    for name, relaxed in _relaxed(mapspace):
        if _has_valid(problem, relaxed):
            return f"there are valid mappings without {name}"
    if not mapspace.levels and not mapspace.min_parallelism and mapspace.most_temporal_loops is None:
        return "there are no constraints, so a level is too small"
    free = replace(mapspace, levels=(), min_parallelism=0.0, most_temporal_loops=None)
    if _has_valid(problem, free):
        return "valid mappings were found only without several of the constraints"
    return "no valid mapping was found without constraints either: a level may be too small"


def _relaxed(mapspace: Mapspace) -> Iterator[tuple[str, Mapspace]]:
    """Yield the mapspace without one of its constraints, and the name of this constraint."""
    if mapspace.min_parallelism:
        yield "the least parallelism", replace(mapspace, min_parallelism=0.0)
    if mapspace.most_temporal_loops is not None:
        yield "the most temporal loops", replace(mapspace, most_temporal_loops=None)
    for i, level in enumerate(mapspace.levels):
        for name, without in _without_one(level):
            levels = (*mapspace.levels[:i], without, *mapspace.levels[i + 1 :])
            yield f"the {name} of level '{level.level}'", replace(mapspace, levels=levels)


def _without_one(level: LevelConstraint) -> Iterator[tuple[str, LevelConstraint]]:
    if level.keep:
        yield f"keep of {', '.join(level.keep)}", replace(level, keep=())
    if level.bypass:
        yield f"bypass of {', '.join(level.bypass)}", replace(level, bypass=())
    if level.spatial is not None and level.spatial != NestConstraint():
        yield "spatial constraint", replace(level, spatial=None)
    if level.temporal != NestConstraint():
        yield "temporal constraint", replace(level, temporal=NestConstraint())


def _has_valid(problem: Problem, mapspace: Mapspace) -> bool:
    accelerator = replace(problem.accelerator, mapspace=mapspace)
    try:
        parts = list_parts(accelerator, problem.layer)
    except SparsimError:  # another constraint leaves nothing, or the mapspace is too large to list
        return False
    for part in parts:
        engine = Engine(
            Problem(accelerator, part.layer, problem.accounting), part.space, ("energy",), top=1, threads=1,
            budget=Budget(None, None), progress=None,
        )  # fmt: skip
        for _ in guess_first(engine, seed=0):
            if engine.kept.entries:
                return True
    return False
