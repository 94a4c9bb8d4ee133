"""Every product of a parameter with an activation is a layer, whatever call computes it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from support.counted import counted_macs
from support.linear_cost import LinearCost
from support.traced import density
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

import gmp
from gmp.energy import EnergyMonitor, EnergyScore
from gmp.tracing.trace import trace
from gmp.tracing.traced_workload import workload_of

B, S, D = 3, 6, 8  # samples, positions of each, features


class Net(nn.Module):
    """`forward(self, x)` on (B, S, D); modules and parameters are attributes."""

    def __init__(self, forward, **parts):
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


def matrix(*shape):
    torch.manual_seed(len(shape))
    return nn.Parameter(torch.randn(*shape))


def pruned():
    layer = nn.Linear(D, 5)
    prune.l1_unstructured(layer, "weight", 0.5)
    return layer


def experts(model, x):
    """Each row goes to one of four."""
    rows = x.reshape(-1, D)
    which = (rows[:, 0] * 3).long().abs() % 4
    found = rows.new_zeros(len(rows), 4)
    for expert in range(4):
        chosen = (which == expert).nonzero()[:, 0]
        found[chosen] = F.linear(rows[chosen], model.w[expert])
    return found.view(*x.shape[:2], 4)


def grouped(model, x):
    ends = torch.tensor([4, 4, 11, x.shape[0] * S], dtype=torch.int32)
    return F.grouped_mm(x.reshape(-1, D).bfloat16(), model.w.mT.bfloat16(), offs=ends)


def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(nn.Sequential(nn.Linear(D, 4), nn.ReLU(), nn.Linear(4, 2)).eval())


def looked_up(model, x):
    return model.head(model.table((x > 0).sum(-1)) + model.places)


def packed(model, x):
    inputs = nn.utils.rnn.pack_padded_sequence(x, torch.arange(S, S - len(x), -1), batch_first=True)
    return model.r(inputs)[0].data


RECURRENT = 4 * 5 * (D + 5)  # of an LSTM of width 5 on D inputs
ATTENTION = S * S * D
WITH_PARAMETERS = {  # the network, {layer: MACs of a sample}
    "matmul": (Net(lambda m, x: x @ m.w, w=matrix(D, 4)), {"w": S * D * 4}),
    "matmul from the left": (Net(lambda m, x: m.w @ x.mT, w=matrix(4, D)), {"w": S * D * 4}),
    "matmul of heads": (Net(lambda m, x: x[:, None] @ m.w, w=matrix(3, D, 4)), {"w": S * D * 12}),
    "einsum": (Net(lambda m, x: torch.einsum("bsd,hdk->bhsk", x, m.w), w=matrix(3, D, 4)), {"w": S * D * 12}),
    "einsum of groups": (
        Net(lambda m, x: torch.einsum("bsgd,gde->bsge", x.unflatten(2, (2, 4)), m.w), w=matrix(2, 4, 5)),
        {"w": S * 2 * 4 * 5},
    ),
    "tensordot": (
        Net(lambda m, x: torch.tensordot(x, m.w, dims=([2], [1])), w=matrix(4, D)),
        {"w": S * D * 4},
    ),
    "addmm, x @ W + b": (
        Net(lambda m, x: torch.addmm(m.b, x.view(-1, D), m.w), w=matrix(D, 4), b=matrix(4)),
        {"w": S * D * 4},
    ),
    "baddbmm": (
        Net(lambda m, x: torch.baddbmm(m.b, x, m.w.expand(len(x), D, 4)), w=matrix(D, 4), b=matrix(4)),
        {"w": S * D * 4},
    ),
    "function": (Net(lambda m, x: F.linear(x, m.w), w=matrix(4, D)), {"w": S * D * 4}),
    "slice": (Net(lambda m, x: F.linear(x[..., 2:], m.w[:, 2:]), w=matrix(4, D)), {"w": S * 6 * 4}),
    "list": (Net(lambda m, x: x @ m.w[0].T, w=nn.ParameterList([matrix(4, D)])), {"w.0": S * D * 4}),
    "vmap": (Net(lambda m, x: torch.vmap(m.l)(x), l=nn.Linear(D, 4)), {"l": S * D * 4}),
    "vmap over weights": (
        Net(lambda m, x: torch.vmap(lambda w: F.linear(x[:, 0], w))(m.w).transpose(0, 1), w=matrix(3, 4, D)),
        {"w": 3 * D * 4},
    ),
    "functional call": (
        Net(
            lambda m, x: torch.func.functional_call(m.l, dict(m.l.named_parameters()), (x,)),
            l=nn.Linear(D, 4),
        ),
        {"l": S * D * 4},
    ),
    "checkpoint": (
        Net(
            lambda m, x: torch.utils.checkpoint.checkpoint(m.l, x, use_reentrant=False),
            l=nn.Linear(D, 4),
        ),
        {"l": S * D * 4},
    ),
    "transposed convolution": (
        Net(lambda m, x: m.t(x.mT), t=nn.ConvTranspose1d(D, 4, 3, stride=2, groups=2)),
        {"t": S * D * 2 * 3},
    ),
    "transposed convolution of images": (
        Net(lambda m, x: m.t(x.view(-1, 2, 4, 6)), t=nn.ConvTranspose2d(2, 3, 2, stride=2)),
        {"t": 24 * 2 * 3 * 4},
    ),
    "convolution on views": (
        Net(lambda m, x: m.c(x.view(-1, 4, 12)).amax(2).view(len(x), -1), c=nn.Conv1d(4, 5, 3, padding=1)),
        {"c": 12 * 4 * 5 * 3},
    ),
    "convolution of no batch": (
        Net(lambda m, x: m.c(x[0].T), c=nn.Conv1d(D, 5, 3)),
        {"c": 4 * D * 5 * 3 / B},
    ),
    "LSTM": (Net(lambda m, x: m.r(x)[0], r=nn.LSTM(D, 5, batch_first=True)),
             {"r.weight_ih_l0": S * 20 * D, "r.weight_hh_l0": S * 20 * 5}),
    "LSTM, two layers, two directions, projected": (
        Net(lambda m, x: m.r(x)[0], r=nn.LSTM(D, 5, 2, batch_first=True, bidirectional=True, proj_size=2)),
        {f"r.weight_{kind}_l{layer}{end}": S * macs
         for layer, ih in ((0, 20 * D), (1, 20 * 4)) for end in ("", "_reverse")
         for kind, macs in (("ih", ih), ("hh", 20 * 2), ("hr", 2 * 5))},
    ),
    "GRU": (Net(lambda m, x: m.r(x)[0], r=nn.GRU(D, 5, batch_first=True)),
            {"r.weight_ih_l0": S * 15 * D, "r.weight_hh_l0": S * 15 * 5}),
    "RNN, samples second": (Net(lambda m, x: m.r(x.transpose(0, 1))[0], r=nn.RNN(D, 5)),
                            {"r.weight_ih_l0": S * 5 * D, "r.weight_hh_l0": S * 5 * 5}),
    "cell": (Net(lambda m, x: m.r(x[:, 0])[0], r=nn.LSTMCell(D, 5)),
             {"r.weight_ih": 20 * D, "r.weight_hh": 20 * 5}),
    "sequences of several lengths": (
        Net(packed, r=nn.LSTM(D, 5, batch_first=True)),
        {"r.weight_ih_l0": (6 + 5 + 4) / 3 * 20 * D, "r.weight_hh_l0": (6 + 5 + 4) / 3 * 20 * 5},
    ),
    "attention": (
        Net(lambda m, x: m.a(x, x, x)[0], a=nn.MultiheadAttention(D, 2, batch_first=True)),
        {"a.in_proj_weight": S * 3 * D * D, "a": ATTENTION, "a.part2": ATTENTION, "a.out_proj": S * D * D},
    ),
    "attention without weights to give back, of two inputs": (
        Net(lambda m, x: m.a(x, x[:, :2], x[:, :2], need_weights=False)[0],
            a=nn.MultiheadAttention(D, 1, batch_first=True)),
        {"a.in_proj_weight": S * D * D, "a.in_proj_weight.part2": 2 * D * D,
         "a.in_proj_weight.part3": 2 * D * D, "a": S * 2 * D, "a.part2": S * 2 * D, "a.out_proj": S * D * D},
    ),
    "attention of three widths": (
        Net(lambda m, x: m.a(x, x[..., :3], x[..., :5])[0],
            a=nn.MultiheadAttention(D, 2, kdim=3, vdim=5, batch_first=True)),
        {"a.q_proj_weight": S * D * D, "a.k_proj_weight": S * 3 * D, "a.v_proj_weight": S * 5 * D,
         "a": ATTENTION, "a.part2": ATTENTION, "a.out_proj": S * D * D},
    ),
    "experts": (Net(experts, w=matrix(4, 4, D)), {"w": S * D * 4}),
    "scripted": (Net(lambda m, x: m.s(x), s=scripted()), {"s.0": S * D * 4, "s.2": S * 4 * 2}),
    "lookup": (Net(looked_up, table=nn.Embedding(D + 1, 4), places=matrix(1, S, 4), head=nn.Linear(4, 2)),
               {"head": S * 4 * 2}),
    "bag": (Net(lambda m, x: m.head(m.table((x > 0).sum(-1))), table=nn.EmbeddingBag(D + 1, 4),
                head=nn.Linear(4, 2)), {"head": 4 * 2}),
    "tied to an embedding": (
        Net(lambda m, x: F.linear(m.e((x > 0).sum(-1)), m.e.weight), e=nn.Embedding(D + 1, 4)),
        {"e": S * 4 * (D + 1)},
    ),
    "parametrized": (
        Net(lambda m, x: m.l(x), l=parametrizations.weight_norm(nn.Linear(D, 5))),
        {"l": S * D * 5},
    ),
    "pruned by torch": (Net(lambda m, x: m.l(x), l=pruned()), {"l": S * D * 5}),
    "quantized in passing": (Net(lambda m, x: F.linear(x, (m.w / 0.1).round() * 0.1), w=matrix(4, D)),
                             {"w": S * D * 4}),
    "three as one": (
        Net(lambda m, x: F.linear(x, torch.cat([m.q, m.k])), q=matrix(4, D), k=matrix(5, D)),
        {"q": S * D * 9},
    ),
    "low rank added": (
        Net(lambda m, x: F.linear(x, m.w + m.b @ m.a), w=matrix(5, D), b=matrix(5, 2), a=matrix(2, D)),
        {"w": S * D * 5, "a": 5 * 2 * D / B},
    ),
}  # fmt: skip


@pytest.fixture(params=WITH_PARAMETERS)
def net(request):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model, expected = WITH_PARAMETERS[request.param]
    return model.eval(), expected


def test_layers_and_their_macs(net):
    model, expected = net
    x = torch.randn(B, S, D)
    found = trace(model, [x])
    assert {row.name: row.macs for row in found.layers} == pytest.approx(expected)
    assert round(found.macs * B) == counted_macs(model, x)
    assert found.coverage.uncovered_macs == 0
    assert found.coverage.unknown == found.coverage.idle == ()
    vectors = sum(p.numel() for name, p in model.named_parameters() if p.dim() < 2 and name not in expected)
    assert found.coverage.uncovered_parameters == vectors


def test_zeros_of_a_parameter_are_those_of_its_layers(net):
    """The views are the weights that are multiplied, element by element."""
    model, _ = net
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "parametrizations" not in name:
                parameter *= torch.rand(parameter.shape) < 0.6
    for row in trace(model, [torch.randn(B, S, D)], mask_samples=B).layers:
        if row.view is None:
            continue
        holder, _, key = row.view.parameter.rpartition(".")
        weights = getattr(model.get_submodule(holder), key)
        if row.view.computed:
            continue
        part = row.view.of(weights.detach())
        assert part.numel() == row.weights
        assert density(part) == pytest.approx(row.weight_density)
        if row.weight_mask is not None:
            assert np.array_equal(part.numpy().reshape(row.weight_mask.shape) != 0, row.weight_mask)
        positions = row.view.positions(weights)
        assert len(positions.unique()) == part.numel()


DENSE = [key for key, (_, expected) in WITH_PARAMETERS.items() if len(expected) == 1 and key.startswith(
    ("matmul", "einsum", "tensordot", "function", "transposed", "vmap")
)]  # fmt: skip


@pytest.mark.parametrize("key", DENSE)
def test_masks_pair_as_the_product_does(key):
    """Products of two nonzeros add up to the output of the network with ones in their place."""
    model, _ = WITH_PARAMETERS[key]
    torch.manual_seed(0)
    x = (torch.rand(B, S, D) < 0.5).float()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.rand(parameter.shape) < 0.6)
            if parameter.dim() == 1:
                parameter.zero_()
        output = model(x)
    (row,) = trace(model, [x], mask_samples=B).layers
    groups = row.computation.groups
    weights = row.weight_mask.reshape(groups, -1, row.computation.C // groups, 1)
    inputs = row.input_mask.reshape(B, groups, 1, row.computation.C // groups, -1)
    assert int((weights.astype(int) * inputs.sum((0, 4))[..., None]).sum()) == round(float(output.sum()))


def test_scores_and_values_of_attention_are_two_layers_where_their_shapes_are_equal():
    def attend(m, x):
        return F.scaled_dot_product_attention(x, x, F.relu(x), is_causal=True)

    scores, values = trace(Net(attend), [torch.randn(B, D, D)]).layers
    assert scores.computation == values.computation
    assert (scores.inputs.mean, values.inputs.mean) == (1.0, (D + 1) / (2 * D))  # a triangle
    assert (scores.weight_density, values.weight_density < 0.7) == (1.0, True)


def test_rows_of_experts_are_spread_over_all_of_them():
    model, _ = WITH_PARAMETERS["experts"]
    (row,) = trace(model, [torch.randn(2, S, D), torch.randn(3, S, D)]).layers
    assert row.view.parameter == "w"
    assert row.view.steps == ()
    assert (row.computation.groups, row.weights, row.calls) == (4, 4 * 4 * D, S / 4)


@pytest.mark.skipif(not hasattr(F, "grouped_mm"), reason="torch has no grouped_mm")
def test_experts_in_one_call():
    (row,) = trace(Net(grouped, w=matrix(4, 16, D)), [torch.randn(B, S, D)]).layers
    assert (row.macs, row.computation.groups, row.weights) == (S * D * 16, 4, 4 * 16 * D)


def test_bilinear_is_a_product_with_the_weights_and_one_of_activations():
    model = Net(lambda m, x: m.b(x, x), b=nn.Bilinear(D, D, 3))
    weights, activations = trace(model, [torch.randn(B, S, D)]).layers
    assert (weights.name, weights.macs, weights.weights) == ("b", S * D * D * 3, 3 * D * D)
    assert (activations.name, activations.macs, activations.view) == ("b.part2", S * D * 3, None)


def test_a_buffer_is_weights_too():
    """A graph that all samples share."""
    model = Net(lambda m, x: m.graph @ x, graph=None)
    del model.graph
    model.register_buffer("graph", (torch.rand(S, S) < 0.4).float())
    (row,) = trace(model, [torch.randn(B, S, D)]).layers
    assert (row.name, row.macs, row.view.parameter) == ("graph", S * S * D, "graph")
    assert row.weight_density == pytest.approx(density(model.graph))


def test_filters_of_each_sample_are_no_parameters():
    """Convolutions whose filters are computed from the sample, with all samples as groups of one."""

    def attend(m, x):
        filters = m.mix(x.mean((1, 2))[:, None]).reshape(-1, 1, 3, 3)
        images = x.view(1, -1, 4, 4)
        return F.conv2d(images, filters, groups=len(filters), padding=1).view(len(x), -1, 4, 4)

    model = Net(attend, mix=nn.Linear(1, 2 * 9))
    mix, filters = trace(model, [torch.randn(B, 2, 4, 4).view(B, 8, 4)]).layers
    assert (mix.name, mix.macs) == ("mix", 18)
    assert (filters.view, filters.calls, filters.macs, filters.weights) == (None, 1, 2 * 9 * 16, 18)


def test_prices_of_weights_that_are_copied_or_in_parts():
    """Costs of layer i are (i + 1) * 1000 for each density of weights."""

    def attend(m, x):
        y = torch.einsum("bsd,hdk->bshk", x, m.w).flatten(2)
        return m.a(y, y[:, :2], y[:, :2])[0]

    model = Net(attend, w=matrix(2, D, 4), a=nn.MultiheadAttention(D, 2, batch_first=True))
    x = torch.randn(B, S, D)
    workload = workload_of(trace(model, [x]), name="net", batch=1)
    score = EnergyScore(EnergyMonitor(model, LinearCost(workload.layers), x), objective="energy")
    sizes = torch.tensor([D * D, D * D, D * D, D * D, D * D])
    slopes = 1000 * torch.tensor([1.0, 2, 3, 4, 7])  # layers 5 and 6 are products of activations
    price = slopes / sizes / (slopes.sum() / sizes.sum())
    torch.testing.assert_close(score.prices("w", model.w), price[0].expand(2, D, 4))
    torch.testing.assert_close(
        score.prices("a.in_proj_weight", model.a.in_proj_weight),
        price[1:4].repeat_interleave(D)[:, None].expand(3 * D, D),
    )


def test_weights_that_a_stored_mask_prunes():
    """Their zeros are not those of the parameter alone."""
    mask, learned = (torch.rand(5, D) < 0.5).float(), matrix(5, D)
    for other in (mask, learned):
        model = Net(lambda m, x: F.linear(x, m.w * (m.other > 0).float()), w=matrix(5, D))
        if isinstance(other, nn.Parameter):
            model.other = other
        else:
            model.register_buffer("other", other)
        (row,) = trace(model, [torch.randn(B, S, D)]).layers
        assert (row.name, row.view.computed) == ("w", True)
        assert row.weight_density == pytest.approx(density(other > 0))


@pytest.mark.filterwarnings("ignore")
def test_programs_and_operations_of_the_compiler():
    """An exported program is traced like the model, attention that is one operation is named."""
    from torch.nn.attention.flex_attention import flex_attention

    def attend(m, x):
        y = m.l(x)[:, None]
        return flex_attention(y, y, y)[:, 0]

    x = torch.randn(B, S, D)
    found = trace(Net(attend, l=nn.Linear(D, D)), [x])
    assert [row.name for row in found.layers] == ["l"]
    assert [gap.name for gap in found.coverage.unknown] == [""]

    model = Net(lambda m, x: m.l(x).relu(), l=nn.Linear(D, 4)).eval()
    expected = trace(model, [x])
    assert trace(torch.compile(model), [x]) == expected
    assert trace(torch.export.export(model, (x,)).module(), [x]) == expected


def test_a_vector_is_weights_too():
    """torch's counter has no formula for it."""
    (row,) = trace(Net(lambda m, x: x.view(-1, D) @ m.w, w=matrix(D)), [torch.randn(B, S, D)]).layers
    assert (row.name, row.macs, row.weights) == ("w", S * D, D)


