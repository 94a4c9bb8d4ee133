"""`sparsim chip`: tables, files that say the same, figures, and what is refused."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from support.named import names
from support.small_chips import conv, small_chip, with_storage

from sparsim import dump, load_documents
from sparsim.cli import main as cli
from sparsim.machines.eyeriss import (
    ChipEvaluation,
    NetworkEvaluation,
    eyexam,
    load_chip,
    plan_layer,
    plan_network,
)
from sparsim.records import Density, Workload
from sparsim.report.chip_figures import draw_energy, draw_eyexam, draw_routes

SMALL = small_chip()
LAYERS = (
    replace(conv(M=8, C=6, R=3, S=3, P=4, Q=4, iacts=0.5, weights=0.4), name="conv1"),
    replace(conv(M=6, C=4), name="fc"),
)


@cache
def planned() -> NetworkEvaluation:
    return plan_network(SMALL, LAYERS)


Run = Callable[..., tuple[object, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `sparsim` in a folder with the small chip and its network; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    policy, components = SMALL.accelerator.policy, SMALL.accelerator.components
    assert policy is not None
    Path("chip.yaml").write_text(dump(SMALL.spec, SMALL.architecture, policy, *components))
    Path("net.yaml").write_text(dump(Workload(name="net", layers=LAYERS)))

    def run(*args: str) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["sparsim", *args])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def rows(run: Run) -> dict[str, list[str]]:
    """Lines of the output by their first word."""
    code, out, err = run("chip", "chip.yaml", "net.yaml", "--eyexam", "-o", "out")
    assert (code, err) == (0, "") or (code, err) == (None, "")
    assert load_chip("chip.yaml") == SMALL
    return {line.split()[0]: line.split() for line in reversed(out.splitlines()) if line}


def test_tables_have_the_numbers_of_the_network(rows: dict[str, list[str]]) -> None:
    for found in planned().layers:
        row = rows[found.layer.name]
        assert int(row[1].replace(",", "")) == found.cycles
        assert float(row[5]) == pytest.approx(found.chip_pj / 1e6, abs=5e-4)
    assert int(rows["total"][1].replace(",", "")) == planned().cycles
    for name, energy in planned().energy_pj.items():
        column = len(name.split())
        assert float(rows[name.split()[0]][column]) == pytest.approx(energy / 1e6, abs=5e-4)
    assert float(rows["speed"][1].replace(",", "")) == pytest.approx(planned().inferences_per_s, rel=1e-4)
    assert float(rows["efficiency"][1].replace(",", "")) == pytest.approx(
        planned().inferences_per_j, rel=1e-4
    )


@pytest.mark.usefixtures("rows")
def test_files_hold_every_number() -> None:
    with Path("out/chip.layers.csv").open(newline="") as file:
        layers = {row["layer"]: row for row in csv.DictReader(file)}
    with Path("out/chip.eyexam.csv").open(newline="") as file:
        steps = list(csv.DictReader(file))
    result = json.loads(Path("out/chip.result.json").read_text())
    for k, found in enumerate(planned().layers):
        row, layer = layers[found.layer.name], result["layers"][k]
        assert float(row["cycles"]) == layer["cycles"] == found.cycles
        assert float(row["chip_pj"]) == layer["chip_pj"] == found.chip_pj
        assert float(row["pj NoC"]) == found.energy_pj["NoC"]
        bounds = eyexam(SMALL, found)
        mine = [float(step["cycles"]) for step in steps if step["layer"] == found.layer.name]
        assert mine == [step["cycles"] for step in layer["eyexam"]] == [bound.cycles for bound in bounds]
        assert layer["mapping"] == json.loads(json.dumps(found.mapping.to_dict()))
        assert layer["noc"]["psum"]["mode"] == found.flows["psum"].delivery.mode
        traffic = found.evaluation.level("psum_spad").tensors[0]
        assert layer["words"]["psum_spad"]["Outputs"]["updates"] == traffic.updates.actual
    assert result["totals"]["inferences_per_s"] == planned().inferences_per_s
    assert result["components"]["psum_glb"]["actions"]["read"]["source"].startswith("memory.read: CACTI")
    assert result["chip"]["source"] == SMALL.spec.source


@pytest.mark.usefixtures("rows")
def test_mappings_are_read_back_by_the_model(run: Run) -> None:
    for found in planned().layers:
        name = found.layer.name
        mapping = f"out/{name}.mapping.yaml"
        assert load_documents([mapping]).mapping == found.mapping
        for workload in ("net.yaml", "out/chip.workload.yaml"):
            args = ("chip.yaml", workload, "--layer", name, mapping, "-o", "again")
            assert run("model", *args)[0] in (0, None)
            result = json.loads(Path("again/sparsim.result.json").read_text())
            energy = {level["name"]: level["energy_pj"] for level in result["storage"]}
            assert energy["psum_spad"] == found.energy_pj["psum_spad"]


def test_the_tables_say_how_tensors_are_stored(run: Run) -> None:
    layer = conv(M=60, C=100, weights=0.97, iacts=0.3)
    Path("net.yaml").write_text(dump(Workload(layers=(layer,))))
    code, out, _ = run("chip", "chip.yaml", "net.yaml", "--objective", "energy", "-o", "out")
    assert code in (0, None)
    assert next(line for line in out.splitlines() if line.startswith("tiny")).split()[-1] == "wI"
    (row,) = json.loads(Path("out/chip.result.json").read_text())["layers"]
    assert (row["weights"], row["iacts"]) == ("plain", "compressed")
    assert row["densities"] == {"Weights": 0.97, "Inputs": 0.3}
    assert row["stored_densities"] == {"Weights": 1.0, "Inputs": 0.3}
    run("model", "chip.yaml", "out/chip.workload.yaml", "out/tiny.mapping.yaml", "-o", "again")
    result = json.loads(Path("again/sparsim.result.json").read_text())
    (spad,) = [level for level in result["storage"] if level["name"] == "weight_spad"]
    assert spad["energy_pj"] == row["pj weight_spad"]


def test_layers_with_other_distributions_are_written_as_they_were_counted(run: Run) -> None:
    random = {"Inputs": Density(distribution="hypergeometric", density=0.5)}
    Path("net.yaml").write_text(dump(Workload(layers=(replace(LAYERS[0], densities=random),))))
    assert run("chip", "chip.yaml", "net.yaml", "-o", "out")[0] in (0, None)
    (layer,) = load_documents(["out/chip.workload.yaml"]).layers
    assert layer.density("Inputs") == Density(density=0.5)


def test_one_layer_has_its_routes_drawn(run: Run) -> None:
    code, out, _ = run("chip", "chip.yaml", "net.yaml", "--layer", "fc", "-o", "out")
    assert code in (0, None)
    assert "layers/s at 200 MHz" in out
    assert "conv1" not in out
    drawn = {path.name for path in Path("out").glob("*.png")}
    assert drawn == {"chip.energy.png", "chip.eyexam.png", "fc.iact.png", "fc.psum.png", "fc.weight.png"}


def test_objective_and_bandwidth_change_the_plan(run: Run) -> None:
    limited = run("chip", "chip.yaml", "net.yaml", "--layer", "conv1", "--dram-gb-per-s", "0.001")[1]
    assert next(line for line in limited.splitlines() if line.startswith("conv1")).split()[2] == "DRAM"
    run("chip", "chip.yaml", "net.yaml", "--layer", "fc", "--objective", "energy", "-o", "out")
    result = json.loads(Path("out/chip.result.json").read_text())
    least = plan_layer(SMALL, LAYERS[1], "energy")
    assert (result["objective"], result["layers"][0]["chip_pj"]) == ("energy", least.chip_pj)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["eyeris_v2", "net.yaml"], "eyeris_v2 eyeriss_v2"),
        (["chip.yaml", "alexnets"], "alexnets alexnet"),
        (["net.yaml", "net.yaml"], "net.yaml chip"),
        (["chip.yaml", "chip.yaml"], "chip.yaml workload"),
        (["chip.yaml", "missing.yaml"], "missing.yaml file"),
        (["chip.yaml", "net.yaml", "--layer", "fcc"], "net.yaml fcc fc"),
        (
            ["chip.yaml", "net.yaml", "--dram-gb-per-s", "0"],
            "eyeriss_v2 dram_gb_per_s 0",
        ),
        (
            ["chip.yaml", "net.yaml", "--objective", "power"],
            "--objective power delay energy edp",
        ),
        (["chip.yaml"], "WORKLOAD|MATRIX..."),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(run: Run, args: list[str], message: str) -> None:
    code, out, err = run("chip", *args, "-o", "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert names(err, f"sparsim: error: {message}")
    assert not Path("out").exists()


def test_a_layer_that_fits_in_no_way_ends_with_exit_code_1(run: Run) -> None:
    """A GLB of one word holds no window."""
    storage = (
        replace(level, size_words=1) if level.name == "iact_glb" else level
        for level in SMALL.architecture.storage
    )
    chip = with_storage(SMALL, storage)
    policy = chip.accelerator.policy
    assert policy is not None
    Path("chip.yaml").write_text(dump(chip.spec, chip.architecture, policy, *chip.accelerator.components))
    code, out, err = run("chip", "chip.yaml", "net.yaml")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("sparsim: error: layer conv1 ")


def test_layers_that_the_chip_cannot_run_have_a_note(run: Run) -> None:
    """A filter 17 columns wide is wider than the iact spad is deep."""
    wide = replace(conv(S=17, M=4), name="wide")
    Path("net.yaml").write_text(dump(Workload(layers=(LAYERS[1], wide))))
    code, out, _ = run("chip", "chip.yaml", "net.yaml", "-o", "out")
    assert code in (0, None)
    assert "wide: width costed as GEMM" in out
    rows = json.loads(Path("out/chip.result.json").read_text())["layers"]
    assert [row["note"] for row in rows] == ["", "width costed as GEMM"]
    assert rows[1]["macs"] == 17 * 4
    with Path("out/chip.layers.csv").open(newline="") as file:
        assert [row["note"] for row in csv.DictReader(file)] == ["", "width costed as GEMM"]
    assert load_documents(["out/chip.workload.yaml"]).layers[1].bounds["C"] == 17


def test_layers_whose_names_are_no_files_are_refused(run: Run) -> None:
    Path("net.yaml").write_text(dump(Workload(layers=(replace(LAYERS[1], name="../fc"),))))
    message = "layer name '../fc' cannot name a file or folder (choose with --layer NAME)"
    assert run("chip", "chip.yaml", "net.yaml") == (2, "", f"sparsim: error: {message}\n")


def heights(network: NetworkEvaluation, draw: Callable[..., object], *args: object) -> list[float]:
    """Sum of the bars over every layer."""
    (axes,) = draw(network, *args).axes  # type: ignore[attr-defined]
    return list(np.sum([[bar.get_height() for bar in bars] for bars in axes.containers], axis=0))


def test_bars_add_up_to_energy_and_to_the_speed_of_all_pes() -> None:
    bounds = [eyexam(SMALL, found) for found in planned().layers]
    energy = [(found.chip_pj + found.dram_pj) / 1e6 for found in planned().layers]
    assert heights(planned(), draw_energy) == pytest.approx(energy)
    assert heights(planned(), draw_eyexam, bounds) == pytest.approx([b[2].macs_per_cycle for b in bounds])


def test_routes_are_those_of_the_delivery() -> None:
    found: ChipEvaluation = planned().layers[0]
    for role, flow in found.flows.items():
        title = draw_routes(found, role).axes[0].get_title()
        assert f"{role} network: {flow.delivery.mode}\n" in title


def test_masks_count_as_the_fractions_of_their_nonzeros(run: Run) -> None:
    mask = np.zeros((1, 4, 6, 1, 1), bool)
    mask[0, :3] = True
    np.save("weights.npy", mask)
    masked = replace(LAYERS[1], densities={"Weights": Density(distribution="actual", mask="weights.npy")})
    plain = replace(LAYERS[1], densities={"Weights": Density(density=0.75)})
    found = []
    for name, layer in (("masked", masked), ("plain", plain)):
        Path(f"{name}.yaml").write_text(dump(Workload(name="net", layers=(layer,))))
        code, out, _ = run("chip", "chip.yaml", f"{name}.yaml", "--json")
        assert not code
        found.append(json.loads(out))
    assert found[0] == found[1]


def test_masks_of_weights_decide_what_fits(run: Run) -> None:
    mask = np.zeros((1, 4, 6, 1, 1), bool)
    mask[0, 0] = True
    np.save("weights.npy", mask)
    inputs = np.arange(4 * 8) % 2 == 0
    np.save("inputs.npy", inputs.reshape(1, 1, 4, 8, 1))
    files = {"Weights": "weights.npy", "Inputs": "inputs.npy"}
    densities = {name: Density(distribution="actual", mask=file) for name, file in files.items()}
    layer = replace(LAYERS[1], bounds=LAYERS[1].bounds | {"Q": 8, "P": 1}, densities=densities)
    Path("net.yaml").write_text(dump(Workload(name="net", layers=(layer,))))
    code, out, _ = run("chip", "chip.yaml", "net.yaml", "--batch", "2", "--json")
    assert not code
    found = json.loads(out)["layers"][0]
    assert found["densities"] == {"Weights": 0.25, "Inputs": 0.5}
    assert found["weight_capacity"] == ("mask" if found["weights"] == "compressed" else "exact")
    assert found["dram_bytes"] == sum(found["dram_bytes_by_kind"].values())


def test_published_mappings_take_the_place_of_the_best_ones(run: Run) -> None:
    args = ("chip", "eyeriss_v1_168", "alexnet", "--batch", "4", "--layer", "conv2")
    code, out, _ = run(*args, "--mapping", "eyeriss_v1_alexnet", "-o", "out")
    assert code in (0, None)
    assert names(out, "conv2 eyeriss_v1_alexnet layers/s")
    given = json.loads(Path("out/chip.result.json").read_text())
    assert (given["objective"], given["layers"][0]["cycles"]) == ("edp", 7_606_272)
    assert given["layers"][0]["bounds"]["N"] == 4
    assert json.loads(run(*args, "--json")[1])["layers"][0]["cycles"] == 7_452_672


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("eyeriss_v1_168", "alexnet", "--mapping", "eyeriss_v1_alexnets"), 2, "mapping eyeriss_v1_alexnet"),
        (("eyeriss_v1_168", "vgg16", "--mapping", "eyeriss_v1_alexnet"), 2, "conv1 conv5_1"),
        (("eyeriss_v2", "alexnet", "--mapping", "eyeriss_v1_alexnet"), 2, "eyeriss_v2 row-stationary"),
        (("eyeriss_v1_168", "alexnet", "--mapping", "net.yaml"), 2, "net.yaml row_stationary"),
        (("eyeriss_v1_168", "alexnet", "--mapping", "eyeriss_v1_alexnet"), 1, "conv3 n images 1 4"),
        (("eyeriss_v1_168", "pointnet2_study", "--batch", "2"), 2, "--batch N 2"),
        (("eie", "eie_fc", "--batch", "2", "--mapping", "m.yaml"), 2, "--batch --mapping eie"),
    ],
)
def test_mappings_and_batches_that_do_not_fit_are_refused(
    run: Run, args: tuple[str, ...], code: int, message: str
) -> None:
    found, out, err = run("chip", *args)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert names(err, f"sparsim: error: {message}")
