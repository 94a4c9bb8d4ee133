"""The errors of pruning, each one lower-case sentence.

SparsimError
  PruningError         weights, masks, sparsities or schedules that do not fit
    RecipeError        a recipe document is wrong
"""

from __future__ import annotations

from sparsim.errors import SparsimError


class PruningError(SparsimError, ValueError):
    """A pruning request cannot be met; nothing has been pruned."""


class RecipeError(PruningError):
    """A recipe cannot be read or does not fit the model."""
