"""Seeded random cases: a small accelerator, layer, policy, energy table and a mapping that fits, mostly.

The layer and the loops are drawn first; buffers are then made large enough for the tiles, and formats deep
enough for the loops, so that most cases have an answer. Cases that are too tight are kept, because a
rejection is an answer, too.
"""

import random
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    Dataspace,
    Density,
    EnergyTable,
    Layer,
    LevelMapping,
    Mapping,
    Nest,
    Network,
    Option,
    Rank,
    Saf,
    Shape,
    SparsePolicy,
    Storage,
    TensorFormat,
)

GEMM = Shape(
    name="gemm",
    dims=("M", "N", "K"),
    dataspaces=(
        Dataspace(name="A", projection=("M", "K")),
        Dataspace(name="B", projection=("N", "K")),
        Dataspace(name="Z", projection=("M", "N"), read_write=True),
    ),
)
_STRIDES = {"Wstride": 1, "Hstride": 1, "Wdilation": 1, "Hdilation": 1}
CONV = Shape(
    name="conv",
    dims=("R", "S", "P", "Q", "C", "M", "N"),
    coefficients=_STRIDES,
    dataspaces=(
        Dataspace(name="Weights", projection=("C", "M", "R", "S")),
        Dataspace(name="Inputs", projection=("N", "C", "R*Wdilation + P*Wstride", "S*Hdilation + Q*Hstride")),
        Dataspace(name="Outputs", projection=("N", "M", "Q", "P"), read_write=True),
    ),
)
GROUPED = Shape(
    name="grouped-conv",
    dims=("R", "P", "C", "M", "G"),
    coefficients={"stride": 1, "dilation": 1},
    dataspaces=(
        Dataspace(name="Weights", projection=("G", "C", "M", "R")),
        Dataspace(name="Inputs", projection=("G", "C", "R*dilation + P*stride")),
        Dataspace(name="Outputs", projection=("G", "M", "P"), read_write=True),
    ),
)
_BOUNDS = {
    "R": (1, 1, 2, 3, 3, 5), "S": (1, 1, 2, 3), "P": (1, 2, 4, 6, 7, 8, 14), "Q": (1, 2, 4, 6, 7, 8),
    "C": (1, 2, 3, 4, 8, 16, 24), "M": (1, 2, 4, 6, 8, 16, 32), "N": (1, 1, 1, 2, 3), "G": (1, 2, 3, 4),
    "K": (2, 4, 8, 12, 16, 30, 64),
}  # fmt: skip
_MESHES = ((1, 1), (1, 1), (2, 1), (4, 1), (1, 3), (2, 2), (3, 2), (4, 2), (8, 4))


class Drawn(NamedTuple):
    family: str
    accelerator: Accelerator
    layer: Layer
    mapping: Mapping


def draw_case(rng: random.Random, *, energy_table: bool = False) -> Drawn:
    """One random case; the same generator state gives the same case.

    `energy_table`: always with one, as a Timeloop that is built with Accelergy calls it where there is none.
    """
    layer = _layer(rng)
    names = rng.choice((["DRAM", "spad"], ["DRAM", "GLB", "spad"], ["DRAM", "GLB", "cluster", "spad"]))
    meshes = [(1, 1), *(rng.choice(_MESHES) for _ in names)]  # of each storage, then of compute
    mapping = _mapping(rng, layer, names, meshes[1:])
    policy = _policy(rng, layer, mapping) if rng.random() < 0.7 else None
    storage = tuple(
        _storage(rng, name, mesh, _tile_words(layer, mapping, i), policy)
        for i, (name, mesh) in enumerate(zip(names, meshes, strict=False))
    )
    compute = Compute(
        name="MAC", mesh=meshes[-1], word_bits=storage[-1].word_bits, area_um2=rng.choice((0, 800))
    )
    arch = Architecture(storage=storage, compute=compute)
    energy = _energy(rng, arch) if rng.random() < 0.8 or energy_table else None
    family = f"{layer.shape.name}-{'dense' if policy is None else 'sparse'}-{len(names)}-levels"
    return Drawn(family, Accelerator(architecture=arch, policy=policy, energy=energy), layer, mapping)


def _layer(rng: random.Random) -> Layer:
    shape = rng.choice((GEMM, CONV, CONV, GROUPED))
    bounds = {dim: rng.choice(_BOUNDS[dim]) for dim in shape.dims}
    densities = {}
    for dataspace in shape.dataspaces:
        kind = rng.choice(("none", "fixed-structured", "hypergeometric"))
        if kind != "none":
            value = rng.choice((0.1, 0.25, 0.44, 0.5, 0.55, 0.8, round(rng.random(), 3), 1.0))
            densities[dataspace.name] = Density(distribution=kind, density=max(value, 0.05))
    if shape is GEMM and rng.random() < 0.15:
        bounds["M"] = bounds["K"]  # banded tensors are square
        densities["A"] = Density(distribution="banded", band_width=rng.randint(0, 4))
    return Layer(
        name=shape.name,
        shape=shape,
        bounds=bounds,
        coefficients={name: rng.choice((2, 3)) for name in shape.coefficients if rng.random() < 0.4},
        densities=densities,
    )


