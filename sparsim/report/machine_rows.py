"""A network on a machine without mappings as rows and plain data, for files and tables."""

from __future__ import annotations

from typing import Any

from sparsim.hardware import ClosedFormMachine, LayerCost, NetworkCost
from sparsim.hardware.layer_costs import PJ_PER_UJ, UM2_PER_MM2
from sparsim.records import Workload
from sparsim.report.tables import Table

PJ_PER_J = 1e12
HZ_PER_MHZ = 1e6


def machine_layer_row(cost: LayerCost, *, has_energy: bool = True) -> dict[str, str | float | None]:
    """One layer, as in `chip.layers.csv`: energies in pJ, None where none is known."""
    return {
        "layer": cost.layer,
        "cycles": cost.cycles,
        "limit": cost.limit,
        "macs": cost.macs,
        "utilization": cost.utilization,
        "pj": cost.total_pj if has_energy else None,
        "pj_per_mac": cost.pj_per_mac if has_energy else None,
        "edp_j_cycles": cost.edp_j_cycles if has_energy else None,
        **{f"pj {name}": energy for name, energy in cost.energy_pj.items()},
        **cost.details,
        "note": cost.note,
    }


def machine_totals(machine: ClosedFormMachine, cost: NetworkCost) -> dict[str, float | None]:
    """An inference is all layers once, with as many samples as they have. Energies are None where none is
    known.
    """
    has_energy = bool(machine.energy_source)
    seconds = cost.cycles / (machine.spec.clock_mhz * HZ_PER_MHZ)
    joules = cost.energy_pj / PJ_PER_J
    found: dict[str, float | None] = {
        "cycles": cost.cycles,
        "seconds": seconds,
        "macs": cost.macs,
        "energy_pj": cost.energy_pj if has_energy else None,
        "edp_j_cycles": cost.edp_j_cycles if has_energy else None,
        "utilization": cost.utilization if cost.cycles else 0.0,
    }
    if cost.cycles:
        found |= {"inferences_per_s": 1.0 / seconds, "watts": joules / seconds if has_energy else None}
    if joules:
        found["inferences_per_j"] = 1.0 / joules
    if cost.area_um2:
        found["area_um2"] = sum(cost.area_um2.values())
    return found


def machine_document(machine: ClosedFormMachine, workload: Workload, cost: NetworkCost) -> dict[str, Any]:
    """All that is known, with sources."""
    names = dict.fromkeys(name for layer in cost.layers for name in layer.energy_pj)
    return {
        "machine": machine.spec.to_dict(),
        "energy_source": machine.energy_source,
        "workload": {"name": workload.name, "source": workload.source, "provenance": workload.provenance},
        "totals": machine_totals(machine, cost),
        "energy_pj": {name: cost.component_uj(name) * PJ_PER_UJ for name in names},
        "area_um2": cost.area_um2,
        "properties": machine.properties,
        "left_out": machine.left_out,
        "layers": [machine_layer_row(layer, has_energy=bool(machine.energy_source)) for layer in cost.layers],
    }


def machine_layers(machine: ClosedFormMachine, cost: NetworkCost) -> Table:
    """Cycles, energy and limit by layer."""
    us_per_cycle, further = 1.0 / machine.spec.clock_mhz, tuple(cost.layers[0].details)

    def energies(found: LayerCost | NetworkCost, pj: float) -> tuple[str, str, str]:
        if not machine.energy_source:
            return ("-", "-", "-")
        return _uj(pj), f"{found.pj_per_mac:.3g}", f"{found.edp_j_cycles:.4g}"

    rows = [
        (
            layer.layer, f"{layer.cycles:,}", f"{layer.cycles * us_per_cycle:,.4g}", layer.limit,
            f"{layer.utilization:.1%}", *energies(layer, layer.total_pj),
            *(f"{layer.details[name]:,.4g}" for name in further),
        )
        for layer in cost.layers
    ]  # fmt: skip
    total = (
        "total", f"{cost.cycles:,}", f"{cost.cycles * us_per_cycle:,.4g}", "",
        f"{cost.utilization:.1%}" if cost.cycles else "", *energies(cost, cost.energy_pj),
        *(f"{sum(layer.details[name] for layer in cost.layers):,.4g}" for name in further),
    )  # fmt: skip
    head = ("layer", "cycles", "us", "limit", "utilization", "uJ", "pJ/MAC", "EDP", *further)
    notes = [f"{name}: {note}" for name, note in cost.notes.items()]
    return Table(head, rows, text=(0, 3), total=total, notes=notes)


def machine_components(cost: NetworkCost) -> Table:
    """Energy and area by component, what takes most energy first."""
    names = dict.fromkeys((*(name for layer in cost.layers for name in layer.energy_pj), *cost.area_um2))
    whole, area = cost.energy_pj, sum(cost.area_um2.values())
    rows = []
    for name in sorted(names, key=lambda name: -cost.component_uj(name)):
        energy, um2 = cost.component_uj(name) * PJ_PER_UJ, cost.area_um2.get(name)
        of_area = ("-", "-") if um2 is None else (f"{um2 / UM2_PER_MM2:.3f}", f"{um2 / area:.1%}")
        rows.append((name, _uj(energy), f"{energy / whole:.1%}" if whole else "-", *of_area))
    return Table(("component", "uJ", "of energy", "mm2", "of mm2"), rows)


def machine_summary(machine: ClosedFormMachine, cost: NetworkCost) -> list[tuple[str, str]]:
    """Totals as lines for a terminal, with what costs leave out."""
    found = machine_totals(machine, cost)
    lines = []
    if "inferences_per_s" in found:
        clock = machine.spec.clock_mhz
        lines.append(("speed", f"{found['inferences_per_s']:,.5g} inferences/s at {clock:g} MHz"))
        watts = found["watts"]
        lines.append(("power", "not known" if watts is None else f"{watts:.3g} W"))
    if "inferences_per_j" in found:
        lines.append(("efficiency", f"{found['inferences_per_j']:,.5g} inferences/J"))
    area = found.get("area_um2")
    lines.append(("area", "not known" if area is None else f"{area / UM2_PER_MM2:.4g} mm2"))
    lines += [(name.replace("_", " "), f"{value:,.6g}") for name, value in machine.properties.items()]
    return [*lines, *(("left out", text) for text in machine.left_out)]


def _uj(energy_pj: float) -> str:
    return f"{energy_pj / PJ_PER_UJ:,.3f}"
