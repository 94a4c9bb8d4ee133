"""Progress of layers on a terminal."""

from __future__ import annotations

import io

import pytest

from sparsim.report import console
from sparsim.report.safe_console import SafeConsole


def test_a_terminal_shows_how_many_layers_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    terminal = SafeConsole(file=shown, force_terminal=True, width=80)
    monkeypatch.setattr(console, "messages", lambda: terminal)
    with console.layers_done(2, "planning net on chip") as progress:
        progress("conv[1]")
    assert "planning net on chip: 1 of 2 layers: conv[1]" in shown.getvalue()


def test_nothing_is_shown_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with console.layers_done(1) as progress:
        progress("conv1")
    assert capsys.readouterr() == ("", "")
