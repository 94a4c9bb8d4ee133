"""Published energy and area tables, number by number, and the page that shows them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sparsim.estimate import estimate
from sparsim.files.sparsim_yaml import load_documents
from sparsim.report.tables import with_blocks
from validation.estimate_page import FOLDER, PAGE, Published, class_ratios, falls, published, tables

ROWS = published()


@pytest.mark.parametrize("row", ROWS, ids="{0.component}-{0.quantity}".format)
def test_published_number(row: Published) -> None:
    assert row.agrees, row


def test_there_are_as_many_as_the_tables_have() -> None:
    assert len(ROWS) == len({row[:3] for row in ROWS}) == 62
    assert {row.set for row in ROWS} == {
        "04.2.2 gating", "04.2.3 onchip-compression", "02.2.1 spMspM", "Sparseloop fig12 PE",
        "Sparseloop fig13 DSTC", "Sparseloop table 7",
    }  # fmt: skip


def test_a_deviation_of_the_last_digit_is_seen() -> None:
    row = ROWS[0]
    assert not row._replace(estimated=row.estimated + 1e-5).agrees
    assert not row._replace(estimated=row.estimated - 1e-5).agrees


def test_every_component_is_published_somewhere() -> None:
    components = load_documents([FOLDER / "accelergy_2022.yaml"]).components
    assert {component.name for component in components} == {row.component for row in ROWS}


def test_quirks_belong_to_their_rules() -> None:
    """The same register file today: as wide as 16 bits or not, its area is that of its registers."""
    old, *_ = load_documents([FOLDER / "accelergy_2022.yaml"]).components
    file = replace(old.parts[0], node_nm=45)
    assert estimate(replace(file, rules="accelergy-2022")).area_um2 == 1.0
    assert estimate(file).area_um2 > 12 * 17 * 5.98


def test_what_falls_is_counted() -> None:
    found = {(f.quantity, f.size): (f.falls, f.pairs) for f in falls()}
    assert all(found["area_um2", size][0] == 0 for size in ("width_bits", "depth_words", "ports", "node_nm"))
    assert found["read_pj", "depth_words"][0] > 0
    assert all(found[quantity, "depth_words"][1] == 592 - 32 for quantity, _ in found)


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == with_blocks(PAGE, tables())


@pytest.mark.parametrize(
    ("part", "quantity", "ratio"),
    [
        ("DRAM width=64", "access", 1.0),
        ("smartbuffer_SRAM width=256 depth=2048, 45 nm", "access", 1.0),
        ("smartbuffer_SRAM width=256 depth=2048, 45 nm", "area", 1.0),
        ("smartbuffer_SRAM width=64 depth=16384, 45 nm", "write", 1.0),
        ("smartbuffer_SRAM width=64 depth=16384, 32 nm", "access", 1.175),
        ("regfile width=8 depth=64, 40 nm", "access", 1.0),
        ("intmac width=8, 40 nm", "access", 1.0),
        ("fpmac width=32, 45 nm", "access", 1.151),
    ],
)
def test_estimates_over_tables_beside_designs(part: str, quantity: str, ratio: float) -> None:
    quantities = {what: found for what, _, found in class_ratios()}[part]
    theirs, ours = quantities[quantity]
    assert ours / theirs == pytest.approx(ratio, rel=1e-3)
