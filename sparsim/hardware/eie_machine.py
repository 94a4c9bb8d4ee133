"""EIE behind the interface to hardware."""

from __future__ import annotations

from collections.abc import Sequence
from warnings import warn

import numpy as np

from sparsim.errors import SparsimWarning, SpecError
from sparsim.hardware.closed_form_plan import ClosedFormMachine, ClosedFormPlan, LayerEstimate
from sparsim.machines.eie.closed_form import VectorTime, vector_time
from sparsim.machines.eie.cycle_twin import run_vector
from sparsim.machines.eie.entry_memory import relative_access_energy
from sparsim.machines.eie.relative_csc import stored_weights
from sparsim.machines.eie.slices import slice_entries
from sparsim.machines.masked_layers import MaskedLayer, masked_layer
from sparsim.machines.matrix_layers import MatrixLayer, matrix_layer
from sparsim.records import Layer, Workload
from sparsim.records.eie_spec import ENTRY_MEMORY, PUBLISHED_WIDTH_BITS, EieSpec

NODES = "nonzero_detection"
MOST_RUNS = 256  # vectors of a layer that are simulated; all others take as long as these on average


class EieMachine(ClosedFormMachine):
    """EIE, whose weights stay on chip. Each vector of activations is one product with the weights.

    Layers with a mask of their weights are simulated, with a mask of their inputs or with random ones. All
    others are computed from their densities.

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
        found = {name: {"cycle": "machine"} for name in (*self.spec.pj_per_pe_cycle, NODES)}
        if self.spec.spmat_width_bits != PUBLISHED_WIDTH_BITS:
            found[ENTRY_MEMORY] = {"cycle": "machine, scaled to the width by estimates"}
        return found

    def estimate(self, layer: Layer, densities: Sequence[float]) -> LayerEstimate:
        matrix, spec = matrix_layer(layer), self.spec

        def read_by(entries_per_row: int) -> VectorTime:
            return vector_time(
                matrix.rows, densities[0], matrix.columns * densities[1], spec.pes, spec.fifo_depth,
                spec.longest_gap, entries_per_row,
            )  # fmt: skip

        published = read_by(PUBLISHED_WIDTH_BITS // spec.entry_bits)
        return self._told(matrix, read_by(spec.entries_per_row), published.memory_reads)

    def measured(self, layer: Layer) -> LayerEstimate:
        matrix = matrix_layer(layer)
        chosen = np.unique(np.linspace(0, matrix.vectors - 1, MOST_RUNS).astype(int)).tolist()
        masks = masked_layer(layer, chosen)
        if masks.weights is None:
            return super().measured(layer)
        inputs = masks.inputs
        if inputs is None:
            shape = (matrix.groups, len(chosen), matrix.columns)
            inputs = np.random.default_rng(0).random(shape) < layer.density("Inputs").density
        found = self._simulated(masks._replace(inputs=inputs))
        told = self._told(matrix, *found)
        if len(chosen) == matrix.vectors:
            return told
        simulated = f"{len(chosen)} of {matrix.vectors} vectors simulated"
        return told._replace(note=f"{told.note}, {simulated}")

    def _simulated(self, masks: MaskedLayer) -> tuple[VectorTime, float]:
        """The mean over vectors and groups, and the reads of a memory of entries of the published width."""
        spec = self.spec
        assert masks.weights is not None
        assert masks.inputs is not None
        found, published = [], []
        for weights, inputs in zip(masks.weights, masks.inputs, strict=True):
            stored = stored_weights(weights, spec.pes, spec.index_bits)
            for active in inputs:
                found.append(run_vector(stored, active, spec.fifo_depth, spec.entries_per_row).time)
                wide = PUBLISHED_WIDTH_BITS // spec.entry_bits
                published.append(stored.memory_reads(np.flatnonzero(active), wide))
        return VectorTime(*np.mean(found, axis=0).tolist()), float(np.mean(published))

    def _told(self, matrix: MatrixLayer, found: VectorTime, published_reads: float) -> LayerEstimate:
        """The estimate for all vectors and groups, which run one after the other."""
        spec, runs = self.spec, matrix.vectors * matrix.groups
        drain = spec.pipeline_stages - 1 if found.cycles else 0
        cycles = (found.cycles + drain) * runs
        energy = {name: energy * spec.pes * cycles for name, energy in spec.pj_per_pe_cycle.items()}
        if spec.spmat_width_bits != PUBLISHED_WIDTH_BITS and published_reads and ENTRY_MEMORY in energy:
            scale = relative_access_energy(spec.spmat_width_bits, spec.spmat_kib)
            energy[ENTRY_MEMORY] *= scale * found.memory_reads / published_reads
        if spec.pj_per_node_cycle:
            energy[NODES] = spec.pj_per_node_cycle * spec.nodes * cycles
        slots = (found.cycles + drain) * spec.pes
        spent = {
            "weights": found.nonzeros, "padding": found.entries - found.nonzeros,
            "waiting": slots - found.entries,
        }  # fmt: skip
        utilization = found.nonzeros / slots if slots else 0.0
        limit = max(spent, key=lambda kind: spent[kind])
        return LayerEstimate(cycles, energy, utilization, limit, _note(matrix))

    def check_workload(self, workload: Workload) -> None:
        """Refuse shared weights of more values than a codebook holds.

        Parameters
        ----------
        workload : Workload
            A network, whose provenance has "codebook_entries" if `gmp` has clustered its weights.

        Raises
        ------
        SpecError
            If there are more entries than `2**weight_bits`.
        """
        entries, most = workload.provenance.get("codebook_entries", 0), 1 << self.spec.weight_bits
        if isinstance(entries, int | float) and entries > most:
            text = f"the codebooks have {entries} entries, those of {self.name} hold {most}"
            raise SpecError(text, path=f"workload {workload.name}")

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
        densities = ClosedFormPlan(self, layers, "edp").densities[:, 0]
        for layer, density in zip(layers, densities.tolist(), strict=True):
            matrix = matrix_layer(layer)
            slices = slice_entries(matrix.rows, spec.pes, density, spec.longest_gap)
            offsets = 1 if layer.kernel_map is None else len(layer.kernel_map.pairs)
            entries += offsets * matrix.groups * matrix.columns * slices.mean
            pointers += offsets * matrix.groups * (matrix.columns + 1)
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
