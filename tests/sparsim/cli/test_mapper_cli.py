"""`sparsim mapper`: what it writes can be read back, and what users get wrong is one sentence."""

from __future__ import annotations

import csv
import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from msgspec.structs import replace
from support.documents import write_documents
from support.mapper_documents import SEARCH
from support.named import names

import sparsim.mapper.engine
from sparsim import Workload, load_documents
from sparsim.cli import main as cli
from sparsim.files.sparsim_yaml import dump
from sparsim.files.timeloop_files import read_documents

RANDOM = Path(__file__).parents[3] / "validation/references/random"
NAMES = tuple(SEARCH)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs `sparsim` in a folder with the documents; returns exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    write_documents(tmp_path, SEARCH)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["sparsim", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code or 0, *capsys.readouterr()

    return run


def result_of(folder):
    return json.loads((Path(folder) / "sparsim.result.json").read_text())


def same_stats(*folders):
    return len({(Path(folder) / "sparsim.stats.txt").read_text() for folder in folders}) == 1


def test_written_mapping_is_read_back_to_the_same_report(run):
    code, out, err = run("mapper", *NAMES, "-o", "found")
    assert code == 0
    assert err.startswith("matmul: 840 mappings (factorisations 70, orders 6, splits 1, bypass choices 2)\n")
    assert out.endswith("wrote sparsim.mapping.yaml, .stats.txt and .result.json to found\n")
    assert list(yaml.safe_load(Path("found/sparsim.mapping.yaml").read_text())) == ["mapping"]
    assert run("model", *NAMES, "found/sparsim.mapping.yaml", "-o", "read")[0] == 0
    assert same_stats("found", "read")
    assert result_of("found")["evaluation"] == result_of("read")


def test_result_holds_objective_certificate_statistics_and_the_best(run):
    run("mapper", *NAMES, "-o", "out", "--top", 3)
    result = result_of("out")
    assert result["objective"] == ["delay", "energy"]
    assert result["certificate"]["kind"] == "optimal"
    assert result["certificate"]["value"] == result["evaluation"]["cycles"]
    assert result["sizes"]["total"] == 840
    assert 0 < result["statistics"]["valid"] <= result["statistics"]["evaluated"]
    places = [(found["cycles"], found["energy_pj"]) for found in result["top"]]
    assert len(places) == 3
    assert places == sorted(places)
    assert places[0] == (result["evaluation"]["cycles"], result["evaluation"]["energy_pj"])


@pytest.mark.parametrize(
    ("args", "objective"),
    [
        ([], ["edp"]),
        (["mapper.yaml"], ["delay", "energy"]),
        (["mapper.yaml", "--objective", "energy"], ["energy"]),
        (["--objective", "edp, delay"], ["edp", "delay"]),
    ],
    ids=["neither", "document", "option over document", "several"],
)
def test_objective(run, args, objective):
    files = [name for name in NAMES if name != "mapper.yaml"]
    run("mapper", *files, *args, "-o", "out")
    assert result_of("out")["objective"] == objective


def test_accounting_is_that_of_search_and_report(run):
    run("mapper", *NAMES, "-o", "out", "--accounting", "count-all")
    result = result_of("out")
    assert result["evaluation"]["accounting"] == "count-all"
    assert result["top"][0]["energy_pj"] == result["evaluation"]["energy_pj"]


@pytest.mark.parametrize("case", ["gemm-11-004", "gemm-cluster-11-013", "conv-sep-11-022"])
def test_reference_documents(run, case, monkeypatch):
    """Unconstrained, so only sampled, and without a bound, which takes a minute for some."""
    monkeypatch.setattr("sparsim.mapper.relaxation.MOST_CHOICES", 0)
    files = [path for path in sorted((RANDOM / case).glob("*.yaml")) if path.name != "mapping.yaml"]
    assert run("mapper", *files, "--method", "random", "--evaluations", 100, "-o", "found")[0] == 0
    assert run("model", *files, "found/sparsim.mapping.yaml", "-o", "read")[0] == 0
    assert same_stats("found", "read")


@pytest.fixture
def native(tmp_path, run):
    """Our own documents of a network: the layer, another one, and the layer again."""
    documents = read_documents(NAMES, for_search=True)
    layer = documents.layer()
    small = replace(layer, name="small", bounds={"M": 2, "N": 4, "K": 2})
    layers = (replace(layer, name="one"), small, replace(layer, name="two"))
    workload = Workload(name="net", layers=layers)
    records = (documents.architecture, documents.policy, documents.energy, documents.mapspace, workload)
    Path("net.yaml").write_text(dump(*records))
    return layers


def test_network(run, native):
    code, out, _ = run("mapper", "net.yaml", "-o", "net", "--objective", "energy")
    assert code == 0
    assert load_documents(["net/small/sparsim.mapping.yaml"]).mapping is not None
    for layer in native:
        folder = f"net/{layer.name}"
        run("model", "net.yaml", f"{folder}/sparsim.mapping.yaml", "--layer", layer.name, "-o", "read")
        assert same_stats(folder, "read")
    rows = list(csv.DictReader(Path("net/sparsim.layers.csv").read_text().splitlines()))
    assert [row["layer"] for row in rows] == ["one", "small", "two"]
    energies = [result_of(f"net/{row['layer']}")["evaluation"]["energy_pj"] for row in rows]
    assert [float(row["energy_pj"]) for row in rows] == energies
    assert f"{sum(energies) / 1e6:.6g}" in next(line for line in out.splitlines() if "total" in line)


def test_one_layer_of_a_network_is_the_same_search(run, native):
    run("mapper", "net.yaml", "-o", "net", "--no-cache")
    run("mapper", "net.yaml", "--layer", "small", "-o", "one", "--no-cache")
    assert result_of("one")["top"] == result_of("net/small")["top"]


def test_repeated_search_is_taken_from_the_cache(run, tmp_path, monkeypatch):
    run("mapper", *NAMES, "-o", "first")
    (entry,) = (tmp_path / "caches/sparsim").iterdir()
    monkeypatch.setattr("sparsim.mapper.network_search.search", None)
    assert run("mapper", *NAMES, "-o", "second")[0] == 0
    assert result_of("first") == result_of("second")
    entry.write_text("spoiled")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    _, _, err = run("mapper", *NAMES, "-o", "third", "--cache", entry.parent)
    assert f"sparsim: warning: {entry}: " in err
    assert result_of("first")["top"] == result_of("third")["top"]


def test_no_cache_leaves_no_folder(run, tmp_path):
    run("mapper", *NAMES, "-o", "out", "--no-cache")
    assert not (tmp_path / "caches").exists()


@pytest.fixture
def ctrl_c(monkeypatch):
    """Presses Ctrl-C when the search goes on after its first valid mapping."""
    evaluate_pack, valid = sparsim.mapper.engine.evaluate_pack, []

    def evaluating(*args, **options):
        if valid:
            valid.clear()
            signal.raise_signal(signal.SIGINT)
        result = evaluate_pack(*args, **options)
        valid.extend(np.flatnonzero(result.status == 0))
        return result

    monkeypatch.setattr(sparsim.mapper.engine, "evaluate_pack", evaluating)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in background jobs
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_writes_the_best_and_its_gap(run, tmp_path):
    code, out, _ = run("mapper", *NAMES, "-o", "found")
    assert code == 0
    result = result_of("found")
    assert result["interrupted"]
    certificate = result["certificate"]
    assert certificate["kind"] == "gap"
    assert certificate["statement"] in out
    assert f"gap {certificate['gap']:.3%}\n" in out
    assert not (tmp_path / "caches").exists()
    run("model", *NAMES, "found/sparsim.mapping.yaml", "-o", "read")
    assert same_stats("found", "read")


@pytest.mark.usefixtures("native", "ctrl_c")
def test_ctrl_c_in_a_network_leaves_out_the_rest(run):
    code, out, err = run("mapper", "net.yaml", "-o", "net")
    assert code == 1
    assert err.endswith("sparsim: error: interrupted; 2 of 3 layers have no mapping\n")
    assert "total" in out
    assert sorted(path.name for path in Path("net").iterdir()) == ["one", "sparsim.layers.csv"]


def test_progress_on_a_terminal(run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("sparsim.cli.mapper_command.PERIOD_S", 0.0)
    _, out, err = run("mapper", *NAMES, "-o", "out")
    assert "uJ in 24 cycles" in err
    assert "uJ in 24 cycles" not in out


@pytest.mark.parametrize(
    ("document", "old", "new", "message"),
    [
        ("constraints.yaml", "K<=2", "K<=2 M=3",
         "layer matmul: no factorisation of dim 'M' (bound 8) is left"),
        ("arch.yaml", "depth: 64\n", "depth: 1\n", "no mapping is valid for layer matmul"),
    ],
)  # fmt: skip
def test_nothing_to_be_found(run, tmp_path, document, old, new, message):
    assert old in SEARCH[document]
    (tmp_path / document).write_text(SEARCH[document].replace(old, new, 1))
    code, out, err = run("mapper", *NAMES, "-o", "out")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"sparsim: error: {message}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--objective", "enrgy"], "objective enrgy energy"),
        (["--objective", "edp,edp"], "objective 2"),
        (
            ["--objective", ""],
            "energy delay edp last-level-accesses ordered-accesses accesses-DRAM accesses-GLB accesses-spad",
        ),
        (["--method", "hill"],
         "--method hill auto exhaustive random local"),
        (["--evaluations", "0"], "--evaluations 0"),
        (["--threads", "-1"], "--threads -1"),
        (["--top", "0"], "--top 0"),
        (["--seconds", "0"], "seconds 0.0"),
        (["--seconds", "nan"], "seconds nan 0"),
        (["--cache", "x", "--no-cache"], "--cache --no-cache"),
        (["--layer", "matmull"], f"{' '.join(NAMES)} matmull matmul"),
        (["--uneven", "GLB"], "mapspace GLB"),
        (["--uneven", "spat"], "spat spad"),
        (["--uneven", "spad", "--timeloop-files"], "--uneven --timeloop-files"),
    ],
)  # fmt: skip
def test_options(run, tmp_path, args, message):
    code, out, err = run("mapper", *NAMES, "-o", "out", *args)
    assert (code, out) == (2, "")
    assert names(err.splitlines()[-1], f"sparsim: error: {message}")
    assert not (tmp_path / "out").exists()


