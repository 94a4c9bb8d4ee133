"""Energy and cycles of one mapping of a layer, tabulated over densities of weights and inputs."""

import itertools
from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsim.errors import MappingError
from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.compression import OPERANDS, ROLES, skips_zeros, travels_compressed
from sparsim.machines.eyeriss.conv_dims import PSUMS, WEIGHTS
from sparsim.machines.eyeriss.cost_arrays import Ports, Reals, costs_of
from sparsim.machines.eyeriss.layer_cost import (
    delivery_of,
    mean_densities,
    passes_of,
    pe_estimate,
    ports_of,
    spatial_loops,
    spread_of,
    tile_of,
)
from sparsim.machines.eyeriss.pe.spad_capacity import OVERFLOW, weight_overflow
from sparsim.machines.eyeriss.row_stationary_counts import with_sets
from sparsim.machines.eyeriss.weight_masks import has_mask, mask_fits
from sparsim.model.batch_counts import BatchCounts, count_batch
from sparsim.model.consistency import check
from sparsim.model.lower import lower_mappings
from sparsim.records import Layer, Mapping

WEIGHT_NODES = (0.0, 0.1, 0.25, 0.45, 0.7, 1.0)
INPUT_NODES = (0.0, 0.02, 0.05, 0.1, 0.17, 0.28, 0.42, 0.6, 0.8, 0.95, 1.0)
ALMOST = 0.9999  # density of compressed tensors, because a tensor without zeros is not compressed
LEAST = 0.001  # density of compressed weights in place of 0, at which the ends of columns remain
LIMIT_STEPS = 12  # halvings in the search for the density up to which a mapping fits
AT_ONCE = 6  # halvings that are done at once
SHIFTS = (1.0, 0.99, 0.98)  # densities at which the model's rounding leaves too many operands are skipped
_COLUMNS = ("Weights", "Inputs")

Bools = NDArray[np.bool_]


class Surface(msgspec.Struct, frozen=True):
    """A mapping with the tensors `plain` stored uncompressed, whose densities then have no effect. `costs`:
    energy and cycles at the nodes times `limits`, the densities of weights and inputs up to which it fits.
    """

    plain: tuple[str, ...]
    limits: tuple[float, float]
    costs: list[list[list[float]]]


class Table(msgspec.Struct, frozen=True):
    """The surfaces of one mapping of one layer: first with all tensors compressed, to which `limits` belong,
    then with uncompressed tensors if they fit.
    """

    mapping: Mapping
    limits: tuple[float, float]
    surfaces: tuple[Surface, ...]


def tabulate(chip: Chip, layer: Layer, mapping: Mapping) -> Table:
    """The table of a mapping that is valid for the layer, which is in the shape CONV.

    Raises MappingError where it does not fit the chip at a density below its limits.
    """
    masked, layer = layer, mean_densities(layer)
    check(chip.accelerator, layer, mapping)
    limits = (
        _mask_limit(
            chip, masked, mapping, _limit(lambda d: _fits(chip, layer, mapping, np.outer(d, (1.0, 0.0))))
        ),
        _limit(lambda d: _fits(chip, layer, mapping, np.outer(d, (0.0, 1.0)))),
    )
    compressible = _compressible(chip)
    whole = [name for name, limit in zip(_COLUMNS, limits, strict=True) if limit == 1.0]
    free = [name for name in compressible if name in whole]
    choices = [plain for n in range(len(free) + 1) for plain in itertools.combinations(free, n)]
    if chip.spec.compression == "any-zero":
        choices = [plain for plain in choices if plain in ((), compressible)]
    choices = [plain for plain in choices if not plain or _fits_plainly(chip, layer, mapping, limits, plain)]
    return Table(mapping, limits, tuple(_surface(chip, layer, mapping, limits, plain) for plain in choices))


def _mask_limit(chip: Chip, layer: Layer, mapping: Mapping, limit: float) -> float:
    """Return the density of weights up to which a mapping fits, given the limit by statistics, which does not
    apply to a mask: what is left of one that fits when weights are removed fits as well.
    """
    if not has_mask(layer):
        return limit
    own, (filters, channels) = layer.density(WEIGHTS).density, tile_of(mapping)
    fits = mask_fits(chip, layer, filters, channels)
    return max(limit, own) if fits else min(limit, own - 2.0**-LIMIT_STEPS)


def _surface(
    chip: Chip, layer: Layer, mapping: Mapping, limits: tuple[float, float], plain: tuple[str, ...]
) -> Surface:
    """Make a surface that rises with density, because a sparser tensor could have explicit zeros. Deviations
    come from rounding in the model, and from its estimate of the slowest PE.
    """
    along = [
        np.ones(len(nodes)) if name in plain else np.array(nodes) * limit
        for name, nodes, limit in zip(_COLUMNS, (WEIGHT_NODES, INPUT_NODES), limits, strict=True)
    ]
    wanted, which = np.unique(list(itertools.product(*along)), axis=0, return_inverse=True)
    found = np.full((len(wanted), 2), np.nan)
    for shift in SHIFTS:
        left = np.isnan(found[:, 0])
        if not left.any():
            break
        found[left] = _costs(chip, layer, mapping, _stored(chip, wanted[left], plain, shift))
    costs = found[which.ravel()].reshape(len(WEIGHT_NODES), len(INPUT_NODES), 2)
    if np.isnan(costs).any():
        raise MappingError(
            f"a mapping of layer {layer.name} does not fit {chip.name} at all densities below {limits}"
        )
    for axis in (0, 1):
        costs = np.flip(np.minimum.accumulate(np.flip(costs, axis), axis), axis)
    return Surface(plain, limits, costs.transpose(2, 0, 1).tolist())


