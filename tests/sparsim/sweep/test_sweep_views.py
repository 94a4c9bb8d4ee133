"""What shows the results of a sweep: tables, pictures, documents of a point, checks, and the report."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from support.report_pages import ReportPage

from sparsim.cli.main import cli
from sparsim.errors import FormatError, SpecError
from sparsim.sweep.exported_design import check_rows, point_of_row, row_of, space_of_results
from sparsim.sweep.pareto import non_dominated
from sparsim.sweep.results import SweepResult
from sparsim.sweep.sweep_view import SweepView, unit_of

PNG = b"\x89PNG"


def sparsim(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def csv_column(text: str, name: str) -> list[str]:
    return [row[name] for row in csv.DictReader(text.splitlines())]


def test_fronts_are_those_of_the_rows(swept: Path) -> None:
    view = SweepView(swept)
    assert set(view.frame["status"]) == {"ok", "infeasible"}
    assert view.axes == ("dram", "rows", "mesh", "bandwidth", "workload")
    assert view.objectives == {"energy_pj": "min", "cycles": "min", "accuracy": "max"}
    front = view.front()
    assert 0 < len(front) < len(view.ok)
    assert front["energy_pj"].is_monotonic_increasing
    others = view.named_objectives(["area", "cycles"])
    values = view.ok[["area_mm2", "cycles"]].to_numpy()
    assert set(view.front(others)["point"]) == set(view.ok["point"][non_dominated(values)])
    within = view.where(view.ok, "area < 2 and cycles > 1500")
    assert len(within) == ((view.ok["area_mm2"] < 2) & (view.ok["cycles"] > 1500)).sum() > 0
    assert set(view.where(view.frame, "bandwidth < 4")["bandwidth"]) == {2.0}
    chosen = view.front(where="dram > 200")
    assert set(chosen["dram"]) == {512.0}
    assert not set(chosen["point"]) & set(front["point"])


@pytest.mark.parametrize("condition", ["aera < 2", "area.real < 2", "area <", "__import__('os')"])
def test_conditions_that_cannot_be_read_are_refused(swept: Path, condition: str) -> None:
    view = SweepView(swept)
    with pytest.raises(SpecError):
        view.where(view.ok, condition)


def test_show_prints_fronts(swept: Path) -> None:
    shown = sparsim("sweep", "show", swept)
    assert shown.exit_code == 0, shown.output
    for text in ("point", "dram", "workload", "energy", "accuracy"):
        assert text in shown.output
    front = SweepView(swept).front()
    as_csv = sparsim("sweep", "show", swept, "--csv").output
    assert list(map(int, csv_column(as_csv, "point"))) == front["point"].tolist()
    assert list(map(float, csv_column(as_csv, "energy_pj"))) == front["energy_pj"].tolist()
    of_all = sparsim("sweep", "show", swept, "--all", "--where", "rows == 6", "--csv").output
    assert len(csv_column(of_all, "point")) == 8
    assert "filter" in sparsim("sweep", "show", swept, "--all").output


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "--front", "energi"),
        ("show", "--front", "inferences_per_s"),
        ("show", "--where", "aera < 2"),
        ("plot", "--kind", "pareto", "-o", "x.jpg"),
        ("plot", "--kind", "stack", "--html", "-o", "x.html"),
        ("export", "999", "-o", "x"),
    ],
)
def test_bad_requests_are_refused(swept: Path, arguments: Sequence[str]) -> None:
    found = sparsim("sweep", arguments[0], swept, *arguments[1:])
    assert isinstance(found.exception, SpecError)


def test_folders_without_results_are_refused(tmp_path: Path) -> None:
    for command in ("show", "plot", "check", "report"):
        assert isinstance(sparsim("sweep", command, tmp_path).exception, FormatError)


@pytest.mark.parametrize("kind", ["pareto", "matrix", "parallel", "effects", "stack"])
def test_pictures_are_drawn(swept: Path, tmp_path: Path, kind: str) -> None:
    drawn = sparsim("sweep", "plot", swept, "--kind", kind, "-o", tmp_path / "a.png")
    assert drawn.exit_code == 0, drawn.exception
    assert (tmp_path / "a.png").read_bytes().startswith(PNG)


def test_pictures_of_chosen_objectives_and_as_pages(swept: Path, tmp_path: Path) -> None:
    assert sparsim(
        "sweep", "plot", swept, "--front", "area,cycles", "-o", tmp_path / "b.svg"
    ).exit_code == 0  # fmt: skip
    assert "<svg" in (tmp_path / "b.svg").read_text()
    page = sparsim("sweep", "plot", swept, "--kind", "parallel", "--html", "-o", tmp_path / "c.html")
    assert page.exit_code == 0, page.exception
    assert "parcoords" in (tmp_path / "c.html").read_text(encoding="utf-8")


def test_exported_documents_have_the_energy_and_cycles_of_the_row(swept: Path, tmp_path: Path) -> None:
    """Of Timeloop's documents, too."""
    point = int(SweepView(swept).front()["point"].iloc[-1])
    row = row_of(SweepResult(swept), point)
    assert row["workload"] == "net"
    assert sparsim("sweep", "export", swept, point, "-o", tmp_path, "--timeloop").exit_code == 0
    for kind in ("layers", "timeloop"):
        energy, cycles = 0.0, 0
        for layer in sorted((tmp_path / kind).iterdir()):
            files = sorted(layer.glob("*.yaml"))
            design = [tmp_path / "design.yaml"] if kind == "layers" else []
            done = sparsim("model", *design, *files, "-o", tmp_path / "out")
            assert done.exit_code == 0, done.exception
            found = json.loads((tmp_path / "out" / "sparsim.result.json").read_text())
            energy, cycles = energy + found["energy_pj"], cycles + found["cycles"]
        assert energy == pytest.approx(row["energy_pj"], rel=1e-9)
        assert cycles == row["cycles"]


