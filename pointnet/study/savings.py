"""Savings by zeros, attributed to weights, to activations, and to both at once."""

from collections.abc import Mapping
from typing import NamedTuple

from pointnet.study.design_costs import ACTIVATIONS, BOTH, DENSE, PLAIN, VARIANTS, WEIGHTS
from sparsim.hardware import NetworkCost

TOTAL = "all layers"


class Saved(NamedTuple):
    """Fractions of the energy or cycles of the variants they are measured against.

    Against the honest dense baseline: `total` = `weights` + `activations`. `activations` is what other
    activations change while weights are counted as dense, `weights` what the zeros of the weights take off
    after that. Against no zeros at all: alone, and what both together save beyond the sum of the two (less
    than zero where they save the same thing twice).
    """

    total: float
    weights: float
    activations: float
    plain_total: float
    plain_weights: float
    plain_activations: float
    plain_together: float


def saved(values: Mapping[str, float]) -> Saved:
    """The savings, from the values (energy or cycles, above zero) of the five variants."""
    base, plain = values[DENSE], values[PLAIN]
    alone = {name: 1 - values[name] / plain for name in (WEIGHTS, ACTIVATIONS, BOTH)}
    return Saved(
        total=1 - values[BOTH] / base,
        weights=(values[ACTIVATIONS] - values[BOTH]) / base,
        activations=1 - values[ACTIVATIONS] / base,
        plain_total=alone[BOTH],
        plain_weights=alone[WEIGHTS],
        plain_activations=alone[ACTIVATIONS],
        plain_together=alone[BOTH] - alone[WEIGHTS] - alone[ACTIVATIONS],
    )


def savings(costs: Mapping[str, NetworkCost]) -> dict[str, dict[str, Saved]]:
    """The savings of one design, by quantity ("energy", "cycles"), by layer and in total."""
    names = [layer.layer for layer in costs[BOTH].layers]
    energy = {TOTAL: saved({v: costs[v].energy_uj for v in VARIANTS})}
    cycles = {TOTAL: saved({v: costs[v].cycles for v in VARIANTS})}
    for i, name in enumerate(names):
        energy[name] = saved({v: costs[v].layers[i].total_pj for v in VARIANTS})
        cycles[name] = saved({v: costs[v].layers[i].cycles for v in VARIANTS})
    return {"energy": energy, "cycles": cycles}
