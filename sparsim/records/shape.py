"""The shape of a problem: dims, and the tensors that they are projected on."""

from sparsim.errors import SpecError, near
from sparsim.records.number_limits import MAX_COUNT, MAX_NAMES, MAX_PARTS, check_number, check_whole, repeated
from sparsim.records.record import Record


class Dataspace(Record, frozen=True, kw_only=True):
    """A tensor. Each coordinate of `projection` is a sum of products of a dim and, where there is one, a
    coefficient: `"R*dilation + P*stride"`."""

    name: str
    projection: tuple[str, ...]
    read_write: bool = False

    def terms(self) -> tuple[tuple[tuple[str, str | None], ...], ...]:
        """Per coordinate its (dim, coefficient name or None) terms, as written."""
        return self.kept("terms of coordinates", (), self._terms)

    def _terms(self) -> tuple[tuple[tuple[str, str | None], ...], ...]:
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
