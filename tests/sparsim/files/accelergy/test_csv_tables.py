"""Users' tables of energies and areas: which row counts, how it is scaled, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from support.named import naming

from sparsim.cli.main import cli
from sparsim.errors import SpecError
from sparsim.estimate import scale_energy
from sparsim.files.accelergy.csv_tables import CsvTables

TABLE = """\
technology, width|datawidth, depth, kind, global_cycle_seconds, energy, area, action  # ours
45nm, 32, 64, fast, 1e-9, 2.0, 100, read|update
45nm, 32, 64, fast, 1e-9, 3.0, 100, write
45nm, 32, 64, *, 1e-9, 0.5, 100, leak
45nm, 64, 64, slow, 1e-9, 9.0, 300, read

COMPONENT: other|another
energy(pJ), area(um^2), action
1, 2, read
"""
GIVEN = {"technology": "45nm", "width": 32, "depth": 64, "kind": "fast", "global_cycle_seconds": 1e-9}


@pytest.fixture
def tables(tmp_path: Path) -> CsvTables:
    (tmp_path / "memory.csv").write_text(TABLE)
    return CsvTables((str(tmp_path),))


def numbers(found: dict) -> dict:
    return {key: value for key, value in found.items() if key != "source"}


def test_the_row_with_equal_attributes_counts(tables):
    found = tables.find("Memory", GIVEN)
    assert numbers(found) == {"read": 2.0, "update": 2.0, "write": 3.0, "leak": 0.5, "area_um2": 100}
    assert "memory.csv:" in found["source"]
    assert numbers(tables.find("another", {})) == {"read": 1.0, "area_um2": 2.0}
    assert tables.find("unknown", GIVEN) is None


@pytest.mark.parametrize(
    ("attribute", "value", "read", "leak", "area"),
    [
        ("width", 8, 1 / 4, 1 / 4, 1 / 4),
        ("depth", 128, 2**0.78, 2, 2),
        ("global_cycle_seconds", 3e-9, 1, 3, 1),
        ("technology", "65nm", scale_energy(1, 45, 65), scale_energy(1, 45, 65), 1.5),
        ("n_banks", 4, 1, 1, 1),
    ],
)
def test_other_sizes_are_scaled(tables, attribute, value, read, leak, area):
    found = tables.find("memory", {**GIVEN, attribute: value})
    assert found["read"] == pytest.approx(2.0 * read)
    assert found["leak"] == pytest.approx(0.5 * leak)
    assert found["area_um2"] == pytest.approx(100 * area)


def test_text_is_not_scaled(tables):
    assert set(numbers(tables.find("memory", {**GIVEN, "kind": "odd"}))) == {"leak", "area_um2"}
    with pytest.raises(SpecError, match=naming("technology odd")):
        tables.find("memory", {**GIVEN, "technology": "odd"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a, energy, area\n1, 2, 3\n", "action"),
        ("energy, area, action\nx, 1, read\n", "energy x"),
        ("energy, area, action\n1, -1, read\n", "area -1"),
        ("energy, area, action\n1, 1,\n", "action"),
        ("COMPONENT:\n", "NAME"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, text, message):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(SpecError, match=naming(message)) as error:
        CsvTables((str(tmp_path),))
    assert "x.csv:" in str(error.value)


def test_a_folder_without_tables(tmp_path):
    for folder, message in ((tmp_path, "no CSV files"), (tmp_path / "x", "--tables")):
        with pytest.raises(SpecError, match=message):
            CsvTables((str(folder),))


def test_tables_come_before_our_estimates(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "intmac.csv").write_text("width, energy, area, action\n8, 7, 5, compute|mac_random\n")
    (tmp_path / "arch.yaml").write_text(
        "architecture: {version: 0.3, subtree: [{name: s, attributes: {technology: 45nm}, local: ["
        "{name: M, class: DRAM, attributes: {width: 8, word-bits: 8}},"
        "{name: X, class: intmac, attributes: {width: 16}}]}]}\n"
    )
    files = [str(tmp_path / "arch.yaml"), "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(cli, ["estimate", *files, "--tables", str(tmp_path / "t")])
    assert result.exit_code == 0, result.output
    ert = (tmp_path / "out" / "ERT.yaml").read_text()
    assert "14.0" in ert
    assert "10.0" in (tmp_path / "out" / "ART.yaml").read_text()
