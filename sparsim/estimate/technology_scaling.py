"""Energy and area at another technology node, by one rule: Stillmaker and Baas, "Scaling equations for the
accurate prediction of CMOS device performance from 180 nm to 7 nm", Integration 58 (2017).

Energy goes with the published polynomials of the supply voltage, which stays at 0.8 V, and between two nodes
with their linear interpolation. Area goes with the published matrix of ratios (two digits). From a node of
the matrix to one between its nodes the ratio is interpolated linearly; the way back is its reciprocal;
between two that the matrix lacks the way leads over the next larger one that it has.
"""

import math

from sparsim.errors import SpecError
from sparsim.estimate import source_data as data

SUPPLY_V = 0.8
NAME = "Stillmaker and Baas 2017"


def scale_energy(energy_pj: float, from_nm: float, to_nm: float) -> float:
    """The energy [pJ] at node `to_nm` of what takes `energy_pj` at node `from_nm`, supply voltage unchanged.

    Raises SpecError for nodes outside 7 to 130 nm.
    """
    _check(from_nm, to_nm)
    return energy_pj * (_relative_energy(to_nm) / _relative_energy(from_nm))


def scale_area(area_um2: float, from_nm: float, to_nm: float) -> float:
    """The area [um2] at node `to_nm` of what takes `area_um2` at node `from_nm`.

    Raises SpecError for nodes outside 7 to 130 nm.
    """
    _check(from_nm, to_nm)
    ratios = data.area_ratios()
    if from_nm == to_nm:
        return area_um2
    if from_nm in ratios:
        return area_um2 * _interpolated(ratios[from_nm], to_nm)
    above = min(node for node in ratios if node > from_nm)
    return area_um2 / _interpolated(ratios[above], from_nm) * _interpolated(ratios[above], to_nm)


def _check(*nodes: float) -> None:
    smallest, largest = min(data.area_ratios()), max(data.area_ratios())
    for node in nodes:
        if not (smallest <= node <= largest and math.isfinite(node)):
            raise SpecError(f"node is {node:g} nm, allowed is {smallest:g} to {largest:g} nm")


def _relative_energy(node: float) -> float:
    return _interpolated(
        {n: a2 * SUPPLY_V**2 + a1 * SUPPLY_V + a0 for n, (a2, a1, a0) in data.energy_polynomials().items()},
        node,
    )


def _interpolated(values: dict[float, float], node: float) -> float:
    if node in values:
        return values[node]
    below, above = max(n for n in values if n < node), min(n for n in values if n > node)
    share = (node - below) / (above - below)
    return values[below] * (1.0 - share) + values[above] * share
