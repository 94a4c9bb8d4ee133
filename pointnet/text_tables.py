"""Lines of cells, head first, as a table of a terminal or of Markdown, and in a document's marked places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from pointnet.errors import DataError
from sparsim.fileio.reading import read_text
from sparsim.fileio.writing import write_text


def table(lines: Sequence[Sequence[str]], title: str) -> Table:
    """For a terminal."""
    found = Table(*map(escape, lines[0]), title=title, title_justify="left")
    for line in lines[1:]:
        found.add_row(*map(escape, line))
    return found


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """The first column is text, all others are numbers."""
    head, *body = lines
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *body]) + "\n"


def write_blocks(path: Path, blocks: Mapping[str, str]) -> None:
    """Replace what stands between `<!-- NAME -->` and `<!-- end of NAME -->` in a document.

    Raises DataError if the document has no such place.
    """
    text = read_text(path, what="a document", error=DataError)
    for name, block in blocks.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise DataError(f"{path}: has no place '{begin.strip()}' ... '{end}' for the table")
        text = before + begin + block + end + after
    write_text(path, text)
