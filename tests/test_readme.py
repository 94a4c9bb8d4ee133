"""Commands and examples of README and guides run as they stand there."""

from __future__ import annotations

import glob
import re
import shlex
from pathlib import Path

import pytest
from support.model_libraries import library
from support.programs import run_module, run_text

from sparsim.estimate import estimator_registry

ROOT = Path(__file__).parent.parent


def blocks(name: str) -> list[tuple[str, str]]:
    """Kind and text of the code blocks of a document."""
    return re.findall(r"^```(\w+)\n(.*?)^```", (ROOT / name).read_text(encoding="utf-8"), re.S | re.M)


# Pages of results tell how they were made, in hours; blocks of kind "bash" are not for a clone.
PAGES = ["README.md", "CONTRIBUTING.md", "docs/index.md"] + [
    str(path.relative_to(ROOT))
    for section in ("tutorials", "how-to")
    for path in sorted((ROOT / "docs" / section).glob("*.md"))
]
BLOCKS = [block for name in PAGES for block in blocks(name)]
LINES = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if line]
SHELL = list(dict.fromkeys(shlex.join(shlex.split(line, comments=True)) for line in LINES))
PYTHON = [text for kind, text in BLOCKS if kind == "python"]


def test_there_is_something_to_run() -> None:
    assert PYTHON
    assert any(line.startswith("sparsim ") for line in SHELL)


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stands for build/, where one command finds what another one left."""
    return tmp_path_factory.mktemp("build")


@pytest.mark.parametrize("line", SHELL)
def test_shell_line(line: str, build: Path) -> None:
    words = shlex.split(line)
    if words[0] == "make":  # would start this very suite: the target has to exist
        assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
        return
    words = words[2:] if words[:2] == ["python", "-m"] else words
    if "train" in words:
        words += ["--epochs", "1"]  # what takes a minute is tested elsewhere
    words = [
        str(build / word.removeprefix("build/")) if word.startswith("build/") else word for word in words
    ]
    paths = [sorted(glob.glob(word, root_dir=ROOT)) if "*" in word else [word] for word in words]
    result = run_module(*[word for group in paths for word in group], XDG_CACHE_HOME=str(build / "caches"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout
    if "-o" in words:
        assert list(Path(words[words.index("-o") + 1]).iterdir())


@pytest.mark.parametrize("text", PYTHON)
def test_python_block(text: str, build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in re.findall(r"^(?:import|from) (accelerate|lightning|transformers)\b", text, re.M):
        library(name)
    if "LightningPruning" in text:
        library("lightning")
    for rules, known in estimator_registry._rules.items():  # what a block registers stays in it
        monkeypatch.setitem(estimator_registry._rules, rules, dict(known))
    result = run_text(text, XDG_CACHE_HOME=str(build / "caches"))
    assert result.returncode == 0, result.stderr
    expected = re.findall(r"# ?> (.*)", text)
    assert result.stdout.split("\n")[: len(expected)] == expected
