"""The sentences of what is refused, and that nothing is pruned then."""

from __future__ import annotations

import pytest
import torch
from support.named import names
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


NAMES = "block.conv block.conv.weight block.norm block.norm.weight fc1 fc1.weight fc2 fc2.weight"
NUMBER = "0 1"
MATCHERS = "module name re: predicate"
STRANGER = torch.optim.SGD(nn.Linear(2, 2).parameters(), 0.1)

OPTIONS = [
    ({"targets": "fc3"}, "fc3 fc2"),
    ({"ignore": "re:x+"}, f"re:x+ {NAMES}"),
    (
        {"ignore": "re:("},
        "re:( 0",
    ),
    ({"targets": 3}, f"3 {MATCHERS}"),
    ({"targets": [int]}, f"int {MATCHERS}"),
    ({"ignore": nn.Module}, "targets ignore"),
    ({"ignore": [nn.Linear(2, 2)]}, f"Linear {MATCHERS}"),
    ({"ignore": [nn.Parameter(torch.ones(2))]}, f"Parameter {MATCHERS}"),
    ({"optimizer": "SGD"}, "optimizer torch.optim.Optimizer str"),
    (
        {"optimizer": STRANGER},
        "optimizer weights model",
    ),
    ({"score": "magnitud"}, "magnitud magnitude"),
    ({"score": 3}, "3 magnitude lamp taylor movement"),
    ({"score": "movement"}, "movement optimizer"),
    ({"pattern": "4:2"}, "4:2 n:m"),
    ({"pattern": "block(0,2)"}, "block(0,2) 1"),
    ({"pattern": "kernels"}, "kernels kernel"),
    (
        {"pattern": "?"},
        "1x1 2:4 block(4,1) vector(4) kernel channel",
    ),
    (
        {"scope": "globally"},
        "scope globally global",
    ),
    ({"scope": {"fc3": 0.5}}, "fc3 fc2"),
    ({"scope": {"fc1": 1.2}}, f"fc1.weight 1.2 {NUMBER}"),
    ({"scope": {3: 1.2}}, "keys 3"),
    (
        {"scope": {"fc1": 0.7}, "pattern": "2:4"},
        "0.7 fc1.weight min_density 0.5",
    ),
    ({"min_density": -0.1}, f"min_density block.conv.weight -0.1 {NUMBER}"),
    ({"min_density": {"fc1": "x"}}, f"min_density fc1.weight x {NUMBER}"),
]

MODELS = [
    (
        weight_normed,
        "fc1.weight fc1",
    ),
    (lazy, "0.weight"),
    (
        lambda: nn.Linear(3, 3, dtype=torch.complex64),
        "weight complex64 (3, 3) strided",
    ),
    (list, "torch.nn.Module list"),
    (nn.ReLU, "targets ignore"),
]

REACH = "pattern scope min_density"
SPARSITIES = [
    ({}, 1.01, f"sparsity 1.01 {NUMBER}"),
    ({}, float("nan"), f"sparsity nan {NUMBER}"),
    ({}, "0.5", f"sparsity 0.5 {NUMBER}"),
    ({"pattern": "1:4"}, 0.8, f"0.8 {REACH} 0.75"),
    (
        {"min_density": {"fc1": 0.5}, "targets": ["fc1", "fc2"]},
        0.9,
        f"0.9 {REACH} 0.666667",
    ),
    ({"scope": {"fc1": 0.5}}, 0.3, f"0.3 {REACH} 0.25"),
    (
        {"score": "taylor"},
        0.5,
        "taylor block.conv.weight backward() zero_grad()",
    ),
    (
        {"score": lambda *_: torch.ones(3)},
        0.5,
        "score block.conv.weight (8, 3, 1, 1) (3,)",
    ),
    (
        {"score": lambda *_: 1.0},
        0.5,
        "score block.conv.weight (8, 3, 1, 1) float",
    ),
    (
        {"score": lambda name, weight, grad: weight / 0},
        0.5,
        "scores block.conv.weight",
    ),
]


def refused(act, *args, **options):
    with pytest.raises(gmp.PruningError) as caught:
        act(*args, **options)
    return str(caught.value)


