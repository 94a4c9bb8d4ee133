"""A Markdown report as one HTML file that needs no other: figures inside, a little CSS."""

import base64
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

from pointnet.errors import DataError

HEAD = """
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
""".strip()  # without a viewport, telephones show a desktop's width
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b1b1b; max-width: 1120px; margin: 2em auto;
  padding: 0 1em }
h1, h2, h3 { line-height: 1.2; margin-top: 1.8em }
table { border-collapse: collapse; display: block; overflow-x: auto; margin: 1em 0; font-size: 13px }
th, td { padding: 0.25em 0.7em; border-bottom: 1px solid #ddd; white-space: nowrap }
th { background: #f3f5f8 }
img { max-width: 100%; height: auto }
code { background: #f3f5f8; padding: 0 0.2em }
""".strip()


def html_page(markdown: str, folder: Path, title: str) -> str:
    """The document with its PNG figures, which lie below `folder`, inside. DataError if one is missing."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for token in tokens:
        for child in token.children or ():
            if child.type == "image":
                child.attrs["src"] = _inlined(folder / str(child.attrs["src"]))
    body = parser.renderer.render(tokens, parser.options, {})
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{HEAD}\n<title>{escape(title)}</title>\n'
        f"<style>\n{STYLE}\n</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def _inlined(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"{path}: the report shows this figure, and there is none")
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()
