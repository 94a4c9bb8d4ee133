"""NetAdapt (Yang et al. 2018, algorithm 1) for single weights: layers pruned one at a time to an energy.

Costs come from a plan of `sparsim.hardware` instead of the measured tables of the paper.
"""

import copy
from collections.abc import Callable, Iterable
from typing import NamedTuple

from torch import nn

from gmp.energy.energy_monitor import EnergyMonitor
from gmp.errors import PruningError
from gmp.number_checks import fraction, returned
from gmp.pruner import one_shot
from gmp.targets import PRUNABLE, Matcher, Target, select
from sparsim.hardware import Reals

SMALLEST = 1e-4  # share of the energy at the start; less is not progress


class Adaptation(NamedTuple):
    """One iteration of `netadapt`.

    Parameters
    ----------
    name : str
        Name of the weight that was pruned.
    density : float
        Fraction of this weight that is left.
    loss : float
        Loss of the model after pruning and tuning.
    energy_pj : float
        Energy of the network in pJ after the iteration.
    """

    name: str
    density: float
    loss: float
    energy_pj: float


def netadapt(
    model: nn.Module,
    monitor: EnergyMonitor,
    loss: Callable[[nn.Module], float],
    *,
    tune: Callable[[nn.Module], object] = lambda model: None,
    first: float = 0.05,
    decay: float = 0.98,
    targets: Matcher | Iterable[Matcher] = PRUNABLE,
    ignore: Matcher | Iterable[Matcher] = (),
) -> list[Adaptation]:
    """Prune layers one at a time until the energy target of a monitor is met.

    Parameters
    ----------
    model : nn.Module
        Model to prune in place.
    monitor : EnergyMonitor
        Monitor of this model, with `target_energy_pj` and without a pruner. It is updated after every
        iteration.
    loss : callable
        Called as ``loss(model)`` with each candidate. Returns its loss on data that are held back from
        training and test, computed in evaluation mode; lower is better.
    tune : callable, default lambda model: None
        Called as ``tune(model)`` with each candidate before its loss is computed. It trains the candidate for
        some steps, with ``Pruner(model, optimizer)`` and `Pruner.apply` after each step to keep the zeros, or
        at least measures the statistics of batch norms again.
    first : float, default 0.05
        Fraction of the energy at the start that the first iteration has to save, above 0 and up to 1.
    decay : float, default 0.98
        Factor from the saving of one iteration to that of the next, above 0 and up to 1.
    targets : type, str, callable, or iterable of these, default PRUNABLE
        Weights that are pruned, as `gmp.select` matches them.
    ignore : type, str, callable, or iterable of these, default ()
        Weights that are not pruned, likewise.

    Returns
    -------
    list of Adaptation
        The iterations, in their order.

    Raises
    ------
    PruningError
        If options do not fit, if a loss is not finite, or if no weight alone can save more energy.

    Notes
    -----
    This is NetAdapt (Yang et al. 2018, algorithm 1) for single weights in place of channels. Iteration i has
    to save first * decay^i of the energy at the start, and half of that if no weight alone can. For each
    weight in turn a copy of the model is made in which only this weight is pruned, by magnitude, as far as
    the saving needs; the copy is tuned, and the one with the lowest loss is kept. Zeros count as pruned.
    Afterwards the model can be trained on with a new `Pruner`.
    """
    goal, first, decay = _goal(monitor), _positive(first, "first"), _positive(decay, "decay")
    weights = select(model, targets, ignore)
    now = monitor.update().energy_pj
    step, least = first * now, SMALLEST * now
    done: list[Adaptation] = []
    while now > goal:
        best = _best(model, monitor, weights, max(goal, now - step), loss, tune)
        if best is None:
            step /= 2
            if step < least:
                raise PruningError(f"pruning no single weight tensor lowers the energy of {now:.4g} pJ")
            continue
        model.load_state_dict(best.model.state_dict())
        energy = monitor.update().energy_pj
        if not energy < now:
            raise PruningError(
                f"pruning '{best.name}' left the energy at {energy:.4g} pJ; does tune revive weights?"
            )
        now, step = energy, decay * step
        done.append(Adaptation(best.name, best.density, best.loss, now))
    return done


class _Candidate(NamedTuple):
    name: str
    density: float
    loss: float
    model: nn.Module


def _best(
    model: nn.Module, monitor: EnergyMonitor, weights: Iterable[Target], budget: float,
    loss: Callable[[nn.Module], float], tune: Callable[[nn.Module], object],
) -> _Candidate | None:  # fmt: skip
    """Return the best of the copies in which one weight is pruned to the budget; None if no copy meets it."""
    best: _Candidate | None = None
    for target in weights:
        name, size, kept = target.name, target.weight.numel(), _kept(monitor, target, budget)
        if kept is None:
            continue
        candidate = copy.deepcopy(model)
        one_shot(candidate, 1 - kept / size, targets=name)
        tune(candidate)
        value = returned(loss(candidate), f"the loss after pruning '{name}' further")
        found = _Candidate(name, kept / size, value, candidate)
        if best is None or found.loss < best.loss:
            best = found
    return best


def _kept(monitor: EnergyMonitor, target: Target, budget: float) -> int | None:
    """How many of its nonzeros a parameter may keep for the network's energy to be within `budget`; None
    if pruning it is not enough.

    One stays in any case: a layer without any would cut the network in two.
    """
    now, layers = monitor.densities, [i for i, _ in monitor.uses(target.name, target.weight)]
    nonzeros = int(target.weight.count_nonzero())

    def meets(kept: int) -> bool:
        return _energy(monitor, now, layers, kept / nonzeros) <= budget

    low, high = 1, nonzeros  # the first number meets the budget, the second one does not
    if nonzeros < 2 or not meets(low):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if meets(middle) else (low, middle)
    return low


def _energy(monitor: EnergyMonitor, now: Reals, layers: list[int], share: float) -> float:
    densities = now.copy()
    densities[layers, 0] *= share
    return float(monitor.plan(densities).energy_pj.sum())


def _goal(monitor: EnergyMonitor) -> float:
    if monitor.pruner is not None:
        raise PruningError("netadapt needs a monitor without a pruner; it prunes the weights itself")
    if monitor.target_energy_pj is None:
        raise PruningError("the monitor needs a target_energy_pj")
    return monitor.target_energy_pj


def _positive(value: float, what: str) -> float:
    if fraction(value, what) == 0:
        raise PruningError(f"{what} must be greater than 0, got 0")
    return float(value)
