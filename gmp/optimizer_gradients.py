"""Access to the gradients that optimizers step with: complete, once each, and unscaled.

A gradient counts when an optimizer steps with it. Before a step is the only time when it is complete (summed
over accumulated passes, unscaled, clipped) and belongs to the weights as they are. There are two exceptions:
a closure computes gradients inside the step, so that they are read whenever it returns; and a fused optimizer
under a `GradScaler` unscales them itself, or skips its step, according to attributes that the scaler sets.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from gmp.errors import PruningError
from gmp.optimizer_steps import held_by, runs_hooks
from gmp.scores import Movement, wide


class Follower:
    """Tells `score` the gradients that `optimizers` step with; `weights` gives {name: parameter} as of now.

    What is seen before a step counts when the step is done. So a step that raises does not count, and one
    that runs its hooks twice (a subclass that calls its parent's step) counts once.
    """

    def __init__(
        self, score: Movement, optimizers: Iterable[Optimizer], weights: Callable[[], Mapping[str, Tensor]]
    ) -> None:
        self.score, self.weights = score, weights
        self._seen: dict[int, dict[str, Tensor]] = {}
        self.handles: list[Any] = []
        for optimizer in optimizers:
            if not runs_hooks(optimizer):
                raise PruningError(
                    f"the score 'movement' cannot follow the steps of a {type(optimizer).__name__}, which "
                    "runs no hooks: pass the torch.optim.Optimizer that steps for it"
                )
            self.handles.append(optimizer.register_step_pre_hook(self._before))
            self.handles.append(optimizer.register_step_post_hook(self._after))

    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> tuple[Any, Any] | None:
        """Take the gradients, or let the closure do so. `args` begin with the optimizer."""
        if kwargs.get("grad_scaler") is not None:
            kind = type(optimizer).__name__
            raise PruningError(
                f"the score 'movement' cannot tell the scale of the gradients of a {kind}, which takes the "
                "grad_scaler itself; call scaler.unscale_(optimizer) and optimizer.step() instead"
            )
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if isinstance(closure, _Watched):
            return None
        seen = self._seen[id(optimizer)] = {}
        if closure is None:
            self._take(optimizer, seen)
            return None
        watched = _Watched(closure, lambda: self._take(optimizer, seen))
        if "closure" in kwargs:
            return args, {**kwargs, "closure": watched}
        return (args[0], watched, *args[2:]), kwargs

    def _after(self, optimizer: Optimizer, *_: Any) -> None:
        for name, moved in self._seen.pop(id(optimizer), {}).items():
            self.score.add(name, moved)

    @torch.no_grad()
    def _take(self, optimizer: Optimizer, seen: dict[str, Tensor]) -> None:
        """Add weight times gradient to `seen`; zero where a `GradScaler` has the step skipped."""
        held = held_by([optimizer])
        scale, skip = getattr(optimizer, "grad_scale", None), getattr(optimizer, "found_inf", None)
        for name, weight in self.weights().items():
            if weight.grad is None or id(weight) not in held:
                continue
            moved = wide(weight) * wide(weight.grad)
            if scale is not None:
                moved /= scale.to(moved.device)
            if skip is not None:  # not read, because that would wait for the device
                moved = torch.where(skip.to(moved.device) > 0, torch.zeros_like(moved), moved)
            seen[name] = seen[name] + moved if name in seen else moved


class _Watched:
    """Wrapper of a closure, which reads the gradients after each call."""

    def __init__(self, closure: Callable[[], Any], take: Callable[[], None]) -> None:
        self.closure, self.take = closure, take

    def __call__(self) -> Any:
        result = self.closure()
        self.take()
        return result
