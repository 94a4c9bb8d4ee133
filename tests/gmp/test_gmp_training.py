"""Pruning during training: optimizer state, gradients, resume, copies, mixed precision, shared weights."""

from __future__ import annotations

import copy
import io
import sys
from types import SimpleNamespace

import pytest
import torch
from support.named import naming
from torch import nn
from torch.nn import functional

import gmp

OPTIMIZERS = {
    "momentum": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01),
    "Adam": lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.01, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.9, centered=True),
}


class Net(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.conv = nn.Conv1d(3, 8, 1)
        self.norm = nn.BatchNorm1d(8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        return self.fc(functional.relu(self.norm(self.conv(x))).amax(-1))


def batch(step):
    generator = torch.Generator().manual_seed(1000 + step)
    return torch.randn(6, 3, 5, generator=generator), torch.arange(6) % 4


def backward(model, step):
    x, y = batch(step)
    functional.cross_entropy(model(x), y).backward()


def train(model, optimizer, steps, schedule=None):
    for step in steps:
        optimizer.zero_grad()
        backward(model, step)
        optimizer.step()
        if schedule:
            schedule.step()


def states_at_pruned(pruner):
    """Everything that must be zero: weights, gradients and averages where masks are False."""
    for name, live in pruner.masks.items():
        weight = pruner.model.get_parameter(name)
        tensors = [weight, *pruner.optimizer.state[weight].values()]
        tensors += [] if weight.grad is None else [weight.grad]
        yield from (t[~live] for t in tensors if t.shape == weight.shape)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_pruned_weights_gradients_and_averages_stay_zero_without_apply(kind):
    model = Net()
    optimizer = OPTIMIZERS[kind](model.parameters())
    train(model, optimizer, range(3))
    pruner = gmp.Pruner(model, optimizer)
    pruner.prune(0.5)
    live = [w.detach().clone() for w in model.parameters()]
    train(model, optimizer, range(3, 6))
    values = list(states_at_pruned(pruner))
    assert len(values) >= 6
    assert all(not v.any() for v in values)
    assert all(not torch.equal(a, b) for a, b in zip(live, model.parameters(), strict=True))


def test_apply_clears_what_an_unknown_optimizer_moved():
    model = Net()
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    train(model, optimizer, range(3))
    pruner = gmp.Pruner(model)
    pruner.prune(0.5)
    train(model, optimizer, range(3, 4))
    pruned = torch.cat([model.get_parameter(n)[~live] for n, live in pruner.masks.items()])
    assert pruned.any()
    pruner.apply()
    assert all(not model.get_parameter(n)[~live].any() for n, live in pruner.masks.items())


def test_clipping_sees_the_norm_of_what_is_left():
    model, twin = Net(), Net()
    pruner = gmp.Pruner(model)
    pruner.prune(0.7)
    gmp.apply_masks(twin, pruner.masks)
    backward(model, 0)
    backward(twin, 0)
    full = nn.utils.get_total_norm([p.grad for p in twin.parameters()])
    for name, live in pruner.masks.items():
        twin.get_parameter(name).grad.mul_(live)
    expected = nn.utils.get_total_norm([p.grad for p in twin.parameters()])
    assert nn.utils.clip_grad_norm_(model.parameters(), 1.0) == expected
    assert expected < full


def test_accumulated_gradients_are_those_of_the_live_weights():
    model, twin = Net().eval(), Net().eval()
    pruner = gmp.Pruner(model)
    pruner.prune(0.5)
    gmp.apply_masks(twin, pruner.masks)
    for step in range(3):
        backward(model, step)
        backward(twin, step)
    for name, live in pruner.masks.items():
        expected = twin.get_parameter(name).grad
        assert expected[~live].any()
        assert torch.equal(model.get_parameter(name).grad, expected * live)


def run(kind, score, split):
    """Train 10 steps; with `split`, save everything after some and go on in new objects."""

    def new(seed):
        model = Net(seed)
        optimizer = OPTIMIZERS[kind](model.parameters())
        pruner = gmp.Pruner(model, optimizer, score=score)
        schedule = gmp.CubicSchedule(
            pruner, initial=0.1, final=0.8, begin=0.5, end=2, every=0.5, steps_per_epoch=4
        )
        return model, optimizer, schedule

    model, optimizer, schedule = new(seed=0)
    train(model, optimizer, range(split), schedule)
    file = io.BytesIO()
    torch.save([part.state_dict() for part in (model, optimizer, schedule)], file)
    if split < 10:
        file.seek(0)
        model, optimizer, schedule = new(seed=1)
        for part, state in zip(
            (model, optimizer, schedule), torch.load(file, weights_only=True), strict=True
        ):
            part.load_state_dict(state)
    train(model, optimizer, range(split, 10), schedule)
    return model, schedule


@pytest.mark.parametrize("score", ["magnitude", "taylor", "movement"])
@pytest.mark.parametrize("kind", ["momentum", "Adam"])
def test_a_resumed_run_is_bit_equal(kind, score):
    straight, schedule = run(kind, score, split=10)
    for split in (1, 5, 8):
        resumed, other = run(kind, score, split)
        pairs = zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
        assert other.steps_done == schedule.steps_done == 10
        assert other.pruner.sparsity == schedule.pruner.sparsity == pytest.approx(0.8, abs=0.01)


def test_a_saved_state_is_small():
    model = nn.Linear(64, 64)
    pruner = gmp.Pruner(model)
    pruner.prune(0.5)
    saved = pruner.state_dict()["masks"]["weight"]
    assert saved["bits"].dtype == torch.uint8
    assert len(saved["bits"]) == 64 * 64 // 8


def test_the_model_keeps_its_names_and_can_be_copied_and_pickled():
    model = Net()
    keys = list(model.state_dict())
    pruner = gmp.Pruner(model)
    pruner.prune(0.5)
    assert list(model.state_dict()) == keys
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for other in (copy.deepcopy(model), torch.load(file, weights_only=False)):
        assert list(other.state_dict()) == keys
        backward(other, 0)
        assert other.conv.weight.grad[~pruner.masks["conv.weight"]].any()


def test_an_emptied_layer_is_resumed_and_averages_take_masks():
    def build():
        model = Net()
        nn.init.uniform_(model.fc.weight, 0.001, 0.002)
        optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
        return model, optimizer, gmp.ConstantSchedule(gmp.Pruner(model, optimizer), final=0.7, unit="step")

    model, optimizer, schedule = build()
    average = torch.optim.swa_utils.AveragedModel(model)
    with pytest.warns(gmp.PruningWarning, match=naming("fc.weight")):
        train(model, optimizer, range(3), schedule)
    assert not model.fc.weight.any()
    average.update_parameters(model)
    saved = io.BytesIO()
    torch.save([part.state_dict() for part in (model, optimizer, schedule)], saved)
    saved.seek(0)
    others = build()
    for part, state in zip(others, torch.load(saved, weights_only=True), strict=True):
        part.load_state_dict(state)
    train(model, optimizer, range(3, 5), schedule)
    train(others[0], others[1], range(3, 5), others[2])
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), others[0].parameters(), strict=True))
    average.module.fc.weight.data += 0.1
    gmp.apply_masks(average.module, schedule.pruner.masks)
    assert not average.module.fc.weight.any()
    assert gmp.report_of(average.module, schedule.pruner.masks).sparsity == schedule.sparsity


