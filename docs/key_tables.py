"""A hook of MkDocs that writes the keys of files into the reference, from the records and their docstrings.

A line `<!-- keys: MODULE.NAME -->` of a page becomes a table with the keys of a record, and below it a
section for each record that it contains. If NAME is a dict of records, such as the kinds of machines, each
gets a section. Records that documents hold have theirs on the page of documents, to which other pages link.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

import griffe
import msgspec

DOCUMENTS = Path(__file__).parent / "reference" / "document-keys.md"
TAG = re.compile(r"^<!-- keys: ([\w.]+) -->$", re.MULTILINE)
UNITS = {  # by how the name of a key ends; the longest end counts
    "_pj": "pJ", "pj_per_mac": "pJ", "_uj": "uJ", "_pj_per_bit": "pJ/bit", "_pj_per_bit_mm": "pJ/(bit mm)",
    "_pj_per_cycle": "pJ/cycle", "pj_per_pe_cycle": "pJ/cycle", "pj_per_node_cycle": "pJ/cycle",
    "_um2": "um²", "um2_per_pe": "um²", "um2_per_node": "um²", "areas": "um²", "_mm2": "mm²", "_um": "um",
    "_nm": "nm", "_bits": "bits", "_words": "words", "_kib": "KiB", "_bytes": "bytes",
    "_bandwidth": "words/cycle", "_mhz": "MHz", "_gb_per_s": "GB/s", "cycles": "cycles",
    "_j_cycles": "J cycles", "_s": "s", "_us": "us", "_per_s": "1/s", "seconds_per_point": "s",
    "epochs": "epochs", "_epoch": "epochs",
}  # fmt: skip


class Key(NamedTuple):
    """A row of a table."""

    name: str
    type: str
    default: str
    meaning: str


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by MkDocs for every page."""
    roots = _roots(markdown)
    done: dict[type, str] = {}  # where the records are that have a section of their own
    if not _documents().intersection(root for root in roots if isinstance(root, type)):
        done = {record: f"{DOCUMENTS.name}#{_slug(record.__name__)}" for record in _documents()}
    for match, root in zip(TAG.finditer(markdown), roots, strict=True):
        if isinstance(root, type):
            heading = re.findall(r"^#+ (.+)$", markdown[: match.start()], re.MULTILINE)[-1]
            done[root] = f"#{_slug(heading)}"
    parts = iter([_section(root, done) for root in roots])
    return TAG.sub(lambda _: next(parts), markdown)


def _roots(markdown: str) -> list[Any]:
    """The records, or dicts of them, that a page names."""
    names = (match[1].rpartition(".") for match in TAG.finditer(markdown))
    return [getattr(importlib.import_module(module), name) for module, _, name in names]


@cache
def _documents() -> set[type]:
    """The records that have their table on the page of documents."""
    roots = [root for root in _roots(DOCUMENTS.read_text(encoding="utf-8")) if isinstance(root, type)]
    return {record for root in roots for record in (root, *contained(root))}


def _section(root: Any, done: dict[type, str]) -> str:
    """The table of a record and sections of the records in it, or sections of a dict of records."""
    if isinstance(root, dict):
        done |= {record: f"#{_slug(name)}" for name, record in root.items()}
        parts = [(name, record) for name, record in root.items()]
        records = [inner for record in root.values() for inner in contained(record)]
    else:
        parts, records = [("", root)], list(contained(root))
    for record in records:
        if record not in done:
            done[record] = f"#{_slug(record.__name__)}"
            parts.append((record.__name__, record))
    return "\n\n".join((f"### {name}\n\n" if name else "") + _table(record, done) for name, record in parts)


def _slug(heading: str) -> str:
    return re.sub(r"[^\w]+", "-", heading.lower()).strip("-")


def contained(record: type) -> Iterator[type]:
    """The records that the fields of a record hold, and those in them, each once and in their order."""
    seen: list[type] = []

    def visit(kind: Any) -> None:
        for inner in _records_of(kind):
            if inner is not record and inner not in seen:
                seen.append(inner)
                for hint in _hints(inner).values():
                    visit(hint)

    for hint in _hints(record).values():
        visit(hint)
    return iter(seen)


