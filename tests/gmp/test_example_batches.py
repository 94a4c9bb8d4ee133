"""How batches of loaders are given to models, by trace, monitor and batch-norm recalibration alike."""

from __future__ import annotations

from collections import UserDict
from dataclasses import dataclass

import pytest
import torch
from support.linear_cost import LinearCost
from support.model_libraries import library
from support.named import naming
from torch import nn

import gmp
from gmp.energy import EnergyMonitor
from gmp.errors import TraceError
from gmp.example_batches import batches_of, inputs_of, run, samples_of
from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of

X, Y, MASK, LABELS = torch.randn(3, 4), torch.randn(3, 4), torch.ones(3, 4), torch.arange(3)


class One(nn.Module):
    def forward(self, x):
        return x


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.a = nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, x, y):
        return self.a(self.norm(x + y))


class Optional(nn.Module):
    def forward(self, x, mask=None):
        return x


class NoneNeeded(nn.Module):
    def forward(self, input_ids=None, attention_mask=None, labels=None):
        return input_ids


class AnyNames(nn.Module):
    def forward(self, x, **options):
        return x


class AnyNumber(nn.Module):
    def forward(self, *inputs):
        return inputs[0]


class Graph:
    """As of PyTorch Geometric."""

    num_nodes, num_graphs = 5, 2


@dataclass
class Holder:
    x: torch.Tensor


PACKED = nn.utils.rnn.pack_sequence([torch.ones(3, 4), torch.ones(2, 4)])
GRAPH, IMAGES, NAMED = Graph(), [X[0], Y[0]], {"image": X}
CASES = [
    (One, X, (X,), {}),
    (One, (X, LABELS), (X,), {}),
    (One, [X, LABELS], (X,), {}),
    (One, (IMAGES, LABELS), (IMAGES,), {}),
    (One, NAMED, (NAMED,), {}),
    (One, (NAMED, LABELS), (NAMED,), {}),
    (One, GRAPH, (GRAPH,), {}),
    (Two, (X, Y), (X, Y), {}),
    (Two, (X, Y, LABELS), (X, Y), {}),
    (Two, ((X, Y), LABELS), (X, Y), {}),
    (Two, {"x": X, "y": Y}, (), {"x": X, "y": Y}),
    (Optional, (X, LABELS), (X,), {}),
    (Optional, {"x": X, "mask": MASK}, (), {"x": X, "mask": MASK}),
    (NoneNeeded, X, (X,), {}),
    (NoneNeeded, UserDict(input_ids=X, labels=LABELS), (), {"input_ids": X, "labels": LABELS}),
    (AnyNames, {"x": X, "extra": Y}, (), {"x": X, "extra": Y}),
    (AnyNumber, (X, Y), (X, Y), {}),
]


@pytest.mark.parametrize(("kind", "batch", "args", "names"), CASES)
@pytest.mark.parametrize("wrapped", [lambda model: model, nn.DataParallel])
def test_the_signature_decides(kind, batch, args, names, wrapped):
    found, found_names = inputs_of(wrapped(kind()), batch)
    assert len(found) == len(args)
    assert all(mine is other for mine, other in zip(found, args, strict=True))
    assert found_names.keys() == names.keys()
    assert all(found_names[key] is names[key] for key in names)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_scripted_models_have_signatures():
    two = torch.jit.script(Two().eval())
    assert inputs_of(two, (X, Y, LABELS)) == ((X, Y), {})


@pytest.mark.parametrize(
    ("kind", "batch", "message"),
    [
        (Two, (X,), "batch 1 Two forward="),
        (One, ((X, Y), LABELS), "2 One forward="),
        (One, (), "batch tuple"),
        (Two, X, "Tensor Two forward="),
        (Two, {"x": X, "z": Y}, "batch z Two"),
        (Optional, {"maks": X, "x": X}, "mask"),
    ],
)
def test_batches_that_do_not_fit(kind, batch, message):
    with pytest.raises(TraceError, match=naming(message)):
        run(kind(), batch)


