"""The rule set `accelergy`: classes and attributes as Accelergy's public plug-ins call them.

Every estimator has a few actions of its own; `terms` expresses actions of Accelergy by these. A number
without a source is called a guess in the text beside it.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from sparsim.errors import SpecError, near
from sparsim.estimate import source_data as data
from sparsim.estimate.estimator import Energy, Estimate, Estimator
from sparsim.estimate.standard_cells import CELL_NODE_NM, Logic, as_estimate, cell

NAME = "accelergy"
GUESS = "guess: "
READ, WRITE, LEAK, ACCESS = "read", "write", "leak", "access"
_LEAKS = ("leak", "idle")
_READS = ("read", "access", "pop", "metadata_read")
_WRITES = ("write", "update", "fill", "push", "metadata_write", "metadata_update")
_WIDTHS = ("width", "datawidth", "data_width", "n_bits", "word-bits", "word_bits", "word_width", "bitwidth")

Arguments = Mapping[str, Any]
Terms = dict[str, float]


class PlugIn(Estimator, frozen=True, kw_only=True):
    """Base of this rule set's estimators.

    `also` are further names of the class. `aliases` are names of a field in documents, of which the first one
    present is used. `is_compute` tells whether the component is a compute unit or a memory if it is a level.
    """

    rules: ClassVar[str] = NAME
    also: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[dict[str, tuple[str, ...]]] = {"width": _WIDTHS}
    is_compute: ClassVar[bool] = False
    global_cycle_seconds: float = 5e-9
    n_instances: float = 1  # multiplier of leakage and area

    @property
    def cycle_ns(self) -> float:
        return self.global_cycle_seconds * 1e9

    @classmethod
    def attributes_from(cls, given: Mapping[str, Any]) -> dict[str, int | float | str]:
        """Return the fields that the attributes of a document define. Raises SpecError for missing ones."""
        found: dict[str, int | float | str] = {}
        for field in msgspec.structs.fields(cls):
            names = cls.aliases.get(field.name, (field.name,))
            name = next((name for name in names if given.get(name) is not None), None)
            if name is not None:
                found[field.name] = given[name]
            elif field.required:
                meant = next((hint for key in given if (hint := near(key, names))), "")
                raise SpecError(f"attribute '{names[0]}' is missing", hint=meant)
        return found

    @classmethod
    def terms(cls, action: str, arguments: Arguments) -> Terms:
        """Return the estimator's own actions that make up an action of Accelergy. Raises SpecError."""
        raise NotImplementedError

    def whole(self, estimate: Estimate) -> Estimate:
        """Return the estimate of all instances."""
        if self.n_instances == 1:
            return estimate
        scaled = estimate.scaled(self.n_instances, self.n_instances)
        actions = {**estimate.actions, LEAK: scaled.actions[LEAK]}
        return Estimate(actions=actions, area=scaled.area)


class PlugInMemory(PlugIn, frozen=True, kw_only=True):
    """Base of memories, in which a read or a write moves one word."""

    @classmethod
    def terms(cls, action: str, arguments: Arguments) -> Terms:
        if action in _LEAKS:
            return {LEAK: 1.0}
        if action not in (*_READS, *_WRITES):
            known = (READ, WRITE, "update", LEAK)
            raise SpecError(f"class {cls.class_name} has no action '{action}'", hint=near(action, known))
        deltas = [bool(arguments.get(name, 1)) for name in ("data_delta", "address_delta")]
        return cls.access(READ if action in _READS else WRITE, *deltas)

    @classmethod
    def access(cls, kind: str, data_changes: bool, address_changes: bool) -> Terms:
        """Return the terms of an access in which only the data or only the address differ from the previous
        one; it contains no leakage.
        """
        share = 0.7 * data_changes + 0.3 * address_changes
        return {kind: share} if share else {LEAK: 1.0}


class PlugInLogic(PlugIn, frozen=True, kw_only=True):
    """Base of logic units, whose actions all have the same energy, except for gated ones and leakage."""

    reused: ClassVar[float] = 1.0  # share of the energy if an operand equals the previous one
    note: ClassVar[str] = ""
    width: float

    @classmethod
    def terms(cls, action: str, arguments: Arguments) -> Terms:
        if action in _LEAKS or action.endswith("_gated"):
            return {LEAK: 1.0}
        return {ACCESS: cls.reused if action.endswith("_reused") else 1.0}

    def logic(self) -> Logic:
        """Return the unit at the cells' own node."""
        raise NotImplementedError

    def estimate(self, node_nm: float) -> Estimate:
        logic = self.logic()
        logic = logic._replace(source=self.note + logic.source)
        return self.whole(logic_estimate(logic, node_nm))


def logic_estimate(logic: Logic, node_nm: float, access: tuple[str, ...] = (ACCESS,)) -> Estimate:
    """Return the estimate of logic, with `leak` as its leakage."""
    found = as_estimate(logic, CELL_NODE_NM, node_nm, access)
    actions = {**found.actions, LEAK: found.actions["idle"]}
    del actions["idle"]
    return Estimate(actions=actions, area=found.area)


def clocked(name: str, bits: float, cycle_ns: float) -> Logic:
    """Return `bits` of a cell. If the cycle is too short for all cells, the fastest one is taken, and leaks
    for the cycle only.
    """
    fastest = data.cells()[name][0].latency_ns
    if cycle_ns >= fastest:
        return cell(name, bits, cycle_ns)
    found = cell(name, bits, fastest)
    return found._replace(idle_pj=found.idle_pj * cycle_ns / fastest)


def address_adder(depth: float, cycle_ns: float) -> Logic:
    return clocked("adder", max(1, math.ceil(math.log2(max(depth, 1)))), cycle_ns)


def with_access(found: Estimate, more: Estimate, copies: int) -> Estimate:
    """Return a memory with `copies` logic units, of which every access uses one."""
    actions = {
        name: _sum(energy, more.actions[LEAK if name == LEAK else ACCESS], copies if name == LEAK else 1)
        for name, energy in found.actions.items()
    }
    area = msgspec.structs.replace(
        found.area,
        area_um2=found.area_um2 + copies * more.area_um2,
        source=f"{found.area.source}; {copies} x ({more.area.source})",
    )
    return Estimate(actions=actions, area=area)


def _sum(a: Energy, b: Energy, copies: int) -> Energy:
    return Energy(
        energy_pj=a.energy_pj + copies * b.energy_pj,
        source=f"{a.source}; {b.source}" if copies == 1 else f"{a.source}; {copies} x ({b.source})",
    )
