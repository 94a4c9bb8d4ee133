"""`sparsim estimate`, and components in place of an energy table."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from support.component_documents import PE
from support.examples import accelerator, matmul
from support.named import names, naming

from sparsim import dump, load_documents, load_text
from sparsim.cli import main as cli
from sparsim.cli.input_files import read_model, read_search
from sparsim.errors import SpecError
from sparsim.estimate import estimate_all
from sparsim.estimate.accelerator_energy import energy_table

BASE = [accelerator(), matmul().layer, matmul().mapping]


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> object:
    monkeypatch.setattr(sys, "argv", ["sparsim", *args])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


def test_prints_every_number_and_writes_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("chip.yaml").write_text(PE)
    assert run(monkeypatch, "estimate", "chip.yaml", "-o", "some/where") in (0, None)
    out = capsys.readouterr().out
    estimates = estimate_all(load_documents(["chip.yaml"]).components)
    for name, found in estimates.items():
        for action, energy in found.actions.items():
            row = next(line.split() for line in out.splitlines() if line.split()[:2] == [name, action])
            assert float(row[2]) == pytest.approx(energy.energy_pj, rel=1e-5)
        row = next(line.split() for line in out.splitlines() if line.split()[:2] == [name, "area"])
        assert float(row[2]) == pytest.approx(found.area_um2, rel=1e-5)
    assert out.endswith(
        "wrote some/where/ERT.yaml, some/where/ART.yaml, some/where/sparsim.energy.yaml and "
        "some/where/sparsim.estimate.json\n"
    )
    written = json.loads(Path("some/where/sparsim.estimate.json").read_text())
    assert written["GLB"]["actions"]["read"] == {
        "energy_pj": 3.62123, "uncertainty": 0.0, "source": "CACTI 7, 16 b x 1024, 1 rw, 65 nm",
    }  # fmt: skip
    assert written["MAC"]["area"]["uncertainty"] is None


def test_document_of_the_guide() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "how-to" / "estimate.md").read_text(encoding="utf-8")
    (document,) = re.findall(r"^```yaml\n(.*?)^```", guide, re.S | re.M)
    estimates = estimate_all(load_text(document).components)
    assert list(estimates) == ["DRAM", "shared_glb", "psum_spad", "MACs"]


def test_components_stand_for_their_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(dump(*BASE))
    Path("chip.yaml").write_text(PE)
    assert run(monkeypatch, "estimate", "chip.yaml", "-o", "out") in (0, None)
    written = energy_table(read_model(("base.yaml", "out/sparsim.energy.yaml")).accelerator)
    direct = energy_table(read_model(("base.yaml", "chip.yaml")).accelerator)
    assert direct.actions == written.actions
    assert direct.areas == written.areas
    assert energy_table(read_search(("base.yaml", "chip.yaml"), None).accelerator) == direct


def test_components_beside_a_table_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text(dump(*BASE, matmul().energy))
    Path("chip.yaml").write_text(PE)
    with pytest.raises(SpecError, match=naming("base.yaml chip.yaml energy components")):
        assert read_model(("base.yaml", "chip.yaml")).accelerator


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sparsim: 1\n", "chip.yaml components"),
        ("sparsim: 1\ncomponents: {}\n", "chip.yaml:2 components list"),
        (PE.replace("class: sram", "class: sarm"),
         "chip.yaml GLB sarm sram"),
    ],
)  # fmt: skip
def test_mistakes_end_as_one_sentence(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("chip.yaml").write_text(text)
    assert run(monkeypatch, "estimate", "chip.yaml", "-o", "out") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert names(line, f"sparsim: error: {message}")
    assert not Path("out").exists()
