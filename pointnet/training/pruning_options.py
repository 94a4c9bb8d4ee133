"""How a run prunes, and what its network costs on hardware meanwhile."""

from collections.abc import Callable

import numpy as np
import torch

import gmp
from gmp.energy import BudgetSchedule, EnergyMonitor, EnergyScore
from pointnet.classifiers import Classifier
from pointnet.data import Clouds
from pointnet.device_names import device_of
from pointnet.errors import ConfigError
from pointnet.trace_clouds import RUN_BATCH
from pointnet.training.settings import Settings
from sparsim.hardware.layer_costs import PJ_PER_UJ

EXAMPLE = 64  # clouds on which zeros of activations are counted

Running = gmp.Schedule | gmp.RunningRecipe | BudgetSchedule


def monitor_of(
    settings: Settings, model: Classifier, clouds: Clouds, planned: Callable[[str], object] | None = None
) -> EnergyMonitor | None:
    """Of one cloud on the settings' hardware; None where they name none.

    `clouds` are those of the training, since pruning follows what is measured on them; `planned` is called
    with the name of each layer that has its mappings. Raises what `EnergyMonitor` raises.
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
    """What prunes after every step; None where nothing does. The monitor then counts its masks."""
    if settings.recipe is not None:
        recipe = gmp.load_recipe(settings.recipe)
        if recipe.epochs > settings.epochs:
            raise ConfigError(
                f"{settings.recipe}: needs {recipe.epochs:g} epochs, and the run has {settings.epochs}"
            )
        running = recipe.attach(model, optimizer, steps_per_epoch=steps_per_epoch)
        if monitor is not None:
            monitor.pruner = running
        return running
    plan = settings.pruning
    if plan is None:
        return None
    score: str | EnergyScore = plan.score
    if monitor is not None and plan.alpha:
        score = EnergyScore(monitor, plan.score, alpha=plan.alpha)
    pruner = gmp.Pruner(
        model, optimizer, ignore=plan.ignore, scope=plan.scope, score=score, pattern=plan.pattern,
        min_density=plan.min_density,
    )  # fmt: skip
    schedule = gmp.CubicSchedule(
        pruner, initial=plan.initial, final=plan.sparsity, begin=plan.begin, end=plan.end, every=plan.every,
        unit="epoch", steps_per_epoch=steps_per_epoch,
    )  # fmt: skip
    if monitor is None:
        return schedule
    monitor.pruner = pruner
    return BudgetSchedule(schedule, monitor) if plan.has_target else schedule
