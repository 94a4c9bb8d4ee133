"""How kernels are compiled: what is said about it, and what is compiled how often."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from numba import config, njit

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
