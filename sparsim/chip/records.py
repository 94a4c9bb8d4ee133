"""A whole chip: an accelerator, its PEs and network, its clock, and what may be spread over its array."""

from __future__ import annotations

import math
from typing import NamedTuple

from sparsim.errors import SpecError, near
from sparsim.spec import Architecture, EnergyTable, SparsePolicy
from sparsim.spec.chip import ChipSpec
from sparsim.spec.component import Component
from sparsim.spec.noc import Axis, Noc

DRAM, PSUM_GLB, IACT_GLB = "DRAM", "psum_glb", "iact_glb"
CLUSTER_ROW, CLUSTER, PE_ROW = (
    "cluster_row",
    "cluster",
    "pe_row",
)  # they keep nothing and carry the array's axes
WEIGHT_SPAD, IACT_SPAD, PSUM_SPAD, IACT_REG = "weight_spad", "iact_spad", "psum_spad", "iact_reg"
LEVELS = (
    DRAM, PSUM_GLB, IACT_GLB, CLUSTER_ROW, CLUSTER, PE_ROW, WEIGHT_SPAD, IACT_SPAD, PSUM_SPAD, IACT_REG,
)  # fmt: skip
SPREAD_AT: dict[str, Axis] = {  # the level whose fan-out is an axis of the array
    IACT_GLB: "cluster_rows", CLUSTER_ROW: "cluster_columns", CLUSTER: "pe_rows", PE_ROW: "pe_columns",
}  # fmt: skip


class Chip(NamedTuple):
    """A chip with everything that a layer's cost depends on."""

    spec: ChipSpec
    architecture: Architecture
    policy: SparsePolicy | None
    energy: EnergyTable | None
    components: tuple[Component, ...] = ()  # that `energy` was estimated from

    @property
    def name(self) -> str:
        return self.spec.name


def meshes_of(noc: Noc) -> dict[str, tuple[int, int]]:
    """The meshes of the levels that carry the axes of a network's array."""
    rows, columns = noc.clusters
    return {
        CLUSTER_ROW: (1, rows), CLUSTER: (columns, 1), PE_ROW: (1, noc.pe_rows),
        WEIGHT_SPAD: (noc.pe_columns, 1),
    }  # fmt: skip


def check_chip(chip: Chip) -> None:
    """Whether architecture, PE and network are of one chip. Raises SpecError."""
    where = f"chip {chip.name}"
    names = tuple(level.name for level in chip.architecture.storage)
    if names != LEVELS:
        unknown = next((n for n in names if n not in LEVELS), None)
        raise SpecError(
            f"levels are {', '.join(names)}, a row-stationary chip has {', '.join(LEVELS)}",
            path=where,
            hint=near(unknown, LEVELS) if unknown else "",
        )
    noc = chip.spec.noc
    meshes = {level.name: level.mesh for level in chip.architecture.storage}
    for level, mesh in meshes_of(noc).items():
        if meshes[level] != mesh:
            raise SpecError(f"mesh of {level} is {meshes[level]}, noc {noc.name} needs {mesh}", path=where)
    lanes = math.prod(chip.architecture.compute.mesh)
    if lanes != chip.spec.pe.simd_width:
        pe = chip.spec.pe
        raise SpecError(f"{lanes} MACs per PE, simd_width of PE {pe.name} is {pe.simd_width}", path=where)