@pytest.mark.parametrize(
    ("model", "batch", "samples", "expected"),
    [
        (One(), X, None, (3, 0)),
        (Two(), {"x": X, "y": Y}, None, (3, 0)),
        (One(), ([X, Y], LABELS), None, (2, 0)),
        (One(), GRAPH, None, (2, 0)),
        (One(), Holder(X), None, (3, 0)),
        (One(), PACKED, None, (2, 0)),
        (One(), (PACKED, LABELS), None, (2, 0)),
        (One(), torch.ones(7, 3, 4), 3, (3, 1)),
        (One(), torch.ones(6, 3, 4), 3, (3, 0)),
        (nn.LSTM(4, 5), torch.ones(7, 3, 4), None, (3, 1)),
        (nn.LSTM(4, 5, batch_first=True), torch.ones(7, 3, 4), None, (7, 0)),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8), 1, enable_nested_tensor=False),
         torch.ones(7, 3, 4), None, (3, 1)),
    ],
)  # fmt: skip
def test_samples(model, batch, samples, expected):
    assert samples_of(model, batch, None, samples) == expected


def test_samples_that_nobody_knows():
    with pytest.raises(TraceError, match=naming("samples=")):
        samples_of(One(), "text", None, None)
    assert samples_of(One(), "text", None, 4) == (4, 0)
    with pytest.raises(TraceError, match=naming("samples 0")):
        samples_of(One(), X, None, 0)


def test_one_batch_or_several():
    assert batches_of(One(), X) == [X]
    assert batches_of(One(), (X, Y)) == [X, Y]
    assert batches_of(Two(), (X, Y)) == [(X, Y)]
    assert batches_of(Two(), [(X, Y), (Y, X)]) == [(X, Y), (Y, X)]
    assert trace(Two(), (X, Y)).samples == 3
    assert batches_of(One(), {"x": X}) == [{"x": X}]
    assert batches_of(One(), GRAPH) == [GRAPH]


def test_all_run_a_batch_alike():
    """Two inputs, as a tuple, by name and by a function."""
    expected = None
    for batch, forward in [
        ((X, Y), None),
        ((X, Y, LABELS), None),
        ({"x": X, "y": Y}, None),
        ("any", lambda model, batch: model(X, Y)),
    ]:
        torch.manual_seed(0)
        model, samples = Two(), 3 if forward else None
        assert gmp.recalibrate_batch_norm(model, [batch], forward=forward) == 1
        traced = trace(model, [batch], forward=forward, samples=samples)
        workload = workload_of(traced, name="two", batch=1)
        monitor = EnergyMonitor(model, LinearCost(workload.layers), [batch], forward=forward, samples=samples)
        monitor.measure()
        found = (traced.layers, model.norm.running_mean.tolist(), monitor.densities.tolist())
        assert found == (expected or found)
        expected = found


def test_graphs_of_pytorch_geometric():
    data = library("torch_geometric.data")
    geometric = library("torch_geometric.nn")

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = geometric.GCNConv(4, 3)

        def forward(self, graph):
            return self.conv(graph.x, graph.edge_index)

    edges = torch.tensor([[0, 1, 2], [1, 2, 0]])
    graph = data.Data(x=torch.randn(3, 4), edge_index=edges)
    (layer,) = trace(Net(), batches_of(Net(), graph)).layers
    assert (layer.name, layer.macs) == ("conv.lin", 3 * 4 * 3)
    both = data.Batch.from_data_list([graph, graph])
    (layer,) = trace(Net(), [both]).layers
    assert (layer.name, layer.macs) == ("conv.lin", 3 * 4 * 3)


def test_hugging_face_batches():
    transformers = library("transformers")
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    model = transformers.BertForSequenceClassification(config)
    ids = torch.randint(20, (2, 5))
    batch = transformers.BatchEncoding({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    found = trace(model, batches_of(model, batch))
    assert found.samples == 2
    assert found.coverage.uncovered_macs == 0
    assert found == trace(model, [(ids, torch.ones(2))])  # ids alone, and labels