def _records_of(kind: Any) -> Iterator[type]:
    if isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or hasattr(kind, "_fields")):
        yield kind
    for argument in typing.get_args(kind):
        if argument is not NoneType:
            yield from _records_of(argument)


def _hints(record: type) -> dict[str, Any]:
    hints = typing.get_type_hints(record)
    return {key: hints[name] for key, name, _ in _fields(record) if name in hints}


def _fields(record: type) -> list[tuple[str, str, Any]]:
    """Key, name of the field, and default; `...` for none, for records of any make."""
    if issubclass(record, msgspec.Struct):
        tag = record.__struct_config__.tag
        head = [(record.__struct_config__.tag_field, "", str(tag))] if tag else []
        fields = msgspec.structs.fields(record)
        return head + [(field.encode_name, field.name, _default(field)) for field in fields]
    if dataclasses.is_dataclass(record):
        kept = (f for f in dataclasses.fields(record) if "check" in f.metadata)
        return [(f.name, f.name, ... if f.default is dataclasses.MISSING else f.default) for f in kept]
    defaults = getattr(record, "_field_defaults", {})
    return [(name, name, defaults.get(name, ...)) for name in getattr(record, "_fields", ())]


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.required:
        return ...
    return field.default if field.default is not msgspec.NODEFAULT else field.default_factory()


def keys_of(record: type) -> list[Key]:
    """The keys of a record with what its docstring says of each."""
    told, hints = _told(record), _hints(record)
    rows = []
    for key, name, default in _fields(record):
        if not name:  # which of several records this is
            rows.append(Key(key, "str", "required", f'"{default}".'))
            continue
        if name not in told:
            raise KeyError(f"the docstring of {record.__qualname__} does not describe '{name}'")
        kind, meaning = told[name]
        if typing.get_origin(hints[key]) is typing.Literal:
            kind = ", ".join(f'"{value}"' for value in typing.get_args(hints[key]))
        kind = kind.replace("tuple", "list") + _unit(key)
        rows.append(Key(key, kind, _text(default), meaning))
    return rows


def _told(record: type) -> dict[str, tuple[str, str]]:
    """Type and meaning by field, as the docstrings of a record and of its bases say."""
    found: dict[str, tuple[str, str]] = {}
    for kind in reversed(record.__mro__):
        for section in _docstring(kind):
            if section.kind.value in ("parameters", "attributes"):
                for item in section.value:
                    for name in item.name.split(","):
                        found[name.strip()] = (str(item.annotation or ""), " ".join(item.description.split()))
    return found


def _docstring(record: type) -> list[Any]:
    text = inspect.cleandoc(record.__doc__ or "")
    return griffe.Docstring(text).parse("numpy", warnings=False)


def _unit(key: str) -> str:
    ends = [end for end in UNITS if key.endswith(end)]
    return f" in {UNITS[max(ends, key=len)]}" if ends else ""


def _text(default: Any) -> str:
    if default is ...:
        return "required"
    if default is None:
        return "none"
    if isinstance(default, msgspec.Struct):
        return "its defaults"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, dict | tuple | list) and not default:
        return "`{}`" if isinstance(default, dict) else "`[]`"
    if isinstance(default, str):
        return f'`"{default}"`'
    return f"`{list(default) if isinstance(default, tuple) else default}`"


def _is_read(record: type) -> bool:
    """Whether people write a record, and may leave keys out."""
    strict = issubclass(record, msgspec.Struct) and record.__struct_config__.forbid_unknown_fields
    return strict or dataclasses.is_dataclass(record)


def _table(record: type, done: dict[type, str]) -> str:
    about = "\n\n".join(section.value for section in _docstring(record) if section.kind.value == "text")
    links = {kind.__name__: f"[{kind.__name__}]({place})" for kind, place in done.items()}
    rows = [("key", "type", "default", "meaning"), ("---",) * 4]
    for key in keys_of(record):
        kind = re.sub(r"\w+", lambda word: links.get(word[0], word[0]), key.type)
        rows.append((f"`{key.name}`", kind, key.default, key.meaning))
    if not _is_read(record) or all(row[2] == "required" for row in rows[2:]):  # results have every key
        rows = [(*row[:2], *row[3:]) for row in rows]
    lines = ("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)
    return f"{about}\n\n" + "\n".join(lines)
