"""docs/results/eyeriss-v2.md: what is published stands there, and a part computed again is the same."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path

import click
import pytest

from sparsim.files.sparsim_yaml import load_workload
from sparsim.machines.eyeriss import load_chip

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
import eyeriss_v2  # noqa: E402
from eyeriss_assumptions import ASSUMPTIONS, STEPS, sensitivity_table, steps_table  # noqa: E402
from eyeriss_measured import ALEXNET, VGG16, measured_table  # noqa: E402
from eyeriss_networks import ORIGINAL, Runs, with_overhead  # noqa: E402
from eyeriss_overhead import (  # noqa: E402
    Sample,
    fit,
    overhead_table,
    per_chip,
    regression_table,
    residual_table,
    silicon_samples,
    simulated_samples,
)
from eyeriss_pe import pe_cycle_exact  # noqa: E402
from eyeriss_published import SECTIONS, Published  # noqa: E402
from eyeriss_v2 import check_explained, compare, count_lines, published_table  # noqa: E402

TEXT = (ROOT / "docs" / "results" / "eyeriss-v2.md").read_text(encoding="utf-8")
LINES = set(TEXT.splitlines())
COLUMNS = 6  # of the tables that compare
PUBLISHED = [row for rows in SECTIONS.values() for row in rows]


@pytest.fixture(scope="module")
def runs() -> Runs:
    return Runs()


def documented() -> dict[str, list[str]]:
    """Cells of the rows that compare, by quantity; those of VGG-16 are in a table by layer."""
    names = {published.quantity for published in PUBLISHED}
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in LINES if line.startswith("|")]
    return {cells[0]: cells[1:] for cells in rows if cells[0] in names and len(cells) == COLUMNS}


def test_clock_and_control_of_the_presets_are_those_of_the_fits(runs: Runs) -> None:
    for name, pair in per_chip(runs).items():
        spec = load_chip(name).spec
        assert pair == (spec.clock_pj_per_cycle, spec.control_pj_per_pe_cycle), name


def test_energies_that_clock_and_control_are_fitted_to_are_near(runs: Runs) -> None:
    for samples, most in ((silicon_samples(runs), 0.08), (simulated_samples(runs), 0.03)):
        found = fit(samples)
        assert max(abs(found.deviation(sample)) for sample in samples) < most


def test_a_fit_finds_what_samples_were_made_of_and_nothing_below_0() -> None:
    def sample(cycles: float, busy: float, control: float) -> Sample:
        return Sample("x", 5.0 + 3.0 * cycles + control * busy, 5.0, cycles, busy)

    exact = fit([sample(2.0, 7.0, 0.5), sample(4.0, 1.0, 0.5), sample(5.0, 9.0, 0.5)])
    assert exact == pytest.approx((3.0, 0.5))
    assert fit([sample(2.0, 7.0, -0.1), sample(4.0, 1.0, -0.1)]).control_pj == 0.0


def test_measured_energy_of_alexnet_by_cycles_and_macs_predicts_that_of_vgg16() -> None:
    alexnet, both = regression_table().rows
    assert alexnet[1:3] == ("1025", "6.4")
    assert both[1:3] == ("1066", "6.0")
    assert float(str(alexnet[4]).rstrip("%")) < 10
    assert max(float(str(cell).rstrip("%")) for cell in both[3:]) < 8


def test_every_assumption_changes_a_chip_or_a_workload() -> None:
    chips = [load_chip(name) for name in (ORIGINAL, "eyeriss_v1", "eyeriss_v1_5", "eyeriss_v2")]
    for assumption in ASSUMPTIONS:
        changed = [chip.name for chip in chips if assumption.change(chip) != chip]
        other_model = assumption.model is not nullcontext
        assert changed or assumption.instead() or other_model, assumption.name
    assert len({assumption.name for assumption in ASSUMPTIONS}) == len(ASSUMPTIONS)
    *_, last = STEPS.values()
    assert [last(chip) for chip in chips] == chips


def test_another_overhead_is_charged_without_another_plan(runs: Runs) -> None:
    other = Runs(change=lambda chip: with_overhead(chip, 100.0, 2.0), plans=runs.plans)
    found = runs.network("eyeriss_v1", "alexnet")
    plans = len(runs.plans)
    changed = other.network("eyeriss_v1", "alexnet")
    assert len(runs.plans) == plans
    assert changed.cycles == found.cycles
    for name in set(found.energy_pj) - {"clock", "control"}:
        assert changed.energy_pj[name] == found.energy_pj[name]
    assert changed.energy_pj["clock"] == 100.0 * found.cycles
    busy = sum(float(layer.pe.busy_cycles) for layer in found.layers)
    assert changed.energy_pj["control"] == pytest.approx(2.0 * busy)


def test_run_lengths_save_what_is_published(runs: Runs) -> None:
    """Nearly 30 % of the feature maps' traffic in CONV1, 75 % in CONV5; 1.2 to 1.9 times of all data."""
    without = next(each for each in ASSUMPTIONS if each.name == "run lengths")
    plain = Runs(change=without.change).as_published().layers
    pairs = list(zip(runs.as_published().layers, plain, strict=True))
    maps = [[x.dram_parts["iact"] + x.dram_parts["psum"] for x in pair] for pair in pairs]
    saved = [1 - coded / all_values for coded, all_values in maps]
    assert saved == sorted(saved)
    assert (saved[0], saved[-1]) == (pytest.approx(0.3, abs=0.02), pytest.approx(0.75, abs=0.03))
    whole = [all_values.dram_bytes / coded.dram_bytes for coded, all_values in pairs]
    assert (min(whole), max(whole)) == (pytest.approx(1.2, abs=0.05), pytest.approx(1.9, abs=0.05))


