"""Costs on an Eyeriss chip, interpolated between densities at which every mapping was evaluated.

On a chip that compresses weights, a mapping fits up to some density, and a lower limit allows a better
mapping. Each layer therefore has several mappings, planned for the densities `REFERENCES`. Each mapping is
tabulated with every choice of tensors that are stored plainly; the nodes are fractions of the densities up to
which it fits. At each density the mapping that takes the least energy of those that fit is used, or the
fastest one with the objective "delay". An additional zero therefore never costs energy, or time.
"""

from __future__ import annotations

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike, NDArray

from sparsim.cache import ResultCache, default_folder, key_of
from sparsim.errors import MappingError, SpecError
from sparsim.hardware.bicubic import Bicubic
from sparsim.hardware.interface import (
    COLUMNS,
    Costs,
    Hardware,
    Plan,
    Progress,
    Reals,
    Slopes,
    as_costs,
    check_arguments,
    one_each,
)
from sparsim.hardware.layer_costs import LayerCost, NetworkCost
from sparsim.machines.eyeriss import (
    Chip,
    ChipEvaluation,
    NetworkEvaluation,
    bound_on_chip,
    chip_area,
    evaluate_chip,
    plan_network,
)
from sparsim.machines.eyeriss.chip import DRAM, chip_energy_sources
from sparsim.machines.eyeriss.compression import plainly
from sparsim.machines.eyeriss.cost_tables import INPUT_NODES, WEIGHT_NODES, Table, tabulate
from sparsim.machines.eyeriss.layer_cost import evaluate_stored
from sparsim.machines.eyeriss.layer_lowering import lowered
from sparsim.machines.eyeriss.plan_layer import best_mapping
from sparsim.machines.eyeriss.weight_masks import counted, has_mask, mask_digest
from sparsim.records import Density, Layer, Mapping, macs
from sparsim.records.objective import Objective, ObjectiveName, objective_names, objective_value
from sparsim.records.row_stationary import RowStationary

REFERENCES = (1.0, 0.5, 0.2, 0.05)  # densities of weights, with the layer's own inputs; 1 is for all dense

Tables = tuple[Table, ...]
References = tuple[tuple[float, float], ...]  # densities of weights and inputs


