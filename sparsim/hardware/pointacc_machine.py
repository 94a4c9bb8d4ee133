"""PointAcc behind the interface to hardware, with what its units do for layers one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from sparsim.hardware.closed_form_plan import ClosedFormMachine, ClosedFormPlan, LayerEstimate
from sparsim.hardware.layer_costs import NetworkCost
from sparsim.machines.matrix_layers import MatrixLayer, matrix_layer
from sparsim.machines.pointacc import (
    fetched_bytes,
    fetched_words,
    gathered_bytes,
    kernel_map_cycles,
    matrix_cycles,
    neighbour_cycles,
    sampling_cycles,
    sort_cycles,
)
from sparsim.records import Layer, macs, words
from sparsim.records.point_mapping import PointMapping
from sparsim.records.pointacc_spec import PointAccSpec

MAC, DRAM = "MAC", "DRAM"
AXES = 3
DISTANCE_BYTES = 4


class Place(NamedTuple):
    """The work of a layer that other layers make unnecessary: loading inputs, storing outputs, building a
    kernel map.
    """

    inputs_on_chip: bool = False
    outputs_on_chip: bool = False
    map_known: bool = False


class PointAccMachine(ClosedFormMachine):
    """PointAcc, on which layers may use what earlier ones left on chip, and kernel maps are built once.

    Zeros save nothing.

    Parameters
    ----------
    spec : PointAccSpec
        The record of the machine.
    places : dict of str to Place, optional
        What layers need not do, by their names; `plan` and `cost` find it.

    Attributes
    ----------
    spec : PointAccSpec
        The record.
    """

    spec: PointAccSpec
    left_out = (
        "cycles in which the matrix unit fills and runs empty",
        "energy of the mapping unit and of on-chip memories, and static power",
        "pooling, normalisation and interpolation of features",
        "any claim about the chip of the paper: sizes are recalled, formulas are ours",
    )

    def __init__(self, spec: PointAccSpec, places: dict[str, Place] | None = None) -> None:
        super().__init__(spec)
        self._places = places or {}

    @property
    def area_um2(self) -> dict[str, float]:
        return {}

    @property
    def energy_source(self) -> dict[str, dict[str, str]]:
        known = {MAC: ("compute", self.spec.pj_per_mac), DRAM: ("bit", self.spec.dram_pj_per_bit)}
        return {name: {action: "machine"} for name, (action, energy) in known.items() if energy}

    def plan(self, layers: Sequence[Layer], **options: Any) -> ClosedFormPlan:
        """Make a plan in which layers use what earlier ones left.

        Parameters
        ----------
        layers : sequence of Layer
            The layers of a network, in their order.
        **options
            As for other machines.

        Returns
        -------
        ClosedFormPlan
            Computes energy and cycles, which do not depend on densities.

        Raises
        ------
        SpecError
            If layers or options do not fit the machine.
        """
        return super(PointAccMachine, self._placed(layers)).plan(layers, **options)

    def cost(self, layers: Sequence[Layer], **options: Any) -> NetworkCost:
        """Compute what layers cost, where they use what earlier ones left.

        Parameters
        ----------
        layers : sequence of Layer
            The layers of a network, in their order.
        **options
            As for other machines.

        Returns
        -------
        NetworkCost
            Energy by component and cycles of each layer.

        Raises
        ------
        SpecError
            If layers or options do not fit the machine.
        """
        return super(PointAccMachine, self._placed(layers)).cost(layers, **options)

    def estimate(self, layer: Layer, densities: Sequence[float]) -> LayerEstimate:
        spec, matrix = self.spec, matrix_layer(layer)
        place = self._places.get(layer.name, Place())
        maps, map_bytes = self._mapping(layer, place)
        array = matrix.groups * matrix_cycles(
            matrix.vectors, matrix.columns, matrix.rows, spec.rows, spec.columns
        )
        traffic = self._traffic(layer, matrix, place) + map_bytes
        memory = traffic / (spec.dram_gb_per_s * 1e3) * spec.clock_mhz
        parts = {"mapping": float(maps), "matrix": float(array), DRAM: memory}
        cycles = max(parts.values()) if spec.overlapped else maps + max(array, memory)
        energy = {MAC: macs(layer) * spec.pj_per_mac, DRAM: traffic * 8 * spec.dram_pj_per_bit}
        return LayerEstimate(
            cycles, {name: pj for name, pj in energy.items() if name in self.energy_source},
            macs(layer) / (cycles * spec.rows * spec.columns), max(parts, key=lambda part: parts[part]),
            "windows as columns (im2col)" if matrix.has_window else "",
            parts,
        )  # fmt: skip

    def _mapping(self, layer: Layer, place: Place) -> tuple[int, float]:
        """Return the cycles of the mapping unit, and the bytes of coordinates."""
        found = [self._point_mapping(each) for each in layer.point_mappings]
        sizes = layer.kernel_map
        if sizes is not None and not place.map_known:
            lanes = self.spec.lanes
            cycles = kernel_map_cycles(sizes.inputs, sizes.outputs, sizes.kernel_size, sizes.stride, lanes)
            if set(sizes.stride) == {1}:  # those of other levels are sorted with maps of their own
                cycles += sort_cycles(sizes.inputs, lanes)
            found.append((cycles, (sizes.inputs + sizes.outputs) * self._point_bytes))
        return sum(cycles for cycles, _ in found), sum(size for _, size in found)

    def _point_mapping(self, mapping: PointMapping) -> tuple[int, float]:
        spec, points, queries = self.spec, mapping.points, mapping.queries
        if mapping.kind == "fps":
            cycles, rounds = sampling_cycles(points, queries, spec.lanes), queries - 1
        else:
            cycles = neighbour_cycles(points, queries, mapping.neighbours, spec.lanes)
            rounds = queries
        size = points * self._point_bytes
        if points * (self._point_bytes + DISTANCE_BYTES) > spec.sram_kib * 1024:
            size = rounds * points * (self._point_bytes + 2 * DISTANCE_BYTES)
        return mapping.clouds * cycles, mapping.clouds * size

    @property
    def _point_bytes(self) -> int:
        return AXES * self.spec.word_bytes

    def _traffic(self, layer: Layer, matrix: MatrixLayer, place: Place) -> float:
        """Return the bytes of features and weights, without those that stay on chip."""
        spec, sizes = self.spec, layer.kernel_map
        weights, cached = words(layer, "Weights"), spec.cache_kib * 1024 / spec.word_bytes
        if sizes is not None:
            pairs, weights = sizes.total, weights * len(sizes.pairs)
            if spec.flow == "gather-scatter":
                return gathered_bytes(pairs, matrix.columns, matrix.rows, weights, spec.word_bytes)
            read = fetched_words(sizes.inputs, pairs, matrix.columns, cached)
            return fetched_bytes(read, pairs, sizes.outputs * matrix.rows, weights, spec.word_bytes)
        outputs = 0 if place.outputs_on_chip else words(layer, "Outputs")
        if place.inputs_on_chip:
            return (weights + outputs) * spec.word_bytes
        grouped = [each for each in layer.point_mappings if each.kind != "fps"]
        if not grouped:
            return (weights + words(layer, "Inputs") + outputs) * spec.word_bytes
        if spec.flow == "gather-scatter":
            return (weights + 3 * words(layer, "Inputs") + outputs) * spec.word_bytes
        points = sum(each.points * each.clouds for each in grouped)
        read = fetched_words(points, matrix.vectors, matrix.columns, cached)
        return fetched_bytes(read, matrix.vectors, outputs, weights, spec.word_bytes)

    def _placed(self, layers: Sequence[Layer]) -> PointAccMachine:
        """Return the machine with the unnecessary work of the layers of a network."""
        known: set[str] = set()
        places = {}
        on_chip, held = False, 0
        for layer, following in zip_longest(layers, layers[1:]):
            weights = words(layer, "Weights") * self.spec.word_bytes
            held = held + weights if on_chip else weights
            kept = following is not None and self._fused(layer, following, held)
            name = layer.kernel_map.name if layer.kernel_map else ""
            places[layer.name] = Place(on_chip, kept, bool(name) and name in known)
            known.add(name)
            on_chip = kept
        return PointAccMachine(self.spec, places)

    def _fused(self, layer: Layer, following: Layer, held: int) -> bool:
        """Return whether a layer reads the results of the previous one, and the weights of both fit."""
        spec = self.spec
        if not spec.fused or following.point_mappings or layer.kernel_map or following.kernel_map:
            return False
        one, other = matrix_layer(layer), matrix_layer(following)
        if one.has_window or other.has_window or one.groups * other.groups > 1:
            return False
        if (one.rows, one.vectors) != (other.columns, other.vectors):
            return False
        room = (spec.sram_kib - spec.cache_kib) * 1024
        return held + words(following, "Weights") * spec.word_bytes <= room
