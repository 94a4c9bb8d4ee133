"""Hypothesis strategies for cases small enough for the twins: accelerators, layers, mappings that fit.

`small_policies.py` adds what sparsity needs.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from hypothesis import assume
from hypothesis import strategies as st

from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    Dataspace,
    EnergyTable,
    Layer,
    LevelMapping,
    Mapping,
    Mapspace,
    Nest,
    Shape,
    SparsePolicy,
    Storage,
)
from validation.random_cases import CONV, GEMM, GROUPED

SLIDING = Shape(
    name="sliding",
    dims=("K", "P", "R"),
    coefficients={"stride": 1, "dilation": 1},
    dataspaces=(
        Dataspace(name="W", projection=("K", "R")),
        Dataspace(name="I", projection=("P*stride + R*dilation",)),
        Dataspace(name="O", projection=("K", "P"), read_write=True),
    ),
)
POINTWISE = Shape(
    name="pointwise",
    dims=("C", "M", "P", "Q"),
    dataspaces=(
        Dataspace(name="Weights", projection=("C", "M")),
        Dataspace(name="Inputs", projection=("C", "P", "Q")),
        Dataspace(name="Outputs", projection=("M", "P", "Q"), read_write=True),
    ),
)
# windows on the result, a dim in two coordinates, a negative coefficient: nothing a network has, all allowed
ODD = Shape(
    name="odd",
    dims=("X", "Y", "Z"),
    coefficients={"c": -1, "d": 2},
    dataspaces=(
        Dataspace(name="A", projection=("X + Y*c", "Y")),
        Dataspace(name="B", projection=("Z*d", "X")),
        Dataspace(name="C", projection=("Y + Z", "X"), read_write=True),
    ),
)
SHAPES = (GEMM, SLIDING, SLIDING, CONV, GROUPED, ODD)
MESHES = ((1, 1), (1, 1), (1, 1), (2, 1), (4, 1), (1, 3), (2, 2), (3, 2))


class Case(NamedTuple):
    """An accelerator in parts, a layer and a mapping; `given` are the arguments of `evaluate`."""

    arch: Architecture
    layer: Layer
    policy: SparsePolicy | None
    energy: EnergyTable | None
    mapping: Mapping

    def on(self, mapspace: Mapspace | None = None) -> Accelerator:
        """The accelerator, with the mappings that a search may choose from."""
        return Accelerator(architecture=self.arch, policy=self.policy, energy=self.energy, mapspace=mapspace)

    @property
    def given(self) -> tuple[Accelerator, Layer, Mapping]:
        return self.on(), self.layer, self.mapping

    def __repr__(self) -> str:
        """Without what is at its default."""
        return "\n".join(f"{type(record).__name__} {record.to_dict()}" for record in self if record)


@st.composite
def accelerators(draw: Any) -> Architecture:
    """Two to four levels with any meshes, all large enough."""
    names = ["DRAM", "L2", "L1", "L0"][: draw(st.integers(2, 4))]
    meshes = [(1, 1), *(draw(st.sampled_from(MESHES)) for _ in names)]  # of each storage, then of compute
    storage = tuple(
        Storage(name=name, mesh=mesh, technology="SRAM" if i else "DRAM", size_words=10**6 if i else None)
        for i, (name, mesh) in enumerate(zip(names, meshes, strict=False))
    )
    return Architecture(storage=storage, compute=Compute(name="MAC", mesh=meshes[-1]))


@st.composite
def mapped_layers(
    draw: Any, arch: Architecture, shapes: tuple[Shape, ...], *, flags: bool = True
) -> tuple[Layer, Mapping]:
    """At most seven loops that do anything, and any directive."""
    shape = draw(st.sampled_from(shapes))
    fan_outs = [level.mesh for level in (*arch.storage[1:], arch.compute)]
    dealt = draw(st.lists(st.tuples(st.sampled_from(shape.dims), st.sampled_from((2, 2, 2, 3))), max_size=7))
    loops = _deal(draw, shape, dealt, fan_outs)
    levels = tuple(
        _level(draw, shape, level.name, loops[i], fan_outs[i] != (1, 1), flags=flags)
        for i, level in enumerate(arch.storage)
    )
    assume(all(any(d.name not in level.bypass for level in levels) for d in shape.dataspaces))
    bounds = dict.fromkeys(shape.dims, 1)
    for dim, prime in dealt:
        bounds[dim] *= prime
    values = {name: draw(st.integers(1, 3)) for name in shape.coefficients if draw(st.booleans())}
    layer = Layer(name=shape.name, shape=shape, bounds=bounds, coefficients=values)
    return layer, Mapping(levels=levels)


@st.composite
def dense_cases(draw: Any, *, shapes: tuple[Shape, ...] = SHAPES, flags: bool = True) -> Case:
    arch = draw(accelerators())
    layer, mapping = draw(mapped_layers(arch, shapes, flags=flags))
    return Case(arch, layer, None, None, mapping)


Loops = tuple[dict[str, int], dict[str, int], dict[str, str]]  # temporal, spatial factors, axes of a level


def _deal(
    draw: Any, shape: Shape, dealt: list[tuple[str, int]], fan_outs: list[tuple[int, int]]
) -> list[Loops]:
    """Every prime becomes a loop somewhere, spatial where it is drawn so and fits."""
    loops: list[Loops] = [(dict.fromkeys(shape.dims, 1), dict.fromkeys(shape.dims, 1), {}) for _ in fan_outs]
    for dim, prime in dealt:
        i, axis = draw(st.integers(0, len(fan_outs) - 1)), draw(st.sampled_from("txy"))
        temporal, spatial, axes = loops[i]
        axis = axis if axis == "t" else axes.setdefault(dim, axis)
        along = [spatial[d] for d in spatial if axes.get(d) == axis]
        if axis != "t" and prod(along) * prime <= fan_outs[i]["xy".index(axis)]:
            spatial[dim] *= prime
        else:
            temporal[dim] *= prime
    return loops


def _level(draw: Any, shape: Shape, name: str, loops: Loops, fans: bool, *, flags: bool) -> LevelMapping:
    temporal, spatial, axes = loops
    tensors = [d.name for d in shape.dataspaces]
    order = draw(st.permutations(shape.dims))
    columns = [dim for dim in order if axes.get(dim) != "y"]
    rows = [dim for dim in order if axes.get(dim) == "y"]
    nest = Nest(factors=spatial, order=(*rows, *columns), split_x=len(columns))

    def some(chance: bool) -> tuple[str, ...]:
        return tuple(draw(st.sets(st.sampled_from(tensors), max_size=2))) if chance else ()

    return LevelMapping(
        level=name,
        temporal=Nest(factors=temporal, order=tuple(draw(st.permutations(shape.dims)))),
        spatial=nest if fans else None,
        bypass=some(draw(st.booleans())),
        no_link_transfer=some(flags and fans and draw(st.booleans())),
        no_multicast_no_reduction=some(flags and fans and draw(st.booleans())),
        no_temporal_reuse=some(flags and draw(st.booleans())),
    )
