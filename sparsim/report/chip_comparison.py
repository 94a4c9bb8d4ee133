"""A network on several chips, layer by layer: speed, energy, and shares of time and of energy.

The shares are those of figures 20 and 22 of the Eyeriss v2 paper (Chen et al., JETCAS 9(2), 2019), and the
quotients those of figures 19 and 21.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from sparsim.machines.eyeriss.chip import IACT_GLB, IACT_REG, IACT_SPAD, PSUM_GLB, PSUM_SPAD, WEIGHT_SPAD
from sparsim.machines.eyeriss.cost_arrays import ADDRESSES, CLOCK, COMPUTE, CONTROL, NOC
from sparsim.machines.eyeriss.error_bars import ErrorBar, UncertainNetwork, error_bar
from sparsim.machines.eyeriss.plan_network import NetworkEvaluation
from sparsim.model.result import ratio
from sparsim.report.chip_error_bars import shown_bar
from sparsim.report.chip_rows import limit_of, totals
from sparsim.report.tables import Table

GROUPS = {
    COMPUTE: "MACs", WEIGHT_SPAD: "spads", IACT_SPAD: "spads", PSUM_SPAD: "spads", IACT_REG: "spads",
    ADDRESSES: "spads", IACT_GLB: "GLB", PSUM_GLB: "GLB", NOC: "NoC", CLOCK: "clock", CONTROL: "control",
}  # fmt: skip


class ComparedChip(NamedTuple):
    """A network on one of the chips.

    Attributes
    ----------
    label : str
        What tables and figures call it.
    workload : str
        Name of the network.
    network : NetworkEvaluation
        The network on the chip, with the layers of all others.
    costs : UncertainNetwork
        Its costs with their uncertainties.
    """

    label: str
    workload: str
    network: NetworkEvaluation
    costs: UncertainNetwork


def energy_shares(energy_pj: dict[str, float]) -> dict[str, float]:
    """Return the shares of the energy of a chip by group of components; unknown components are their own."""
    whole = math.fsum(energy_pj.values())
    found: dict[str, float] = {}
    for name, energy in energy_pj.items():
        group = GROUPS.get(name, name)
        found[group] = found.get(group, 0.0) + ratio(energy, whole)
    return {group: found[group] for group in dict.fromkeys((*GROUPS.values(), *found)) if group in found}


def comparison_document(chips: Sequence[ComparedChip]) -> dict[str, Any]:
    """Return all numbers of the comparison; the first chip is the baseline of the quotients."""
    return {
        "baseline": chips[0].label,
        "chips": {chip.label: _chip(chip, chips[0]) for chip in chips},
    }


def _chip(chip: ComparedChip, baseline: ComparedChip) -> dict[str, Any]:
    network, base = chip.network, baseline.network
    return {
        "chip": network.chip.name,
        "workload": chip.workload,
        "totals": totals(network),
        "speedup": network.inferences_per_s / base.inferences_per_s,
        "energy_gain": ratio(base.chip_pj, network.chip_pj),
        "error_bars": {name: bar._asdict() for name, bar in error_bars(chip, baseline).items()},
        "energy_shares": energy_shares(network.energy_pj),
        "layers": [_layer(chip, i, baseline) for i in range(len(network.layers))],
    }


def _layer(chip: ComparedChip, number: int, baseline: ComparedChip) -> dict[str, Any]:
    found, base = chip.network.layers[number], baseline.network.layers[number]
    return {
        "layer": found.layer.name,
        "cycles": found.cycles,
        "limit": limit_of(found),
        "time_share": found.cycles / chip.network.cycles,
        "speedup": speedup(chip, number, baseline),
        "chip_pj": found.chip_pj,
        "energy_share": ratio(found.chip_pj, chip.network.chip_pj),
        "energy_gain": ratio(base.chip_pj, found.chip_pj),
        "energy_shares": energy_shares(found.energy_pj),
    }


def speedup(chip: ComparedChip, number: int, baseline: ComparedChip) -> float:
    """Return how many times as fast as on the baseline a layer is."""
    clocks = chip.network.chip.spec.clock_mhz / baseline.network.chip.spec.clock_mhz
    return clocks * baseline.network.layers[number].cycles / chip.network.layers[number].cycles


def error_bars(chip: ComparedChip, baseline: ComparedChip) -> dict[str, ErrorBar]:
    """Return the error bars of speed-up and energy gain; the baseline has none."""
    if chip is baseline:
        return {}
    clocks = chip.network.chip.spec.clock_mhz / baseline.network.chip.spec.clock_mhz
    return {
        "speedup": error_bar(lambda base, own: clocks * base.cycles / own.cycles, baseline.costs, chip.costs),
        "energy_gain": error_bar(
            lambda base, own: ratio(base.chip_pj, own.chip_pj), baseline.costs, chip.costs
        ),
    }


def comparison_lines(chips: Sequence[ComparedChip]) -> list[tuple[str, str]]:
    """Return (name, text) of the totals of each further chip with their error bars."""
    return [
        (chip.label, f"{bars['speedup'].value:.3g} x as fast {shown_bar(bars['speedup'])}, "
         f"{bars['energy_gain'].value:.3g} x less energy {shown_bar(bars['energy_gain'])}")
        for chip in chips[1:]
        for bars in [error_bars(chip, chips[0])]
    ]  # fmt: skip


def comparison_tables(chips: Sequence[ComparedChip]) -> list[Table]:
    """Return the tables of speed, of energy, and of the shares of both."""
    found = comparison_document(chips)
    base = found["baseline"]
    return [
        _quotients(found, "cycles", "speedup", "{:,}", f"cycles, and speed relative to {base}"),
        _quotients(found, "chip_pj", "energy_gain", "{:,.3f}", f"uJ of the chip, and times less than {base}"),
        _time_shares(found),
        _component_shares(chips),
    ]


def _quotients(found: dict[str, Any], key: str, quotient: str, form: str, title: str) -> Table:
    """A table of a quantity on all chips, and of its quotients on all but the first one."""
    chips = found["chips"]
    scale = 1e-6 if key.endswith("_pj") else 1

    def cells(numbers: Sequence[float], quotients: Sequence[float]) -> list[str]:
        return [*(form.format(number * scale) for number in numbers), *(f"{x:.2f}" for x in quotients[1:])]

    rows = []
    for layers in zip(*(chip["layers"] for chip in chips.values()), strict=True):
        numbers, quotients = ([layer[name] for layer in layers] for name in (key, quotient))
        rows.append((layers[0]["layer"], *cells(numbers, quotients)))
    sums = [chip["totals"][key] for chip in chips.values()]
    total = ("total", *cells(sums, [chip[quotient] for chip in chips.values()]))
    head = ("layer", *chips, *(f"{label}, x" for label in list(chips)[1:]))
    return Table(head, rows, title=title, total=total)


def _time_shares(found: dict[str, Any]) -> Table:
    chips = list(found["chips"].values())
    rows = [
        (
            layer["layer"],
            *(f"{chip['layers'][i]['time_share']:.1%}" for chip in chips),
            *(chip["layers"][i]["limit"] for chip in chips),
        )
        for i, layer in enumerate(chips[0]["layers"])
    ]
    title = "share of the time of the network, and what limits the layer"
    limits = (f"{label} limit" for label in found["chips"])
    return Table(("layer", *found["chips"], *limits), rows, title=title)


def _component_shares(chips: Sequence[ComparedChip]) -> Table:
    shares = [energy_shares(chip.network.energy_pj) for chip in chips]
    groups = dict.fromkeys(group for each in shares for group in each)
    rows = [(group, *(f"{each.get(group, 0.0):.1%}" for each in shares)) for group in groups]
    title = "share of the energy of the chip by component"
    return Table(("component", *(chip.label for chip in chips)), rows, title=title)


def comparison_rows(chips: Sequence[ComparedChip]) -> list[dict[str, Any]]:
    """Return a row for each layer on each chip, as in `chip.comparison.csv`."""
    return [
        {"chip": label}
        | {key: value for key, value in layer.items() if key != "energy_shares"}
        | {f"share {group}": share for group, share in layer["energy_shares"].items()}
        for label, chip in comparison_document(chips)["chips"].items()
        for layer in chip["layers"]
    ]
