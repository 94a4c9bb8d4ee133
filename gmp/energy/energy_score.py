"""A score that knows what a weight costs: energy-aware pruning in one pool of all layers."""

import numpy as np
import torch
from torch import Tensor

from gmp.energy.energy_monitor import EnergyMonitor
from gmp.errors import PruningError
from gmp.number_checks import at_least_zero
from gmp.scores import Movement, Score, score_of, wide
from sparsim.errors import near
from sparsim.records import OBJECTIVES, ObjectiveName, objective_value

# of the mean price: surfaces of costs have flat spots, and a price of 0 would mean "never prune"
FLOOR = 1e-3


class EnergyScore:
    """base / m^alpha, m the cost that the hardware saves without one more weight of the layer.

    m = d cost / d density / weights of the layer, at the densities that `monitor` sees when masks change; of
    weights that a chip still stores plainly, what they save once compressed (`Plan.savings`).
    Which weights go to save a given cost so that the sum of their scores is least is a knapsack problem;
    lowest base / m first solves it but for the last item (Dantzig 1957). That is alpha = 1; 0 is the base,
    and 1/2, the default, is between (docs/results/energy-pruning.md). Yang et al. 2017, section 4, also prune
    by energy, whole layers in the order of theirs.

    base : name of a score of `gmp.scores` other than "movement", or a function. Layers must be comparable: in
        "lamp" the largest weight of each has 1; by "magnitude" dear layers of small weights lose all
    objective : of what m is: "energy", "delay" (cycles) or "edp" of the network

    The monitor has to watch the pruner's model; without a pruner of its own it counts zeros. For the scope
    "global": within a layer m changes no order. Raises PruningError for options that cannot be; when masks
    change, for a weight of no layer of the monitor, and on hardware where zeros of weights save nothing.
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
            raise PruningError("the score 'movement' falls below 0 and cannot be set against a cost")
        self.alpha, self.objective = at_least_zero(alpha, "alpha"), objective

    takes_parameters = True  # names in the monitor's model may differ from those of the pruner

    def __call__(self, name: str, weight: Tensor, grad: Tensor | None) -> Tensor:
        return self.base(name, wide(weight), grad) / self.prices(name, weight) ** self.alpha

    def prices(self, name: str, weight: Tensor) -> Tensor:
        """m of each weight of the parameter over the network's mean m, at least 0.001, like `weight`.

        `weight` is a parameter of the monitor's model, or of a copy of it, where `name` tells which one. A
        parameter that several layers use costs what it costs in all of them.
        """
        slopes, sizes = self._slopes(), torch.tensor(self.monitor.sizes)
        mean = float(slopes[sizes > 0].sum() / sizes.sum())
        if not mean > 0:
            raise PruningError(
                f"on {self.monitor.plan.hardware.name} zeros of weights save no {self.objective}: "
                "prune by another score"
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
        """d cost / d weight density of each layer, (layers,)."""
        densities = self.monitor.densities
        totals = torch.tensor([each.sum() for each in self.monitor.plan(densities)], requires_grad=True)
        with torch.enable_grad():  # the pruner calls without
            (by_total,) = torch.autograd.grad(objective_value(self.objective, *totals.unbind()), totals)
        savings = torch.tensor(np.stack([each[:, 0] for each in self.monitor.plan.savings(densities)]))
        return by_total @ savings
