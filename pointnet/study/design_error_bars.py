"""Error bars of the costs on chips, and of what pruning saves there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pointnet.study.design_costs import BOTH, CHIPS, DENSE
from sparsim.hardware import NetworkCost
from sparsim.hardware.layer_costs import PJ_PER_UJ
from sparsim.machines.eyeriss import load_chip
from sparsim.machines.eyeriss.error_bars import ErrorBar, Totals, error_bar, uncertain_layers


class DesignBars(NamedTuple):
    """Error bars of one design.

    Attributes
    ----------
    energy_uj, cycles : dict of str to ErrorBar
        By variant: energy in uJ with DRAM, and cycles.
    saved : dict of str to ErrorBar
        Shares of "energy" and "cycles" that pruning saves; uncertainties that both networks share cancel.
    """

    energy_uj: dict[str, ErrorBar]
    cycles: dict[str, ErrorBar]
    saved: dict[str, ErrorBar]


def design_error_bars(design: str, costs: Mapping[str, NetworkCost]) -> DesignBars | None:
    """Return the error bars of a design from its costs by variant; None for designs that are no chips."""
    if design not in CHIPS:
        return None
    chip = load_chip(CHIPS[design])
    found = {
        variant: uncertain_layers(chip, [(layer.cycles, layer.energy_pj) for layer in cost.layers])
        for variant, cost in costs.items()
    }
    dense, both = found[DENSE], found[BOTH]
    return DesignBars(
        {variant: error_bar(_energy_uj, network) for variant, network in found.items()},
        {variant: error_bar(_cycles, network) for variant, network in found.items()},
        {
            "energy": error_bar(lambda a, b: 1 - _energy_uj(b) / _energy_uj(a), dense, both),
            "cycles": error_bar(lambda a, b: 1 - b.cycles / a.cycles, dense, both),
        },
    )


def _energy_uj(total: Totals) -> float:
    return (total.chip_pj + total.dram_pj) / PJ_PER_UJ


def _cycles(total: Totals) -> float:
    return total.cycles
