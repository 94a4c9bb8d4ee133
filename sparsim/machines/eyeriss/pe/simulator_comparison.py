"""Comparison of the analytic model with the twin, on the masks of a real layer, for the error of an
estimate.
"""

from typing import Any, NamedTuple

import numpy as np

from sparsim.machines.eyeriss.pe.conv_tiling import Conv, Tiling
from sparsim.machines.eyeriss.pe.csc import Bools
from sparsim.machines.eyeriss.pe.cycle_simulator import ArrayRun, run_array
from sparsim.machines.eyeriss.pe.pe_estimate import PEEstimate, estimate
from sparsim.records.pe_spec import SparsePE


class Comparison(NamedTuple):
    """An estimate from the densities of masks, and the simulation of the masks."""

    analytic: PEEstimate
    actual: ArrayRun

    @property
    def error(self) -> float:
        """Relative error of the cycles: analytic / actual - 1."""
        return _error(self.analytic.cycles, self.actual.cycles)

    @property
    def balance_error(self) -> float:
        return _error(self.analytic.load_balance, self.actual.load_balance)


def _error(estimated: Any, actual: float) -> float:
    if actual == 0:
        return 0.0 if estimated == 0 else float("inf")
    return float(estimated / actual - 1.0)


def compare(
    pe: SparsePE, conv: Conv, tiling: Tiling, iacts: Bools, weights: Bools, *, limited: bool = True
) -> Comparison:
    """Run both models of a layer with these masks; errors and shapes are those of `run_array`."""
    actual = run_array(pe, conv, tiling, iacts, weights, limited=limited)
    iact_density, weight_density = (float(np.mean(np.asarray(x) != 0)) for x in (iacts, weights))
    return Comparison(estimate(pe, conv, tiling, iact_density, weight_density), actual)