def test_accesses_of_documents_and_of_the_option(run, tmp_path):
    (tmp_path / "mapper.yaml").write_text(
        "mapper: {optimization-metrics: [accesses-GLB, last_level_accesses]}\n"
    )
    assert run("mapper", *NAMES, "-o", "metrics")[0] == 0
    options = ("--objective", "accesses-GLB,last-level-accesses")
    assert run("mapper", *NAMES, *options, "-o", "option")[0] == 0
    found = result_of("metrics")
    assert found["objective"] == ["accesses-GLB", "accesses-DRAM"]
    assert found["certificate"]["kind"] == "optimal"
    counted = {name: words for name, words, _ in found["evaluation"]["intensity"]["levels"]}
    assert found["top"][0]["values"] == [counted["GLB"], counted["DRAM"]]
    assert same_stats("metrics", "option")
    assert run("mapper", *NAMES, "--objective", "ordered-accesses", "-o", "all")[0] == 0
    assert result_of("all")["objective"] == ["accesses-DRAM", "accesses-GLB", "accesses-spad"]


def test_accesses_of_an_unknown_level(run):
    code, _, err = run("mapper", *NAMES, "--objective", "accesses-GBL")
    assert code == 2
    assert err.endswith("(did you mean 'accesses-GLB'?)\n")


