"""What is selected, and what it is worth."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from support.named import names
from torch import nn

import gmp
from gmp.scores import evaluate


def network():
    torch.manual_seed(0)
    block = OrderedDict(conv=nn.Conv2d(3, 8, 1), norm=nn.BatchNorm2d(8), other=nn.Conv2d(8, 8, 3))
    return nn.Sequential(OrderedDict(block=nn.Sequential(block), fc1=nn.Linear(8, 6), fc2=nn.Linear(6, 4)))


ALL = ["block.conv.weight", "block.other.weight", "fc1.weight", "fc2.weight"]


@pytest.mark.parametrize(
    ("targets", "ignore", "names"),
    [
        ((nn.Linear, nn.Conv2d), (), ALL),
        (nn.Linear, (), ALL[2:]),
        (nn.Module, nn.BatchNorm2d, ALL),
        ("fc2", (), ALL[3:]),
        (["fc2.weight", "block.conv"], (), [ALL[0], ALL[3]]),
        ("block.norm", (), ["block.norm.weight"]),
        (r"re:block\..*", (), ALL[:2]),
        (r"re:fc\d", "fc1", ALL[3:]),
        (lambda name, module: name.endswith("1") or getattr(module, "out_channels", 0) == 8, (), ALL[:3]),
        (["re:.*"], ["re:.*conv.*", nn.Linear], ALL[1:2]),
        (nn.Linear, nn.Embedding, ALL[2:]),
    ],
)
def test_targets_and_ignore(targets, ignore, names):
    chosen = gmp.select(network(), targets, ignore)
    assert [target.name for target in chosen] == names
    assert all(target.module.weight is target.weight for target in chosen)


def test_a_model_that_is_one_layer():
    assert gmp.Pruner(nn.Linear(2, 2)).names == ("weight",)


def test_a_predicate_sees_names_and_modules():
    seen = {}
    gmp.select(network(), lambda name, module: bool(seen.setdefault(name, type(module).__name__)))
    assert seen == {"block.conv": "Conv2d", "block.other": "Conv2d", "fc1": "Linear", "fc2": "Linear"}


def test_scores_by_hand():
    weight = nn.Parameter(torch.tensor([[1.0, -2.0], [3.0, -4.0]]))
    weight.grad = torch.tensor([[5.0, 6.0], [-7.0, 0.5]])
    assert evaluate(gmp.magnitude, "w", weight).tolist() == [[1, 2], [3, 4]]
    assert evaluate(gmp.taylor, "w", weight).tolist() == [[5, 12], [21, 2]]
    movement = gmp.Movement()
    with pytest.raises(gmp.PruningError) as caught:
        evaluate(movement, "w", weight)
    assert names(caught.value, "movement w")
    movement.add("w", weight.detach() * weight.grad)
    movement.add("w", (weight.detach() + 1) * weight.grad)
    assert evaluate(movement, "w", weight).tolist() == [[-15, 18], [49, 3.5]]


def test_products_of_halves_do_not_underflow():
    weight = nn.Parameter(torch.tensor([[1e-4, 2e-4]], dtype=torch.float16))
    weight.grad = torch.tensor([[1e-4, 1e-4]], dtype=torch.float16)
    scores = evaluate(gmp.taylor, "w", weight)
    assert 0 < scores[0, 0] < scores[0, 1]


def test_movement_counts_each_step_once():
    model = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    pruner = gmp.Pruner(model, optimizer, score="movement")
    expected = torch.zeros(1, 2)
    for step in range(3):
        optimizer.zero_grad()
        for x in ([1.0, step], [step, -1.0]):  # two passes a step
            model(torch.tensor([x])).sum().backward()
        expected -= (model.weight * model.weight.grad).detach()
        optimizer.step()
    assert torch.equal(pruner.score.totals["weight"], expected)
    pruner.prune(0.5)
    assert pruner.masks["weight"][0].tolist() == (expected == expected.max())[0].tolist()


def test_public_names():
    assert gmp.__all__ == sorted(gmp.__all__)
    assert all(hasattr(gmp, name) for name in gmp.__all__)
