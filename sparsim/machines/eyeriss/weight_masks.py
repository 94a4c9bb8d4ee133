"""Masks of weights on chips whose PEs skip zeros: they say what fits a PE, and how many words are moved.

How long PEs wait for each other does not follow from a mask: zeros are at random there, with its density.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace

from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.conv_dims import WEIGHTS
from sparsim.machines.eyeriss.pe.csc import Bools, Ints, tile_words
from sparsim.machines.eyeriss.pe.pe_estimate import PEEstimate
from sparsim.model.density_tables import load_masks
from sparsim.records import CONV, Density, Layer

OF_WEIGHTS = next(d.projection for d in CONV.dataspaces if d.name == WEIGHTS)


class MaskTiles(NamedTuple):
    """The weights of a mask in tiles with some number of filters."""

    words: int  # of the weight spad, for all weights
    fits: Bools  # whether all tiles with 1, 2, ... channels fit the spad; the last one is False

    @property
    def channels(self) -> int:
        """Return the most channels up to which all tiles fit."""
        return int(np.argmin(self.fits))

    def hold(self, channels: Any) -> Any:
        """Return whether tiles with so many channels fit, for a number or an array."""
        return self.fits[np.minimum(channels, len(self.fits)) - 1]


def counted(chip: Chip, layer: Layer) -> Layer:
    """Return the layer with the share of nonzeros of each mask as its density; only a mask of weights whose
    zeros are skipped is kept besides. A layer that was counted stays as it is.

    Raises SpecError and FormatError as `load_masks` does.
    """
    loaded = functools.cache(lambda: load_masks(layer, {}))
    found = dict(layer.densities)
    for name, density in layer.densities.items():
        if density.distribution == "actual":
            mask = density.kept("mask", (), lambda name=name: loaded()[name])  # type: ignore[misc]
            share = float(mask.mean())
            if name != WEIGHTS or not chip.spec.pe.skips_zero_weights:
                found[name] = Density(density=share)
            elif share != density.density:
                found[name] = _with_mask(density, share, mask)
    return layer if found == layer.densities else replace(layer, densities=found)


def _with_mask(density: Density, share: float, mask: Bools) -> Density:
    found = replace(density, density=share)
    found.kept("mask", (), lambda: mask)
    return found


def has_mask(layer: Layer) -> bool:
    """Return whether a layer that was counted has a mask of its weights."""
    return layer.density(WEIGHTS).distribution == "actual"


def in_conv_order(layer: Layer, dims: dict[str, str], bounds: dict[str, int]) -> dict[str, Density]:
    """Return the densities of a layer that becomes one in the shape CONV with these bounds, its mask with the
    axes of CONV. `dims`: what each dim becomes; of several the first ones are outside. A mask with axes that
    are no dims is left out.
    """
    if not has_mask(layer):
        return layer.densities
    density = layer.density(WEIGHTS)
    axes = next(d.projection for d in layer.shape.dataspaces if d.name == WEIGHTS)
    if any(axis not in dims for axis in axes):
        return {**layer.densities, WEIGHTS: Density(density=density.density)}
    place = {dim: i for i, dim in enumerate(OF_WEIGHTS)}  # others have one element only
    order = sorted(range(len(axes)), key=lambda axis: place.get(dims[axes[axis]], 0))
    mask = _mask_of(layer).transpose(order).reshape([bounds[dim] for dim in OF_WEIGHTS])
    return {**layer.densities, WEIGHTS: _with_mask(density, density.density, mask)}


def _mask_of(layer: Layer) -> Bools:
    return layer.density(WEIGHTS).kept("mask", (), lambda: load_masks(layer, {})[WEIGHTS])


def mask_digest(layer: Layer) -> str:
    """Return a digest of the mask of weights; empty if the layer has none."""
    if not has_mask(layer):
        return ""
    bits = np.packbits(_mask_of(layer)).tobytes
    return layer.density(WEIGHTS).kept("digest", (), lambda: hashlib.sha256(bits()).hexdigest())


def tiles_of(chip: Chip, layer: Layer, filters: int) -> MaskTiles | None:
    """Return the weights in tiles of so many filters, or None if the layer has no mask of them."""
    if not has_mask(layer):
        return None
    pe = chip.spec.pe
    known: dict[int, MaskTiles] = layer.density(WEIGHTS).kept("tiles", (pe, layer.shape), dict)
    if filters not in known:
        mask = layer.density(WEIGHTS).kept("filters first", (layer.shape,), lambda: _filters_first(layer))
        words = tile_words(mask, filters, pe.count_bits, pe.simd_width).sum(axis=-1)
        most = min(words.shape[2], max(1, pe.iact_data.words // mask.shape[-1]))
        fits = np.append(np.ones(most, np.bool_), False)
        if most * mask.shape[-1] * -(-filters // pe.simd_width) > pe.weight_data.words:  # without zeros
            by_channel = np.moveaxis(words, 2, 0).reshape(words.shape[2], -1)
            before = np.concatenate([np.zeros_like(by_channel[:1]), by_channel.cumsum(axis=0)])
            fullest = np.array([_fullest(before, channels) for channels in range(1, most + 1)])
            fits[:-1] = fullest <= pe.weight_data.words
        known[filters] = MaskTiles(int(words.sum()), fits)
    return known[filters]


def _filters_first(layer: Layer) -> Bools:
    """Return the mask with the axes G, M, C, R and S, also if the layer lacks some of them."""
    axes = next(d.projection for d in layer.shape.dataspaces if d.name == WEIGHTS)
    order = [axes.index(dim) for dim in "GMCRS" if dim in axes]
    mask = _mask_of(layer).transpose(order)
    return np.ascontiguousarray(mask.reshape([layer.bounds.get(dim, 1) for dim in "GMCRS"]))


def _fullest(before: Ints, channels: int) -> int:
    """Return the words of the fullest tile; `before` (channels + 1, ...): those of the channels before."""
    last = len(before) - 1
    starts = np.arange(0, last, channels)
    return int((before[np.minimum(starts + channels, last)] - before[starts]).max())


def mask_fits(chip: Chip, layer: Layer, filters: int, channels: int) -> bool:
    """Return whether all tiles of a mask of weights fit their spad."""
    tiles = tiles_of(chip, layer, min(filters, layer.bounds.get("M", 1)))
    assert tiles is not None
    return bool(tiles.hold(min(channels, layer.bounds.get("C", 1))))


def with_counted_words(chip: Chip, layer: Layer, found: PEEstimate, tile: tuple[Any, Any]) -> PEEstimate:
    """Return an estimate with what a mask of weights says: whether all tiles fit, and the words that are
    loaded. Without a mask it stays as it is.
    """
    if not has_mask(layer):
        return found
    filters, channels = np.broadcast_arrays(np.minimum(tile[0], layer.bounds.get("M", 1)), tile[1])
    overflow, per_weight = np.ones(filters.shape), np.zeros(filters.shape)
    density, total = layer.density(WEIGHTS).density, _mask_of(layer).size
    for number in np.unique(filters).tolist():
        tiles, rows = tiles_of(chip, layer, number), filters == number
        assert tiles is not None
        overflow[rows] = ~tiles.hold(np.minimum(channels[rows], layer.bounds.get("C", 1)))
        per_weight[rows] = tiles.words / total
    loads = found.weights / density if density else 0.0  # of all weights together
    accesses = found.accesses._replace(weight_data_writes=loads * per_weight)
    return found._replace(weight_overflow=overflow, accesses=accesses)
