"""A hook of MkDocs that makes pages of notebooks, with the outputs that are stored in them.

The pages are Markdown, so their links are checked, and they look and are found as all others.
"""

import base64
import re
from pathlib import Path, PurePosixPath

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

INTRODUCTION = 'This page is a notebook: <a href="{0}" download>download it</a> and run it in Jupyter.'


class NotebookPage(File):
    """A page under the name of its notebook, as links and `nav` have it."""

    def is_documentation_page(self) -> bool:
        return True


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put a page, its figures and a file to download in the place of each notebook."""
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        assert notebook.abs_src_path is not None
        text = Path(notebook.abs_src_path).read_text(encoding="utf-8")
        place = PurePosixPath(notebook.src_uri)
        content, figures = page_of(nbformat.reads(text, as_version=4), place.stem)
        files.remove(notebook)
        files.append(NotebookPage.generated(config, notebook.src_uri, content=content))
        files.append(File.generated(config, str(place.with_suffix("") / place.name), content=text))
        for name, data in figures.items():
            files.append(File.generated(config, str(place.with_name(name)), content=data))
    return files


def page_of(notebook: nbformat.NotebookNode, stem: str) -> tuple[str, dict[str, bytes]]:
    """The Markdown of a notebook, and its figures by file name."""
    parts: list[str] = []
    figures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{stem}-{len(figures) + 1}.png"
                figures[name] = base64.b64decode(data["image/png"])
                parts.append(f"![{cell.metadata.alt}]({name})")
            elif "text/html" in data:  # a table of pandas; without classes it looks as the others
                html = re.sub(r"<style.*?</style>|<p>.*?</p>", "", data["text/html"], flags=re.S)
                parts.append(re.sub(r"\n\s*\n", "\n", html.replace(' border="1" class="dataframe"', "")))
            else:
                text = output.get("text") or data["text/plain"]
                parts.append(f"``` {{ .text .output .no-copy }}\n{text.rstrip()}\n```")
    title, _, first = parts[0].partition("\n")  # a download is a file, and no page to link to
    parts[0] = f"{title}\n\n{INTRODUCTION.format(f'{stem}.ipynb')}\n{first}"
    return "\n\n".join(parts) + "\n", figures
