"""The modifiers that a recipe may list, as frozen records with checked fields.

Names, fields and defaults are those of sparseml 1.x recipes. Epochs are counted from 0 and may be fractions;
a start of -1 is 0, an end of -1 is the end of the recipe.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from gmp.recipes import modifier_fields as fields
from gmp.recipes.modifier_fields import ALL_PRUNABLE, TO_THE_END, key


@dataclass(frozen=True, kw_only=True)
class Modifier:
    """What a recipe does from one epoch to another.

    Attributes
    ----------
    place : str
        File and line, for messages.
    start_epoch : float
        Epoch of the beginning; -1 stands for 0.
    end_epoch : float
        Epoch of the end; -1 stands for the end of the recipe.
    """

    ignored: ClassVar[tuple[str, ...]] = ("log_types",)
    """Fields without a meaning here: they say what sparseml logs."""
    needs_end: ClassVar[bool] = False
    """Whether TO_THE_END must become a number."""

    place: str
    start_epoch: float
    end_epoch: float = key(fields.end, TO_THE_END)

    @property
    def name(self) -> str:
        return type(self).__name__

    def problem(self) -> str | None:
        """Return a sentence if fields contradict each other."""
        if self.end_epoch != TO_THE_END and self.end_epoch < self.start_epoch:
            return f"end_epoch {self.end_epoch:g} is before start_epoch {self.start_epoch:g}"
        return None

    def summary(self) -> str:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class EpochRangeModifier(Modifier):
    """Training lasts at least from start to end."""

    start_epoch: float = key(fields.start)
    end_epoch: float = key(fields.end)

    def summary(self) -> str:
        return "training"


@dataclass(frozen=True, kw_only=True)
class SetLearningRateModifier(Modifier):
    """The learning rate from `start_epoch` on, until another modifier of it starts.

    Attributes
    ----------
    learning_rate : float
        The learning rate.
    param_groups : list of int
        Indices of the parameter groups of the optimizer; all of them by default.
    end_epoch : float
        Accepted for old recipes, and without effect.
    """

    ignored = ("log_types", "constant_logging")

    learning_rate: float = key(fields.at_least_zero)
    param_groups: tuple[int, ...] = key(fields.groups, ())
    start_epoch: float = key(fields.start, 0.0)
    end_epoch: float = key(fields.unused_end, TO_THE_END)

    def summary(self) -> str:
        return f"learning rate {self.learning_rate:g}{_in_groups(self.param_groups)}"

    def learning_rate_at(self, epoch: float, steps_per_epoch: int) -> float:
        return self.learning_rate


@dataclass(frozen=True, kw_only=True)
class LearningRateFunctionModifier(Modifier):
    """The learning rate as a function of the epoch; `final_lr` stays after the end.

    Attributes
    ----------
    lr_func : str
        "linear", "cosine", or "cyclic_linear", which starts again after every `cycle_epochs`.
    init_lr : float
        Learning rate at the start.
    final_lr : float
        Learning rate at the end.
    cycle_epochs : float
        Length of a cycle of "cyclic_linear".
    param_groups : list of int
        Indices of the parameter groups of the optimizer; all of them by default.
    update_frequency : float
        Only -1, each step.
    """

    ignored = ("log_types", "constant_logging")
    needs_end = True

    lr_func: str = key(fields.one_of("linear", "cosine", "cyclic_linear"))
    init_lr: float = key(fields.at_least_zero)
    final_lr: float = key(fields.at_least_zero)
    start_epoch: float = key(fields.start)
    end_epoch: float = key(fields.end)
    cycle_epochs: float = key(fields.above_zero, 1.0)
    param_groups: tuple[int, ...] = key(fields.groups, ())
    update_frequency: float = key(fields.only(-1), -1.0)

    def problem(self) -> str | None:
        if self.end_epoch == self.start_epoch:
            return f"end_epoch must be after start_epoch, got {self.end_epoch:g} for both"
        return super().problem()

    def summary(self) -> str:
        cycles = f", cycles of {self.cycle_epochs:g} epochs" if self.lr_func == "cyclic_linear" else ""
        rates = f"{self.init_lr:g} to {self.final_lr:g}"
        return f"learning rate {rates}, {self.lr_func}{cycles}{_in_groups(self.param_groups)}"

    def learning_rate_at(self, epoch: float, steps_per_epoch: int) -> float:
        """The rate of the step that starts at `epoch`.

        With x from 0 at the start to 1 at the end, linear is init + x (final - init) and cosine is
        final + (init - final) (1 + cos(pi x)) / 2 (Loshchilov & Hutter 2017, eq. 5). A cycle of cyclic_linear
        reaches `final_lr` in its last step; the last cycle may be shorter.
        """
        length, passed = self.end_epoch - self.start_epoch, epoch - self.start_epoch
        if passed >= length:
            return self.final_lr
        x = max(passed / length, 0.0)
        if self.lr_func == "cosine":
            return self.final_lr + (self.init_lr - self.final_lr) * (1 + math.cos(math.pi * x)) / 2
        if self.lr_func == "cyclic_linear":
            begin = math.floor(passed / self.cycle_epochs + 1e-9) * self.cycle_epochs
            steps = min(self.cycle_epochs, length - begin) * steps_per_epoch
            x = max(passed - begin, 0.0) * steps_per_epoch / (steps - 1) if steps > 1 else 0.0
        return self.init_lr + min(x, 1.0) * (self.final_lr - self.init_lr)


_SCHEDULER_ARGUMENTS = {
    "CosineAnnealingWarmRestarts": {"lr_min", "cycle_epochs"},
    "ExponentialLR": {"gamma"},
    "MultiStepLR": {"gamma", "milestones"},
    "StepLR": {"gamma", "step_size"},
}


@dataclass(frozen=True, kw_only=True)
class LearningRateModifier(Modifier):
    """The learning rate of a scheduler of torch that counts epochs; the last rate stays after the end.

    Attributes
    ----------
    lr_class : str
        "CosineAnnealingWarmRestarts", "ExponentialLR", "MultiStepLR" or "StepLR".
    lr_kwargs : dict
        Arguments of the scheduler: `lr_min` and `cycle_epochs`; `gamma`; `gamma` and `milestones`; or `gamma`
        and `step_size`.
    init_lr : float
        Learning rate at the start.
    update_frequency : float
        Only -1, each step.
    """

    ignored = ("log_types", "constant_logging")
    param_groups: ClassVar[tuple[int, ...]] = ()

    lr_class: str = key(fields.one_of(*_SCHEDULER_ARGUMENTS))
    lr_kwargs: dict[str, Any] = key(fields.scheduler_arguments)  # noqa: RUF009
    init_lr: float = key(fields.at_least_zero)
    start_epoch: float = key(fields.start)
    update_frequency: float = key(fields.only(-1), -1.0)

    def problem(self) -> str | None:
        needed, given = _SCHEDULER_ARGUMENTS[self.lr_class], self.lr_kwargs
        if set(given) != needed:
            return f"lr_kwargs of {self.lr_class} are {', '.join(sorted(needed))}"
        if any(given.get(name, 1) <= 0 for name in ("step_size", "cycle_epochs")):
            return "step_size and cycle_epochs must be greater than 0"
        end = math.inf if self.end_epoch == TO_THE_END else self.end_epoch
        if not all(self.start_epoch < milestone < end for milestone in given.get("milestones", [])):
            return "milestones must be epochs of the recipe, between start_epoch and end_epoch"
        return super().problem()

    def summary(self) -> str:
        arguments = ", ".join(f"{name} {value}" for name, value in self.lr_kwargs.items())
        return f"learning rate {self.init_lr:g}, {self.lr_class} ({arguments})"

    def learning_rate_at(self, epoch: float, steps_per_epoch: int) -> float:
        """The rate of the step that starts at `epoch`, as torch's schedulers have it, stepped after each."""
        steps = round((epoch - self.start_epoch) * steps_per_epoch)
        if self.end_epoch != TO_THE_END:
            steps = min(steps, round((self.end_epoch - self.start_epoch) * steps_per_epoch) - 1)
        given, gamma = self.lr_kwargs, self.lr_kwargs.get("gamma", 1.0)
        if self.lr_class == "MultiStepLR":
            passed = [round((m - self.start_epoch) * steps_per_epoch) <= steps for m in given["milestones"]]
            return float(self.init_lr * gamma ** sum(passed))
        if self.lr_class == "CosineAnnealingWarmRestarts":
            cycle, lowest = given["cycle_epochs"], given["lr_min"]
            x = steps / steps_per_epoch % cycle / cycle
            return float(lowest + (self.init_lr - lowest) * (1 + math.cos(math.pi * x)) / 2)
        size = max(round(given.get("step_size", 1) * steps_per_epoch), 1)
        return float(self.init_lr * gamma ** (steps // size))


@dataclass(frozen=True, kw_only=True)
class SetWeightDecayModifier(Modifier):
    """The weight decay from `start_epoch` on, until another one is set.

    Attributes
    ----------
    weight_decay : float
        The weight decay.
    param_groups : list of int
        Indices of the parameter groups of the optimizer; all of them by default.
    end_epoch : float
        Accepted for old recipes, and without effect.
    """

    ignored = ("log_types", "constant_logging")

    weight_decay: float = key(fields.at_least_zero)
    param_groups: tuple[int, ...] = key(fields.groups, ())
    start_epoch: float = key(fields.start, 0.0)
    end_epoch: float = key(fields.unused_end, TO_THE_END)

    def summary(self) -> str:
        return f"weight decay {self.weight_decay:g}{_in_groups(self.param_groups)}"


@dataclass(frozen=True, kw_only=True)
class TrainableParamsModifier(Modifier):
    """Parameters that are trained, or not, from start to end; then as before.

    Attributes
    ----------
    params : list of str
        Names of parameters, patterns that begin with `re:`, `__ALL_PRUNABLE__` or `__ALL__`.
    trainable : bool
        Whether the parameters are trained.
    params_strict : bool
        Whether each name has to match a parameter.
    """

    params: tuple[str, ...] = key(fields.params)
    trainable: bool = key(fields.flag)
    params_strict: bool = key(fields.flag, True)
    start_epoch: float = key(fields.start, 0.0)

    def summary(self) -> str:
        return f"{_list(self.params)} {'trainable' if self.trainable else 'not trainable'}"


@dataclass(frozen=True, kw_only=True)
class ConstantPruningModifier(Modifier):
    """Weights that are zero at the start stay zero until the end.

    Attributes
    ----------
    params : list of str
        Names of parameters, patterns that begin with `re:`, `__ALL_PRUNABLE__` or `__ALL__`.
    """

    ignored = ("log_types", "update_frequency")

    params: tuple[str, ...] = key(fields.params)
    start_epoch: float = key(fields.start, 0.0)

    def summary(self) -> str:
        return f"{_list(self.params)}: zeros stay zero"


@dataclass(frozen=True, kw_only=True)
class MagnitudePruningModifier(Modifier):
    """Smallest weights first, the same sparsity in each weight tensor, ramping from start to end.

    Attributes
    ----------
    init_sparsity : float or "__FROM_PARAM__"
        Sparsity of the first step, from 0 to 1; "__FROM_PARAM__" stands for that of the weights.
    final_sparsity : float or dict of float to list of str
        Sparsity of the last step, from 0 to 1, or such numbers with the parameters of each.
    update_frequency : float
        Epochs between steps; -1 prunes at each step of the optimizer.
    params : list of str
        Names of parameters, patterns that begin with `re:`, `__ALL_PRUNABLE__` or `__ALL__`; all weights that
        can be pruned by default.
    leave_enabled : bool
        Whether zeros stay zero after the end.
    inter_func : str
        How sparsity grows: "linear", "cubic" or "inverse_cubic".
    mask_type : str or list of int
        Pattern of the zeros: "unstructured", which is 1x1, "block4", "n:m", or [outputs, inputs] of a block.
    """

    needs_end = True
    scope: ClassVar[str] = "layer"

    init_sparsity: float | None = key(fields.initial)
    final_sparsity: float | tuple[tuple[float, tuple[str, ...]], ...] = key(fields.final)
    start_epoch: float = key(fields.start)
    end_epoch: float = key(fields.end)
    update_frequency: float = key(fields.frequency)
    params: tuple[str, ...] = key(fields.params, ())
    leave_enabled: bool = key(fields.flag, True)
    inter_func: str = key(fields.one_of("linear", "cubic", "inverse_cubic"), "cubic")
    mask_type: str = key(fields.pattern, "1x1")

    @property
    def is_global(self) -> bool:
        return self.scope == "global"

    @property
    def targets(self) -> tuple[tuple[float, tuple[str, ...]], ...]:
        """(final sparsity, params) of each part."""
        if isinstance(self.final_sparsity, tuple):
            return self.final_sparsity
        return ((self.final_sparsity, self.params or (ALL_PRUNABLE,)),)

    def problem(self) -> str | None:
        if isinstance(self.final_sparsity, tuple) and self.params:
            return "params must be [] if final_sparsity names weights"
        if isinstance(self.final_sparsity, tuple) and self.is_global:
            return "a global pool must have one final_sparsity"
        least = min(sparsity for sparsity, _ in self.targets)
        if self.init_sparsity is not None and self.init_sparsity > least:
            return f"init_sparsity {self.init_sparsity:g} is above final_sparsity {least:g}"
        if self.end_epoch == self.start_epoch:
            return f"end_epoch must be after start_epoch, got {self.end_epoch:g} for both"
        return super().problem()

    def summary(self) -> str:
        initial = "that of the weights" if self.init_sparsity is None else f"{self.init_sparsity:g}"
        parts = "; ".join(f"{final:g}: {_list(params)}" for final, params in self.targets)
        every = "each step" if self.update_frequency == -1 else f"every {self.update_frequency:g} epochs"
        pool = "in one pool" if self.is_global else "in each layer"
        pattern = "" if self.mask_type == "1x1" else f", {self.mask_type}"
        after = "masks stay" if self.leave_enabled else "masks end"
        return f"sparsity {pool} from {initial} to {parts}; {self.inter_func}, {every}{pattern}, then {after}"


@dataclass(frozen=True, kw_only=True)
class GMPruningModifier(MagnitudePruningModifier):
    """Like MagnitudePruningModifier; the old spelling of global pruning still works.

    Attributes
    ----------
    global_sparsity : bool
        Whether all weights are ranked in one pool.
    phased : bool
        Only false.
    score_type : str
        Only "magnitude".
    """

    global_sparsity: bool = key(fields.flag, False)
    phased: bool = key(fields.only(False), False)
    score_type: str = key(fields.only("magnitude"), "magnitude")

    @property
    def is_global(self) -> bool:
        return self.global_sparsity


@dataclass(frozen=True, kw_only=True)
class GlobalMagnitudePruningModifier(MagnitudePruningModifier):
    """Smallest weights first, all weight tensors in one pool, ramping from start to end."""

    scope = "global"


@dataclass(frozen=True, kw_only=True)
class WeightSharingModifier(Modifier):
    """Weights are clustered at the start, and share the values of a codebook until the end.

    It is none of sparseml's.

    Attributes
    ----------
    params : list of str
        Names of parameters, patterns that begin with `re:`, `__ALL_PRUNABLE__` or `__ALL__`.
    entries : int
        Distinct values of each weight, zero included where there are zeros.
    """

    params: tuple[str, ...] = key(fields.params)
    entries: int = key(fields.entries)
    start_epoch: float = key(fields.start)

    def summary(self) -> str:
        return f"{_list(self.params)}: share {self.entries} values in each layer"


RATE_FUNCTIONS = (LearningRateFunctionModifier, LearningRateModifier)
MODIFIERS: dict[str, type[Modifier]] = {
    kind.__name__: kind
    for kind in (
        EpochRangeModifier,
        SetLearningRateModifier,
        LearningRateFunctionModifier,
        LearningRateModifier,
        SetWeightDecayModifier,
        TrainableParamsModifier,
        ConstantPruningModifier,
        MagnitudePruningModifier,
        GMPruningModifier,
        GlobalMagnitudePruningModifier,
        WeightSharingModifier,
    )
}


def _in_groups(groups: tuple[int, ...]) -> str:
    return f" in parameter groups {', '.join(map(str, groups))}" if groups else ""


def _list(params: tuple[str, ...]) -> str:
    return ", ".join(params) if len(params) <= 2 else f"{params[0]} and {len(params) - 1} more"
