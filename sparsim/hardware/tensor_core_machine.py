"""Tensor cores with N:M weights behind the interface to hardware."""

from __future__ import annotations

from collections.abc import Sequence

from sparsim.hardware.closed_form_plan import ClosedFormMachine, LayerEstimate
from sparsim.machines.tensor_core import crowded_groups, layer_size, roofline
from sparsim.model.density_tables import load_masks
from sparsim.records import Layer
from sparsim.records.tensor_core_spec import TensorCoreSpec

MAC, DRAM = "MAC", "DRAM"
TOLERANCE = 0.01  # tolerance of a density without a mask, as a share of N/M


class TensorCoreMachine(ClosedFormMachine):
    """A processor with tensor cores, on which weights with an N:M pattern take less time and storage.

    Weights with a mask have the pattern if the mask has. Without a mask those are taken to have it whose
    density is N/M, within 1 %, with the distribution "fixed-structured". All others run dense.

    Parameters
    ----------
    spec : TensorCoreSpec
        The record of the machine.

    Attributes
    ----------
    spec : TensorCoreSpec
        The record.
    """

    spec: TensorCoreSpec
    left_out = (
        "caches and registers: each tensor is loaded or stored once, and tiles fill the tensor cores",
        "energy of caches, registers and wires, and static power",
        "what compresses weights: they are stored once",
    )

    def __init__(self, spec: TensorCoreSpec) -> None:
        super().__init__(spec)

    @property
    def area_um2(self) -> dict[str, float]:
        return {}

    @property
    def energy_source(self) -> dict[str, dict[str, str]]:
        known = {MAC: ("compute", self.spec.pj_per_mac), DRAM: ("bit", self.spec.dram_pj_per_bit)}
        return {name: {action: "machine"} for name, (action, energy) in known.items() if energy}

    @property
    def properties(self) -> dict[str, float]:
        """How many bits of dense weights those with the pattern take, and peaks in MACs per second."""
        spec = self.spec
        per_second = {"dense": spec.dense_macs_per_cycle, "sparse": spec.sparse_peak}
        peaks = {f"{name}_macs_per_s": peak * spec.clock_mhz * 1e6 for name, peak in per_second.items()}
        return {"storage_ratio": spec.storage_ratio, **peaks}

    def estimate(self, layer: Layer, densities: Sequence[float]) -> LayerEstimate:
        spec, size = self.spec, layer_size(layer)
        sparse, note = self._pattern(layer, densities[0])
        if sparse and -(-size.channels // spec.group) * spec.nonzeros >= size.channels:
            sparse, note = False, f"{size.channels} input channels are too few for {spec.pattern}"
        found = roofline(spec, size, sparse=sparse)
        energy = {
            MAC: found.computed_macs * spec.pj_per_mac, DRAM: found.traffic_bytes * 8 * spec.dram_pj_per_bit,
        }  # fmt: skip
        busy = found.compute_us / found.us if found.us else 0.0
        both = (roofline(spec, size, sparse=other).us for other in (False, True))
        details = dict(zip(("dense us", f"{spec.pattern} us"), both, strict=True))
        return LayerEstimate(found.us * spec.clock_mhz, energy, busy, found.limit, note, details)

    def _pattern(self, layer: Layer, density: float) -> tuple[bool, str]:
        """Return whether weights have the pattern, and a note on assumptions or losses."""
        spec = self.spec
        given = layer.density("Weights")
        if given.distribution == "actual":
            crowded = layer.kept("crowded groups", (spec.nonzeros, spec.group), lambda: self._crowded(layer))
            if not crowded:
                return True, f"weights are {spec.pattern}"
            return False, f"weights are not {spec.pattern} ({crowded:.1%} of the groups): run dense"
        if density == 1.0:
            return False, ""
        near = abs(density * spec.group / spec.nonzeros - 1.0) <= TOLERANCE
        if near and given.distribution == "fixed-structured":
            return True, f"weights without a mask taken as {spec.pattern}"
        return False, f"weights with density {density:.3g} are not known to be {spec.pattern}: run dense"

    def _crowded(self, layer: Layer) -> float:
        dims = [side for d in layer.shape.dataspaces if d.name == "Weights" for side in d.projection]
        mask = load_masks(layer, {})["Weights"]
        return crowded_groups(mask, self.spec.nonzeros, self.spec.group, dims.index("C"))
