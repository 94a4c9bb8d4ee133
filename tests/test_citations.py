"""Every section of the model that code cites is in its specification."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SPECIFICATION = ROOT / "docs" / "reference" / "model.md"
FOLDERS = ("sparsim", "gmp", "pointnet", "validation", "benchmarks", "tests")
SECTION = r"\d{1,2}(?:\.\d{1,2})?"
CITED = re.compile(
    rf"\bmodel ({SECTION}(?: [abc])?(?:(?:,| and| to|, and) {SECTION}(?: [abc])?)*)(?![\w.]*\d)"
)


def sections() -> set[str]:
    headings = re.findall(rf"^##+ ({SECTION})[. ]", SPECIFICATION.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(headings) == len(set(headings)) > 80
    return set(headings)


def citations(path: Path) -> Iterator[tuple[int, str]]:
    """(line, section) of every citation in comments and docstrings."""
    source = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            for found in CITED.findall(token.string):
                yield from ((token.start[0], section) for section in re.findall(SECTION, found))


@pytest.mark.parametrize("folder", FOLDERS)
def test_citations_resolve(folder: str) -> None:
    known = sections()
    lost = [
        f"{path.relative_to(ROOT)}:{line}: {section}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, section in citations(path)
        if section not in known
    ]
    assert not lost


def test_kernels_cite_the_model() -> None:
    cited = [section for path in (ROOT / "sparsim").glob("**/kernels/*.py") for _, section in citations(path)]
    assert len(cited) > 60


def test_files_that_the_documentation_names_exist() -> None:
    known = {path for folder in (*FOLDERS, "docs") for path in (ROOT / folder).rglob("*.py")}
    tails = {"/".join(path.parts[-n:]) for path in known for n in range(1, 6)}
    lost = [
        f"{page.name}: {name}"
        for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
        for name in re.findall(r"[\w/]*\w\.py\b", page.read_text(encoding="utf-8"))
        if name.strip("/") not in tails
    ]
    assert not lost
