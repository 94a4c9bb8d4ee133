"""The score `movement` sees the gradient of every step once, in true units, however the step is made."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

import gmp

STEPS = (1, 2, 3)  # the gradient of step k is k everywhere


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))


def loss_of(model, k):
    return k * sum(weight.sum() for weight in model.parameters())


def seen(pruner):
    """Sum of the gradients that the score counted; nan where they are not alike in all weights."""
    ratios = torch.cat(
        [(total / -pruner._weight(n).detach()).flatten() for n, total in pruner.score.totals.items()]
    )
    return float(ratios.mean()) if torch.allclose(ratios, ratios.mean()) else float("nan")


class LookAlike(Optimizer):
    """A wrapper as Accelerate's: an Optimizer by type that was never initialised as one."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    state = property(lambda self: self.optimizer.state)
    param_groups = property(lambda self: self.optimizer.param_groups)

    def step(self, closure=None):
        return self.optimizer.step(closure)

    def zero_grad(self, set_to_none=True):
        self.optimizer.zero_grad(set_to_none)


class Warmup:
    """A wrapper that is no Optimizer: it sets the rate, and steps."""

    def __init__(self, optimizer):
        self._optimizer = optimizer

    def step(self):
        for group in self._optimizer.param_groups:
            group["lr"] = 0.0
        self._optimizer.step()

    def zero_grad(self):
        self._optimizer.zero_grad()


class Twice(SGD):
    """Runs the hooks of steps twice: its own step has them, and its parent's."""

    def step(self, closure=None):
        return super().step(closure)


def plainly(model, optimizer, k, *, set_to_none=True):
    loss_of(model, k).backward()
    optimizer.step()
    optimizer.zero_grad(**({} if set_to_none else {"set_to_none": False}))


def accumulated(model, optimizer, k):
    optimizer.zero_grad()
    for part in (0.25, 0.5, 0.25):
        loss_of(model, k * part).backward()
    optimizer.step()


def by_closure(model, optimizer, k, *, named=False):
    def closure():
        optimizer.zero_grad()
        loss = loss_of(model, k)
        loss.backward()
        return loss

    loss = optimizer.step(closure=closure) if named else optimizer.step(closure)
    assert float(loss.detach()) == float(loss_of(model, k).detach())


def scaled(model, optimizer, k, *, unscale=False, overflow=False):
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for factor in (torch.inf, 1.0) if overflow else (1.0,):
        scaler.scale(loss_of(model, k) * factor).backward()
        if unscale:
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()


def sgd(model, **options):
    return SGD(model.parameters(), lr=0.0, **options)


