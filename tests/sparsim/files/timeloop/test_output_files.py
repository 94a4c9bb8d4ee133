"""The files of Timeloop's programs beside ours: their names, and their text."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from sparsim.cli.main import cli

pytestmark = pytest.mark.filterwarnings("ignore::sparsim.EnergyWarning")  # tables are recorded, gaps and all
ROOT = Path(__file__).parents[4]
CASE = ROOT / "validation" / "references" / "random" / "conv-11-011"
VERSION_4 = ROOT / "validation" / "version4_examples"
INPUTS = [CASE / f"{name}.yaml" for name in ("arch", "problem", "sparse", "ert", "art")]

MAP_TXT = """
DRAM [ Weights:768 (768) Inputs:6272 (3136) Outputs:75264 (75264) ]\x20
-------------------------------------------------------------------
| for M in [0:12)

GLB [ Inputs:6272 (3136) Outputs:6272 (6272) ]\x20
----------------------------------------------
|   for Q in [0:7)
|     for C in [0:2)
|       for P in [0:7)
|         for M in [0:2) (Spatial-Y)
|           for Q in [0:2) (Spatial-X)
|             for C in [0:4) (Spatial-X)

spad [ Weights:4 (4) Inputs:8 (8) Outputs:32 (32) ]\x20
---------------------------------------------------
|               for Q in [0:2)
|                 for P in [0:4)
|                   for M in [0:4)

"""
MAP_TXT_OF_4 = """dram [ A:32 (32) B:24 (24) Z:48 (48) ]\x20
--------------------------------------
| for M in [0:4)
|   for K in [0:4)

inter_buf_spatial [ ]\x20
---------------------
|     for M in [0:2) (Spatial-X)

buf [ A:1 (1) B:6 (6) Z:6 (6) ]\x20
-------------------------------
|       for N in [0:6)
|         << Compute >>
"""


def run(command: str, *arguments: object):
    result = CliRunner().invoke(cli, [command, *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("sparsim."))


def test_files_of_the_model(tmp_path):
    run("model", *INPUTS, CASE / "mapping.yaml", "-o", tmp_path, "--timeloop-files")
    kinds = ("ART.yaml", "ERT.yaml", "map+stats.xml", "map.txt", "map.yaml", "stats.txt")
    assert names(tmp_path) == [f"timeloop-model.{kind}" for kind in kinds]
    assert (tmp_path / "timeloop-model.stats.txt").read_bytes() == (CASE / "stats.txt").read_bytes()
    assert (tmp_path / "timeloop-model.map.txt").read_text() == MAP_TXT


def test_map_txt_of_timeloop_4(tmp_path):
    inputs = [VERSION_4 / "04" / f"{name}.yaml" for name in ("v4", "problem-v4", "variables-v4")]
    run("model", *inputs, "-o", tmp_path, "--timeloop-files")
    assert (tmp_path / "timeloop-model.map.txt").read_text() == MAP_TXT_OF_4


def test_energies_and_areas_of_timeloop_4_name_instances(tmp_path):
    """And stand for the tables that they were written of."""
    inputs = [VERSION_4 / "04" / f"{name}.yaml" for name in ("v4", "problem-v4", "variables-v4")]
    run("model", *inputs, "-o", tmp_path, "--timeloop-files")
    written = [tmp_path / f"timeloop-model.{kind}.yaml" for kind in ("ERT", "ART")]
    ert, art = (yaml.safe_load(path.read_text()) for path in written)
    names = ["top_level.dram[1..1]", "top_level.buf[1..2]", "top_level.mac[1..2]"]
    assert [table["name"] for table in ert["ERT"]["tables"]] == names
    assert [table["name"] for table in art["ART"]["tables"]] == names
    assert ert["ERT"]["version"] == art["ART"]["version"] == "0.4"
    (tmp_path / "v4.yaml").write_text(inputs[0].read_text().partition("ERT:")[0])
    run("model", tmp_path / "v4.yaml", *inputs[1:], *written, "-o", tmp_path / "again")
    again = (tmp_path / "again" / "sparsim.stats.txt").read_text()
    assert again == (tmp_path / "timeloop-model.stats.txt").read_text()


@pytest.mark.parametrize("case", ["conv-11-011", "gemm-cluster-11-000", "conv-cluster-sep-11-001"])
def test_files_are_read_back(tmp_path, case):
    """map.yaml, ERT.yaml and ART.yaml stand for what they were written of."""
    folder = CASE.parent / case
    run("model", *folder.glob("*.yaml"), "-o", tmp_path, "--timeloop-files")
    written = [tmp_path / f"timeloop-model.{kind}.yaml" for kind in ("map", "ERT", "ART")]
    others = [folder / f"{name}.yaml" for name in ("arch", "problem", "sparse")]
    run("model", *(path for path in others if path.exists()), *written, "-o", tmp_path / "again")
    assert (tmp_path / "again" / "sparsim.stats.txt").read_text() == (folder / "stats.txt").read_text()


def test_out_prefix_names_the_files(tmp_path):
    prefix = tmp_path / "options.yaml"
    prefix.write_text("model: {out_prefix: first}\nmapper: {out_prefix: second}\n")
    mapping = CASE / "mapping.yaml"
    run("model", *INPUTS, mapping, prefix, "-o", tmp_path / "model", "--timeloop-files")
    assert "first.stats.txt" in names(tmp_path / "model")
    (tmp_path / "mapspace.yaml").write_text(
        yaml.safe_dump({"mapspace": {"targets": [d for d in directives(mapping) if d["type"] != "bypass"]}})
    )
    options = ("--evaluations", 5, "--no-cache", "--timeloop-files")
    run("mapper", *INPUTS, tmp_path / "mapspace.yaml", prefix, "-o", tmp_path / "mapper", *options)
    assert "second.map.yaml" in names(tmp_path / "mapper")


def directives(mapping: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = yaml.safe_load(mapping.read_text())["mapping"]
    return found


@pytest.mark.parametrize("prefix", ["../outside", "/tmp/outside", "a/b", "''"])
def test_out_prefix_stays_in_its_folder(tmp_path, prefix):
    (tmp_path / "options.yaml").write_text(f"model: {{out_prefix: {prefix}}}\n")
    arguments = ["model", *INPUTS, CASE / "mapping.yaml", tmp_path / "options.yaml", "-o", tmp_path]
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert isinstance(result.exception, ValueError)
    assert "out_prefix" in str(result.exception)
