"""The digits network pruned without training: sparsities of layers, and updates of the remaining weights."""

import copy
import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from digits_network import Digits
from torch import nn

import gmp
from gmp.oneshot import prune_with_data
from gmp.sensitivity import SensitivityTable, scan
from pointnet.training.accuracy import Score
from sparsim.report.tables import Table

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98)
SPARSITIES = (0.8, 0.9, 0.95)
UNIFORM, TABLE, LEAST_SQUARES = "uniform, magnitude", "table, magnitude", "table, least squares"

Prune = Callable[[nn.Module, Digits, Mapping[str, float], float], object]


class Result(NamedTuple):
    """The accuracy of a pruned network on the test images."""

    method: str
    sparsity: float
    score: Score


def scanned(digits: Digits) -> SensitivityTable:
    return scan(digits.model, digits.scanned, ratios=RATIOS)


def by_magnitude(model: nn.Module, digits: Digits, scope: Mapping[str, float], sparsity: float) -> object:
    return gmp.one_shot(model, sparsity, scope=dict(scope))


def with_data(method: str) -> Prune:
    def prune(model: nn.Module, digits: Digits, scope: Mapping[str, float], sparsity: float) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gmp.PruningWarning)  # fc1 has more inputs than there are images
            return prune_with_data(model, [x for x, _ in digits.calibration], scope, method=method)

    return prune


def pruned(digits: Digits, table: SensitivityTable) -> list[Result]:
    """Prune with all methods at all sparsities."""
    found = []
    for sparsity in SPARSITIES:
        threshold, least = (table.ratios(sparsity, method=m).scope for m in ("threshold", "table"))
        uniform = dict.fromkeys(table.sizes, sparsity)
        methods: dict[str, tuple[Mapping[str, float], Prune]] = {
            UNIFORM: (uniform, by_magnitude),
            "uniform, least squares": (uniform, with_data("least-squares")),
            "threshold, magnitude": (threshold, by_magnitude),
            TABLE: (least, by_magnitude),
            LEAST_SQUARES: (least, with_data("least-squares")),
            "table, SparseGPT": (least, with_data("sparsegpt")),
            "table, Wanda in the layer": (least, with_data("wanda")),
            "table, Wanda in rows": (least, with_data("wanda-rows")),
        }
        for name, (scope, prune) in methods.items():
            model = copy.deepcopy(digits.model)
            total = sum(round(s * table.sizes[each]) for each, s in scope.items()) / sum(table.sizes.values())
            prune(model, digits, scope, total)
            found.append(Result(name, sparsity, accuracy(model, digits)))
    return found


@torch.no_grad()
def accuracy(model: nn.Module, digits: Digits) -> Score:
    right = sum(int((model(x).argmax(1) == y).sum()) for x, y in digits.test)
    return Score((right,), (sum(len(y) for _, y in digits.test),))


def digits_numbers(results: list[Result]) -> dict[str, float]:
    """Return the accuracies at 90 % for --json."""
    names = {"digits_uniform": UNIFORM, "digits_table": TABLE, "digits_least_squares": LEAST_SQUARES}
    by = {(each.method, each.sparsity): each.score.accuracy for each in results}
    return {key: by[method, 0.9] for key, method in names.items()}


def digits_table(results: list[Result], dense: Score) -> Table:
    rows = []
    for method in dict.fromkeys(each.method for each in results):
        cells = [f"{100 * each.score.accuracy:.1f}" for each in results if each.method == method]
        rows.append([method, *cells])
    low, high = dense.interval()
    note = f"dense: {dense.accuracy:.2%} ({low:.2%} to {high:.2%})"
    head = ["sparsities of layers, weights", *(f"{s:.0%} zeros" for s in SPARSITIES)]
    return Table(
        head, [["no pruning", *[f"{100 * dense.accuracy:.1f}"] * len(SPARSITIES)], *rows], notes=[note]
    )


def scope_table(table: SensitivityTable) -> Table:
    """Return a table of the sparsities of the layers at 90 %."""
    found = {m: table.ratios(0.9, method=m).scope for m in ("threshold", "table")}
    rows = [
        [name, size, *(f"{scope[name]:.3f}" for scope in found.values())]
        for name, size in table.sizes.items()
    ]
    return Table(["weight", "size", *found], rows)
