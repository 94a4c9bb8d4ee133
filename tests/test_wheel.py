"""The wheel holds our packages with their data, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DATA = [
    "gmp/py.typed",
    "pointnet/py.typed",
    "sparsim/py.typed",
    "pointnet/recipes/study.yaml",
    "pointnet/original/layers.csv",
    "pointnet/original/mappings.csv",
    "pointnet/original/mapspace.yaml",
    "pointnet/original/published.csv",
    "sparsim/__init__.pyi",
    "sparsim/estimate/data/aladdin.csv",
    "sparsim/estimate/data/cacti7_held_back.csv",
    "sparsim/estimate/data/cacti7_sram.csv",
    "sparsim/estimate/data/constants.csv",
    "sparsim/estimate/data/dram.csv",
    "sparsim/estimate/data/scaling_area.csv",
    "sparsim/estimate/data/scaling_energy.csv",
    "sparsim/files/presets/eyeriss_like_gating.yaml",
    "sparsim/files/presets/eyeriss_like_onchip.yaml",
    "sparsim/files/presets/eyeriss_v1.yaml",
    "sparsim/files/presets/eyeriss_v1_168.yaml",
    "sparsim/files/presets/eyeriss_v1_5.yaml",
    "sparsim/files/presets/eyeriss_v2.yaml",
    "sparsim/files/presets/mappings/eyeriss_v1_alexnet.yaml",
    "sparsim/files/presets/workloads/alexnet.yaml",
    "sparsim/files/presets/workloads/mobilenet_v1_050_128_sparse.yaml",
]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel built from a copy of the tracked sources."""
    pytest.importorskip("setuptools", reason="a wheel is built with setuptools, which is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout: cannot tell sources from other files")
    for name in filter(None, listing.stdout.splitlines()):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps"]
    result = subprocess.run([*pip, "-w", folder, source], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = folder.glob("sparsim-*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_top_level_is_our_packages_only(wheel_names: set[str]) -> None:
    top = {name.partition("/")[0] for name in wheel_names if ".dist-info/" not in name}
    assert top == {"sparsim", "pointnet", "gmp"}


def test_every_module_and_table_is_inside(wheel_names: set[str]) -> None:
    packages = [ROOT / name for name in ("sparsim", "pointnet", "gmp")]
    modules = {str(path.relative_to(ROOT)) for package in packages for path in package.rglob("*.py")}
    assert {*modules, *DATA} <= wheel_names


def test_license_is_inside(wheel_names: set[str]) -> None:
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel_names)