def _mapping(
    rng: random.Random, layer: Layer, names: Sequence[str], fan_outs: Sequence[tuple[int, int]]
) -> Mapping:
    """Distribute the prime factors of all bounds to loops, to spatial ones while there is room."""
    dims = layer.shape.dims
    temporal: list[dict[str, int]] = [dict.fromkeys(dims, 1) for _ in names]
    spatial: list[dict[str, int]] = [dict.fromkeys(dims, 1) for _ in names]
    axis = [{dim: rng.randrange(2) for dim in dims} for _ in names]
    room = [list(mesh) for mesh in fan_outs]
    for dim in dims:
        for prime in _primes(layer.bounds[dim]):
            at = rng.randrange(len(names))
            side = axis[at][dim]
            if room[at][side] >= prime and rng.random() < 0.8:
                spatial[at][dim] *= prime
                room[at][side] //= prime
            else:
                temporal[at][dim] *= prime
    levels = []
    for i, name in enumerate(names):
        columns = [d for d in dims if axis[i][d] == 0]
        rows = [d for d in dims if axis[i][d] == 1]
        order = (*rng.sample(rows, len(rows)), *rng.sample(columns, len(columns)))
        nest = Nest(factors=spatial[i], order=order, split_x=len(columns))
        levels.append(
            LevelMapping(
                level=name,
                temporal=Nest(factors=temporal[i], order=tuple(rng.sample(dims, len(dims)))),
                spatial=nest if fan_outs[i] != (1, 1) else None,
                bypass=_some(rng, layer, 0.3) if i and rng.random() < 0.6 else (),
                no_link_transfer=_some(rng, layer, 0.1) if fan_outs[i] != (1, 1) else (),
                no_multicast_no_reduction=_some(rng, layer, 0.1) if fan_outs[i] != (1, 1) else (),
                no_temporal_reuse=_some(rng, layer, 0.05),
            )
        )
    return Mapping(levels=tuple(levels))


def _primes(number: int) -> list[int]:
    primes, divisor = [], 2
    while number > 1:
        if number % divisor:
            divisor += 1
        else:
            primes.append(divisor)
            number //= divisor
    return primes


def _some(rng: random.Random, layer: Layer, chance: float) -> tuple[str, ...]:
    return tuple(d.name for d in layer.shape.dataspaces if rng.random() < chance)


def _tile_words(layer: Layer, mapping: Mapping, index: int) -> int:
    """Return the words that level `index` (outer to inner) holds: the boxes of its tiles (model 3.2)."""
    extents = dict.fromkeys(layer.shape.dims, 1)
    for level in mapping.levels[index:]:
        for dim, factor in level.temporal.factors.items():
            extents[dim] *= factor
        for dim, factor in (level.spatial.factors if level.spatial else {}).items():
            extents[dim] *= factor
    coefficients = layer.shape.coefficients | layer.coefficients
    words = 0
    for dataspace in layer.shape.dataspaces:
        if dataspace.name not in mapping.levels[index].bypass:
            words += prod(
                1 + sum((coefficients[c] if c else 1) * (extents[d] - 1) for d, c in side)
                for side in dataspace.terms()
            )
    return words


