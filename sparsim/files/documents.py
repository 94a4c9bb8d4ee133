"""What a set of documents holds, whatever their format."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
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
from sparsim.records.mapper_options import MapperOptions


@dataclass(frozen=True, kw_only=True)
class Documents:
    """The records of one or several files; None or empty for what they do not mention.

    `layers` ends with those of the workload. `where` names the files, `warnings` say what of them has no
    effect. `mapper` has the options that Timeloop's documents give to a search. `accounting` is the
    convention that the documents are meant for, `out_prefix` how the names of Timeloop's output files begin.
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
    is_native: bool = True
    mapper: MapperOptions | None = None
    warnings: tuple[str, ...] = ()
    accounting: Accounting = "timeloop-3"
    out_prefix: str | None = None

    @cached_property
    def accelerator(self) -> Accelerator:
        """The accelerator, whose components are estimated.

        Raises SpecError if there is no architecture, if both an energy table and components are given, and
        for components that cannot be estimated.
        """
        if self.architecture is None:
            raise SpecError("no 'architecture' given", path=self.where)
        try:
            found = Accelerator(
                architecture=self.architecture, policy=self.policy, energy=self.energy,
                components=self.components, mapspace=self.mapspace,
            )  # fmt: skip
            energy_table(found)
        except SpecError as error:
            raise error.within(self.where) from None
        return found

    def accounted(self, accounting: Accounting | None) -> Self:
        """The same documents for a convention of accounting, by default their own.

        It says which rules hold for energies that the table lacks, and whether levels leak.
        """
        if accounting is None:
            return self
        rules: Rules = "timeloop-4" if accounting in OF_TIMELOOP_4 else "timeloop-3"
        energy = self.energy and structs.replace(self.energy, rules=rules)
        components = tuple(structs.replace(one, energy_rules=rules) for one in self.components)
        return replace(self, accounting=accounting, energy=energy, components=components)

    def layer(self, name: str | None = None) -> Layer:
        """The layer called `name`, or the only one. Raises SpecError if there is none or several."""
        found = [layer for layer in self.layers if name is None or layer.name == name]
        if len(found) == 1:
            return found[0]
        if name is None:
            text = f"{len(found)} layers given, exactly one is expected"
            raise SpecError(text, path=self.where, hint="choose with --layer NAME" if found else "")
        if found:
            raise SpecError(f"{len(found)} layers have the name '{name}'", path=self.where)
        names = [layer.name for layer in self.layers]
        raise SpecError(f"no layer '{name}'", path=self.where, hint=near(name, names))