class EyerissChip(Hardware):
    """A whole chip of the Eyeriss family, whose row-stationary mappings are planned.

    Parameters
    ----------
    chip : Chip
        The chip, as `sparsim.machines.eyeriss.load_chip` loads it.

    Attributes
    ----------
    chip : Chip
        The chip.
    name : str
        Its name.
    clock_mhz : float
        Its clock in MHz.
    """

    def __init__(self, chip: Chip) -> None:
        self.chip, self.name, self.clock_mhz = chip, chip.name, chip.spec.clock_mhz

    @property
    def area_um2(self) -> dict[str, float]:
        return chip_area(self.chip)

    @property
    def energy_source(self) -> dict[str, dict[str, str]]:
        return chip_energy_sources(self.chip)

    def plan(
        self, layers: Sequence[Layer], *, objective: ObjectiveName = "edp", folder: Path | None = None,
        progress: Progress | None = None, references: Sequence[References] | None = None, **options: Any,
    ) -> EyerissPlan:  # fmt: skip
        """Plan and tabulate mappings of layers that hold for all densities.

        Parameters
        ----------
        layers : sequence of Layer
            Convolutions, depthwise convolutions and matrix products, with the dataspaces `COLUMNS`.
        objective : {"edp", "energy", "delay"}, default "edp"
            What the mappings minimise.
        folder : Path, optional
            Where plans are kept for later runs; by default the user's cache.
        progress : callable, optional
            Called with the name of each layer when it is done.
        references : sequence of sequence of (float, float), optional
            For each layer the densities of weights and inputs that it is planned for. By default these are
            the densities `REFERENCES` of weights, with the layer's own density of inputs.
        **options
            None are known.

        Returns
        -------
        EyerissPlan
            Computes energy and cycles for any densities.

        Raises
        ------
        SpecError
            If layers, objective or options do not fit the chip; mappings cannot be given.
        MappingError
            If a layer has no mapping.
        """
        if "mappings" in options:
            raise SpecError(f"chip {self.name} plans its own mappings and takes none", path="plan")
        check_arguments(self, layers, options)
        return EyerissPlan(
            self, layers, references=references, objective=objective, folder=folder or default_folder(),
            progress=progress,
        )  # fmt: skip

    def cost(
        self, layers: Sequence[Layer], *, objective: Objective = "edp", progress: Progress | None = None,
        mappings: Sequence[Mapping] | None = None, **options: Any,
    ) -> NetworkCost:  # fmt: skip
        """Compute the costs of layers with their own densities, each under the best mapping for these.

        Parameters
        ----------
        layers : sequence of Layer
            Convolutions, depthwise convolutions and matrix products.
        objective : str or sequence of str, default "edp"
            What the mappings minimise; of several objectives the first one counts.
        progress : callable, optional
            Called with the name of each layer when it is done.
        mappings : sequence of Mapping, optional
            One mapping per layer, in place of those that are planned. How tensors are stored is chosen in any
            case.
        **options
            None are known.

        Returns
        -------
        NetworkCost
            Energy by component, cycles and mapping of each layer.

        Raises
        ------
        SpecError
            If layers, objective or options do not fit the chip, or if there is another number of mappings.
        MappingError
            If a layer has no mapping, or if a mapping is invalid.
        """
        check_arguments(self, layers, options, path="cost")
        if mappings is None:
            found = self.evaluate(layers, objective=objective, progress=progress).layers
        else:
            name = objective_names(objective)[0]
            found = tuple(
                evaluate_chip(self.chip, lowered(self.chip, layer), mapping, name)  # type: ignore[arg-type]
                for layer, mapping in zip(layers, one_each(layers, mappings), strict=True)
            )
        return NetworkCost(tuple(map(layer_cost, layers, found)), self.area_um2)

    def lower_bounds(self, layers: Sequence[Layer]) -> Costs:
        return as_costs(bound_on_chip(self.chip, layer) for layer in layers)

    def evaluate(
        self, layers: Sequence[Layer], *, objective: Objective | None = None,
        progress: Progress | None = None, parameters: Dict[str, RowStationary] | None = None,
    ) -> NetworkEvaluation:  # fmt: skip
        """Compute the costs of layers as `cost` does, with all details of each layer on the chip.

        Parameters
        ----------
        layers : sequence of Layer
            Convolutions, depthwise convolutions and matrix products.
        objective : str or sequence of str, optional
            What the mappings minimise; by default the objective of the chip. Of several objectives only the
            first one is used, because the planner already decides by another objective between mappings that
            are equal by the first.
        progress : callable, optional
            Called with the name of each layer when it is done.
        parameters : dict of str to RowStationary, optional
            Parameters of mappings by the name of the layer, such as published ones, in place of the best
            ones.

        Returns
        -------
        NetworkEvaluation
            The evaluation of each layer.

        Raises
        ------
        SpecError
            If layers or objective do not fit the chip.
        MappingError
            If a layer has no mapping, or if parameters do not fit.
        """
        name = objective_names(objective or self.chip.spec.objective)[0]

        def tell(found: ChipEvaluation) -> None:
            if progress is not None:
                progress(found.layer.name)

        return plan_network(self.chip, layers, name, tell, parameters)  # type: ignore[arg-type]


def layer_cost(layer: Layer, found: ChipEvaluation) -> LayerCost:
    busy = float(found.pe.macs) / (found.cycles * found.evaluation.compute.instances)
    energy = {**found.energy_pj, DRAM: found.dram_pj}
    return LayerCost(
        layer.name, macs(layer), found.cycles, busy, energy, mapping=found.mapping, note=found.layer.note
    )


