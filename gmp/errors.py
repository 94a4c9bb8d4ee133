"""The errors of pruning; the sentences keep the rules of sparsim.errors."""

from __future__ import annotations

from sparsim.errors import SparsimError


class PruningError(SparsimError, ValueError):
    """Weights, masks, sparsities or states that do not fit the model or one another."""


class RecipeError(PruningError):
    """A recipe is wrong, or asks for what is not supported; the message begins with file and line."""
