"""`python -m validation.tutorial_notebooks`: run the notebooks of the tutorials, and compare what they print.

With `--write-docs` the new outputs are stored in the notebooks. Numbers of cells with the tag `trained` may
differ a little, because another processor rounds otherwise while a network is trained.
"""

import copy
import math
import os
import re
import sys
import tempfile
from pathlib import Path

import click
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},  # the language without its version
}
TRAINED, TOLERANCE = "trained", 0.25
_NUMBER = re.compile(r"\d[\d,]*\.?\d*")


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def executed(notebook: NotebookNode) -> NotebookNode:
    """Return a copy with the outputs of a run in an empty folder. Exceptions of cells are raised."""
    fresh = copy.deepcopy(notebook)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            fresh, timeout=600, resources={"metadata": {"path": folder}},
            record_timing=False, coalesce_streams=True,
        )  # fmt: skip
        client.execute(env={**os.environ, "PYTHONPATH": str(ROOT)})
    fresh.metadata = METADATA
    return fresh


def differences(stored: NotebookNode, fresh: NotebookNode) -> list[str]:
    """Return a sentence for each cell whose output differs from the stored one."""
    found = []
    for number, (old, new) in enumerate(zip(stored.cells, fresh.cells, strict=True), start=1):
        before, after = _printed(old), _printed(new)
        if before != after and not (TRAINED in old.metadata.get("tags", ()) and _is_near(before, after)):
            found.append(f"cell {number} prints\n{after}\nand not\n{before}")
    return found


def _printed(cell: NotebookNode) -> str:
    """Return texts, and for figures only that there is one."""
    lines = []
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        lines.append("a figure" if "image/png" in data else output.get("text") or data["text/plain"])
    return "\n".join(lines)


def _is_near(before: str, after: str) -> bool:
    """Return whether texts differ only in numbers, and these only slightly."""
    if _NUMBER.sub("#", before) != _NUMBER.sub("#", after):
        return False
    pairs = zip(_NUMBER.findall(before), _NUMBER.findall(after), strict=True)
    return all(
        math.isclose(float(a.replace(",", "")), float(b.replace(",", "")), rel_tol=TOLERANCE)
        for a, b in pairs
    )


@click.command()
@click.option("--write-docs", is_flag=True, help="Store the new outputs.")
def main(write_docs: bool) -> None:
    """Run the notebooks of the tutorials and compare their outputs with the stored ones."""
    stale = False
    for path in NOTEBOOKS:
        stored = read(path)
        fresh = executed(stored)
        for text in differences(stored, fresh):
            stale = True
            print(f"{path.name}: {text}")
        if write_docs:
            nbformat.write(fresh, path)
    sys.exit(stale and not write_docs)


if __name__ == "__main__":
    main()
