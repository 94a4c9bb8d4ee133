"""What users get wrong: one sentence on stderr, exit code 2, no traceback, nothing written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.documents import DOCUMENTS, write_documents
from support.named import names

from sparsim.cli import main as cli

ERT_READ_GLB = "    - {name: read, arguments: null, energy: 6}\n"
SPAD_FORMAT = "- {format: CP, metadata-word-bits: 4}"
BYPASS_B = "".join(f"- {{target: {level}, type: bypass, bypass: [B]}}\n" for level in ("DRAM", "GLB", 0))
THIRD_OPERAND = "    - {name: C, projection: [[[M]]]}\n    - name: Z"

# (what is wrong, document, old text, new text, message)
EDITS = [
    ("misspelt key", "problem.yaml", "dimensions: [M", "dimesions: [M",
     "problem.yaml:3 problem.shape dimensions dimesions"),
    ("misspelt size", "arch.yaml", "depth: 64\n            width", "dephts: 64\n            width",
     "arch.yaml:36 architecture.subtree[0].subtree[0].subtree[0].local[0].attributes spad DRAM dephts depth"),
    ("misspelt top-level key", "problem.yaml", "problem:", "probelm:",
     "arch.yaml problem.yaml mapping.yaml sparse.yaml ert.yaml art.yaml problem probelm"),
    ("unknown dataspace", "mapping.yaml", "keep: [A, B, Z]", "keep: [A, B, Y]",
     "mapping.yaml:6 mapping[4].keep Y A B Z"),
    ("unknown level", "mapping.yaml", "target: GLB, type: temporal", "target: GBL, type: temporal",
     "mapping.yaml:3 mapping[1].target GBL GLB"),
    ("unknown dim", "mapping.yaml", "M8 N1 K1", "M8 N1 L1",
     "mapping.yaml:3 mapping[1].factors L M N K"),
    ("unknown directive", "mapping.yaml", "{target: GLB, type: temporal", "{target: GLB, type: temproal",
     "mapping.yaml:3 mapping[1].type temproal temporal"),
    ("factor product wrong", "mapping.yaml", "M8 N1 K1", "M4 N1 K1",
     "M 4 8"),
    ("imperfect factor", "mapping.yaml", "M8 N1 K1", "'M=8,5 N1 K1'",
     "mapping.yaml:3 mapping[1].factors M=8,5"),
    ("skew", "mapping.yaml", "{target: spad, type: bypass", "{target: spad, type: skew",
     "mapping.yaml:6 mapping[4].type"),
    ("spatial without fan-out", "mapping.yaml", "{target: GLB, type: spatial", "{target: DRAM, type: spatial",
     "DRAM GLB"),
    ("second directive for a level", "mapping.yaml", "target: DRAM", "target: GLB",
     "K 4 8"),
    ("tensor kept nowhere", "mapping.yaml", "bypass: []}\n", "bypass: []}\n" + BYPASS_B,
     "B"),
    ("density 1.7", "problem.yaml", "B: 0.5", "B: 1.7",
     "problem.yaml:19 problem.instance.densities.B density 1.7 0 1"),
    ("density without a value", "problem.yaml", "B: 0.5", "B:",
     "problem.yaml:18 problem.instance.densities B"),
    ("unknown distribution", "problem.yaml", "fixed-structured", "gaussian",
     "problem.yaml:18 problem.instance.densities.A.distribution gaussian"),
    ("missing bound", "problem.yaml", "    K: 8\n", "",
     "problem.yaml:14 problem.instance K"),
    ("bound of 0", "problem.yaml", "    K: 8\n", "    K: 0\n",
     "problem.yaml:14 problem.instance K 0 1"),
    ("bound that is no number", "problem.yaml", "    K: 8\n", "    K: eight\n",
     "problem.yaml:16 problem.instance.K eight 64"),
    ("number with a leading zero", "problem.yaml", "    K: 8\n", "    K: 010\n",
     "problem.yaml:16 problem.instance.K 010 64 Timeloop 0"),
    ("endless number", "problem.yaml", "    K: 8\n", f"    K: '{'9' * 5000}'\n",
     f"problem.yaml:16 problem.instance.K {'9' * 40}... 64"),
    ("long dim name", "problem.yaml", "[M, N, K]", "[M, N, KK]",
     "problem.yaml:4 problem.shape.dimensions KK 2 1"),
    ("unknown dim in a projection", "problem.yaml", "[[[K]], [[N]]]", "[[[K]], [[X]]]",
     "problem.yaml:3 problem.shape B X M N K"),
    ("flattened dimensions", "problem.yaml", "    dimensions:", "    flatten: []\n    dimensions:",
     "problem.yaml:4 problem.shape.flatten"),
    ("negative depth", "arch.yaml", "depth: 1024", "depth: -1024",
     "arch.yaml:21 architecture.subtree[0].subtree[0].local[0].attributes.depth size -1024 0"),
    ("SRAM without size", "arch.yaml", "          depth: 1024\n", "",
     "arch.yaml:21 architecture.subtree[0].subtree[0].local[0].attributes GLB DRAM"),
    ("bandwidth of 0", "arch.yaml", "read_bandwidth: 4", "read_bandwidth: 0",
     "arch.yaml:21 architecture.subtree[0].subtree[0].local[0].attributes GLB read_bandwidth 0"),
    ("hexadecimal bandwidth", "arch.yaml", "read_bandwidth: 4", "read_bandwidth: 0x4",
     "arch.yaml:25 architecture.subtree[0].subtree[0].local[0].attributes.read_bandwidth 0x4"),
    ("range that is none", "arch.yaml", "PE[0..3]", "PE[0..N]",
     "arch.yaml:31 architecture.subtree[0].subtree[0].subtree[0] PE[0..N] [FIRST..LAST]"),
    ("mesh that does not divide", "arch.yaml", "datawidth: 16, meshX: 4", "datawidth: 16, meshX: 3",
     "arch.yaml:46 architecture.subtree[0].subtree[0].subtree[0].local[1].attributes MAC 4 meshX 3"),
    ("fan-out that does not divide", "arch.yaml", "datawidth: 16, meshX: 4", "datawidth: 16, meshX: 2",
     "arch.yaml:46 architecture.subtree[0].subtree[0].subtree[0].local[1].attributes meshX MAC 2 4 spad"),
    ("width that is no multiple", "arch.yaml", "width: 64", "width: 65",
     "arch.yaml:10 architecture.subtree[0].local[0].attributes width 65 64 *"),
    ("clustered DRAM", "arch.yaml", "width: 64", "width: 128",
     "arch.yaml:10 architecture.subtree[0].local[0].attributes DRAM cluster_size 2 1"),
    ("instances no multiple of the cluster", "arch.yaml", "          width: 16", "          width: 48",
     "arch.yaml:2 GLB 1 cluster_size 3"),
    ("metadata width", "arch.yaml", "metadata_storage_width: 16", "metadata_storage_width: 15",
     "arch.yaml:28 architecture.subtree[0].subtree[0].local[0].attributes.metadata_storage_width 15 8 * 1"),
    ("version missing", "arch.yaml", "  version: 0.3\n", "",
     "arch.yaml:2 version 0.2 0.3 0.4"),
    ("two subtrees", "arch.yaml", "    subtree:\n    - name: chip",
     "    subtree:\n    - {name: x}\n    - name: chip",
     "arch.yaml:15 architecture.subtree[0].subtree 2"),
    ("no compute", "arch.yaml", "class: intmac", "class: adder",
     "arch.yaml:2 exactly compute component"),
    ("overbooking", "arch.yaml", "read_bandwidth: 4", "allow_overbooking: true",
     "arch.yaml:25 architecture.subtree[0].subtree[0].local[0].attributes.allow_overbooking GLB"),
    ("user-defined network", "arch.yaml", "read_bandwidth: 4", "network_read: mesh",
     "arch.yaml:25 architecture.subtree[0].subtree[0].local[0].attributes.network_read mesh network_fill"),
    ("missing action", "ert.yaml", ERT_READ_GLB, "",
     "GLB random_read read metadata_read metadata_write"),
    ("missing component", "ert.yaml", "system.chip.GLB", "system.chip.glb",
     "GLB DRAM MAC"),
    ("misspelt action", "ert.yaml", "name: mac_random", "name: mac_randm",
     "MAC mac_random mult_random mac mult compute mac_randm mac_gated"),
    ("negative energy", "ert.yaml", "energy: 6", "energy: -6",
     "ert.yaml:11 ERT.tables[1].actions[0].energy read -6 pJ 0"),
    ("energy that is not a number", "ert.yaml", "energy: 6", "energy: .nan",
     "ert.yaml:11 ERT.tables[1].actions[0].energy"),
    ("wire without its action", "ert.yaml", "system.DRAM", "system.wire",
     "ert.yaml:3 ERT.tables transfer_random system.wire"),
    ("unknown version of the table", "ert.yaml", "version: 0.3", "version: 3",
     "ert.yaml:2 ERT.version 3 0.2 0.3 0.4"),
    ("unknown format", "sparse.yaml", "format: CP, meta", "format: CSR, meta",
     "sparse.yaml:23 sparse_optimizations.targets[2].representation-format.data-spaces[0].ranks[0].format "
     "CSR UOP RLE CP UB B"),
    ("uncompressed rank below a compressed one", "sparse.yaml",
     SPAD_FORMAT, SPAD_FORMAT + "\n        - {format: UOP}",
     "sparse.yaml:21 sparse_optimizations.targets[2].representation-format.data-spaces[0] A UOP"),
    ("bad rank order", "sparse.yaml", "      - name: A\n        ranks:\n        " + SPAD_FORMAT,
     "      - name: A\n        rank-application-order: top-down\n        ranks:\n        " + SPAD_FORMAT,
     "sparse.yaml:22 "
     "sparse_optimizations.targets[2].representation-format.data-spaces[0].rank-application-order top-down"),
    ("formats that leave out earlier ones", "sparse.yaml",
     "name: spad\n    representation-format:\n      data-spaces:\n      - name: A",
     "name: GLB\n    representation-format:\n      data-spaces:\n      - name: B",
     "sparse.yaml:19 sparse_optimizations.targets[2].representation-format GLB A"),
    ("metadata words wider than their storage", "sparse.yaml",
     "metadata-word-bits: 4", "metadata-word-bits: 12",
     "A CP 24 8"),
    ("unknown action type", "sparse.yaml", "type: skipping,", "type: skiping,",
     "sparse.yaml:25 sparse_optimizations.targets[2].action-optimization[0].type skiping skipping"),
    ("action type of 2022", "sparse.yaml", "type: skipping,", "type: position-skipping,",
     "sparse.yaml:25 sparse_optimizations.targets[2].action-optimization[0].type position-skipping"),
    ("unknown compute optimization", "sparse.yaml", "type: gating", "type: gate",
     "sparse.yaml:28 sparse_optimizations.targets[3].compute-optimization[0].type gate gating"),
    ("compute optimization of a storage", "sparse.yaml", "name: MAC", "name: spad",
     "sparse.yaml:26 sparse_optimizations.targets[3].name spad MAC"),
    ("three operands", "problem.yaml", "    - name: Z", THIRD_OPERAND,
     "3 A B C"),
    ("duplicate key", "arch.yaml", "          read_bandwidth: 4", "          width: 16",
     "arch.yaml:25 width 22"),
    ("broken YAML", "mapping.yaml", "keep: [A, B, Z]", "keep: [A, B, Z",
     "mapping.yaml:6 YAML ]"),
    ("fan-out exceeded", "mapping.yaml", "split: 3", "split: 0",
     "1 4 MAC"),
    ("capacity exceeded", "arch.yaml", "depth: 1024\n          width", "depth: 10\n          width",
     "60 GLB 10"),
    ("metadata capacity exceeded", "arch.yaml", "metadata_storage_depth: 1024", "metadata_storage_depth: 2",
     "200 GLB 32"),
    ("minimum utilization missed", "arch.yaml", "read_bandwidth: 4", "min-utilization: 0.9",
     "60 GLB min_utilization 921.6"),
    ("ranks too few", "sparse.yaml", "- {format: UOP}\n        - {format: UOP}", "- {format: UOP}",
     "A DRAM 2 3"),
    ("compressed above uncompressed", "sparse.yaml",
     "- {format: UOP}\n        - {format: CP}\n  - name: spad",
     "- {format: UOP}\n        - {format: UOP}\n  - name: spad",
     "A GLB decompression_supported"),
    ("two leaders with metadata", "sparse.yaml", "        - {format: CP}\n  - name: spad",
     "        - {format: CP}\n      - {name: B, ranks: [{format: UOP}, {format: UOP}, {format: UB}]}\n"
     "    action-optimization:\n"
     "    - {type: skipping-spatial, target: Z, condition-on: [A, B]}\n  - name: spad",
     "Z GLB"),
    ("actual density without a mask", "problem.yaml", "B: 0.5", "B: {distribution: actual}",
     "B actual"),
    ("banded tensor that is not square", "problem.yaml", "B: 0.5", "B: {distribution: banded}",
     "banded B 8 4"),
]  # fmt: skip


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs `sparsim` in a fresh folder; returns exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["sparsim", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, *capsys.readouterr()

    return run


NOTES = ("sparsim: warning: ", "sparsim: compiling kernels")


def check_refused(result, tmp_path, words):
    code, out, err = result
    assert code == 2
    assert out == ""
    sentences = [line for line in err.splitlines() if not line.startswith(NOTES)]
    (sentence,) = sentences
    assert sentence.startswith("sparsim: error: ")
    assert names(sentence, words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("document", "old", "new", "message"), [row[1:] for row in EDITS], ids=[row[0] for row in EDITS]
)
def test_documents(run, tmp_path, document, old, new, message):
    assert old in DOCUMENTS[document]
    documents = {**DOCUMENTS, document: DOCUMENTS[document].replace(old, new, 1)}
    write_documents(tmp_path, documents)
    check_refused(run("model", *documents, "-o", "out"), tmp_path, message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "bad.yaml empty"),
        (b"# nothing but a comment\n", "bad.yaml empty"),
        (b"\x93NUMPY\x01\x00", "bad.yaml 0 UTF-8"),
        (b"- 1\n- 2\n", "bad.yaml mapping list"),
        (b"ERT: {version: 0.3, tables: []}\n", "bad.yaml ERT ert.yaml"),
        (b"sparsim: 1\n", "bad.yaml arch.yaml"),
    ],
    ids=["empty", "comment", "binary", "list", "key in two files", "two kinds"],
)
def test_files(run, tmp_path, content, message):
    write_documents(tmp_path, DOCUMENTS)
    (tmp_path / "bad.yaml").write_bytes(content)
    check_refused(run("model", *DOCUMENTS, "bad.yaml", "-o", "out"), tmp_path, message)


def test_absurdly_large_layer(run, tmp_path):
    huge = "8000000000000000"
    documents = {
        **DOCUMENTS,
        "problem.yaml": DOCUMENTS["problem.yaml"].replace("M: 8", f"M: {huge}"),
        "mapping.yaml": DOCUMENTS["mapping.yaml"].replace("M8", f"M{huge}"),
    }
    write_documents(tmp_path, documents)
    words = "problem.yaml:14 problem.instance matmul 2.56e+17 operations 9.01e+15"
    check_refused(run("model", *documents, "-o", "out"), tmp_path, words)


def test_missing_file(run, tmp_path):
    check_refused(run("model", "missing.yaml", "-o", "out"), tmp_path, "missing.yaml file")


def test_folder_for_a_file(run, tmp_path):
    check_refused(run("model", ".", "-o", "out"), tmp_path, ".: folder YAML")


def test_no_mapping(run, tmp_path):
    write_documents(tmp_path, DOCUMENTS)
    result = run("model", "arch.yaml", "problem.yaml", "-o", "out")
    check_refused(result, tmp_path, "arch.yaml problem.yaml mapping")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--accounting", "timeloop-5"],
         "--accounting timeloop-5 timeloop-3 timeloop-4 timeloop-4-2024 timeloop-2022 count-all "
         "count-drains"),
        (["--mask", "A"], "--mask NAME=FILE A"),
        (["--mask", "Q=a.npy"], "--mask Q=a.npy Q A B Z"),
        (["--mask", "A=a.npy"], "matmul density A a.npy file"),
        (["--mask", "A=arch.yaml"],
         "matmul density A arch.yaml .npy .npz"),
        (["--quick"], "--quick"),
    ],
)  # fmt: skip
def test_options(run, tmp_path, args, message):
    write_documents(tmp_path, DOCUMENTS)
    check_refused(run("model", *DOCUMENTS, "-o", "out", *args), tmp_path, message)


LAYER = """\
  - name: {name}
    shape: {{dims: [C], dataspaces: [{{name: x, projection: [C], read_write: true}}]}}
    bounds: {{C: 3}}
