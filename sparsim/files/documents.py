"""The content of a set of documents, independent of their format."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Self

from msgspec import structs

from sparsim.errors import SpecError, near
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.records import (
    Accelerator,
    Architecture,
    Component,
    EnergyTable,
    Layer,
    Mapping,
    Mapspace,
    SparsePolicy,
    Workload,
)
from sparsim.records.accounting import OF_TIMELOOP_4, Accounting
from sparsim.records.chip_spec import ChipSpec
from sparsim.records.energy_table import Rules
from sparsim.records.machine_spec import MachineSpec
from sparsim.records.mapper_options import MapperOptions
from sparsim.records.row_stationary import RowStationaryMappings


@dataclass(frozen=True, kw_only=True)
class Documents:
    """The records of one or several files.

    Fields that the files do not mention are None or empty.

    Attributes
    ----------
    where : str
        Names of the files.
    architecture, policy, energy, mapspace, mapping, workload, chip, machine, row_stationary : record or None
        The record of each kind.
    components : tuple of Component
        The components from which energies are estimated.
    layers : tuple of Layer
        The layers of the files; those of the workload come last.
    is_native : bool
        Whether the files are documents of sparsim, and not of Timeloop.
    mapper : MapperOptions or None
        The options that documents of Timeloop give to a search.
    warnings : tuple of str
        What in the files has no effect.
    accounting : str
        The convention of accounting that the documents are meant for.
    out_prefix : str or None
        How the names of Timeloop's output files begin.
    """

    where: str = field(compare=False)
    architecture: Architecture | None = None
    policy: SparsePolicy | None = None
    energy: EnergyTable | None = None
    components: tuple[Component, ...] = ()
    mapspace: Mapspace | None = None
    layers: tuple[Layer, ...] = ()
    mapping: Mapping | None = None
    workload: Workload | None = None
    chip: ChipSpec | None = None
    machine: MachineSpec | None = None
    row_stationary: RowStationaryMappings | None = None
    is_native: bool = True
    mapper: MapperOptions | None = None
    warnings: tuple[str, ...] = ()
    accounting: Accounting = "timeloop-3"
    out_prefix: str | None = None

    @cached_property
    def accelerator(self) -> Accelerator:
        """The accelerator, whose components are estimated.

        Raises
        ------
        SpecError
            If there is no architecture, if both an energy table and components are given, or if components
            cannot be estimated.
        """
        if self.architecture is None:
            raise SpecError("'architecture' is missing", path=self.where)
        try:
            return _accelerator(self.architecture, self.policy, self.energy, self.components, self.mapspace)
        except SpecError as error:
            raise error.within(self.where) from None

    def accounted(self, accounting: Accounting | None) -> Self:
        """Return the same documents for a convention of accounting.

        The convention says which rules hold for energies that the table lacks, and whether levels leak.

        Parameters
        ----------
        accounting : str or None
            The convention; None keeps that of the documents.

        Returns
        -------
        Documents
        """
        if accounting is None:
            return self
        rules: Rules = "timeloop-4" if accounting in OF_TIMELOOP_4 else "timeloop-3"
        given = energy = self.energy
        if given is not None and given.rules != rules:
            energy = given.kept("other rules", (rules,), lambda: structs.replace(given, rules=rules))
        components = tuple(structs.replace(one, energy_rules=rules) for one in self.components)
        return replace(self, accounting=accounting, energy=energy, components=components)

    def layer(self, name: str | None = None) -> Layer:
        """Return the layer of a name, or the only one.

        Parameters
        ----------
        name : str, optional
            Name of the layer; by default there must be exactly one layer.

        Returns
        -------
        Layer

        Raises
        ------
        SpecError
            If there is no such layer, or if there are several.
        """
        found = [layer for layer in self.layers if name is None or layer.name == name]
        if len(found) == 1:
            return found[0]
        if name is None:
            text = f"exactly one layer is needed, got {len(found)}"
            raise SpecError(text, path=self.where, hint="choose with --layer NAME" if found else "")
        if found:
            raise SpecError(f"{len(found)} layers have the name '{name}'", path=self.where)
        names = [layer.name for layer in self.layers]
        raise SpecError(f"unknown layer '{name}'", path=self.where, hint=near(name, names))


@lru_cache(maxsize=64)
def _accelerator(
    architecture: Architecture,
    policy: SparsePolicy | None,
    energy: EnergyTable | None,
    components: tuple[Component, ...],
    mapspace: Mapspace | None,
) -> Accelerator:
    """Return the accelerator of equal records once per process, because it caches its lowered form and its
    energies. Raises SpecError.
    """
    found = Accelerator(
        architecture=architecture, policy=policy, energy=energy, components=components, mapspace=mapspace
    )
    energy_table(found)
    return found
