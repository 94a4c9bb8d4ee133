"""A score that includes the cost of a weight, for energy-aware pruning in one pool of all layers."""

import numpy as np
import torch
from torch import Tensor

from gmp.energy.energy_monitor import EnergyMonitor
from gmp.errors import PruningError
from gmp.number_checks import at_least_zero
from gmp.scores import Movement, Score, score_of, wide
from sparsim.errors import near
from sparsim.records import OBJECTIVES, ObjectiveName, objective_value

# Least price, as a share of the mean. Costs have flat regions, and a price of 0 would mean "never prune".
FLOOR = 1e-3


class EnergyScore:
    """Score that divides the score of a weight by a power of the cost that pruning it saves.

    Parameters
    ----------
    monitor : EnergyMonitor
        Monitor of the pruner's model. Without a pruner of its own it counts zeros of the weights.
    base : str or callable, default "lamp"
        Name of a score of `gmp.scores` other than "movement", or a function. Its values have to be comparable
        between layers: "lamp" gives the largest weight of each layer the score 1, whereas "magnitude" lets
        expensive layers with small weights lose all of them.
    alpha : float, default 0.5
        Power of the cost, not below 0. 0 gives the base score.
    objective : str, default "energy"
        Cost that is saved: "energy", "delay" (cycles) or "edp" of the network.

    Attributes
    ----------
    monitor : EnergyMonitor
        The monitor.
    base : callable
        The base score.
    alpha : float
        The power.
    objective : str
        The cost.

    Raises
    ------
    PruningError
        If an option is invalid.

    Notes
    -----
    The score is base / m^alpha, where m is the cost that the hardware saves per weight that is pruned: the
    derivative of the cost with respect to the density of the layer, over the number of its weights, at the
    densities that the monitor sees when masks change. For weights that a chip still stores uncompressed, m is
    what they save once they are compressed (`Plan.savings`).

    To choose the weights that save a given cost with the smallest sum of scores is a knapsack problem. Taking
    the lowest base / m first solves it up to the last weight (Dantzig 1957); that is alpha = 1. The default
    1/2 lies between this and the base score (docs/results/energy-pruning.md). Yang et al. 2017, section 4,
    also prune by energy, but whole layers in the order of their energies.

    The score is meant for the scope "global", since m is the same for all weights of a layer.
    """

    def __init__(
        self,
        monitor: EnergyMonitor,
        base: str | Score = "lamp",
        *,
        alpha: float = 0.5,
        objective: ObjectiveName = "energy",
    ) -> None:
        if objective not in OBJECTIVES:
            raise PruningError(f"unknown objective {objective!r} ({near(str(objective), OBJECTIVES)})")
        self.monitor, self.base = monitor, score_of(base)
        if isinstance(self.base, Movement):
            raise PruningError("the score 'movement' can be negative and cannot be weighed against a cost")
        self.alpha, self.objective = at_least_zero(alpha, "alpha"), objective

    takes_parameters = True  # names in the monitor's model may differ from those in the pruner's

    def __call__(self, name: str, weight: Tensor, grad: Tensor | None) -> Tensor:
        """Return the scores of a weight.

        Parameters
        ----------
        name : str
            Name of the weight.
        weight : Tensor
            The parameter.
        grad : Tensor or None
            Its gradient, which only some base scores need.

        Returns
        -------
        Tensor
            Scores, of the shape of `weight`.

        Raises
        ------
        PruningError
            As `prices` and the base score do.
        """
        return self.base(name, wide(weight), grad) / self.prices(name, weight) ** self.alpha

    def prices(self, name: str, weight: Tensor) -> Tensor:
        """Return the cost that each weight of a parameter saves, relative to the mean of the network.

        Parameters
        ----------
        name : str
            Name of the parameter, which identifies it if `weight` is of a copy of the monitor's model.
        weight : Tensor
            Parameter of the monitor's model, or of a copy of it.

        Returns
        -------
        Tensor
            m over the mean m of the network, at least 0.001, of the shape of `weight`. A parameter that
            several layers use has the sum of its costs in these layers.

        Raises
        ------
        PruningError
            If no layer of the monitor uses the parameter, or if zeros of weights save nothing on the
            hardware.
        """
        slopes, sizes = self._slopes(), torch.tensor(self.monitor.sizes)
        mean = float(slopes[sizes > 0].sum() / sizes.sum())
        if not mean > 0:
            raise PruningError(
                f"zero weights save no {self.objective} on {self.monitor.plan.hardware.name}; "
                "choose another score"
            )
        found = torch.zeros_like(wide(weight))
        for i, view in self.monitor.uses(name, weight):
            price = float(slopes[i] / sizes[i]) / mean
            if len(view.steps) < 2:
                view.of(found).add_(price)
            else:  # the view is of a copy
                places = view.positions(found)
                span = found.as_strided((int(places.max()) + 1,), (1,), 0)
                span.index_add_(
                    0, places, torch.full(places.shape, price, dtype=found.dtype, device=found.device)
                )
        return found.clamp_min(FLOOR)

    def _slopes(self) -> Tensor:
        """Return the derivatives of the cost by the weight density of each layer, (layers,)."""
        densities = self.monitor.densities
        totals = torch.tensor([each.sum() for each in self.monitor.plan(densities)], requires_grad=True)
        with torch.enable_grad():  # the pruner calls without gradients
            (by_total,) = torch.autograd.grad(objective_value(self.objective, *totals.unbind()), totals)
        savings = torch.tensor(np.stack([each[:, 0] for each in self.monitor.plan.savings(densities)]))
        return by_total @ savings
