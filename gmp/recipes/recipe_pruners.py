"""The parts of a recipe that change weights: pools that are pruned on a schedule, zeros that stay, shared
values.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from torch import nn
from torch.optim import Optimizer

from gmp.errors import PruningError, RecipeError
from gmp.parameter_names import named_parameters
from gmp.pruner import Pruner
from gmp.recipes.modifier_fields import TO_THE_END
from gmp.recipes.modifiers import (
    ConstantPruningModifier,
    MagnitudePruningModifier,
    Modifier,
    WeightSharingModifier,
)
from gmp.recipes.selected_parameters import selected
from gmp.schedules import CubicSchedule, InverseCubicSchedule, LinearSchedule, Schedule
from gmp.sharing import WeightSharing
from gmp.targets import select


class _CountsFromTheLastUpdate(Schedule):
    """Count updates as sparseml does: an update is due in the first step that begins `every` after the last
    one.
    """

    def update_times(self) -> list[float]:
        steps = self.steps_per_unit
        end = steps_of(self.end, steps)
        done = [steps_of(self.begin, steps)]
        while done[-1] < end:
            done.append(min(max(steps_of(epoch_of(done[-1], steps) + self.every, steps), done[-1] + 1), end))
        return [epoch_of(step, steps) for step in done]


class _Cubic(_CountsFromTheLastUpdate, CubicSchedule):
    pass


class _Linear(_CountsFromTheLastUpdate, LinearSchedule):
    pass


class _InverseCubic(_CountsFromTheLastUpdate, InverseCubicSchedule):
    pass


SCHEDULES: dict[str, type[Schedule]] = {"cubic": _Cubic, "linear": _Linear, "inverse_cubic": _InverseCubic}


def epoch_of(steps_done: int, steps_per_epoch: int) -> float:
    """Return the epoch at which a number of steps is done, rounded as in sparseml."""
    return steps_done // steps_per_epoch + steps_done % steps_per_epoch / steps_per_epoch


def steps_of(epoch: float, steps_per_epoch: int) -> int:
    """Return how many steps are done when `epoch` is reached. As in sparseml, 0.1 + 0.2 epochs are more than
    0.3.
    """
    steps = math.ceil(epoch * steps_per_epoch)
    while steps and epoch_of(steps - 1, steps_per_epoch) >= epoch:
        steps -= 1
    while epoch_of(steps, steps_per_epoch) < epoch:
        steps += 1
    return steps


def span_of(modifier: Modifier, steps_per_epoch: int) -> tuple[int, float]:
    """(first step, step after the last) of a modifier."""
    begin = steps_of(modifier.start_epoch, steps_per_epoch)
    if modifier.end_epoch == TO_THE_END:
        return begin, math.inf
    return begin, steps_of(modifier.end_epoch, steps_per_epoch)


def weights_of(model: nn.Module, params: Iterable[str], place: str) -> tuple[str, ...]:
    """Names of the parameters that `params` mean, once each, in the model's order.

    Raises RecipeError for a param that meets none, and for one that cannot be pruned.
    """
    try:
        return tuple(target.name for target in select(model, selected(model, params, place)))
    except RecipeError:
        raise
    except PruningError as error:
        raise RecipeError(f"{place}: {error}") from None


class Gradual:
    """One pool of weights that is pruned to a final sparsity."""

    def __init__(
        self,
        modifier: MagnitudePruningModifier,
        final: float,
        names: list[str],
        model: nn.Module,
        optimizer: Optimizer,
        steps_per_epoch: int,
    ) -> None:
        self.modifier, self.final, self.names = modifier, final, tuple(names)
        self.steps_per_epoch, self.released = steps_per_epoch, False
        own = modifier.init_sparsity is None
        scope = "global" if modifier.is_global else "layer"
        try:
            self.pruner = Pruner(
                model, optimizer, targets=names, scope=scope, pattern=modifier.mask_type, keep_zeros=own
            )
            self._start_from(self.pruner.sparsity if own else modifier.init_sparsity or 0.0)
        except PruningError as error:
            raise RecipeError(f"{modifier.place}: {modifier.name}: {error}") from None

    def step(self, steps_done: int) -> None:
        if self.released:
            return
        self.schedule.step()
        if not self.modifier.leave_enabled and steps_done >= steps_of(
            self.modifier.end_epoch, self.steps_per_epoch
        ):
            self.release()

    def release(self) -> None:
        self.pruner.finalize()
        self.released = True

    def state_dict(self) -> dict[str, Any]:
        schedule = self.schedule.state_dict()
        return {"initial": self.schedule.initial, "released": self.released, "schedule": schedule}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["released"]:  # the sparsity that was reached is in the weights, not in this schedule
            self.pruner.detach()
            self.released = True
            return
        self._start_from(state["initial"])
        self.schedule.load_state_dict(state["schedule"])

    def _start_from(self, initial: float) -> None:
        modifier = self.modifier
        each_step = 0.9 / self.steps_per_epoch  # less than a step, independent of rounding
        self.schedule = SCHEDULES[modifier.inter_func](
            self.pruner,
            initial=initial,
            final=self.final,
            begin=modifier.start_epoch,
            end=modifier.end_epoch,
            every=each_step if modifier.update_frequency == -1 else modifier.update_frequency,
            steps_per_epoch=self.steps_per_epoch,
        )


class Constant:
    """Weights whose zeros stay; they are looked up when the modifier starts."""

    def __init__(
        self, modifier: ConstantPruningModifier, model: nn.Module, optimizer: Optimizer, steps_per_epoch: int
    ) -> None:
        self.modifier, self.model, self.optimizer = modifier, model, optimizer
        self.names = weights_of(model, modifier.params, modifier.place)
        self.begin, self.end = span_of(modifier, steps_per_epoch)
        self.pruner: Pruner | None = None
        self.released = False
        self.step(0)

    def step(self, steps_done: int) -> None:
        if self.released or steps_done < self.begin:
            return
        if self.pruner is None:
            self.pruner = self._pruner(keep_zeros=steps_done == 0)
            if steps_done:  # a weight that training emptied is not a mistake
                weights = named_parameters(self.model)
                live = {name: weights[name] != 0 for name in self.pruner.names}
                self.pruner.load_state_dict({"masks": live})
        self.pruner.apply()
        if steps_done >= self.end:
            self.release()

    def release(self) -> None:
        if self.pruner:
            self.pruner.finalize()
        self.released = True

    def state_dict(self) -> dict[str, Any]:
        return {"released": self.released, "pruner": self.pruner.state_dict() if self.pruner else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["released"]:
            self.release()
        elif state["pruner"] is not None:
            self.pruner = self.pruner or self._pruner(keep_zeros=False)
            self.pruner.load_state_dict(state["pruner"])

    def _pruner(self, *, keep_zeros: bool) -> Pruner:
        try:
            return Pruner(self.model, self.optimizer, targets=self.names, keep_zeros=keep_zeros)
        except PruningError as error:
            raise RecipeError(f"{self.modifier.place}: {self.modifier.name}: {error}") from None


class Shared:
    """Weights that are clustered when the modifier starts, and share values until it ends."""

    pruner = None

    def __init__(
        self, modifier: WeightSharingModifier, model: nn.Module, optimizer: Optimizer, steps_per_epoch: int
    ) -> None:
        self.modifier, self.model, self.optimizer = modifier, model, optimizer
        self.names = weights_of(model, modifier.params, modifier.place)
        self.begin, self.end = span_of(modifier, steps_per_epoch)
        self.sharing: WeightSharing | None = None
        self.released = False
        self.step(0)

    def step(self, steps_done: int) -> None:
        if self.released or steps_done < self.begin:
            return
        if self.sharing is None:
            self.sharing = self._sharing()
        self.sharing.apply()
        if steps_done >= self.end:
            self.release()

    def release(self) -> None:
        if self.sharing:
            self.sharing.finalize()
        self.released = True

    def state_dict(self) -> dict[str, Any]:
        return {"released": self.released, "sharing": self.sharing.state_dict() if self.sharing else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if state["released"]:
            self.released = True
        elif state["sharing"] is not None:
            if self.sharing:
                self.sharing.detach()
            self.sharing = self._sharing(state["sharing"])

    def _sharing(self, state: Mapping[str, Any] | None = None) -> WeightSharing:
        try:
            return WeightSharing(
                self.model, self.optimizer, targets=self.names, entries=self.modifier.entries, state=state
            )
        except PruningError as error:
            raise RecipeError(f"{self.modifier.place}: {self.modifier.name}: {error}") from None


Part = Gradual | Constant | Shared


def check_overlaps(parts: Sequence[Part]) -> None:
    """Raise RecipeError if a weight is on two schedules at the same time, or shared before it is pruned."""
    for sharing in (part for part in parts if isinstance(part, Shared)):
        for part in parts:
            both = [name for name in part.names if name in sharing.names]
            is_late = part.modifier.start_epoch > sharing.modifier.start_epoch
            if isinstance(part, Gradual):
                is_late = part.modifier.end_epoch > sharing.modifier.start_epoch
            elif isinstance(part, Shared):
                is_late = part is not sharing
            if both and is_late:
                raise RecipeError(
                    f"{part.modifier.place}: {part.modifier.name} changes '{both[0]}' after "
                    f"{sharing.modifier.name} ({sharing.modifier.place}) has begun to share its values"
                )
    pools = [part for part in parts if isinstance(part, Gradual)]
    for first, second in combinations(pools, 2):
        a, b = first.modifier, second.modifier
        shared = [name for name in first.names if name in second.names]
        if shared and a.start_epoch < b.end_epoch and b.start_epoch < a.end_epoch:
            raise RecipeError(
                f"{b.place}: {b.name} prunes '{shared[0]}' at the same time as {a.name} ({a.place})"
            )
