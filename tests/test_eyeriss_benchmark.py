"""docs/results/eyeriss-v2.md: what is published stands there, and a part computed again is the same."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pytest

from sparsim.machines.eyeriss import load_chip

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
import eyeriss_v2  # noqa: E402
from eyeriss_measured import measured_table  # noqa: E402
from eyeriss_networks import Runs  # noqa: E402
from eyeriss_overhead import overhead, per_chip, residual_table, residuals  # noqa: E402
from eyeriss_pe import pe_cycle_exact  # noqa: E402
from eyeriss_published import SECTIONS, Published  # noqa: E402
from eyeriss_v2 import check_explained, compare, count_lines, published_table  # noqa: E402

TEXT = (ROOT / "docs" / "results" / "eyeriss-v2.md").read_text(encoding="utf-8")
LINES = set(TEXT.splitlines())
PUBLISHED = [row for rows in SECTIONS.values() for row in rows]


@pytest.fixture(scope="module")
def runs() -> Runs:
    return Runs()


def documented() -> dict[str, list[str]]:
    """Cells of the rows that compare, by quantity."""
    names = {published.quantity for published in PUBLISHED}
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in LINES if line.startswith("|")]
    return {cells[0]: cells[1:] for cells in rows if cells[0] in names}


def test_clock_and_control_of_the_presets_are_what_measured_power_leaves(runs: Runs) -> None:
    for name, pair in per_chip(overhead(residuals(runs))).items():
        spec = load_chip(name).spec
        assert pair == (spec.clock_pj_per_cycle, spec.control_pj_per_pe_cycle), name


def test_with_clock_and_control_the_model_spends_what_was_measured(runs: Runs) -> None:
    """Twice the same energy: by the presets over the measured time, and as measured."""
    spec = runs.original().chip.spec
    found = residuals(runs)
    modelled = sum(
        r.accounted_pj
        + r.layer.cycles * spec.clock_pj_per_cycle
        + r.busy_cycles * spec.control_pj_per_pe_cycle
        for r in found
    )
    measured = sum(r.layer.energy_pj for r in found)
    assert modelled == pytest.approx(measured, rel=2e-3)


def test_everything_published_is_in_the_document_with_its_deviation() -> None:
    found = documented()
    assert set(found) == {published.quantity for published in PUBLISHED}
    for published in PUBLISHED:
        source, kind, _, model, deviation = found[published.quantity]
        assert (source, kind) == (published.source, published.kind)
        near = published.nearest(float(model))
        assert float(deviation.rstrip("%")) / 100 == pytest.approx(float(model) / near - 1, abs=0.006)


def test_numbers_computed_again_are_those_of_the_document(runs: Runs) -> None:
    some = [p for p in PUBLISHED if p.quantity.startswith("v2, sparse AlexNet") and "speed" not in p.quantity]
    tables = [
        published_table(compare([*some, *SECTIONS["original"], *SECTIONS["areas"]], runs)),
        residual_table(residuals(runs)), measured_table(runs), eyeriss_v2.area_table(),
    ]  # fmt: skip
    assert len(some) == 8
    assert {line for table in tables for line in table.to_markdown().splitlines()} <= LINES


def test_what_is_far_off_is_explained_in_the_document_and_nothing_else() -> None:
    test_set = {published.quantity for published in PUBLISHED if published.set == "test"}
    found = {name: cells for name, cells in documented().items() if name not in test_set}
    deviations = {name: abs(float(cells[-1].rstrip("%"))) for name, cells in found.items()}
    far = {name for name, deviation in deviations.items() if deviation > 25}
    block = TEXT.split("<!-- explanations -->")[1].split("<!--")[0]
    for name in found:
        if deviations[name] != 25:  # rounded: above or below
            assert (name in block) == (name in far), name


def test_a_large_deviation_without_an_explanation_is_an_error() -> None:
    rows = compare([Published("weight of the chip", 2.0, "seen", lambda runs: 1.0)], Runs())
    assert rows[0]["deviation"] == -0.5
    with pytest.raises(click.ClickException, match="no explanation for: weight of the chip"):
        check_explained(rows)


def test_deviations_from_a_range_are_those_from_its_nearer_end() -> None:
    def deviation(model: float) -> float:
        rows = compare([Published("x", (2.0, 4.0), "seen", lambda runs: model)], Runs())
        return float(rows[0]["deviation"])

    assert [deviation(model) for model in (1.0, 2.0, 3.0, 5.0)] == [-0.5, 0.0, 0.0, 0.25]


def test_counts_are_of_the_42_by_kind_of_others_by_source_and_of_the_test_set() -> None:
    rows = [
        {"set": which, "kind": kind, "source": source, "deviation": deviation}
        for which, kind, source, deviation in (
            ("compared", "predicted", "seen", 0.1),
            ("compared", "half fitted", "seen", -0.2),
            ("compared", "predicted", "seen", 0.3),
            ("other", "predicted", "derived", 0.0),
            ("other", "fitted", "fitted", 0.0),
            ("test", "predicted", "seen", 0.16),
        )
    ]
    assert count_lines(rows) == [
        "Of 3 seen numbers 1 are within 15 %, 2 within 25 %.",
        "Of 2 predicted ones among these 1 are within 15 %, 1 within 25 %.",
        "Of 1 half fitted ones among these 0 are within 15 %, 1 within 25 %.",
        "Of 0 fitted ones among these 0 are within 15 %, 0 within 25 %.",
        "Of 1 derived numbers 1 are within 15 %, 1 within 25 %.",
        "Of 0 remembered numbers 0 are within 15 %, 0 within 25 %.",
        "Of 1 numbers of the test set 0 are within 15 %, 1 within 25 %.",
    ]


def test_42_seen_numbers_are_compared_and_at_most_one_of_them_is_fitted() -> None:
    compared = [published for published in PUBLISHED if published.set == "compared"]
    assert len(compared) == 42
    assert {published.source for published in compared} == {"seen"}
    assert all(published.source == "seen" for published in PUBLISHED if published.set == "test")
    assert all(published.kind == "predicted" for published in PUBLISHED if published.set == "test")
    assert sum(published.kind == "fitted" for published in compared) <= 1


def test_only_arrays_of_16384_pes_are_left_out_of_a_quick_run() -> None:
    large = [published.quantity for published in PUBLISHED if published.large_array]
    assert len(large) == 2
    assert all("16384 PEs" in quantity for quantity in large)


def test_a_pe_with_one_mac_takes_all_eight_layers_to_the_cycle() -> None:
    assert pe_cycle_exact() == 8
