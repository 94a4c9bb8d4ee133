"""The original study: its runs as records, its published numbers, the files that are written."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from naive.search import first_order

from pointnet.original import evaluated_runs, reproduce
from pointnet.original import original_tables as report
from pointnet.original.published_runs import DESIGNS, Run, runs, study_mapspace
from sparsim import evaluate_batch
from sparsim.files.documents import Documents
from sparsim.files.sparsim_yaml import load_accelerator, load_preset
from sparsim.files.swap_axes import swap_axes
from sparsim.files.timeloop_files import read_documents
from sparsim.mapper.indexed_mapspace import lower_mapspace, mapping_of, sizes
from sparsim.model.lower import lower_mappings
from sparsim.records import Mapping, Nest

ROOT = Path(__file__).parents[2]
REFERENCES = Path(os.environ.get("SPARSIM_SHARED", ROOT / ".." / "shared")) / "reference" / "pointnet-study"
FOLDERS = {"gating": "gating", "onchip": "onchip-compression"}


@pytest.fixture(scope="module")
def outcomes() -> list[evaluated_runs.Outcome]:
    return evaluated_runs.evaluate_runs()


def documents(run: Run) -> Documents:
    folder = REFERENCES / f"{FOLDERS[run.design]}-{run.variant}-layer{run.number:02d}"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: the study's own documents are not part of the repository")
    return read_documents(
        folder / f"{name}.yaml" for name in ("arch", "art", "ert", "sparse", "problem", "mapping")
    )


def real_loops(mapping: Mapping) -> dict[str, tuple[object, ...]]:
    """Per level its loops with bound > 1, outer to inner, and its bypasses."""

    def loops(nest: Nest | None) -> list[tuple[str, int]]:
        return (
            [(dim, nest.factors[dim]) for dim in nest.order if nest.factors.get(dim, 1) > 1] if nest else []
        )

    return {m.level: (loops(m.temporal), loops(m.spatial), sorted(m.bypass)) for m in mapping.levels}


def test_there_are_48_runs() -> None:
    keys = {(run.design, run.variant, run.number) for run in runs()}
    assert keys == {
        (d, v, n) for d in ("gating", "onchip") for v in ("dense", "sparse") for n in range(1, 13)
    }


@pytest.mark.parametrize("run", runs(), ids=lambda run: f"{run.design}-{run.variant}-{run.number}")
def test_factors_multiply_to_the_bounds(run: Run) -> None:
    for dim, bound in run.layer.bounds.items():
        product = 1
        for level in run.mapping.levels:
            product *= level.temporal.factors.get(dim, 1)
            product *= level.spatial.factors.get(dim, 1) if level.spatial else 1
        assert product == bound


@pytest.mark.parametrize("run", runs(), ids=lambda run: f"{run.design}-{run.variant}-{run.number}")
def test_layer_and_mapping_are_those_of_the_study(run: Run) -> None:
    theirs = documents(run)
    assert theirs.mapping is not None
    theirs_layer, theirs_mapping = swap_axes(theirs.layer()), swap_axes(theirs.mapping)
    assert run.layer.bounds == theirs_layer.bounds
    assert run.layer.shape.dataspaces == theirs_layer.shape.dataspaces
    for dataspace in ("Weights", "Inputs", "Outputs"):
        assert run.layer.density(dataspace) == theirs_layer.density(dataspace)
    assert real_loops(run.mapping) == real_loops(theirs_mapping)


@pytest.mark.parametrize("design", DESIGNS)
def test_preset_is_the_design_of_the_study(design: str) -> None:
    preset = load_preset(DESIGNS[design])
    theirs = documents(next(run for run in runs() if run.design == design))
    assert theirs.policy is not None
    assert theirs.energy is not None
    assert preset.architecture.storage == theirs.architecture.storage
    assert preset.architecture.compute == theirs.architecture.compute
    assert preset.policy.formats == theirs.policy.formats
    assert preset.policy.safs == theirs.policy.safs
    assert preset.energy.areas == theirs.energy.areas
    for component, actions in theirs.energy.actions.items():
        unknown = {"mac_reuse", "address_generation"}
        assert preset.energy.actions[component] == {a: pj for a, pj in actions.items() if a not in unknown}


def test_every_published_number_agrees_to_the_printed_digits(outcomes: list[evaluated_runs.Outcome]) -> None:
    compared = 0
    for outcome in outcomes:
        numbers = report.agreeing(outcome)
        compared += len(numbers)
        assert report.differing(numbers) == [], (
            outcome.run.design,
            outcome.run.variant,
            outcome.run.number,
        )
    assert compared == 48 * 15


def test_weight_density_changes_nothing(outcomes: list[evaluated_runs.Outcome]) -> None:
    unpruned = evaluated_runs.evaluate_runs(change=evaluated_runs.with_dense_weights)
    for ours, dense in zip(outcomes, unpruned, strict=True):
        assert ours.evaluation.energy_pj == dense.evaluation.energy_pj
        assert ours.evaluation.cycles == dense.evaluation.cycles


@pytest.fixture(scope="module")
def reproduction(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the command prints on a terminal of 80 columns, and its folder."""
    folder = tmp_path_factory.mktemp("reproduction")
    result = CliRunner().invoke(reproduce.main, ["-o", str(folder)], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    return result.output, folder


def test_the_command_prints_the_closing_line(reproduction: tuple[str, Path]) -> None:
    assert (
        reproduction[0]
        .strip()
        .endswith("720 of 720 published numbers agree to the printed digits (48 of 48 runs)")
    )


def test_json_has_every_run(tmp_path: Path) -> None:
    result = CliRunner().invoke(reproduce.main, ["-o", str(tmp_path), "--json"])
    document = json.loads(result.stdout)
    assert (document["numbers"], document["agreeing_numbers"], document["agreeing_runs"]) == (720, 720, 48)
    assert len(document["runs"]) == 2 * 48


def test_no_table_is_wider_than_a_terminal(reproduction: tuple[str, Path]) -> None:
    output, _ = reproduction
    assert "…" not in output
    assert max(map(len, output.splitlines())) <= 80


def test_the_command_writes_figures_and_a_report(reproduction: tuple[str, Path]) -> None:
    _, folder = reproduction
    for name in ("energy", "cycles", "edp", "utilization", "breakdown"):
        assert (folder / f"{name}.png").stat().st_size > 10_000
        assert (folder / f"{name}.svg").read_text(encoding="utf-8").startswith("<svg")
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "24 of the 24 sparse runs give the same energy" in report


def test_the_command_writes_a_row_per_run_and_convention(reproduction: tuple[str, Path]) -> None:
    with (reproduction[1] / "study.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 96
    assert list(rows[0])[:5] == ["design", "variant", "layer", "layer_name", "accounting"]
    units = ("_pj", "_uj", "_um2", "_cycles", "_fraction", "_density", "_ghz", "_computes", "cycles")
    assert all(column.endswith(units) for column in list(rows[0])[5:])


def test_published_mappings_lie_in_the_studys_mapspace():
    designs = {
        design: replace(load_accelerator(name), mapspace=study_mapspace()) for design, name in DESIGNS.items()
    }
    spaces = {}
    for run in runs():
        design, shape = designs[run.design], run.layer.shape
        key = (run.design, *run.layer.bounds.items(), *run.layer.coefficients.items())
        if key not in spaces:  # dense and sparse runs have one
            spaces[key] = lower_mapspace(design, run.layer)
            assert sizes(spaces[key])[1:4] == (1, 1, 1)  # only factorisations are free
        space = spaces[key]
        (factor,) = lower_mappings(design, shape, [run.mapping]).factor
        for d, rows in enumerate(space.factors):
            assert (rows == factor[:, d]).all(axis=1).sum() == 1
        order, keep = first_order(space), space.keep[0]
        found = mapping_of(design, shape, factor, order, space.split, keep, space)
        both = evaluate_batch(design, run.layer, [run.mapping, found])
        assert (both.status == 0).all()
        assert both.energy_pj[0] == both.energy_pj[1]
        assert both.cycles[0] == both.cycles[1]
