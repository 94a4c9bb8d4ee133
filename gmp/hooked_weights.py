"""What pruners and shared weights have in common: parameters of a model with hooks on their gradients."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gmp.targets import Target


class HookedWeights(ABC):
    """Weights of a model, each with a hook that copies and pickles register again."""

    _targets: Mapping[str, Target]
    _finalized: bool

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without hooks, which a copy registers again."""
        targets = {name: target._replace(weight=self._weight(name)) for name, target in self._targets.items()}
        return {**self.__dict__, "_targets": targets, "_hooked": {}, "_handles": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if not self._finalized:
            self._attach()

    def _weight(self, name: str) -> Tensor:
        """The parameter as it is now: models may be moved, or parameters replaced."""
        target = self._targets[name]
        weight = getattr(target.module, target.key)
        assert isinstance(weight, Tensor)
        return weight

    def _attach(self) -> None:
        """Register a hook on every weight that is trained."""
        self._hooked: dict[str, Tensor] = {}
        self._handles: list[Any] = []
        for name, target in self._targets.items():
            if target.weight.requires_grad:
                self._hook(name, target.weight)

    @abstractmethod
    def _hook(self, name: str, weight: Tensor) -> None:
        """Register the hook of one weight."""

    def _remove_hooks(self) -> None:
        for handle in self._handles:
            handle.remove()
