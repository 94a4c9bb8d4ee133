"""Small layers with sliding windows by a seed, with a free dataflow or random constraints."""

from __future__ import annotations

import random

from msgspec.structs import replace

from sparsim.mapper.engine import Problem
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    Dataspace,
    EnergyTable,
    Layer,
    LevelConstraint,
    Mapspace,
    NestConstraint,
    Shape,
    Storage,
)

ACCOUNTINGS = ("timeloop-3", "timeloop-3", "timeloop-2022", "count-drains", "timeloop-4")
MACS = ((1, 1), (1, 1), (2, 1), (2, 2))
MESHES = ((1, 1), (2, 1), (2, 2), (4, 1), (3, 2), (6, 1), (5, 1))
WINDOWS = {  # dims, those of the operands and of the result, stride and dilation
    "one": (("C", "R"), ("C", "P+R"), ("P",), {}),
    "strided": (("C", "R"), ("C", "P*stride+R"), ("P",), {"stride": 2}),
    "dilated": (("C", "R"), ("C", "P+R*dilation"), ("P",), {"dilation": 2}),
    "two": (("R", "S"), ("P+R", "Q+S"), ("P", "Q"), {}),
    "three dims": (("R", "T"), ("P+R+T",), ("P",), {}),
}


def window_problem(seed: int) -> Problem:
    """Return a dense problem with windows of operand B, where some tensors must be kept or bypassed."""
    draw = random.Random(seed)
    arch = _architecture(draw)
    levels = []
    for name in ("GLB", "spad"):
        kept = {tensor: draw.random() for tensor in "ABZ"}
        keep = tuple(tensor for tensor, x in kept.items() if x < 0.55)
        bypass = tuple(tensor for tensor, x in kept.items() if x > 0.85)
        levels.append(LevelConstraint(level=name, keep=keep, bypass=bypass))
    price = {name: draw.choice(prices) for name, prices in PRICES.items()}
    actions = {name: {"read": pj, "write": pj * draw.choice((1, 1, 3))} for name, pj in price.items()}
    energy = EnergyTable(actions={**actions, "MAC": {"mac_random": 1.0}})
    accelerator = Accelerator(architecture=arch, energy=energy, mapspace=Mapspace(levels=tuple(levels)))
    return Problem(accelerator, _layer(draw), draw.choice(ACCOUNTINGS))


PRICES = {"DRAM": (200.0, 20.0, 5.0), "GLB": (6.0, 3.0, 30.0), "spad": (1.0, 0.1, 2.0)}


def _architecture(draw: random.Random) -> Architecture:
    several, pes, macs = draw.choice(((1, 1), (1, 1), (2, 1))), draw.choice(MESHES), draw.choice(MACS)
    block = [draw.choice((1, 1, 1, 2)) for _ in range(3)]
    glb, spad = draw.choice((10, 24, 60, 1000)), draw.choice((3, 6, 12, 100))
    return Architecture(
        storage=(
            Storage(name="DRAM", technology="DRAM", block_size=block[0]),
            Storage(name="GLB", size_words=glb, mesh=several, block_size=block[1]),
            Storage(name="spad", size_words=spad, mesh=pes, block_size=block[2]),
        ),
        compute=Compute(name="MAC", mesh=macs),
    )


def _layer(draw: random.Random) -> Layer:
    name = draw.choice(tuple(WINDOWS))
    a, b, z, coefficients = WINDOWS[name]
    dims = ("M", *a, *z)
    shape = Shape(
        name=name, dims=dims, coefficients=coefficients,
        dataspaces=(
            Dataspace(name="A", projection=("M", *a)),
            Dataspace(name="B", projection=b),
            Dataspace(name="Z", projection=("M", *z), read_write=True),
        ),
    )  # fmt: skip
    bounds, total, most = dict.fromkeys(dims, 1), 1, draw.choice((12, 24, 36))
    for dim in draw.sample(dims, len(dims)):
        bound = draw.choice((1, 2, 2, 3, 4, 4, 5, 6, 8))
        if total * bound <= most:
            bounds[dim] = bound
            total *= bound
    return Layer(name="layer", shape=shape, bounds=bounds)


def constrained(problem: Problem, seed: int) -> Problem:
    """Return the problem with some factors and orders fixed, so that unusual mappings are the best."""
    draw = random.Random(seed)
    accelerator, layer = problem.accelerator, problem.layer
    assert accelerator.mapspace is not None
    left = dict(layer.bounds)
    given = {level.level: level for level in accelerator.mapspace.levels}
    levels = []
    arch = accelerator.architecture
    for name, child in zip(("DRAM", "GLB", "spad"), (*arch.storage[1:], arch.compute), strict=True):
        temporal = _nest(draw, left, share=0.3)
        spreads = child.mesh != (1, 1) and draw.random() < 0.8
        spatial = _nest(draw, left, share=0.6) if spreads else None
        level = given.get(name, LevelConstraint(level=name))
        levels.append(replace(level, temporal=temporal, spatial=spatial))
    return problem._replace(accelerator=replace(accelerator, mapspace=Mapspace(levels=tuple(levels))))


def _nest(draw: random.Random, left: dict[str, int], share: float) -> NestConstraint:
    factors = {}
    for dim in left:
        if draw.random() < share:
            factors[dim] = draw.choice([n for n in range(1, min(left[dim], 6) + 1) if left[dim] % n == 0])
            left[dim] //= factors[dim]
    order = draw.sample(tuple(left), draw.choice((0, 1, 2, len(left), len(left))))
    return NestConstraint(factors=factors, inner=tuple(order))
