"""Pruning with calibration data: counts, layer errors, all kinds of convolutions, hard data."""

from __future__ import annotations

import copy
import itertools
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import gmp
from gmp import PruningError, PruningWarning
from gmp.oneshot import METHODS, prune_with_data
from gmp.oneshot.calibration_inputs import Moments, columns_of, matrix_of, weight_of
from gmp.oneshot.kept_weights import surgeon_mask
from gmp.oneshot.least_squares import output_error, refitted
from gmp.patterns import pattern_of

LAYERS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "linear": (nn.Linear(12, 8), (12,)),
    "linear over positions": (nn.Linear(12, 8), (5, 12)),
    "conv1d": (nn.Conv1d(8, 6, 3, padding=1), (8, 9)),
    "conv2d": (nn.Conv2d(8, 6, 3, padding=1), (8, 6, 6)),
    "strided": (nn.Conv2d(8, 6, (3, 2), stride=(2, 1), padding=(1, 0)), (8, 7, 6)),
    "dilated": (nn.Conv2d(8, 6, 3, dilation=2, padding="same"), (8, 6, 6)),
    "reflected": (nn.Conv2d(8, 6, 3, padding=1, padding_mode="reflect"), (8, 6, 6)),
    "grouped": (nn.Conv2d(16, 8, 3, groups=2), (16, 6, 6)),
    "depthwise": (nn.Conv2d(8, 16, 3, groups=8), (8, 6, 6)),
    "conv3d": (nn.Conv3d(4, 6, 2), (4, 4, 4, 4)),
}


def a_layer(kind: str) -> tuple[Any, Tensor]:
    torch.manual_seed(3)
    module, shape = LAYERS[kind]
    module = copy.deepcopy(module)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    mix = torch.randn(shape[0], shape[0]) if kind != "linear over positions" else torch.randn(12, 12)
    x = torch.randn(60, *shape)
    mixed = x @ mix if isinstance(module, nn.Linear) else torch.einsum("nc...,cd->nd...", x, mix)
    return module, mixed.relu()


def error(module: nn.Module, dense: Callable[[Tensor], Tensor], x: Tensor) -> float:
    with torch.no_grad():
        return float((module(x).double() - dense(x).double()).square().sum())


@pytest.mark.parametrize("kind", LAYERS)
def test_columns_times_rows_are_the_layer(kind: str) -> None:
    module, x = a_layer(kind)
    matrix = matrix_of(module, module.weight)
    assert torch.equal(weight_of(matrix, module.weight), module.weight)
    products = columns_of(module, x) @ matrix.transpose(1, 2)  # (groups, rows, outputs)
    expected = module(x) - (module.bias if isinstance(module, nn.Linear) else 0)
    if not isinstance(module, nn.Linear):
        expected = (expected - module.bias.reshape(-1, *[1] * (x.dim() - 2))).movedim(1, -1)
    rows = expected.reshape(-1, expected.shape[-1])
    found = products.permute(1, 0, 2).reshape(rows.shape)
    torch.testing.assert_close(found, rows, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["linear", "conv1d", "strided", "grouped", "depthwise", "conv3d"])
