"""Costs of a network as a function of the sparsity of each weight, with everything else unchanged."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from gmp.energy.energy_monitor import WEIGHTS, EnergyMonitor
from gmp.energy.monitor_readings import knows_energy
from gmp.errors import PruningError
from gmp.example_batches import Forward, batches_of
from gmp.number_checks import fraction
from gmp.parameter_names import matched, named_parameters
from gmp.tracing.trace import trace
from sparsim.errors import near
from sparsim.hardware import Hardware, Plan, Reals
from sparsim.records import Accelerator

QUANTITIES = ("weights", "macs", "energy", "cycles")


class WeightCosts:
    """Costs of a network for any sparsity of each of its weights.

    Parameters
    ----------
    model : nn.Module
        The network, which is not changed.
    example : Tensor, tuple, mapping, or iterable of these, optional
        One batch or several, on which MACs and densities of activations are measured; without it only
        weights are counted.
    hardware : str or Path or Accelerator or Hardware or Plan, optional
        Hardware for "energy" and "cycles", as `EnergyMonitor` takes it.
    forward : callable, optional
        Called as ``forward(model, batch)`` in place of the model.
    **options
        Further options of `EnergyMonitor`.

    Attributes
    ----------
    quantities : tuple of str
        What is known: "weights"; with an example "macs"; with hardware "energy" (pJ), if any
        is known of it, and "cycles".

    Raises
    ------
    PruningError
        If hardware is given without an example, or options without hardware.

    Notes
    -----
    The costs of a layer depend on its own densities only, so that those of the network are sums over its
    layers. Activations keep the densities that were measured. MACs count products with a nonzero weight.

    Examples
    --------
    >>> import torch
    >>> from gmp.energy import WeightCosts
    >>> costs = WeightCosts(torch.nn.Linear(8, 4), torch.randn(2, 8))
    >>> costs.total("macs", {"weight": 0.5})
    16.0
    """

    def __init__(
        self,
        model: nn.Module,
        example: Any = None,
        hardware: str | Path | Accelerator | Hardware | Plan | None = None,
        *,
        forward: Forward | None = None,
        **options: Any,
    ) -> None:
        if example is None and hardware is not None:
            raise PruningError("costs on hardware need an example, on which activations are measured")
        if hardware is None and options:
            raise PruningError(f"{', '.join(options)}: not used without hardware")
        parameters = named_parameters(model)
        self._sizes = {name: weight.numel() for name, weight in parameters.items()}
        self._macs: dict[str, float] = {}
        self._fixed_macs = 0.0
        self._plan: Plan | None = None
        self.quantities: tuple[str, ...] = QUANTITIES[:1]
        if example is not None:
            self.quantities = QUANTITIES[:2]
            self._trace(model, batches_of(model, example), forward)
        if hardware is not None:
            self.quantities = QUANTITIES
            monitor = EnergyMonitor(model, hardware, example, forward=forward, **options)
            self._plan, self._densities = monitor.plan, monitor.densities
            if not knows_energy(self._plan):
                self.quantities = tuple(each for each in QUANTITIES if each != "energy")
            self._layers = {
                name: layers
                for name, weight in parameters.items()
                if (layers := _layers(monitor, name, weight))
            }

    def total(self, quantity: str, sparsities: Mapping[str, float]) -> float:
        """Compute what the network costs.

        Parameters
        ----------
        quantity : {"weights", "macs", "energy", "cycles"}
            What is counted. "weights" are those of the weights that are named.
        sparsities : mapping of str to float
            Fraction of zeros of weights by name. Other weights stay as they are.

        Returns
        -------
        float
            Weights, MACs of a sample, pJ or cycles.

        Raises
        ------
        PruningError
            If the quantity or a name is unknown, or a fraction is outside of 0 to 1.
        """
        self._check(quantity)
        given = self._named(sparsities)
        if quantity == "weights":
            return float(sum(weights_left(self._sizes[name], s) for name, s in given.items()))
        if quantity == "macs":
            kept = {name: 1.0 - given.get(name, 0.0) for name in self._macs}
            return self._fixed_macs + sum(macs * kept[name] for name, macs in self._macs.items())
        return float(self._plan_costs(quantity, given).sum())

    def levels(self, quantity: str, sparsities: Mapping[str, Sequence[float]]) -> dict[str, Reals]:
        """Compute what the layers of each weight cost at several sparsities.

        Parameters
        ----------
        quantity : {"weights", "macs", "energy", "cycles"}
            What is counted.
        sparsities : mapping of str to sequence of float
            Sparsities of each weight by name.

        Returns
        -------
        dict of str to array of float
            Cost of all layers that use the weight, at each of its sparsities.

        Raises
        ------
        PruningError
            As `total` does.
        """
        self._check(quantity)
        tables = {name: np.asarray(values, np.float64) for name, values in sparsities.items()}
        for name, values in tables.items():
            self._named({name: float(values.min())})
            self._named({name: float(values.max())})
        if quantity == "weights":
            return {name: weights_left(self._sizes[name], values) for name, values in tables.items()}
        if quantity == "macs":
            return {name: self._macs.get(name, 0.0) * (1 - values) for name, values in tables.items()}
        found: dict[str, list[float]] = {name: [] for name in tables}
        for i in range(max(map(len, tables.values()))):
            now = {name: float(values[min(i, len(values) - 1)]) for name, values in tables.items()}
            costs = self._plan_costs(quantity, now)
            for name, values in tables.items():
                if i < len(values):
                    found[name].append(float(sum(costs[k] for k in self._layers.get(name, ()))))
        return {name: np.array(values) for name, values in found.items()}

    def _trace(self, model: nn.Module, batches: list[Any], forward: Forward | None) -> None:
        for row in trace(model, batches, coverage=False, forward=forward).layers:
            name = None if row.view is None else matched(row.view.parameter, self._sizes)
            if name is None:
                self._fixed_macs += row.macs
            else:
                self._macs[name] = self._macs.get(name, 0.0) + row.macs

    def _plan_costs(self, quantity: str, sparsities: Mapping[str, float]) -> Reals:
        """The costs of each layer."""
        assert self._plan is not None
        densities = self._densities.copy()
        for name, sparsity in sparsities.items():
            densities[self._layers.get(name, []), WEIGHTS] = 1.0 - sparsity
        costs = self._plan(densities)
        return costs.energy_pj if quantity == "energy" else costs.cycles

    def _check(self, quantity: str) -> None:
        if quantity not in QUANTITIES:
            raise PruningError(f"unknown cost {quantity!r}", hint=near(str(quantity), QUANTITIES))
        if quantity not in self.quantities:
            needed = "an example" if quantity == "macs" else "hardware"
            if quantity == "energy" and self._plan is not None:
                raise PruningError("no energy of the hardware is known; its cost is 'cycles'")
            raise PruningError(f"the cost '{quantity}' needs {needed}, which was not given")

    def _named(self, sparsities: Mapping[str, float]) -> dict[str, float]:
        found = {}
        for name, sparsity in sparsities.items():
            if name not in self._sizes:
                raise PruningError(f"the model has no weight '{name}'", hint=near(name, self._sizes))
            found[name] = fraction(sparsity, f"the sparsity of '{name}'")
        return found


def weights_left(size: int, sparsity: float | Reals) -> Reals:
    """Return how many weights a sparsity leaves, as whole numbers, whose sums are exact."""
    return np.asarray(size - np.round(size * np.asarray(sparsity)))


def _layers(monitor: EnergyMonitor, name: str, weight: nn.Parameter) -> list[int]:
    try:
        return [i for i, _ in monitor.uses(name, weight)]
    except PruningError:  # no layer uses it
        return []
