"""Recipes at work on small models: what is pruned when, the rates, frozen parameters, resuming."""

from __future__ import annotations

import copy
import io
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.named import names, naming
from torch import nn

from gmp.errors import PruningError, PruningWarning, RecipeError
from gmp.recipes.recipe import Recipe, load_recipe
from gmp.recipes.recipe_pruners import SCHEDULES

STEPS = 4


class Run:
    """A small model in training under a recipe; `step()` trains on the batch of the step's number."""

    def __init__(self, recipe: Recipe, *, momentum: float = 0.9, weight_decay: float = 1e-2) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(8, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Linear(12, 4))
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.1, momentum=momentum, weight_decay=weight_decay
        )
        self.running = recipe.attach(self.model, self.optimizer, steps_per_epoch=STEPS)

    def step(self) -> None:
        x = torch.randn(16, 8, generator=torch.Generator().manual_seed(self.running.steps_done))
        loss = (self.model(x) - x[:, :4]).square().mean()
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()
        self.optimizer.step()
        self.running.step()

    def to(self, epoch: float) -> None:
        while self.running.epoch < epoch:
            self.step()

    def zeros(self, name: str) -> int:
        return int((self.model.get_parameter(name) == 0).sum())

    def state(self) -> dict[str, object]:
        """What a checkpoint file holds, through a file."""
        states = {"model": self.model, "optimizer": self.optimizer, "recipe": self.running}
        file = io.BytesIO()
        torch.save({name: owner.state_dict() for name, owner in states.items()}, file)
        file.seek(0)
        return torch.load(file, weights_only=True)

    def load(self, state: dict[str, object]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.running.load_state_dict(state["recipe"])


Load = Callable[[str], Recipe]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(modifiers: str) -> Recipe:
        (tmp_path / "recipe.yaml").write_text(f"modifiers:\n{modifiers}")
        return load_recipe(tmp_path / "recipe.yaml")

    return load


def prune(kind: str = "MagnitudePruningModifier", **changes: object) -> str:
    fields = {"init_sparsity": 0.1, "final_sparsity": 0.75, "start_epoch": 1, "end_epoch": 3}
    fields |= {"update_frequency": 0.5, "params": "__ALL_PRUNABLE__"} | changes
    return f"  - !{kind}\n" + "".join(f"    {key}: {value}\n" for key, value in fields.items())


def cubic(time: float, initial: float, final: float, begin: float = 1, end: float = 3) -> float:
    """Zhu & Gupta 2017, equation 1, written down once more."""
    return final + (initial - final) * (1 - (time - begin) / (end - begin)) ** 3


def test_layers_follow_the_schedule_each(load: Load) -> None:
    run = Run(load(prune()))
    expected = 0.0
    for step in range(1, 4 * STEPS):
        run.step()
        if 1 <= step / STEPS <= 3 and step % 2 == 0:
            expected = cubic(step / STEPS, 0.1, 0.75)
        assert run.zeros("0.weight") == round(expected * 96)
        assert run.zeros("3.weight") == round(expected * 48)
    assert run.running.sparsity == 0.75
    assert run.zeros("0.bias") == run.zeros("1.weight") == 0


def test_a_global_pool_has_one_threshold(load: Load) -> None:
    run = Run(load(prune("GlobalMagnitudePruningModifier", start_epoch=0, end_epoch=1, update_frequency=1)))
    run.to(0.75)
    before = copy.deepcopy(run.model)
    run.to(1)
    assert run.running.sparsity == 0.75
    assert run.zeros("0.weight") + run.zeros("3.weight") == 108
    assert run.zeros("0.weight") / 96 != run.zeros("3.weight") / 48
    assert before.state_dict().keys() == run.model.state_dict().keys()


def test_a_start_at_zero_prunes_after_the_first_step(load: Load) -> None:
    run = Run(load(prune(start_epoch=-1, init_sparsity=0.5)))
    assert run.running.sparsity == 0
    run.step()
    assert run.running.sparsity == 0.5


def test_an_update_frequency_of_minus_one_is_each_step(load: Load) -> None:
    run = Run(load(prune(update_frequency=-1)))
    run.to(1)
    for step in range(STEPS + 1, 3 * STEPS + 1):
        run.step()
        assert run.zeros("0.weight") == round(cubic(step / STEPS, 0.1, 0.75) * 96)


def updates_of_sparseml(start: float, end: float, frequency: float, steps_per_epoch: int) -> list[int]:
    """The steps after which ScheduledUpdateModifier of sparseml 1.x is updated, by its own conditions."""
    updates, started, last, steps = [], False, -1.0, 0
    while True:
        epoch = float(steps // steps_per_epoch) + float(steps % steps_per_epoch) / float(steps_per_epoch)
        start_pending = not started and epoch >= start
        ended = started and epoch >= end
        due = started and epoch > start and (frequency == -1 or epoch >= last + frequency)
        if start_pending or ended or due:
            updates.append(steps)
            started, last = True, epoch
        if started and epoch >= end:
            return updates
        steps += 1


def test_updates_are_in_the_steps_of_sparseml() -> None:
    draw = random.Random(0)
    for _ in range(150):
        steps_per_epoch = draw.choice([1, 3, 7, 10, 33, 166])
        start = draw.choice([0.0, 1.0, 0.3, round(draw.uniform(0, 2), 2)])
        end = start + draw.choice([1.0, 0.7, round(draw.uniform(0.5, 4), 2)])
        frequency = draw.choice([-1.0, 0.1, 0.25, 0.5, 1.0, 0.05, round(draw.uniform(0.01, 2), 3)])
        every = 0.9 / steps_per_epoch if frequency == -1 else frequency
        schedule = SCHEDULES["cubic"](
            None, initial=0, final=1, begin=start, end=end, every=every, steps_per_epoch=steps_per_epoch
        )
        got = [round(time * steps_per_epoch) for time in schedule.update_times()]
        expected = updates_of_sparseml(start, end, frequency, steps_per_epoch)
        assert got == expected, (start, end, frequency, steps_per_epoch)


def test_an_update_between_steps_comes_with_the_next_step(load: Load) -> None:
    """Each is counted from the step in which the last one came: 0.3 epochs of 4 steps are always 2 steps."""
    run = Run(load(prune(start_epoch=0, end_epoch=2, update_frequency=0.3, init_sparsity=0)))
    seen = []
    for step in range(1, 2 * STEPS + 1):
        before = run.zeros("0.weight")
        run.step()
        if run.zeros("0.weight") != before:
            seen.append(step)
            assert run.zeros("0.weight") == round(cubic(step / STEPS, 0, 0.75, 0, 2) * 96)
    assert seen == [2, 4, 6, 8]


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(6, 8)
        self.up = nn.ConvTranspose1d(8, 8, 2)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)
        self.lstm = nn.LSTM(8, 4)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("__ALL_PRUNABLE__", {"embedding.weight", "up.weight", "head.weight"}),
        ("['head.bias', __ALL_PRUNABLE__]", {"embedding.weight", "up.weight", "head.weight"}),
        ("['re:.*weight$']", {"embedding.weight", "up.weight", "norm.weight", "head.weight"}),
        ("['re:head', 'lstm.weight_hh_l0']", {"head.weight", "head.bias", "lstm.weight_hh_l0"}),
        ("['re:ead']", None),
        ("__ALL__", {name for name, _ in Mixed().named_parameters()}),
    ],
)
@pytest.mark.filterwarnings("ignore::gmp.CoverageWarning")
def test_params_mean_what_they_mean_in_sparseml(load: Load, params: str, expected: set[str] | None) -> None:
    """Expressions match from the start of a name; __ALL__ and they mean biases and norms too."""
    model = Mixed()
    recipe = load(prune(params=params))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if expected is None:
        with pytest.raises(RecipeError):
            recipe.attach(model, optimizer, steps_per_epoch=STEPS)
    else:
        running = recipe.attach(model, optimizer, steps_per_epoch=STEPS)
        assert set(running.weights) == expected


