"""A Markdown report as one HTML file that needs no other, its figures inside."""

from pathlib import Path

from markdown_it import MarkdownIt

from pointnet.errors import DataError
from sparsim.report.web_page import inlined_png, page


def html_page(markdown: str, folder: Path, title: str) -> str:
    """The document with its PNG figures, which lie below `folder`, inside. DataError if one is missing."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for token in tokens:
        for child in token.children or ():
            if child.type == "image":
                child.attrs["src"] = _inlined(folder / str(child.attrs["src"]))
    body = parser.renderer.render(tokens, parser.options, {})
    return page(body, title)


def _inlined(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"{path}: the report shows this figure, and there is none")
    return inlined_png(path.read_bytes())
