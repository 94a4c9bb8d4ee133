"""Compiled kernels on disk: whatever becomes of the files, the numbers are right and nothing ends."""

from __future__ import annotations

import importlib.util
import itertools
import os
import resource
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numba import config, njit
from numba.core import caching

from sparsim.errors import CacheWarning
from sparsim.model import kernel_cache
from sparsim.model.kernels.driver import run_on_objects
from sparsim.model.kernels.pipeline import PartCompiler

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
SOURCE = """
from sparsim.model.kernels.jit import compiled

@compiled
def scaled(x):
    return {factor} * x
"""
numbers = itertools.count()


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings were not given yet, and kernels lie beside their sources."""
    monkeypatch.setattr(kernel_cache, "_said", set())
    monkeypatch.setattr(config, "CACHE_DIR", "")
    monkeypatch.setattr(config, "CACHE_LOCATOR_CLASSES", "")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # bytecode is kept by the size and the second of its source, which the versions here have in common
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    path = tmp_path / "package" / "doubling.py"
    path.parent.mkdir()
    path.write_text(SOURCE.format(factor=2), encoding="utf-8")
    return path


def load(source: Path) -> Any:
    """The kernel as a new process finds it."""
    spec = importlib.util.spec_from_file_location(f"doubling_{next(numbers)}", source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.scaled


def run(source: Path, expected: float = 42.0) -> bool:
    """Call the kernel; whether its code was found on disk."""
    kernel = load(source)
    assert kernel(21.0) == expected
    return sum(kernel.stats.cache_hits.values()) == 1


def files_of(source: Path, kind: str) -> list[Path]:
    return sorted((source.parent / "__pycache__").glob(f"*.{kind}"))


def file_of(source: Path, kind: str) -> Path:
    (path,) = files_of(source, kind)
    return path


def flipped(place: float, bit: int) -> Callable[[bytes], bytes]:
    def flip(data: bytes) -> bytes:
        at = int(place * (len(data) - 1))
        return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]

    return flip


SPOILS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "one byte": lambda data: data[:1],
    "cut off": lambda data: data[: len(data) // 2],
    "one byte short": lambda data: data[:-1],
    "one byte more": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
    "zeros at the end": lambda data: data[:-100] + bytes(100),
    "text": lambda data: b"<html>" * 100,
    "no line end": lambda data: data.replace(b"\n", b"", 1),
    **{
        f"bit {bit} at {at}": flipped(at, bit)
        for at in (0.0, 0.005, 0.01, 0.02, 0.2, 0.5, 0.9, 1.0)
        for bit in (0, 6)
    },
}


def test_a_kernel_is_compiled_once(source: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not run(source)
        assert run(source)
    source.write_text(SOURCE.format(factor=3), encoding="utf-8")
    assert not run(source, 63.0)


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
@pytest.mark.parametrize("spoil", SPOILS)
def test_a_damaged_file_is_made_again_with_a_warning(source: Path, kind: str, spoil: str) -> None:
    run(source)
    path = file_of(source, kind)
    data = path.read_bytes()
    assert SPOILS[spoil](data) != data
    path.write_bytes(SPOILS[spoil](data))
    with pytest.warns(CacheWarning) as seen:
        assert not run(source)
    assert len(seen) == 1
    assert str(path.parent) in str(seen[0].message)
    assert run(source)


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_what_is_no_file_costs_warnings(source: Path, kind: str) -> None:
    run(source)
    path = file_of(source, kind)
    path.unlink()
    path.mkdir()
    with pytest.warns(CacheWarning) as seen:
        assert not run(source)
    assert any(str(path.parent) in str(warning.message) for warning in seen)


def test_a_file_that_is_gone_is_made_again(source: Path) -> None:
    for kind in ("nbi", "nbc"):
        run(source)
        file_of(source, kind).unlink()
        assert not run(source)
        assert run(source)


def test_code_of_another_kernel_is_not_taken(source: Path) -> None:
    """Whole, but under a wrong name."""
    other = source.with_name("trebling.py")
    other.write_text(SOURCE.format(factor=3), encoding="utf-8")
    run(source)
    run(other, 63.0)
    first, second = files_of(source, "nbc")
    shutil.copyfile(second, first)
    with pytest.warns(CacheWarning, match="damaged"):
        assert not run(source)


def test_code_of_older_sources_is_not_taken(source: Path) -> None:
    """A power cut may leave the new index beside the old code."""
    run(source)
    old = file_of(source, "nbc").read_bytes()
    source.write_text(SOURCE.format(factor=3), encoding="utf-8")
    run(source, 63.0)
    file_of(source, "nbc").write_bytes(old)
    with pytest.warns(CacheWarning, match="damaged"):
        assert not run(source, 63.0)


def test_numba_alone_and_checked_files_replace_each_other_without_a_word(source: Path) -> None:
    """Versions that had no checksums may run in the same place."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(2):
            assert not run(source)
            assert run(source)
            alone = njit(cache=True)(load(source).py_func)
            assert alone(21.0) == 42.0
            assert not alone.stats.cache_hits


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the folder of the sources nor a home can be written, whoever runs this."""
    (tmp_path / "package").mkdir(exist_ok=True)
    (tmp_path / "package" / "__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)


@pytest.mark.usefixtures("homeless")
def test_without_a_folder_kernels_are_compiled_in_memory(tmp_path: Path) -> None:
    source = tmp_path / "package" / "doubling.py"
    source.write_text(SOURCE.format(factor=2), encoding="utf-8")
    for _ in range(2):
        kernel_cache._said.clear()
        kernels = load(source), load(source)
        with pytest.warns(CacheWarning, match="no folder for compiled kernels") as seen:
            assert [kernel(21.0) for kernel in kernels] == [42.0, 42.0]
        assert len(seen) == 1


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_gets_no_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "package" / "doubling.py"
    source.write_text(SOURCE.format(factor=2), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.warns(CacheWarning, match="no folder for compiled kernels"):
        assert not run(source)
    assert not (tmp_path / "~").exists()


def test_a_chosen_folder_that_cannot_be_used(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chosen").write_text("")
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "chosen"))
    with pytest.warns(CacheWarning, match="NUMBA_CACHE_DIR") as seen:
        assert not run(source)
    assert len(seen) == 1
    assert files_of(source, "nbc")


def test_a_chosen_folder_is_made(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "to" / "be" / "made"))
    assert not run(source)
    assert run(source)
    assert not files_of(source, "nbc")


def test_a_disk_that_gets_full(source: Path) -> None:
    """Files cannot grow beyond some bytes: what was begun does not stay."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    kernel = load(source)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.warns(CacheWarning, match="cannot be kept") as seen:
            assert kernel(21.0) == 42.0
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(seen) == 1
    left = {path.name for path in (source.parent / "__pycache__").iterdir()}
    assert not {name for name in left if name.endswith((".nbc", ".part"))}
    assert not run(source)
    assert run(source)


def test_every_kernel_is_kept_in_the_checked_way() -> None:
    """Kernels of all packages; those that only kernels call have no machine code of their own."""
    root = Path(kernel_cache.__file__).parents[2]
    paths = [*root.glob("sparsim/**/kernels/*.py"), *root.glob("pointnet/ops/*_kernels.py")]
    modules = [".".join(path.relative_to(root).with_suffix("").parts) for path in sorted(paths)]
    found = [
        value
        for name in modules
        for value in vars(importlib.import_module(name)).values()
        if isinstance(getattr(value, "_cache", None), caching._Cache)
    ]
    parts = {value for value in found if value._compiler.pipeline_class is PartCompiler}
    assert len(parts) > 100
    assert {type(value._cache) for value in parts} == {caching.NullCache}
    entries = {value for value in found if value not in parts} - {run_on_objects}  # see test_machine_code.py
    assert {type(value._cache) for value in entries} == {kernel_cache.KernelCache}
