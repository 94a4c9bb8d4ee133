"""Optimizers in arguments, and detection of their steps.

Not every pass of a loop is a step: a `GradScaler` skips passes whose gradients overflow, and wrappers skip
those that only accumulate gradients. Hooks on the optimizers detect the steps.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from gmp.errors import PruningError


def optimizers_of(given: object) -> tuple[Optimizer, ...]:
    """Find the optimizers in an argument.

    Parameters
    ----------
    given : Optimizer or list or None
        An optimizer, a wrapper around optimizers of any library, several of these in a list or tuple, or
        None.

    Returns
    -------
    tuple of Optimizer
        The optimizers, each once; for a wrapper those inside it, whose steps run hooks. It is empty for None.

    Raises
    ------
    PruningError
        If anything else than an optimizer is given, or an empty list.
    """
    if given is None:
        return ()
    found = [one for each in (given if isinstance(given, list | tuple) else [given]) for one in _inside(each)]
    if not found:
        raise PruningError("the list of optimizers is empty")
    return tuple({id(one): one for one in found}.values())


def runs_hooks(optimizer: object) -> bool:
    """Return whether steps of an optimizer run step hooks.

    Parameters
    ----------
    optimizer : object
        An optimizer or a wrapper.

    Returns
    -------
    bool
        False for wrappers that have the interface of an optimizer without its hooks.
    """
    hooked = getattr(getattr(type(optimizer), "step", None), "hooked", False)
    return bool(hooked) and hasattr(optimizer, "_optimizer_step_pre_hooks")


def held_by(optimizers: Iterable[Optimizer]) -> set[int]:
    """Collect the parameters that optimizers update.

    Parameters
    ----------
    optimizers : iterable of Optimizer
        Optimizers.

    Returns
    -------
    set of int
        Identities (`id`) of their parameters.
    """
    return {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}


class StepWatch:
    """A counter of the executed steps of optimizers, without skipped ones, until it is closed.

    Parameters
    ----------
    optimizers : iterable of Optimizer
        Optimizers to watch; those without step hooks are ignored.

    Attributes
    ----------
    count : int
        Number of steps so far.
    """

    def __init__(self, optimizers: Iterable[Optimizer]) -> None:
        self.count = 0
        self._optimizers = tuple(filter(runs_hooks, optimizers))
        self._trained = False
        self._handles = self._hooks()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handles": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._handles = self._hooks()

    def stepped_since(self, count: int) -> bool:
        """Return whether there were steps since an earlier count.

        Parameters
        ----------
        count : int
            The value of `count` at that time.

        Returns
        -------
        bool
            True if there were steps. It is also True if steps cannot be observed, and as long as no gradients
            are computed, so that a loop that only advances a schedule counts its passes.
        """
        return self.count != count or not (self._trained or self.count)

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()
        self._optimizers = ()

    def _hooks(self) -> list[Any]:
        handles = [optimizer.register_step_post_hook(self._after) for optimizer in self._optimizers]
        for optimizer in self._optimizers:
            trained = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
            handles += [p.register_post_accumulate_grad_hook(self._see) for p in trained[-1:]]
        return handles

    def _see(self, parameter: Tensor) -> None:
        self._trained = True

    def _after(self, optimizer: Optimizer, *_: Any) -> None:
        skip = getattr(
            optimizer, "found_inf", None
        )  # set by a GradScaler when a fused optimizer has to skip the step
        if skip is None or not bool(skip):
            self.count += 1


def _inside(given: object) -> Iterator[Optimizer]:
    if not runs_hooks(given):
        inner = [value for value in getattr(given, "__dict__", {}).values() if isinstance(value, Optimizer)]
        if inner:
            for one in inner:
                yield from _inside(one)
            return
    if not isinstance(given, Optimizer):
        raise PruningError(f"the optimizer must be a torch.optim.Optimizer, got a {type(given).__name__}")
    yield given
