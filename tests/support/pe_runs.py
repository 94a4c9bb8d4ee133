"""A processing element that skips both operands' zeros, like that of Eyeriss v2, and a small layer for it.

Inputs stream through in compressed form; weights are fetched for nonzero inputs only, and stored compressed.
"""

from __future__ import annotations

from sparsim.records import (
    Architecture,
    Compute,
    Dataspace,
    Density,
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

FILTERS = 16
POINTWISE = Shape(
    name="pointwise",
    dims=("C", "M", "E", "F"),
    dataspaces=(
        Dataspace(name="Weights", projection=("C", "M")),
        Dataspace(name="Inputs", projection=("C", "E", "F")),
        Dataspace(name="Outputs", projection=("M", "E", "F"), read_write=True),
    ),
)
LEVELS = ("DRAM", "iact spad", "weight spad", "psum spad")
KEPT = {"iact spad": "Inputs", "weight spad": "Weights", "psum spad": "Outputs"}


def _architecture() -> Architecture:
    outside = Storage(name="DRAM", technology="DRAM", metadata_width_bits=16, metadata_word_bits=4)
    spads = (
        Storage(name=name, size_words=512, metadata_width_bits=16, metadata_word_bits=4, metadata_depth=512)
        for name in LEVELS[1:]
    )
    return Architecture(storage=(outside, *spads), compute=Compute(name="MAC"))


def _formats(tensor: str, spad: str) -> tuple[TensorFormat, ...]:
    offsets, runs = Rank(format="UOP"), Rank(format="RLE", flattened=(POINTWISE.dims,))
    return (
        TensorFormat(level="DRAM", dataspace=tensor, ranks=(*[offsets] * 4, runs)),
        TensorFormat(level=spad, dataspace=tensor, ranks=(offsets, runs)),
    )


def _mapping() -> Mapping:
    nests = {
        "DRAM": Nest(order=("M", "F", "E", "C"), factors={"M": 4, "E": 4, "F": 4, "C": 2}),
        "psum spad": Nest(order=("C", "M"), factors={"C": 4, "M": 4}),
    }
    tensors = [d.name for d in POINTWISE.dataspaces]
    return Mapping(
        levels=tuple(
            LevelMapping(
                level=name,
                temporal=nests.get(name, Nest()),
                bypass=tuple(t for t in tensors if name in KEPT and t != KEPT[name]),
            )
            for name in LEVELS
        )
    )


def pe_case() -> Case:
    """Eight channels; uniform operands."""
    densities = {"Weights": 0.6, "Inputs": 0.7}
    layer = Layer(
        shape=POINTWISE,
        bounds={"C": 8, "M": FILTERS, "E": 4, "F": 4},
        densities={name: Density(distribution="hypergeometric", density=d) for name, d in densities.items()},
    )
    skip = Saf(
        level="weight spad", type="skipping", options=(Option(target="Weights", condition_on=("Inputs",)),)
    )
    policy = SparsePolicy(
        formats=(*_formats("Weights", "weight spad"), *_formats("Inputs", "iact spad")),
        safs=(skip,),
        compute_skipping=True,
    )
    return Case(_architecture(), layer, policy, None, _mapping())
