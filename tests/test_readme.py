"""README's commands and examples run as they stand there."""

from __future__ import annotations

import glob
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S | re.M)
SHELL = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line]
PYTHON = [text for kind, text in BLOCKS if kind == "python"]
PROGRAMS = {"sparsim": [sys.executable, "-m", "sparsim"], "python": [sys.executable]}


def test_there_is_something_to_run() -> None:
    assert PYTHON
    assert any(line.startswith("sparsim ") for line in SHELL)


@pytest.mark.parametrize("line", SHELL)
def test_shell_line(line: str, tmp_path: Path) -> None:
    words = shlex.split(line, comments=True)
    program = Path(words[0]).name
    if program == "make":  # would start this very suite: the target has to exist
        assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
        return
    for i, word in enumerate(words):  # outputs go to a folder of their own
        if words[i - 1] == "-o":
            words[i] = str(tmp_path / Path(word).name)
    paths = [sorted(glob.glob(word, root_dir=ROOT)) if "*" in word else [word] for word in words[1:]]
    command = [*PROGRAMS[program], *(word for group in paths for word in group)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout
    if "-o" in words:
        assert (tmp_path / Path(words[words.index("-o") + 1]).name / "sparsim.stats.txt").is_file()


@pytest.mark.parametrize("text", PYTHON)
def test_python_block(text: str) -> None:
    result = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    expected = re.findall(r"#> (.*)", text)
    assert result.stdout.split("\n")[: len(expected)] == expected
