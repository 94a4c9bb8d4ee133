"""Steps that an optimizer did not make are not counted, and copies of pruners go on like the original."""

from __future__ import annotations

import copy
import io
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

import gmp


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))


def scheduled(model, optimizer, **options):
    pruner = gmp.Pruner(model, optimizer, **options)
    return gmp.CubicSchedule(pruner, initial=0.05, final=0.9, begin=1, end=6, every=1, unit="step")


def backward(model, seed=0, factor=1.0):
    x = torch.randn(8, 16, generator=torch.Generator().manual_seed(seed))
    (factor * nn.functional.cross_entropy(model(x), torch.arange(8) % 3)).backward()


@pytest.mark.parametrize("options", [{}, {"fused": True}])
def test_steps_that_a_grad_scaler_skips_do_not_count(options):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, **options)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    schedule = scheduled(model, optimizer)
    for step, factor in enumerate([float("inf"), 1.0, float("inf"), float("inf"), 1.0]):
        optimizer.zero_grad()
        x = torch.randn(8, 16)
        loss = nn.functional.cross_entropy(model(x), torch.arange(8) % 3) * factor
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        assert schedule.step() == (factor == 1.0)
        assert schedule.steps_done == [0, 1, 1, 1, 2][step]
    assert schedule.sparsity == pytest.approx(schedule.sparsity_at(2), abs=0.003)


def test_passes_that_accumulate_gradients_do_not_count():
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    schedule = scheduled(model, optimizer)
    for micro in range(12):
        backward(model, micro)
        if micro % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
        schedule.step()
    assert schedule.steps_done == 3


def test_recipes_and_budgets_do_not_count_them(tmp_path: Path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "modifiers:\n- !GlobalMagnitudePruningModifier {init_sparsity: 0.05, final_sparsity: 0.9,\n"
        "    start_epoch: 0, end_epoch: 2, update_frequency: 0.5, params: ['0.weight', '2.weight']}\n"
        "- !SetLearningRateModifier {learning_rate: 0.1, start_epoch: 0}\n"
        "- !SetLearningRateModifier {learning_rate: 0.01, start_epoch: 1}\n"
    )
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    running = gmp.load_recipe(path).attach(model, optimizer, steps_per_epoch=2)
    rates = []
    for micro in range(8):
        backward(model, micro)
        if micro % 2:
            optimizer.step()
            optimizer.zero_grad()
        running.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert running.steps_done == 4
    assert rates == [0.1] * 3 + [0.01] * 5
    assert running.sparsity == pytest.approx(0.9, abs=0.003)
    running.finalize()
    assert not optimizer._optimizer_step_post_hooks


def test_a_loop_without_training_counts_its_passes():
    model = net()
    schedule = scheduled(model, torch.optim.SGD(model.parameters(), 0.1))
    for _ in range(6):
        schedule.step()
    assert schedule.ended


def test_several_optimizers():
    model = net()
    optimizers = [torch.optim.SGD(part.parameters(), 0.1, momentum=0.9) for part in (model[0], model[2])]
    schedule = scheduled(model, optimizers)
    for step in range(8):  # each steps every other time
        backward(model, step)
        optimizers[step % 2].step()
        model.zero_grad()
        schedule.step()
    assert schedule.ended
    for optimizer, name in zip(optimizers, ("0.weight", "2.weight"), strict=True):
        gone = ~schedule.pruner.masks[name]
        weight = model.get_parameter(name)
        assert gone.any()
        assert not optimizer.state[weight]["momentum_buffer"][gone].any()


def trained_on(schedule, steps):
    pruner = schedule.pruner
    for step in range(steps):
        pruner.optimizer.zero_grad()
        backward(pruner.model, 10 + step)
        pruner.optimizer.step()
        schedule.step()
    return [weight.detach().clone() for weight in pruner.model.parameters()]


def pickled(thing):
    buffer = io.BytesIO()
    torch.save(thing, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


@pytest.mark.parametrize("score", ["magnitude", "movement"])
@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x)), pickled])
def test_copies_go_on_like_the_original(twin_of, score):
    model = net()
    schedule = scheduled(model, torch.optim.Adam(model.parameters(), 0.01), score=score)
    trained_on(schedule, 3)
    twin = twin_of(schedule)
    assert twin.pruner.model is not model
    assert twin.pruner.goal is twin
    weight = twin.pruner.model[0].weight
    gone = ~twin.pruner.masks["0.weight"]
    backward(twin.pruner.model)
    assert gone.any()
    assert not weight.grad[gone].any()  # its hooks are there
    twin.pruner.optimizer.zero_grad()
    for one, other in zip(trained_on(schedule, 4), trained_on(twin, 4), strict=True):
        assert torch.equal(one, other)
    assert twin.ended
    assert twin.pruner.report().coverage == schedule.pruner.report().coverage
    twin.pruner.finalize()
    backward(twin.pruner.model)
    assert weight.grad[~twin.pruner.masks["0.weight"]].any()
    backward(model)
    assert not model[0].weight.grad[~schedule.pruner.masks["0.weight"]].any()  # the original keeps its own


def test_finalized_pruners_are_copied_without_hooks():
    model = net()
    pruner = gmp.Pruner(model)
    pruner.prune(0.5)
    pruner.finalize()
    twin = copy.deepcopy(pruner)
    backward(twin.model)
    assert twin.model[0].weight.grad[~twin.masks["0.weight"]].any()


class Adapted(nn.Module):
    """A frozen layer with a trained adapter, as in LoRA."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.base, self.a, self.b = nn.Linear(16, 12), nn.Linear(16, 2, bias=False), nn.Linear(2, 12)
        nn.init.zeros_(self.b.weight)
        self.base.requires_grad_(False)

    def forward(self, x):
        return self.base(x) + self.b(self.a(x))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ("base.weight", "a.weight", "b.weight")),
        ({"targets": "base"}, ("base.weight",)),
        ({"ignore": lambda name, module: module.weight.requires_grad}, ("base.weight",)),
        ({"ignore": lambda name, module: not module.weight.requires_grad}, ("a.weight", "b.weight")),
    ],
)
def test_frozen_weights_with_trained_adapters(options, names):
    model = Adapted()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    schedule = scheduled(model, optimizer, **options)
    assert schedule.pruner.names == names
    bias = model.base.bias.clone()
    for step in range(6):
        backward(model, step)
        if step != 2:  # skipped
            optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    assert schedule.steps_done == 5
    assert schedule.sparsity == pytest.approx(schedule.sparsity_at(5), abs=0.02)
    assert torch.equal(model.base.bias, bias)
    assert bool((model.base.weight == 0).any()) == ("base.weight" in names)
    assert model.b.weight.any()
