"""The cost of a layer on a whole chip: storage and arithmetic by the model, with PEs, network and clock
added.

Counts come from `sparsim.evaluate` with mean densities; `cost_arrays` computes costs from them.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike

from sparsim.errors import MappingError
from sparsim.machines.eyeriss.chip import IACT_REG, PSUM_SPAD, SPREAD_AT, WEIGHT_SPAD, Chip
from sparsim.machines.eyeriss.compression import ROLES, dram_bits, is_compressed, skips_zeros, stored_ways
from sparsim.machines.eyeriss.conv_dims import CONV_DIMS, IACTS, WEIGHTS, conv_dims
from sparsim.machines.eyeriss.cost_arrays import Ints, Ports, Reals, costs_of, handing_over, value_of
from sparsim.machines.eyeriss.noc import Delivery, SpatialLoop, plan
from sparsim.machines.eyeriss.pe.conv_tiling import Tiling
from sparsim.machines.eyeriss.pe.pe_estimate import PEEstimate, estimate
from sparsim.machines.eyeriss.pe.spad_capacity import OVERFLOW
from sparsim.machines.eyeriss.row_stationary_counts import corrected, with_sets
from sparsim.machines.eyeriss.row_stationary_nest import PASSES
from sparsim.machines.eyeriss.weight_masks import counted, has_mask, with_counted_words
from sparsim.model.evaluate import evaluate
from sparsim.model.result import Evaluation
from sparsim.records import Density, Layer, LevelMapping, Mapping
from sparsim.records.objective import ObjectiveName
from sparsim.records.pe_spec import SparsePE

Storage = Literal["plain", "compressed"]
Capacity = Literal["exact", "mask", "statistics"]


class Valued(Protocol):
    """Alternatives that a plan compares by `value_of`."""

    def value(self, objective: ObjectiveName) -> tuple[float, float]: ...


T = TypeVar("T", bound=Valued)


class Flow(NamedTuple):
    """Words of one kind on the network."""

    delivery: Delivery
    # distinct words that leave the GLB, or for psums enter and leave it; compressed ones with what their
    # format adds
    words: float
    cycles: float

    @property
    def energy_pj(self) -> float:
        return self.words * self.delivery.energy_pj_per_word


class ChipEvaluation(NamedTuple):
    """A layer on a chip.

    Attributes
    ----------
    layer : Layer
        The layer.
    stored : Layer
        The layer as its tensors are stored. Zeros of tensors that are stored plainly are values, so that
        their density is 1 here. Everything that follows is counted for this layer.
    mapping : Mapping
        The mapping of the layer.
    spread : dict of str to int
        Over how many PEs every dim is spread.
    evaluation : Evaluation
        Results of the storage levels and MACs.
    pe : PEEstimate
        What the PEs do.
    flows : dict of str to Flow
        Words on the network on chip, by "weight", "iact" and "psum".
    time : dict of str to float
        Cycles that every part needs by itself: "PE" (with the loading of filters), "weight" (the loading),
        "iact", "psum" and "DRAM", and "link" (the prefetching of filters) on a chip with a `filter_link`.
    cycles : int
        Cycles of the layer: the longest of the parts on the chip, and then DRAM.
    energy_pj : dict of str to float
        Energy in pJ by component, without DRAM.
    dram_pj : float
        Energy of DRAM in pJ.
    dram_parts : dict of str to float
        Bytes that pass the interface of the DRAM, by "weight", "iact" and "psum".
    """

    layer: Layer
    stored: Layer
    mapping: Mapping
    spread: dict[str, int]
    evaluation: Evaluation
    pe: PEEstimate
    flows: dict[str, Flow]
    time: dict[str, float]
    cycles: int
    energy_pj: dict[str, float]
    dram_pj: float
    dram_parts: dict[str, float]

    @property
    def chip_pj(self) -> float:
        """Energy of the chip in pJ, without DRAM."""
        return math.fsum(self.energy_pj.values())

    @property
    def dram_bytes(self) -> float:
        """Bytes that pass the interface of the DRAM."""
        return sum(self.dram_parts.values())

    @property
    def storage(self) -> dict[str, Storage]:
        """How "weight" and "iact" words are stored and travel: "compressed" or "plain"."""
        return {role: _storage(self.flows[role].delivery.compressed) for role in ("weight", "iact")}

    @property
    def weight_capacity(self) -> Capacity:
        """From what it is known that all tiles of weights fit the PEs: "mask" or "statistics" of compressed
        weights, "exact" for all words of others.
        """
        if self.storage["weight"] == "plain":
            return "exact"
        return "mask" if has_mask(self.stored) else "statistics"

    def value(self, objective: ObjectiveName) -> tuple[float, float]:
        """Return what a plan minimises.

        Parameters
        ----------
        objective : str
            "energy", "delay" or "edp".

        Returns
        -------
        tuple of two float
            The objective, DRAM included, and what decides between equals.
        """
        return value_of(objective, self.chip_pj + self.dram_pj, float(self.cycles))


def evaluate_chip(
    chip: Chip, layer: Layer, mapping: Mapping, objective: ObjectiveName = "energy"
) -> ChipEvaluation:
    """Evaluate a layer under one mapping, stored as is best by an objective.

    Parameters
    ----------
    chip : Chip
        The chip.
    layer : Layer
        A convolution.
    mapping : Mapping
        A mapping whose spatial loops are on the axes of the chip.
    objective : str, default "energy"
        What the storage of tensors minimises: "energy", "delay" or "edp".

    Returns
    -------
    ChipEvaluation

    Raises
    ------
    SpecError
        If the layer is no convolution.
    MappingError
        If the mapping is invalid, or does not fit however the layer is stored.
    """
    layer = counted(chip, layer)
    fitting, errors = [], []
    for stored in stored_ways(chip, layer, tile_of(mapping)):
        try:
            found = evaluate_stored(chip, stored, mapping)
            check_spads(chip, found)
            fitting.append(found)
        except MappingError as error:
            errors.append(error)
    if not fitting:
        raise errors[0]  # of the most compressed way, which takes the fewest words
    return best_stored(fitting, objective)._replace(layer=layer)


def best_stored(found: Sequence[T], objective: ObjectiveName) -> T:
    """Return the best by `objective` of a layer in several of its `stored_ways`, in their order.

    Ways that take more energy than the last, least compressed one are excluded: zeros must not cost energy,
    even if cycles are minimised.
    """
    most = found[-1].value("energy")[0]
    return min(
        (each for each in found if each.value("energy")[0] <= most), key=lambda each: each.value(objective)
    )


def evaluate_stored(chip: Chip, layer: Layer, mapping: Mapping) -> ChipEvaluation:
    """Evaluate a layer that is stored as its densities say, with density 1 for uncompressed tensors."""
    levels = {level.level: level for level in mapping.levels}
    base = evaluate(chip.accelerator, mean_densities(layer), mapping)
    loops, tile = spatial_loops(levels), tile_of(mapping)
    deliveries = {role: delivery_of(chip, layer, role, loops) for role in ROLES}
    spread = spread_of(loops)
    pe = pe_estimate(chip, layer, spread, tile)
    ports = {
        role: ports_of(chip, role, delivery, layer.density(ROLES[role]).density)
        for role, delivery in deliveries.items()
    }
    counts = with_sets(chip, layer, mapping, _counts_of(base))
    costs = costs_of(chip, layer, counts, ports, pe, tile[0], passes_of(levels))
    time = {part: cycles.item() for part, cycles in costs.time.items()}
    return ChipEvaluation(
        layer=layer,
        stored=layer,
        mapping=mapping,
        spread=spread,
        evaluation=corrected(chip, base, counts),
        pe=pe,
        flows={role: Flow(deliveries[role], costs.words[role].item(), time[role]) for role in ROLES},
        time=time,
        cycles=int(costs.cycles.item()),
        energy_pj={name: energy.item() for name, energy in costs.energy_pj.items()},
        dram_pj=costs.dram_pj.item(),
        dram_parts={role: size.item() for role, size in costs.dram_parts.items()},
    )


def spads_fit(found: PEEstimate) -> Any:
    """Return whether the spads of PEs hold every tile, weights with zeros left out with high probability."""
    return found.fits & (found.weight_overflow <= OVERFLOW)


def check_spads(chip: Chip, found: ChipEvaluation) -> None:
    """Raise MappingError where `spads_fit` does not hold."""
    if spads_fit(found.pe):
        return
    filters, channels = tile_of(found.mapping)
    what = f"{filters} filters and {channels} channels"
    if not found.pe.fits:
        text = f"window, filters or segments of {what} exceed the spads of PE {chip.spec.pe.name}"
    else:
        by = {"mask": "the mask", "statistics": "the density", "exact": "all words"}[found.weight_capacity]
        text = (
            f"weights of {what} exceed the {chip.spec.pe.weight_data.words} words of the weight spad of PE "
            f"{chip.spec.pe.name} in the fullest tile by {by}"
        )
    raise MappingError(f"layer {found.layer.name}: {text}", level=WEIGHT_SPAD if found.pe.fits else "")


def _counts_of(base: Evaluation) -> tuple[Ints, Reals]:
    """Return the counts of an evaluation in the form that `costs_of` takes."""
    names = [tensor.dataspace for tensor in base.storage[-1].tensors]  # DRAM stores all tensors
    actual = np.zeros((1, len(base.storage), len(names), 3), np.int64)
    for s, level in enumerate(base.storage):
        for tensor in level.tensors:
            counts = [access.actual for access in (tensor.reads, tensor.fills, tensor.updates)]
            actual[0, s, names.index(tensor.dataspace)] = counts
    return actual, np.array([[base.compute.energy_pj, *(level.energy_pj for level in base.storage)]])


def _storage(compressed: bool) -> Storage:
    return "compressed" if compressed else "plain"


def mean_densities(layer: Layer) -> Layer:
    """Return the layer with densities that give averages only; the PE estimate models the distribution of
    zeros.
    """
    densities = {name: Density(density=density.density) for name, density in layer.densities.items()}
    return layer.kept("mean densities", (), lambda: replace(layer, densities=densities))


def spatial_loops(levels: dict[str, LevelMapping]) -> list[SpatialLoop]:
    """Return the loops that spread dims over the array, outer to inner."""
    found = []
    for level, axis in SPREAD_AT.items():
        nest = levels[level].spatial if level in levels else None
        if nest is not None:
            dims = [*(d for d in nest.factors if d not in nest.order), *nest.order]
            found += [
                SpatialLoop(dim=d, bound=nest.factors[d], axis=axis)
                for d in dims
                if nest.factors.get(d, 1) > 1
            ]
    return found


def delivery_of(
    chip: Chip, layer: Layer, role: str, loops: list[SpatialLoop], compressed: bool | None = None
) -> Delivery:
    """Return the delivery of a kind of words; with `compressed` None as the layer is stored."""
    if compressed is None:
        compressed = is_compressed(chip, layer, role)
    relevant = sorted(relevant_dims(layer, ROLES[role]))
    return plan(chip.spec.noc, role, loops, relevant, compressed=compressed)


def ports_of(chip: Chip, role: str, delivery: Delivery, density: ArrayLike) -> Ports:
    """Return a delivery as numbers, for words of these densities in the DRAM."""
    bits = dram_bits(chip, role, delivery.compressed, density)
    return Ports(delivery.words_per_cycle, delivery.energy_pj_per_word, delivery.compressed, bits)


def relevant_dims(layer: Layer, dataspace: str) -> set[str]:
    found = next(d for d in layer.shape.dataspaces if d.name == dataspace)
    return {dim for side in found.terms() for dim, _ in side}


def worked_share(chip: Chip, layer: Layer, role: str) -> float:
    """Return the share of a kind of words that occupy a MAC: nonzero ones if zeros are skipped, else all."""
    return layer.density(ROLES[role]).density if skips_zeros(chip, role) else 1.0


def spread_of(loops: list[SpatialLoop]) -> dict[str, int]:
    """Over how many PEs every dim is spread."""
    return {d: math.prod(loop.bound for loop in loops if loop.dim == d) for d in CONV_DIMS}


def tile_of(mapping: Mapping) -> tuple[int, int]:
    """Return (filters, channels) of a PE's tile."""
    levels = [level for level in mapping.levels if level.level in (PSUM_SPAD, IACT_REG)]
    nests = [nest for level in levels for nest in (level.temporal, level.spatial) if nest is not None]
    filters, channels = (math.prod(nest.factors.get(dim, 1) for nest in nests) for dim in ("M", "C"))
    return filters, channels


