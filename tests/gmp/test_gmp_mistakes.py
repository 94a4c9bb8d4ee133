"""The sentences of what is refused, and that nothing is pruned then."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import gmp


def network():
    torch.manual_seed(0)
    block = nn.Sequential()
    block.add_module("conv", nn.Conv2d(3, 8, 1))
    block.add_module("norm", nn.BatchNorm2d(8))
    model = nn.Sequential()
    for name, module in [("block", block), ("fc1", nn.Linear(8, 6)), ("fc2", nn.Linear(6, 4))]:
        model.add_module(name, module)
    return model


def weight_normed():
    model = network()
    parametrizations.weight_norm(model.fc1)
    return model


def lazy():
    return nn.Sequential(nn.LazyLinear(3))


NAMES = "block.conv, block.conv.weight, block.norm, block.norm.weight, fc1, fc1.weight, fc2, fc2.weight"
NUMBER = "it must be a number from 0 to 1"
MATCHERS = "is not a module type, a name, 're:' with an expression, or a predicate"
STRANGER = torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1)

OPTIONS = [
    ({"targets": "fc3"}, "targets: 'fc3' meets no module or parameter (did you mean 'fc2'?)"),
    ({"ignore": "re:x+"}, f"ignore: 're:x+' meets no module or parameter (known: {NAMES})"),
    (
        {"ignore": "re:("},
        "'re:(' is not a regular expression: missing ), unterminated subpattern at position 0",
    ),
    ({"targets": 3}, f"targets: 3 {MATCHERS}"),
    ({"targets": [int]}, f"targets: <class 'int'> {MATCHERS}"),
    ({"ignore": nn.Module}, "nothing to prune: no weight of the model is met by targets and not by ignore"),
    ({"ignore": [nn.Linear(2, 2)]}, f"ignore: a Linear {MATCHERS}"),
    ({"ignore": [nn.Parameter(torch.ones(2))]}, f"ignore: a Parameter {MATCHERS}"),
    ({"optimizer": "SGD"}, "the optimizer is a str, not a torch.optim.Optimizer"),
    (
        {"optimizer": STRANGER},
        "the optimizer holds none of the prunable weights; was it made for another model?",
    ),
    ({"score": "magnitud"}, "unknown score 'magnitud' (did you mean 'magnitude'?)"),
    ({"score": 3}, "unknown score 3 (known: magnitude, lamp, taylor, movement)"),
    ({"score": "movement"}, "the score 'movement' needs the optimizer, whose steps it follows"),
    ({"pattern": "4:2"}, "the pattern '4:2' keeps 4 of 2; n:m needs 0 < n < m"),
    ({"pattern": "block(0,2)"}, "the pattern 'block(0,2)' is empty; its sizes must be at least 1"),
    ({"pattern": "kernels"}, "unknown pattern 'kernels' (did you mean 'kernel'?)"),
    (
        {"pattern": "?"},
        "unknown pattern '?' (known: 1x1, 2:4, block(4,1), vector(4), kernel, channel)",
    ),
    (
        {"scope": "globally"},
        "unknown scope 'globally' (did you mean 'global'?); it can also be sparsities by name",
    ),
    ({"scope": {"fc3": 0.5}}, "scope: 'fc3' meets no prunable weight (did you mean 'fc2'?)"),
    ({"scope": {"fc1": 1.2}}, f"scope of 'fc1.weight' is 1.2; {NUMBER}"),
    ({"scope": {3: 1.2}}, "scope: keys are names of weights, not 3"),
    (
        {"scope": {"fc1": 0.7}, "pattern": "2:4"},
        "scope asks for a sparsity of 0.7 of 'fc1.weight'; pattern and min_density allow at most 0.5",
    ),
    ({"min_density": -0.1}, f"min_density of 'block.conv.weight' is -0.1; {NUMBER}"),
    ({"min_density": {"fc1": "x"}}, f"min_density of 'fc1.weight' is 'x'; {NUMBER}"),
]

MODELS = [
    (
        weight_normed,
        "'fc1.weight' is not a parameter but computed from others; remove the parametrization of 'fc1' first",
    ),
    (lazy, "'0.weight' has no shape yet; run one batch through the model first"),
    (
        lambda: nn.Linear(3, 3, dtype=torch.complex64),
        "'weight' is complex64 of shape (3, 3), strided; only strided floating-point weights with elements "
        "can be pruned",
    ),
    (list, "the model is a list, not a torch.nn.Module"),
    (nn.ReLU, "nothing to prune: no weight of the model is met by targets and not by ignore"),
]

REACH = "cannot be reached: pattern, scope and min_density allow at most"
SPARSITIES = [
    ({}, 1.01, f"the sparsity is 1.01; {NUMBER}"),
    ({}, float("nan"), f"the sparsity is nan; {NUMBER}"),
    ({}, "0.5", f"the sparsity is '0.5'; {NUMBER}"),
    ({"pattern": "1:4"}, 0.8, f"the sparsity 0.8 {REACH} 0.75"),
    (
        {"min_density": {"fc1": 0.5}, "targets": ["fc1", "fc2"]},
        0.9,
        f"the sparsity 0.9 {REACH} 0.666667",
    ),
    ({"scope": {"fc1": 0.5}}, 0.3, f"the sparsity 0.3 {REACH} 0.25"),
    (
        {"score": "taylor"},
        0.5,
        "the score 'taylor' needs the gradient of 'block.conv.weight', which has none: prune after "
        "backward() and before zero_grad()",
    ),
    (
        {"score": lambda *_: torch.ones(3)},
        0.5,
        "the score of 'block.conv.weight' must be a tensor of shape (8, 3, 1, 1), not (3,)",
    ),
    (
        {"score": lambda *_: 1.0},
        0.5,
        "the score of 'block.conv.weight' must be a tensor of shape (8, 3, 1, 1), not float",
    ),
    (
        {"score": lambda name, weight, grad: weight / 0},
        0.5,
        "some scores of 'block.conv.weight' are not finite numbers",
    ),
]


def refused(act, *args, **options):
    with pytest.raises(gmp.PruningError) as caught:
        act(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize(("options", "sentence"), OPTIONS)
def test_options_that_do_not_fit(options, sentence):
    assert refused(gmp.Pruner, network(), **options) == sentence


@pytest.mark.parametrize(("model", "sentence"), MODELS)
def test_models_that_do_not_fit(model, sentence):
    assert refused(gmp.Pruner, model()) == sentence


@pytest.mark.parametrize(("options", "sparsity", "sentence"), SPARSITIES)
def test_sparsities_that_cannot_be(options, sparsity, sentence):
    pruner = gmp.Pruner(network(), **options)
    assert refused(pruner.prune, sparsity) == sentence
    assert pruner.sparsity == 0


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_no_numbers(bad):
    pruner = gmp.Pruner(network())
    pruner.model.fc2.weight.data[1, 2] = bad
    assert refused(pruner.prune, 0.5) == "some weights of 'fc2.weight' are not finite numbers"
    assert pruner.sparsity == 0


def saved(name, mask):
    """A saved state in which the mask of `name` is `mask`, or missing if that is None."""
    state = gmp.Pruner(network()).state_dict()
    state["masks"][name] = mask
    if mask is None:
        del state["masks"][name]
    return state


BYTE = torch.zeros(1, dtype=torch.uint8)
STATES = [
    ({"step": 3}, "this is no state of a pruner: it has no masks but ['step']"),
    (saved("fc1.weight", None), "the saved masks lack 'fc1.weight', which is pruned here"),
    (
        saved("fc9.weight", {}),
        "the saved masks have 'fc9.weight', which is not pruned here (did you mean 'fc2.weight'?)",
    ),
    (saved("fc1.weight", {}), "the mask of 'fc1.weight' is neither a bool tensor nor a saved mask"),
    (
        saved("fc1.weight", {"shape": [2, 2], "bits": BYTE}),
        "the mask of 'fc1.weight' has shape (2, 2), the weight (6, 8)",
    ),
    (
        saved("fc1.weight", {"shape": [6, 8], "bits": BYTE}),
        "the saved mask of 'fc1.weight' has 1 bytes; shape (6, 8) needs 6",
    ),
]


@pytest.mark.parametrize(("state", "sentence"), STATES)
def test_states_that_do_not_fit(state, sentence):
    pruner = gmp.Pruner(network())
    pruner.prune(0.5)
    before = {name: mask.clone() for name, mask in pruner.masks.items()}
    assert refused(pruner.load_state_dict, state) == sentence
    assert all(torch.equal(mask, before[name]) for name, mask in pruner.masks.items())


ONES = torch.ones(6, 8, dtype=torch.bool)
MASKS = [
    ({"fc1.wait": ONES}, "the model has no parameter 'fc1.wait' (did you mean 'fc1.weight'?)"),
    ({"fc1.weight": ONES.T}, "the mask of 'fc1.weight' has shape (8, 6), the weight (6, 8)"),
    ({"fc1.weight": ONES.float()}, "the mask of 'fc1.weight' is neither a bool tensor nor a saved mask"),
]


@pytest.mark.parametrize(("masks", "sentence"), MASKS)
def test_masks_that_do_not_fit(masks, sentence):
    model = network()
    first = {"fc2.weight": torch.zeros(4, 6, dtype=torch.bool)}
    assert refused(gmp.apply_masks, model, first | masks) == sentence
    assert bool(model.fc2.weight.all())


class Holder(nn.Module):
    """A recurrent layer, a layer that holds another, a matrix of its own, and a head."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head, self.drop = nn.LSTM(4, 4), nn.Linear(4, 2), nn.Dropout()
        self.block = nn.Sequential(nn.Linear(2, 2))
        self.attention, self.mix = nn.MultiheadAttention(4, 2), nn.Parameter(torch.ones(2, 2))


