"""What a report's HTML page shows, and the structure that all reports have."""

from __future__ import annotations

import re
from html.parser import HTMLParser

SPACE = "\u00a0"


class ReportPage(HTMLParser):
    """`order`: the names of what is shown, one after the other. `tables`: rows of cells, the head first.

    `numbers`: the numbers of the answer. `pictures`: the texts that stand for pictures.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.page = page
        self.order: list[str] = []
        self.open: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.numbers: list[str] = []
        self.pictures: list[str] = []
        self.unfolded = 0  # tables that are not folded
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("h1", "h2", "svg", "table", "details"):
            self.order.append(tag)
        if tag == "svg":
            self.pictures.append(given.get("aria-label") or "" if given.get("role") == "img" else "")
        elif tag == "table":
            self.tables.append([])
            self.unfolded += "details" not in self.open
        elif tag == "tr":
            self.tables[-1].append([])
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.text = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Elements of pictures that have no contents."""

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()
        if tag in ("th", "td"):
            self.tables[-1][-1].append(self.text.replace(SPACE, " "))
        elif tag == "b" and self.open[-1:] == ["li"] and self.order == ["h1"]:
            self.numbers.append(self.text.replace(SPACE, " "))

    def handle_data(self, data: str) -> None:
        self.text += data

    def table_of(self, first: str) -> list[list[str]]:
        """The rows, without the head, of the table whose first column has this name."""
        (found,) = (rows[1:] for rows in self.tables if rows[0][0] == first)
        return found

    def check(self) -> None:
        """The answer and a picture come first, tables are folded and last, pictures have texts, one file is
        all, and the page fits telephones, paper and dark screens.
        """
        assert self.order[:2] == ["h1", "svg"]
        assert self.numbers
        first = self.order.index("details")
        assert "h2" in self.order[:first]
        assert "h2" not in self.order[first:]
        assert self.unfolded == 0
        assert all(len(text) > 20 for text in self.pictures)
        assert not re.search(r'(?:src|href)="(?!#|data:)', self.page)
        for what in ('name="viewport"', "prefers-color-scheme: dark", "@media print", "max-width: 40rem"):
            assert what in self.page
        assert not re.search(r"\bnan\b", self.page)
