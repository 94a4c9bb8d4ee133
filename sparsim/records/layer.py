"""A layer of a network: a shape with bounds, and densities of its tensors."""

import math
from typing import Literal, Self

from msgspec.structs import replace

from sparsim.errors import SpecError, near
from sparsim.records.kernel_map_sizes import KernelMapSizes
from sparsim.records.number_limits import MAX_COUNT, as_real, check_whole, rounded
from sparsim.records.point_mapping import PointMapping
from sparsim.records.record import Record
from sparsim.records.shape import Dataspace, Shape

Distribution = Literal["fixed-structured", "hypergeometric", "banded", "actual"]


class Density(Record, frozen=True, kw_only=True):
    """How the nonzeros of a tensor are distributed (model 8).

    Parameters
    ----------
    distribution : str, default "fixed-structured"
        The density model. "fixed-structured" spreads the nonzeros evenly, so that every tile has its share of
        them; "hypergeometric" draws them at random without replacement; "banded" puts them near the diagonal
        of a square matrix; "actual" takes them from a mask.
    density : float, default 1.0
        Fraction of nonzeros, from 0 to 1.
    spread : float, default 0.0
        Standard deviation of a measured density between samples, from 0 to 1. It is for the reader only: the
        model does not use it.
    band_width : int, default 0
        Half width of the band of nonzeros in elements; for "banded" only.
    mask : str, default None
        Path of a .npy or .npz file with the nonzeros; for "actual" only.

    Raises
    ------
    SpecError
        If a number is out of range.
    """

    distribution: Distribution = "fixed-structured"
    density: float = 1.0
    spread: float = 0.0
    band_width: int = 0
    mask: str | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= as_real("", "density", self.density) <= 1.0:  # also refuses nan
            raise SpecError(f"density must be between 0 and 1, got {self.density:g}")
        if not 0.0 <= as_real("", "spread", self.spread) <= 1.0:
            raise SpecError(f"spread must be between 0 and 1, got {self.spread:g}")
        check_whole("", "band_width", self.band_width)


class Layer(Record, frozen=True, kw_only=True):
    """A layer of a network: a shape with bounds, coefficients and densities.

    Parameters
    ----------
    name : str, default "layer"
        Name of the layer.
    shape : Shape
        The dims and tensors of the layer.
    bounds : dict of str to int
        The bound of each dim, at least 1.
    coefficients : dict of str to int, default {}
        Values of coefficients; those that are left out have the defaults of the shape.
    densities : dict of str to Density, default {}
        Densities by dataspace; dataspaces that are left out are dense.
    kernel_map : KernelMapSizes, default None
        Sizes of the kernel map, for the layers of sparse convolutions. The layer is then the product of one
        row for each pair with the weights of one offset; the whole weights have as many such matrices as the
        kernel has offsets. Machines with a unit for kernel maps use it, the model does not.
    point_mappings : tuple of PointMapping, default ()
        Operations on coordinates of points that run before the layer. Machines with a unit for them use them,
        the model does not.
    note : str, default ""
        What the layer stands in for, where it is not computed as it is. It is for the reader only.

    Raises
    ------
    SpecError
        If the bound of a dim is missing, if a dim, coefficient or dataspace is unknown, if a number is out of
        range, if the layer has too many operations or words, or if its operations are not pairs of the
        kernel map times channels M and C.

    See Also
    --------
    conv2d, depthwise, gemm : Functions that make the layers of common networks.
    """

    name: str = "layer"
    shape: Shape
    bounds: dict[str, int]
    coefficients: dict[str, int] = {}
    densities: dict[str, Density] = {}
    kernel_map: KernelMapSizes | None = None
    point_mappings: tuple[PointMapping, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        where = f"layer {self.name}"
        for dim in self.shape.dims:
            if dim not in self.bounds:
                raise SpecError(f"the bound of dim '{dim}' is missing", path=where)
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
            raise SpecError(
                f"there must be at most {MAX_COUNT:.3g} operations, got {rounded(operations)}", path=where
            )
        for dataspace in self.shape.dataspaces:
            words = math.prod(self.sides(dataspace))
            if words > MAX_COUNT:
                raise SpecError(
                    f"dataspace {dataspace.name} has {rounded(words)} words, more than {MAX_COUNT:.3g}",
                    path=where,
                )
        if self.kernel_map is not None:
            pairs = self.kernel_map.total
            each = self.bounds.get("M", 1) * self.bounds.get("C", 1)
            if operations != pairs * each:
                text = f"operations must be the {pairs} pairs times {each}, got {operations}"
                raise SpecError(text, path=where)

    def anonymous(self) -> Self:
        """Return the same layer without name, note, kernel map and operations on coordinates.

        Returns
        -------
        Layer
            A layer that is equal for all layers that cost the same in the model.
        """
        return replace(self, name="", note="", kernel_map=None, point_mappings=())

    def sides(self, dataspace: Dataspace) -> tuple[int, ...]:
        """Return the words along every coordinate of a dataspace.

        Parameters
        ----------
        dataspace : Dataspace
            A dataspace of the layer's shape.

        Returns
        -------
        tuple of int
            Words of the dense tensor along each coordinate.

        Notes
        -----
        A side is one plus the sum over the terms of its coordinate of `|coefficient| * (bound - 1)` (model
        3.2).
        """
        values = {**self.shape.coefficients, **self.coefficients}
        return tuple(
            1 + sum(abs(values[c] if c else 1) * (self.bounds[dim] - 1) for dim, c in side)
            for side in dataspace.terms()
        )

    def density(self, dataspace: str) -> Density:
        """Return the density of a dataspace.

        Parameters
        ----------
        dataspace : str
            Name of the dataspace.

        Returns
        -------
        Density
            The density that `densities` gives, or a dense one.
        """
        return self.densities.get(dataspace, DENSE)


DENSE = Density()
