"""Gradual pruning of torch models: masks, schedules, reports."""

from __future__ import annotations

from gmp.errors import PruningError, RecipeError
from gmp.masks import apply_masks
from gmp.pruner import Pruner, one_shot
from gmp.recalibrate import recalibrate_batch_norm
from gmp.schedule import (
    ConstantSchedule,
    CubicSchedule,
    InverseCubicSchedule,
    LinearSchedule,
    Schedule,
)
from gmp.scores import Movement, magnitude, taylor
from gmp.select import Target, select

__all__ = [
    "ConstantSchedule",
    "CubicSchedule",
    "InverseCubicSchedule",
    "LinearSchedule",
    "Movement",
    "Pruner",
    "PruningError",
    "RecipeError",
    "Schedule",
    "Target",
    "apply_masks",
    "magnitude",
    "one_shot",
    "recalibrate_batch_norm",
    "select",
    "taylor",
]