def test_prunable_are_the_layers_of_transformers_too(load: Load) -> None:
    transformers = pytest.importorskip("transformers")
    model = nn.Sequential(transformers.pytorch_utils.Conv1D(3, 8))
    running = load(prune()).attach(model, torch.optim.SGD(model.parameters(), lr=0.1), steps_per_epoch=STEPS)
    assert running.weights == ("0.weight",)


def test_final_sparsities_by_name_start_together(load: Load) -> None:
    final = "{0.5: ['0.weight'], 0.75: ['re:.*weight']}"
    run = Run(load(prune(params="[]", final_sparsity=final)))
    run.to(2)
    assert run.zeros("0.weight") == round(cubic(2, 0.1, 0.5) * 96)
    assert run.zeros("3.weight") == round(cubic(2, 0.1, 0.75) * 48)
    run.to(3)
    assert (run.zeros("0.weight"), run.zeros("3.weight")) == (48, 36)


def test_from_param_starts_at_the_sparsity_that_is_there(load: Load) -> None:
    recipe = load(prune(init_sparsity="__FROM_PARAM__"))
    run = Run(load("  - !EpochRangeModifier {start_epoch: 0, end_epoch: 1}"))
    with torch.no_grad():
        run.model[0].weight[:6] = 0.0
    run.running = recipe.attach(run.model, run.optimizer, steps_per_epoch=STEPS)
    run.to(1)
    assert (run.zeros("0.weight"), run.zeros("3.weight")) == (48, 0)
    run.to(2)
    assert run.zeros("0.weight") == round(cubic(2, 0.5, 0.75) * 96)
    assert run.zeros("3.weight") == round(cubic(2, 0.0, 0.75) * 48)