@pytest.mark.parametrize(
    ("layer_names", "message"),
    [
        (["one", "../two"], "../two --layer"),
        (["one", "one"], "2 one"),
        ([], "net.yaml layer"),
    ],
)
@pytest.mark.usefixtures("native")
def test_layers_without_folders_of_their_own(run, layer_names, message):
    loaded = load_documents(["net.yaml"])
    layers = [replace(loaded.layers[0], name=name) for name in layer_names]
    Path("net.yaml").write_text(dump(loaded.architecture, *layers))
    code, out, err = run("mapper", "net.yaml", "-o", "out")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert names(err, f"sparsim: error: {message}")


def test_files_of_two_kinds(run, native):
    code, out, err = run("mapper", "arch.yaml", "net.yaml")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("sparsim: error: net.yaml ")
    assert "arch.yaml" in err


@pytest.mark.parametrize("option", ["--padded", "--imperfect"])
def test_mapping_that_covers_more_is_written_in_our_form_and_read_back(run, tmp_path, option):
    """The constraints spread M = 7 over four columns, which perfect factors cannot."""
    for name, old, new in (("problem", "M: 8", "M: 7"), ("constraints", "N=4 M=1", "N=1 M=4")):
        path = tmp_path / f"{name}.yaml"
        path.write_text(path.read_text().replace(old, new))
    code, _, err = run("mapper", *NAMES)
    assert (code, "no factorisation of dim 'M'" in err) == (1, True)
    code, out, err = run("mapper", *NAMES, option, "M", "-o", "found")
    assert code == 0
    policy = option[2:]
    share = "12.50%" if policy == "padded" else "0.00%"
    line = f"M: bound 7, covered 8, {policy}, {share} of the operations are padding"
    assert f"  divisibility {line}\n" in out
    assert list(yaml.safe_load(Path("found/sparsim.mapping.yaml").read_text())) == ["sparsim", "mapping"]
    assert f"    {line}\n" in Path("found/sparsim.stats.txt").read_text()
    code, out, _ = run("model", *NAMES, "found/sparsim.mapping.yaml", "-o", "read")
    assert code == 0
    assert f"  divisibility {line}\n" in out
    assert same_stats("found", "read")
    found, read = result_of("found"), result_of("read")
    assert found["evaluation"] == read
    assert found["top"][0]["covers"] == read["covers"]
    assert found["top"][0]["mapping"]["divisibility"] == {"M": policy}