def test_no_point_is_exported_into_the_folder_of_another_point(swept: Path, tmp_path: Path) -> None:
    point = int(SweepView(swept).front()["point"].iloc[0])
    assert sparsim("sweep", "export", swept, point, "-o", tmp_path).exit_code == 0
    before = (tmp_path / "design.yaml").read_bytes()
    again = sparsim("sweep", "export", swept, point + 1, "-o", tmp_path)
    assert isinstance(again.exception, SpecError)
    assert (tmp_path / "design.yaml").read_bytes() == before


@pytest.mark.parametrize("kind", ["pareto", "matrix", "parallel", "effects", "stack"])
def test_pictures_without_results_are_refused(
    swept: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(SweepView, "ok", property(lambda view: view.frame.iloc[:0]))
    assert isinstance(sparsim("sweep", "plot", swept, "--kind", kind).exception, SpecError)


@pytest.fixture
def empty(swept: Path, tmp_path: Path) -> Path:
    """The same results, of which none is left."""
    folder = tmp_path / "empty"
    shutil.copytree(swept, folder)
    table = pq.read_table(folder / "results.parquet")
    status = pa.array(["infeasible"] * len(table))
    at = table.column_names.index("status")
    pq.write_table(table.set_column(at, "status", status), folder / "results.parquet")
    return folder


@pytest.mark.parametrize("command", ["check", "report"])
def test_without_results_there_is_a_sentence_and_no_page(empty: Path, command: str) -> None:
    found = sparsim("sweep", command, empty)
    assert isinstance(found.exception, SpecError)
    assert not (empty / "report.html").exists()


def test_an_export_without_results_says_why_there_are_no_layers(swept: Path, tmp_path: Path) -> None:
    frame = SweepView(swept).frame
    point = int(frame[frame["status"] == "infeasible"]["point"].iloc[0])
    found = sparsim("sweep", "export", swept, point, "-o", tmp_path / "out")
    assert found.exit_code == 0
    assert f"point {point} is infeasible" in found.output
    assert not (tmp_path / "out" / "layers").exists()


def test_exported_chips_cost_what_the_row_says(tmp_path: Path) -> None:
    from sparsim.sweep import run_sweep

    study = tmp_path / "chip.yaml"
    study.write_text(
        "sweep: {base: eyeriss_v2, workloads: {net: {source: pointnet2_study_sparse, layers: [fc3]}},\n"
        "  axes: {clock: {path: chip.clock_mhz, values: [200.0, 100.0]}}, objectives: [energy, cycles],\n"
        "  search: {objective: edp}, skip_dominated: false}\n"
    )
    run_sweep.run(study, tmp_path / "out", jobs=1)
    row = row_of(SweepResult(tmp_path / "out"), 1)
    assert row["status"] == "ok", row["reason"]
    assert sparsim("sweep", "export", tmp_path / "out", 1, "-o", tmp_path / "doc").exit_code == 0
    files = tmp_path / "doc" / "design.yaml", tmp_path / "doc" / "workload.yaml"
    done = sparsim("chip", *files, "--objective", "edp", "-o", tmp_path / "found")
    assert done.exit_code == 0, done.exception
    assert f"{int(row['cycles']):,}" in done.output


def test_rows_are_points_again(swept: Path) -> None:
    result = SweepResult(swept)
    space = space_of_results(result)
    points = [point_of_row(space, row_of(result, i)) for i in (1, 5, 23)]
    assert [space.key(point) for point in points] == [row_of(result, i)["key"] for i in (1, 5, 23)]
    assert [point["mesh"] for point in points] == [[7, 1], [7, 1], [14, 1]]
    assert points[0]["bandwidth"] is None


def test_check_finds_what_differs(swept: Path, tmp_path: Path) -> None:
    done = sparsim("sweep", "check", swept, "-n", "4")
    assert done.exit_code == 0, done.output
    folder = tmp_path / "copy"
    shutil.copytree(swept, folder)
    table = pq.read_table(folder / "results.parquet")
    energies = np.nextafter(table["energy_pj"].to_numpy(), np.inf)
    at = table.schema.get_field_index("energy_pj")
    pq.write_table(table.set_column(at, "energy_pj", [energies]), folder / "results.parquet")
    document = json.loads(sparsim("sweep", "check", swept, "-n", "2", "--json").stdout)
    assert document == {"compared": 2, "differences": []}
    found = sparsim("sweep", "check", folder, "-n", "2")
    assert found.exit_code == 1
    assert re.search(r"energy_pj is recorded", found.output)
    compared, differences = check_rows(SweepResult(folder), 2)
    assert compared == 2
    assert {each.column for each in differences} == {"energy_pj"}


def test_the_report_answers_first(swept: Path, tmp_path: Path) -> None:
    done = sparsim("sweep", "report", swept, "-o", tmp_path / "r.html")
    assert done.exit_code == 0, done.exception
    text, view = (tmp_path / "r.html").read_text(encoding="utf-8"), SweepView(swept)
    page = ReportPage(text)
    page.check()
    assert len(page.pictures) == 5
    assert page.numbers[0] == f"{len(view.front())} of {len(view.frame)}"
    best = view.ok["energy_pj"].min() / unit_of("energy_pj", view.ok["energy_pj"]).scale
    assert float(page.numbers[1].split()[0]) == pytest.approx(best, rel=1e-4)
    assert [int(row[0]) for row in page.table_of("point")] == view.front()["point"].tolist()
    changes = [row[0].split(" \u2192 ") for row in page.table_of("step")]
    assert all(before[1] == after[0] for before, after in pairwise(changes))
    assert "limit: cycles &lt; 67000" in text


@pytest.mark.parametrize("kind", ["pareto", "stack"])
def test_pictures_follow_the_page_into_the_dark(swept: Path, tmp_path: Path, kind: str) -> None:
    """Text and axes have the page's colour; the same picture is the same file."""
    for name in ("a.svg", "b.svg"):
        assert sparsim("sweep", "plot", swept, "--kind", kind, "-o", tmp_path / name).exit_code == 0
    drawn = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert drawn == (tmp_path / "b.svg").read_text(encoding="utf-8")
    assert not re.search(r"(?:fill|stroke): (?:#000000|black)", drawn)
    assert "prefers-color-scheme: dark" in drawn.replace(":dark", ": dark")
    assert "currentColor" in drawn