def pe_estimate(
    chip: Chip, layer: Layer, spread: dict[str, Any], tile: tuple[Any, Any],
    densities: tuple[ArrayLike, ArrayLike] | None = None,
) -> PEEstimate:  # fmt: skip
    """Estimate the time of the PEs, which wait for the slowest one after every window, for numbers or arrays
    of candidates; `densities` of iacts and weights, by default the layer's.

    Passes of a row-stationary chip work on one image at a time, and take as long as full ones.
    """
    dims = conv_dims(layer)
    conv, tiling = dims.conv(), tiling_of(spread, *tile)
    if densities is None:
        densities = layer.density(IACTS).density, layer.density(WEIGHTS).density
    if chip.spec.dataflow != "row-stationary":
        found = estimate(window_pe(chip), conv, tiling, *densities)
        return with_counted_words(chip, layer, found, tile)
    rows, images = dims.bounds.get("P", 1), dims.bounds.get("N", 1)
    found = estimate(window_pe(chip), conv._replace(P=rows, Q=images * conv.Q), tiling, *densities)
    full = even_cycles(chip, layer, spread, tile) - handing_over(chip, found, tile[0])
    return found._replace(cycles=np.broadcast_to(full, np.shape(found.cycles)))


def even_cycles(chip: Chip, layer: Layer, spread: dict[str, Any], tile: tuple[Any, Any]) -> Any:
    """Return the cycles of the PE with the largest part if zeros were spread evenly and PEs did not wait."""
    bounds, lanes = conv_dims(layer).bounds, chip.spec.pe.simd_width
    iacts, weights = (worked_share(chip, layer, role) for role in ("iact", "weight"))
    filters = np.minimum(tile[0], -(-bounds.get("M", 1) // spread.get("M", 1)))
    column = np.ceil(filters / lanes) if weights == 1.0 else (filters * weights + (lanes - 1) / 2) / lanes
    full = np.ceil(filters / lanes)
    again = np.where(full == 1, chip.spec.pe.accumulate_cycles, 1)  # cycles between MACs with the same psums
    # with the addition of psums between PEs
    steps = iacts * bounds.get("S", 1) * tile[1] * np.minimum(column, full) * again + full
    steps = steps * -(-bounds.get("M", 1) // (spread.get("M", 1) * filters))
    steps = steps * -(-bounds.get("C", 1) // (spread.get("C", 1) * tile[1]))
    for dim in ("G", "R", "N", "Q", "P"):
        steps = steps * -(-bounds.get(dim, 1) // spread.get(dim, 1))
    return steps


def tiling_of(spread: dict[str, Any], filters: ArrayLike, channels: ArrayLike) -> Tiling:
    """Return a tiling with one window at a time per PE, and dims spread over given numbers of PEs (1 for
    others).
    """
    return Tiling(
        M0=filters, C0=channels, pes_g=spread.get("G", 1), pes_m=spread.get("M", 1), pes_c=spread.get("C", 1),
        pes_r=spread.get("R", 1), pes_p=spread.get("N", 1) * spread.get("P", 1), pes_q=spread.get("Q", 1),
    )  # fmt: skip


def window_pe(chip: Chip) -> SparsePE:
    """Return the PE without the time to fill its pipeline, which is spent once per pass and not per
    window.
    """
    return replace(chip.spec.pe, pipeline_stages=min(chip.spec.pe.pipeline_stages, 1))


def passes_of(levels: dict[str, LevelMapping]) -> int:
    """Return how often PEs get new weights."""
    return math.prod(f for name in PASSES if name in levels for f in levels[name].temporal.factors.values())
