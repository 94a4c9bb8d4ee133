"""The shape of a problem: its dims, and their projections to tensors."""

from sparsim.errors import SpecError, near
from sparsim.records.number_limits import MAX_COUNT, MAX_NAMES, MAX_PARTS, check_number, check_whole, repeated
from sparsim.records.record import Record


class Dataspace(Record, frozen=True, kw_only=True):
    """A tensor of a shape.

    Parameters
    ----------
    name : str
        Name of the tensor, such as "Weights".
    projection : tuple of str
        One text per coordinate of the tensor. A coordinate is a sum of dims, each of which may be multiplied
        by a coefficient: `"R*dilation + P*stride"`.
    read_write : bool, default False
        Whether the tensor is a result, which is read and written, and not an operand, which is only read.

    Examples
    --------
    >>> from sparsim import Dataspace
    >>> inputs = Dataspace(name="Inputs", projection=("C", "R + P*stride"))
    >>> inputs.terms()
    ((('C', None),), (('R', None), ('P', 'stride')))
    """

    name: str
    projection: tuple[str, ...]
    read_write: bool = False

    def terms(self) -> tuple[tuple[tuple[str, str | None], ...], ...]:
        """Return the terms of each coordinate.

        Returns
        -------
        tuple of tuple of (str, str or None)
            For each coordinate its terms as pairs of a dim and the name of a coefficient, in the order in
            which they are written. The coefficient is None where a term has none.
        """
        return self.kept("terms of coordinates", (), self._terms)

    def _terms(self) -> tuple[tuple[tuple[str, str | None], ...], ...]:
        return tuple(tuple(_term(text, self.name) for text in side.split("+")) for side in self.projection)


def _term(text: str, dataspace: str) -> tuple[str, str | None]:
    parts = [p.strip() for p in text.split("*")]
    if not all(parts) or len(parts) > 2:
        raise SpecError(
            f"coordinate term must be 'DIM' or 'DIM*COEFFICIENT', got '{text.strip()}'",
            path=f"dataspace {dataspace}",
        )
    return parts[0], (parts[1] if len(parts) == 2 else None)


class Shape(Record, frozen=True, kw_only=True):
    """A family of loop nests: its dims and the tensors that they are projected on (model 3.1).

    Parameters
    ----------
    name : str, default "problem"
        Name for messages.
    dims : tuple of str
        Names of the dims. Of dims without a place in the order of a nest the first one is innermost.
    coefficients : dict of str to int, default {}
        Names and default values of the coefficients in projections, such as strides and dilations.
    dataspaces : tuple of Dataspace
        The tensors; at least one of them is a result (`read_write`).

    Raises
    ------
    SpecError
        If there are no dims or no results, if names repeat, or if a projection uses an unknown dim or
        coefficient.
    """

    name: str = "problem"
    dims: tuple[str, ...]
    coefficients: dict[str, int] = {}
    dataspaces: tuple[Dataspace, ...]

    def __post_init__(self) -> None:
        where = f"shape {self.name}"
        for kind, names in (("dim", self.dims), ("dataspace", [d.name for d in self.dataspaces])):
            if not names:
                raise SpecError(f"at least one {kind} is needed", path=where)
            check_number(where, f"{kind}s", names, MAX_NAMES)
            twice = repeated(names)
            if twice is not None:
                raise SpecError(f"{kind} '{twice}' is listed twice", path=where)
        if not any(d.read_write for d in self.dataspaces):
            raise SpecError("at least one read-write dataspace, the result, is needed", path=where)
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