def test_zeros_before_the_start_may_grow_back(load: Load) -> None:
    recipe = load(prune())
    run = Run(load("  - !EpochRangeModifier {start_epoch: 0, end_epoch: 1}"))
    nn.init.zeros_(run.model[3].weight)
    run.running = recipe.attach(run.model, run.optimizer, steps_per_epoch=STEPS)
    run.step()
    assert run.zeros("3.weight") == 0


def test_patterns_reach_the_pruner(load: Load) -> None:
    run = Run(load(prune(mask_type="'2:4'", final_sparsity=0.5)))
    run.to(3)
    groups = (run.model[0].weight != 0).reshape(-1, 4).sum(dim=1)
    assert groups.tolist() == [2] * 24


def test_masks_hold_after_the_end_or_are_released(load: Load) -> None:
    held, released = Run(load(prune())), Run(load(prune(leave_enabled="false")))
    for run in (held, released):
        run.to(3)
        assert run.running.sparsity == 0.75
        run.to(4)
    assert held.running.sparsity == 0.75
    assert released.running.sparsity == 0
    assert len(held.running.pruners) == 1
    assert released.running.pruners == ()


def test_one_stage_can_follow_another(load: Load) -> None:
    first = prune(final_sparsity=0.5, start_epoch=0, end_epoch=1)
    second = prune(init_sparsity=0.5, start_epoch=1, end_epoch=2)
    run = Run(load(first + second))
    run.to(1)
    assert run.running.sparsity == 0.5
    run.to(3)
    assert run.running.sparsity == 0.75


@pytest.mark.parametrize("turn", [1, -1])
def test_constant_pruning_holds_the_zeros_of_its_start(load: Load, turn: int) -> None:
    """Whichever stands first in the recipe: what another modifier prunes at that moment is held too."""
    first = prune(final_sparsity=0.5, start_epoch=0, end_epoch=1, leave_enabled="false")
    second = "  - !ConstantPruningModifier {params: 0.weight, start_epoch: 1, end_epoch: 2}\n"
    run = Run(load("".join([first, second][::turn])))
    run.to(1)
    assert (run.zeros("0.weight"), run.zeros("3.weight")) == (48, 24)
    run.to(2)
    assert (run.zeros("0.weight"), run.zeros("3.weight")) == (48, 0)
    run.to(3)
    assert run.zeros("0.weight") == 0


def test_constant_pruning_takes_what_training_has_emptied(load: Load) -> None:
    first = prune(final_sparsity=1.0, start_epoch=0, end_epoch=1)
    run = Run(load(first + "  - !ConstantPruningModifier {params: 3.weight, start_epoch: 1}\n"))
    with pytest.warns(PruningWarning, match=naming("0.weight 3.weight")):
        run.to(2)
    assert run.zeros("3.weight") == 48


