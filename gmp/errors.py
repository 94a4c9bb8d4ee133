"""The errors of pruning and tracing; the sentences keep the rules of sparsim.errors."""

from __future__ import annotations

from sparsim.errors import SparsimError


class PruningError(SparsimError, ValueError):
    """Weights, masks, sparsities or states that do not fit the model or one another."""


class RecipeError(PruningError):
    """A recipe is wrong, or asks for what is not supported; the message begins with file and line."""


class TraceError(SparsimError, ValueError):
    """A network cannot be measured, or not be written as a workload; `hint` says what to try."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