def test_finalize_leaves_zeros_and_no_hooks():
    model = Net()
    pruner, second = gmp.Pruner(model), gmp.Pruner(model, targets="fc")
    pruner.prune(0.5)
    second.prune(0.75)
    pruner.finalize()
    pruner.finalize()
    assert sum(int((w == 0).sum()) for w in (model.conv.weight, model.fc.weight)) >= 28
    backward(model, 0)
    assert model.conv.weight.grad[~pruner.masks["conv.weight"]].any()
    assert not model.fc.weight.grad[~second.masks["fc.weight"]].any()
    second.finalize()
    backward(model, 0)
    assert model.fc.weight.grad[~second.masks["fc.weight"]].any()
    for act in (lambda: pruner.prune(0.9), pruner.apply, lambda: pruner.load_state_dict({})):
        with pytest.raises(gmp.PruningError, match=naming("pruner")):
            act()


def test_a_second_pruner_goes_on_from_the_zeros_of_the_first():
    model = Net()
    gmp.Pruner(model).prune(0.5)
    second = gmp.Pruner(model)
    assert second.sparsity == 0.5
    second.prune(0.25)
    assert second.sparsity == 0.5


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(6, 6), nn.Linear(6, 6)
        self.outer.weight = self.inner.weight


def test_a_shared_weight_is_pruned_once():
    model = Tied()
    pruner = gmp.Pruner(model)
    pruner.prune(0.5)
    assert pruner.names == ("inner.weight",)
    assert int((model.outer.weight == 0).sum()) == 18
    assert gmp.Pruner(model, targets="outer").names == ("outer.weight",)
    with pytest.raises(gmp.PruningError, match=naming("targets ignore")):
        gmp.Pruner(model, ignore="outer")


