"""Gradual magnitude pruning of a model in training: masks that only ever grow.

The masks live here, not in the model: names of `model.state_dict()`, copies of the model and its optimizer
stay as they are. A hook on each weight clears the gradient of pruned weights as soon as it is accumulated, so
that clipping sees the true norm; `apply()` after the optimizer's step clears what else moved them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gmp import masks as masking
from gmp.errors import PruningError, PruningWarning
from gmp.masks import Mask
from gmp.network_coverage import Coverage, coverage_of
from gmp.nonzeros import count
from gmp.number_checks import fraction
from gmp.optimizer_gradients import Follower
from gmp.optimizer_steps import StepWatch, held_by, optimizers_of
from gmp.parameter_names import matched, named_parameters, renamed
from gmp.patterns import pattern_of
from gmp.scores import Movement, Score, evaluate_all, score_of
from gmp.sparsity_allocation import choose
from gmp.sparsity_limits import SparsityLimits
from gmp.targets import PRUNABLE, Matcher, Target, axes_by_name, left_out, select
from gmp.weight_axes import Axes
from sparsim.errors import near

if TYPE_CHECKING:
    from gmp.sparsity_report import Report
    from gmp.tracing.trace import Trace

SHORT = 0.01  # of the weights: units that stop by more short of what was asked for are worth a warning


class Goal(Protocol):
    """What a pruner is to reach."""

    @property
    def shortfall(self) -> str | None: ...


class Pruner:
    """Prunes the weights of `model` that `targets` meets and `ignore` does not (see `gmp.targets`).

    `optimizer`: one or several, or what wraps them. Their momentum and other averages are cleared for pruned
    weights; `"movement"` needs them.
    `scope`: "global" (all weights compete), "layer" (each tensor the same sparsity), or final sparsities
    {name or "re:...": sparsity} of tensors, all scaled alike on the way; tensors it does not name stay dense.
    `score`: "magnitude", "lamp", "taylor", "movement" or a function (see `gmp.scores`).
    `pattern`: "1x1", "2:4", "block(r,c)", "vector(n)", "kernel" or "channel" (see `gmp.patterns`).
    `axes`: {name or "re:...": axes} of weights of which they are not known (see `gmp.weight_axes`), which
    patterns of more than single weights ask for: "oi" has rows of outputs, "io" rows of inputs.
    `min_density`: fraction of each tensor that stays, one number or {name or "re:...": fraction}.
    `keep_zeros`: weights that are zero now stay zero, but for tensors without any other weight.

    A tensor that is zero throughout now was not trained yet. Nothing of it is pruned while it stays so, and
    then not more than the fraction that is asked for of all: its weights are too young to compete.

    `goal` is the schedule that was made last for this pruner; `finalize` warns if it was not reached.
    `coverage` says how much of the model is pruned, `steps` counts those of the optimizers.

    Warns if a large part of the parameters is out of reach (see `gmp.network_coverage`).
    Raises PruningError for options that do not fit the model.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        *,
        targets: Matcher | Iterable[Matcher] = PRUNABLE,
        ignore: Matcher | Iterable[Matcher] = (),
        scope: str | Mapping[str, float] = "global",
        score: str | Score = "magnitude",
        pattern: str = "1x1",
        axes: Mapping[str, str | Axes | None] = MappingProxyType({}),
        min_density: float | Mapping[str, float] = 0.0,
        keep_zeros: bool = True,
    ) -> None:
        self.model, self.optimizer = model, optimizer
        self.score, self.pattern = score_of(score), pattern_of(pattern)
        self._targets = {target.name: target for target in select(model, targets, ignore)}
        self._new = {name for name, target in self._targets.items() if not bool(target.weight.any())}
        keeping = set(self._targets) - self._new if keep_zeros else set()
        self._masks = {name: _initial(target, name in keeping) for name, target in self._targets.items()}
        self._axes = axes_by_name(self._targets.values(), axes, needed=not self.pattern.single)
        self._left_out = left_out(model, targets, ignore)
        self._limits = SparsityLimits(self._masks, self._axes, self.pattern, scope, min_density)
        self._optimizers = optimizers_of(optimizer)
        self._check_optimizers()
        self._finalized = False
        self.goal: Goal | None = None
        self._asked = 0.0
        self.steps = StepWatch(self._optimizers)
        self._attach()
        self.apply()
        self.coverage = self._covered()
        self.coverage.warn()

    def __getstate__(self) -> dict[str, Any]:
        """Without hooks, which a copy makes anew."""
        targets = {name: target._replace(weight=self._weight(name)) for name, target in self._targets.items()}
        return {**self.__dict__, "_targets": targets, "_hooked": {}, "_handles": []}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if not self._finalized:
            self._attach()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the prunable weights, in the model's order."""
        return tuple(self._targets)

    @property
    def masks(self) -> Mapping[str, Tensor]:
        """{weight name: bool tensor of its shape}, False where the weight is pruned."""
        return MappingProxyType({name: mask.live for name, mask in self._masks.items()})

    @property
    def masks_by_parameter(self) -> Mapping[Tensor, Tensor]:
        """{parameter: mask}, for whom the parameters have other names."""
        return {weight: self._masks[name].live for name, weight in self._weights().items()}

    @property
    def sparsity(self) -> float:
        """Pruned fraction of the prunable weights."""
        return sum(mask.zeros for mask in self._masks.values()) / self._limits.size

    @property
    def max_sparsity(self) -> float:
        """The highest sparsity that pattern, `scope` and `min_density` allow.

        Of n:m, less than 1 - n/m if the inputs of a weight are no multiple of m; `prune(1 - n/m)` gets there.
        """
        return self._limits.most

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is not as it was asked for, a sentence each: an early end, a missed budget, empty layers."""
        empty = [name for name, mask in self._masks.items() if mask.zeros == mask.live.numel()]
        return (*self._missed(), *([_nothing_left(empty)] if empty else []))

    @torch.no_grad()
    def prune(self, sparsity: float) -> None:
        """Raise the pruned fraction of the prunable weights to `sparsity`; never lowers it.

        Exact to the weight with single weights. Larger units stop less than one short of it: in all, or in
        each tensor if `scope` gives each its own sparsity or `min_density` holds it. Warns of weights of
        which nothing is left. Raises PruningError, and prunes nothing, above `max_sparsity`, or if a weight
        or score is not finite.
        """
        self._check_open()
        self.check(sparsity)
        self._asked = max(self._asked, float(sparsity))
        before = {name for name, mask in self._masks.items() if mask.zeros < mask.live.numel()}
        layers, units = [], []
        for (name, mask), scores in zip(self._masks.items(), self._scores(), strict=True):
            units.append(self.pattern.units(scores, mask.live.to(scores.device), self._axes[name]))
            idle = name in self._new and not bool(self._weight(name).any())
            layers.append(self._limits.layer(name, new=name in self._new, idle=idle))
        chosen = choose(layers, units, self.pattern, sparsity)
        self._install(
            {
                name: self.pattern.pruned(mask.live.to(gone.device), unit, gone, self._axes[name])
                for (name, mask), unit, gone in zip(self._masks.items(), units, chosen, strict=True)
            }
        )
        self.apply()
        if empty := [n for n, m in self._masks.items() if n in before and m.zeros == m.live.numel()]:
            warnings.warn(_nothing_left(empty), PruningWarning, stacklevel=2)

    @torch.no_grad()
    def apply(self) -> None:
        """Set pruned weights, and what the optimizer remembers of them, to zero."""
        self._check_open()
        for name, mask in self._masks.items():
            weight = self._weight(name)
            if weight.requires_grad and self._hooked.get(name) is not weight:
                self._hook(name, weight)
            mask.hide(weight)
            for optimizer in self._optimizers:
                for value in optimizer.state.get(weight, {}).values():
                    if isinstance(value, Tensor) and value.shape == weight.shape:
                        mask.hide(value)

    def check(self, sparsity: float) -> None:
        """Raise PruningError if `sparsity` cannot be reached."""
        allowed = self._limits.nominal
        if fraction(sparsity, "the sparsity") > max(allowed, self.sparsity) + 1e-9:
            raise PruningError(
                f"the sparsity {sparsity:g} cannot be reached: pattern, scope and min_density allow at most "
                f"{allowed:.6g}"
            )

    def report(
        self, extra: Mapping[str, Mapping[str, Any]] | None = None, traced: Trace | None = None
    ) -> Report:
        """What is left of each weight, and how much of the model that is.

        extra : {weight or module name: {column: value}}
        traced : a trace of the model, for the share of MACs
        """
        from gmp.sparsity_report import report_of

        covered = self._covered(traced)
        return report_of(self.model, self.masks, extra, warnings=self._missed(), coverage=covered)

    def state_dict(self) -> dict[str, Any]:
        """{"masks": {weight name: {"shape": sizes, "bits": eight weights a byte}}, "score": its state, "new":
        names of weights that were zero throughout at the start}.
        """
        masks = {name: masking.pack(mask.live) for name, mask in self._masks.items()}
        score = self.score.state_dict() if isinstance(self.score, Movement) else {}
        return {"masks": masks, "score": score, "new": sorted(self._new)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the masks of `state_dict()`. Raises PruningError if names or shapes differ."""
        self._check_open()
        saved = state.get("masks")
        if not isinstance(saved, Mapping):
            raise PruningError(f"this is no state of a pruner: it has no masks but {sorted(state)}")
        saved = renamed(saved, self._masks)
        for name in saved:
            if name not in self._masks:
                text = f"the saved masks have '{name}', which is not pruned here"
                raise PruningError(text, hint=near(name, self._masks))
        if missing := [name for name in self._masks if name not in saved]:
            raise PruningError(f"the saved masks lack '{missing[0]}', which is pruned here")
        lives = {n: masking.fit(n, masking.unpack(n, saved[n]), self._weight(n)) for n in self._masks}
        self._install(lives)
        self._new = {matched(name, self._masks) or name for name in state.get("new", self._new)}
        if isinstance(self.score, Movement):
            self.score.load_state_dict(renamed(state.get("score", {}), self._masks))
        self.apply()

    def finalize(self) -> None:
        """Leave zeros in the weights and take all hooks away; the masks can still be read.

        Warns where less was pruned than a schedule or a call of `prune` asked for, or a budget is missed.
        """
        if self._finalized:
            return
        self.apply()
        self.detach()
        for sentence in self._missed():
            warnings.warn(sentence, PruningWarning, stacklevel=2)

    def detach(self) -> None:
        """Take all hooks away and leave everything else as it is, for a pruner that is given up."""
        for handle in self._handles:
            handle.remove()
        self.steps.close()
        self._finalized = True

    def _weight(self, name: str) -> Tensor:
        """The parameter as it is now: models may be moved, or parameters replaced."""
        target = self._targets[name]
        weight = getattr(target.module, target.key)
        assert isinstance(weight, Tensor)
        return weight

    def _covered(self, traced: Trace | None = None) -> Coverage:
        weights = list(self._weights().values())
        if traced is None or traced.coverage is None:
            return coverage_of(self.model, weights, "pruned", left_out=self._left_out_ids())
        pruned, known = set(weights), named_parameters(self.model)
        inside: int | float = 0
        rest = {gap.name: gap.macs for gap in traced.coverage.gaps}
        for row in traced.layers:
            if row.view is not None and known.get(row.view.parameter) in pruned:
                inside += row.macs
            elif (other := rest.get(row.module, 0)) is not None:
                rest[row.module] = other + row.macs
        return coverage_of(
            self.model, weights, "pruned", left_out=self._left_out_ids(), covered_macs=inside, macs=rest
        )

    def _left_out_ids(self) -> set[int]:
        """Identities of the parameters that are not pruned on purpose."""
        return {id(each) for name, each in named_parameters(self.model).items() if name in self._left_out}

    def _missed(self) -> list[str]:
        """What was asked for and not reached, as sentences."""
        found = [] if self.goal is None or self.goal.shortfall is None else [self.goal.shortfall]
        if not found and self._asked - self.sparsity > SHORT:
            found.append(
                f"a sparsity of {self._asked:g} was asked for and {self.sparsity:.4g} is reached: units of "
                "the pattern are too large, too few inputs fill its groups, or weights were not trained yet"
            )
        return found

    def _weights(self) -> dict[str, Tensor]:
        return {name: self._weight(name) for name in self._masks}

    def _scores(self) -> list[Tensor]:
        """Of each weight; none are asked for where nothing is left that could be pruned."""
        lives = [mask.live for mask in self._masks.values()]
        return evaluate_all(self.score, self._weights(), lives, needed=self.sparsity < 1)

    @torch.no_grad()
    def _install(self, lives: Mapping[str, Tensor]) -> None:
        for (name, live), nonzeros in zip(lives.items(), count(list(lives.values())), strict=True):
            self._masks[name].set(live, nonzeros)
            self._weight(name).masked_fill_(~live, 0)  # a positive zero, unlike a product

    def _attach(self) -> None:
        """Hook weights and optimizers; of a copy that is being made, the model need not be there yet."""
        self._hooked: dict[str, Tensor] = {}
        self._handles: list[Any] = []
        if isinstance(self.score, Movement):
            self._handles += Follower(self.score, self._optimizers, self._weights).handles
        for name, target in self._targets.items():
            if target.weight.requires_grad:
                self._hook(name, target.weight)

    def _hook(self, name: str, weight: Tensor) -> None:
        mask = self._masks[name]

        def clear(parameter: Tensor) -> None:
            if parameter.grad is not None:
                mask.hide(parameter.grad)

        self._handles.append(weight.register_post_accumulate_grad_hook(clear))  # type: ignore[no-untyped-call]
        self._hooked[name] = weight

    def _check_optimizers(self) -> None:
        if not self._optimizers:
            if isinstance(self.score, Movement):
                raise PruningError("the score 'movement' needs the optimizer, whose steps it follows")
            return
        held, weights = held_by(self._optimizers), self._weights().values()
        trained = any(weight.requires_grad for weight in weights)
        if trained and not any(id(weight) in held for weight in weights):
            raise PruningError(
                "the optimizer holds none of the prunable weights; was it made for another model?"
            )

    def _check_open(self) -> None:
        if self._finalized:
            raise PruningError("this pruner is finalized; make a new one to prune on")


def one_shot(model: nn.Module, sparsity: float, **options: Any) -> Report:
    """Prune `model` to `sparsity` at once, for good. `options` are those of `Pruner`."""
    pruner = Pruner(model, **options)
    pruner.prune(sparsity)
    pruner.finalize()
    return pruner.report()


def _nothing_left(names: Iterable[str]) -> str:
    return f"nothing is left of {', '.join(names)}: what a layer without weights gives is its bias"


def _initial(target: Target, keep_zeros: bool) -> Mask:
    live = target.weight.detach() != 0 if keep_zeros else torch.ones_like(target.weight, dtype=torch.bool)
    return Mask(live, target.weight.dtype)
