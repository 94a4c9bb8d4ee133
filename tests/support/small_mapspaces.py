"""Hypothesis strategies for mapspaces small enough to be listed by their twin."""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

from sparsim.records import Accelerator, Layer, LevelConstraint, Mapspace, NestConstraint, Shape
from support.small_nests import SHAPES, accelerators


class Problem(NamedTuple):
    """What `lower_mapspace` takes."""

    accelerator: Accelerator
    layer: Layer

    def __repr__(self) -> str:
        return "\n".join(f"{type(record).__name__} {record.to_dict()}" for record in self)


@st.composite
def problems(draw: Any) -> Problem:
    arch, shape = draw(accelerators()), draw(st.sampled_from(SHAPES))
    bounds = {dim: draw(st.sampled_from((1, 1, 2, 3, 4, 6, 12))) for dim in shape.dims}
    fans = [level.mesh != (1, 1) for level in (*arch.storage[1:], arch.compute)]
    levels = tuple(
        draw(level_constraints(shape, level.name, fan)) for level, fan in zip(arch.storage, fans, strict=True)
    )
    mapspace = Mapspace(levels=levels[draw(st.integers(0, 1)) :])
    layer = Layer(name=shape.name, shape=shape, bounds=bounds)
    return Problem(Accelerator(architecture=arch, mapspace=mapspace), layer)


@st.composite
def level_constraints(draw: Any, shape: Shape, level: str, fan: bool) -> LevelConstraint:
    tensors = [d.name for d in shape.dataspaces]
    said = {name: draw(st.sampled_from(("keep", "bypass", "free", "free"))) for name in tensors}
    some = st.sets(st.sampled_from(tensors), max_size=2).map(tuple)
    return LevelConstraint(
        level=level,
        temporal=draw(nest_constraints(shape, spatial=False)),
        spatial=draw(nest_constraints(shape, spatial=True)) if fan and draw(st.booleans()) else None,
        keep=tuple(name for name in tensors if said[name] == "keep"),
        bypass=tuple(name for name in tensors if said[name] == "bypass"),
        no_link_transfer=draw(some),
        no_multicast_no_reduction=draw(some),
        no_temporal_reuse=draw(some),
    )


@st.composite
def nest_constraints(draw: Any, shape: Shape, *, spatial: bool) -> NestConstraint:
    def limits(*values: int) -> dict[str, int]:
        return draw(st.dictionaries(st.sampled_from(shape.dims), st.sampled_from(values), max_size=1))

    order = tuple(draw(st.permutations(shape.dims)))[: draw(st.integers(0, len(shape.dims)))]
    part = draw(st.integers(0, len(order)))
    return NestConstraint(
        factors=limits(0, 1, 1, 2, 3) if draw(st.booleans()) else {},
        at_most=limits(1, 2, 4, 12),
        at_least=limits(1, 1, 2) if draw(st.integers(0, 3)) == 0 else {},
        default_at_most=draw(st.sampled_from((None, None, 4, 6))),
        default_at_least=draw(st.sampled_from((None, 1))),
        outer=order[:part],
        inner=order[part:],
        split_x=draw(st.none() | st.integers(0, len(shape.dims))) if spatial else None,
    )
