"""Error bars of a network on a chip as plain data and as lines below the tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sparsim.machines.eyeriss.error_bars import (
    ErrorBar,
    Totals,
    UncertainNetwork,
    error_bar,
    uncertain_network,
)
from sparsim.machines.eyeriss.plan_network import NetworkEvaluation
from sparsim.machines.eyeriss.uncertainties import assumed_tensors
from sparsim.model.result import ratio
from sparsim.records import Workload, edp_j_cycles
from sparsim.records.objective import ObjectiveName

OF_LAYERS: dict[str, Callable[[Totals], float]] = {
    "cycles": lambda total: total.cycles,
    "chip_pj": lambda total: total.chip_pj,
    "dram_pj": lambda total: total.dram_pj,
    "edp_j_cycles": lambda total: float(edp_j_cycles(total.chip_pj + total.dram_pj, total.cycles)),
}
_SHOWN = 3  # largest contributions to the energy that are printed


def error_bars_document(
    network: NetworkEvaluation, workload: Workload, objective: ObjectiveName
) -> dict[str, Any]:
    """Return the error bars of the network and of each layer, and what each uncertainty contributes."""
    costs = uncertain_network(network, assumed_tensors(workload), objective)
    clock_hz = network.chip.spec.clock_mhz * 1e6
    of_network = {
        **OF_LAYERS,
        "inferences_per_s": lambda total: clock_hz / total.cycles,
        "inferences_per_j": lambda total: ratio(1e12, total.chip_pj),
    }
    return {
        "network": _bars(of_network, costs),
        "uncertainties": [
            {
                **change.uncertainty._asdict(),
                "independent_layers": change.independent,
                **_bars(OF_LAYERS, costs._replace(changes=[change])),
            }
            for change in costs.changes
        ],
        "layers": {
            found.layer.name: _bars(OF_LAYERS, costs.layer(i)) for i, found in enumerate(network.layers)
        },
    }


def _bars(quantities: Mapping[str, Callable[[Totals], float]], costs: UncertainNetwork) -> dict[str, Any]:
    return {name: error_bar(quantity, costs)._asdict() for name, quantity in quantities.items()}


def error_bar_lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (name, text) of energy and cycles with their error bars; `found` as of `error_bars_document`."""
    energy, cycles = (ErrorBar(**found["network"][name]) for name in ("chip_pj", "cycles"))
    largest = sorted(found["uncertainties"], key=lambda one: -_size(one["chip_pj"]))[:_SHOWN]
    parts = [f"{one['name']} {shown_bar(ErrorBar(**one['chip_pj']))}" for one in largest]
    return [
        ("energy", f"{energy.value / 1e6:,.5g} uJ {shown_bar(energy)} without DRAM"),
        ("cycles", f"{cycles.value:,.0f} {shown_bar(cycles)}"),
        ("error bars", f"energy mostly {', '.join(parts)}"),
    ]


def shown_bar(bar: ErrorBar) -> str:
    """Return "+/- 5 %", or both sides where they differ; nothing is known to change what has no bar."""
    if bar.low == bar.high:
        return "(no error bar)"
    plus, minus = f"{100 * bar.plus:.1f}", f"{100 * bar.minus:.1f}"
    return f"+/- {plus} %" if plus == minus else f"+{plus} % -{minus} %"


def _size(bar: Mapping[str, float]) -> float:
    one = ErrorBar(**bar)
    return max(one.minus, one.plus)