def test_rates_are_those_of_the_step_to_come(load: Load) -> None:
    recipe = load(
        "  - !SetLearningRateModifier {learning_rate: 0.01}\n"
        "  - !LearningRateFunctionModifier\n"
        "    {lr_func: linear, init_lr: 0.2, final_lr: 0.1, start_epoch: 1, end_epoch: 2}\n"
        "  - !SetLearningRateModifier {learning_rate: 0.05, start_epoch: 3}\n"
        "  - !SetWeightDecayModifier {weight_decay: 0.5, start_epoch: 2}\n"
    )
    run = Run(recipe)
    (group,) = run.optimizer.param_groups
    seen = []
    for _ in range(14):
        seen.append((group["lr"], group["weight_decay"]))
        run.step()
    rates = [*[0.01] * 4, 0.2, 0.175, 0.15, 0.125, *[0.1] * 4, *[0.05] * 2]
    assert [rate for rate, _ in seen] == pytest.approx(rates)
    assert [decay for _, decay in seen] == [1e-2] * 8 + [0.5] * 6


def test_a_function_outranks_a_number_of_the_same_start(load: Load) -> None:
    function = "lr_func: linear, init_lr: 0.2, final_lr: 0.1, start_epoch: 0, end_epoch: 1"
    number = "learning_rate: 0.7, start_epoch: 0"
    recipe = load(
        f"  - !LearningRateFunctionModifier {{{function}}}\n  - !SetLearningRateModifier {{{number}}}\n"
    )
    assert Run(recipe).optimizer.param_groups[0]["lr"] == 0.2


def test_rates_of_parameter_groups(load: Load) -> None:
    recipe = load(
        "  - !SetLearningRateModifier {learning_rate: 0.01, param_groups: [1]}\n"
        "  - !SetLearningRateModifier {learning_rate: 0.02, param_groups: [2], start_epoch: 1}\n"
    )
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    optimizer = torch.optim.SGD([{"params": part.parameters()} for part in model], lr=0.1)
    running = recipe.attach(model, optimizer, steps_per_epoch=1)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.01, 0.1]
    running.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.01, 0.02]


def test_frozen_parameters_do_not_move_until_the_end(load: Load) -> None:
    frozen = (
        "  - !TrainableParamsModifier {params: ['re:0[.]'], trainable: false, start_epoch: 1, end_epoch: 2}\n"
    )
    run = Run(load(frozen))
    run.to(1)
    first, last = run.model[0].weight.clone(), run.model[3].weight.clone()
    run.to(2)
    assert torch.equal(run.model[0].weight, first)
    assert not torch.equal(run.model[3].weight, last)
    run.step()
    assert not torch.equal(run.model[0].weight, first)


def test_other_parameters_may_be_frozen_by_hand(load: Load) -> None:
    run = Run(load(prune() + "  - !TrainableParamsModifier {params: 1.bias, trainable: false}\n"))
    run.model[3].bias.requires_grad_(False)
    run.step()
    assert not run.model[3].bias.requires_grad
    assert not run.model[1].bias.requires_grad
    assert run.model[0].bias.requires_grad


def test_a_recipe_that_cannot_start_leaves_no_hooks(load: Load) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    recipe = load(prune(params="['0.weight']") + prune(params="['2.weight']"))
    with pytest.raises(RecipeError, match=naming("2.weight")):
        recipe.attach(model, torch.optim.SGD(model.parameters()), steps_per_epoch=1)
    assert not model[0].weight._post_accumulate_grad_hooks


MIXED = (
    prune("GlobalMagnitudePruningModifier", init_sparsity="__FROM_PARAM__", params="['0.weight']")
    + prune(params="['3.weight']", end_epoch=2, leave_enabled="false")
    + "  - !ConstantPruningModifier {params: 3.weight, start_epoch: 2, end_epoch: 3}\n"
    + "  - !LearningRateFunctionModifier\n"
    + "    {lr_func: cosine, init_lr: 0.2, final_lr: 0.1, start_epoch: 0, end_epoch: 4}\n"
    + "  - !TrainableParamsModifier {params: 1.bias, trainable: false, start_epoch: 1, end_epoch: 3}\n"
)


