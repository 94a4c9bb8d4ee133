"""How command lines end, and how they show warnings: with sentences."""

from __future__ import annotations

import io
import marshal
import pickle
import sys
import warnings
from collections.abc import Callable

import click
import pytest

from sparsim.errors import CacheWarning, SparsimWarning
from sparsim.report.console import INTERRUPTED, run


@pytest.mark.parametrize("kind", [SparsimWarning, CacheWarning])
@pytest.mark.parametrize("action", ["default", "ignore", "error"])
def test_our_warnings_are_sentences_whatever_the_filters(
    action: str,
    kind: type[Warning],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @click.command()
    def command() -> None:
        warnings.warn("nothing\n is left", kind, stacklevel=1)
        click.echo("done")

    monkeypatch.setattr(sys, "argv", ["program"])
    shown = warnings.showwarning
    warnings.simplefilter(action)  # type: ignore[arg-type]
    with pytest.raises(SystemExit) as stop:
        run(command, "program")
    assert not stop.value.code
    assert capsys.readouterr() == ("done\n", "program: warning: nothing is left\n")
    assert warnings.showwarning is shown


def code_of(body: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(SystemExit) as stop:
        run(click.command()(lambda: body()), "program")
    return stop.value.code


def interrupt() -> None:
    raise KeyboardInterrupt


def end() -> None:
    raise EOFError


@pytest.mark.parametrize(
    "body",
    [lambda: pickle.load(io.BytesIO(b"")), lambda: marshal.loads(b"i"), end],
    ids=["pickle", "marshal", "no reason"],
)
def test_an_end_of_data_is_no_silent_abort(
    body: Callable[[], object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(body, monkeypatch) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("program: error: a file or stream ended")
    assert "Traceback" not in err


def test_ctrl_c_ends_without_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(interrupt, monkeypatch) == INTERRUPTED
    assert capsys.readouterr().err.strip() == ""
