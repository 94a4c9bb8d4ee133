"""Lower bounds of all mappings of a layer, computed in milliseconds without a search."""

from sparsim.errors import SpecError
from sparsim.mapper.covered_parts import MOST_PARTS, count_combinations, list_parts
from sparsim.mapper.engine import Engine, Problem
from sparsim.mapper.search_budget import Budget
from sparsim.model.consistency import check_search
from sparsim.records import Accelerator, Layer, Mapspace

CHEAP_US = 2e4  # most work of the relaxation of one part of the mapspace


def bound_layer(accelerator: Accelerator, layer: Layer) -> tuple[float, float]:
    """Return separate lower bounds of energy in pJ and cycles of all mappings in the accelerator's mapspace.

    Cycles are those of the arithmetic on as many units as can be used. Energy is what the first step of the
    relaxation finds; where that step would be long, the energy of the arithmetic and of words that every
    mapping moves. Raises what `search` raises for its arguments; mapspaces without a valid mapping are not
    detected, and too many combinations of covered bounds raise a SpecError.
    """
    number = count_combinations(accelerator.mapspace or Mapspace(), layer)
    if number > MOST_PARTS:
        raise SpecError(
            f"covered bounds must have at most {MOST_PARTS} combinations, got {number}",
            path="mapspace",
            hint="lower most_padding, or name fewer dims",
        )
    parts = list_parts(accelerator, layer)
    check_search(accelerator, layer)
    found = [_bound(Engine(
        Problem(accelerator, part.layer, "timeloop-3"), part.space, ("energy",), top=1, threads=1,
        budget=Budget(None, None), progress=None,
    )) for part in parts]  # fmt: skip
    return min(energy for energy, _ in found), min(cycles for _, cycles in found)


def _bound(part: Engine) -> tuple[float, float]:
    done = 0.0
    for work in part.relax():
        done += work
        if part.known.relaxed is not None or done > CHEAP_US:
            break
    return part.known.floor, float(part.part_least[0])
