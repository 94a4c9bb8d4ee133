"""What is neither pruned nor measured is counted, named, and warned of where it is much."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from support.linear_cost import LinearCost
from torch import nn
from torch.nn import functional as F

import gmp
from gmp.energy import EnergyMonitor
from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of, write_workload

S, D = 6, 8  # of each sample: positions and features


class Net(nn.Module):
    """`forward(self, x)` on (B, S, D), then a head; modules and parameters are attributes."""

    def __init__(self, forward, **parts):
        super().__init__()
        torch.manual_seed(0)
        for name, part in parts.items():
            setattr(self, name, part)
        self.head, self.body = nn.Linear(D, 3), forward

    def forward(self, x):
        return self.head(self.body(self, x))


class Conv1D(nn.Module):
    """As in transformers: x @ W + b."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(D, D)), nn.Parameter(torch.zeros(D))

    def forward(self, x):
        return torch.addmm(self.bias, x.reshape(-1, D), self.weight).view(x.shape)


def matrix(*shape):
    return nn.Parameter(torch.randn(*shape))


def lookup(m, x):
    return m.embedding((x > 0).sum(-1)) + m.places


blending = torch.library.Library("coverage_test", "DEF")
blending.define("blend(Tensor x, Tensor weight) -> Tensor")
blending.impl("blend", lambda x, weight: x @ weight, "CPU")

ATTENTION = 2 * S * S * D  # products with the keys and with the values
NETS = {  # the network, {module: MACs of a sample}
    "LSTM": (Net(lambda m, x: m.r(x)[0], r=nn.LSTM(D, D, batch_first=True)), {"r": 8 * S * D * D}),
    "two layers, two directions": (
        Net(lambda m, x: m.r(x)[0], r=nn.LSTM(D, D // 2, 2, batch_first=True, bidirectional=True)),
        {"r": S * 2 * 2 * 4 * (D // 2) * (D + D // 2)},
    ),
    "GRU": (Net(lambda m, x: m.r(x)[0], r=nn.GRU(D, D, batch_first=True)), {"r": 6 * S * D * D}),
    "cell": (Net(lambda m, x: m.r(x[:, 0])[0], r=nn.LSTMCell(D, D)), {"r": 8 * D * D}),
    "attention of products": (
        Net(lambda m, x: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])[:, 0]),
        {"": ATTENTION},
    ),
    "matmul of activations": (Net(lambda m, x: (x @ x.mT).softmax(-1) @ x), {"": ATTENTION}),
    "einsum": (
        Net(lambda m, x: torch.einsum("bsd,de->bse", x, m.mix), mix=matrix(D, D)),
        {"": S * D * D},
    ),
    "matrix in a list": (
        Net(lambda m, x: x @ m.mixes[0].T, mixes=nn.ParameterList([matrix(D, D)])),
        {"mixes": S * D * D},
    ),
    "Conv1D": (Net(lambda m, x: m.c(x), c=Conv1D()), {"c": S * D * D}),
    "transposed convolution": (
        Net(lambda m, x: m.t(x.mT).mT, t=nn.ConvTranspose1d(D, D, 3, padding=1)),
        {"t": 3 * S * D * D},
    ),
    "function on a matrix of no layer": (
        Net(lambda m, x: F.linear(x, m.mix), mix=matrix(D, D)),
        {"": S * D * D},
    ),
    "lookup": (
        Net(lookup, embedding=nn.Embedding(D + 1, D), places=matrix(1, S, D)),
        {},
    ),
    "bilinear": (Net(lambda m, x: m.b(x, x), b=nn.Bilinear(D, D, D)), {"b": S * (D**3 + D * D)}),
}
IDLE = Net(lambda m, x: x, r=nn.LSTM(D, D))
UNKNOWN = Net(lambda m, x: torch.ops.coverage_test.blend(x, m.c.weight), c=Conv1D())


def told(act, *args, **options):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        result = act(*args, **options)
    assert all(warning.category is gmp.CoverageWarning for warning in found)
    return result, [str(warning.message) for warning in found]


def weights(module):
    return sum(p.numel() for p in module.parameters() if p.dim() > 1)


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("batch", [1, 4])
def test_every_product_is_a_layer_of_its_module(kind, batch):
    model, expected = NETS[kind]
    batches = [torch.randn(batch, S, D), torch.randn(1, S, D)]
    found, sentences = told(trace, model, batches)
    macs = dict.fromkeys(expected, 0)
    for row in found.layers:
        if row.name != "head":
            macs[row.module] += row.macs
    assert macs == expected
    assert found.coverage.gaps == ()
    assert found.coverage.macs == found.coverage.covered_macs == found.macs
    assert found.coverage.parameters == sum(p.numel() for p in model.parameters())
    assert found.coverage.covered_parameters == weights(model)
    assert sentences == []


def test_an_operation_without_a_formula_is_named():
    found, (sentence,) = told(trace, UNKNOWN, [torch.randn(2, S, D)])
    assert [row.name for row in found.layers] == ["head"]
    (gap,) = found.coverage.unknown
    assert (gap.label, gap.macs, found.coverage.covered_parameters) == ("c (Conv1D)", None, 3 * D)
    assert gap.label in sentence


def test_what_does_not_run_is_a_note():
    found, sentences = told(trace, IDLE, [torch.randn(2, S, D)])
    (gap,) = found.coverage.idle
    assert (gap.label, gap.macs, found.coverage.covered_parameters) == ("r (LSTM)", 0, 3 * D)
    assert found.coverage.notes[-1] == "r (LSTM) did not run"
    assert sentences == []


def test_results_and_layers_are_those_without_coverage():
    for model, _ in (*NETS.values(), (IDLE, {}), (UNKNOWN, {})):
        x = torch.randn(3, S, D)
        counted, _ = told(trace, model, [x])
        plain = trace(model, [x], coverage=False)
        assert counted == plain
        assert plain.coverage is None
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_layers_left_out_by_name_are_counted_without_a_warning():
    model = nn.Sequential(nn.Linear(D, D), nn.Linear(D, D))
    found, sentences = told(trace, model, [torch.randn(2, D)], names=["1"])
    (gap,) = found.coverage.gaps
    assert (gap.name, gap.parameters, gap.macs, gap.on_purpose) == ("0", D * D, D * D, True)
    assert found.coverage.uncovered_mac_share == 0.5
    assert sentences == []


def test_shares_by_hand(tmp_path: Path):
    model, _ = NETS["LSTM"]
    pruner, (sentence,) = told(gmp.Pruner, model, targets=nn.Linear)
    total, lstm, vectors = 3 * D + 3 + 8 * D * D + 8 * D, 8 * D * D, 3 + 8 * D
    assert pruner.coverage.uncovered_parameter_share == pytest.approx((lstm + vectors) / total)
    assert "r (LSTM)" in sentence
    traced, _ = told(trace, model, [torch.randn(2, S, D)])
    report = pruner.report(traced=traced)
    assert report.coverage.uncovered_mac_share == pytest.approx(S * lstm / (S * lstm + 3 * S * D))
    assert pruner.report().coverage.uncovered_mac_share is None
    report.to_json(tmp_path / "report.json")
    document = json.loads((tmp_path / "report.json").read_text())["coverage"]
    assert document == report.coverage.plain()
    (gap,) = document["gaps"]
    assert (gap["name"], gap["kind"], gap["parameters"], gap["macs"]) == ("r", "LSTM", lstm, S * lstm)
    assert all(note in report.to_markdown() for note in report.coverage.notes)
    assert sum("r (LSTM)" in note for note in report.notes) == 2


def test_layers_that_are_measured_and_not_pruned_count():
    model = nn.Sequential(nn.Linear(D, D), nn.Linear(D, 2 * D))
    pruner, sentences = told(gmp.Pruner, model, ignore="0")
    report = pruner.report(traced=trace(model, [torch.randn(2, D)]))
    assert report.coverage.uncovered_mac_share == pytest.approx(1 / 3)
    assert [(gap.name, gap.on_purpose) for gap in report.coverage.gaps] == [("0", True)]
    assert sentences == []


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({}, True),
        ({"targets": nn.Linear}, True),
        ({"targets": "re:head"}, False),
        ({"targets": "head"}, False),
        ({"targets": lambda name, module: isinstance(module, nn.Linear)}, False),
        ({"ignore": nn.MultiheadAttention}, True),
        ({"ignore": "mix"}, False),
        ({"ignore": lambda name, module: name == "other"}, True),
    ],
)
def test_only_what_was_not_chosen_is_warned_of(options, warned):
    model = NETS["einsum"][0]
    pruner, sentences = told(gmp.Pruner, model, **options)
    assert len(sentences) == warned
    assert [gap.on_purpose for gap in pruner.coverage.gaps] == [not warned]


