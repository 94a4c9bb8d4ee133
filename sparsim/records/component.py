"""The record of a hardware component, whose attributes determine the energies and the area that
`sparsim.estimate` computes.
"""

from __future__ import annotations

import msgspec

from sparsim.errors import SpecError
from sparsim.records.energy_table import Rules
from sparsim.records.number_limits import MAX_COUNT, as_real, check_real, check_whole
from sparsim.records.record import Record

COMPOUND = "compound"
# the class of components with given numbers: its attributes are pJ by action, `area_um2` and `source`
TABLE = "table"
SMALLEST_NM, LARGEST_NM = 7, 130


class Component(Record, frozen=True, kw_only=True):
    """A hardware component, whose energies and area `sparsim.estimate` finds from its attributes.

    Parameters
    ----------
    name : str
        Name of the component; in an accelerator that of a storage level or of the compute units.
    class_name : str
        Selects the estimator, which knows the attributes. In documents the key is `class`. The class
        "compound" stands for a component that is made of parts, the class "table" for one whose attributes
        are its energies in pJ by action, with `area_um2` and `source`.
    node_nm : float, default None
        Technology node in nm, from 7 to 130; a part of a compound has by default that of the compound.
    rules : str, default None
        The rule set that estimates; by default that of the compound, or else "default".
    attributes : dict of str to int, float or str, default {}
        What the estimator is told, such as sizes and widths. A compound has none.
    count : int, default 1
        How often a part is in its compound.
    parts : tuple of Component, default ()
        The parts of a compound. Its area is the sum of their areas.
    actions : dict of str to dict of str to float, default {}
        Actions that are sums of other actions, with counts. Those of a compound name actions of parts:
        `{"read": {"storage.read": 1, "address.add": 2}}`. Those of another component name actions of its
        estimator, which they replace: `{"mac_gated": {"leak": 1}}`.
    energy_scale : float, default 1.0
        Factor on all energies.
    area_scale : float, default 1.0
        Factor on the area.
    energy_rules : {"timeloop-3", "timeloop-4"}, default "timeloop-3"
        The `rules` of the energy table that is made of the component.

    Raises
    ------
    SpecError
        If a number is out of range, if a compound has no parts or has attributes, if another component has
        parts, or if two parts have the same name.

    Examples
    --------
    >>> from sparsim import Component
    >>> spad = Component(
    ...     name="spad", class_name="sram", node_nm=65, attributes={"width_bits": 16, "depth_words": 64}
    ... )
    >>> spad.to_dict()["class"]
    'sram'
    """

    name: str
    class_name: str = msgspec.field(name="class")
    node_nm: float | None = None
    rules: str | None = None
    attributes: dict[str, int | float | str] = {}
    count: int = 1
    parts: tuple[Component, ...] = ()
    actions: dict[str, dict[str, float]] = {}
    energy_scale: float = 1.0
    area_scale: float = 1.0
    energy_rules: Rules = "timeloop-3"

    def __post_init__(self) -> None:
        where = f"component {self.name}"
        if (
            self.node_nm is not None
            and not SMALLEST_NM <= as_real(where, "node_nm", self.node_nm) <= LARGEST_NM
        ):
            raise SpecError(
                f"node_nm must be between {SMALLEST_NM} and {LARGEST_NM}, got {self.node_nm:g}",
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
                raise SpecError("a compound needs 'parts'", path=where)
            if self.attributes:
                raise SpecError("a compound cannot have attributes; give them to its parts", path=where)
        elif self.parts:
            raise SpecError(f"only class {COMPOUND} has 'parts'", path=where)


def check_names(components: tuple[Component, ...], where: str) -> None:
    """Raise SpecError where two components have the same name."""
    seen = set()
    for component in components:
        if component.name in seen:
            raise SpecError(f"two components have the name '{component.name}'", path=where)
        seen.add(component.name)