@pytest.mark.parametrize("method", METHODS)
def test_counts_are_exact_and_outputs_near(kind: str, method: str) -> None:
    module, x = a_layer(kind)
    dense, plain = copy.deepcopy(module), copy.deepcopy(module)
    report = prune_with_data(module, x.split(20), 0.6, method=method)
    groups = getattr(module, "groups", 1)
    assert int((module.weight == 0).sum()) == groups * round(0.6 * module.weight.numel() / groups)
    assert report.sparsity == pytest.approx(0.6, abs=0.02)
    assert torch.equal(module.bias, dense.bias)
    gmp.one_shot(plain, report.sparsity)
    found, magnitude = error(module, dense, x), error(plain, dense, x)
    if method in ("obs", "least-squares") or (method == "sparsegpt" and groups == 1):
        assert found <= magnitude * (1 + 1e-5)
    total = error(dense, lambda x: dense(torch.zeros_like(x)), x) if kind in ("linear", "conv1d") else None
    if total is not None:
        expected = found / total
        assert report.rows[0].extra["output_error"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pattern", ["2:4", "1:4", "3:4"])
def test_n_of_m_inputs_stay_at_each_position(method: str, pattern: str) -> None:
    """n counts what stays: 1:4 keeps one of four, at a quarter of the density."""
    keep = int(pattern[0])
    for kind in ("linear", "conv2d", "grouped"):
        module, x = a_layer(kind)
        report = prune_with_data(module, x.split(20), method=method, pattern=pattern)
        weight = module.weight.detach()
        groups = weight.reshape(weight.shape[0], -1, 4, *weight.shape[2:])
        assert ((groups != 0).sum(2) == keep).all(), kind
        assert report.sparsity == 1 - keep / 4


def test_a_tail_of_fewer_than_m_inputs_keeps_n() -> None:
    torch.manual_seed(0)
    for method in METHODS:
        layer = nn.Linear(7, 3)
        prune_with_data(layer, [torch.randn(50, 7)], method=method, pattern="2:4")
        assert ((layer.weight[:, :4] != 0).sum(1) == 2).all()
        assert ((layer.weight[:, 4:] != 0).sum(1) == 2).all()


def test_least_squares_is_the_optimum_on_its_mask() -> None:
    torch.manual_seed(0)
    x, w = torch.randn(40, 6, dtype=torch.double) @ torch.randn(6, 6).double(), torch.randn(5, 6).double()
    live = torch.rand(5, 6) > 0.4
    found = refitted(w, live, x.T @ x, 1e-12)
    for row in range(5):
        chosen = live[row].nonzero()[:, 0]
        expected = torch.linalg.lstsq(x[:, chosen], x @ w[row]).solution
        torch.testing.assert_close(found[row, chosen], expected)
    assert (found[~live] == 0).all()


def test_the_surgeon_finds_the_best_single_weights() -> None:
    torch.manual_seed(0)
    x, w = torch.randn(40, 5, dtype=torch.double) @ torch.randn(5, 5).double(), torch.randn(1, 5).double()
    h = x.T @ x
    live = surgeon_mask(w, h, 1e-12, 1, pattern_of("1x1"), 5)

    def lost(mask: Tensor) -> float:
        return float(output_error(refitted(w, mask, h, 1e-12), w, h))

    others = [torch.ones(1, 5, dtype=torch.bool) for _ in range(5)]
    for i, mask in enumerate(others):
        mask[0, i] = False
    assert lost(live) == pytest.approx(min(map(lost, others)))
    pairs = []
    for i, j in itertools.combinations(range(5), 2):
        mask = torch.ones(1, 5, dtype=torch.bool)
        mask[0, [i, j]] = False
        pairs.append(lost(mask))
    assert lost(surgeon_mask(w, h, 1e-12, 2, pattern_of("1x1"), 5)) <= 1.5 * min(pairs)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("values", ["equal", "quantised", "zero"])
def test_ties_keep_the_count(method: str, values: str) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(20, 10)
    with torch.no_grad():
        if values == "equal":
            layer.weight.fill_(0.5)
        elif values == "quantised":
            layer.weight.mul_(10).round_()
        else:
            layer.weight[:3].zero_()
    x = torch.randn(100, 20)
    zeros = int((layer.weight == 0).sum())
    for sparsity in (0.0, 0.37, 0.8, 1.0):
        pruned = copy.deepcopy(layer)
        report = prune_with_data(pruned, [x], sparsity, method=method)
        kept = 200 - max(round(sparsity * 200), zeros)
        assert report.total.nonzero == int((pruned.weight != 0).sum()) <= kept
        if values == "equal":
            assert report.total.nonzero == kept
    if values != "equal":
        return
    again = copy.deepcopy(layer)
    prune_with_data(again, [x], 0.0, method=method)
    torch.testing.assert_close(again.weight, layer.weight)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("data", ["dead", "rank one", "one sample", "all zero"])
def test_hard_data_give_finite_weights_and_exact_counts(method: str, data: str) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(16, 6)
    x = torch.randn(1 if data == "one sample" else 50, 16)
    if data == "dead":
        x[:, 3:9] = 0
    elif data == "rank one":
        x = torch.randn(50, 1) @ torch.randn(1, 16)
    elif data == "all zero":
        x = torch.zeros(50, 16)
    dense, plain = copy.deepcopy(layer), copy.deepcopy(layer)
    gmp.one_shot(plain, 0.5)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        report = prune_with_data(layer, [x], 0.5, method=method)
    assert any(issubclass(each.category, PruningWarning) for each in seen) == (data == "one sample")
    assert torch.isfinite(layer.weight).all()
    assert report.total.nonzero == 48
    if method == "least-squares":
        assert error(layer, dense, x) <= error(plain, dense, x) * (1 + 1e-6) + 1e-9
    if data == "dead" and method in ("wanda", "obs", "sparsegpt"):
        assert (layer.weight[:, 3:9] == 0).sum() > 6 * 6 * 0.9  # they cost nothing: first to go
        assert report.rows[0].extra["dead_inputs"] == 6


def test_grouped_convolutions_see_the_inputs_of_their_group() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 4, 1, groups=2, bias=False)
    nn.init.ones_(layer.weight)
    x = torch.ones(10, 4, 3, 3) * torch.tensor([1.0, 2.0, 3.0, 0.5]).reshape(1, 4, 1, 1)
    prune_with_data(layer, [x], 0.5, method="wanda")
    kept = layer.weight[:, :, 0, 0] != 0
    assert kept.tolist() == [[False, True], [False, True], [True, False], [True, False]]


class Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used_twice, self.norm, self.head = nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)
        self.embedded = nn.Embedding(4, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.used_twice(x)) + self.embedded(torch.zeros(len(x), dtype=torch.long))
        result: Tensor = self.head(self.norm(self.used_twice(x)))
        return result


def test_moments_are_of_all_calls_and_hooks_only_on_targets() -> None:
    torch.manual_seed(0)
    model, x = Shared().eval(), torch.randn(30, 6)
    with torch.no_grad():
        gathered = Moments([model.used_twice])
        moments = gathered.gather(model, x.split(10), None)
        second = functional.relu(model.used_twice(x)) + model.embedded.weight[0]
    torch.testing.assert_close(moments[0], (x.T @ x + second.T @ second).double(), rtol=1e-5, atol=1e-5)
    assert gathered.rows == 60


def test_the_rest_of_the_network_is_left_alone() -> None:
    torch.manual_seed(0)
    model, x = Shared().requires_grad_(False), torch.randn(40, 6)
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    report = prune_with_data(model, x.split(20), 0.5, recalibrate=False)
    assert [layer.name for layer in report.rows] == ["used_twice.weight", "head.weight"]
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"used_twice.weight", "head.weight"}
    assert model.training
    assert torch.equal(random, torch.get_rng_state())

    def fails(model: nn.Module, batch: Any) -> Any:
        model(batch)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        prune_with_data(model, x.split(20), 0.5, forward=fails)
    assert model.training
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_batch_norms_are_recalibrated_and_layers_see_pruned_inputs() -> None:
    torch.manual_seed(0)
    model, x = Shared(), torch.randn(64, 6)
    prune_with_data(model, x.split(32), {"used_twice": 0.7})
    expected = copy.deepcopy(model)
    gmp.recalibrate_batch_norm(expected, x.split(32))
    torch.testing.assert_close(model.norm.running_mean, expected.norm.running_mean)
    torch.testing.assert_close(model.norm.running_var, expected.norm.running_var)
    assert (model.head.weight != 0).all()


def test_zeros_stay_and_a_pruner_keeps_them_in_training() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), torch.randn(50, 8)
    gmp.one_shot(model, 0.3)
    zeros = {n: p == 0 for n, p in model.named_parameters() if n.endswith("weight")}
    prune_with_data(model, [x], 0.6)
    assert all(bool((model.get_parameter(n)[mask] == 0).all()) for n, mask in zeros.items())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    pruner = gmp.Pruner(model, optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
        pruner.apply()
    assert pruner.sparsity == pytest.approx(0.6, abs=0.01)


def test_mistakes_end_in_a_sentence_before_any_work() -> None:
    model, x = Shared(), torch.randn(8, 6)
    before = copy.deepcopy(model.state_dict())
    wrong: list[tuple[Any, Any, dict[str, Any]]] = [
        ([], 0.5, {}),
        ([x], 1.5, {}),
        ([x], -0.1, {}),
        ([x], {"head": 1.5}, {}),
        ([x], {"heads": 0.5}, {}),
        ([x], None, {}),
        ([x], 0.5, {"method": "sparse"}),
        ([x], 0.5, {"pattern": "2:4"}),
        ([x], 0.5, {"pattern": "channel"}),
        ([x], 0.5, {"damping": 0.0}),
        ([x], 0.5, {"targets": "embedded"}),
        ([x * torch.nan], 0.5, {}),
    ]
    for batches, sparsity, options in wrong:
        with pytest.raises(PruningError):
            prune_with_data(model, batches, sparsity, **options)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    unused = nn.Sequential(nn.Linear(6, 6))
    unused.add_module("other", nn.Linear(6, 6))
    with pytest.raises(PruningError, match="does not run"):
        prune_with_data(unused, [x], 0.5, forward=lambda model, batch: model[0](batch))


@pytest.mark.parametrize("batches", [torch.randn(16, 12), {"x": torch.randn(16, 12)}, None])
def test_one_batch_is_not_several(batches: Any) -> None:
    with pytest.raises(PruningError, match="batches"):
        prune_with_data(nn.Linear(12, 8), batches, 0.5)


@pytest.mark.parametrize("method", METHODS)
def test_numbers_that_cannot_be_used_are_refused(method: str) -> None:
    """They left an error of 0, or weights that were not pruned."""
    with pytest.raises(PruningError, match="too large"):
        prune_with_data(nn.Linear(12, 8), [torch.randn(64, 12) * 1e30], 0.5, method=method)
    layer = nn.Linear(12, 8)
    with torch.no_grad():
        layer.weight[0, 0] = torch.nan
    with pytest.raises(PruningError, match="'weight'"):
        prune_with_data(layer, [torch.randn(64, 12)], 0.5, method=method)


def test_sparsities_of_no_layer_are_refused() -> None:
    with pytest.raises(PruningError, match="no layer"):
        prune_with_data(nn.Linear(12, 8), [torch.randn(64, 12)], {})
