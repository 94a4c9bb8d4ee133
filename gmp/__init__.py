"""Gradual pruning of torch models: masks, schedules, recipes, reports."""

from sparsim.errors import require

require("torch", "gmp", "train")

from gmp.allocation import allocate
from gmp.batch_norm_recalibration import recalibrate_batch_norm
from gmp.channels import ChannelPruner, channel_groups, narrow, rebuild
from gmp.errors import CoverageWarning, PruningError, PruningWarning, RecipeError
from gmp.iterative_pruning import IterativeRound, RewindPoint, prune_iteratively
from gmp.masks import apply_masks
from gmp.pruner import Pruner, one_shot
from gmp.recipes.recipe import Recipe, load_recipe
from gmp.recipes.running_recipe import RunningRecipe
from gmp.schedules import ConstantSchedule, CubicSchedule, InverseCubicSchedule, LinearSchedule, Schedule
from gmp.scores import Movement, lamp, magnitude, taylor
from gmp.sharing import WeightSharing
from gmp.sparsity_report import LayerReport, Report, report_of
from gmp.targets import Target, select

__all__ = [
    "ChannelPruner", "ConstantSchedule", "CoverageWarning", "CubicSchedule", "InverseCubicSchedule",
    "IterativeRound", "LayerReport", "LinearSchedule", "Movement", "Pruner", "PruningError",
    "PruningWarning", "Recipe", "RecipeError", "Report", "RewindPoint", "RunningRecipe", "Schedule",
    "Target", "WeightSharing", "allocate", "apply_masks", "channel_groups", "lamp", "load_recipe",
    "magnitude", "narrow", "one_shot", "prune_iteratively", "rebuild", "recalibrate_batch_norm", "report_of",
    "select", "taylor",
]  # fmt: skip
