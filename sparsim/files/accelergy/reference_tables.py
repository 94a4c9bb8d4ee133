"""Estimates as Accelergy's reference tables of energies and areas, ERT and ART, version 0.4."""

from collections.abc import Mapping
from typing import Any

from sparsim.estimate import Estimate
from sparsim.files.accelergy.name_ranges import split_arguments

_VERSION = "0.4"
_DIGITS = 8


def energy_reference_table(estimates: Mapping[str, Estimate], paths: Mapping[str, str]) -> dict[str, Any]:
    """Return the ERT. `paths` are the names of components in it."""
    tables = []
    for name, found in estimates.items():
        actions = []
        for action, energy in found.actions.items():
            plain, arguments = split_arguments(action)
            actions.append({"name": plain, "arguments": arguments, "energy": _rounded(energy.energy_pj)})
        tables.append({"name": paths.get(name, name), "actions": actions})
    return {"ERT": {"version": _VERSION, "tables": tables}}


def area_reference_table(estimates: Mapping[str, Estimate], paths: Mapping[str, str]) -> dict[str, Any]:
    """Return the ART."""
    tables = [
        {"name": paths.get(name, name), "area": _rounded(found.area_um2)} for name, found in estimates.items()
    ]
    return {"ART": {"version": _VERSION, "tables": tables}}


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
