"""Kernels with bounds checked, and kernels that are not compiled, give the numbers of ordinary ones.

Run as a script, this file prints the numbers.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import config
from support.examples import fixed, matmul, sliding_window, uniform
from support.robust import MODES, ROOT, digest, lines_of, print_from

from sparsim.errors import SparsimError
from sparsim.files.timeloop_files import read_documents
from sparsim.model.evaluate import evaluate, evaluate_batch
from sparsim.model.frozen import Frozen, FrozenResult
from sparsim.model.result import Evaluation
from sparsim.records import Accelerator, Density, Layer, Mapping, Option, Saf, SparsePolicy
from validation.case_folders import find_cases
from validation.random_cases import draw_case

DRAWN = 60
# the operations that are left have no nonzero of A: B's density among them is infinite, which is refused
ALL_SKIPPED = SparsePolicy(
    safs=(Saf(level="spad", type="skipping", options=(Option(target="A", condition_on=("A",)),)),)
)


def told(name: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """Every number of the result in one line, or the error."""
    try:
        result = function(*arguments, **options)
    except SparsimError as error:
        return f"{name}: {error}"
    exact = [field.tolist() if isinstance(field, np.ndarray) else field for field in result]
    return f"{name}: pJ, cycles {exact[:2]}, everything {digest(repr(exact).encode())}"


def one(*arguments: Any, **options: Any) -> tuple[float, int, Evaluation]:
    result = evaluate(*arguments, **options)
    return result.energy_pj, result.cycles, result


def one_of_files(documents: list[Path]) -> tuple[float, int, Evaluation]:
    found = read_documents(documents)
    return one(found.accelerator, found.layer(), found.mapping)


def two_frozen(accelerator: Accelerator, layer: Layer, mapping: Mapping) -> FrozenResult:
    densities = np.array([layer.density(d.name).density for d in layer.shape.dataspaces])
    network = Frozen(accelerator, [layer] * 2, [mapping] * 2)
    return network([densities, densities / 2])


def answers() -> list[str]:
    """References, examples with every model of density, and drawn cases in each of the three ways."""
    cases = find_cases(ROOT / "validation" / "references", "timeloop-3")
    lines = [told(case.name, one_of_files, case.documents) for case in cases]
    draw = np.random.default_rng(3)
    masks = {"A": draw.random((8, 8)) < 0.4, "B": draw.random((8, 4)) < 0.7}
    actual: dict[str, Any] = dict.fromkeys(masks, Density(distribution="actual"))
    wide = Density(distribution="banded", band_width=1)
    lines += [
        told("window", one, *sliding_window().given),
        told("window of 2022", one, *sliding_window().given, accounting="timeloop-2022"),
        told("uniform", one, *matmul(A=uniform(0.3), B=uniform(0.9)).given),
        told("nothing left", one, *matmul(ALL_SKIPPED, A=fixed(0.0)).given),
        told("banded", one, *matmul(A=wide, B=uniform(0.5)).given),
        told("actual", one, *matmul(**actual).given, masks=masks),
    ]
    for seed in range(DRAWN):
        case = draw_case(random.Random(seed))[1:]
        lines += [
            told(f"one {seed}", one, *case),
            told(f"many {seed}", evaluate_batch, *case[:2], [case[2]] * 2),
            told(f"frozen {seed}", two_frozen, *case),
        ]
    return lines


# tables of the reference and drawn ones have gaps
pytestmark = pytest.mark.filterwarnings("ignore::sparsim.errors.EnergyWarning")


@pytest.fixture(scope="module")
def ordinary() -> list[str]:
    return answers()


@pytest.mark.skipif(bool(config.DISABLE_JIT or config.BOUNDSCHECK), reason="needs ordinary kernels")
@pytest.mark.parametrize("mode", MODES)
def test_kernels_give_the_same_numbers(mode: str, ordinary: list[str], pytestconfig: pytest.Config) -> None:
    kind, *found = lines_of(__file__, mode, pytestconfig.cache)
    assert kind == ("not compiled" if mode == "not compiled" else "compiled")
    assert found == ordinary


@pytest.mark.parametrize("way", ["random/", "written/", "one ", "many ", "frozen "])
def test_most_cases_have_numbers(way: str, ordinary: list[str]) -> None:
    """Few enough are refused, so that the comparison is one of numbers."""
    lines = [line for line in ordinary if line.startswith(way)]
    assert sum(": pJ, cycles [" in line for line in lines) > 0.6 * len(lines) > 10


if __name__ == "__main__":
    print_from(answers)
