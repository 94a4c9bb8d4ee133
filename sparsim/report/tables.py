"""Tables of results for a terminal, as Markdown, and in the marked places of a document."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparsim.errors import FormatError
from sparsim.fileio.reading import read_text
from sparsim.fileio.writing import write_text

if TYPE_CHECKING:
    from rich.table import Table as RichTable


@dataclass
class Table:
    """Rows of cells below a head.

    Parameters
    ----------
    head : sequence of str
        Names of the columns.
    rows : sequence of sequences
        The cells of each row; what is no string is shown as `str` does.
    title : str
        A line above the table in a terminal.
    text : collection of int
        The columns that hold text, aligned left; all others are aligned right.
    total : sequence
        The cells of a last row that sums up the others.
    notes : sequence of str
        Lines below the table in a terminal.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str = ""
    text: Collection[int] = (0,)
    total: Sequence[object] = ()
    notes: Sequence[str] = ()

    def __rich__(self) -> RichTable:
        from rich.markup import escape  # importing rich takes a tenth of a second, which --help does not need
        from rich.table import Table as RichTable

        table = RichTable(
            title=escape(self.title) or None, title_justify="left", title_style="bold", box=None,
            pad_edge=False, show_footer=bool(self.total), caption=escape("\n".join(self.notes)) or None,
            caption_justify="left",
        )  # fmt: skip
        for i, (name, total) in enumerate(zip(self.head, self.total or [""] * len(self.head), strict=True)):
            table.add_column(
                escape(name),
                escape(str(total)),
                justify="left" if i in self.text else "right",
                overflow="fold",
            )
        for row in self.rows:
            table.add_row(*(escape(str(cell)) for cell in row))
        return table

    def to_markdown(self) -> str:
        """Return head, rule and rows as lines of Markdown, with the total in bold."""
        rule = ["---" if i in self.text else "---:" for i in range(len(self.head))]
        total = [[f"**{cell}**" if cell else "" for cell in map(str, self.total)]] if self.total else []
        rows = [[str(cell).replace("|", r"\|") for cell in row] for row in (*self.rows, *total)]
        return "".join(f"| {' | '.join(row)} |\n" for row in (self.head, rule, *rows))


Block = Table | Sequence[str]
"""A table, or lines that become the items of a list."""


def write_blocks(path: Path, blocks: Mapping[str, Block]) -> None:
    """Update the marked places of a document with `with_blocks`."""
    write_text(path, with_blocks(path, blocks))


def with_blocks(path: Path, blocks: Mapping[str, Block]) -> str:
    """Return the text of a document with new contents between `<!-- NAME -->` and `<!-- end of NAME -->`.

    Raises FormatError if the document has no such place.
    """
    text = read_text(path, what="a document")
    for name, block in blocks.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise FormatError(f"{path}: has no place '{begin.strip()}' ... '{end}' for the table")
        content = block.to_markdown() if isinstance(block, Table) else "".join(f"* {x}\n" for x in block)
        text = before + begin + content + end + after
    return text
