"""`sparsim model --batch`: many cases in one process, each as if it were alone."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from support.programs import run_module

from sparsim.cli.case_lists import ListedCase, listed_cases
from sparsim.cli.input_files import Reading
from sparsim.cli.model_command import evaluate_files
from sparsim.errors import SpecError
from sparsim.files import documents as records_of_files
from sparsim.files import timeloop_files
from sparsim.files.timeloop import document_node

ROOT = Path(__file__).parents[3]
CASES = ROOT / "validation" / "references" / "random"
NAMES = ("gemm-sep-11-046", "conv-11-011")


def documents(name: str) -> list[str]:
    return [str(path) for path in sorted((CASES / name).glob("*.yaml"))]


def table(out: Path) -> dict[str, dict[str, str]]:
    with open(out / "batch.csv", newline="", encoding="utf-8") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def test_a_batch_writes_what_each_case_writes_alone(tmp_path: Path) -> None:
    listed = tmp_path / "cases.txt"
    lines = [f"{name}: {' '.join(documents(name))}  # a case" for name in NAMES]
    listed.write_text("\n\n".join([*lines, f"missing: '{tmp_path}/no file.yaml'"]), encoding="utf-8")
    batch = run_module("sparsim", "model", "--batch", str(listed), "-o", str(tmp_path / "out"), "--json")
    assert batch.returncode == 1
    assert "no file.yaml" in batch.stderr
    for name in NAMES:
        alone = run_module("sparsim", "model", *documents(name), "-o", str(tmp_path / name))
        assert alone.returncode == 0
        for file in ("sparsim.stats.txt", "sparsim.result.json"):
            assert (tmp_path / "out" / name / file).read_text() == (tmp_path / name / file).read_text()
    rows = table(tmp_path / "out")
    assert rows["gemm-sep-11-046"]["cycles"] == "8192"
    assert "no file.yaml" in rows["missing"]["error"]
    assert [row["case"] for row in json.loads(batch.stdout)] == [*NAMES, "missing"]


def test_a_folder_holds_a_case_in_each_folder(tmp_path: Path) -> None:
    for name in NAMES:
        shutil.copytree(CASES / name, tmp_path / "suite" / "deep" / name)
    assert [case.name for case in listed_cases(tmp_path / "suite")] == [f"deep/{n}" for n in sorted(NAMES)]
    (tmp_path / "list").write_text(f"suite/deep/{NAMES[0]}\n", encoding="utf-8")
    (found,) = listed_cases(tmp_path / "list")
    assert found == ListedCase(NAMES[0], tuple(f"{tmp_path}/suite/deep/{NAMES[0]}/{Path(path).name}"
                                               for path in documents(NAMES[0])))  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# none\n",
        "a: x.yaml\na: y.yaml",
        "x.yaml y.yaml",
        "a:",
        "../a: x.yaml",
        "a: 'x.yaml",
        "..: x.yaml",
        "batch.csv: x.yaml",
        "a\0b: x.yaml",
        f"{'a' * 256}: x.yaml",
    ],
)
def test_a_wrong_list_is_refused_before_anything_is_evaluated(tmp_path: Path, text: str) -> None:
    (tmp_path / "list").write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as caught:
        listed_cases(tmp_path / "list")
    assert str(tmp_path / "list") in caught.value.path


@pytest.mark.parametrize("words", [[], ["a.yaml", "--batch", str(CASES)]])
def test_files_or_a_list_are_needed_and_not_both(words: list[str]) -> None:
    assert run_module("sparsim", "model", *words).returncode == 2


CHANGES = {
    "arch.yaml": ("read_bandwidth: 16", "read_bandwidth: 1"),
    "ert.yaml": ("energy: 168.1282", "energy: 200"),
    "mapping.yaml": ("permutation: NKM", "permutation: MNK"),
    "problem.yaml": ("A: 0.1", "A: 0.3"),
    "sparse.yaml": ("type: gating", "type: skipping"),
}


def changed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    old, new = CHANGES[path.name]
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def result(files: list[str]) -> str:
    evaluation = evaluate_files(tuple(files), None, (), None, Reading())[2]
    return json.dumps(evaluation.to_dict())


def result_alone(files: list[str]) -> str:
    for cached in (timeloop_files._kept_yaml, document_node._read, records_of_files._accelerator):
        cached.cache_clear()
    return result(files)


@pytest.mark.filterwarnings("ignore::sparsim.errors.EnergyWarning")
def test_cases_that_share_all_documents_but_one_have_their_own_numbers(tmp_path: Path) -> None:
    shared = {Path(path).name: path for path in documents(NAMES[0])}
    cases = [[*shared.values()]]
    for name in CHANGES:
        shutil.copy(shared[name], tmp_path / name)
        changed(tmp_path / name)
        cases.append([*(shared | {name: str(tmp_path / name)}).values()])
    alone = [result_alone(case) for case in cases]
    assert len(set(alone)) == len(cases)
    assert [result(case) for case in cases] == alone
    assert [result(case) for case in reversed(cases)] == alone[::-1]


@pytest.mark.filterwarnings("ignore::sparsim.errors.EnergyWarning")
@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_file_is_read_again(tmp_path: Path, name: str) -> None:
    for path in documents(NAMES[0]):
        shutil.copy(path, tmp_path)
    files = [str(path) for path in sorted(tmp_path.iterdir())]
    before = result(files)
    changed(tmp_path / name)
    after = result(files)
    assert after != before
    assert after == result_alone(files)