@pytest.mark.parametrize(("options", "sentence"), OPTIONS)
def test_options_that_do_not_fit(options, sentence):
    assert names(refused(gmp.Pruner, network(), **options), sentence)


@pytest.mark.parametrize(("model", "sentence"), MODELS)
def test_models_that_do_not_fit(model, sentence):
    assert names(refused(gmp.Pruner, model()), sentence)


@pytest.mark.parametrize(("options", "sparsity", "sentence"), SPARSITIES)
def test_sparsities_that_cannot_be(options, sparsity, sentence):
    pruner = gmp.Pruner(network(), **options)
    assert names(refused(pruner.prune, sparsity), sentence)
    assert pruner.sparsity == 0


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_no_numbers(bad):
    pruner = gmp.Pruner(network())
    pruner.model.fc2.weight.data[1, 2] = bad
    assert names(refused(pruner.prune, 0.5), "fc2.weight")
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
    ({"step": 3}, "masks ['step']"),
    (saved("fc1.weight", None), "fc1.weight"),
    (
        saved("fc9.weight", {}),
        "saved masks fc9.weight fc2.weight",
    ),
    (saved("fc1.weight", {}), "fc1.weight"),
    (
        saved("fc1.weight", {"shape": [2, 2], "bits": BYTE}),
        "fc1.weight 2 6 8",
    ),
    (
        saved("fc1.weight", {"shape": [6, 8], "bits": BYTE}),
        "fc1.weight 1 6 8",
    ),
]


@pytest.mark.parametrize(("state", "sentence"), STATES)
def test_states_that_do_not_fit(state, sentence):
    pruner = gmp.Pruner(network())
    pruner.prune(0.5)
    before = {name: mask.clone() for name, mask in pruner.masks.items()}
    assert names(refused(pruner.load_state_dict, state), sentence)
    assert all(torch.equal(mask, before[name]) for name, mask in pruner.masks.items())


ONES = torch.ones(6, 8, dtype=torch.bool)
MASKS = [
    ({"fc1.wait": ONES}, "fc1.wait fc1.weight"),
    ({"fc1.weight": ONES.T}, "fc1.weight 8 6"),
    ({"fc1.weight": ONES.float()}, "fc1.weight"),
]


@pytest.mark.parametrize(("masks", "sentence"), MASKS)
def test_masks_that_do_not_fit(masks, sentence):
    model = network()
    first = {"fc2.weight": torch.zeros(4, 6, dtype=torch.bool)}
    assert names(refused(gmp.apply_masks, model, first | masks), sentence)
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
    ({"targets": [nn.Linear, nn.Conv2d]}, "Conv2d"),
    ({"targets": [nn.Linear, nn.Bilinear]}, "Bilinear Linear"),
    ({"targets": ["head", lambda name, module: False]}, "<lambda> module weight"),
    ({"targets": ["head", "drop"]}, "drop Dropout weight"),
    ({"targets": ["head", "lstm.weight_hh_l1"]}, "lstm.weight_hh_l1 lstm.weight_hh_l0"),
    ({"targets": "block"}, r"block Sequential re:block\..*"),
    ({"ignore": "block"}, r"block Sequential re:block\..*"),
    ({"ignore": nn.Sequential}, "Sequential block.0.weight"),
    ({"pattern": "2:4", "targets": "mix"}, "axes mix (2, 2)"),
    ({"pattern": "2:4", "targets": "mix", "axes": {"mix": "ox"}}, "axes mix ox (2, 2)"),
    ({"axes": {"head": "oik"}}, "axes head.weight oik (2, 4) 2"),
    ({"axes": {"haed": "oi"}}, "axes haed head"),
]


@pytest.mark.parametrize(("options", "words"), MISSED)
def test_what_meets_nothing_prunable_is_refused(options, words):
    assert names(refused(gmp.Pruner, Holder(), **options), words)
    assert names(refused(gmp.one_shot, Holder(), 0.5, **options), words)


def test_ignored_types_without_a_weight_that_hold_nothing_pruned():
    expected = ("block.0.weight", "attention.out_proj.weight")
    chosen = gmp.select(Holder(), nn.Linear, [nn.LSTM, "head", nn.Embedding])
    assert tuple(target.name for target in chosen) == expected
    assert [t.name for t in gmp.select(Holder(), "head", nn.Sequential)] == ["head.weight"]
