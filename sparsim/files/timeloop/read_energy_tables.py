"""Energy and area reference tables, ERT and ART (model 4.5)."""

from __future__ import annotations

import re

from sparsim.errors import near
from sparsim.files.timeloop.document_node import Node
from sparsim.records import EnergyTable
from sparsim.records.energy_table import COMPUTE_ACTIONS, STORAGE_ACTIONS

_WIRE = ("wire", "Wire")
_FINAL_RANGE = re.compile(r"\[\d+\.\.\d+\]$")
# the reference expects ranges that start with a single digit
_UNREAD_RANGE = re.compile(r"\[\d\d+\.\.\d+\]$")


def read_tables(ert: Node, art: Node | None) -> EnergyTable:
    """Return energies and areas by component name; of several entries of one action the largest is used."""
    version = ert.required(ert.number("version"), "version")
    if version not in (0.2, 0.3, 0.4):
        raise ert.error(f"must be 0.2, 0.3 or 0.4, got {version:g}", "version")
    actions: dict[str, dict[str, float]] = {}
    wire = 0.0
    for full_name, rows in find_actions(ert).items():
        name = component_name(full_name)
        entry = {action: max(_energy(action, row) for row in found) for action, found in rows.items()}
        if name in _WIRE:
            wire = _wire_energy(ert, full_name, entry) or wire
            continue
        if _UNREAD_RANGE.search(full_name):
            ert.warn(
                f"component '{full_name}' is read as '{name}', but Timeloop would not accept it", "tables"
            )
        if name in actions:
            ert.warn(
                f"component '{name}' is in the table more than once, so the last entry is used", "tables"
            )
            entry = _with_missing(entry, actions[name])
        actions[name] = entry
    areas: dict[str, float] = {}
    if art is not None:
        areas = _areas(art)
    with ert.located():
        return EnergyTable(name="ERT", actions=actions, areas=areas, wire_pj_per_bit_mm=wire or None)


def _wire_energy(ert: Node, name: str, entry: dict[str, float]) -> float:
    if entry and "transfer_random" not in entry:
        raise ert.error(f"'{name}' has no action 'transfer_random'", "tables", near("transfer_random", entry))
    return entry.get("transfer_random", 0.0)


def _with_missing(entry: dict[str, float], earlier: dict[str, float]) -> dict[str, float]:
    """Return `entry` with missing energies taken from an earlier entry of the same component."""
    result = dict(entry)
    for names in (*STORAGE_ACTIONS.values(), *COMPUTE_ACTIONS.values()):
        known = [name for name in names if name in earlier]
        if known and not any(name in entry for name in names):
            result[names[0]] = earlier[known[0]]
    return result


def component_name(full_name: str) -> str:
    """`system.PE[0..3].spad[0..11]` is `spad`: the last part of the path, without its range."""
    return _FINAL_RANGE.sub("", full_name).rpartition(".")[2]


def find_actions(ert: Node) -> dict[str, dict[str, list[Node]]]:
    """Return the entries of each action, by component and action, one for every set of arguments."""
    return _actions_by_map(ert) if ert.number("version") == 0.2 else _actions_by_list(ert)


def _actions_by_list(ert: Node) -> dict[str, dict[str, list[Node]]]:
    """Versions 0.3 and 0.4: `tables: [{name, actions: [{name, arguments, energy}]}]`."""
    if not ert.has("tables"):
        raise ert.error("'tables' is missing", hint=ert.misspelt("tables"))
    entries: dict[str, dict[str, list[Node]]] = {}
    for table in ert.children("tables"):
        entry = entries.setdefault(table.required(table.text("name"), "name"), {})
        if not table.holds("actions"):
            raise table.error("'actions' is missing", hint=table.misspelt("actions"))
        for action in table.children("actions"):
            entry.setdefault(action.required(action.text("name"), "name"), []).append(action)
    return entries


def _actions_by_map(ert: Node) -> dict[str, dict[str, list[Node]]]:
    """Version 0.2: `tables: {component: {action: {energy} or [{arguments, energy}]}}`."""
    tables = ert.child("tables")
    if tables is None:
        raise ert.error("'tables' is missing", hint=ert.misspelt("tables"))
    entries: dict[str, dict[str, list[Node]]] = {}
    for component in tables.data:
        entry = entries.setdefault(component, {})
        node = tables.child(component)
        for action in node.data if node else ():
            assert node is not None
            if isinstance(node.data[action], list):
                rows = node.children(action)
            else:
                rows = [row] if (row := node.child(action)) else []
            if not rows:
                raise node.error("the energy is missing", action)
            entry[action] = rows
    return entries


def _energy(action: str, row: Node) -> float:
    energy = row.required(row.number("energy"), "energy")
    if energy < 0:
        raise row.error(f"energy of action '{action}' must be at least 0, got {energy:g} pJ", "energy")
    return energy


def _areas(art: Node) -> dict[str, float]:
    version = art.required(art.number("version"), "version")
    if version not in (0.3, 0.4):
        raise art.error(f"must be 0.3 or 0.4, got {version:g}", "version")
    if not art.has("tables"):
        raise art.error("'tables' is missing", hint=art.misspelt("tables"))
    return {
        component_name(table.required(table.text("name"), "name")): table.required(
            table.number("area"), "area"
        )
        for table in art.children("tables")
    }
