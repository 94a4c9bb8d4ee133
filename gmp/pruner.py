"""Gradual magnitude pruning of a model in training: masks that only ever grow.

The masks belong to the pruner, not to the model: names in `model.state_dict()`, copies of the model and its
optimizer do not change. A hook on each weight clears the gradient of pruned weights as soon as it is
accumulated, so that clipping sees the true norm; `apply()` after the optimizer's step undoes all other
changes of pruned weights.
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
from gmp.hooked_weights import HookedWeights
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

SHORT = 0.01  # share of the weights by which pruning may miss its target without a warning


class Goal(Protocol):
    """The target of a pruner."""

    @property
    def shortfall(self) -> str | None: ...


class Pruner(HookedWeights):
    """Prunes weights of a model in training, with masks that only ever grow.

    Parameters
    ----------
    model : nn.Module
        Model to prune.
    optimizer : Optimizer or sequence of Optimizer, optional
        One or several optimizers, or what wraps them. Their momentum and other averages are cleared for
        pruned weights. The score "movement" needs them.
    targets : type, str, callable, or iterable of these, default PRUNABLE
        Weights that are pruned, as `select` matches them; by default the weights of all layers but embeddings
        and normalisations.
    ignore : type, str, callable, or iterable of these, default ()
        Weights that are not pruned, likewise.
    scope : str or mapping of str to float, default "global"
        How the sparsity is shared: "global" (all weights compete in one pool), "layer" (each tensor has the
        same sparsity), or the final sparsity of each tensor by its name or ``"re:"`` expression. With a
        mapping all sparsities are scaled by the same factor on the way, and tensors that it does not name
        stay dense.
    score : str or callable, default "magnitude"
        What the weights compete by: "magnitude", "lamp", "taylor", "movement" or a function
        ``(name, weight, grad) -> Tensor``. Weights with the lowest scores are pruned first.
    pattern : str, default "1x1"
        Which weights are pruned together: "1x1", "n:m" as in "2:4", "block(r,c)", "vector(n)", "kernel" or
        "channel" (see `gmp.patterns`).
    axes : mapping of str to str or Axes, default MappingProxyType({})
        Axes of weights by name or ``"re:"`` expression, where the module does not tell them and the pattern
        needs them: "oi" for rows of outputs, "io" for rows of inputs (see `gmp.weight_axes`).
    min_density : float or mapping of str to float, default 0.0
        Fraction of each tensor that stays, as one number or by name or ``"re:"`` expression.
    keep_zeros : bool, default True
        Whether weights that are zero now stay zero, except in tensors that are zero throughout.

    Attributes
    ----------
    model : nn.Module
        The model.
    optimizer : Optimizer, sequence of Optimizer or None
        The optimizers, as they were given.
    score : callable
        The score.
    pattern : Pattern
        The pattern.
    goal : Schedule or BudgetSchedule or None
        Schedule that was made last for this pruner; `finalize` warns if it was not reached.
    coverage : Coverage
        How much of the model is pruned.
    steps : StepWatch
        Counter of the steps of the optimizers.

    Raises
    ------
    PruningError
        If options do not fit the model.

    Warns
    -----
    CoverageWarning
        If a large part of the parameters cannot be pruned (see `gmp.network_coverage`).

    Notes
    -----
    A tensor that is zero throughout at the start is taken as untrained. It is not pruned while it stays zero,
    and later not beyond the overall sparsity.

    Examples
    --------
    >>> import torch
    >>> from gmp import Pruner
    >>> model = torch.nn.Linear(10, 10)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> pruner = Pruner(model, optimizer)
    >>> pruner.prune(0.7)
    >>> pruner.sparsity
    0.7
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

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the prunable weights, in the model's order."""
        return tuple(self._targets)

    @property
    def masks(self) -> Mapping[str, Tensor]:
        """Masks by the names of the weights: bool tensors of their shapes, False where a weight is pruned."""
        return MappingProxyType({name: mask.live for name, mask in self._masks.items()})

    @property
    def masks_by_parameter(self) -> Mapping[Tensor, Tensor]:
        """Masks by parameter, for callers that know the parameters by other names."""
        return {weight: self._masks[name].live for name, weight in self._weights().items()}

    @property
    def sparsity(self) -> float:
        """Fraction of the prunable weights that is pruned."""
        return sum(mask.zeros for mask in self._masks.values()) / self._limits.size

    @property
    def max_sparsity(self) -> float:
        """Highest sparsity that pattern, `scope` and `min_density` allow.

        For the pattern "n:m" it is below 1 - n/m if the inputs of a weight are not a multiple of m;
        ``prune(1 - n/m)`` reaches it.
        """
        return self._limits.most

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what was asked for and not reached: an early end, a missed budget, empty layers."""
        empty = [name for name, mask in self._masks.items() if mask.zeros == mask.live.numel()]
        return (*self._missed(), *([_nothing_left(empty)] if empty else []))

    @torch.no_grad()
    def prune(self, sparsity: float) -> None:
        """Raise the pruned fraction of the prunable weights; it is never lowered.

        Parameters
        ----------
        sparsity : float
            Fraction of the prunable weights that is pruned after the call, 0 to `max_sparsity`.

        Raises
        ------
        PruningError
            If `sparsity` is above `max_sparsity`, if a weight or score is not finite, or if the pruner is
            finalized. Nothing is pruned then.

        Warns
        -----
        PruningWarning
            If no weight of a layer is left.

        Notes
        -----
        Patterns of single weights reach the sparsity exactly to one weight. Larger units stop less than one
        unit below it, overall, or in each tensor if `scope` gives each tensor its own sparsity or
        `min_density` limits it.
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
        """Set pruned weights, and the averages that the optimizer keeps of them, to zero.

        Raises
        ------
        PruningError
            If the pruner is finalized.
        """
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
        """Check that a sparsity can be reached.

        Parameters
        ----------
        sparsity : float
            Fraction of the prunable weights, 0 to 1.

        Raises
        ------
        PruningError
            If it cannot be reached.
        """
        allowed = self._limits.nominal
        if fraction(sparsity, "the sparsity") > max(allowed, self.sparsity) + 1e-9:
            raise PruningError(
                f"the sparsity {sparsity:g} cannot be reached; the pattern, scope and min_density allow at "
                f"most {allowed:.6g}"
            )

    def report(
        self, extra: Mapping[str, Mapping[str, Any]] | None = None, traced: Trace | None = None
    ) -> Report:
        """Report what is left of each weight, and how much of the model that is.

        Parameters
        ----------
        extra : mapping of str to mapping, optional
            Further columns by the name of a weight or module, as ``{"fc1": {"macs": 524288}}``.
        traced : Trace, optional
            Trace of the model, from which the pruned share of MACs is computed.

        Returns
        -------
        Report
            One row for each weight, and the total.

        Raises
        ------
        PruningError
            If a further column does not fit, as in `report_of`.
        """
        from gmp.sparsity_report import report_of

        covered = self._covered(traced)
        return report_of(self.model, self.masks, extra, warnings=self._missed(), coverage=covered)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs.

        Returns
        -------
        dict
            Packed masks by the names of the weights ("masks"; each is a dictionary of "shape" and "bits",
            eight weights a byte), the state of the score ("score"), and the names of weights that were zero
            throughout at the start ("new").
        """
        masks = {name: masking.pack(mask.live) for name, mask in self._masks.items()}
        score = self.score.state_dict() if isinstance(self.score, Movement) else {}
        return {"masks": masks, "score": score, "new": sorted(self._new)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the masks of `state_dict`.

        Parameters
        ----------
        state : mapping
            State of a pruner of the same weights.

        Raises
        ------
        PruningError
            If the state is not one of a pruner, if names or shapes differ, or if the pruner is finalized.
        """
        self._check_open()
        saved = state.get("masks")
        if not isinstance(saved, Mapping):
            raise PruningError(f"the state is not one of a pruner: it has {sorted(state)} in place of masks")
        saved = renamed(saved, self._masks)
        for name in saved:
            if name not in self._masks:
                text = f"the saved masks have '{name}', which this pruner does not prune"
                raise PruningError(text, hint=near(name, self._masks))
        if missing := [name for name in self._masks if name not in saved]:
            raise PruningError(f"the saved masks lack '{missing[0]}', which this pruner prunes")
        lives = {n: masking.fit(n, masking.unpack(n, saved[n]), self._weight(n)) for n in self._masks}
        self._install(lives)
        self._new = {matched(name, self._masks) or name for name in state.get("new", self._new)}
        if isinstance(self.score, Movement):
            self.score.load_state_dict(renamed(state.get("score", {}), self._masks))
        self.apply()

    def finalize(self) -> None:
        """Leave zeros in the weights and remove all hooks; the masks can still be read.

        Warns
        -----
        PruningWarning
            If less was pruned than a schedule or a call of `prune` asked for, or if a budget is missed.
        """
        if self._finalized:
            return
        self.apply()
        self.detach()
        for sentence in self._missed():
            warnings.warn(sentence, PruningWarning, stacklevel=2)

    def detach(self) -> None:
        """Remove all hooks and change nothing else. Use it for a pruner that is no longer needed."""
        self._remove_hooks()
        self.steps.close()
        self._finalized = True

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
        """Return the identities of the parameters that are not pruned on purpose."""
        return {id(each) for name, each in named_parameters(self.model).items() if name in self._left_out}

    def _missed(self) -> list[str]:
        """Return unreached targets as sentences."""
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
        """Score each weight. Nothing is scored if no weight is left to prune."""
        lives = [mask.live for mask in self._masks.values()]
        return evaluate_all(self.score, self._weights(), lives, needed=self.sparsity < 1)

    @torch.no_grad()
    def _install(self, lives: Mapping[str, Tensor]) -> None:
        for (name, live), nonzeros in zip(lives.items(), count(list(lives.values())), strict=True):
            self._masks[name].set(live, nonzeros)
            self._weight(name).masked_fill_(~live, 0)  # a positive zero, which a product does not ensure

    def _attach(self) -> None:
        """Register hooks on weights and optimizers. While a copy is being made, its model may not exist
        yet.
        """
        super()._attach()
        if isinstance(self.score, Movement):
            self._handles += Follower(self.score, self._optimizers, self._weights).handles

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
                raise PruningError(
                    "the score 'movement' follows the steps of an optimizer; pass it to the pruner"
                )
            return
        held, weights = held_by(self._optimizers), self._weights().values()
        trained = any(weight.requires_grad for weight in weights)
        if trained and not any(id(weight) in held for weight in weights):
            raise PruningError(
                "the optimizer has none of the prunable weights; was it made for another model?"
            )

    def _check_open(self) -> None:
        if self._finalized:
            raise PruningError("this pruner is finalized; create a new one to prune further")


def one_shot(model: nn.Module, sparsity: float, **options: Any) -> Report:
    """Prune a model at once, and leave the zeros in its weights.

    Parameters
    ----------
    model : nn.Module
        Model to prune in place.
    sparsity : float
        Fraction of the prunable weights that is pruned, 0 to 1.
    **options
        Options of `Pruner`.

    Returns
    -------
    Report
        What is left of each weight.

    Raises
    ------
    PruningError
        If options do not fit the model, or if the sparsity cannot be reached.

    Examples
    --------
    >>> import torch
    >>> from gmp import one_shot
    >>> one_shot(torch.nn.Linear(10, 10), 0.6).sparsity
    0.6
    """
    pruner = Pruner(model, **options)
    pruner.prune(sparsity)
    pruner.finalize()
    return pruner.report()


def _nothing_left(names: Iterable[str]) -> str:
    return f"all weights of {', '.join(names)} are zero; a layer without weights returns only its bias"


def _initial(target: Target, keep_zeros: bool) -> Mask:
    live = target.weight.detach() != 0 if keep_zeros else torch.ones_like(target.weight, dtype=torch.bool)
    return Mask(live, target.weight.dtype)
