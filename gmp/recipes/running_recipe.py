"""A running recipe: learning rates, weight decay, masks and frozen parameters of one training run.

Time is counted in optimizer steps: epoch e begins when ceil(e * steps_per_epoch) steps are done. Everything
but the masks is a function of that count, so that a resumed run needs the count and the masks alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer

from gmp.errors import PruningError, RecipeError, check_state
from gmp.network_coverage import coverage_of
from gmp.nonzeros import count
from gmp.number_checks import is_count
from gmp.optimizer_steps import StepWatch, optimizers_of
from gmp.parameter_names import named_parameters
from gmp.pruner import Pruner
from gmp.recipes.modifier_fields import ALL, ALL_PRUNABLE
from gmp.recipes.modifiers import (
    RATE_FUNCTIONS,
    ConstantPruningModifier,
    MagnitudePruningModifier,
    Modifier,
    SetLearningRateModifier,
    SetWeightDecayModifier,
    TrainableParamsModifier,
    WeightSharingModifier,
)
from gmp.recipes.recipe_pruners import (
    Constant,
    Gradual,
    Part,
    Shared,
    check_overlaps,
    span_of,
    steps_of,
    weights_of,
)
from gmp.recipes.selected_parameters import selected
from gmp.sharing import WeightSharing
from gmp.sparsity_report import Extra, Report, report_of


class RunningRecipe:
    """Follows the modifiers of a recipe in one training run; `Recipe.attach` creates it.

    Parameters
    ----------
    modifiers : sequence of Modifier
        Modifiers of the recipe.
    model : nn.Module
        Model to train and prune.
    optimizer : Optimizer
        Its optimizer, whose learning rates of the first step are set at once.
    epochs : float
        Length of the training in epochs.
    steps_per_epoch : int
        Optimizer steps of an epoch.

    Raises
    ------
    RecipeError
        If the modifiers name parameters or parameter groups that do not exist, or if `steps_per_epoch` is not
        a positive integer.
    PruningError
        If `optimizer` is not a `torch.optim.Optimizer`.

    Notes
    -----
    To resume a run, attach the recipe to the rebuilt model and optimizer, then load the states of all three.
    """

    def __init__(
        self,
        modifiers: Sequence[Modifier],
        model: nn.Module,
        optimizer: Optimizer,
        *,
        epochs: float,
        steps_per_epoch: int,
    ) -> None:
        if not is_count(steps_per_epoch):
            raise RecipeError(f"steps_per_epoch must be a positive whole number, got {steps_per_epoch!r}")
        if not isinstance(optimizer, Optimizer):
            raise PruningError(
                f"the optimizer must be a torch.optim.Optimizer, got a {type(optimizer).__name__}"
            )
        self.modifiers, self.epochs = tuple(modifiers), epochs
        self.model, self.optimizer = model, optimizer
        self.steps_per_epoch, self.steps_done = int(steps_per_epoch), 0
        self._finalized = False
        self._check_groups()
        self._switched = [
            _Switched(
                selected(model, modifier.params, modifier.place, strict=modifier.params_strict),
                modifier.trainable,
                *span_of(modifier, steps_per_epoch),
            )
            for modifier in self.modifiers
            if isinstance(modifier, TrainableParamsModifier)
        ]
        parameters = named_parameters(model)
        self._before = {n: parameters[n].requires_grad for s in self._switched for n in s.names}
        self._parts: list[Part] = []
        try:
            self._parts.extend(part for modifier in self.modifiers for part in self._parts_of(modifier))
            check_overlaps(self._parts)
            # gradual pruning comes first, so that zeros of this step exist when zeros are kept or weights are
            # shared
            order = {Gradual: 0, Constant: 1, Shared: 2}
            self._parts.sort(key=lambda part: (order[type(part)], part.modifier.start_epoch))
        except PruningError:
            for pruner in self.pruners:  # remove the hooks of parts that could not start
                pruner.detach()
            for sharing in self.sharings:
                sharing.detach()
            raise
        self._watch, self._seen = StepWatch(optimizers_of(optimizer)), 0
        self._set()
        self._warn_of_gaps()

    @property
    def epoch(self) -> float:
        """Number of epochs that have passed, a fraction included."""
        return self.steps_done / self.steps_per_epoch

    @property
    def pruners(self) -> tuple[Pruner, ...]:
        """Pruners that are active now."""
        return tuple(part.pruner for part in self._parts if part.pruner and not part.released)

    @property
    def sharings(self) -> tuple[WeightSharing, ...]:
        """Shared weights that are active now."""
        shared = (part for part in self._parts if isinstance(part, Shared) and not part.released)
        return tuple(part.sharing for part in shared if part.sharing is not None)

    @property
    def masks(self) -> Mapping[str, Tensor]:
        """Masks of the active pruners, by the names of the weights."""
        return {name: mask for pruner in self.pruners for name, mask in pruner.masks.items()}

    @property
    def masks_by_parameter(self) -> Mapping[Tensor, Tensor]:
        """Masks of the active pruners, by parameter."""
        return {weight: mask for pruner in self.pruners for weight, mask in pruner.masks_by_parameter.items()}

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of all weights that the recipe prunes, now or later."""
        pruning = (part for part in self._parts if not isinstance(part, Shared))
        return tuple(dict.fromkeys(name for part in pruning for name in part.names))

    @property
    def sparsity(self) -> float:
        """Fraction of `weights` that is zero now; 0 for a recipe that prunes nothing."""
        weights = [weight.detach() for weight in self._parameters().values()]
        return 1 - sum(count(weights)) / sum(weight.numel() for weight in weights) if weights else 0.0

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about what the recipe asks for and was not reached."""
        return tuple(dict.fromkeys(sentence for pruner in self.pruners for sentence in pruner.warnings))

    def step(self) -> None:
        """Prune what is due, set pruned weights to zero, and set the learning rates of the next step.

        Raises
        ------
        RecipeError
            If the recipe is finalized.

        Notes
        -----
        Call it directly after ``optimizer.step()``. A call after which the optimizer has not stepped does not
        count, as in `Schedule.step`.
        """
        self._check_open()
        if not self._watch.stepped_since(self._seen):
            for pruner in self.pruners:
                pruner.apply()
            for sharing in self.sharings:
                sharing.apply()
            return
        self._seen = self._watch.count
        self.steps_done += 1
        for part in self._parts:
            part.step(self.steps_done)
        self._set()

    def report(self, extra: Extra | None = None) -> Report:
        """Report what is left of the weights that the recipe prunes.

        Parameters
        ----------
        extra : mapping of str to mapping, optional
            Further columns by the name of a weight or module, as in `report_of`.

        Returns
        -------
        Report
            One row for each weight, and the total.

        Raises
        ------
        PruningError
            If the recipe prunes nothing, or if a further column does not fit.
        """
        masks = {name: weight.detach() != 0 for name, weight in self._parameters().items()}
        return report_of(self.model, masks, extra, warnings=self.warnings)

    def finalize(self) -> None:
        """Leave zeros in the weights and remove all hooks.

        Warns
        -----
        PruningWarning
            If less was pruned than was asked for, as `Pruner.finalize` does.
        """
        for part in self._parts:
            part.release()
        self._watch.close()
        self._finalized = True

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs besides the states of model and optimizer.

        Returns
        -------
        dict
            Number of steps done ("step"), "steps_per_epoch", an outline of each modifier ("modifiers") and
            the states of the pruners ("pruning").
        """
        return {
            "step": self.steps_done,
            "steps_per_epoch": self.steps_per_epoch,
            "modifiers": [_outline(modifier) for modifier in self.modifiers],
            "pruning": [part.state_dict() for part in self._parts],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the result of `state_dict`.

        Parameters
        ----------
        state : mapping
            State of a run of the same recipe.

        Raises
        ------
        RecipeError
            If the state is not one of a recipe, or one of another recipe, or if the recipe is finalized.
        PruningError
            If the state of a pruner does not fit the model.
        """
        self._check_open()
        check_state(state, {"step", "steps_per_epoch", "modifiers", "pruning"}, "recipe", RecipeError)
        if state["steps_per_epoch"] != self.steps_per_epoch:
            raise RecipeError(
                f"the saved run has {state['steps_per_epoch']} steps per epoch, but this one has "
                f"{self.steps_per_epoch}"
            )
        outlines = [_outline(modifier) for modifier in self.modifiers]
        for saved, here in zip(state["modifiers"], outlines, strict=False):
            if saved != here:
                raise RecipeError(
                    f"the saved run follows another recipe: it has '{saved}' where this one has '{here}'"
                )
        if len(state["modifiers"]) != len(outlines) or len(state["pruning"]) != len(self._parts):
            raise RecipeError("the saved run follows another recipe: it has more or fewer modifiers")
        for part, saved in zip(self._parts, state["pruning"], strict=True):
            part.load_state_dict(saved)
        self.steps_done = int(state["step"])
        self._set()

    def _parameters(self) -> dict[str, Tensor]:
        """{name: parameter} of `weights`, as they are now."""
        known = named_parameters(self.model)
        return {name: known[name] for name in self.weights}

    def _warn_of_gaps(self) -> None:
        """Warn of uncovered modules if the recipe prunes all weights that can be pruned."""
        pruning = [m for m in self.modifiers if isinstance(m, MagnitudePruningModifier)]
        if any(param in (ALL, ALL_PRUNABLE) for m in pruning for _, params in m.targets for param in params):
            coverage_of(self.model, self._parameters().values(), "pruned").warn(stacklevel=4)

    def _parts_of(self, modifier: Modifier) -> Iterable[Part]:
        if isinstance(modifier, WeightSharingModifier):
            yield Shared(modifier, self.model, self.optimizer, self.steps_per_epoch)
        if isinstance(modifier, ConstantPruningModifier):
            yield Constant(modifier, self.model, self.optimizer, self.steps_per_epoch)
        if isinstance(modifier, MagnitudePruningModifier):
            taken: set[str] = set()
            for final, params in modifier.targets:
                names = [name for name in weights_of(self.model, params, modifier.place) if name not in taken]
                taken.update(names)
                # each weight starts from its own sparsity
                alone = modifier.init_sparsity is None and not modifier.is_global
                for pool in [[name] for name in names] if alone else [names]:
                    yield Gradual(modifier, final, pool, self.model, self.optimizer, self.steps_per_epoch)

    def _set(self) -> None:
        """Set learning rates, weight decay and trainable parameters for the next step."""
        for index, group in enumerate(self.optimizer.param_groups):
            if rate := self._latest((SetLearningRateModifier, *RATE_FUNCTIONS), index):
                group["lr"] = rate.learning_rate_at(self.epoch, self.steps_per_epoch)
            if decay := self._latest((SetWeightDecayModifier,), index):
                group["weight_decay"] = decay.weight_decay
        trainable = dict(self._before)
        for switch in self._switched:
            if switch.begin <= self.steps_done < switch.end:
                trainable.update(dict.fromkeys(switch.names, switch.trainable))
        parameters = named_parameters(self.model) if trainable else {}
        for name, wanted in trainable.items():
            parameter = parameters[name]
            if parameter.requires_grad != wanted:
                parameter.requires_grad_(wanted)
                parameter.grad = None  # otherwise the optimizer would still use an old gradient

    def _latest(self, kinds: tuple[type[Modifier], ...], group: int) -> Any:
        """Return the modifier of `kinds` for a parameter group that started last; a function has precedence
        over a number.
        """
        started = [
            modifier
            for modifier in self.modifiers
            if isinstance(modifier, kinds)
            and steps_of(modifier.start_epoch, self.steps_per_epoch) <= self.steps_done
            and (not modifier.param_groups or group in modifier.param_groups)  # type: ignore[attr-defined]
        ]
        order = [(m.start_epoch, isinstance(m, RATE_FUNCTIONS), i) for i, m in enumerate(started)]
        return started[max(order)[2]] if order else None

    def _check_open(self) -> None:
        if self._finalized:
            raise RecipeError("this run of the recipe is finalized; attach the recipe again")

    def _check_groups(self) -> None:
        count = len(self.optimizer.param_groups)
        for modifier in self.modifiers:
            for index in getattr(modifier, "param_groups", ()):
                if index >= count:
                    raise RecipeError(
                        f"{modifier.place}: {modifier.name}: the optimizer has no parameter group {index}; "
                        f"it has {count} groups"
                    )


class _Switched(NamedTuple):
    """Parameters that are trainable, or not, from one step to another."""

    names: tuple[str, ...]
    trainable: bool
    begin: int
    end: float


def _outline(modifier: Modifier) -> str:
    """Return the properties that must agree for a run to be resumed."""
    return f"{modifier.name} {modifier.start_epoch:g} to {modifier.end_epoch:g}: {modifier.summary()}"
