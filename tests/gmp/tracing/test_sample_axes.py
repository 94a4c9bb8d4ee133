"""Densities sample by sample where the samples do not come first, and where they cannot be told apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.traced import Run, density
from torch import nn
from torch.nn import functional as F

from gmp.tracing.trace import trace

S, B, D = 5, 4, 8


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def sparse() -> torch.Tensor:
    """(S, B, D), each sample with zeros of its own density."""
    return torch.randn(S, B, D).clamp(min=0) * (torch.rand(S, B, D) < torch.linspace(0.2, 1, B)[:, None])


def spread(x: torch.Tensor) -> tuple[float, float]:
    each = [density(x[:, i]) for i in range(B)]
    return float(np.mean(each)), float(np.std(each))


@pytest.mark.parametrize(
    ("kind", "layer"),
    [(nn.LSTM(D, 6), "weight_ih_l0"), (nn.GRU(D, 6), "weight_ih_l0"), (nn.Linear(D, 6), "")],
)
def test_sequences_before_samples(kind, layer):
    x = sparse()
    found = trace(kind, [x], samples=B)
    row = next(row for row in found.layers if row.name == layer)
    assert (found.samples, row.calls, row.computation.out) == (B, 1, (S, 1))
    assert row.inputs == pytest.approx(spread(x))
    assert row.inputs.spread > 0.05


def test_a_model_that_puts_sequences_first_on_its_own():
    model = Run(lambda m, x: m.fc(F.relu(m.r(x.transpose(0, 1))[0])), r=nn.RNN(D, 6), fc=nn.Linear(6, 3))
    x = sparse()
    row = trace(model, [x.transpose(0, 1)]).layers[0]
    assert row.name == "r.weight_ih_l0"
    assert row.inputs == pytest.approx(spread(x))


def test_activations_after_a_layer_with_sequences_first():
    """They are followed to the tensor that reaches memory, as others are."""
    x, layer, last = torch.randn(S, B, D), nn.Linear(D, 6), nn.Linear(6, 2)
    model = Run(lambda m, x: m.last(F.relu(m.layer(x)).transpose(0, 1)), layer=layer, last=last)
    first, second = trace(model, [x], samples=B).layers
    after = F.relu(layer(x))
    assert first.outputs == pytest.approx(spread(after))
    assert second.inputs == pytest.approx(first.outputs)


def test_rows_that_belong_to_no_sample_evenly():
    """Totals over the batches; a row of the table is one row of the product."""
    model = Run(lambda m, x: m.fc(x.reshape(-1, D)[x.reshape(-1, D)[:, 0] > 0]), fc=nn.Linear(D, 6))
    batches = [torch.randn(B, S, D), torch.randn(3, S, D)]
    chosen = torch.cat([x.reshape(-1, D)[x.reshape(-1, D)[:, 0] > 0] for x in batches])
    (row,) = trace(model, batches).layers
    assert row.computation.out == (1, 1)
    assert row.calls == pytest.approx(len(chosen) / (B + 3))
    assert row.macs == pytest.approx(len(chosen) * D * 6 / (B + 3))
    assert row.inputs.mean == pytest.approx(density(chosen))


def test_sequences_of_several_lengths():
    model = Run(lambda m, x: m.fc(x), fc=nn.Linear(D, 6))
    (row,) = trace(model, [torch.randn(2, 5, D), torch.randn(2, 7, D)]).layers
    assert (row.computation.out, row.calls, row.name) == ((1, 1), 6, "fc")