WAYS = {
    "plain": (sgd, plainly),
    "gradients zeroed, not dropped": (sgd, lambda *a: plainly(*a, set_to_none=False)),
    "accumulated": (sgd, accumulated),
    "closure": (sgd, by_closure),
    "closure by name": (sgd, lambda *a: by_closure(*a, named=True)),
    "LBFGS": (lambda m: torch.optim.LBFGS(m.parameters(), lr=0.0, max_iter=1), by_closure),
    "scaler": (sgd, scaled),
    "scaler, skipped steps": (sgd, lambda *a: scaled(*a, overflow=True)),
    "scaler, fused": (lambda m: sgd(m, fused=True), scaled),
    "scaler, fused, unscaled before": (lambda m: sgd(m, fused=True), lambda *a: scaled(*a, unscale=True)),
    "scaler, fused, skipped steps": (
        lambda m: sgd(m, fused=True),
        lambda *a: scaled(*a, overflow=True),
    ),
    "scaler, fused, unscaled, skipped": (
        lambda m: AdamW(m.parameters(), lr=0.0, weight_decay=0.0, fused=True),
        lambda *a: scaled(*a, unscale=True, overflow=True),
    ),
    "fused alone": (lambda m: Adam(m.parameters(), lr=0.0, fused=True), plainly),
    "wrapper": (lambda m: LookAlike(sgd(m)), plainly),
    "wrapper, closure": (lambda m: LookAlike(sgd(m)), by_closure),
    "wrapper of a wrapper": (lambda m: LookAlike(LookAlike(sgd(m))), plainly),
    "wrapper that is no Optimizer": (lambda m: Warmup(sgd(m)), plainly),
    "step calls the parent's": (lambda m: Twice(m.parameters(), lr=0.0), plainly),
    "closure, step calls the parent's": (lambda m: Twice(m.parameters(), lr=0.0), by_closure),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_step_counts_once(way):
    make, step = WAYS[way]
    model = network()
    optimizer = make(model)
    pruner = gmp.Pruner(model, optimizer, score="movement")
    for k in STEPS:
        step(model, optimizer, k)
    assert seen(pruner) == pytest.approx(sum(STEPS))
    pruner.prune(0.5)
    pruner.finalize()
    step(model, optimizer, 1)  # no hook is left
    assert pruner.sparsity == 0.5


def test_schedulers_that_wrap_the_step_change_nothing():
    model = network()
    optimizer = sgd(model)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    pruner = gmp.Pruner(model, optimizer, score="movement")
    for k in STEPS:
        plainly(model, optimizer, k)
        scheduler.step()
    assert seen(pruner) == sum(STEPS)


def test_every_evaluation_of_a_closure_counts():
    model = network()
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
    pruner = gmp.Pruner(model, optimizer, score="movement")
    expected = {name: torch.zeros_like(weight) for name, weight in model.named_parameters()}

    def closure():
        optimizer.zero_grad()
        loss = sum((weight**2).sum() for weight in model.parameters())
        loss.backward()
        for name, weight in model.named_parameters():
            expected[name] -= (weight * weight.grad).detach()
        return loss

    optimizer.step(closure)
    assert all(torch.allclose(pruner.score.totals[name], expected[name]) for name in expected)


def test_several_optimizers_each_for_its_weights():
    model = network()
    first, second = (SGD(layer.parameters(), lr=0.0) for layer in model)
    pruner = gmp.Pruner(model, [first, LookAlike(second)], score="movement")
    for k in STEPS:
        loss_of(model, k).backward()
        first.step()
        if k == 3:
            second.step()
        model.zero_grad()
    totals = {
        name: float((t / -pruner._weight(name).detach()).mean()) for name, t in pruner.score.totals.items()
    }
    assert totals == pytest.approx({"0.weight": 6.0, "1.weight": 3.0})


def test_momenta_of_several_optimizers_are_cleared():
    model = network()
    optimizers = [SGD(layer.parameters(), 0.1, momentum=0.9) for layer in model]
    pruner = gmp.Pruner(model, optimizers)
    loss_of(model, 1).backward()
    for optimizer in optimizers:
        optimizer.step()
    pruner.prune(0.5)
    for optimizer, mask in zip(optimizers, pruner.masks.values(), strict=True):
        ((state,),) = [optimizer.state.values()]
        assert not state["momentum_buffer"][~mask].any()


def test_a_step_that_raises_does_not_count():
    model = network()
    optimizer = sgd(model)
    pruner = gmp.Pruner(model, optimizer, score="movement")

    def closure():
        loss_of(model, 5).backward()
        raise KeyError("no data")

    with pytest.raises(KeyError):
        optimizer.step(closure)
    model.zero_grad()
    plainly(model, optimizer, 1)
    assert seen(pruner) == 1


def refused(act, *args, **options):
    with pytest.raises(gmp.PruningError) as caught:
        act(*args, **options)
    return str(caught.value)


class NoHooks(LookAlike):
    """Steps by itself, with no optimizer inside."""

    def __init__(self, parameters):
        self._groups = [{"params": list(parameters)}]

    state = property(lambda self: {})
    param_groups = property(lambda self: self._groups)


def test_steps_that_cannot_be_followed_are_refused_at_once():
    model = network()
    optimizer = NoHooks(model.parameters())
    assert "NoHooks" in refused(gmp.Pruner, model, optimizer, score="movement")
    gmp.Pruner(model, optimizer)  # magnitudes need no steps
    assert "list of optimizers is empty" in refused(gmp.Pruner, model, [])


def test_weights_without_a_gradient_are_named_when_masks_change():
    model = network()
    optimizer = SGD(model[0].parameters(), lr=0.0)
    pruner = gmp.Pruner(model, optimizer, score="movement")
    assert "'0.weight'" in refused(pruner.prune, 0.5)
    plainly(model, optimizer, 1)
    assert "'1.weight'" in refused(pruner.prune, 0.5)  # which no optimizer holds
    assert pruner.sparsity == 0


@pytest.mark.parametrize("overflow", [torch.inf, torch.nan])
def test_steps_that_were_all_skipped_say_nothing(overflow):
    model = network()
    optimizer = sgd(model, fused=True)
    pruner = gmp.Pruner(model, optimizer, score="movement")
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    scaler.scale(loss_of(model, 1) * overflow).backward()
    scaler.step(optimizer)
    assert "scores of all weights are zero" in refused(pruner.prune, 0.5)


@pytest.mark.parametrize("score", ["movement", "taylor"])
def test_gradients_that_were_zeroed_say_nothing(score):
    model = network()
    optimizer = sgd(model)
    pruner = gmp.Pruner(model, optimizer, score=score)
    loss_of(model, 1).backward()
    optimizer.zero_grad(set_to_none=False)
    optimizer.step()
    assert "scores of all weights are zero" in refused(pruner.prune, 0.5)


def test_a_scaler_that_the_optimizer_itself_unscales_by_is_refused():
    class Old(SGD):
        def step(self, closure=None, *, grad_scaler=None):
            return super().step(closure)

    model = network()
    optimizer = Old(model.parameters(), lr=0.0)
    gmp.Pruner(model, optimizer, score="movement")
    loss_of(model, 1).backward()
    assert "grad_scaler" in refused(optimizer.step, grad_scaler=torch.amp.GradScaler("cpu"))