@pytest.mark.parametrize("step", [0, 5, 7, 8, 10, 12, 14])
def test_a_resumed_run_is_the_same_to_the_bit(load: Load, step: int) -> None:
    recipe = load(MIXED)
    straight, resumed = Run(recipe), Run(recipe)
    straight.to(step / STEPS)
    resumed.load(straight.state())
    for _ in range(16 - step):
        straight.step()
        resumed.step()
    assert resumed.running.sparsity == straight.running.sparsity
    states = straight.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_run_is_also_resumed_on_the_loaded_model(load: Load) -> None:
    recipe = load(MIXED)
    straight, resumed = Run(recipe), Run(load("  - !SetLearningRateModifier {learning_rate: 0.3}\n"))
    straight.to(1.75)
    state = straight.state()
    resumed.model.load_state_dict(state["model"])
    resumed.optimizer.load_state_dict(state["optimizer"])
    resumed.running = recipe.attach(resumed.model, resumed.optimizer, steps_per_epoch=STEPS)
    resumed.running.load_state_dict(state["recipe"])
    for run in (straight, resumed):
        run.to(4)
    assert torch.equal(straight.model[0].weight, resumed.model[0].weight)


def test_states_of_other_recipes_are_refused(load: Load) -> None:
    run = Run(load(prune()))
    with pytest.raises(RecipeError, match=naming("MagnitudePruningModifier 1 3 4")):
        Run(load(prune(end_epoch=4))).load(run.state())
    with pytest.raises(RecipeError, match="recipe"):
        Run(load(prune(final_sparsity=0.8))).load(run.state())
    with pytest.raises(RecipeError, match="modifiers"):
        Run(load(prune() + "  - !SetLearningRateModifier {learning_rate: 0.3}\n")).load(run.state())
    with pytest.raises(RecipeError, match=naming("state recipe modifiers pruning step")):
        run.running.load_state_dict({})
    other = load(prune()).attach(run.model, run.optimizer, steps_per_epoch=5)
    with pytest.raises(RecipeError, match=naming("saved run 4 5")):
        other.load_state_dict(run.running.state_dict())


def test_finalize_leaves_a_plain_model_with_zeros(load: Load) -> None:
    run = Run(load(prune()))
    run.to(3)
    run.running.finalize()
    assert run.running.sparsity == 0.75
    assert run.running.report().total.sparsity == 0.75
    assert run.running.pruners == ()
    run.model[0].weight.grad = None
    run.model(torch.eye(8)).square().sum().backward()
    assert bool((run.model[0].weight.grad[run.model[0].weight == 0] != 0).any())
    with pytest.raises(RecipeError, match=naming("recipe")):
        run.running.step()


@pytest.mark.parametrize(
    ("modifiers", "message"),
    [
        (prune(params="[fc.weight]"), "recipe.yaml:2 fc.weight"),
        (prune(params="['0.wieght']"), "0.weight"),
        (prune(params="['2.bias']"), "2.bias"),
        (prune(params="['re:conv']"), "re:conv"),
        (
            prune(final_sparsity=0.6, mask_type="'2:4'"),
            "recipe.yaml:2 MagnitudePruningModifier 0.6",
        ),
        (
            prune() + prune("GMPruningModifier", start_epoch=2, params="['re:3.weight']"),
            "GMPruningModifier 3.weight MagnitudePruningModifier",
        ),
        (
            "  - !SetLearningRateModifier {learning_rate: 1, param_groups: [1]}",
            "1",
        ),
        (
            "  - !TrainableParamsModifier {params: 0.wight, trainable: false}",
            "0.wight 0.weight",
        ),
    ],
)
def test_what_the_model_lacks_is_said_at_once(load: Load, modifiers: str, message: str) -> None:
    recipe = load(modifiers)
    with pytest.raises(PruningError) as caught:
        Run(recipe)
    assert names(caught.value, message)


@pytest.mark.parametrize("steps", [0, -1, 2.5, True])
def test_steps_per_epoch_are_counted(load: Load, steps: object) -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters())
    with pytest.raises(RecipeError, match=naming(f"steps_per_epoch {steps}")):
        load(prune()).attach(model, optimizer, steps_per_epoch=steps)  # type: ignore[arg-type]


def test_a_recipe_follows_an_optimizer(load: Load) -> None:
    with pytest.raises(PruningError, match=naming("NoneType torch.optim.Optimizer")):
        load(prune()).attach(nn.Linear(2, 2), None, steps_per_epoch=1)  # type: ignore[arg-type]
