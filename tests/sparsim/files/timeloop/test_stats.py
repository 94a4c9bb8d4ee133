"""Stats text: the writer reproduces the references to the byte, the parser keeps every field."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import msgspec
import pytest
from from_stats import evaluation_from
from support.named import naming

from sparsim.errors import FormatError
from sparsim.files.timeloop.stats_reader import Key, parse_stats
from sparsim.files.timeloop.stats_writer import write_stats

ROOT = Path(__file__).parents[4]
SHARED = Path(os.environ.get("SPARSIM_SHARED", ROOT.parent / "shared")) / "reference"
COMMITTED = sorted((ROOT / "validation/references").glob("*/*/stats.txt"))
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared reference cases are not here")


def a_text(name: str) -> str:
    return (ROOT / "validation/references/random" / name / "stats.txt").read_text()


@pytest.mark.parametrize("path", COMMITTED, ids=lambda p: p.parent.name)
def test_written_text_is_the_reference(path):
    text = path.read_text()
    assert write_stats(evaluation_from(parse_stats(text))) == text


@needs_shared
def test_written_text_is_the_reference_in_the_shared_suites():
    paths = sorted(SHARED.glob("*/*/stats.txt"))
    assert paths
    for path in paths:
        text = path.read_text()
        assert write_stats(evaluation_from(parse_stats(text))) == text, path


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (Key("levels", "MAC", "SPECS", "", "Instances"), (32, 8, 4)),
        (Key("levels", "spad", "SPECS", "", "Shared bandwidth"), "-"),
        (Key("levels", "spad", "SPECS", "", "Area"), 720.0),
        (Key("levels", "spad", "MAPPING", "", "Loop nest"),
         ("for Q in [0:2)", "for P in [0:4)", "for M in [0:4)")),
        (Key("levels", "spad", "STATS", "", "Cycles"), 37559),
        (Key("levels", "GLB", "STATS", "Inputs", "Representation format"), "uop uop uop uop rle"),
        (Key("levels", "GLB", "STATS", "Inputs", "Actual scalar format reads (per-instance)"),
         ((0, 0), (0, 0), (0, 0), (0, 9420), (37486, 0))),
        (Key("levels", "GLB", "STATS", "Inputs", "Gated scalar format reads (per-instance)"), 0),
        (Key("networks", "GLB <==> spad", "STATS", "Weights", "Ingresses @multicast 2 @scatter 8"), 5376.0),
        (Key("networks", "GLB <==> spad", "SPECS", "", "Legacy sub-type"), ""),
        (Key("networks", "GLB <==> spad", "SPECS", "", "Router energy"), "-"),
        (Key("intensity", "", "", "", "Total ops"), 466638),
        (Key("intensity", "GLB", "", "", "Op per Byte"), 1.52),
        (Key("summary", "", "", "", "EDP(J*cycle)"), 0.319),
        (Key("summary", "", "", "", "Actual Computes"), 270951),
        (Key("summary", "DRAM <==> GLB", "", "", "fJ/Compute"), 0.0),
        (Key("summary", "Total", "", "", "fJ/Algorithmic-Compute"), 14115.5),
    ],
)  # fmt: skip
def test_fields(key, value):
    assert parse_stats(a_text("conv-11-011")).fields[key] == value


def test_variants():
    assert parse_stats(a_text("conv-11-011")).sparse
    assert not parse_stats(a_text("conv-dense-11-012")).sparse
    assert not parse_stats(a_text("conv-11-011")).old_layout


def test_energy_without_accesses_is_nan():
    text = re.sub(r"(scalar-access\) +: )\S+", r"\1-nan", a_text("conv-dense-11-012"), count=1)
    key = Key("levels", "spad", "STATS", "Weights", "Energy (per-scalar-access)")
    stats = parse_stats(text)
    assert math.isnan(stats.fields[key])
    assert write_stats(evaluation_from(stats)) == text


def test_a_run_without_computes_has_a_report():
    evaluation = msgspec.structs.replace(
        evaluation_from(parse_stats(a_text("conv-dense-11-012"))), actual_computes=0
    )
    fields = parse_stats(write_stats(evaluation)).fields
    assert fields[Key("summary", "MAC", "", "", "fJ/Compute")] == math.inf
    assert math.isnan(fields[Key("summary", "spad <==> MAC", "", "", "fJ/Compute")])


@needs_shared
def test_old_layouts():
    paths = sorted(SHARED.glob("*/*/stats-original.txt"))
    assert len(paths) == 56
    for path in paths:
        old = parse_stats(path.read_text())
        new = parse_stats(path.with_name("stats.txt").read_text())
        assert old.old_layout
        assert {k.field for k in old.fields} - {k.field for k in new.fields} <= {
            "Fanout (distributed)", "pJ/Compute", "pJ/Algorithmic-Compute",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Timeloop"),
        ("\x00\x01", "Timeloop"),
        ("Buffer and Arithmetic Levels\n", "cut off"),
    ],
)
def test_what_is_not_a_report(text, message):
    with pytest.raises(FormatError, match=naming(message)):
        parse_stats(text)


def test_cut_off_report():
    text = a_text("conv-11-011")
    with pytest.raises(FormatError, match="cut off"):
        parse_stats(text[: len(text) // 2])


def test_a_line_that_is_there_twice():
    text = a_text("conv-11-011").replace("    Word bits  ", "    Instances : 1 (1*1)\n    Word bits  ", 1)
    with pytest.raises(FormatError, match=naming("11 Instances is not understood")):
        parse_stats(text)
