"""The command line with closed, full, broken, narrow and ASCII-only outputs, and with names of all kinds."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.documents import DOCUMENTS, write_documents

ROOT = Path(__file__).parents[2]
COMPONENTS = """\
sparsim: 1
components:
  - {name: "mac\u03a9\u4e2d", class: mac, attributes: {operand_bits: 8, accumulator_bits: 20}, node_nm: 65}
"""
C_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def shell(folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `command`, in which `sparsim` is the program, and capture what it does not redirect."""
    text = command.replace("sparsim", f"{sys.executable} -m sparsim", 1)
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "", **environment}
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {text}"], cwd=folder, env=variables, capture_output=True,
        text=True, encoding="utf-8",
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams")
    (folder / "parts.yaml").write_text(COMPONENTS, encoding="utf-8")
    write_documents(folder, DOCUMENTS)
    for name in DOCUMENTS:
        text = (folder / name).read_text(encoding="utf-8").replace("GLB", "GL\u03a9B")
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-", "2>/dev/full"])
def test_closed_streams_change_nothing_but_what_is_shown(closed: str, folder: Path) -> None:
    out = folder / re.sub(r"\W", "_", closed)
    done = shell(folder, f"sparsim estimate parts.yaml -o {out} {closed}")
    assert (done.returncode, done.stderr) == (0, "")
    assert ("wrote" in done.stdout) == (">&-" not in closed.replace("2>&-", ""))
    files = ["ART.yaml", "ERT.yaml", "sparsim.energy.yaml", "sparsim.estimate.json"]
    assert sorted(path.name for path in out.iterdir()) == files
    refused = shell(folder, f"sparsim estimate none.yaml {closed}")
    assert refused.returncode == 2
    assert refused.stderr in ("", "sparsim: error: none.yaml: no such file\n")


def test_full_and_broken_outputs(folder: Path) -> None:
    full = shell(folder, "sparsim show >/dev/full")
    assert full.returncode == 2
    assert full.stderr == "sparsim: error: the output: no space left on device\n"
    for reader in ("| head -1", "| true"):
        broken = shell(folder, f"sparsim show alexnet_sparse {reader}")
        assert broken.returncode in (0, 1)  # 0: all was written before the reader went
        assert broken.stderr == ""


def test_a_full_disk_leaves_the_files_that_were_there(folder: Path) -> None:
    assert shell(folder, "sparsim estimate parts.yaml -o disk").returncode == 0
    before = {path: path.read_bytes() for path in (folder / "disk").iterdir()}
    full = shell(folder, "ulimit -f 0; exec sparsim estimate parts.yaml -o disk")
    assert full.returncode == 2
    assert full.stderr == "sparsim: error: disk/sparsim.energy.yaml: file too large\n"
    assert {path: path.read_bytes() for path in (folder / "disk").iterdir()} == before


def test_files_are_utf_8_in_every_locale(folder: Path) -> None:
    """Outputs of other commands follow the same ways."""
    model = f"sparsim model {' '.join(DOCUMENTS)}"
    assert shell(folder, model).returncode == 0  # may have to compile kernels, and says so
    for out, environment in (("utf8", {"PYTHONUTF8": "1"}), ("c", C_LOCALE)):
        done = shell(folder, f"{model} -o {out}", **environment)
        assert (done.returncode, done.stderr) == (0, "")
    for name in ("sparsim.stats.txt", "sparsim.result.json"):
        assert (folder / "c" / name).read_bytes() == (folder / "utf8" / name).read_bytes()
        assert "GL\u03a9B" in (folder / "c" / name).read_text(encoding="utf-8")
    closed = shell(folder, f"sparsim explain {' '.join(DOCUMENTS)} >&-", **C_LOCALE)
    assert (closed.returncode, closed.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_names_that_an_encoding_lacks_are_escapes(encoding: str, folder: Path) -> None:
    done = shell(folder, "sparsim estimate parts.yaml", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("mac\u03a9\u4e2d" if encoding == "utf-8" else "mac\\u03a9\\u4e2d") in done.stdout
    failed = shell(folder, "sparsim estimate \u03a9.yaml", PYTHONIOENCODING=encoding)
    assert failed.returncode == 2
    assert "Traceback" not in failed.stderr


def test_names_of_files_that_are_no_unicode(folder: Path) -> None:
    done = shell(folder, "sparsim estimate $'a\\xff.yaml'", **C_LOCALE)
    assert (done.returncode, done.stderr) == (2, "sparsim: error: a\\udcff.yaml: no such file\n")
    done = shell(folder, "sparsim estimate parts.yaml -o $'o\\xff'")
    assert (done.returncode, done.stderr) == (0, "")


def terminal(folder: Path, *arguments: str, **environment: str) -> tuple[int, bytes]:
    """Exit code and output of the program on a terminal."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **environment}
    command = [sys.executable, "-m", "sparsim", *arguments]
    with subprocess.Popen(command, cwd=folder, env=variables, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        found = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # the end, on Linux
                break
            if not part:
                break
            found += part
    os.close(ours)
    return process.returncode, found


HOSTILE = "\x1b]0;title\x07\x1b[31m\x9b\r\u202e"


def test_terminals_get_no_control_characters_of_others(folder: Path) -> None:
    code, found = terminal(folder, "show", f"{HOSTILE}.yaml")
    assert code == 2
    assert b"\x1b" not in found
    assert b"\x07" not in found
    assert found.count(b"\r") == found.count(b"\r\n")
    assert rb"\x1b]0;title\x07\x1b[31m\x9b" in found
    (folder / "escape.yaml").write_text(COMPONENTS.replace("mac\u03a9", r"\e[31m"), encoding="utf-8")
    code, found = terminal(folder, "estimate", "escape.yaml")
    assert code == 2
    assert b"escape.yaml:3: " in found
    assert b"U+001B" in found


@pytest.mark.parametrize("columns", ["0", "1", "9"])
def test_narrow_terminals(columns: str, folder: Path) -> None:
    code, found = terminal(folder, "estimate", "parts.yaml", COLUMNS=columns, PYTHONIOENCODING="ascii")
    assert code == 0
    assert b"mac" in found or columns != "0"
    assert b"Traceback" not in found


def test_tables_show_names_as_they_are() -> None:
    from rich.table import Table

    from sparsim.report.printable_text import printable
    from sparsim.report.safe_console import SafeConsole

    console = SafeConsole(width=60, force_terminal=True, record=True)
    table = Table("a")
    table.add_row(HOSTILE)
    with console.capture() as captured:
        console.print(table)
        console.print(HOSTILE)
    text = re.sub("\x1b\\[[0-9;]*m", "", captured.get())  # rich's own colours
    assert "\x1b" not in text
    assert "\x07" not in text
    assert r"\x1b]0;title" in text
    assert printable("a\tb\nc \u03a9") == "a\tb\nc \u03a9"
