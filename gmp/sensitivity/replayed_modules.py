"""Outputs of the modules that run before a layer, kept once and reused while that layer changes.

A pass with a changed layer differs from the previous pass only from this layer on, so the modules before it
need not run again: modules whose calls all end before the layer's first call are replaced by their outputs.
This works for any control flow between modules; functions outside of modules are computed again.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree


class Replay:
    """Outputs of modules, batch by batch and call by call.

    Parameters
    ----------
    modules : list of nn.Module
        Modules whose outputs are kept, as `modules_before` finds them.
    """

    def __init__(self, modules: list[nn.Module]) -> None:
        self._modules = modules
        self._kept: dict[tuple[nn.Module, int], list[Any]] = {}
        self._batch = -1
        self._calls: dict[nn.Module, int] = {}

    def begin(self) -> None:
        """Start the next batch."""
        self._batch += 1
        self._calls = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Keep the outputs of the modules; `begin` must be called before each batch."""
        self._batch, self._kept = -1, {}

        def keep(module: nn.Module, args: Any, output: Any) -> None:
            self._kept.setdefault((module, self._batch), []).append(_pytree.tree_map(_copied, output))

        handles = [module.register_forward_hook(keep) for module in self._modules]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def replaying(self) -> Iterator[None]:
        """Replace the modules by the outputs that were kept."""
        self._batch = -1
        before = {module: module.__dict__.get("forward") for module in self._modules}
        for module in self._modules:
            module.__dict__["forward"] = self._stand_in(module)
        try:
            yield
        finally:
            for module, forward in before.items():
                if forward is None:
                    del module.__dict__["forward"]
                else:
                    module.__dict__["forward"] = forward

    def _stand_in(self, module: nn.Module) -> Callable[..., Any]:
        def forward(*args: Any, **names: Any) -> Any:
            call = self._calls.get(module, 0)
            self._calls[module] = call + 1
            return _pytree.tree_map(_copied, self._kept[module, self._batch][call])

        return forward


def _copied(value: Any) -> Any:
    """Return a copy of a tensor, because operations in place may change the output of a module."""
    return value.clone() if isinstance(value, Tensor) else value


class CallOrder:
    """The order in which the modules of a model run in a pass.

    Parameters
    ----------
    model : nn.Module
        The model.
    run : callable
        Runs one batch through it.
    """

    def __init__(self, model: nn.Module, run: Callable[[], object]) -> None:
        self._model = model
        self._first: dict[nn.Module, int] = {}
        self._last: dict[nn.Module, int] = {}
        clock = iter(range(2**62))

        def start(module: nn.Module, args: Any) -> None:
            self._first.setdefault(module, next(clock))

        def end(module: nn.Module, args: Any, output: Any) -> None:
            self._last[module] = next(clock)

        handles: list[Any] = []
        for module in model.modules():
            if not isinstance(module, torch.jit.ScriptModule):
                handles += [module.register_forward_pre_hook(start), module.register_forward_hook(end)]
        try:
            run()
        finally:
            for handle in handles:
                handle.remove()

    def modules_before(self, weights: Sequence[Tensor]) -> list[nn.Module]:
        """Return the outermost modules that have finished when the first module that holds a weight starts.

        A module that is not called, because another module uses its weights, counts as started with the
        module that contains it.
        """
        begins = min(
            (
                self._first[nearest]
                for path in _paths(self._model)
                if any(weight is each for each in path[-1]._parameters.values() for weight in weights)
                and (nearest := next((m for m in reversed(path) if m in self._first), None)) is not None
            ),
            default=0,
        )
        found: dict[nn.Module, None] = {}
        for path in _paths(self._model):
            done = next((m for m in path if m in self._last and self._last[m] < begins), None)
            if done is not None:
                found[done] = None
        return list(found)


def _paths(module: nn.Module, above: tuple[nn.Module, ...] = ()) -> Iterator[tuple[nn.Module, ...]]:
    """Yield each module with the modules that contain it, the outermost first."""
    path = (*above, module)
    yield path
    for child in module.children():
        yield from _paths(child, path)
