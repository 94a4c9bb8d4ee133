"""How kernels are compiled: what is said about it, and what is compiled how often."""

from __future__ import annotations

import gc
import sys
from typing import Any

import numpy as np
import pytest
from numba import config, njit
from numba.core.errors import NumbaError

from sparsim.model.arrays import DensityPack
from sparsim.model.kernels import pipeline
from sparsim.model.kernels.jit import kernel

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
entry: Any = njit(pipeline_class=pipeline.EntryCompiler)  # not kept on disk


@pytest.fixture(autouse=True)
def nothing_said() -> None:
    pipeline._announce.cache_clear()


def test_compiling_is_announced_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Although stderr is no terminal here."""
    for i in range(2):
        assert entry(lambda x: x + 1)(i) == i + 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "compiling kernels" in said.err
    assert not said.out


def test_no_stderr_stops_no_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert entry(lambda x: x + 1)(1) == 2


def test_kernels_of_kernels_become_part_of_their_entry() -> None:
    """However they call each other, and once for all constants."""
    inner = kernel(lambda x, y: x + y)
    outer = kernel(lambda x: inner(x, 2) * inner(x, 3))
    assert entry(lambda x: outer(x) + inner(x, 1))(1) == 14
    assert len(inner.signatures) == len(outer.signatures) == 1


def test_packs_reach_kernels_as_their_own_memory() -> None:
    """Read and written in place, and held by nobody afterwards."""
    pack = DensityPack(np.array([3, 4, 5]), np.zeros(3))
    held = sys.getrefcount(pack.density)

    def write(pack: Any, i: int) -> int:
        pack.density[i] = pack.kind[i]
        return pack.kind.shape[0]

    inner = kernel(write)
    lengths = list(map(entry(lambda pack, i: inner(pack, i)), [pack] * 2, [1, 2]))
    still_held = sys.getrefcount(pack.density)
    assert lengths == [3, 3]
    assert pack.density.tolist() == [0, 4, 5]
    assert still_held == held
    assert gc.isenabled()


def test_packs_of_strided_arrays_are_refused() -> None:
    with pytest.raises(NumbaError):
        entry(lambda pack: pack.kind[0])(DensityPack(np.arange(6)[::2], np.zeros(3)))


@pytest.mark.parametrize("i", [-1, 3])
def test_indices_of_plain_arrays_are_checked_on_demand(i: int) -> None:
    checked: Any = njit(pipeline_class=pipeline.EntryCompiler, boundscheck=True)(lambda pack, i: pack.kind[i])
    with pytest.raises(IndexError):
        checked(DensityPack(np.arange(3), np.zeros(3)), i)
