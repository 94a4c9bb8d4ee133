"""Hypothesis strategies for small layers with a free dataflow, formats and rules that take any loop."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sparsim.mapper.engine import Problem
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    Dataspace,
    Density,
    EnergyTable,
    Layer,
    LevelConstraint,
    Mapspace,
    Option,
    Rank,
    Saf,
    Shape,
    SparsePolicy,
    Storage,
    TensorFormat,
)
from support.small_policies import every_price

ACCOUNTINGS = ("timeloop-3", "timeloop-4", "timeloop-2022", "count-all", "count-drains")
POINTWISE = Shape(
    name="pointwise",
    dims=("M", "P", "C", "Q"),  # P and Q concern the same tensors
    dataspaces=(
        Dataspace(name="A", projection=("M", "C")),
        Dataspace(name="B", projection=("C", "P", "Q")),
        Dataspace(name="Z", projection=("M", "P", "Q"), read_write=True),
    ),
)
WINDOWS = Shape(
    name="windows",
    dims=("M", "P", "C", "R"),
    dataspaces=(
        Dataspace(name="A", projection=("M", "C", "R")),
        Dataspace(name="B", projection=("C", "P+R")),
        Dataspace(name="Z", projection=("M", "P"), read_write=True),
    ),
)
STRIDED = Shape(
    name="strided",
    dims=("M", "P", "C", "R"),
    coefficients={"stride": 2},
    dataspaces=(
        Dataspace(name="A", projection=("M", "C", "R")),
        Dataspace(name="B", projection=("C", "P*stride+R")),
        Dataspace(name="Z", projection=("M", "P"), read_write=True),
    ),
)
LEVELS = ("DRAM", "GLB", "spad")  # outer to inner
KINDS = ("UOP", "RLE", "CP", "B", "UB")


@st.composite
def free_dataflows(draw: Any) -> Problem:
    """Problems without constraints on factors and orders; what is kept where may be given."""
    shape = draw(st.sampled_from([POINTWISE, POINTWISE, WINDOWS, WINDOWS, STRIDED]))
    mesh = draw(st.sampled_from([(1, 1), (2, 2), (4, 1), (3, 2), (6, 1)]))
    arch = Architecture(
        storage=(
            Storage(name="DRAM", technology="DRAM", **_widths(draw)),
            Storage(
                name="GLB", size_words=draw(st.sampled_from([10, 24, 60, 1000])),
                read_bandwidth=draw(st.sampled_from([None, None, 1.0, 4.0])),
                write_bandwidth=draw(st.sampled_from([None, None, 2.0])),
                compression_supported=True, decompression_supported=True, **_widths(draw),
            ),
            Storage(
                name="spad", mesh=mesh, size_words=draw(st.sampled_from([3, 6, 12, 100])),
                shared_bandwidth=draw(st.sampled_from([None, None, None, 3.0])),
                compression_supported=True, decompression_supported=True, **_widths(draw),
            ),
        ),
        compute=Compute(name="MAC", mesh=mesh),
    )  # fmt: skip
    policy = draw(st.sampled_from([None, "sparse", "sparse", "sparse"])) and _policy(draw, shape)
    small = st.sampled_from([1, 2, 2, 3, 4, 4, 5, 6, 7, 8])
    bounds = {dim: draw(small) for dim in shape.dims}
    total = 1
    for dim in shape.dims:  # at most a few dims that are large
        total *= bounds[dim]
        if total > 48:
            total, bounds[dim] = total // bounds[dim], 1
    densities = {data.name: _density(draw) for data in shape.dataspaces}
    layer = Layer(name="layer", shape=shape, bounds=bounds, densities=densities)
    energy: EnergyTable | None = draw(st.sampled_from([None, every_price(arch), every_price(arch)]))
    accelerator = Accelerator(architecture=arch, policy=policy, energy=energy, mapspace=_mapspace(draw))
    return Problem(accelerator, layer, draw(st.sampled_from(ACCOUNTINGS)))


def _widths(draw: Any) -> dict[str, Any]:
    return {
        "block_size": draw(st.sampled_from([1, 1, 2, 4])), "metadata_width_bits": 16,
        "metadata_depth": draw(st.sampled_from([10**6, 10**6, 4, 1])),
    }  # fmt: skip


def _density(draw: Any) -> Density:
    kind = draw(st.sampled_from(["fixed-structured", "fixed-structured", "hypergeometric"]))
    return Density(distribution=kind, density=draw(st.sampled_from([1.0, 0.7, 0.5, 0.35, 0.2, 0.04])))


def _policy(draw: Any, shape: Shape) -> SparsePolicy:
    formats = []
    for data in shape.dataspaces:
        inner = draw(st.integers(0, 3))  # levels with a format, from the outermost on
        kinds = sorted(draw(st.lists(st.sampled_from(KINDS), min_size=3, max_size=3)), key=_is_compressed)
        for at, level in enumerate(LEVELS[:inner]):
            number = draw(st.integers(1, 3 - at))
            ranks = tuple(
                Rank(format=kinds[3 - number + i], flattened=(tuple(shape.dims),)) for i in range(number)
            )
            formats.append(TensorFormat(level=level, dataspace=data.name, ranks=ranks))
    safs = []
    if draw(st.booleans()):
        target = draw(st.sampled_from(["A", "B", "Z"]))
        leaders = tuple(name for name in ("A", "B") if name != target)[: draw(st.integers(1, 2))]
        kind = draw(st.sampled_from(["gating", "skipping"]))
        option = Option(target=target, condition_on=leaders)
        safs.append(Saf(level=draw(st.sampled_from(LEVELS)), type=kind, options=(option,)))
    return SparsePolicy(formats=tuple(formats), safs=tuple(safs))


def _is_compressed(kind: str) -> bool:
    return kind in ("RLE", "CP", "B")


def _mapspace(draw: Any) -> Mapspace:
    levels = []
    for level in LEVELS:
        keep, bypass = [], []
        for name in "ABZ":
            kept = draw(st.sampled_from([True, True, True, False, None]))
            if kept or level == "DRAM":
                keep.append(name)
            elif kept is False:
                bypass.append(name)
        levels.append(LevelConstraint(level=level, keep=tuple(keep), bypass=tuple(bypass)))
    return Mapspace(levels=tuple(levels), min_parallelism=draw(st.sampled_from([0.0, 0.0, 0.5])))