def test_frozen_weights_are_pruned_and_may_thaw():
    model = Net().requires_grad_(False)
    pruner = gmp.Pruner(model)
    pruner.prune(0.5)
    assert pruner.sparsity == 0.5
    model.requires_grad_(True)
    pruner.apply()
    backward(model, 0)
    assert not model.fc.weight.grad[~pruner.masks["fc.weight"]].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions(dtype):
    model = Net().to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    pruner = gmp.Pruner(model, optimizer)
    for sparsity in (0.3, 0.8):
        for weight in model.parameters():
            weight.grad = torch.ones_like(weight)
        optimizer.step()
        pruner.prune(sparsity)
        zeros = sum(int((model.get_parameter(n) == 0).sum()) for n in pruner.names)
        assert zeros == round(sparsity * 56)
        model.zero_grad()
        values = list(states_at_pruned(pruner))
        assert len(values) == 4
        assert all(not v.any() for v in values)


def test_a_model_may_change_precision_and_parameters_after_the_pruner_was_made():
    model = Net()
    pruner = gmp.Pruner(model)
    pruner.prune(0.5)
    model.double()
    model.fc.weight = nn.Parameter(torch.ones(4, 8, dtype=torch.float64))
    pruner.apply()
    assert int((model.fc.weight == 0).sum()) == int((~pruner.masks["fc.weight"]).sum()) > 0
    model(batch(0)[0].double()).sum().backward()
    assert not model.fc.weight.grad[~pruner.masks["fc.weight"]].any()


def test_scaled_losses_with_steps_left_out():
    """As mixed precision does it: an overflown step is skipped, pruning goes on."""
    model = Net()
    optimizer = OPTIMIZERS["Adam"](model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    pruner = gmp.Pruner(model, optimizer)
    schedule = gmp.LinearSchedule(pruner, initial=0.1, final=0.6, begin=0, end=4, every=1, unit="step")
    for step in range(6):
        optimizer.zero_grad()
        x, y = batch(step)
        with torch.autocast("cpu", torch.bfloat16):
            loss = functional.cross_entropy(model(x), y)
        scaler.scale(loss * (torch.inf if step == 2 else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()
        schedule.step()
    assert pruner.sparsity == pytest.approx(0.6, abs=0.01)
    assert all(bool(w.isfinite().all()) for w in model.parameters())
    assert all(not model.get_parameter(n)[~live].any() for n, live in pruner.masks.items())


def test_one_shot_prunes_for_good_and_reports(monkeypatch):
    reported = SimpleNamespace(report_of=lambda model, masks, extra, **_: (model, dict(masks), extra))
    monkeypatch.setitem(sys.modules, "gmp.sparsity_report", reported)
    model = Net()
    same, masks, extra = gmp.one_shot(model, 0.5, scope="layer", pattern="2:4", ignore="conv")
    assert same is model
    assert extra is None
    assert torch.equal(masks["fc.weight"], model.fc.weight != 0)
    assert int(masks["fc.weight"].sum()) == 16
    backward(model, 0)
    assert bool(model.fc.weight.grad.all())