MISSED = [
    ({"targets": [nn.Linear, nn.Dropout]}, "'drop' is a Dropout, which has no weight of its own"),
    ({"targets": [nn.Linear, nn.Conv2d]}, "the model has no Conv2d"),
    ({"targets": [nn.Linear, nn.Bilinear]}, "the model has no Bilinear (did you mean 'Linear'?)"),
    ({"targets": ["head", lambda name, module: False]}, "meets no module with a weight"),
    ({"targets": ["head", "drop"]}, "'drop' is a Dropout, which has no weight"),
    ({"targets": ["head", "lstm.weight_hh_l1"]}, "(did you mean 'lstm.weight_hh_l0'?)"),
    ({"targets": "block"}, r"which has no weight of its own: 're:block\..*' meets"),
    ({"ignore": "block"}, r"which has no weight of its own: 're:block\..*' meets"),
    ({"ignore": nn.Sequential}, "and 'block.0.weight' inside is pruned"),
    ({"pattern": "2:4", "targets": "mix"}, "which axes of 'mix', of shape (2, 2), are outputs and inputs"),
    ({"pattern": "2:4", "targets": "mix", "axes": {"mix": "ox"}}, "axes of 'mix' is 'ox'; its shape (2, 2)"),
    ({"axes": {"head": "oik"}}, "axes of 'head.weight' is 'oik'; its shape (2, 4) needs 2 of the letters"),
    ({"axes": {"haed": "oi"}}, "axes: 'haed' meets no prunable weight (did you mean 'head'?)"),
]


@pytest.mark.parametrize(("options", "part"), MISSED)
def test_what_meets_nothing_prunable_is_refused(options, part):
    assert part in refused(gmp.Pruner, Holder(), **options)
    assert part in refused(gmp.one_shot, Holder(), 0.5, **options)


def test_ignored_types_without_a_weight_that_hold_nothing_pruned():
    names = ("block.0.weight", "attention.out_proj.weight")
    chosen = gmp.select(Holder(), nn.Linear, [nn.LSTM, "head", nn.Embedding])
    assert tuple(target.name for target in chosen) == names
    assert [t.name for t in gmp.select(Holder(), "head", nn.Sequential)] == ["head.weight"]