def test_a_shared_weight_counts_once():
    model = nn.Sequential(nn.Linear(D, D, bias=False), nn.Linear(D, D, bias=False))
    model[1].weight = model[0].weight
    pruner = gmp.Pruner(model)
    assert (pruner.coverage.parameters, pruner.coverage.uncovered_parameters) == (D * D, 0)


def test_monitors_and_workloads_say_what_they_lack(tmp_path: Path):
    model, x = UNKNOWN, torch.randn(2, S, D)
    traced, _ = told(trace, model, [x])
    workload = workload_of(traced, name="net", batch=1, provenance={"seed": 0})
    assert workload.provenance["uncovered_mac_share"] == traced.coverage.uncovered_mac_share
    assert workload.provenance["not_measured"] == "c (Conv1D)"
    write_workload(traced, workload, tmp_path)
    assert json.loads((tmp_path / "trace.json").read_text())["coverage"] == traced.coverage.plain()
    monitor, sentences = told(EnergyMonitor, model, LinearCost(workload.layers), x)
    assert len(sentences) == 1
    assert monitor.coverage == traced.coverage
    monitor.update()
    assert "c (Conv1D)" in str(monitor.table().notes)
    assert told(monitor.measure)[1] == []  # said once
    named, sentences = told(EnergyMonitor, model, LinearCost(workload.layers), workload)
    assert sentences == []  # the workload leaves it out
    assert [(gap.name, gap.on_purpose) for gap in named.coverage.gaps] == [("c", True)]
    assert named.coverage.uncovered_mac_share is None
    complete = trace(nn.Linear(D, D), [x])
    assert workload_of(complete, name="net", batch=1).provenance == {}


def test_recipes_for_all_weights_say_what_they_leave(tmp_path: Path):
    model = NETS["einsum"][0]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for params, warned in (("__ALL_PRUNABLE__", True), ("__ALL__", False), ("['head.weight']", False)):
        path = tmp_path / "recipe.yaml"
        path.write_text(
            "modifiers:\n  - !GlobalMagnitudePruningModifier {init_sparsity: 0.05, final_sparsity: 0.9,\n"
            f"      start_epoch: 0, end_epoch: 4, update_frequency: 1, params: {params}}}\n"
        )
        _, sentences = told(gmp.load_recipe(path).attach, model, optimizer, steps_per_epoch=1)
        assert len(sentences) == warned
