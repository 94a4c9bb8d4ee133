"""The runs of the original PointNet++ study as records: 12 layers x dense/sparse x 2 designs, with results.

The facts lie in three tables beside this file, each with its source in the first lines. There R and P are
the width and S and Q the height, as in the study's documents for Timeloop; in the records it is the other way
round, as everywhere in `sparsim`.
"""

import csv
import re
from importlib import resources
from typing import NamedTuple

from sparsim.files.sparsim_yaml import load_text
from sparsim.files.swap_axes import SWAPPED, swap_axes
from sparsim.records import Dataspace, Density, Layer, Mapping, Mapspace, Shape

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

# The levels of both designs, with the columns of mappings.csv that have their loops.
_MAPPING = """
DRAM: {dram}
shared_glb [bypass Weights; spatial]: {shared_glb} {columns}
DummyBuffer [bypass Weights Inputs Outputs; split_x 0]: {rows}
ifmap_spad [bypass Weights Outputs]: {ifmap_spad}
weights_spad [bypass Inputs Outputs]: {weights_spad}
psum_spad [bypass Weights Inputs]: {psum_spad}
"""


class Run(NamedTuple):
    """One published run; `published` holds its numbers as text, as printed."""

    design: str
    variant: str
    number: int  # number of the layer, from 1
    layer: Layer
    mapping: Mapping
    published: dict[str, str]

    @property
    def title(self) -> str:
        """Return design and variant, for tables."""
        return f"{SHORT_TITLES[self.design]} {self.variant}"


def runs() -> list[Run]:
    """Return the 48 runs: design by design, dense before sparse, layer by layer."""
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
    """Return a mapping from its loops per column of mappings.csv, outermost first: {"dram": "Q64 M2",
    ...}.
    """
    columns, rows = (
        re.sub(r"(?<=\d)\b", axis, loops[name]) for name, axis in (("columns", "X"), ("rows", "Y"))
    )
    return Mapping.parse(_MAPPING.format(**{**loops, "columns": columns, "rows": rows}))


def study_mapspace() -> Mapspace:
    """Return the mapspace of the study's mapper, for both designs."""
    name = "mapspace.yaml"
    text = resources.files("pointnet.original").joinpath(name).read_text(encoding="utf-8")
    mapspace = load_text(text, name).mapspace
    assert mapspace is not None
    return mapspace


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