class EyerissPlan(Plan):
    """A plan on a chip of the Eyeriss family, with several mappings of each layer.

    Layers are planned and tabulated once, which takes seconds per layer unless the results are in `folder`;
    equal layers are planned once. Layers that the chip cannot run are planned as what they are lowered to.
    Costs are interpolated between densities at which every mapping was evaluated.

    Parameters
    ----------
    hardware : EyerissChip
        Where the layers run.
    layers : sequence of Layer
        Layers with the dataspaces `COLUMNS`.
    references : sequence of sequence of (float, float), optional
        For each layer the densities of weights and inputs that it is planned for; by default `REFERENCES`.
    objective : {"edp", "energy", "delay"}, default "edp"
        What the mappings minimise.
    folder : Path, optional
        Where plans are kept for later runs; by default they are kept in memory only.
    progress : callable, optional
        Called with the name of each layer when it is done.

    Attributes
    ----------
    references : tuple of tuple of (float, float)
        The densities that each layer is planned for.

    Raises
    ------
    SpecError
        If a tensor is not one of a convolution.
    MappingError
        If a layer does not fit the chip.
    """

    hardware: EyerissChip

    def __init__(
        self,
        hardware: EyerissChip,
        layers: Sequence[Layer],
        *,
        references: Sequence[References] | None = None,
        objective: ObjectiveName = "edp",
        folder: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        layers = [counted(hardware.chip, layer) for layer in layers]
        super().__init__(hardware, layers, objective)
        self.chip, self._folder = hardware.chip, folder
        self._lowered = tuple(lowered(self.chip, layer) for layer in layers)
        self.references = tuple(map(_references, layers) if references is None else map(tuple, references))
        cache: ResultCache[Tables] = ResultCache(Tables, folder)
        tables = []
        for layer, wanted in zip(self._lowered, self.references, strict=True):
            tables.append(_tables_of(self.chip, layer, wanted, objective, cache))
            if progress is not None:
                progress(layer.name)
        self._use(tables)

    @property
    def notes(self) -> dict[str, str]:
        return {layer.name: layer.note for layer in self._lowered if layer.note}

    def replanned(self, densities: ArrayLike, progress: Progress | None = None) -> Self:
        """Make a plan with one more mapping of each layer, planned for other densities.

        Parameters
        ----------
        densities : array_like of float, shape (layers, 3)
            Fractions of nonzeros, from 0 to 1, in the order of `COLUMNS`.
        progress : callable, optional
            Called with the name of each layer when it is done.

        Returns
        -------
        EyerissPlan
        """
        rows = self._checked(densities).tolist()
        references = [
            (*known, (weights, inputs))
            for known, (weights, inputs, _) in zip(self.references, rows, strict=True)
        ]
        return type(self)(
            self.hardware, self.layers, references=references, objective=self.objective,
            folder=self._folder, progress=progress,
        )  # fmt: skip

    def _use(self, tables: Sequence[Tables]) -> None:
        """Store a row per surface; layers with fewer surfaces than others repeat their first one."""
        self.tables = tuple(tables)
        rows = [[(i, s) for i, table in enumerate(each) for s in table.surfaces] for each in tables]
        self._most = max(map(len, rows))
        padded = [pair for row in rows for pair in row + row[:1] * (self._most - len(row))]
        self._table = [i for i, _ in padded]
        self._plain = [s.plain for _, s in padded]
        self._limits = np.array([s.limits for _, s in padded])
        self._weights_plain = np.array([COLUMNS[0] in plain for plain in self._plain])
        self._surface = Bicubic(WEIGHT_NODES, INPUT_NODES, [s.costs for _, s in padded])
        self._all_plain = np.array([plain != () for plain in self._plain])
        self._any_zero = self.chip.spec.compression == "any-zero" and any(self._plain)
        self._saves: ObjectiveName = "delay" if self.objective == "delay" else "energy"

    def _costs(self, densities: Reals) -> Costs:
        value = self._chosen(densities).value
        return Costs(value[:, 0], value[:, 1])

    def _layer_costs(self, densities: Reals) -> tuple[LayerCost, ...]:
        """Return the exact cost of each layer with the mapping and storage in use, without interpolation."""
        found = []
        for layer, tables, row, (weights, inputs, _) in zip(
            self._lowered, self.tables, self._chosen(densities).row, densities.tolist(), strict=True
        ):
            at = plainly(_at(layer, weights, inputs), self._plain[row])
            mapping = tables[self._table[row]].mapping
            found.append(layer_cost(layer, evaluate_stored(self.chip, at, mapping)))
        return tuple(found)

    def _slopes(self, densities: Reals) -> Slopes:
        """Return the slopes of the surfaces in use; the density of outputs does not change the costs."""
        return self._slopes_of(densities, compressed=self._any_zero)

    def _savings(self, densities: Reals) -> Slopes:
        """Return slopes, and for weights that are stored uncompressed the mean saving of all of them: with
        few zeros a compressed column may take as long as a dense one, so that the slope there says little.
        """
        slopes = self._slopes_of(densities, compressed=True)
        plain = self._weights_plain[self._chosen(densities).row] & (densities[:, 0] > 0.0)
        chosen = self._chosen(densities, compressed=True)
        empty = self._surface(np.zeros(len(densities)), chosen.at[:, 1], chosen.row).value
        for of_weights, saved in zip(slopes, (chosen.value - empty).T, strict=True):
            of_weights[plain, 0] = saved[plain] / densities[plain, 0]
        return slopes

    def _slopes_of(self, densities: Reals, *, compressed: bool) -> Slopes:
        chosen = self._chosen(densities, compressed=compressed)
        point = self._surface(chosen.at[:, 0], chosen.at[:, 1], chosen.row)
        limits, nothing = self._limits[chosen.row], np.zeros((len(densities), 1))
        by = (np.stack([point.by_x, point.by_y], axis=2) / limits[:, None]).swapaxes(0, 1)  # (2, layers, 2)
        return Slopes(*(np.concatenate([each, nothing], axis=1) for each in by))

    def _chosen(self, densities: Reals, *, compressed: bool = False) -> _Chosen:
        """Return the surface that each layer uses; with `compressed`, of those with compressed weights."""
        wanted = np.repeat(densities[:, :2], self._most, axis=0)
        fits = (wanted <= self._limits).all(axis=1)
        if compressed:
            fits &= ~self._weights_plain
        elif self._any_zero:
            fits &= (wanted == 1.0).all(axis=1) == self._all_plain
        at = np.minimum(wanted / self._limits, 1.0)
        value = self._surface.values(at[:, 0], at[:, 1])
        values = objective_value(self._saves, value[:, 0], value[:, 1])
        values = np.where(fits, values, np.inf).reshape(len(densities), self._most)
        best = values.argmin(axis=1)
        rows = np.arange(len(densities))
        for i in np.flatnonzero(~np.isfinite(values[rows, best])):
            weights, inputs = densities[i, :2]
            raise MappingError(
                f"no mapping of layer {self.layers[i].name} fits {self.hardware.name} at "
                f"densities of weights {weights:g} and inputs {inputs:g}"
            )
        row = rows * self._most + best
        return _Chosen(row, at[row], value[row])


class _Chosen(NamedTuple):
    """The row in use for each layer, the place on its surface, and energy and cycles there."""

    row: NDArray[np.int64]
    at: Reals
    value: Reals


def _tables_of(
    chip: Chip, layer: Layer, references: References, objective: ObjectiveName, cache: ResultCache[Tables]
) -> Tables:
    found: Tables = ()
    for reference in references:
        key = _key(chip, layer, reference, objective)
        tables = cache.get(key)
        if tables is None:
            tables = _planned(chip, layer, reference, objective, found)
            cache.put(key, tables)
        found += tuple(table for table in tables if table not in found)
    if not found:
        raise MappingError(
            f"layer {layer.name} does not fit chip {chip.name}: no mapping that was tried fits its memories"
        )
    return found


def _planned(
    chip: Chip, layer: Layer, reference: tuple[float, float], objective: ObjectiveName, known: Tables
) -> Tables:
    """Return a tuple of the table of the best mapping, taken from `known` if it is there; () if none fits."""
    try:
        mapping = best_mapping(chip, _at(layer, *reference), objective)[1]
    except MappingError:
        return ()
    same = tuple(table for table in known if table.mapping == mapping)
    return same or (tabulate(chip, layer, mapping),)


def _references(layer: Layer) -> References:
    inputs = layer.density("Inputs").density
    found = tuple((weights, 1.0 if weights == 1.0 else inputs) for weights in REFERENCES)
    return (*found, (layer.density("Weights").density, inputs)) if has_mask(layer) else found


def _at(layer: Layer, weights: float, inputs: float) -> Layer:
    """Return the layer with these densities, its mask if it is that of the weights, and its own density of
    outputs.
    """
    given = {"Weights": Density(density=float(weights)), "Inputs": Density(density=float(inputs))}
    if has_mask(layer) and weights == layer.density("Weights").density:
        given["Weights"] = layer.density("Weights")
    outputs = {name: density for name, density in layer.densities.items() if name not in given}
    return replace(layer, densities=given | outputs)


def _key(chip: Chip, layer: Layer, reference: tuple[float, float], objective: str) -> str:
    records = (chip.spec, chip.accelerator, _at(layer.anonymous(), 1.0, 1.0))
    return key_of(records, reference, objective, mask_digest(layer))
