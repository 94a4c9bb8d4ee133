"""The report counts what is left, says what it counts, and refuses names that it does not know."""

from __future__ import annotations

import copy
import csv
import io
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from support.named import names, naming
from torch import nn

from gmp import one_shot
from gmp.errors import PruningError, PruningWarning
from gmp.sparsity_report import Report, report_of


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 5))


def masks_of(model: nn.Module, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weights = {name: p for name, p in model.named_parameters() if p.dim() > 1}
    return {name: torch.rand(p.shape, generator=generator) < 0.4 for name, p in weights.items()}


def shown(report: Report) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report.table())
    return console.export_text()


def kept(mask: torch.Tensor, weight: torch.Tensor) -> int:
    """A slow twin: one weight at a time."""
    pairs = zip(mask.flatten().tolist(), weight.flatten().tolist(), strict=True)
    return sum(1 for keep, value in pairs if keep and value != 0.0)


@given(seed=st.integers(0, 1000))
def test_counts_agree_with_counting_one_by_one(seed: int) -> None:
    model = small()
    masks = masks_of(model, seed)
    report = report_of(model, masks)
    for row, (name, mask) in zip(report.rows, masks.items(), strict=True):
        weight = model.get_parameter(name)
        assert (row.name, row.shape, row.weights) == (name, tuple(weight.shape), weight.numel())
        assert row.nonzero == kept(mask, weight)
        assert row.sparsity == pytest.approx(1 - row.nonzero / row.weights)
        assert row.compressed_bytes == 4 * row.nonzero + math.ceil(row.weights / 8)
    assert report.total.nonzero == sum(row.nonzero for row in report.rows)
    assert report.total.weights == 3 * 4 + 4 * 5
    assert report.parameters == 12 + 4 + 8 + 20 + 5
    assert report.parameter_sparsity == pytest.approx((32 - report.total.nonzero) / 49)


def test_a_kept_weight_that_is_zero_counts_as_zero() -> None:
    model = nn.Linear(4, 2, bias=False)
    nn.init.ones_(model.weight)
    mask = torch.ones(2, 4, dtype=torch.bool)
    assert report_of(model, {"weight": mask}).total.nonzero == 8
    with torch.no_grad():
        model.weight[0, 0] = 0.0
    assert report_of(model, {"weight": mask}).total.nonzero == 7


def test_sizes_of_the_whole_model() -> None:
    model = nn.Linear(10, 10)
    nn.init.ones_(model.weight)
    mask = torch.zeros(10, 10, dtype=torch.bool)
    mask[0] = True
    report = report_of(model, {"weight": mask})
    assert report.model_dense_bytes == 440
    assert report.model_compressed_bytes == 10 * 4 + 13 + 10 * 4  # nonzeros, bitmask, bias
    assert report.sparsity == 0.9


def test_extra_columns_go_by_weight_or_module_name_and_blanks_stay_blank(tmp_path: Path) -> None:
    model = small()
    extra = {"0": {"macs": 12, "input density": 0.5}, "2.weight": {"macs": 20}}
    report = report_of(model, masks_of(model), extra)
    first, second = report.rows
    assert first.extra == {"macs": 12, "input density": 0.5}
    assert second.extra == {"macs": 20, "input density": None}
    assert report.total.extra == {"macs": 32, "input density": None}
    report.to_csv(tmp_path / "report.csv")
    lines = list(csv.DictReader((tmp_path / "report.csv").read_text().splitlines()))
    assert [line["input density"] for line in lines] == ["0.5", "", ""]
    assert [line["name"] for line in lines] == ["0.weight", "2.weight", "total"]
    assert float(lines[-1]["sparsity"]) == report.sparsity


def test_a_column_that_one_layer_lacks_has_no_total() -> None:
    model = small()
    assert report_of(model, masks_of(model), {"0": {"macs": 12}}).total.extra == {"macs": None}


