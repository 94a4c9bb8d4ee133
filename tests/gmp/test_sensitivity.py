"""Scans of single layers: what they measure, that they leave the network alone, and the ratios from them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from support.linear_cost import LinearHardware
from torch import Tensor, nn
from torch.nn import functional

import gmp
from gmp import PruningError
from gmp.channels import channel_groups, mac_cost, score_channels
from gmp.energy import WeightCosts
from gmp.sensitivity import classified, scan
from gmp.sensitivity.replayed_modules import CallOrder


class Residual(nn.Module):
    """A stem, a block with a skip that works in place, a module that is called twice, batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.twice = nn.Conv2d(8, 8, 3, padding=1)
        self.last, self.after = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.stem(x)))
        y = self.twice(functional.relu(self.twice(x)))
        y += x
        y = self.relu(self.after(self.last(y)))
        return self.head(y.mean((2, 3)))


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    model = Residual()
    for norm in (model.norm, model.after):
        norm.running_mean.normal_()
    return model.train()


@pytest.fixture(scope="module")
def batches() -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(1)
    return [(torch.randn(20, 1, 6, 6), torch.randint(3, (20,))) for _ in range(2)]


def loss_of(model: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> float:
    with torch.no_grad():
        return float(torch.cat([classified(model(x), (x, y))[0] for x, y in batches]).mean())


@pytest.mark.parametrize("calibrated", [False, True])
def test_a_point_is_the_loss_of_a_real_prune(
    network: nn.Module, batches: list[tuple[Tensor, Tensor]], calibrated: bool
) -> None:
    norms = [x for x, _ in batches] if calibrated else None
    tables = [
        scan(network, batches, ratios=(0.3, 0.8), calibration=norms, reuse=reuse) for reuse in (True, False)
    ]
    assert tables[0].sizes.keys() == {"stem.weight", "twice.weight", "last.weight", "head.weight"}
    for point, other in zip(tables[0].points, tables[1].points, strict=True):
        assert point == pytest.approx(other, abs=1e-9)
        pruned = copy.deepcopy(network).eval()
        gmp.one_shot(pruned, point.sparsity, targets=point.name)
        if norms is not None:
            gmp.recalibrate_batch_norm(pruned, norms)
        assert point.loss == pytest.approx(loss_of(pruned, batches), abs=1e-6)
        assert point.loss_increase == pytest.approx(point.loss - tables[0].loss, abs=1e-9)


def test_nothing_of_the_network_is_changed(network: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> None:
    before, modes = copy.deepcopy(network.state_dict()), [m.training for m in network.modules()]
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    random = torch.get_rng_state()
    scan(network, batches, ratios=(0.5,), calibration=[x for x, _ in batches])
    with pytest.raises(ZeroDivisionError):
        scan(network, batches, ratios=(0.5,), progress=lambda name: 1 / 0)  # type: ignore[arg-type, return-value]
    assert torch.equal(random, torch.get_rng_state())
    assert modes == [m.training for m in network.modules()]
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for module in network.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert "forward" not in module.__dict__
    for parameter in network.parameters():
        assert torch.equal(parameter.grad, torch.ones_like(parameter))  # type: ignore[arg-type]
        assert not parameter._post_accumulate_grad_hooks  # type: ignore[attr-defined]
        parameter.grad = None


def test_only_what_ran_before_a_layer_is_kept(network: nn.Module) -> None:
    model = network
    order = CallOrder(model.eval(), lambda: model(torch.randn(1, 1, 6, 6)))
    model.train()
    assert isinstance(model, Residual)
    assert order.modules_before([model.stem.weight]) == []
    assert set(order.modules_before([model.twice.weight])) == {model.stem, model.norm}
    # the activation is called after the layer too
    assert set(order.modules_before([model.last.weight])) == {model.stem, model.norm, model.twice}


def test_a_frozen_network_is_scanned_and_equal_counts_appear_once(
    batches: list[tuple[Tensor, Tensor]],
) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).requires_grad_(False)
    table = scan(model, batches, ratios=(0.5, 0.5001, 0.504))
    assert [round(point.sparsity * 108) for point in table.points] == [54]


def test_a_layer_of_which_nothing_goes_is_not_robust_but_not_prunable(
    batches: list[tuple[Tensor, Tensor]],
) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 1), nn.Linear(1, 3))
    table = scan(model, batches, ratios=(0.1,), pattern="channel")
    assert set(table.not_prunable) == {"1.weight", "2.weight"}
    assert not table.points
    assert "2.weight" in "".join(table.table().notes)


