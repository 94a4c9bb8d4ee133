"""`sparsim convert`: what documents say in one form they say in another, by the model's results."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace
from support.documents import write_documents
from support.mapper_documents import SEARCH
from support.named import naming

from sparsim import evaluate, search
from sparsim.cli.main import cli
from sparsim.files.sparsim_yaml import load_documents
from sparsim.files.timeloop_files import read_documents
from sparsim.mapper.covered_parts import list_parts, total_sizes

pytestmark = pytest.mark.filterwarnings("ignore::sparsim.EnergyWarning")  # tables are recorded, gaps and all
ROOT = Path(__file__).parents[3]
RANDOM = ROOT / "validation" / "references" / "random"
VERSION_4 = ROOT / "validation" / "version4_examples"
CASES = [
    "conv-11-011",
    "gemm-cluster-11-000",
    "conv-cluster-sep-11-001",
    "gemm-dense-11-003",
    "gemm-sep-11-006",
]


def convert(*arguments: object) -> None:
    result = CliRunner().invoke(cli, ["convert", *map(str, arguments)])
    if result.exception is not None:
        raise result.exception
    assert result.exit_code == 0, result.output


def numbers(documents, accounting: str, names: set[str] | None = None):
    """Energy, cycles, and what happens at the levels of these names."""
    documents = documents.accounted(accounting)
    found = evaluate(
        documents.accelerator, documents.layer(), documents.mapping, accounting=documents.accounting
    )
    levels = [(level.name, level.energy_pj, level.tensors) for level in found.storage]
    return found.energy_pj, found.cycles, [level for level in levels if names is None or level[0] in names]


def inputs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.yaml") if path.stem not in ("v3", "energy-v3"))


@pytest.mark.parametrize("case", CASES)
def test_from_version_03(tmp_path, case):
    documents = read_documents(inputs(RANDOM / case))
    expected = numbers(documents, "timeloop-3")
    names = {level[0] for level in expected[2]}
    for form in ("native", "0.3", "0.4"):
        convert(*inputs(RANDOM / case), "--to", form, "-o", tmp_path / form)
    assert numbers(load_documents([tmp_path / "native" / "sparsim.yaml"]), "timeloop-3") == expected
    assert numbers(read_documents(inputs(tmp_path / "0.3")), "timeloop-3") == expected
    again = read_documents(inputs(tmp_path / "0.4"))
    assert again.accounting == "timeloop-4"
    assert numbers(again, "timeloop-3", names) == expected


@pytest.mark.parametrize("number", ["01", "03", "04", "10"])
def test_from_version_04(tmp_path, number):
    documents = read_documents(inputs(VERSION_4 / number))
    expected = numbers(documents, "timeloop-4")
    for form in ("native", "0.3", "0.4"):
        convert(*inputs(VERSION_4 / number), "--to", form, "-o", tmp_path / form)
    assert numbers(load_documents([tmp_path / "native" / "sparsim.yaml"]), "timeloop-4") == expected
    assert numbers(read_documents(inputs(tmp_path / "0.3")), "timeloop-4") == expected
    assert numbers(read_documents(inputs(tmp_path / "0.4")), "timeloop-4") == expected


def test_from_documents_of_ours(tmp_path):
    convert(*inputs(RANDOM / CASES[0]), "--to", "native", "-o", tmp_path)
    convert(tmp_path / "sparsim.yaml", "--to", "0.3", "-o", tmp_path / "back")
    expected = numbers(read_documents(inputs(RANDOM / CASES[0])), "timeloop-3")
    assert numbers(read_documents(inputs(tmp_path / "back")), "timeloop-3") == expected


@pytest.mark.parametrize("form", ["0.3", "native"])
def test_constraints_of_a_search(tmp_path, form):
    files = write_documents(tmp_path, SEARCH)
    documents = read_documents(files, for_search=True)
    convert(*files, "--to", form, "-o", tmp_path / "out")
    written = sorted((tmp_path / "out").iterdir())
    again = read_documents(written, for_search=True) if form == "0.3" else load_documents(written)
    assert again.mapspace == documents.mapspace
    assert form == "native" or again.mapper == documents.mapper


def searched(documents):
    """The number of mappings, and the best ones."""
    accelerator = replace(documents.accelerator, mapspace=documents.mapspace)
    size = total_sizes(list_parts(accelerator, documents.layer()))
    best = search(accelerator, documents.layer(), accounting="timeloop-4")
    return size, best.energy_pj, best.cycles


@pytest.mark.parametrize("number", ["02", "05", "08", "09"])
def test_searches_there_and_back(tmp_path, number):
    """From 0.3 to 0.4 and back: the same mapspaces, and the same best mappings, as those of 0.4."""
    folder = VERSION_4 / number
    files = [folder / "v3.yaml", folder / "energy-v3.yaml"]
    convert(*files, "--to", "0.4", "-o", tmp_path / "there")
    convert(*inputs(tmp_path / "there"), "--to", "0.3", "-o", tmp_path / "back")
    sets = [files, inputs(tmp_path / "there"), inputs(tmp_path / "back")]
    first, *others = [searched(read_documents(one, for_search=True).accounted("timeloop-4")) for one in sets]
    assert others == [first, first]


def test_a_search_in_version_04_has_no_more_mappings(tmp_path):
    """Loops of bound 1 stand innermost there, and fan-outs are levels."""
    files = write_documents(tmp_path, SEARCH)
    convert(*files, "--to", "0.4", "-o", tmp_path / "out")
    before = searched(read_documents(files, for_search=True).accounted("timeloop-4"))
    after = searched(read_documents(inputs(tmp_path / "out"), for_search=True))
    assert after[1:] == before[1:]
    assert after[0].factorisations == before[0].factorisations
    assert after[0].orders <= before[0].orders


@pytest.mark.parametrize(
    "constraint",
    [
        "{target: DRAM, type: temporal, permutation: _K}",
        "{target: spad, type: utilization, min: 0.5}",
    ],
)
def test_constraints_that_version_04_cannot_say(tmp_path, constraint):
    text = f"mapspace_constraints:\n- {constraint}\n"
    files = write_documents(tmp_path, SEARCH | {"constraints.yaml": text})
    with pytest.raises(ValueError, match=r"version 0\.4"):
        convert(*files, "--to", "0.4", "-o", tmp_path / "out")


@pytest.mark.parametrize("case", CASES)
def test_a_map_txt_is_a_mapping(tmp_path, case):
    files = inputs(RANDOM / case)
    run = CliRunner().invoke(cli, ["model", *map(str, files), "-o", str(tmp_path), "--timeloop-files"])
    assert run.exit_code == 0, run.output
    others = [path for path in files if path.stem != "mapping"]
    convert(tmp_path / "timeloop-model.map.txt", *others, "-o", tmp_path / "out")
    expected = numbers(read_documents(files), "timeloop-3")
    assert numbers(read_documents(inputs(tmp_path / "out")), "timeloop-3") == expected


def test_a_map_txt_of_timeloop_4_is_a_mapping(tmp_path):
    files = inputs(VERSION_4 / "04")
    run = CliRunner().invoke(cli, ["model", *map(str, files), "-o", str(tmp_path), "--timeloop-files"])
    assert run.exit_code == 0, run.output
    convert(*inputs(VERSION_4 / "04"), "--to", "0.3", "-o", tmp_path / "version3")
    others = [path for path in inputs(tmp_path / "version3") if path.stem != "mapping"]
    convert(tmp_path / "timeloop-model.map.txt", *others, "-o", tmp_path / "out")
    expected = numbers(read_documents(files), "timeloop-4")
    assert numbers(read_documents(inputs(tmp_path / "out")), "timeloop-4") == expected


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "map.txt"),
        ("GLB [ ] \n| for M in [0:2)\nhello\n", "3"),
        ("| for M in [0:2)\n", "1"),
        ("nowhere [ Weights:4 (4) ] \n", "1"),
        ("GLB [ Weihgts:4 (4) ] \n", "1"),
        ("GLB [ ] \n| for Z in [0:2)\n", "2"),
        ("GLB [ ] \n| for M in [0:4,3)\n", "2"),
    ],
)
def test_what_a_map_txt_cannot_be(tmp_path, text, path):
    (tmp_path / "map.txt").write_text(text)
    others = [file for file in inputs(RANDOM / CASES[0]) if file.stem != "mapping"]
    with pytest.raises(ValueError, match=naming(path)):
        convert(tmp_path / "map.txt", *others, "-o", tmp_path / "out")


def test_two_mappings(tmp_path):
    (tmp_path / "map.txt").write_text("GLB [ ] \n")
    with pytest.raises(ValueError, match="two mappings"):
        convert(tmp_path / "map.txt", *inputs(RANDOM / CASES[0]), "-o", tmp_path / "out")
