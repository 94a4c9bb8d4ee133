"""The roles of the dims of a layer on a row-stationary chip."""

from typing import NamedTuple

from sparsim.errors import SpecError
from sparsim.machines.eyeriss.pe.conv_tiling import Conv
from sparsim.records import CONV, Layer

CONV_DIMS = CONV.dims
WEIGHTS, IACTS, PSUMS = "Weights", "Inputs", "Outputs"
# only the fraction of nonzeros matters, not the positions; of masks of weights see `weight_masks`
DISTRIBUTIONS = ("fixed-structured", "hypergeometric", "actual")


class ConvDims(NamedTuple):
    """Bounds of a convolution by the names of the shape's dims; those that a shape lacks are left out."""

    bounds: dict[str, int]
    stride: int

    @property
    def names(self) -> tuple[str, ...]:
        """Return the dims that may be spread over PEs: all except the columns of the window."""
        return tuple(d for d in self.bounds if d != "S")

    def conv(self) -> Conv:
        """Return the convolution for the model of the PEs, in which P counts the output rows of all
        samples.
        """
        b = {d: self.bounds.get(d, 1) for d in CONV_DIMS}
        return Conv(
            G=b["G"], M=b["M"], C=b["C"], R=b["R"], S=b["S"], P=b["N"] * b["P"], Q=b["Q"], U=self.stride
        )


def check_tensors(layer: Layer) -> None:
    """Check that a layer has the tensors of a convolution and densities that are fractions. Raises
    SpecError.
    """
    shape = layer.shape
    where = f"layer {layer.name}"
    for role in (WEIGHTS, IACTS, PSUMS):
        if role not in [d.name for d in shape.dataspaces]:
            raise SpecError(
                f"a row-stationary chip needs a dataspace '{role}', but the layer has none", path=where
            )
        distribution = layer.density(role).distribution
        if distribution not in DISTRIBUTIONS:
            known = ", ".join(DISTRIBUTIONS)
            raise SpecError(
                f"density on a row-stationary chip must be one of {known}, got '{distribution}'",
                path=f"{where}, density of {role}",
            )
    for dim, name in (term for d in shape.dataspaces for side in d.terms() for term in side):
        if name is not None and name.startswith("W" if dim in ("R", "P") else "H"):
            raise SpecError(
                f"dim {dim} moves with {name}, but R and P must be the height, S and Q the width", path=where
            )


def conv_dims(layer: Layer) -> ConvDims:
    """The dims of a convolution over G N M C R S P Q, or some of them, without dilation and with one stride,
    as `layer_lowering` makes them. Raises SpecError for other layers.
    """
    shape = layer.shape
    where = f"layer {layer.name}"
    unknown = [d for d in shape.dims if d not in CONV_DIMS]
    if unknown:
        raise SpecError(
            f"unknown dim '{unknown[0]}'; a row-stationary chip has G N M C R S P Q",
            path=where,
        )
    check_tensors(layer)
    coefficient = {**shape.coefficients, **layer.coefficients}
    for name, value in coefficient.items():
        if "dilation" in name and value != 1:
            raise SpecError(f"{name} must be 1 on a row-stationary chip, got {value}", path=where)
    strides = {value for name, value in coefficient.items() if "stride" in name} or {1}
    if len(strides) > 1:  # the stride of an axis with one output does not matter
        inputs = next(d for d in shape.dataspaces if d.name == IACTS)
        moves = {name for side in inputs.terms() for dim, name in side if layer.bounds[dim] > 1}
        strides = {coefficient[name] for name in moves if name is not None and "stride" in name} or {1}
    if len(strides) > 1:
        raise SpecError(f"strides must be equal on a row-stationary chip, got {sorted(strides)}", path=where)
    return ConvDims({d: layer.bounds[d] for d in CONV_DIMS if d in shape.dims}, strides.pop())
