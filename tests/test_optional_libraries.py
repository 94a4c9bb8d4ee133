"""Libraries that only a part of the package needs: where one is missing, a sentence says how to get it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BASE = {"torch", "matplotlib", "pyarrow", "tensorboard", "h5py", "trimesh", "pypcd4"}


def without(libraries: set[str], code: str, *args: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter runs `code` as if `libraries` were not installed."""
    hidden = f"import sys\nsys.modules.update(dict.fromkeys({sorted(libraries)}))\n"
    command = [sys.executable, "-c", hidden + code, *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("library", "program", "extra"),
    [
        ("torch", ["pointnet", "eval", "run"], "train"),
        ("matplotlib", ["pointnet", "study"], "study"),
        ("pyarrow", ["pointnet", "study"], "study"),
        ("matplotlib", ["pointnet", "compare", "-o", "build/none"], "study"),
        ("onnx", ["sparsim", "trace", "network.onnx"], "onnx"),
        ("scipy.io", ["sparsim", "chip", "gamma", "matrix.mtx"], "matrices"),
    ],
)
def test_a_command_ends_with_one_sentence(library: str, program: list[str], extra: str) -> None:
    code = "import runpy; sys.argv[0] = 'x'; runpy.run_module(sys.argv.pop(1), run_name='__main__')"
    result = without({library}, code, *program)
    assert result.returncode == 2
    (sentence,) = result.stderr.splitlines()
    assert f"needs {library}, which is not installed (pip install 'sparsim[{extra}]')" in sentence


def test_gmp_without_torch_is_an_import_error_that_says_what_to_install() -> None:
    code = """
from sparsim.errors import MissingLibraryError, SparsimError
try:
    import gmp
except ImportError as error:
    assert isinstance(error, MissingLibraryError) and isinstance(error, SparsimError)
    print(error)
"""
    result = without({"torch"}, code)
    assert result.stdout == "gmp needs torch, which is not installed (pip install 'sparsim[train]')\n"


def test_a_chip_is_planned_without_figures(tmp_path: Path) -> None:
    code = "from sparsim.cli.main import main; sys.argv[0] = 'sparsim'; main()"
    args = ("chip", "eyeriss_v1", "alexnet_sparse", "--layer", "fc8", "-o", str(tmp_path / "out"))
    result = without(BASE, code, *args)
    assert result.returncode == 0, result.stderr
    assert "no figures: drawing figures needs matplotlib" in result.stdout
    assert "pip install 'sparsim[plot]'" in result.stdout
    assert not list((tmp_path / "out").glob("*.png"))


def test_callbacks_without_their_trainers() -> None:
    code = """
import gmp.integrations
for name in gmp.integrations.__all__:
    try:
        getattr(gmp.integrations, name)
    except ImportError as error:
        print(error)
"""
    result = without({"lightning", "transformers"}, code)
    assert result.stdout.splitlines() == [
        f"pruning in its trainer needs {library}, which is not installed (pip install 'sparsim[trainers]')"
        for library in ("lightning", "transformers")
    ]
