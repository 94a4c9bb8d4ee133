"""A small share of `python -m tests.fuzz`: whatever is read ends in a result or in one sentence."""

from __future__ import annotations

import random
import warnings

import pytest

from tests.fuzz.judge import run
from tests.fuzz.kinds import KINDS
from tests.fuzz.mutations import VALUES, mutated, spoiled
from tests.fuzz.tries import one_try

TRIES, PARTS = 200, 4


@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_goes_wrong(part, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # only what reaches stderr counts
        for number in range(part, TRIES, PARTS):
            found = one_try(7, number, tmp_path)
            assert not found.outcome.fault, (number, found)


def test_tries_repeat(tmp_path):
    first, second = (one_try(7, 3, tmp_path / name) for name in ("a", "b"))
    assert first.kind == second.kind
    assert first.outcome.code == second.outcome.code


def test_documents_change():
    document = {"a": [1, {"b": "c"}], "d": None}
    for seed in range(50):
        rng = random.Random(seed)
        mutated(document, rng)
        spoiled(b"a: 1\nb: 2\n", rng)
    assert document == {"a": [1, {"b": "c"}], "d": None}
    assert len(KINDS) == len({kind for kind, _ in KINDS})
    assert any(value != value for value in VALUES)


def _fails():
    raise ValueError("x")


def _prints_nonsense():
    print("energy nan uJ")


def _says_nothing():
    raise SystemExit(2)


@pytest.mark.parametrize(
    ("main", "word"), [(_fails, "ValueError"), (_prints_nonsense, "nan"), (_says_nothing, "0 error lines")]
)
def test_the_judge_sees_faults(main, word, tmp_path):
    assert word in run(main, "sparsim", tmp_path).fault


def test_the_judge_sees_nonsense_in_files(tmp_path):
    for number, text in enumerate(('{"energy_pj": -1.0}', '{"cycles": 9223372036854775808}', '{"a": [NaN]}')):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "result.json").write_text(text)
        assert "result.json" in run(lambda: None, "sparsim", folder).fault