def _storage(
    rng: random.Random, name: str, mesh: tuple[int, int], tile_words: int, policy: SparsePolicy | None
) -> Storage:
    dram = name == "DRAM"
    block = rng.choice((1, 2, 4, 8)) if dram or name == "GLB" else rng.choice((1, 1, 2))
    buffering = 1.0 if dram else rng.choice((1.0, 1.0, 1.0, 2.0))
    slack = 0.7 if rng.random() < 0.05 else rng.choice((1, 1.5, 4))
    metadata_bits = rng.choice((8, 16, 32)) if policy is not None else 0

    def bandwidth() -> float | None:
        return None if rng.random() < 0.6 else float(rng.choice((1, 2, 4, 16)))

    return Storage(
        name=name,
        technology="DRAM" if dram else "SRAM",
        mesh=mesh,
        word_bits=8,
        block_size=block,
        size_words=None if dram else -(-int(tile_words * buffering * slack) // block) * block,
        multiple_buffering=buffering,
        read_bandwidth=bandwidth(),
        write_bandwidth=bandwidth(),
        shared_bandwidth=bandwidth(),
        metadata_word_bits=rng.choice((0, 4, 8)) if policy is not None else 0,
        metadata_width_bits=metadata_bits,
        metadata_depth=None if dram or policy is None else 4 * tile_words + 64,
        compression_supported=policy is not None,
        decompression_supported=policy is not None,
        addr_gen_energy_pj=rng.choice((None, None, 0.05)),
        network=_network(rng),
    )


def _network(rng: random.Random) -> Network:
    if rng.random() < 0.6:
        return Network()
    return Network(
        router_energy_pj=rng.choice((None, 0.5)),
        wire_energy_pj_per_bit_mm=rng.choice((None, 0.07)),
        energy_per_ingress_pj=rng.choice((None, 0.3)),
        tile_width_um=rng.choice((None, 120.0)),
        fill_latency_cycles=rng.choice((0, 0, 5)),
        drain_latency_cycles=rng.choice((0, 0, 3)),
    )


def _policy(rng: random.Random, layer: Layer, mapping: Mapping) -> SparsePolicy:
    formats = [
        f for d in layer.shape.dataspaces if rng.random() < 0.5 for f in _formats(rng, layer, mapping, d.name)
    ]
    safs = [_saf(rng, layer, level.level) for level in mapping.levels if rng.random() < 0.4]
    outward = [level.level for level in mapping.levels]
    return SparsePolicy(
        formats=tuple(sorted(formats, key=lambda f: outward.index(f.level))),
        safs=tuple(safs),
        compute_gating=rng.random() < 0.4,
        compute_skipping=rng.random() < 0.3,
    )


def _saf(rng: random.Random, layer: Layer, level: str) -> Saf:
    if rng.random() < 0.1:
        return Saf(level=level, type="skipping-spatial", options=(_option(rng, layer, most=1),))
    options = tuple(_option(rng, layer, most=2) for _ in range(rng.choice((1, 1, 1, 2))))
    return Saf(level=level, type=rng.choice(("gating", "skipping")), options=options)


def _option(rng: random.Random, layer: Layer, most: int) -> Option:
    target = rng.choice([d.name for d in layer.shape.dataspaces])
    leaders = [d.name for d in layer.shape.dataspaces if not d.read_write and d.name != target]
    return Option(target=target, condition_on=tuple(leaders[: rng.randint(1, most)]))


def _formats(rng: random.Random, layer: Layer, mapping: Mapping, dataspace: str) -> list[TensorFormat]:
    """Formats from the outermost level inwards to a drawn depth; each outer level has one rank more than the
    next.
    """
    kept = [m.level for m in mapping.levels if dataspace not in m.bypass]
    depth = rng.randint(1, len(kept))
    dims = layer.shape.dims
    split = rng.randrange(len(dims)) if rng.random() < 0.1 else 0
    everything = (dims,) if split == 0 else (dims[:split], dims[split:])
    kind = rng.choice(("RLE", "CP", "B", "UB"))
    word_bits = None if kind == "UB" else rng.choice((None, 4))
    lowest = Rank(format=kind, flattened=everything, metadata_word_bits=word_bits)
    ranks = (lowest,) if depth == len(kept) else (Rank(format="UOP", flattened=everything), lowest)
    order = rng.choice(("outer-to-inner", "inner-to-outer", "inner-to-outer"))
    formats = []
    for level in reversed(kept[:depth]):
        formats.append(TensorFormat(level=level, dataspace=dataspace, ranks=ranks, order=order))
        payload = rng.choice((0, 4, None))
        upper = rng.choice(("B", "CP")) if all(r.compressed for r in ranks) and rng.random() < 0.2 else "UOP"
        ranks = (Rank(format=upper, flattened=everything, payload_word_bits=payload), *ranks)
    return formats


_ACTIONS = {
    "read": 1.0, "write": 1.1, "gated_read": 0.03, "gated_write": 0.04, "metadata_read": 0.2,
    "metadata_write": 0.22, "gated_metadata_read": 0.01, "gated_metadata_write": 0.012,
    "decompression_count": 0.01, "compression_count": 0.011, "idle": 0.0,
}  # fmt: skip


def _energy(rng: random.Random, arch: Architecture) -> EnergyTable:
    actions, areas = {}, {}
    for level in arch.storage:
        scale = rng.uniform(0.5, 2) * (
            200 if level.technology == "DRAM" else (level.size_words or 1) ** 0.5 / 8
        )
        keep = [name for name in _ACTIONS if name in ("read", "write") or rng.random() < 0.9]
        actions[level.name] = {name: round(_ACTIONS[name] * scale, 5) for name in keep}
        areas[level.name] = round(scale * 1000, 2)
    mac = round(rng.uniform(0.2, 3), 4)
    actions[arch.compute.name] = {"mac_random": mac, "mac_gated": round(mac / 20, 5), "idle": 0.0}
    areas[arch.compute.name] = 332.25
    return EnergyTable(
        name="ERT", actions=actions, areas=areas, wire_pj_per_bit_mm=0.05 if rng.random() < 0.2 else None
    )
