"""The computes of a layer and the sizes of its tensors, independent of any mapping."""

import math

from sparsim.errors import SpecError, near
from sparsim.records.layer import Layer

# densities for which the zeros of one operand are independent of those of the other
_INDEPENDENT = ("fixed-structured", "hypergeometric")


def macs(layer: Layer) -> int:
    """Count the multiplications of a layer, whether or not an operand is zero.

    Parameters
    ----------
    layer : Layer

    Returns
    -------
    int
        The product of the bounds.

    Examples
    --------
    >>> from sparsim import gemm, macs
    >>> macs(gemm(10, 4, 25))
    1000
    """
    return math.prod(layer.bounds.values())


def effectual_macs(layer: Layer) -> float | None:
    """Return the expected number of multiplications of two nonzeros.

    Parameters
    ----------
    layer : Layer

    Returns
    -------
    float or None
        `macs` times the densities of the dataspaces that are only read. None where one of these densities is
        "banded" or "actual", because the number then depends on where the zeros lie.

    Examples
    --------
    >>> from sparsim import effectual_macs, gemm
    >>> effectual_macs(gemm(10, 4, 25, densities={"Weights": 0.5, "Inputs": 0.4}))
    200.0
    """
    operands = [layer.density(d.name) for d in layer.shape.dataspaces if not d.read_write]
    if any(density.distribution not in _INDEPENDENT for density in operands):
        return None
    return macs(layer) * math.prod(density.density for density in operands)


def tensor_shape(layer: Layer, dataspace: str) -> tuple[int, ...]:
    """Return the words along every coordinate of a dataspace (model 3.2).

    Parameters
    ----------
    layer : Layer
    dataspace : str
        Name of the dataspace.

    Returns
    -------
    tuple of int
        Words of the dense tensor along each coordinate.

    Raises
    ------
    SpecError
        If the layer has no such dataspace.
    """
    found = {d.name: d for d in layer.shape.dataspaces}
    if dataspace not in found:
        raise SpecError(
            f"unknown dataspace '{dataspace}'", path=f"layer {layer.name}", hint=near(dataspace, found)
        )
    return layer.sides(found[dataspace])


def words(layer: Layer, dataspace: str) -> int:
    """Count the words of a dataspace as a dense box, zeros included.

    Inputs include the padding that windows reach.

    Parameters
    ----------
    layer : Layer
    dataspace : str
        Name of the dataspace.

    Returns
    -------
    int
        The product of the sides.

    Raises
    ------
    SpecError
        If the layer has no such dataspace.
    """
    return math.prod(tensor_shape(layer, dataspace))