def test_mappings_of_both_kinds_are_one_too_many(run, tmp_path):
    run("mapper", *NAMES, "--padded", "M", "--imperfect", "K,N", "-o", "found")
    mapping = yaml.safe_load(Path("found/sparsim.mapping.yaml").read_text())
    assert list(mapping) == ["mapping"]  # perfect factors are best, and said in Timeloop's syntax
    (tmp_path / "own.yaml").write_text("sparsim: 1\nmapping: {levels: []}\n")
    code, _, err = run("model", *NAMES, "found/sparsim.mapping.yaml", "own.yaml")
    assert (code, "two mappings" in err) == (2, True)


def test_uneven_tiles_are_written_with_their_design_and_read_back(run):
    assert run("mapper", *NAMES, "--objective", "energy", "-o", "even")[0] == 0
    code, _, err = run("mapper", *NAMES, "--objective", "energy", "--uneven", "all", "-o", "uneven")
    assert (code, "sparsim.design.yaml" in err) == (0, True)
    files = ("uneven/sparsim.design.yaml", "uneven/sparsim.mapping.yaml")
    design = load_documents(files)
    assert [level.name for level in design.architecture.storage] == [
        "DRAM",
        "GLB",
        "spad-3",
        "spad-2",
        "spad",
    ]
    assert run("model", *files, "-o", "read")[0] == 0
    assert same_stats("uneven", "read")
    even, uneven = result_of("even"), result_of("uneven")
    assert uneven["certificate"]["kind"] == "optimal"
    assert uneven["certificate"]["value"] <= even["certificate"]["value"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--padded", "m"], "mapspace divisibility m M N K"),
        (["--imperfect", "M,KK"], "mapspace divisibility KK K"),
        (["--padded", "M", "--imperfect", "N,M"], "M --padded --imperfect"),
    ],
)
def test_policies_for_dims_that_cannot_be(run, args, message):
    code, out, err = run("mapper", *NAMES, *args)
    assert (code, out) == (2, "")
    assert names(err.splitlines()[-1], f"sparsim: error: {message}")


def test_any_number_of_covered_bounds_beside_timeloop_documents(run, tmp_path):
    path = tmp_path / "problem.yaml"
    path.write_text(path.read_text().replace("M: 8", "M: 200").replace("N: 4", "N: 100"))
    options = ["--padded", "M,N,K", "--objective", "energy", "-o", "found"]
    dense = [name for name in NAMES if name != "sparse.yaml"]
    code, out, _ = run("mapper", *dense, *options, "--most-padding", "0.3")
    assert code == 0
    assert "any covered bounds" in out
    assert result_of("found")["certificate"]["kind"] == "optimal"
    code, _, err = run("mapper", *NAMES, *options, "--most-padding", "1.5")
    assert (code, names(err.splitlines()[-1], "--most-padding 1.5")) == (2, True)


def test_network_with_a_policy_in_its_mapspace(run, native):
    text = Path("net.yaml").read_text().replace("mapspace:\n", "mapspace:\n  divisibility: {M: imperfect}\n")
    Path("net.yaml").write_text(text.replace("M: 8", "M: 7"))
    assert run("mapper", "net.yaml", "-o", "net", "--objective", "delay")[0] == 0
    rows = list(csv.DictReader(Path("net/sparsim.layers.csv").read_text().splitlines()))
    for row in rows:
        covers = result_of(f"net/{row['layer']}")["evaluation"]["covers"]
        assert len(covers) == bool(row["divisibility"])
