"""Masks of a layer in the form of a matrix product: of weights, and of vectors of inputs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from sparsim.machines.matrix_layers import dims_by_kind
from sparsim.model.density_tables import load_masks
from sparsim.records import Density, Layer

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class MaskedLayer(NamedTuple):
    """Masks of the tensors that have one.

    Attributes
    ----------
    weights : array of bool, shape (groups, rows, columns), or None
    inputs : array of bool, shape (groups, vectors, columns), or None
    """

    weights: Bools | None
    inputs: Bools | None


def with_counted_densities(layer: Layer) -> Layer:
    """Return the layer with the share of nonzeros in place of each mask, for models that use only fractions.

    Raises SpecError and FormatError as `masked_layer` does.
    """
    counted = {name: Density(density=float(mask.mean())) for name, mask in load_masks(layer, {}).items()}
    return replace(layer, densities={**layer.densities, **counted}) if counted else layer


def masked_layer(layer: Layer, vectors: Sequence[int]) -> MaskedLayer:
    """Return the masks that the densities of a layer name; for inputs those of the vectors with the given
    numbers.

    Inputs that several windows use are in each of them. Raises SpecError for masks of another shape, and
    FormatError for files that cannot be read.
    """
    masks, dims = load_masks(layer, {}), dims_by_kind(layer)
    every = {kind: range(math.prod(layer.bounds[d] for d in dims[kind])) for kind in dims}

    def taken(name: str, chosen: dict[str, Sequence[int]]) -> Bools | None:
        if name not in masks:
            return None
        index: dict[str, Ints] = {}
        for axis, (kind, numbers) in enumerate(chosen.items()):
            places = np.unravel_index(np.array(numbers), [layer.bounds[d] for d in dims[kind]] or [1])
            shape = [len(numbers) if i == axis else 1 for i in range(len(chosen))]
            index |= {d: place.reshape(shape) for d, place in zip(dims[kind], places, strict=False)}
        values = {**layer.shape.coefficients, **layer.coefficients}
        dataspace = next(d for d in layer.shape.dataspaces if d.name == name)
        nowhere = np.zeros([len(numbers) for numbers in chosen.values()], np.int64)
        sides = (sum((values[c] if c else 1) * index[d] for d, c in side) for side in dataspace.terms())
        found: Bools = masks[name][tuple(nowhere + side for side in sides)]
        return found

    return MaskedLayer(
        taken("Weights", {kind: every[kind] for kind in ("groups", "rows", "columns")}),
        taken("Inputs", {"groups": every["groups"], "vectors": vectors, "columns": every["columns"]}),
    )
