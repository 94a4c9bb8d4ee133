"""How much a layer computes and how large its tensors are, before any mapping."""

import math

from sparsim.errors import SpecError, near
from sparsim.records.layer import Layer

# where zeros of one operand say nothing about those of the other
_INDEPENDENT = ("fixed-structured", "hypergeometric")


def macs(layer: Layer) -> int:
    """Multiplications, whether or not an operand is zero: the product of the bounds."""
    return math.prod(layer.bounds.values())


def effectual_macs(layer: Layer) -> float | None:
    """Expected multiplications of two nonzeros: `macs` times the densities of what is only read.

    None where a density is `banded` or `actual`: then the number depends on where the zeros lie.
    """
    operands = [layer.density(d.name) for d in layer.shape.dataspaces if not d.read_write]
    if any(density.distribution not in _INDEPENDENT for density in operands):
        return None
    return macs(layer) * math.prod(density.density for density in operands)


def tensor_shape(layer: Layer, dataspace: str) -> tuple[int, ...]:
    """Words along every coordinate of a dataspace (model 3.2). Raises SpecError for an unknown one."""
    found = {d.name: d for d in layer.shape.dataspaces}
    if dataspace not in found:
        raise SpecError(
            f"unknown dataspace '{dataspace}'", path=f"layer {layer.name}", hint=near(dataspace, found)
        )
    return layer.sides(found[dataspace])


def words(layer: Layer, dataspace: str) -> int:
    """Words of a dataspace as a dense box, zeros included. Inputs include the padding that windows reach.

    Raises SpecError for an unknown dataspace.
    """
    return math.prod(tensor_shape(layer, dataspace))
