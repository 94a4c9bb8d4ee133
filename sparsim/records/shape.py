"""What is computed: a problem shape, and a layer that gives it bounds and densities."""

from __future__ import annotations

import math
from typing import Literal

from sparsim.errors import SpecError, near
from sparsim.records.number_limits import (
    MAX_COUNT,
    MAX_NAMES,
    MAX_PARTS,
    as_real,
    check_number,
    check_whole,
    repeated,
    rounded,
)
from sparsim.records.record import Record

Distribution = Literal["fixed-structured", "hypergeometric", "banded", "actual"]


class Dataspace(Record, frozen=True, kw_only=True):
    """A tensor. Each coordinate of `projection` is a sum of products of a dim and, where there is one, a
    coefficient: `"R*dilation + P*stride"`."""

    name: str
    projection: tuple[str, ...]
    read_write: bool = False

    def terms(self) -> tuple[tuple[tuple[str, str | None], ...], ...]:
        """Per coordinate its (dim, coefficient name or None) terms, as written."""
        return tuple(tuple(_term(text, self.name) for text in side.split("+")) for side in self.projection)


def _term(text: str, dataspace: str) -> tuple[str, str | None]:
    parts = [p.strip() for p in text.split("*")]
    if not all(parts) or len(parts) > 2:
        raise SpecError(
            f"coordinate term '{text.strip()}' is not 'DIM' or 'DIM*COEFFICIENT'",
            path=f"dataspace {dataspace}",
        )
    return parts[0], (parts[1] if len(parts) == 2 else None)


class Shape(Record, frozen=True, kw_only=True):
    """A family of loop nests: dims, coefficients with defaults (strides, dilations), dataspaces, in order."""

    name: str = "problem"
    dims: tuple[str, ...]
    coefficients: dict[str, int] = {}
    dataspaces: tuple[Dataspace, ...]

    def __post_init__(self) -> None:
        where = f"shape {self.name}"
        for kind, names in (("dim", self.dims), ("dataspace", [d.name for d in self.dataspaces])):
            if not names:
                raise SpecError(f"no {kind}s given, at least one is needed", path=where)
            check_number(where, f"{kind}s", names, MAX_NAMES)
            twice = repeated(names)
            if twice is not None:
                raise SpecError(f"{kind} '{twice}' is listed twice", path=where)
        if not any(d.read_write for d in self.dataspaces):
            raise SpecError("no read-write dataspace, at least one result is needed", path=where)
        for name, value in self.coefficients.items():
            check_whole(where, f"coefficient '{name}'", value, -MAX_COUNT)
        for dataspace in self.dataspaces:
            here = f"{where}, dataspace {dataspace.name}"
            check_number(here, "coordinates", dataspace.projection, MAX_PARTS)
            for side in dataspace.terms():
                check_number(here, "terms of a coordinate", side, MAX_PARTS)
            for dim, coefficient in (t for side in dataspace.terms() for t in side):
                if dim not in self.dims:
                    raise SpecError(f"unknown dim '{dim}'", path=here, hint=near(dim, self.dims))
                if coefficient is not None and coefficient not in self.coefficients:
                    raise SpecError(
                        f"unknown coefficient '{coefficient}'",
                        path=here,
                        hint=near(coefficient, self.coefficients),
                    )


class Density(Record, frozen=True, kw_only=True):
    """How the nonzeros of a tensor are distributed; `density` is their fraction, in [0, 1].

    `band_width` belongs to `banded`, `mask` (path of a .npy or .npz file) to `actual`. `spread` is for the
    reader only: the standard deviation of a measured density between samples.
    """

    distribution: Distribution = "fixed-structured"
    density: float = 1.0
    spread: float = 0.0
    band_width: int = 0
    mask: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= as_real("", "density", self.density) <= 1.0:  # also refuses nan
            raise SpecError(f"density is {self.density:g}, allowed is 0 to 1")
        if not 0.0 <= as_real("", "spread", self.spread) <= 1.0:
            raise SpecError(f"spread is {self.spread:g}, allowed is 0 to 1")
        check_whole("", "band_width", self.band_width)


class Layer(Record, frozen=True, kw_only=True):
    """A shape with bounds, coefficient values (default: the shape's) and densities (default: dense)."""

    name: str = "layer"
    shape: Shape
    bounds: dict[str, int]
    coefficients: dict[str, int] = {}
    densities: dict[str, Density] = {}

    def __post_init__(self) -> None:
        where = f"layer {self.name}"
        for dim in self.shape.dims:
            if dim not in self.bounds:
                raise SpecError(f"no bound for dim '{dim}'", path=where)
        for dim, bound in self.bounds.items():
            if dim not in self.shape.dims:
                raise SpecError(f"unknown dim '{dim}'", path=where, hint=near(dim, self.shape.dims))
            check_whole(where, f"bound of dim '{dim}'", bound, 1)
        for name, value in self.coefficients.items():
            check_whole(where, f"coefficient '{name}'", value, -MAX_COUNT)
            if name not in self.shape.coefficients:
                raise SpecError(
                    f"unknown coefficient '{name}'", path=where, hint=near(name, self.shape.coefficients)
                )
        known = [d.name for d in self.shape.dataspaces]
        for name in self.densities:
            if name not in known:
                raise SpecError(f"density of unknown dataspace '{name}'", path=where, hint=near(name, known))
        operations = math.prod(self.bounds.values())
        if operations > MAX_COUNT:
            raise SpecError(f"{rounded(operations)} operations, allowed are {MAX_COUNT:.3g}", path=where)
        for dataspace in self.shape.dataspaces:
            words = math.prod(self.sides(dataspace))
            if words > MAX_COUNT:
                raise SpecError(
                    f"dataspace {dataspace.name} has {rounded(words)} words, allowed are {MAX_COUNT:.3g}",
                    path=where,
                )

    def sides(self, dataspace: Dataspace) -> tuple[int, ...]:
        """Words along every coordinate of a dataspace of the shape (model 3.2)."""
        values = {**self.shape.coefficients, **self.coefficients}
        return tuple(
            1 + sum(abs(values[c] if c else 1) * (self.bounds[dim] - 1) for dim, c in side)
            for side in dataspace.terms()
        )

    def density(self, dataspace: str) -> Density:
        return self.densities.get(dataspace, DENSE)


DENSE = Density()