@pytest.mark.parametrize("convert", [torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta state:UserWarning")
def test_a_sparse_graph_is_the_inputs(convert):
    graph = (torch.rand(S, S) < 0.4).float()
    traced = trace(
        nn.Identity(), [torch.randn(1, S, D)], forward=lambda m, x: torch.sparse.mm(convert(graph), x[0])
    )
    (row,) = traced.layers
    assert (row.macs, row.view) == (S * S * D, None)
    assert row.inputs.mean == pytest.approx(density(graph))


def test_pruner_and_monitor_follow_any_parameter():
    """And keep the second operands of attention as they were measured."""
    torch.manual_seed(0)
    model = Net(lambda m, x: m.a(x, x, x)[0], a=nn.MultiheadAttention(D, 2, batch_first=True))
    x = torch.randn(B, S, D)
    pruner = gmp.Pruner(model, targets=["a.in_proj_weight"])
    workload = workload_of(trace(model, [x]), name="attention", batch=2)
    monitor = EnergyMonitor(model, LinearCost(workload.layers), x, pruner=pruner, batch=2)
    pruner.prune(0.5)
    assert monitor.prunable.tolist() == [True, False, False, False]
    assert monitor.sizes == (3 * D * D, 0, 0, D * D)
    assert monitor.densities[:, 0].tolist() == [0.5, 1.0, 1.0, 1.0]
    assert [layer.bounds["G"] for layer in workload.layers] == [1, 4, 4, 1]  # each sample has its own keys
    assert [layer.bounds["N"] for layer in workload.layers] == [2, 1, 1, 2]
    with torch.no_grad():
        model.a.in_proj_bias[2 * D :] = 0
        model.a.in_proj_weight[2 * D :] = 0
    monitor.measure()
    assert monitor.densities[:, 0].tolist() == [0.5, 1.0, 0.0, 1.0]  # of masks, and of values that are zero
