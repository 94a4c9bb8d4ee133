"""A trace tells a pruner what is multiplied, and along which axes."""

from __future__ import annotations

import pytest
import torch
from support.named import naming
from torch import nn
from torch.nn import functional as F

import gmp
from gmp.tracing.trace import trace
from gmp.tracing.traced_weights import traced_weights


class Run(nn.Module):
    """`forward(self, x)` with modules and parameters as attributes."""

    def __init__(self, forward, **parts):
        super().__init__()
        torch.manual_seed(0)
        self.run = forward
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(torch.randn(part)) if isinstance(part, tuple) else part)

    def forward(self, x):
        return self.run(self, x)

    def heads(self, x):
        return x.reshape(len(x), S, 3, -1).transpose(1, 2)


S, D = 5, 6  # positions and features of a sample


@pytest.mark.parametrize(
    ("forward", "parts", "letters"),
    [
        (lambda m, x: x @ m.w, {"w": (D, 4)}, "io"),
        (lambda m, x: x @ m.w.T, {"w": (4, D)}, "oi"),
        (lambda m, x: F.linear(x, m.w), {"w": (4, D)}, "oi"),
        (lambda m, x: torch.einsum("bsd,edh->bseh", x, m.w), {"w": (3, D, 4)}, "oio"),
        (lambda m, x: torch.einsum("bsd,hed->bseh", x, m.w), {"w": (4, 3, D)}, "ooi"),
        (lambda m, x: sum(x @ w for w in m.w), {"w": (3, D, 4)}, "gio"),
        (lambda m, x: F.linear(x, m.w[1]), {"w": (3, 4, D)}, "goi"),
        (lambda m, x: F.conv1d(x.mT, m.w), {"w": (4, D, 2)}, "oik"),
        (lambda m, x: F.conv1d(x.mT, m.w, groups=2), {"w": (4, D // 2, 2)}, "oik"),
        (lambda m, x: F.linear(x[..., :2], m.w[:, :2]) + x[..., 2:] @ m.w[:, 2:].T, {"w": (4, D)}, "oi"),
        (lambda m, x: torch.einsum("besd,edh->besh", m.heads(x), m.w), {"w": (3, 2, 4)}, "gio"),
        (lambda m, x: torch.einsum("besd,ehd->besh", m.heads(x), m.w), {"w": (3, 4, 2)}, "goi"),
    ],
)
def test_axes_of_parameters_of_ones_own(forward, parts, letters):
    model = Run(forward, places=(1, S, D), **parts)
    found = traced_weights(model, trace(model, [torch.randn(2, S, D)]))
    assert {name: axes and axes.letters for name, axes in found.items()} == {"w": letters}


def test_layers_have_their_own():
    model = Run(
        lambda m, x: m.up(m.lstm(m.attention(x, x, x)[0])[0].mT),
        lstm=nn.LSTM(D, 4, batch_first=True), attention=nn.MultiheadAttention(D, 2, batch_first=True),
        up=nn.ConvTranspose1d(4, 2, 3), never=nn.Linear(3, 3),
    )  # fmt: skip
    found = traced_weights(model, trace(model, [torch.randn(2, S, D)]))
    letters = {
        "lstm.weight_ih_l0": "oi", "lstm.weight_hh_l0": "oi", "attention.in_proj_weight": "oi",
        "attention.out_proj.weight": "oi", "up.weight": "iok",
    }  # fmt: skip
    assert {name: axes and axes.letters for name, axes in found.items()} == letters


def test_a_parameter_that_is_used_both_ways():
    model = Run(lambda m, x: x @ m.w @ m.w.T, w=(D, 4))
    found = traced_weights(model, trace(model, [torch.randn(2, S, D)]))
    assert found == {"w": None}
    assert gmp.Pruner(model, targets=list(found), axes=found).names == ("w",)
    with pytest.raises(gmp.PruningError, match=naming("w")):
        gmp.Pruner(model, targets=list(found), axes=found, pattern="channel")


def test_a_pruner_of_what_was_traced():
    model = Run(lambda m, x: (x + m.places) @ m.w, places=(1, S, D), w=(D, 4))
    found = traced_weights(model, trace(model, [torch.randn(2, S, D)]))
    pruner = gmp.Pruner(model, targets=list(found), axes=found, pattern="channel")
    pruner.prune(0.5)
    assert pruner.names == ("w",)
    assert int((model.w == 0).all(0).sum()) == 2
