"""The keys of files that the reference lists."""

import re
from pathlib import Path

from docs.key_tables import on_page_markdown

FOLDER = Path(__file__).parents[2] / "docs/reference"


def page(name: str) -> str:
    """A page of the reference, with the tables that the build writes into it."""
    return on_page_markdown((FOLDER / name).read_text(encoding="utf-8"))


def documented_keys(section: str, name: str = "result-keys.md") -> set[str]:
    """The keys in the tables of a section, subsections not included."""
    text = page(name).partition(f"\n## {section}\n")[2]
    assert text, f"no section '{section}'"
    rows = re.findall(r"^\|(.*?)\|", re.split(r"^##", text, flags=re.MULTILINE)[0], re.MULTILINE)
    return {key for row in rows for key in re.findall(r"`([^`]+)`", row)}
