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
    """Scale an energy to another technology node, at an unchanged supply voltage.

    Parameters
    ----------
    energy_pj : float
        Energy at node `from_nm` in pJ.
    from_nm : float
        Technology node in nm, from 7 to 130.
    to_nm : float
        Technology node in nm, from 7 to 130.

    Returns
    -------
    float
        Energy at node `to_nm` in pJ.

    Raises
    ------
    SpecError
        If a node is outside of 7 to 130 nm.

    Notes
    -----
    The factor is the ratio of the energies that the polynomials `a2 V^2 + a1 V + a0` of Stillmaker and Baas
    (Integration 58, 2017) give for both nodes at V = 0.8 V. Between two nodes of the source the energies are
    interpolated linearly.

    Examples
    --------
    >>> from sparsim.estimate import scale_energy
    >>> round(scale_energy(1.0, from_nm=65, to_nm=16), 4)
    0.1399
    """
    _check(from_nm, to_nm)
    return energy_pj * (_relative_energy(to_nm) / _relative_energy(from_nm))


def scale_area(area_um2: float, from_nm: float, to_nm: float) -> float:
    """Scale an area to another technology node.

    Parameters
    ----------
    area_um2 : float
        Area at node `from_nm` in um^2.
    from_nm : float
        Technology node in nm, from 7 to 130.
    to_nm : float
        Technology node in nm, from 7 to 130.

    Returns
    -------
    float
        Area at node `to_nm` in um^2.

    Raises
    ------
    SpecError
        If a node is outside of 7 to 130 nm.

    Notes
    -----
    The factor is a ratio of the matrix of Stillmaker and Baas (Integration 58, 2017), which has two digits.
    From a node of the matrix to one between its nodes the ratio is interpolated linearly, and the way back is
    its reciprocal. Between two nodes that the matrix lacks the way leads over the next larger one that it
    has.

    Examples
    --------
    >>> from sparsim.estimate import scale_area
    >>> scale_area(100.0, from_nm=65, to_nm=45)
    66.0
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
            raise SpecError(f"node must be between {smallest:g} and {largest:g} nm, got {node:g}")


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
