"""The compiled entry on disk: what is loaded, what is compiled again, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import config
from support.examples import matmul, uniform

from sparsim.errors import CacheWarning
from sparsim.model import arrays as packs
from sparsim.model import machine_code
from sparsim.model.evaluate import evaluate
from sparsim.model.kernel_calls import run_batch
from sparsim.model.kernels import compile_run
from sparsim.model.lower import lower_arch, lower_density, lower_layer, lower_mapping, lower_policy
from sparsim.model.workspace import make_nest, make_scratch, most_children

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the entry is kept; nothing is loaded yet, and compiling takes no time."""
    evaluate(*matmul().given)
    kept = machine_code._kept()
    assert kept is not None
    monkeypatch.setattr(compile_run, "compile_run", lambda packs: kept)
    monkeypatch.setattr(machine_code, "_code", None)
    monkeypatch.setenv(machine_code.CACHE_VARIABLE, str(tmp_path / "new"))
    return tmp_path / "new" / machine_code._NAME


def test_the_entry_is_kept_and_found(file: Path) -> None:
    assert machine_code._kept() is None
    first = evaluate(*matmul().given)
    assert machine_code._kept() is not None
    machine_code._code = None
    assert evaluate(*matmul().given) == first


@pytest.mark.parametrize("place", [0, -1])
def test_a_damaged_file_is_replaced_with_a_warning(file: Path, place: int) -> None:
    evaluate(*matmul().given)
    key, _, content = file.read_bytes().partition(b"\n")
    spoiled = bytearray(content)
    spoiled[place] ^= 1
    file.write_bytes(key + b"\n" + spoiled)
    machine_code._code = None
    with pytest.warns(CacheWarning):
        evaluate(*matmul().given)
    assert file.read_bytes() == key + b"\n" + content


def test_code_of_other_sources_is_replaced_without_a_word(file: Path) -> None:
    evaluate(*matmul().given)
    good = file.read_bytes()
    file.write_bytes(b"0" + good[1:] if good[:1] != b"0" else b"1" + good[1:])
    machine_code._code = None
    with warnings.catch_warnings():
        warnings.simplefilter("error", CacheWarning)
        evaluate(*matmul().given)
    assert file.read_bytes() == good


def test_a_folder_that_cannot_be_used_costs_a_warning(file: Path) -> None:
    file.parent.write_bytes(b"")
    with pytest.warns(CacheWarning):
        assert evaluate(*matmul().given).cycles > 0


@pytest.mark.parametrize(
    "out", [np.empty((1, 3), np.float32), np.empty((3, 2)).T[:1], np.empty(3), np.empty((1, 3), ">f8")]
)
def test_arrays_that_kernels_do_not_know_are_refused(out: Any) -> None:
    accelerator, layer, mapping = matmul(A=uniform(0.3)).given
    arch, lowered = lower_arch(accelerator), lower_layer(layer)
    density, policy = lower_density(layer), lower_policy(accelerator, layer.shape)
    rows = lower_mapping(accelerator, layer.shape, mapping)
    nest = make_nest(arch, lowered, policy, most_children(arch, lowered, rows))
    scratch = make_scratch(arch, lowered, density, policy, nest)
    good = np.empty((1, 3))
    run_batch(arch, lowered, density, policy, rows, (0, 1), packs.ELIDE_FIRST_FILL, True, scratch, good)
    assert good[0, packs.STATUS] == packs.OK
    with pytest.raises(TypeError, match="RunPack"):
        run_batch(arch, lowered, density, policy, rows, (0, 1), packs.ELIDE_FIRST_FILL, True, scratch, out)


def test_a_kept_entry_runs_without_the_compiler() -> None:
    evaluate(*matmul().given)
    code = (
        "import sys; from support.examples import matmul; from sparsim import evaluate\n"
        "evaluate(*matmul().given); assert 'numba' not in sys.modules"
    )
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root / "tests")}
    subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, check=True)
