"""`python -m validation`: exit status, messages, closing line, docs."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from sparsim.check.check_case import run_case
from sparsim.report.tables import with_blocks
from validation import validation_page as docs
from validation.__main__ import main
from validation.case_folders import find_cases

ROOT = Path(__file__).parents[2]
REFERENCES = ROOT / "validation/references/random"
SHARED = Path(os.environ.get("SPARSIM_SHARED", ROOT.parent / "shared")) / "reference"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared reference cases are not here")


def run(*arguments: object):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def case(tmp_path):
    return Path(shutil.copytree(REFERENCES / "conv-11-011", tmp_path / "copy"))


@pytest.fixture(scope="module")
def committed():
    cases = find_cases(docs.COMMITTED, "timeloop-3")
    return [run_case(case, "timeloop-3") for case in cases]


def test_committed_suite_is_exact(committed):
    assert len(committed) == 72
    for outcome in committed:
        assert outcome.bad_input == ""
        assert outcome.comparison.differences == []
        assert outcome.comparison.fields["text"] == 1


def test_docs_are_fresh(committed):
    assert docs.PAGE.read_text() == with_blocks(docs.PAGE, docs.blocks(committed, docs.read_recorded())), (
        "docs/results/validation.md is stale: run python -m validation --write-docs"
    )


def test_one_case_exact(case):
    result = run(case)
    assert result.exit_code == 0, result.output
    assert re.search(r"\ncases 1, fields \d+, exact \d+, tolerated 0, worst deviation 0\n$", result.output)


def test_json_has_a_record_for_each_case(case):
    (found,) = json.loads(run(case, "--json").stdout)
    assert (found["case"], found["verdict"], found["fields"]) == ("copy", "exact", found["exact"])


def test_a_broken_number_is_named(case):
    stats = case / "stats.txt"
    stats.write_text(stats.read_text().replace("(37486,  0)", "(37487,  0)", 1))
    result = run(case)
    assert result.exit_code == 1
    assert "copy: 1 deviating, the first is levels / GLB / STATS / Inputs / Actual" in result.output
    assert "worst deviation 2.67e-05 (copy: levels / GLB / STATS / Inputs" in result.output


def test_a_changed_layout_deviates(case):
    stats = case / "stats.txt"
    stats.write_text(stats.read_text().replace("    Word bits  ", "    Word bits", 1))
    result = run(case)
    assert result.exit_code == 1
    assert "text / layout: expected '    Word bits" in result.output


def test_no_case(tmp_path):
    result = run(tmp_path)
    assert result.exit_code == 2
    assert "no case folder" in result.output


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("problem.yaml", "", "problem.yaml"),
        ("problem.yaml", "problem: {instance: {", "problem.yaml"),
        ("stats.txt", "segmentation fault", "not a Timeloop stats text"),
    ],
)
def test_bad_inputs(case, file, content, message):
    (case / file).write_text(content)
    result = run(case)
    assert result.exit_code == 2
    assert "bad input" in result.output
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_rejected_mapping(case):
    (case / "stats.txt").unlink()
    (case / "reject.txt").write_text("mapped tile size exceeds buffer capacity")
    result = run(case)
    assert result.exit_code == 1
    assert "expected 'rejected', got 'accepted'" in result.output
    mapping = case / "mapping.yaml"
    mapping.write_text(mapping.read_text().replace("M=12", "M=6"))
    result = run(case)
    assert result.exit_code == 0, result.output
    assert "both reject" in result.output


def test_a_mapping_that_only_we_reject(case):
    mapping = case / "mapping.yaml"
    mapping.write_text(mapping.read_text().replace("M=12", "M=6"))
    result = run(case)
    assert result.exit_code == 1
    assert "answer / mapping: expected 'accepted', got 'rejected: " in result.output


@needs_shared
@pytest.mark.parametrize(
    ("suite", "accounting", "cases"),
    [
        ("pointnet-study", "timeloop-3", 48),
        ("eyeriss-v2-pe", "timeloop-3", 8),
        ("pointnet-study", "timeloop-2022", 48),
        ("eyeriss-v2-pe", "timeloop-2022", 8),
    ],
)
def test_shared_suites(suite, accounting, cases):
    result = run(SHARED / suite, "--accounting", accounting)
    assert result.exit_code == 0, result.output
    assert f"\ncases {cases}, " in result.output
