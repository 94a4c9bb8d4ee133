"""How command lines show warnings."""

from __future__ import annotations

import sys
import warnings

import click
import pytest

from sparsim.console import run
from sparsim.errors import SparsimWarning


@pytest.mark.parametrize("action", ["default", "ignore", "error"])
def test_our_warnings_are_sentences_whatever_the_filters(
    action: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def command() -> None:
        warnings.warn("nothing\n is left", SparsimWarning, stacklevel=1)
        click.echo("done")

    monkeypatch.setattr(sys, "argv", ["program"])
    shown = warnings.showwarning
    warnings.simplefilter(action)  # type: ignore[arg-type]
    with pytest.raises(SystemExit) as stop:
        run(command, "program")
    assert not stop.value.code
    assert capsys.readouterr() == ("done\n", "program: warning: nothing is left\n")
    assert warnings.showwarning is shown
