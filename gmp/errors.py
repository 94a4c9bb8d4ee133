"""The errors and warnings of pruning and tracing; the sentences keep the rules of sparsim.errors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sparsim.errors import SparsimError, SparsimWarning


class PruningError(SparsimError, ValueError):
    """Weights, masks, sparsities or states that do not fit the model or one another."""


class RecipeError(PruningError):
    """A recipe is wrong, or asks for what is not supported; the message begins with file and line."""


class TraceError(SparsimError, ValueError):
    """A network cannot be measured, or not be written as a workload."""


class PruningWarning(SparsimWarning):
    """Pruning has not led where it was asked to: it ended early, missed a budget, or emptied a layer."""


class CoverageWarning(PruningWarning):
    """A large part of the network is neither pruned nor measured."""


def check_state(
    state: Mapping[str, Any], keys: set[str], what: str, error: type[PruningError] = PruningError
) -> None:
    """Raise `error` for what is no `state_dict()` of a `what`, which has `keys`."""
    if missing := keys - set(state):
        raise error(f"this is no state of a {what}: it has no {', '.join(sorted(missing))}")


@contextmanager
def writing(path: str | Path, what: str, also: type[Exception] = OSError) -> Iterator[None]:
    """Errors of the system, and `also`, become a PruningError with the file's name."""
    try:
        yield
    except (OSError, also) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise PruningError(f"{path}: the {what} cannot be written: {reason}") from None
