"""The small accelerator and the layers of the specification's worked examples (model 22.0 to 22.5)."""

from __future__ import annotations

from typing import Any

import msgspec

from sparsim.records import (
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
from support.small_nests import Case

ENERGY = EnergyTable(
    actions={
        "DRAM": {"read": 400, "write": 400, "idle": 0},
        "GLB": {"read": 6, "write": 8, "metadata_read": 3, "metadata_write": 4, "idle": 0},
        "spad": {
            "read": 1, "write": 1.5, "gated_read": 0.05, "metadata_read": 0.2, "metadata_write": 0.3,
            "idle": 0,
        },
        "MAC": {"mac_random": 2, "mac_gated": 0.1},
    }
)  # fmt: skip
WINDOW = Shape(
    name="window",
    dims=("K", "P", "R"),
    dataspaces=(
        Dataspace(name="W", projection=("K", "R")),
        Dataspace(name="I", projection=("P + R",)),
        Dataspace(name="O", projection=("K", "P"), read_write=True),
    ),
)
MATMUL = Shape(
    name="matmul",
    dims=("M", "N", "K"),
    dataspaces=(
        Dataspace(name="A", projection=("M", "K")),
        Dataspace(name="B", projection=("K", "N")),
        Dataspace(name="Z", projection=("M", "N"), read_write=True),
    ),
)


NONE = Nest()


def accelerator(mesh: tuple[int, int] = (4, 1), **changes: dict[str, Any]) -> Architecture:
    """DRAM, one GLB, `mesh` PEs with a spad and a MAC each; `changes`: fields of a level by its name."""
    levels = (
        Storage(
            name="DRAM", technology="DRAM", block_size=4, metadata_width_bits=64, metadata_word_bits=8,
        ),
        Storage(
            name="GLB", size_words=1024, read_bandwidth=4, write_bandwidth=4, metadata_depth=1024,
            metadata_width_bits=16, metadata_word_bits=8,
        ),
        Storage(
            name="spad", mesh=mesh, size_words=64, metadata_depth=64, metadata_width_bits=8,
            metadata_word_bits=8,
        ),
    )  # fmt: skip
    storage = tuple(msgspec.structs.replace(level, **changes.get(level.name, {})) for level in levels)
    return Architecture(storage=storage, compute=Compute(name="MAC"))


def loops(order: str, **factors: int) -> Nest:
    """A nest of one-letter dims, outer to inner."""
    return Nest(order=tuple(order), factors=factors)


def mapping(
    in_spad: Nest = NONE, spread: Nest | None = None, in_glb: Nest = NONE, in_dram: Nest = NONE, **flags: Any
) -> Mapping:
    """Loops of the small accelerator; `flags`: fields of a LevelMapping by the level's name."""
    levels = (
        LevelMapping(level="DRAM", temporal=in_dram),
        LevelMapping(level="GLB", temporal=in_glb, spatial=spread),
        LevelMapping(level="spad", temporal=in_spad),
    )
    return Mapping(levels=tuple(msgspec.structs.replace(m, **flags.get(m.level, {})) for m in levels))


def window_layer(k: int, p: int, r: int) -> Layer:
    return Layer(shape=WINDOW, bounds={"K": k, "P": p, "R": r})


def sliding_window(arch: Architecture | None = None, **flags: Any) -> Case:
    """22.1."""
    nests = mapping(spread=loops("P", P=4), in_glb=loops("PR", R=3, P=2), **flags)
    return Case(arch or accelerator(), window_layer(1, 8, 3), None, ENERGY, nests)


SPREAD_MATMUL = mapping(
    in_spad=loops("K", K=4), spread=loops("N", N=4), in_glb=loops("M", M=8), in_dram=loops("K", K=2)
)
OFFSETS = Rank(format="UOP")
FORMATS_OF_A = (
    TensorFormat(level="DRAM", dataspace="A", ranks=(OFFSETS, OFFSETS, Rank(format="CP"))),
    TensorFormat(level="GLB", dataspace="A", ranks=(OFFSETS, Rank(format="CP"))),
    TensorFormat(level="spad", dataspace="A", ranks=(Rank(format="CP", metadata_word_bits=4),)),
)  # fmt: skip
SKIP_B = Saf(level="spad", type="skipping", options=(Option(target="B", condition_on=("A",)),))
COMPRESSED = SparsePolicy(formats=FORMATS_OF_A, safs=(SKIP_B,), compute_gating=True)


def fixed(density: float) -> Density:
    return Density(density=density)


def uniform(density: float) -> Density:
    return Density(distribution="hypergeometric", density=density)


def matmul(
    policy: SparsePolicy | None = COMPRESSED, arch: Architecture | None = None, **densities: Density
) -> Case:
    """22.4 and 22.5: 8 x 8 times 8 x 4."""
    layer = Layer(shape=MATMUL, bounds={"M": 8, "N": 4, "K": 8}, densities=densities)
    return Case(arch or accelerator(), layer, policy, ENERGY, SPREAD_MATMUL)
