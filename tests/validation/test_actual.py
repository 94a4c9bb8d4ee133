"""Actual data on the Eyeriss v2 PE: the closed answer, and the uniform model's error."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.pe_runs import FILTERS, pe_case

from sparsim.report.tables import with_blocks
from validation.actual_data import (
    PAGE,
    Row,
    compare,
    compare_cases,
    draw_masks,
    main,
    nonzeros_by_channel,
    table,
)

ROOT = Path(__file__).parents[2]
LAYERS = Path(os.environ.get("SPARSIM_SHARED", ROOT.parent / "shared")) / "reference" / "eyeriss-v2-pe"
needs_layers = pytest.mark.skipif(not LAYERS.is_dir(), reason="the shared Eyeriss v2 layers are not here")


def check(row: Row) -> None:
    """Exact where counted; without masks off by the covariance, but for densities rounded to 1e-6."""
    assert row.counted == row.counted_cycles == row.exact
    assert abs(row.covariance) > 0.005 * row.exact
    assert row.uniform == pytest.approx(row.exact - row.covariance, abs=2 + 2e-6 * row.all)


@pytest.mark.parametrize("seed", range(4))
def test_small_layer(seed: int) -> None:
    check(compare("small", *pe_case().given, seed=seed))


def test_masks_have_the_densities_of_the_layer() -> None:
    layer = pe_case().layer
    masks = draw_masks(layer, 0)
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {
        "Weights": int(np.ceil(0.6 * 8 * FILTERS)),
        "Inputs": int(np.ceil(0.7 * 8 * 16)),
    }
    weights, inputs = nonzeros_by_channel(layer, masks)
    assert weights.tolist() == masks["Weights"].sum(axis=(1,)).tolist()
    assert inputs.tolist() == masks["Inputs"].sum(axis=(1, 2)).tolist()
    assert len(set(weights.tolist())) > 1


def test_masks_follow_their_seed() -> None:
    layer = pe_case().layer
    one, again, other = (draw_masks(layer, seed)["Inputs"] for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()


@needs_layers
def test_the_eight_layers_and_their_page() -> None:
    rows = compare_cases(LAYERS)
    assert len(rows) == 8
    for row in rows:
        check(row)
        assert row.counted_updates == row.exact  # a rule with two leaders decides about them
    assert PAGE.read_text(encoding="utf-8") == with_blocks(PAGE, {"layers": table(rows)})


def test_command_without_cases(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [str(tmp_path)])
    assert result.exit_code == 2
    assert result.output == f"no case folder (YAML documents and a stats.txt) at or below {tmp_path}\n"
