"""Limits of the sparsity of each weight, by pattern, `scope` and `min_density`."""

from collections.abc import Callable, Mapping

import torch

from gmp.errors import PruningError
from gmp.masks import Mask
from gmp.number_checks import fraction
from gmp.patterns import Pattern
from gmp.sparsity_allocation import Layer, cap
from gmp.targets import by_name
from gmp.weight_axes import Axes
from sparsim.errors import near


class SparsityLimits:
    """Limits of the sparsity of weights with `masks` and `axes` by name. The other arguments are those of
    `Pruner`.

    Raises PruningError for a scope or densities that do not fit.
    """

    def __init__(
        self,
        masks: Mapping[str, Mask],
        axes: Mapping[str, Axes],
        pattern: Pattern,
        scope: str | Mapping[str, float],
        min_density: float | Mapping[str, float],
    ) -> None:
        self._masks, self._axes, self._pattern = masks, axes, pattern
        self.size = sum(mask.live.numel() for mask in masks.values())
        self._caps = self._capped(min_density)
        self._ratios, self._overall = self._scaled(scope)

    @property
    def most(self) -> float:
        """Return the highest sparsity of all weights together."""
        return self._allowed(Pattern.prunable)

    @property
    def nominal(self) -> float:
        """Return the limit with n:m counted as 1 - n/m, even if the inputs are not a multiple of m."""
        return self._allowed(_nominal)

    def layer(self, name: str, *, new: bool, idle: bool) -> Layer:
        """A weight to the allocation. What is `new` has a share of its own where the others compete."""
        mask = self._masks[name]
        ratio = self._ratios[name] if self._ratios is not None else 1.0 if new else None
        return Layer(mask.live.numel(), mask.zeros, max(self._caps[name], mask.zeros), ratio, idle)

    def _allowed(self, prunable: Callable[[Pattern, torch.Size, Axes], float]) -> float:
        if self._overall is not None:
            return self._overall
        return sum(self._prunable(prunable).values()) / self.size

    def _prunable(self, prunable: Callable[[Pattern, torch.Size, Axes], float]) -> dict[str, float]:
        """{weight name: how many weights of it may go}, never less than are gone already."""
        return {
            name: max(mask.zeros, min(self._caps[name], prunable(self._pattern, mask.live.shape, axes)))
            for (name, mask), axes in zip(self._masks.items(), self._axes.values(), strict=True)
        }

    def _capped(self, min_density: float | Mapping[str, float]) -> dict[str, int]:
        """{weight name: the most weights of it that may go}."""
        if isinstance(min_density, Mapping):
            densities = by_name(min_density, self._masks, "min_density")
        else:
            densities = dict.fromkeys(self._masks, min_density)
        return {
            name: cap(mask.live.numel(), fraction(densities.get(name, 0.0), f"min_density of '{name}'"))
            for name, mask in self._masks.items()
        }

    def _scaled(self, scope: str | Mapping[str, float]) -> tuple[dict[str, float] | None, float | None]:
        """({weight name: sparsity relative to the overall one}, overall sparsity if `scope` gives it)."""
        sizes = {name: mask.live.numel() for name, mask in self._masks.items()}
        if isinstance(scope, Mapping):
            limits = self._prunable(_nominal)
            final = {n: fraction(s, f"scope of '{n}'") for n, s in by_name(scope, sizes, "scope").items()}
            for name, sparsity in final.items():
                if sparsity * sizes[name] > limits[name] + 0.5:
                    raise PruningError(
                        f"scope asks for a sparsity of {sparsity:g} of '{name}', but the pattern and "
                        f"min_density allow at most {limits[name] / sizes[name]:.6g}"
                    )
            overall = sum(sparsity * sizes[name] for name, sparsity in final.items()) / self.size
            return {name: final.get(name, 0.0) / (overall or 1.0) for name in sizes}, overall
        if scope not in ("global", "layer"):
            hint = near(str(scope), ("global", "layer"))
            raise PruningError(
                f"unknown scope {scope!r} ({hint}); it can also be a mapping of sparsities by name"
            )
        return None if scope == "global" else dict.fromkeys(sizes, 1.0), None


def _nominal(pattern: Pattern, shape: torch.Size, axes: Axes) -> float:
    """Return the sparsity of a pattern independent of the shape: 2:4 counts as half, even for three
    inputs.
    """
    return pattern.limit * shape.numel()