def _fits(chip: Chip, layer: Layer, mapping: Mapping, wanted: Reals) -> Bools:
    """Return whether the mapping fits, with compressed tensors of densities `wanted` (n, 2)."""
    found = np.zeros(len(wanted), np.bool_)
    for shift in SHIFTS if wanted[:, 1].any() else SHIFTS[:1]:
        stored = _stored(chip, wanted[~found], (), shift)
        fits = _count(chip, layer, mapping, stored).status == 0
        found[~found] = fits & _weights_fit(chip, layer, mapping, stored[:, 0])
        if found.all():
            break
    return found


def _weights_fit(chip: Chip, layer: Layer, mapping: Mapping, densities: Reals) -> Bools:
    """Return whether even an unlikely tile of compressed weights fits the spad of a PE."""
    if not chip.spec.pe.skips_zero_weights:
        return np.ones(len(densities), np.bool_)
    (filters, channels), bounds = tile_of(mapping), layer.bounds
    m = np.full(len(densities), min(filters, bounds["M"]))
    columns = np.full(len(densities), min(channels, bounds["C"]) * bounds["S"])
    return weight_overflow(chip.spec.pe, m, columns, densities) <= OVERFLOW


def _fits_plainly(
    chip: Chip, layer: Layer, mapping: Mapping, limits: tuple[float, float], plain: tuple[str, ...]
) -> bool:
    """Whether the mapping fits with the tensors `plain` stored plainly. A compressed tensor may fit up to a
    density of 1 only because the densities of `SHIFTS` stand in for it, and then it does not fit plainly.
    """
    wanted = np.array([limits])
    return any(
        _count(chip, layer, mapping, _stored(chip, wanted, plain, shift)).status[0] == 0 for shift in SHIFTS
    )


def _stored(chip: Chip, wanted: Reals, plain: tuple[str, ...], shift: float) -> Reals:
    """Return densities of tensors as stored: 1 for uncompressed ones, and less for compressed ones."""
    most = [ALMOST if name in _compressible(chip) and name not in plain else 1.0 for name in _COLUMNS]
    least = [LEAST if name == WEIGHTS and name in _compressible(chip) else 0.0 for name in _COLUMNS]
    stored = np.clip(wanted * [1.0, shift], least, most)
    stored[:, [name in plain for name in _COLUMNS]] = 1.0
    return stored


def _compressible(chip: Chip) -> tuple[str, ...]:
    return tuple(ROLES[role] for role in OPERANDS if skips_zeros(chip, role))


def _count(chip: Chip, layer: Layer, mapping: Mapping, stored: Reals) -> BatchCounts:
    by_name = dict(zip(_COLUMNS, stored.T, strict=True))
    densities = [by_name.get(d.name, np.ones(len(stored))) for d in layer.shape.dataspaces]
    pack = lower_mappings(chip.accelerator, layer.shape, [mapping])
    return count_batch(chip.accelerator, layer, pack, mapping.divisibility, np.stack(densities, axis=1))


def _costs(chip: Chip, layer: Layer, mapping: Mapping, stored: Reals) -> Reals:
    """(n, 2): energy with DRAM and cycles of a layer whose weights and inputs have densities `stored` (n, 2);
    nan where the mapping does not fit.
    """
    counts = _count(chip, layer, mapping, stored)
    fits = counts.status == 0
    found = np.full((len(stored), 2), np.nan)
    if fits.any():
        levels = {level.level: level for level in mapping.levels}
        loops, (filters, channels) = spatial_loops(levels), tile_of(mapping)
        weights, inputs = stored[fits].T
        pe = pe_estimate(chip, layer, spread_of(loops), (filters, channels), (inputs, weights))
        density = {"weight": weights, "iact": inputs, "psum": layer.density(PSUMS).density}
        ports = {}
        for role in ROLES:
            flags = travels_compressed(chip, role, weights, inputs)
            flagged = np.unique(flags).tolist()
            ways = {
                flag: ports_of(chip, role, delivery_of(chip, layer, role, loops, flag), density[role])
                for flag in flagged
            }
            yes, no = (ways.get(flag) or ways[not flag] for flag in (True, False))
            ports[role] = Ports(*(np.where(flags, *pair) for pair in zip(yes, no, strict=True)))
        counted = with_sets(chip, layer, mapping, (counts.actual[fits], counts.level_pj[fits]))
        costs = costs_of(chip, layer, counted, ports, pe, filters, passes_of(levels))
        found[fits] = np.stack([costs.total_pj, costs.cycles], axis=1)
    return found


def _limit(fits: Callable[[Reals], Bools]) -> float:
    """Return the highest density that fits, to within 1 / 2^LIMIT_STEPS."""
    if fits(np.ones(1))[0]:
        return 1.0
    low, width = 0.0, 1.0
    for _ in range(LIMIT_STEPS // AT_ONCE):
        width /= 2**AT_ONCE
        good = fits(low + width * np.arange(2**AT_ONCE))
        at, step = 0, 2**AT_ONCE // 2
        while step:  # bisect for the last one that fits
            at, step = at + step * int(good[at + step]), step // 2
        low += width * at
    return low
