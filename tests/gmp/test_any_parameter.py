"""Any parameter can be pruned, wherever it is, along the axes of what it computes."""

from __future__ import annotations

import copy

import pytest
import torch
from support.named import naming
from torch import nn
from torch.nn import functional as F

import gmp
from gmp.weight_axes import Axes, axes_of


class Experts(nn.Module):
    """Parameters of one's own: matrices of experts, a table of positions, a token."""

    def __init__(self):
        super().__init__()
        self.w1, self.w2 = nn.Parameter(torch.randn(3, 8, 4)), nn.Parameter(torch.randn(3, 4, 8))
        self.token, self.scale = nn.Parameter(torch.randn(1, 1, 8)), nn.Parameter(torch.ones(8))

    def forward(self, x):
        return torch.einsum("bi,eoi->beo", x, self.w1).relu().mean(1)


class Conv1D(nn.Module):
    """Its weights are stored like those of transformers."""

    def __init__(self, out_features, in_features):
        super().__init__()
        self.out_features, self.in_features = out_features, in_features
        self.weight = nn.Parameter(torch.randn(in_features, out_features))


class Relations(nn.Module):
    """Its weights are stored like those of RGCNConv in PyG."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.weight = nn.Parameter(torch.randn(5, in_channels, out_channels))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.lstm = nn.Embedding(10, 4), nn.LSTM(4, 6, proj_size=4)
        self.attention = nn.MultiheadAttention(4, 2, add_bias_kv=True)
        self.up, self.norm = nn.ConvTranspose1d(4, 6, 2), nn.LayerNorm((3, 4))
        self.experts, self.conv1d = Experts(), Conv1D(5, 4)
        self.decoder = nn.Linear(4, 10, bias=False)
        self.decoder.weight = self.embedding.weight


LSTM = ["lstm.weight_ih_l0", "lstm.weight_hh_l0", "lstm.weight_hr_l0"]
ATTENTION = ["attention.in_proj_weight", "attention.out_proj.weight"]
DEFAULT = [*LSTM, *ATTENTION, "up.weight", "conv1d.weight", "decoder.weight"]
EXPERTS = ["experts.w1", "experts.w2"]


@pytest.mark.parametrize(
    ("targets", "ignore", "names"),
    [
        (gmp.targets.PRUNABLE, (), DEFAULT),
        ((nn.LSTM, nn.Linear), (), [*LSTM, "attention.out_proj.weight", "decoder.weight"]),
        ("lstm", (), LSTM),
        ("lstm.weight_hh_l0", (), LSTM[1:2]),
        ("lstm.bias_hh_l0", (), ["lstm.bias_hh_l0"]),
        (nn.MultiheadAttention, (), ATTENTION),
        ("attention", (), ATTENTION),
        ("attention.bias_k", (), ["attention.bias_k"]),
        (gmp.targets.PRUNABLE, ["attention", nn.LSTM, nn.ConvTranspose1d], DEFAULT[6:]),
        (Experts, (), EXPERTS),
        (["experts.w2", "experts.token"], (), ["experts.w2", "experts.token"]),
        (r"re:experts\..*", (), EXPERTS),
        (r"re:.*\.w\d", "experts.w1", EXPERTS[1:]),
        (r"re:lstm", (), LSTM),
        (r"re:.*_hh_.*", (), LSTM[1:2]),
        (lambda name, module: name in ("experts", "lstm"), (), [*LSTM, *EXPERTS]),
        (nn.Embedding, (), ["embedding.weight"]),
        (["re:.*"], ["embedding"], [*DEFAULT[:-2], "norm.weight", *EXPERTS, "conv1d.weight"]),
        ("norm", (), ["norm.weight"]),
    ],
)
def test_selection(targets, ignore, names):
    chosen = gmp.select(Net(), targets, ignore)
    assert sorted(target.name for target in chosen) == sorted(names)
    for target in chosen:
        assert getattr(target.module, target.key) is target.weight
        assert target.name.endswith(target.key)


def test_models_of_linear_and_conv_are_pruned_as_ever():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Embedding(3, 4), nn.Linear(4, 2))
    model.register_parameter("places", nn.Parameter(torch.randn(4, 4)))
    assert [target.name for target in gmp.select(model, gmp.targets.PRUNABLE)] == ["0.weight", "3.weight"]


@pytest.mark.parametrize("score", ["magnitude", "lamp", "taylor", "movement"])
def test_training_keeps_their_zeros(score):
    torch.manual_seed(0)
    model = nn.ModuleDict({"lstm": nn.LSTM(4, 6), "experts": Experts(), "head": nn.Linear(6, 4)})
    optimizer = torch.optim.Adam(model.parameters(), 0.1)
    pruner = gmp.Pruner(model, optimizer, targets=["lstm", "experts.w1", "head"], score=score)
    schedule = gmp.CubicSchedule(pruner, initial=0.1, final=0.8, begin=1, end=4, every=1, unit="step")
    for _ in range(8):
        model["lstm"](torch.randn(5, 4))
        x = model["head"](model["lstm"](torch.randn(5, 2, 4))[0][-1])
        loss = model["experts"](F.pad(x[:, :4], (0, 0))).square().sum() + x.sum()
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    assert pruner.sparsity == pytest.approx(0.8, abs=0.01)
    for name, mask in pruner.masks.items():
        weight = model.get_parameter(name)
        assert not weight[~mask].any()
        assert not optimizer.state[weight]["exp_avg"][~mask].any()
    assert {row.name for row in pruner.report().rows} == set(pruner.names)


@pytest.mark.parametrize(
    ("module", "key", "axes", "groups"),
    [
        (nn.Linear(3, 4), "weight", "oi", 1),
        (nn.Linear(3, 4), "bias", "o", 1),
        (nn.Conv1d(4, 6, 3, groups=2), "weight", "oik", 1),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), "weight", "iokk", 2),
        (nn.LSTM(3, 4), "weight_hh_l0", "oi", 1),
        (nn.GRUCell(3, 4), "weight_ih", "oi", 1),
        (nn.MultiheadAttention(4, 2, kdim=3), "k_proj_weight", "oi", 1),
        (nn.Embedding(5, 4), "weight", "io", 1),
        (nn.Bilinear(2, 3, 4), "weight", "oii", 1),
        (Conv1D(5, 4), "weight", "io", 1),
        (Conv1D(4, 4), "weight", None, 1),
        (Experts(), "w1", None, 1),
        (Relations(3, 4), "weight", "gio", 1),
        (Relations(4, 4), "weight", None, 1),
    ],
)
def test_axes(module, key, axes, groups):
    found = axes_of(module, key, getattr(module, key))
    assert found == (None if axes is None else Axes(axes, groups))


@pytest.mark.parametrize(("letters", "groups"), [("oi", 1), ("iokk", 2), ("giok", 1), ("oki", 1), ("goi", 3)])
def test_axes_are_arranged_and_restored(letters, groups):
    values = torch.randn(6, 12, 3, 5)[(...,) + (0,) * (4 - len(letters))]
    axes = Axes(letters, groups)
    arranged = axes.arranged(values)
    assert tuple(arranged.shape) == axes.shape(values.shape)
    assert torch.equal(axes.restored(arranged, values.shape), values)


def test_groups_of_transposed_convolutions():
    conv = nn.ConvTranspose2d(4, 6, 1, groups=2, bias=False)
    rows = Axes("iokk", 2).arranged(conv.weight.detach()).reshape(6, 2)
    x = torch.randn(1, 4, 1, 1)
    by_row = [row @ x.flatten()[2 * (i // 3) :][:2] for i, row in enumerate(rows)]
    assert torch.allclose(conv(x).flatten(), torch.stack(by_row))


def outputs(module, weight, inputs):
    """What the module gives for each output, without its bias."""
    with torch.no_grad():
        module.bias.zero_()
        return module(inputs)


@pytest.mark.parametrize("groups", [1, 2])
def test_channels_of_transposed_convolutions_are_their_outputs(groups):
    torch.manual_seed(0)
    module = nn.ConvTranspose2d(8, 4, 3, groups=groups)
    gmp.one_shot(module, 0.5, pattern="channel")
    found = outputs(module, module.weight, torch.randn(2, 8, 5, 5))
    assert int((found == 0).all(-1).all(-1).all(0).sum()) == 2


def test_groups_of_inputs_of_transposed_convolutions():
    torch.manual_seed(0)
    module = nn.ConvTranspose2d(8, 4, 3)
    gmp.one_shot(module, 0.5, pattern="2:4")
    assert ((module.weight.reshape(2, 4, 4, 3, 3) != 0).sum(1) == 2).all()


@pytest.mark.parametrize(
    ("shape", "axes", "pattern", "reduced"),
    [
        ((4, 8), "io", "channel", lambda w: w.any(0)),
        ((8, 4), "oi", "channel", lambda w: w.any(1)),
        ((3, 4, 8), "gio", "channel", lambda w: w.any(1)),
        ((3, 8, 4), "goi", "channel", lambda w: w.any(2)),
        ((8, 3, 6), "ogi", "vector(4)", lambda w: w.reshape(2, 4, 3, 6).any(1)),
        ((3, 6, 2), "gok", "block(2,1)", lambda w: w.reshape(3, 3, 2, 2).any(2)),
        ((4, 8), "io", "2:4", lambda w: (w.sum(0) == 2).repeat(2)),
    ],
)
def test_axes_by_hand(shape, axes, pattern, reduced):
    torch.manual_seed(0)
    model = nn.ParameterDict({"w": nn.Parameter(torch.randn(shape))})
    gmp.one_shot(model, 0.5, targets="w", axes={"w": axes}, pattern=pattern)
    kept = model["w"] != 0
    assert kept.float().mean() == 0.5
    expected = kept.numel() // 2 // (kept.numel() // reduced(kept).numel())
    assert int(reduced(kept).sum()) == (reduced(kept).numel() if pattern == "2:4" else expected)


def test_boxes_do_not_cross_groups():
    """Six rows of two experts: boxes of four rows end with the first expert."""
    model = nn.ParameterDict({"w": nn.Parameter(torch.arange(1.0, 13).reshape(2, 3, 2))})
    gmp.one_shot(model, 3 / 12, targets="w", axes={"w": "goi"}, pattern="vector(4)")
    assert (model["w"][0] == 0).all(0).tolist() == [True, False]
    assert model["w"][1].all()


def test_layers_of_zeros_start_alive():
    """As heads of vision transformers and B of LoRA do."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 10))
    nn.init.zeros_(model[2].weight)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    pruner = gmp.Pruner(model, optimizer)
    assert pruner.sparsity == 0
    pruner.prune(0.3)
    assert pruner.masks["2.weight"].all()
    assert int((~pruner.masks["0.weight"]).sum()) == round(0.3 * pruner.report().total.weights)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(torch.randn(8, 16)), torch.arange(8)).backward()
        optimizer.step()
        pruner.apply()
    twin = gmp.Pruner(copy.deepcopy(model))
    twin.load_state_dict(pruner.state_dict())
    for one in (pruner, twin):
        one.prune(0.6)
        assert one.sparsity == pytest.approx(0.6, abs=1e-3)
        zeros = [int((~mask).sum()) for mask in one.masks.values()]
        assert zeros == [307, 192]  # 60 % of its own 320 weights, though all of them are small
        assert model[2].weight.abs().max() < model[0].weight.abs().mean()