def test_a_scan_stops_and_goes_on(
    tmp_path: Path, network: nn.Module, batches: list[tuple[Tensor, Tensor]]
) -> None:
    whole = scan(network, batches, ratios=(0.2, 0.5, 0.9))
    short = scan(network, batches, ratios=(0.2, 0.5, 0.9), stop=1e-9)
    assert 0 < len(short.points) < len(whole.points)
    path, seen = tmp_path / "points", list[str]()

    def interrupt(name: str) -> None:
        seen.append(name)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(network, batches, ratios=(0.2, 0.5, 0.9), path=path, progress=interrupt)
    with path.open("a") as file:
        file.write('["last.wei')  # a line that was being written
    calls = list[int]()

    def counted(model: nn.Module, batch: Any) -> Tensor:
        calls.append(1)
        result: Tensor = model(batch[0])
        return result

    assert scan(network, batches, ratios=(0.2, 0.5, 0.9), path=path, forward=counted).points == whole.points
    done = len(calls)
    assert scan(network, batches, ratios=(0.2, 0.5, 0.9), path=path, forward=counted).points == whole.points
    assert len(calls) - done == len(batches)  # of the dense network only
    with pytest.raises(PruningError, match="another scan"):
        scan(network, batches, ratios=(0.3,), path=path)
    path.write_text("{}\n")
    with pytest.raises(PruningError, match="no results of a scan"):
        scan(network, batches, ratios=(0.3,), path=path)


