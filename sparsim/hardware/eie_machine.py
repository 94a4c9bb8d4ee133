"""EIE behind the interface to hardware."""

from __future__ import annotations

from collections.abc import Sequence
from warnings import warn

from sparsim.errors import SparsimWarning
from sparsim.hardware.closed_form_plan import ClosedFormMachine, LayerEstimate
from sparsim.machines.eie.closed_form import VectorTime, vector_time
from sparsim.machines.matrix_layers import MatrixLayer, matrix_layer
from sparsim.records import Layer
from sparsim.records.eie_spec import EieSpec

NODES = "nonzero_detection"


class EieMachine(ClosedFormMachine):
    """EIE, whose weights stay on chip. Each vector of activations is one product with the weights.

    Parameters
    ----------
    spec : EieSpec
        The record of the machine.

    Attributes
    ----------
    spec : EieSpec
        The record.
    """

    spec: EieSpec
    left_out = (
        "DRAM: weights are loaded once and stay on chip, and inputs and outputs are not loaded and stored",
    )

    def __init__(self, spec: EieSpec) -> None:
        super().__init__(spec)

    @property
    def area_um2(self) -> dict[str, float]:
        spec = self.spec
        found = {name: area * spec.pes for name, area in spec.um2_per_pe.items()}
        return found | ({NODES: spec.um2_per_node * spec.nodes} if spec.um2_per_node else {})

    @property
    def energy_source(self) -> dict[str, dict[str, str]]:
        return {name: {"cycle": "machine"} for name in (*self.spec.pj_per_pe_cycle, NODES)}

    def estimate(self, layer: Layer, densities: Sequence[float]) -> LayerEstimate:
        matrix, spec = matrix_layer(layer), self.spec
        found = vector_time(
            matrix.rows, matrix.columns, densities[0], densities[1], spec.pes, spec.fifo_depth,
            spec.longest_gap,
        )  # fmt: skip
        return self._told(matrix, found)

    def _told(self, matrix: MatrixLayer, found: VectorTime) -> LayerEstimate:
        """Of all vectors and groups, which run one after the other."""
        spec, runs = self.spec, matrix.vectors * matrix.groups
        cycles = found.cycles * runs
        energy = {name: energy * spec.pes * cycles for name, energy in spec.pj_per_pe_cycle.items()}
        if spec.pj_per_node_cycle:
            energy[NODES] = spec.pj_per_node_cycle * spec.nodes * cycles
        slots = found.cycles * spec.pes
        spent = {
            "work": found.nonzeros, "padding": found.entries - found.nonzeros, "idle": slots - found.entries,
        }  # fmt: skip
        utilization = found.nonzeros / slots if slots else 0.0
        return LayerEstimate(cycles, energy, utilization, max(spent, key=lambda k: spent[k]), _note(matrix))

    def check(self, layers: Sequence[Layer]) -> None:
        """Warn if a network is larger than the memories.

        Parameters
        ----------
        layers : sequence of Layer
            The layers of a network.

        Warns
        -----
        SparsimWarning
            If the entries or the pointers of the layers together do not fit; they are costed as if they did.
        """
        spec = self.spec
        entries = pointers = 0.0
        for layer in layers:
            matrix, density = matrix_layer(layer), layer.density("Weights").density
            one = vector_time(
                matrix.rows, matrix.columns, density, 1.0, spec.pes, spec.fifo_depth, spec.longest_gap
            )
            entries += one.entries * matrix.groups / spec.pes
            pointers += (matrix.columns + 1) * matrix.groups
        for what, need, have in (
            ("entries", entries, spec.spmat_kib * 8192 // spec.entry_bits),
            ("pointers", pointers, spec.pointer_kib * 8192 // spec.pointer_bits),
        ):
            if need > have:
                text = (
                    f"{spec.name}: the layers need {need:,.0f} {what} in each PE, which has room for "
                    f"{have:,.0f}; they are costed as if all of them fitted"
                )
                warn(text, SparsimWarning, stacklevel=4)


def _note(matrix: MatrixLayer) -> str:
    if matrix.vectors * matrix.groups == 1:
        return ""
    what = "windows as columns (im2col), " if matrix.has_window else ""
    groups = f" of {matrix.groups} groups" if matrix.groups > 1 else ""
    return f"{what}{matrix.vectors} products of the weights{groups} and a vector, one after the other"
