"""Construction of the pruning of a run, and of the monitor of its costs on hardware."""

from collections.abc import Callable, Iterable

import numpy as np
import torch

import gmp
from gmp.channels import ChannelGroups, ChannelPenalty
from gmp.energy import BudgetSchedule, EnergyMonitor, EnergyScore
from gmp.targets import PRUNABLE
from pointnet.classifiers import Classifier
from pointnet.data import Clouds
from pointnet.device_names import device_of
from pointnet.errors import ConfigError
from pointnet.model import PointNet2
from pointnet.trace_clouds import RUN_BATCH
from pointnet.training.settings import Pruning, Settings
from sparsim.hardware.layer_costs import PJ_PER_UJ

EXAMPLE = 64  # clouds on which zeros of activations are counted

Running = gmp.Schedule | gmp.RunningRecipe | BudgetSchedule


def monitor_of(
    settings: Settings, model: Classifier, clouds: Clouds, planned: Callable[[str], object] | None = None
) -> EnergyMonitor | None:
    """Make the monitor of the costs of one cloud on the hardware in the settings.

    Parameters
    ----------
    settings : Settings
        Settings of a run.
    model : Classifier
        Network to monitor.
    clouds : Clouds
        Training clouds; zeros of activations are counted on up to 64 of them, drawn with the seed of the
        settings.
    planned : callable, default None
        Called with the name of each layer whose mappings are planned.

    Returns
    -------
    EnergyMonitor or None
        The monitor with the targets of the settings, or None if they name no hardware.

    Notes
    -----
    Raises what `gmp.energy.EnergyMonitor` raises.
    """
    if settings.hardware is None:
        return None
    count = min(EXAMPLE, len(clouds))
    chosen = np.sort(np.random.default_rng(settings.seed).choice(len(clouds), count, replace=False))
    example = torch.from_numpy(clouds.points[chosen, : model.config.points]).to(device_of(model))
    plan = settings.pruning
    energy_uj, cycles = (None, None) if plan is None else (plan.target_energy_uj, plan.target_cycles)
    return EnergyMonitor(
        model, settings.hardware, torch.split(example, RUN_BATCH), progress=planned, target_cycles=cycles,
        target_energy_pj=None if energy_uj is None else energy_uj * PJ_PER_UJ,
    )  # fmt: skip


def pruning_of(
    settings: Settings,
    model: Classifier,
    optimizer: torch.optim.Optimizer,
    steps_per_epoch: int,
    monitor: EnergyMonitor | None,
) -> Running | None:
    """Make the pruning that the settings describe.

    Parameters
    ----------
    settings : Settings
        Settings of a run.
    model : Classifier
        Network to prune.
    optimizer : torch.optim.Optimizer
        Optimizer of the network, whose steps are counted.
    steps_per_epoch : int
        Training steps in an epoch.
    monitor : EnergyMonitor or None
        Monitor of the network, which counts the masks of the pruning from now on.

    Returns
    -------
    Schedule or RunningRecipe or BudgetSchedule or None
        The object to call after every training step, or None if the settings prune nothing and the network
        does not start with zeros.

    Raises
    ------
    ConfigError
        If a recipe needs more epochs than the run has, or if channels of a network other than PointNet++ are
        to be pruned.
    """
    if settings.recipe is not None:
        recipe = gmp.load_recipe(settings.recipe)
        if recipe.epochs > settings.epochs:
            raise ConfigError(
                f"{settings.recipe}: needs {recipe.epochs:g} epochs, but the run has {settings.epochs}"
            )
        running = recipe.attach(model, optimizer, steps_per_epoch=steps_per_epoch)
        if monitor is not None:
            monitor.pruner = running
        return running
    plan = settings.pruning
    if plan is None:
        return None if settings.start is None else _kept_zeros(model, optimizer, monitor)
    if plan.of_channels:
        pruner: gmp.Pruner = _channel_pruner(plan, model, optimizer)
        return _scheduled(plan, pruner, steps_per_epoch, monitor)
    score: str | EnergyScore = plan.score
    if monitor is not None and plan.alpha:
        score = EnergyScore(monitor, plan.score, alpha=plan.alpha)
    pruner = gmp.Pruner(
        model, optimizer, ignore=plan.ignore, scope=plan.scope, score=score, pattern=plan.pattern,
        min_density=plan.min_density,
    )  # fmt: skip
    return _scheduled(plan, pruner, steps_per_epoch, monitor)


