"""What an import costs, what it offers, and who may import whom."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import sparsim

ROOT = Path(__file__).parent.parent
CODE = ("sparsim", "gmp", "pointnet", "validation", "benchmarks")
SHARED_NAMES = ("__init__", "__main__", "errors")


def loaded_after_each(*statements: str) -> list[set[str]]:
    """Top-level modules that one fresh interpreter holds after each of the statements, in this order."""
    code = "import sys\n" + "".join(f"{statement}\nprint(*sys.modules)\n" for statement in statements)
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [{name.partition(".")[0] for name in line.split()} for line in result.stdout.splitlines()]


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after `statement`."""
    (loaded,) = loaded_after_each(statement)
    return loaded


def test_import_of_sparsim_is_light() -> None:
    assert not loaded_by("import sparsim") & {"torch", "matplotlib", "numba", "numpy", "yaml", "msgspec"}


def test_records_and_documents_load_no_compiler() -> None:
    loaded = loaded_by("import sparsim; sparsim.Architecture; sparsim.load_preset('eyeriss_like_onchip')")
    assert not loaded & {"torch", "matplotlib", "numba"}


def test_no_module_of_sparsim_loads_torch_or_plots() -> None:
    modules = [
        "sparsim.model.evaluate",
        "sparsim.cli.main",
        "sparsim.mapper.network_search",
        "sparsim.files.timeloop",
        "sparsim.machines.eyeriss.noc",
        "sparsim.machines.eyeriss",
        "sparsim.report.chip_rows",
    ]
    loaded = loaded_after_each(*(f"import {module}" for module in modules))
    for module, names in zip(modules, loaded, strict=True):
        assert not names & {"torch", "matplotlib", "pointnet", "gmp", "validation"}, module


def test_pruning_loads_no_compiler_and_watching_energy_no_plots() -> None:
    pruning, watching = loaded_after_each("import gmp", "import gmp.energy")
    assert not pruning & {"numba", "matplotlib", "pointnet", "msgspec"}
    assert not watching & {"matplotlib", "pointnet"}


def test_public_names_are_sorted_and_exist() -> None:
    assert sparsim.__all__ == sorted(sparsim.__all__)
    for name in sparsim.__all__:
        assert getattr(sparsim, name).__name__ == name
    assert set(sparsim.__all__) <= set(dir(sparsim))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="evalute"):
        _ = sparsim.evalute  # type: ignore[attr-defined]


def test_evaluate_is_the_function_also_after_its_module_was_imported() -> None:
    code = "from sparsim.model.frozen import Frozen\nfrom sparsim import evaluate\nassert callable(evaluate)"
    assert "sparsim" in loaded_by(code)


def test_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_a_file_name_has_one_meaning() -> None:
    files = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    files.remove(ROOT / "benchmarks" / "evaluate.py")  # is called by what it measures
    names = Counter(path.stem for path in files if path.stem not in SHARED_NAMES)
    assert [name for name, count in names.items() if count > 1] == []


def test_benchmarks_import_no_validation_and_no_tests() -> None:
    for path in (ROOT / "benchmarks").glob("*.py"):
        imported = re.findall(r"^(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert not {"validation", "tests", "support"} & set(imported), path
