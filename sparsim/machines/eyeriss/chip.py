"""A whole chip: an accelerator, its PEs and network, its clock, and what may be spread over its array."""

import math
from typing import NamedTuple

from sparsim.errors import EnergyTableError, SpecError, near
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.records import Accelerator, Architecture, EnergyTable
from sparsim.records.chip_spec import ADDRESS_SPADS, ChipSpec
from sparsim.records.energy_table import NOT_GIVEN, energy_sources, origin
from sparsim.records.noc_spec import Axis, Noc

DRAM, PSUM_GLB, IACT_GLB = "DRAM", "psum_glb", "iact_glb"
# these levels store nothing, and define the axes of the array
CLUSTER_ROW, CLUSTER, PE_ROW = "cluster_row", "cluster", "pe_row"
WEIGHT_SPAD, IACT_SPAD, PSUM_SPAD, IACT_REG = "weight_spad", "iact_spad", "psum_spad", "iact_reg"
LEVELS = (
    DRAM, PSUM_GLB, IACT_GLB, CLUSTER_ROW, CLUSTER, PE_ROW, WEIGHT_SPAD, IACT_SPAD, PSUM_SPAD, IACT_REG,
)  # fmt: skip
SPREAD_AT: dict[str, Axis] = {  # for each axis of the array, the level whose fan-out it is
    IACT_GLB: "cluster_rows", CLUSTER_ROW: "cluster_columns", CLUSTER: "pe_rows", PE_ROW: "pe_columns",
}  # fmt: skip


class Chip(NamedTuple):
    """A chip with everything that the cost of a layer depends on.

    Parameters
    ----------
    spec : ChipSpec
        PEs, network on chip, clock, and which dims may be spread.
    accelerator : Accelerator
        Storage levels, sparse policy and energies.
    """

    spec: ChipSpec
    accelerator: Accelerator

    @property
    def name(self) -> str:
        """Name of the chip."""
        return self.spec.name

    @property
    def architecture(self) -> Architecture:
        """Storage levels and compute units of the chip."""
        return self.accelerator.architecture

    @property
    def energy(self) -> EnergyTable | None:
        """The energy table, estimated where the accelerator has components; None without energies."""
        return energy_table(self.accelerator)


def meshes_of(noc: Noc) -> dict[str, tuple[int, int]]:
    """The meshes of the levels that carry the axes of a network's array."""
    rows, columns = noc.clusters
    return {
        CLUSTER_ROW: (1, rows), CLUSTER: (columns, 1), PE_ROW: (1, noc.pe_rows),
        WEIGHT_SPAD: (noc.pe_columns, 1),
    }  # fmt: skip


def check_chip(chip: Chip) -> None:
    """Check that architecture, PE and network fit together. Raises SpecError."""
    where = f"chip {chip.name}"
    names = tuple(level.name for level in chip.architecture.storage)
    if names != LEVELS:
        unknown = next((n for n in names if n not in LEVELS), None)
        raise SpecError(
            f"the levels of a row-stationary chip must be {', '.join(LEVELS)}, got {', '.join(names)}",
            path=where,
            hint=near(unknown, LEVELS) if unknown else "",
        )
    noc = chip.spec.noc
    meshes = {level.name: level.mesh for level in chip.architecture.storage}
    for level, mesh in meshes_of(noc).items():
        if meshes[level] != mesh:
            raise SpecError(
                f"mesh of {level} must be {mesh} for noc {noc.name}, got {meshes[level]}", path=where
            )
    actions = chip.energy.actions if chip.energy else {}
    for name in ADDRESS_SPADS.values():
        if name in actions and "read" not in actions[name]:
            raise EnergyTableError("the action 'read' is missing", path=f"energy table, component {name}")
    pe = chip.spec.pe
    if chip.spec.dataflow == "row-stationary" and (
        noc.clusters != (1, 1) or pe.skips_zero_iacts or pe.skips_zero_weights
    ):
        raise SpecError(
            "dataflow must be row-stationary-plus for several clusters, or for PEs that skip zeros",
            path=where,
        )
    lanes = math.prod(chip.architecture.compute.mesh)
    if lanes != chip.spec.pe.simd_width:
        raise SpecError(
            f"MACs per PE must be the simd_width {pe.simd_width} of PE {pe.name}, got {lanes}", path=where
        )


def missing_energies(chip: Chip) -> tuple[str, ...]:
    """Return warnings of missing energies of the chip, in addition to those from the evaluation of its
    memories.
    """
    where = f"chip {chip.name}"
    if chip.energy is None:
        return (
            f"{where}: has neither components nor an energy table, so energies of memories and MACs are "
            "built in, and address spads cost nothing",
        )
    spads = {"iact": chip.spec.pe.iact_address, "weight": chip.spec.pe.weight_address}
    missing = [
        name for role, name in ADDRESS_SPADS.items() if spads[role].words and name not in chip.energy.actions
    ]
    return (f"{where}: has no energy of {' and '.join(missing)}, which cost nothing",) if missing else ()


def chip_energy_sources(chip: Chip) -> dict[str, dict[str, str]]:
    """Return the sources of energies, by component and action. Energies of network, clock and control are
    given with the chip.
    """
    found = energy_sources(chip.architecture, chip.energy)
    for name in ADDRESS_SPADS.values():
        priced = chip.energy is not None and name in chip.energy.actions
        found[name] = {"read": origin(chip.energy) if chip.energy and priced else NOT_GIVEN}
    return found
