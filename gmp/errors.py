"""The errors and warnings of pruning and tracing; their messages follow the rules of sparsim.errors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sparsim.errors import SparsimError, SparsimWarning


class PruningError(SparsimError, ValueError):
    """Weights, masks, sparsities or states do not fit the model or each other."""


class RecipeError(PruningError):
    """A recipe is invalid or unsupported. The message begins with the file and the line."""


class TraceError(SparsimError, ValueError):
    """A network cannot be measured or written as a workload."""


class PruningWarning(SparsimWarning):
    """Pruning did not reach its goal: it ended early, missed a budget or removed a whole layer."""


class CoverageWarning(PruningWarning):
    """A large part of the network is neither pruned nor measured."""


def check_state(
    state: Mapping[str, Any], keys: set[str], what: str, error: type[PruningError] = PruningError
) -> None:
    """Raise `error` unless `state` has all `keys` of the `state_dict()` of a `what`."""
    if missing := keys - set(state):
        raise error(f"the state is not one of a {what}; it lacks {', '.join(sorted(missing))}")


@contextmanager
def writing(path: str | Path, what: str, also: type[Exception] = OSError) -> Iterator[None]:
    """Convert an OSError, or an error of type `also`, to a PruningError that names the file."""
    try:
        yield
    except (OSError, also) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise PruningError(f"{path}: could not write the {what}: {reason}") from None