def _kept_zeros(
    model: Classifier, optimizer: torch.optim.Optimizer, monitor: EnergyMonitor | None
) -> gmp.Schedule | None:
    """Keep the zeros of a network that was pruned before; None if its weights have none."""
    if all(bool(target.weight.all()) for target in gmp.select(model, PRUNABLE)):
        return None
    pruner = gmp.Pruner(model, optimizer)
    if monitor is not None:
        monitor.pruner = pruner
    return gmp.ConstantSchedule(pruner, final=pruner.sparsity, unit="step")


def _channel_pruner(plan: Pruning, model: Classifier, optimizer: torch.optim.Optimizer) -> gmp.ChannelPruner:
    groups = channel_groups_of(model, plan.ignore)
    score = "l2" if plan.score == "magnitude" else plan.score
    scope = "group" if plan.scope == "layer" else "global"
    return gmp.ChannelPruner(model, groups, optimizer, score=score, scope=scope)


def channel_groups_of(model: Classifier, ignore: Iterable[str] = ()) -> ChannelGroups:
    """Find the channels of PointNet++ that can be removed together, with a random cloud.

    Parameters
    ----------
    model : Classifier
        Network to examine.
    ignore : iterable of str, default ()
        Patterns of layer names whose channels are kept, as for `gmp.channel_groups`.

    Returns
    -------
    ChannelGroups
        The groups of channels.

    Raises
    ------
    ConfigError
        If the network is not PointNet++.
    """
    if not isinstance(model, PointNet2):
        raise ConfigError(f"channels of {type(model).__name__} cannot be removed, only those of PointNet++")
    noise = torch.rand(
        1, model.config.points, model.config.channels, generator=torch.Generator().manual_seed(0)
    )
    return gmp.channel_groups(model, noise.to(device_of(model)), ignore=ignore)


def penalty_of(
    settings: Settings, pruning: Running | None, optimizer: torch.optim.Optimizer, steps_per_epoch: int
) -> ChannelPenalty | None:
    """Make the penalty that drives the scales of pruned channels to zero.

    Parameters
    ----------
    settings : Settings
        Settings of a run.
    pruning : Schedule or RunningRecipe or BudgetSchedule or None
        Pruning of the run, from `pruning_of`.
    optimizer : torch.optim.Optimizer
        Optimizer of the network.
    steps_per_epoch : int
        Training steps in an epoch.

    Returns
    -------
    ChannelPenalty or None
        The penalty, which ends with the pruning, or None if the settings have none.
    """
    plan = settings.pruning
    if plan is None or not plan.penalty or not isinstance(pruning, gmp.Schedule):
        return None
    pruner = pruning.pruner
    assert isinstance(pruner, gmp.ChannelPruner)
    steps = max(1, round(plan.end * steps_per_epoch))
    return ChannelPenalty(pruner.model, pruner.groups, optimizer, plan.penalty, steps=steps)


def _scheduled(
    plan: Pruning, pruner: gmp.Pruner, steps_per_epoch: int, monitor: EnergyMonitor | None
) -> gmp.Schedule | BudgetSchedule:
    schedule = gmp.CubicSchedule(
        pruner, initial=plan.initial, final=plan.sparsity, begin=plan.begin, end=plan.end, every=plan.every,
        unit="epoch", steps_per_epoch=steps_per_epoch,
    )  # fmt: skip
    if monitor is None:
        return schedule
    monitor.pruner = pruner
    return BudgetSchedule(schedule, monitor) if plan.has_target else schedule
