"""Every entry point says which energies are not used and what stands in: in warnings, and in results."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.component_documents import PE
from support.documents import ARCH, ART, DOCUMENTS, ERT, write_documents
from support.examples import COMPRESSED, ENERGY, accelerator, fixed, matmul
from support.mapper_documents import SEARCH
from support.named import names, naming
from support.small_chips import conv, small_chip

from sparsim import (
    EnergyTable,
    EnergyWarning,
    Evaluation,
    FormatError,
    Frozen,
    SpecError,
    Workload,
    dump,
    evaluate,
    evaluate_batch,
    load_documents,
    load_text,
    search,
)
from sparsim.cli import main as cli
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.files.timeloop.stats_writer import wrapped_counts, write_stats
from sparsim.files.timeloop_files import read_documents
from sparsim.machines.eyeriss import evaluate_chip, load_chip, plan_layer
from sparsim.machines.eyeriss.chip import chip_energy_sources
from sparsim.records import Accelerator, SparsePolicy

Run = Callable[..., tuple[str, list[str]]]
COMPOUND = "compound_components: {version: 0.3, classes: [{name: mine, subcomponents: []}]}\n"
LEAKING = ERT.replace("name: idle", "name: leak").replace("name: gated_read", "name: refresh")
WITHOUT_ERT = {name: text for name, text in DOCUMENTS.items() if name not in ("ert.yaml", "art.yaml")}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `sparsim` in a folder of its own: stdout, and the warnings on stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> tuple[str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["sparsim", *args])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        assert stop.value.code in (0, None), err
        return out, [line for line in err.splitlines() if line.startswith("sparsim: warning: ")]

    return run


def result(name: str = "out/sparsim.result.json") -> Any:
    return json.loads(Path(name).read_text())


def sources(document: Any) -> dict[str, dict[str, str]]:
    return {part["name"]: part["energy_source"] for part in (document["compute"], *document["storage"])}


@pytest.mark.parametrize(
    ("document", "key"),
    [
        (COMPOUND, "compound_components"),
        ("primitive_components: {version: 0.4, classes: []}\n", "primitive_components"),
        ("components: {version: 0.4, classes: []}\n", "components"),
        ("ERT_summary: {version: 0.3, table_summary: []}\n", "ERT_summary"),
        ("ART_summary: {version: 0.3, table_summary: []}\n", "ART_summary"),
        (ART, "ART"),
    ],
)
def test_what_is_meant_for_an_estimator_is_not_passed_over(tmp_path: Path, document: str, key: str) -> None:
    warnings = read_documents(write_documents(tmp_path, WITHOUT_ERT | {"more.yaml": document})).warnings
    assert any(f"more.yaml:1: {key}: " in warning for warning in warnings)
    if key != "ART":
        assert read_documents(write_documents(tmp_path, DOCUMENTS | {"more.yaml": document})).warnings == ()


@pytest.mark.parametrize("attribute", ["technology: 45nm", "cycle_time: 1", "subclass: smartbuffer"])
@pytest.mark.parametrize("place", ["attributes: {}", "attributes: {datawidth: 16, "])
def test_technology_is_not_passed_over_without_energies(tmp_path: Path, attribute: str, place: str) -> None:
    arch = ARCH.replace(place, place.rstrip("}") + attribute + (", " if place.endswith(" ") else "}"), 1)
    (warning,) = read_documents(write_documents(tmp_path, WITHOUT_ERT | {"arch.yaml": arch})).warnings
    assert "arch.yaml:2: architecture: " in warning
    assert attribute.split(":")[0] in warning
    assert read_documents(write_documents(tmp_path, DOCUMENTS | {"arch.yaml": arch})).warnings == ()


def test_an_energy_table_without_areas(tmp_path: Path) -> None:
    documents = {name: text for name, text in DOCUMENTS.items() if name != "art.yaml"}
    (warning,) = read_documents(write_documents(tmp_path, documents)).warnings
    assert "ert.yaml:1: ERT: there is no ART" in warning


@pytest.mark.parametrize("command", ["model", "explain"])
def test_built_in_energies_are_named(run: Run, command: str) -> None:
    write_documents(Path(), WITHOUT_ERT | {"more.yaml": COMPOUND})
    out, warnings = run(command, *WITHOUT_ERT, "more.yaml", *(["-o", "out"] if command == "model" else []))
    first, second = warnings
    assert names(first, "SRAM technology")
    assert "compound_components: is not read" in second
    assert "built in" in second
    assert "built in" in out
    if command == "model":
        assert "not given" in out  # the area
        found = sources(result())
        assert found["GLB"]["random_read"] == found["MAC"]["random_compute"] == "built in"
        assert result()["compute"]["area_source"] == "not given"


@pytest.mark.parametrize("command", ["model", "explain", "mapper"])
def test_a_table_with_leak_in_place_of_idle(run: Run, command: str) -> None:
    documents = (SEARCH if command == "mapper" else DOCUMENTS) | {"ert.yaml": LEAKING}
    write_documents(Path(), documents)
    options = {"model": ["-o", "out"], "explain": [], "mapper": ["-o", "out", "--no-cache"]}[command]
    _, warnings = run(command, *documents, *options)
    assert len(warnings) == len(set(warnings))
    assert any("DRAM" in w and "'leak'" in w and "'idle'" in w for w in warnings)
    assert any("spad" in w and "'leak'" in w and "'refresh'" in w for w in warnings)
    assert any("spad" in w and "'skipped_read'" in w and "as much as" in w for w in warnings)
    if command != "explain":
        document = result() if command == "model" else result()["evaluation"]
        assert sources(document)["spad"]["skipped_read"] == "energy table: 'read' stands in"


def gappy() -> EnergyTable:
    entry = {"read": 1.0, "write": 1.5, "metadata_read": 0.2, "metadata_write": 0.3}
    return replace(ENERGY, actions=ENERGY.actions | {"spad": entry})


def test_python_warns_too() -> None:
    case = matmul(A=fixed(0.375), B=fixed(0.5))._replace(energy=gappy())
    pattern = "component spad: no energy of 'skipped_read'"
    with pytest.warns(EnergyWarning, match=pattern):
        found = evaluate(*case.given)
    assert any("'skipped_read'" in warning for warning in found.warnings)
    with pytest.warns(EnergyWarning, match=pattern):
        Frozen(case.on(), [case.layer], [case.mapping])
    with pytest.warns(EnergyWarning, match=pattern):
        evaluate_batch(case.on(), case.layer, [case.mapping])
    with pytest.warns(EnergyWarning, match=pattern):
        search(case.on(), case.layer, method="random", evaluations=20)


def test_tables_of_thousands_of_names_have_short_warnings(tmp_path: Path) -> None:
    """Components, actions of one, and entries of the same component: each is said once, and counted."""
    table = {
        name: {**actions, **{f"act{i}": 1.0 for i in range(2000)}} for name, actions in ENERGY.actions.items()
    }
    table |= {f"none{i}": {"read": 1.0} for i in range(2000)}
    with pytest.warns(EnergyWarning) as said:
        evaluate(*matmul()._replace(energy=EnergyTable(actions=table)).given)
    texts = [str(warning.message) for warning in said]
    assert any("none0" in text and "1988 others" in text for text in texts)
    assert any("act0" in text and "1988 others" in text for text in texts)
    assert max(map(len, texts)) < 500
    again = "".join(f"  - {{name: s{i}.GLB, actions: [{{name: read, energy: 6}}]}}\n" for i in range(2000))
    warnings = read_documents(write_documents(tmp_path, DOCUMENTS | {"ert.yaml": ERT + again})).warnings
    assert len(warnings) == len(set(warnings))


def test_batches_need_the_energies_that_one_mapping_needs() -> None:
    case = matmul(A=fixed(0.375), B=fixed(0.5))
    lacking = replace(ENERGY, actions={k: v for k, v in ENERGY.actions.items() if k != "spad"})
    with pytest.raises(SpecError, match=naming("spad")):
        evaluate_batch(case._replace(energy=lacking).on(), case.layer, [case.mapping])


# Components


@pytest.fixture
def own(run: Run) -> Evaluation:
    """`own.yaml`: the accelerator and its components; `rest.yaml`: layer and mapping. The evaluation."""
    arch, layer, _, _, mapping = matmul(None)
    Path("own.yaml").write_text(dump(arch) + PE.removeprefix("sparsim: 1\n"))
    Path("rest.yaml").write_text(dump(layer, mapping))
    components = load_text(PE).components
    return evaluate(Accelerator(architecture=arch, components=components), layer, mapping)


def test_components_become_energies_in_every_command(run: Run, own: Evaluation) -> None:
    built_in = evaluate(*matmul(None)._replace(energy=None).given)
    assert own.level("DRAM").read_energy_pj != built_in.level("DRAM").read_energy_pj
    out, warnings = run("model", "own.yaml", "rest.yaml", "-o", "out")
    assert warnings == []
    assert "estimated from components" in out
    assert result()["energy_pj"] == pytest.approx(own.energy_pj)
    assert sources(result())["DRAM"]["random_read"] == "estimated from components"
    assert result()["storage"][0]["area_source"] == "estimated from components"
    out, warnings = run("explain", "own.yaml", "rest.yaml")
    assert (warnings, "estimated from components" in out) == ([], True)
    _, warnings = run("mapper", "own.yaml", "rest.yaml", "-o", "out", "--no-cache", "--evaluations", "9")
    assert warnings == []
    assert sources(result()["evaluation"])["MAC"]["random_compute"] == "estimated from components"
    assert "sparsim estimate" in run("show", "own.yaml")[0]
    run("estimate", "own.yaml", "-o", "out")
    run("model", "own.yaml", "rest.yaml", "-o", "again")
    table = energy_table(load_accelerator("own.yaml"))
    assert table is not None
    assert load_documents(["out/sparsim.energy.yaml"]).energy == replace(table, name="own")


def test_both_a_table_and_components_are_refused() -> None:
    text = dump(accelerator(), ENERGY) + PE.removeprefix("sparsim: 1\n")
    with pytest.raises(SpecError, match=naming("energy components")):
        assert load_text(text).accelerator
    chip = small_chip()
    records = [chip.spec, chip.architecture, ENERGY, *chip.accelerator.components]
    with pytest.raises(SpecError, match=naming("energy components")):
        assert load_text(dump(*records)).accelerator


def test_presets_have_the_energies_of_their_components() -> None:
    table = energy_table(load_accelerator("eyeriss_v2"))
    assert table == load_chip("eyeriss_v2").energy
    assert table is not None
    assert table.estimated


def test_timeloop_documents_where_ours_are_expected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_documents(tmp_path, DOCUMENTS | {"components.yaml": COMPOUND})
    monkeypatch.chdir(tmp_path)
    for args in (["show", "ert.yaml"], ["chip", "ert.yaml", "alexnet"]):
        monkeypatch.setattr(sys, "argv", ["sparsim", *args])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        error = capsys.readouterr().err
        assert stop.value.code == 2
        assert error.count("\n") == 1
        assert "Timeloop and Accelergy" in error
        assert "sparsim: 2" in error
    with pytest.raises(FormatError, match=naming("Timeloop Accelergy")):
        load_documents(["ert.yaml"])


# Chips


def test_a_chip_without_energies(tmp_path: Path) -> None:
    chip = small_chip()
    path = tmp_path / "chip.yaml"
    path.write_text(dump(chip.spec, chip.architecture, chip.accelerator.policy or SparsePolicy()))
    with pytest.warns(EnergyWarning, match="neither components nor an energy table"):
        bare = load_chip(path)
    assert chip_energy_sources(bare)["DRAM"]["random_read"] == "built in"
    assert chip_energy_sources(bare)["iact_address_spad"] == {"read": "not given"}
    assert chip_energy_sources(chip)["iact_address_spad"] == {"read": "estimated from components"}
    without = [part for part in chip.accelerator.components if part.name != "weight_address_spad"]
    path.write_text(dump(chip.spec, chip.architecture, *without))
    with pytest.warns(EnergyWarning, match=naming("weight_address_spad")):
        load_chip(path)
    assert chip.energy is not None
    entries = {**chip.energy.actions, "iact_address_spad": {"idle": 1.0}}
    path.write_text(dump(chip.spec, chip.architecture, replace(chip.energy, actions=entries)))
    with pytest.raises(SpecError, match=naming("iact_address_spad read")):
        load_chip(path)


def test_a_chip_whose_table_has_gaps(run: Run) -> None:
    chip = small_chip()
    layer = replace(conv(M=6, C=4, weights=0.5), name="fc")
    components = [
        replace(part, actions={k: v for k, v in part.actions.items() if k != "idle"})
        if part.name == "weight_spad" else part
        for part in chip.accelerator.components
    ]  # fmt: skip
    Path("chip.yaml").write_text(dump(chip.spec, chip.architecture, chip.accelerator.policy, *components))
    Path("net.yaml").write_text(dump(Workload(name="net", layers=(layer,))))
    _, (warning,) = run("chip", "chip.yaml", "net.yaml", "-o", "out")
    assert "weight_spad" in warning
    assert "'skipped_read'" in warning
    found = result("out/chip.result.json")["energy_source"]["weight_spad"]
    assert found["skipped_read"] == "estimated from components: 'read' stands in"
    mapping = plan_layer(chip, layer).mapping
    with pytest.warns(EnergyWarning, match="weight_spad"):
        evaluate_chip(load_chip("chip.yaml"), layer, mapping)


# Numbers that are none


def nothing_left() -> Evaluation:
    """All operands are zero, and zeros are neither stored nor multiplied."""
    endless = accelerator(GLB={"read_bandwidth": None, "write_bandwidth": None})
    policy = replace(COMPRESSED, compute_skipping=True)
    return evaluate(*matmul(policy, endless, A=fixed(0.0), B=fixed(0.0)).given)


def few_left() -> Evaluation:
    """Fewer computes than results."""
    return evaluate(*matmul(A=fixed(0.25), B=fixed(0.25)).given)


def numbers(plain: Any) -> list[float]:
    if isinstance(plain, dict):
        return [n for value in plain.values() for n in numbers(value)]
    if isinstance(plain, list | tuple):
        return [n for value in plain for n in numbers(value)]
    return [plain] if isinstance(plain, int | float) else []


@pytest.mark.parametrize("evaluated", [nothing_left, few_left])
def test_records_hold_no_wrapped_counts_and_no_nan(evaluated: Callable[[], Evaluation]) -> None:
    found = evaluated()
    assert all(0 <= number < 2**63 for number in numbers(found.to_dict()))
    intensity = found.intensity
    assert intensity.elementwise_ops < intensity.results
    assert (intensity.reduction_ops, intensity.total_ops) == (0, intensity.elementwise_ops)
    (warning,) = wrapped_counts(found)
    wrapped = 2**64 + intensity.elementwise_ops - intensity.results
    assert str(wrapped) in warning
    assert str(wrapped) in write_stats(found)


def test_no_cycles_is_a_utilization_of_0() -> None:
    found = nothing_left()
    assert (found.cycles, found.utilization, found.gflops) == (0, 0.0, 0.0)
    assert "Utilization: 0.00\n" in write_stats(found)


def test_wrapped_counts_are_warned_of(run: Run) -> None:
    zeros = DOCUMENTS["problem.yaml"].replace("0.375", "0.125").replace("B: 0.5", "B: 0.1")
    documents = DOCUMENTS | {"problem.yaml": zeros}
    write_documents(Path(), documents)
    _, (warning,) = run("model", *documents, "-o", "out")
    assert "reduction ops" in warning
    assert result()["intensity"]["reduction_ops"] == 0


def test_a_result_with_enough_computes_is_not_warned_of() -> None:
    assert wrapped_counts(evaluate(*matmul(None).given)) == ()
