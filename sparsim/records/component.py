"""A hardware component by its attributes, whose energies and area `sparsim.estimate` finds out."""

from __future__ import annotations

import msgspec

from sparsim.errors import SpecError
from sparsim.records.energy_table import Rules
from sparsim.records.number_limits import MAX_COUNT, as_real, check_real, check_whole
from sparsim.records.record import Record

COMPOUND = "compound"
TABLE = "table"  # a class whose numbers are given: its attributes are pJ by action, `area_um2` and `source`
SMALLEST_NM, LARGEST_NM = 7, 130


class Component(Record, frozen=True, kw_only=True):
    """One component. `class_name`, `class` in documents, selects the estimator, which knows the attributes.

    A compound has `parts`, components themselves, and may have `actions`: energy of an action is the sum of
    the parts' actions, `{"read": {"storage.read": 1, "address.add": 2}}`; area is the sum over all parts.
    Another component may have `actions` in place of those of its estimator, whose sums they are:
    `{"mac_gated": {"leak": 1}}`. The scales are factors on all energies and on the area.
    """

    name: str
    class_name: str = msgspec.field(name="class")
    node_nm: float | None = None  # technology node; None: of the compound that this is a part of
    rules: str | None = None  # rule set that estimates; None: of the compound, else "default"
    attributes: dict[str, int | float | str] = {}
    count: int = 1  # of a part, in its compound
    parts: tuple[Component, ...] = ()
    actions: dict[str, dict[str, float]] = {}
    energy_scale: float = 1.0
    area_scale: float = 1.0
    energy_rules: Rules = "timeloop-3"  # of the table that is made of it

    def __post_init__(self) -> None:
        where = f"component {self.name}"
        if (
            self.node_nm is not None
            and not SMALLEST_NM <= as_real(where, "node_nm", self.node_nm) <= LARGEST_NM
        ):
            raise SpecError(
                f"node_nm is {self.node_nm:g}, allowed is {SMALLEST_NM} to {LARGEST_NM}",
                path=where,
                hint="in nanometres: 65, not 65e-9" if 0 < self.node_nm < 1 else "",
            )
        check_whole(where, "count", self.count, 1)
        check_real(where, "energy_scale", self.energy_scale, MAX_COUNT)
        check_real(where, "area_scale", self.area_scale, MAX_COUNT)
        self._check_compound(where)
        check_names(self.parts, where)
        for action, terms in self.actions.items():
            for term, count in terms.items():
                check_real(where, f"count of '{term}' in action '{action}'", count, MAX_COUNT)

    def _check_compound(self, where: str) -> None:
        if self.class_name == COMPOUND:
            if not self.parts:
                raise SpecError("a compound without 'parts'", path=where)
            if self.attributes:
                raise SpecError("a compound has no attributes, its parts have", path=where)
        elif self.parts:
            raise SpecError(f"'parts' given, which only class {COMPOUND} has", path=where)


def check_names(components: tuple[Component, ...], where: str) -> None:
    """Raise SpecError where two components have the same name."""
    seen = set()
    for component in components:
        if component.name in seen:
            raise SpecError(f"two components have the name '{component.name}'", path=where)
        seen.add(component.name)
