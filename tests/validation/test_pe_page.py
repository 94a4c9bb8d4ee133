"""The eight layers on the sparse PE, and the page that shows them."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from sparsim.report.tables import with_blocks
from validation.sparse_pe_page import GRID, LAYERS, PAGE, Row, main, run_layers, tables


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return run_layers()


def test_one_mac_without_pipeline_is_exact(rows: list[Row]) -> None:
    assert len(rows) == len(LAYERS) == 8
    for row in rows:
        assert row.twin == row.exact


def test_published_layers_are_consistent() -> None:
    """The uniform error of each is that of nnz_I * nnz_W / C, whose densities have two digits."""
    for layer in LAYERS:
        uniform = layer.iacts * layer.weights / layer.c
        assert uniform / layer.cycles - 1 == pytest.approx(layer.uniform_error, abs=0.011)


def test_simd(rows: list[Row]) -> None:
    """Two MACs are worth 1.8 to 2, in full columns and in tiles, as with the real masks."""
    for row in rows:
        assert 1.95 < row.full_gain <= 2.0
        assert 1.76 < row.tiles_gain < 1.95
        assert row.full_gain == pytest.approx(row.layer.cycles / row.layer.simd_full, abs=0.005)
        assert row.tiles_gain == pytest.approx(row.layer.cycles / row.layer.simd_tiles, abs=0.035)


def test_estimates(rows: list[Row]) -> None:
    for row in rows:
        assert abs(row.one.error) < 0.01
        assert abs(row.array.error) < 0.035


def test_page_is_fresh(rows: list[Row]) -> None:
    assert PAGE.read_text(encoding="utf-8") == with_blocks(PAGE, tables(rows))


def test_example_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    code = PAGE.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]
    exec(code, {})
    analytic, actual, error = capsys.readouterr().out.split()
    assert f"{float(analytic) / int(actual) - 1:+.1%}" == error


def test_command() -> None:
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 0
    assert all(layer.name in result.output for layer in LAYERS)
    assert all(case.name in result.output for case in GRID)