@pytest.mark.parametrize("keep_zeros", [True, False])
@pytest.mark.parametrize(("scope", "first"), [("global", 26), ("layer", 18), ({"re:.*": 0.5}, 18)])
def test_nothing_of_them_is_pruned_until_they_are_trained(scope, first, keep_zeros):
    """Of 32, 16 and 4 weights one half is asked for; layers get it each, or all together."""

    def zeros(trained, *sparsities):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 4), nn.Linear(4, 1))
        nn.init.zeros_(model[1].weight)
        pruner = gmp.Pruner(model, scope=scope, keep_zeros=keep_zeros, score="lamp")
        for sparsity in sparsities:
            if trained:
                model[1].weight.data.fill_(1e-3)
            pruner.prune(sparsity)
            trained = True
        return [int((~mask).sum()) for mask in pruner.masks.values()]

    assert sum(zeros(False, 0.5)) == first
    assert zeros(False, 0.5)[1] == 0
    assert zeros(True, 0.5)[1] == 8
    assert zeros(False, 0.25, 0.5)[1] == 8
    assert sum(zeros(False, 0.25, 0.5)) == 26


def test_nothing_tells_weights_apart_that_are_all_zero():
    model = nn.Linear(4, 4)
    nn.init.zeros_(model.weight)
    with pytest.raises(gmp.PruningError, match=naming("scores weights")):
        gmp.Pruner(model).prune(0.5)
