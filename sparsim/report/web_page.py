"""HTML files that need no other: a little CSS, and pictures inside."""

import base64
from html import escape

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


def page(body: str, title: str) -> str:
    """A whole document around the elements of its body."""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{HEAD}\n<title>{escape(title)}</title>\n'
        f"<style>\n{STYLE}\n</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def inlined_png(picture: bytes) -> str:
    """The address of a picture that lies inside the page."""
    return "data:image/png;base64," + base64.b64encode(picture).decode()