def test_without_the_words_of_the_format_only_nonzeros_are_moved(runs: Runs) -> None:
    without = next(each for each in ASSUMPTIONS if each.name == "CSC words")
    layers = load_workload("alexnet_sparse").layers[-1:]
    with without.model():
        found = Runs().layers("eyeriss_v2", "fc8", layers).layers[0]
    known = runs.layers("eyeriss_v2", "fc8", layers).layers[0]
    nonzeros = 4_096_000 * layers[0].density("Weights").density
    assert found.dram_parts["weight"] == pytest.approx(1.5 * nonzeros, rel=1e-3)
    assert known.dram_parts["weight"] > 1.1 * found.dram_parts["weight"]
    assert known.chip_pj > found.chip_pj


def test_counts_after_an_assumption_are_of_all_compared_numbers(runs: Runs) -> None:
    """Without areas and scaling, which no assumption changes."""
    rows = [{"quantity": "x", "set": "compared", "deviation": 0.1}]
    rows += [{"quantity": "y", "set": "test", "deviation": 0.9}]
    table = sensitivity_table(rows, {"a": {"x": 0.2}, "b": {"x": 0.104}})
    assert table.rows == [("x", "+10%", "+20%", ""), ["within 15 %, 25 %", "1, 1", "0, 1", "1, 1"]]
    assert steps_table({"a": {"x": 0.2, "z": 0.1}}).rows == [("a", 2, 1, 2)]


def test_everything_published_is_in_the_document_with_its_deviation() -> None:
    found = documented()
    shown = [published for name, rows in SECTIONS.items() if name != "VGG-16" for published in rows]
    assert set(found) == {published.quantity for published in shown}
    for published in shown:
        source, kind, _, model, deviation = found[published.quantity]
        assert (source, kind) == (published.source, published.kind)
        near = published.nearest(float(model))
        assert float(deviation.rstrip("%")) / 100 == pytest.approx(float(model) / near - 1, abs=0.006)


def test_numbers_computed_again_are_those_of_the_document(runs: Runs) -> None:
    some = [p for p in PUBLISHED if p.quantity.startswith("v2, sparse AlexNet") and "speed" not in p.quantity]
    tables = [
        published_table(compare([*some, *SECTIONS["original"], *SECTIONS["areas"]], runs)),
        residual_table(runs), overhead_table(runs), regression_table(), eyeriss_v2.area_table(),
        measured_table(runs.as_published(), ALEXNET), measured_table(runs.original(), ALEXNET),
        measured_table(runs.original("vgg16"), VGG16),
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
    assert all(published.kind != "fitted" for published in PUBLISHED if published.set == "test")
    assert sum(published.quantity.startswith("VGG-16") for published in PUBLISHED) == 13 * 4
    assert sum(published.kind == "fitted" for published in compared) <= 1


def test_only_arrays_of_16384_pes_are_left_out_of_a_quick_run() -> None:
    large = [published.quantity for published in PUBLISHED if published.large_array]
    assert len(large) == 2
    assert all("16384 PEs" in quantity for quantity in large)


def test_a_pe_with_one_mac_takes_all_eight_layers_to_the_cycle() -> None:
    assert pe_cycle_exact() == 8
