"""`sparsim chip` with matrices: files of all kinds, and what is wrong with them in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from support.documented_keys import documented_keys
from support.programs import Done, run_module

from sparsim import load_hardware
from sparsim.errors import FormatError
from sparsim.files.matrix_files import load_matrix
from sparsim.machines.spgemm import SparseMatrix

MACHINES = ("extensor", "gamma", "outerspace", "sigma")
BANNER = "%%MatrixMarket matrix"
A = scipy.sparse.random_array((20, 30), density=0.2, rng=np.random.default_rng(1), format="csr")
B = scipy.sparse.random_array((30, 25), density=0.3, rng=np.random.default_rng(2), format="csr")


@pytest.fixture
def a(tmp_path: Path) -> Path:
    path = tmp_path / "a.mtx"
    scipy.io.mmwrite(path, A)
    return path


@pytest.fixture
def b(tmp_path: Path) -> Path:
    path = tmp_path / "b.npz"
    scipy.sparse.save_npz(path, B)
    return path


def chip(*words: object) -> Done:
    return run_module("sparsim", "chip", *map(str, words))


def test_all_kinds_of_files_hold_the_same_matrix(tmp_path: Path, a: Path) -> None:
    scipy.sparse.save_npz(tmp_path / "csr.npz", A)
    scipy.sparse.save_npz(tmp_path / "csc.npz", A.tocsc())
    scipy.sparse.save_npz(tmp_path / "coo.npz", A.tocoo())
    np.save(tmp_path / "dense.npy", A.toarray())
    np.savez(tmp_path / "dense.npz", only=A.toarray())
    names = ("csr.npz", "csc.npz", "coo.npz", "dense.npy", "dense.npz")
    for path in (a, *(tmp_path / name for name in names)):
        found = SparseMatrix.of(load_matrix(path))
        assert found.starts.tolist() == A.indptr.tolist()
        assert found.indices.tolist() == A.indices.tolist()


def test_patterns_and_symmetric_matrices(tmp_path: Path) -> None:
    path = tmp_path / "p.mtx"
    path.write_text(f"{BANNER} coordinate pattern symmetric\n3 3 2\n2 1\n3 3\n")
    found = SparseMatrix.of(load_matrix(path))
    assert list(zip(found.row_indices.tolist(), found.indices.tolist(), strict=True)) == [
        (0, 1),
        (1, 0),
        (2, 2),
    ]


@pytest.mark.parametrize("name", MACHINES)
def test_a_product_of_two_matrices(name: str, a: Path, b: Path, tmp_path: Path) -> None:
    result = chip(name, a, b, "--json", "-o", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found == json.loads((tmp_path / "out" / "chip.result.json").read_text(encoding="utf-8"))
    cost = load_hardware(name).product(SparseMatrix.of(A, "a.mtx"), SparseMatrix.of(B, "b.npz"))
    assert set(found) == documented_keys("chip.result.json of matrices")
    assert found["cycles"] == cost.cycles
    assert found["counts"] == cost.counts
    assert found["nonzeros"] == [A.nnz, B.nnz, (A @ B).nnz]
    assert (found["rows"], found["inner"], found["columns"]) == (20, 30, 25)
    assert f"{cost.cycles:,.12g} cycles" in chip(name, a, b).stdout


def test_one_matrix_times_its_transpose(a: Path) -> None:
    found = json.loads(chip("gamma", a, "--json").stdout)
    assert found["product"] == "a.mtx x a.mtx^T"
    assert found["nonzeros"][2] == (A @ A.T).nnz


BAD = {
    "complex.mtx": f"{BANNER} coordinate complex general\n1 1 1\n1 1 1 2\n",
    "nan.mtx": f"{BANNER} coordinate real general\n2 2 1\n1 1 nan\n",
    "cut.mtx": f"{BANNER} coordinate real general\n2 2 3\n1 1 1\n2 2 2\n",
    "outside.mtx": f"{BANNER} coordinate real general\n2 2 1\n3 1 1\n",
    "large.mtx": f"{BANNER} coordinate real general\n4000000000 2 1\n3 1 1\n",
    "many.mtx": f"{BANNER} coordinate real general\n2000 2000 1000000000\n3 1 1\n",
    "array.mtx": f"{BANNER} array real symmetric\n200000 200000\n1\n",
    "text.mtx": "a line\n",
    "empty.mtx": "",
    "none.mtx": f"{BANNER} coordinate real general\n2 2 0\n",
    "wide.mtx": f"{BANNER} coordinate real general\n2 3 1\n1 1 1\n",
    "text.npz": "a line\n",
}


@pytest.mark.parametrize("name", [*BAD, "missing.mtx"])
def test_bad_matrices_end_in_one_sentence(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name in BAD:
        path.write_text(BAD[name])
    result = chip("gamma", path, path)
    assert result.returncode == 2
    assert name in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_archives_that_hold_no_matrix(tmp_path: Path) -> None:
    parts = {"shape": (2, 2), "data": np.ones(1), "indptr": np.array([0, 1, 1])}
    np.savez(tmp_path / "index.npz", format=np.bytes_("csr"), indices=np.array([5]), **parts)
    np.savez(tmp_path / "part.npz", format=np.bytes_("csr"), **parts)
    np.savez(tmp_path / "two.npz", a=np.ones((2, 2)), b=np.ones((2, 2)))
    scipy.sparse.save_npz(tmp_path / "dia.npz", scipy.sparse.dia_array(np.eye(3)))
    for name in ("index", "part", "two", "dia"):
        result = chip("sigma", tmp_path / f"{name}.npz")
        assert result.returncode == 2
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        ("eie", "A"), ("tensor_core_2_4", "A"), ("eyeriss_v2", "A"), ("gamma", "A", "B", "B"),
        ("gamma", "B", "A", "--layer", "x"),
        ("gamma", "A", "alexnet_sparse"), ("gamma", "alexnet_sparse", "alexnet_sparse"), ("gamma",),
    ],
)  # fmt: skip
def test_what_does_not_go_together(words: tuple[str, ...], a: Path, b: Path) -> None:
    given = [{"A": a, "B": b}.get(word, word) for word in words]
    assert chip(*given).returncode == 2


@pytest.mark.parametrize("change", [
    {"format": np.array([b"csr", b"csr"])}, {"shape": np.array([])}, {"indices": np.array([0.5, 1.7])},
])  # fmt: skip
def test_spoiled_archives_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    parts = {"format": np.array(b"csr"), "data": np.ones(2), "indices": np.array([0, 1]),
             "indptr": np.array([0, 1, 2, 2]), "shape": np.array([3, 3])}  # fmt: skip
    np.savez(tmp_path / "good.npz", **parts)
    assert load_matrix(tmp_path / "good.npz").nnz == 2
    np.savez(tmp_path / "bad.npz", **(parts | change))
    with pytest.raises(FormatError, match=r"bad\.npz"):
        load_matrix(tmp_path / "bad.npz")


def test_a_matrix_is_not_changed() -> None:
    """Its duplicates and stored zeros in particular, which are left out of the copy."""
    indices, starts = np.array([2, 2, 0, 1]), np.array([0, 2, 3, 4])
    given = scipy.sparse.csr_array((np.array([1.0, 1.0, 0.0, 2.0]), indices, starts), shape=(3, 3))
    assert SparseMatrix.of(given).nonzeros == 2
    assert given.data.tolist() == [1.0, 1.0, 0.0, 2.0]
    assert given.indices.tolist() == [2, 2, 0, 1]
    assert given.indptr.tolist() == [0, 2, 3, 4]
