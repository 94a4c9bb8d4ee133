"""Hypothesis strategies for cases small enough for the twins: accelerators, layers and mappings that fit."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import msgspec
from hypothesis import assume
from hypothesis import strategies as st

from sparsim.spec import (
    Architecture,
    Compute,
    Dataspace,
    Density,
    EnergyTable,
    Layer,
    LevelMapping,
    Mapping,
    Nest,
    Option,
    Rank,
    Saf,
    Shape,
    SparsePolicy,
    Storage,
    TensorFormat,
)
from sparsim.spec.energy import STORAGE_ACTIONS
from validation.draw import CONV, GEMM, GROUPED

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
    """The arguments of `evaluate`, in its order."""

    arch: Architecture
    layer: Layer
    policy: SparsePolicy | None
    energy: EnergyTable | None
    mapping: Mapping

    def __repr__(self) -> str:
        """Without what is at its default."""
        return "\n".join(f"{type(record).__name__} {record.to_dict()}" for record in self if record)


def _factors(draw: Any, n: int) -> list[int]:
    return draw(st.lists(st.sampled_from((2, 2, 2, 3)), max_size=n))


@st.composite
def dense_cases(draw: Any, *, shapes: tuple[Shape, ...] = SHAPES, flags: bool = True) -> Case:
    """Two to four levels, at most seven loops that do anything, and any directive."""
    shape = draw(st.sampled_from(shapes))
    names = ["DRAM", "L2", "L1", "L0"][: draw(st.integers(2, 4))]
    meshes = [(1, 1), *(draw(st.sampled_from(MESHES)) for _ in names)]  # of each storage, then of compute
    dealt = [(draw(st.sampled_from(shape.dims)), prime) for prime in _factors(draw, 7)]
    loops = _deal(draw, shape, dealt, names, meshes[1:])
    levels = tuple(
        _level(draw, shape, name, loops[i], meshes[i + 1] != (1, 1), flags=flags)
        for i, name in enumerate(names)
    )
    bounds = dict.fromkeys(shape.dims, 1)
    for dim, prime in dealt:
        bounds[dim] *= prime
    values = {name: draw(st.integers(1, 3)) for name in shape.coefficients if draw(st.booleans())}
    layer = Layer(name=shape.name, shape=shape, bounds=bounds, coefficients=values)
    storage = tuple(
        Storage(name=name, mesh=mesh, technology="SRAM" if i else "DRAM", size_words=10**6 if i else None)
        for i, (name, mesh) in enumerate(zip(names, meshes, strict=False))
    )
    arch = Architecture(storage=storage, compute=Compute(name="MAC", mesh=meshes[-1]))
    assume(all(any(d.name not in level.bypass for level in levels) for d in shape.dataspaces))
    return Case(arch, layer, None, None, Mapping(levels=levels))


Loops = tuple[dict[str, int], dict[str, int], dict[str, str]]  # temporal, spatial factors, axes of a level


def _deal(
    draw: Any, shape: Shape, dealt: list[tuple[str, int]], names: list[str], fan_outs: list[tuple[int, int]]
) -> list[Loops]:
    """Every prime becomes a loop somewhere, spatial where it is drawn so and fits."""
    loops: list[Loops] = [(dict.fromkeys(shape.dims, 1), dict.fromkeys(shape.dims, 1), {}) for _ in names]
    for dim, prime in dealt:
        i, axis = draw(st.integers(0, len(names) - 1)), draw(st.sampled_from("txy"))
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


FULL_TABLE = {action: round(1.0 + 0.37 * i, 2) for i, action in enumerate(STORAGE_ACTIONS)}


@st.composite
def sparse_cases(draw: Any) -> Case:
    """A dense case with densities, formats, SAFs, limits, and a price for every action. Many do not fit."""
    case = draw(dense_cases(shapes=(GEMM, SLIDING, POINTWISE, GROUPED)))
    storage = tuple(_limited(draw, level) for level in case.arch.storage)
    arch = msgspec.structs.replace(case.arch, storage=storage)
    tensors = [d.name for d in case.layer.shape.dataspaces]
    layer = msgspec.structs.replace(case.layer, densities={name: draw(densities) for name in tensors})
    policy = SparsePolicy(
        formats=tuple(f for name in tensors if draw(st.booleans()) for f in _formats_of(draw, case, name)),
        safs=tuple(draw(st.lists(_safs(case), max_size=3))),
        compute_gating=draw(st.booleans()),
        compute_skipping=draw(st.booleans()),
    )
    assume(policy.active)
    actions = {
        level.name: {action: pj * (i + 1) for action, pj in FULL_TABLE.items()}
        for i, level in enumerate(storage)
    }
    compute = {"mac_random": 3.1, "mac_gated": 0.7, "mac_skipped": 0.2}
    return Case(arch, layer, policy, EnergyTable(actions={**actions, "MAC": compute}), case.mapping)


densities = st.builds(
    Density,
    distribution=st.sampled_from(["fixed-structured", "hypergeometric"]),
    density=st.sampled_from([0.0, 1 / 64, 0.1, 0.25, 0.3, 0.5, 0.55, 0.7, 0.9, 1.0]) | st.floats(0, 1),
)


def _limited(draw: Any, level: Storage) -> Storage:
    bandwidths = st.sampled_from([None, None, None, 0.5, 2.0])
    dram = level.technology == "DRAM"
    return msgspec.structs.replace(
        level,
        size_words=None if dram else draw(st.sampled_from([10**6, 10**6, 10**6, 64])),
        multiple_buffering=draw(st.sampled_from([1.0, 1.0, 2.0])),
        min_utilization=0.0 if dram else draw(st.sampled_from([0.0, 0.0, 0.0, 1e-6])),
        block_size=draw(st.sampled_from([1, 1, 2, 4])),
        word_bits=draw(st.sampled_from([8, 16])),
        metadata_word_bits=draw(st.sampled_from([0, 4, 8])),
        metadata_width_bits=draw(st.sampled_from([16, 24])),
        metadata_depth=draw(st.sampled_from([10**6, 10**6, 10**6, 8])),
        read_bandwidth=draw(bandwidths),
        write_bandwidth=draw(bandwidths),
        shared_bandwidth=draw(bandwidths),
        compression_supported=draw(st.sampled_from([True, True, True, False])),
        decompression_supported=draw(st.sampled_from([True, True, True, False])),
        addr_gen_energy_pj=draw(st.sampled_from([None, 0.5])),
    )


def _formats_of(draw: Any, case: Case, tensor: str) -> list[TensorFormat]:
    """From the outermost level that keeps the tensor inward, mostly a rank less each time."""
    kept = [m.level for m in case.mapping.levels if tensor not in m.bypass]
    depth = draw(st.integers(1, len(kept)))
    dims = case.layer.shape.dims
    order = draw(st.sampled_from(["outer-to-inner", "inner-to-outer"]))
    ranks = (_rank(draw, dims, ("CP", "RLE", "B", "UB")),)
    found = []
    for level in reversed(kept[:depth]):
        found.append(TensorFormat(level=level, dataspace=tensor, ranks=ranks, order=order))
        upper = [_rank(draw, dims, ("UOP", "U")) for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2])))]
        ranks = (*upper, *ranks)
    return found


def _rank(draw: Any, dims: tuple[str, ...], kinds: tuple[str, ...]) -> Rank:
    split = draw(st.integers(0, len(dims)))
    groups = draw(st.sampled_from([(dims,), (dims,), (dims[:split], dims[split:]), (dims[split:],), ()]))
    word_bits = st.sampled_from([None, 0, 3, 5])
    return Rank(
        format=draw(st.sampled_from(kinds)),
        flattened=groups,
        metadata_word_bits=draw(word_bits),
        payload_word_bits=draw(word_bits),
    )


@st.composite
def _safs(draw: Any, case: Case) -> Saf:
    tensors = [d.name for d in case.layer.shape.dataspaces]
    leaders = st.lists(st.sampled_from(tensors), min_size=1, max_size=2, unique=True).map(tuple)
    options = st.builds(Option, target=st.sampled_from(tensors), condition_on=leaders)
    return Saf(
        level=draw(st.sampled_from([level.name for level in case.arch.storage])),
        type=draw(st.sampled_from(["gating", "skipping"])),
        options=tuple(draw(st.lists(options, min_size=1, max_size=2))),
    )
