"""The runs of the original PointNet++ study as records: 12 layers x dense/sparse x 2 designs, with results.

The facts lie in three tables beside this file, each with its source in the first lines. There R and P are
the width and S and Q the height, as in the study's documents for Timeloop; in the records it is the other way
round, as everywhere in `sparsim`.
"""

from __future__ import annotations

import csv
import re
from importlib import resources
from typing import NamedTuple

from sparsim.files.native import load_text
from sparsim.files.swap_axes import SWAPPED, swap_axes
from sparsim.records import Dataspace, Density, Layer, LevelMapping, Mapping, Mapspace, Nest, Shape

DESIGNS = {"gating": "eyeriss_like_gating", "onchip": "eyeriss_like_onchip"}  # design: its preset
DESIGN_TITLES = {"gating": "gating", "onchip": "on-chip compression"}
SHORT_TITLES = {"gating": "gating", "onchip": "on-chip"}
VARIANTS = ("dense", "sparse")

# A 1x1 convolution over Q neighbourhoods of P points, for N clouds; dims and dataspaces in the study's order.
SHAPE = Shape(
    name="conv",
    dims=("C", "M", "S", "R", "N", "Q", "P"),
    coefficients={"Wstride": 1, "Hstride": 1, "Wdilation": 1, "Hdilation": 1},
    dataspaces=(
        Dataspace(name="Weights", projection=("C", "M", "S", "R")),
        Dataspace(name="Inputs", projection=("N", "C", "S*Wdilation + Q*Wstride", "R*Hdilation + P*Hstride")),
        Dataspace(name="Outputs", projection=("N", "M", "P", "Q"), read_write=True),
    ),
)

_KEY = ("design", "variant", "layer")

# Level, its temporal and spatial column in mappings.csv, what it does not keep.
_LEVELS: tuple[tuple[str, str | None, str | None, tuple[str, ...]], ...] = (
    ("DRAM", "dram", None, ()),
    ("shared_glb", "shared_glb", "columns", ("Weights",)),
    ("DummyBuffer", None, "rows", ("Weights", "Inputs", "Outputs")),
    ("ifmap_spad", "ifmap_spad", None, ("Weights", "Outputs")),
    ("weights_spad", "weights_spad", None, ("Inputs", "Outputs")),
    ("psum_spad", "psum_spad", None, ("Weights", "Inputs")),
)


class Run(NamedTuple):
    """One published run; `published` holds its numbers as text, as printed."""

    design: str
    variant: str
    number: int  # of the layer, from 1
    layer: Layer
    mapping: Mapping
    published: dict[str, str]

    @property
    def title(self) -> str:
        """Design and variant, for tables."""
        return f"{SHORT_TITLES[self.design]} {self.variant}"


def runs() -> list[Run]:
    """The 48 runs: design by design, dense before sparse, layer by layer."""
    layers = {(v, int(row["layer"])): _layer(row, v) for row in _table("layers.csv") for v in VARIANTS}
    published = {_key(row): row for row in _table("published.csv")}
    found = []
    for row in _table("mappings.csv"):
        design, variant, number = key = _key(row)
        results = {name: text for name, text in published[key].items() if name not in _KEY}
        mapping = swap_axes(mapping_of(row))
        found.append(Run(design, variant, number, layers[variant, number], mapping, results))
    return found


def mapping_of(loops: dict[str, str]) -> Mapping:
    """A mapping from its loops per column of mappings.csv, outermost first: {"dram": "Q64 M2", ...}."""
    levels = []
    for level, temporal, spatial, bypass in _LEVELS:
        levels.append(
            LevelMapping(
                level=level,
                temporal=_nest(loops[temporal]) if temporal else Nest(),
                spatial=_nest(loops[spatial], split_x=0 if spatial == "rows" else None) if spatial else None,
                bypass=bypass,
            )
        )
    return Mapping(levels=tuple(levels))


def study_mapspace() -> Mapspace:
    """What the study's mapper could choose from, for both designs."""
    name = "mapspace.yaml"
    text = resources.files("pointnet.original").joinpath(name).read_text(encoding="utf-8")
    mapspace = load_text(text, name).mapspace
    assert mapspace is not None
    return mapspace


def _nest(loops: str, split_x: int | None = None) -> Nest:
    factors = {dim: int(bound) for dim, bound in re.findall(r"([A-Z])(\d+)", loops)}
    return Nest(factors=factors, order=tuple(factors), split_x=split_x)


def _layer(row: dict[str, str], variant: str) -> Layer:
    densities = {}
    if variant == "sparse":
        for dataspace in SHAPE.dataspaces:
            densities[dataspace.name] = Density(density=float(row[f"{dataspace.name.lower()}_density"]))
    bounds = {dim: int(row[SWAPPED.get(dim, dim)]) for dim in SHAPE.dims}
    return Layer(name=row["name"], shape=SHAPE, bounds=bounds, densities=densities)


def _key(row: dict[str, str]) -> tuple[str, str, int]:
    return row["design"], row["variant"], int(row["layer"])


def _table(name: str) -> list[dict[str, str]]:
    text = resources.files("pointnet.original").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
