"""The command line, where nothing is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from support.documents import DOCUMENTS, records_of, write_documents

from sparsim import Density, Workload, __version__
from sparsim.cli import main as cli
from sparsim.files.sparsim_yaml import dump, load_preset, load_workload, preset_names, workload_names
from sparsim.files.timeloop_files import read_documents

ROOT = Path(__file__).parents[3]
ACCELERATORS = [name for name in preset_names() if load_preset(name).machine is None]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_documents(tmp_path, DOCUMENTS)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["sparsim", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code in (0, None)
        return capsys.readouterr().out

    return run


def test_model_writes_stats_and_result(run, tmp_path):
    out = run("model", *DOCUMENTS, "-o", "some/where")
    folder = tmp_path / "some/where"
    assert (folder / "sparsim.stats.txt").read_text().startswith("Buffer and Arithmetic Levels\n")
    result = json.loads((folder / "sparsim.result.json").read_text())
    assert result["energy_pj"] == pytest.approx(11635.8)
    assert result["cycles"] == 37
    assert "cycles       37\n" in out
    assert "energy       0.0116358 uJ\n" in out
    assert out.endswith("wrote some/where/sparsim.stats.txt and some/where/sparsim.result.json\n")


@pytest.mark.parametrize(
    ("accounting", "energy_pj", "cycles"),
    [("timeloop-3", 11635.8, 37), ("timeloop-2022", 11939.8, 45), ("count-all", 15363.8, 45)],
)
def test_accounting(run, tmp_path, accounting, energy_pj, cycles):
    run("model", *DOCUMENTS, "-o", "out", "--accounting", accounting)
    result = json.loads((tmp_path / "out/sparsim.result.json").read_text())
    assert (result["energy_pj"], result["cycles"]) == (pytest.approx(energy_pj), cycles)


def test_native_documents_give_the_same(run, tmp_path):
    documents = read_documents(list(DOCUMENTS))
    (tmp_path / "native.yaml").write_text(dump(*records_of(documents)))
    run("model", *DOCUMENTS, "-o", "timeloop")
    run("model", "native.yaml", "-o", "native")
    stats = [(tmp_path / folder / "sparsim.stats.txt").read_text() for folder in ("timeloop", "native")]
    assert stats[0] == stats[1]


def test_mask(run, tmp_path):
    np.save(tmp_path / "a.npy", np.eye(8, dtype=bool))
    run("model", *DOCUMENTS, "-o", "out", "--mask", "A=a.npy")
    result = json.loads((tmp_path / "out/sparsim.result.json").read_text())
    models = {t["dataspace"]: t["density_model"] for level in result["storage"] for t in level["tensors"]}
    assert models["A"] == "actual"
    assert models["B"] == "fixed-structured"


def test_explain(run):
    out = run("explain", *DOCUMENTS)
    assert "37 cycles" in out
    assert "spad" in out


@pytest.fixture
def workload(tmp_path):
    """Two layers of a workload, the second as in the documents, and the rest of the documents."""
    found = read_documents([tmp_path / name for name in DOCUMENTS])
    layer = found.layer()
    measured = Density(density=0.25, spread=0.125)
    small = replace(layer, name="small", bounds={"M": 2, "N": 2, "K": 2}, densities={"A": measured})
    network = Workload(
        name="net", source="drawn by hand", provenance={"samples": 8, "seed": 3}, layers=(small, layer)
    )
    (tmp_path / "workload.yaml").write_text(dump(network))
    (tmp_path / "rest.yaml").write_text(dump(found.architecture, found.policy, found.energy, found.mapping))


@pytest.mark.usefixtures("run", "workload")
def test_layer_of_a_workload(run, tmp_path):
    run("model", *DOCUMENTS, "-o", "one")
    run("model", "rest.yaml", "workload.yaml", "--layer", "matmul", "-o", "chosen")
    run("model", *DOCUMENTS, "--layer", "matmul", "-o", "same")
    stats = [(tmp_path / name / "sparsim.stats.txt").read_text() for name in ("one", "chosen", "same")]
    assert stats[0] == stats[1] == stats[2]
    assert "matmul on" in run("explain", "rest.yaml", "workload.yaml", "--layer", "matmul")


@pytest.mark.usefixtures("run", "workload")
def test_show_workload(run):
    assert (
        run("show", "workload.yaml")
        == """\
workload.yaml

workload net: drawn by hand
  samples: 8
  seed: 3

layers
  name    bounds       operations  effectual             A      B      Z
  small   M=2 N=2 K=2           8          2  0.250 ±0.125  1.000  1.000
  matmul  M=8 N=4 K=8         256         48         0.375  0.500  1.000
  total                       264         50
"""
    )


def test_show_lists_presets(run):
    out = run("show")
    assert [line.split()[0] for line in out.splitlines()] == [*preset_names(), *workload_names()]


@pytest.mark.parametrize("name", ACCELERATORS)
def test_show_preset(run, name):
    out = run("show", name)
    assert out.startswith(f"{name}\n")
    assert "read pJ" in out


def test_show_of_a_workload_by_name(run):
    lines = run("show", "alexnet_sparse").splitlines()
    assert lines[0] == "alexnet_sparse"
    conv1 = "conv1 M=96 C=3 R=11 S=11 P=55 Q=55 Wstride=4 Hstride=4 105,415,200 74,787,429 0.710 0.999 0.378"
    assert lines[-9].split() == conv1.split()
    assert lines[-1].split() == ["total", "724,406,816", "157,887,060"]
    assert max(map(len, lines)) <= 120


def test_show_of_masks_tells_no_effectual_operations(run, tmp_path):
    layer = load_workload("alexnet").layers[2]
    masked = replace(layer, name="b", densities={"Inputs": Density(distribution="actual", mask="m.npy")})
    (tmp_path / "net.yaml").write_text(dump(Workload(layers=(layer, masked))))
    *_, plain, unknown, total = run("show", "net.yaml").splitlines()
    assert plain.split()[-5:] == ["149,520,384", "41,118,106", "1.000", "0.275", "0.303"]
    assert unknown.split()[-5:] == ["149,520,384", "1.000", "1.000", "(mask)", "1.000"]
    assert total.split() == ["total", "299,040,768"]


def test_version(run):
    assert run("--version") == f"sparsim {__version__}\n"


@pytest.mark.parametrize("args", [["--help"], ["show"], ["model", "--help"], ["mapper", "--help"]])
def test_no_compiler_is_loaded_without_need(args):
    code = (
        "import sys\nfrom sparsim.cli.main import main\ntry:\n main()\nexcept SystemExit:\n"
        " print(sorted({'numba', 'numpy', 'torch', 'matplotlib'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *args]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