"""
NATIVE = "sparsim: 1\narchitecture: {storage: [{name: DRAM, technology: DRAM}], compute: {name: MAC}}\n"
WORKLOAD = "workload:\n  layers:\n" + LAYER.format(name="sa1") + LAYER.format(name="fc1")
MORE = "layers:\n" + LAYER.format(name="fc1")


@pytest.mark.parametrize(
    ("layers", "args", "message"),
    [
        (WORKLOAD, [], "f.yaml 2 --layer"),
        (WORKLOAD, ["--layer", "fc2"], "f.yaml fc2 fc1"),
        (WORKLOAD + MORE, ["--layer", "fc1"], "f.yaml 2 fc1"),
        ("", [], "f.yaml 0"),
        ("", ["--layer", "fc1"], "f.yaml fc1"),
    ],
)
def test_choice_of_a_layer(run, tmp_path, layers, args, message):
    (tmp_path / "f.yaml").write_text(NATIVE + layers)
    check_refused(run("model", "f.yaml", "-o", "out", *args), tmp_path, message)
    check_refused(run("explain", "f.yaml", *args), tmp_path, message)


def test_layer_that_the_documents_do_not_have(run, tmp_path):
    write_documents(tmp_path, DOCUMENTS)
    words = f"{' '.join(DOCUMENTS)} matmull matmul"
    check_refused(run("model", *DOCUMENTS, "-o", "out", "--layer", "matmull"), tmp_path, words)


def test_show_of_files(run, tmp_path):
    check_refused(run("show", "missing.yaml"), tmp_path, "missing.yaml file")
    write_documents(tmp_path, DOCUMENTS)
    code, out, err = run("show", "ert.yaml")
    assert (code, out) == (2, "")
    assert err.startswith("sparsim: error: ert.yaml: ")
    assert names(err, "sparsim: 2 ERT Timeloop Accelergy")


def test_unknown_preset(run, tmp_path):
    code, _, err = run("show", "eyeris")
    assert code == 2
    assert err.startswith("sparsim: error: unknown preset 'eyeris'")


def test_paths_that_are_no_documents(run, tmp_path):
    (tmp_path / "trace").mkdir()
    (tmp_path / "trace.json").write_text("{}", encoding="utf-8")
    check_refused(run("chip", "eyeriss_v2", "trace"), tmp_path, "trace folder NAME.yaml")
    check_refused(run("chip", "eyeriss_v2", "trace.json"), tmp_path, "trace.json NAME.yaml")
    check_refused(run("model", "trace"), tmp_path, "trace folder files")
    check_refused(run("chip", "eyeriss_v2", "vgg_19_bn"), tmp_path, "vgg_19_bn sparsim show yaml")
    check_refused(run("chip", "eyeriss_like_onchip", "alexnet"), tmp_path, "eyeriss_like_onchip chip mapper")


def test_unknown_command(run, tmp_path):
    code, _, err = run("modl")
    assert code == 2
    assert err.startswith("sparsim: error: No such command 'modl'")


def test_unwritable_output(run, tmp_path):
    write_documents(tmp_path, DOCUMENTS)
    code, out, err = run("model", *DOCUMENTS, "-o", "arch.yaml/out")
    assert (code, out, err) == (2, "", "sparsim: error: arch.yaml/out: not a directory\n")


def test_as_a_process(tmp_path):
    command = [sys.executable, "-c", "from sparsim.cli.main import main; main()", "model", "missing.yaml"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "sparsim: error: missing.yaml: no such file\n"