@pytest.fixture(scope="module")
def table(network: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> Any:
    costs = WeightCosts(network, batches[0][0], LinearHardware())
    return scan(network, batches, calibration=[x for x, _ in batches], costs=costs)


def test_a_threshold_below_the_first_step_prunes_nothing(table: Any) -> None:
    assert set(table.at_threshold(0.0).values()) >= {0.0}
    curves = table.curves()
    for threshold in (0.0, 0.01, 0.1, 10.0):
        for name, sparsity in table.at_threshold(threshold).items():
            x, lost = curves[name]
            assert lost[x == sparsity] <= threshold
            assert all(lost[x > sparsity] > threshold)


@pytest.mark.parametrize("method", ["table", "threshold"])
@pytest.mark.parametrize("measure", ["loss", "accuracy"])
def test_overall_sparsities_are_met_exactly(table: Any, method: str, measure: str) -> None:
    size = sum(table.sizes.values())
    for saved in (0.0, 0.123, 0.5, 0.9, 0.97):
        found = table.ratios(saved, method=method, measure=measure)
        zeros = sum(round(s * table.sizes[name]) for name, s in found.scope.items())
        assert zeros == round(saved * size)
        assert found.sparsity == zeros / size
        pruned = copy.deepcopy(Residual())
        if found.sparsity:
            gmp.one_shot(pruned, found.sparsity, scope=found.scope)
            assert sum(int((p == 0).sum()) for n, p in pruned.named_parameters() if n in table.sizes) == zeros


@pytest.mark.parametrize("method", ["table", "threshold"])
@pytest.mark.parametrize("cost", ["macs", "energy", "cycles"])
def test_other_budgets_hold_to_one_weight(table: Any, method: str, cost: str) -> None:
    dense = table.costs.total(cost, dict.fromkeys(table.sizes, 0.0))
    for saved in (0.3, 0.6):
        found = table.ratios(saved, cost=cost, method=method)
        assert found.budget == pytest.approx((1 - saved) * dense)
        assert found.cost <= found.budget
        for name, sparsity in found.scope.items():
            if sparsity:
                back = dict(found.scope, **{name: sparsity - 1 / table.sizes[name]})
                assert table.costs.total(cost, back) > found.budget


def test_the_table_loses_less_than_a_threshold(table: Any) -> None:
    def lost(scope: dict[str, float]) -> float:
        import numpy as np

        return sum(float(np.interp(scope[name], *curve)) for name, curve in table.curves().items())

    for saved in (0.5, 0.8):
        by_table, by_threshold = (table.ratios(saved, method=m).scope for m in ("table", "threshold"))
        assert lost(by_table) <= lost(by_threshold) + 1e-3


def test_rows_files_and_plots(table: Any, tmp_path: Path) -> None:
    rows = table.rows()
    assert len(rows) == len(table.points)
    assert {"name", "sparsity", "loss", "weights", "macs", "energy_pj", "cycles"} <= set(rows[0])
    assert rows[0]["weights"] == table.sizes[rows[0]["name"]] - round(rows[0]["sparsity"] * 72)
    table.to_csv(tmp_path / "scan.csv")
    assert len((tmp_path / "scan.csv").read_text().splitlines()) == len(rows) + 1
    table.plot(tmp_path / "scan.svg")
    assert (tmp_path / "scan.svg").stat().st_size > 1000
    assert len(table.table().rows) == len(rows)
    with pytest.raises(PruningError):
        table.plot(tmp_path / "scan.svg", "speed")
    with pytest.raises(PruningError):
        table.plot(tmp_path / "scan.nothing")


def test_groups_of_channels_are_scanned_as_they_are_removed(
    network: nn.Module, batches: list[tuple[Tensor, Tensor]]
) -> None:
    groups = gmp.channel_groups(network, batches[0][0][:1])
    before = copy.deepcopy(network.state_dict())
    table = scan(network, batches, groups=groups, ratios=(0.25, 0.5, 0.99, 1.0))
    assert table.of_channels
    assert set(table.sizes) == {group.name for group in groups}
    assert set(table.not_prunable) == {group.name for group in groups.fixed}
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    for point in table.points:
        assert point.sparsity <= 0.875  # one of eight stays
        order = score_channels(network, groups)[point.name].argsort(stable=True)
        kept = order[round(8 * point.sparsity) :].tolist()
        narrowed = gmp.narrow(copy.deepcopy(network).eval(), groups, {point.name: kept}).model
        assert point.loss == pytest.approx(loss_of(narrowed, batches), abs=1e-5)
    cost = mac_cost(network, groups)
    found = table.channels(cost, cost({}) / 2)
    assert cost(found) <= cost({}) / 2
    assert "channels" in table.rows()[0]
    with pytest.raises(PruningError, match="coupled"):
        table.ratios(0.5)
    with pytest.raises(PruningError, match="cheapest"):
        table.channels(cost, 1.0)


def test_differences_are_paired(batches: list[tuple[Tensor, Tensor]]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    (point,) = scan(model, batches, ratios=(0.1,)).points
    with torch.no_grad():
        dense = torch.cat([classified(model(x), (x, y))[0] for x, y in batches])
        gmp.one_shot(model, point.sparsity)
        pruned = torch.cat([classified(model(x), (x, y))[0] for x, y in batches])
    assert point.loss_se == pytest.approx(float((pruned - dense).std()) / 40**0.5, rel=1e-5)
    assert point.loss_se < float(dense.std()) / 40**0.5 / 2


def test_mistakes_end_in_a_sentence_before_any_work(
    network: nn.Module, batches: list[tuple[Tensor, Tensor]], table: Any
) -> None:
    def never(model: nn.Module, batch: Any) -> Tensor:
        raise AssertionError

    for options in (
        {"ratios": (0.5, 1.5)}, {"ratios": (0.0,)}, {"ratios": (float("nan"),)}, {"ratios": ()},
        {"stop": -1.0}, {"calibration": []}, {"targets": "body"}, {"pattern": "3x"},
    ):  # fmt: skip
        with pytest.raises(PruningError):
            scan(network, batches, forward=never if "pattern" not in options else None, **options)  # type: ignore[arg-type]
    with pytest.raises(PruningError, match="no batches"):
        scan(network, [])
    with pytest.raises(PruningError, match="outputs of the network"):
        scan(network, batches, targets="head", pattern="channel")
    with pytest.raises(PruningError, match="labels"):
        scan(network, [batches[0][0]])
    spoiled = copy.deepcopy(network)
    with torch.no_grad():
        spoiled.get_parameter("head.bias").fill_(torch.nan)
    with pytest.raises(PruningError, match="is nan"):
        scan(spoiled, batches)
    with pytest.raises(PruningError, match=r"stem\.weight"):
        scan(network, batches, measure=lambda output, batch: _nan_once_pruned(network, output))
    for wrong in (
        lambda: table.ratios(1.5),
        lambda: table.ratios(0.999),
        lambda: table.ratios(0.5, cost="time"),
        lambda: table.ratios(0.5, method="best"),
        lambda: table.ratios(0.5, measure="error"),
        lambda: table.at_threshold(-0.1),
        lambda: scan(network, batches, ratios=(0.5,)).ratios(0.2, cost="macs"),
    ):
        with pytest.raises(PruningError):
            wrong()


def _nan_once_pruned(model: nn.Module, output: Tensor) -> tuple[Tensor, Tensor]:
    pruned = bool((model.get_parameter("stem.weight") == 0).any())
    losses = torch.full((len(output),), torch.nan if pruned else 1.0)
    return losses, torch.ones(len(output))


def test_one_ratio_one_batch_and_a_pattern_of_channels_are_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    batch = torch.randn(5, 4), torch.arange(5) % 3
    with pytest.raises(PruningError, match="ratios"):
        scan(model, [batch], ratios=0.5)  # type: ignore[arg-type]
    for given in ({"batches": batch[0]}, {"batches": [batch], "calibration": batch[0]}):
        with pytest.raises(PruningError, match="batches"):
            scan(model, **given)  # type: ignore[arg-type]
    groups = channel_groups(model, batch[0])
    with pytest.raises(PruningError, match="pattern"):
        scan(model, [batch], groups=groups, pattern="2:4")