def test_json_holds_rows_total_and_what_is_counted(tmp_path: Path) -> None:
    model = small()
    report = report_of(model, masks_of(model), {"2": {"note": "a|b"}})
    report.to_json(tmp_path / "report.json")
    document = json.loads((tmp_path / "report.json").read_text())
    assert [row["shape"] for row in document["rows"]] == ["4x3x1x1", "5x4"]
    assert [row["note"] for row in document["rows"]] == [None, "a|b"]
    assert document["total"]["nonzero"] == report.total.nonzero
    assert document["model_compressed_bytes"] == report.model_compressed_bytes
    assert any("bitmask" in note for note in document["notes"])


def test_markdown_has_a_row_per_weight_and_a_total() -> None:
    model = small()
    text = report_of(model, masks_of(model), {"2": {"note": "a|b"}}).to_markdown()
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 2 + 1
    assert r"a\|b" in table[3]
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1
    assert table[-1].startswith("| **total** |")


def test_table_shows_names_with_brackets_and_the_total() -> None:
    model = nn.ModuleDict({"[red]fc": nn.Linear(2, 2)})
    text = shown(report_of(model, {"[red]fc.weight": torch.ones(2, 2, dtype=torch.bool)}))
    assert "[red]fc.weight" in text
    assert "total" in text
    assert "0.0000" in text


ONES = torch.ones(4, 3, 1, 1, dtype=torch.bool)


@pytest.mark.parametrize(
    ("masks", "extra", "message"),
    [
        ({}, None, "masks"),
        ({"0.weigth": ONES}, None, "0.weigth 0.weight"),
        ({"0.weight": ONES.float()}, None, "0.weight torch.float32 torch.bool"),
        (
            {"0.weight": ONES[:, :, 0]},
            None,
            "0.weight 4 3 1",
        ),
        (
            {"0.weight": ONES},
            {"0.wieght": {}},
            "0.wieght 0.weight",
        ),
        (
            {"0.weight": ONES, "0.bias": torch.ones(4, dtype=torch.bool)},
            {"0": {"macs": 1}},
            "0 0.weight 0.bias",
        ),
        (
            {"0.weight": ONES},
            {"0": {"nonzero": 1}},
            "nonzero 0",
        ),
        (
            {"0.weight": ONES},
            {"0": {"macs": 1}, "0.weight": {"macs": 1}},
            "macs 0.weight",
        ),
        (
            {"0.weight": ONES},
            {"0": {"density": math.nan}},
            "density 0 None",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    masks: dict[str, torch.Tensor], extra: dict[str, dict[str, object]] | None, message: str
) -> None:
    with pytest.raises(PruningError) as caught:
        report_of(small(), masks, extra)
    assert names(caught.value, message)


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    report = report_of(small(), masks_of(small()))
    with pytest.raises(PruningError, match=naming("report.csv report")):
        report.to_csv(tmp_path / "none" / "report.csv")


def test_layers_that_a_global_pool_has_emptied_are_named() -> None:
    model = nn.Sequential(nn.Linear(30, 30), nn.ReLU(), nn.Linear(30, 4), nn.ReLU(), nn.Linear(4, 2))
    for layer, scale in ((0, 0.1), (2, 1.0), (4, 10.0)):
        nn.init.uniform_(model[layer].weight, scale, 2 * scale)
    assert not any("0.weight" in note for note in one_shot(copy.deepcopy(model), 0.8).notes)
    with pytest.warns(PruningWarning, match=naming("0.weight bias")) as warned:
        report = one_shot(copy.deepcopy(model), 0.9)
    assert [row.nonzero for row in report.rows] == [0, 95, 8]
    assert report.notes[0] == str(warned[0].message)
    assert f"* {report.notes[0]}\n" in report.to_markdown()
    kept = one_shot(model, 0.9, min_density=0.02)
    assert kept.rows[0].nonzero == 18
    assert len(kept.notes) == len(report.notes) - 1
