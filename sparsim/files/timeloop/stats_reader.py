"""Reader of the fields of a Timeloop stats text, for the layout of 3.0.3 and those of the releases of 2022.

The reader knows the frame of the text (levels, blocks, dataspaces, ranks), not the single labels, so that
lines that a release adds, drops or pads differently do not disturb it.
"""

import re
from typing import Literal, NamedTuple

import msgspec

from sparsim.errors import FormatError

Layout = Literal["2022", "3", "4"]
Value = int | float | str | tuple["Value", ...]

LEVELS, NETWORKS, INTENSITY, SUMMARY = "levels", "networks", "intensity", "summary"
DIVISIBILITY = "divisibility"  # section of sparsim's own reports


class Key(NamedTuple):
    """The place of a field.

    `section`: levels, networks, intensity, divisibility, summary. `level`: name of the level or network, ""
    if none. `block`: SPECS, MAPPING, STATS, or "". `dataspace`: "" for what belongs to the level. `field`:
    its label.
    """

    section: str
    level: str
    block: str
    dataspace: str
    field: str

    def __str__(self) -> str:
        parts = (self.section, self.level, self.block, self.dataspace, self.field)
        return " / ".join(part for part in parts if part)


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """A stats text as fields, in the order of the text.

    Values are as printed: integers, reals, words, and tuples for ranks (metadata, payload), loops, breakdowns
    and meshes; units are left out. Per-compute energies carry theirs in the label (`fJ/Compute`).
    """

    fields: dict[Key, Value]

    @property
    def sparse(self) -> bool:
        """Return whether it is the sparse variant of the report."""
        return any(key.field == "Algorithmic Computes" for key in self.fields)

    @property
    def old_layout(self) -> bool:
        """Return whether it was written by a release of 2022 (energies per compute in pJ)."""
        return self.layout == "2022"

    @property
    def layout(self) -> Layout:
        """Return the generation of Timeloop that writes such a text."""
        if any(key.field.startswith("pJ/") for key in self.fields):
            return "2022"
        return "4" if any(key.field == "Bandwidth Consumption Scale" for key in self.fields) else "3"


_SECTIONS = {
    "Buffer and Arithmetic Levels": LEVELS,
    "Networks": NETWORKS,
    "Operational Intensity Stats": INTENSITY,
    "Divisibility": DIVISIBILITY,
    "Summary Stats": SUMMARY,
}
_FRAME = re.compile(r"-+|(Level|Network) \d+")
_TITLE = re.compile(r"=== (?P<name>.*) ===")
_LOOP = re.compile(r"for \S+ in \[\d+:\d+.*\).*")
_RANK = re.compile(r"Rank \d+ \(metadata, payload\): \((\d+), +(\d+)\)")
_BREAKDOWN = re.compile(r"Breakdown \(Data, Format\): \((\S+)%, (\S+)%\)")
_BUCKET = re.compile(r"(@multicast \d+ @scatter \d+): (.*)")
_DATASPACE = re.compile(r" {4}(?P<name>\S.*):")
_FIELD = re.compile(r"\s*(?P<label>.*?)\s*:(?: (?P<value>.*))?")
_MESH = re.compile(r"(\d+) \((\d+)\*(\d+)\)")
_REAL = re.compile(r"-?(\d+\.\d+(e[+-]\d+)?|nan|inf)")
_UNIT = re.compile(r"(\S+) (pJ|fJ|uJ|pJ/b/mm|um\^2|mm\^2|words/cycle)")


def parse_stats(text: str) -> Stats:
    """Every field of a stats text.

    Raises FormatError for a text that is not a stats file, is cut off, or has a line of unknown form.
    """
    if not text.lstrip().startswith("Buffer and Arithmetic Levels"):
        raise FormatError("is not a Timeloop stats text: the line 'Buffer and Arithmetic Levels' is missing")
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), 1):
        try:
            reader.line(line)
        except ValueError:
            raise FormatError(f"line '{line.strip()}' is not understood", path=f"line {number}") from None
    if not any(key.section == SUMMARY and key.level == "Total" for key in reader.fields):
        raise FormatError("the stats text is cut off: it has no summary with a line 'Total'")
    return Stats(fields=reader.fields)


class _Reader:
    """Parser that follows the frame of the text line by line and collects fields."""

    def __init__(self) -> None:
        self.fields: dict[Key, Value] = {}
        self.section = self.level = self.block = self.dataspace = ""
        self.label = ""  # key of the latest field, to which ranks, loops and breakdowns belong

    def line(self, line: str) -> None:
        text = line.strip()
        if not text or _FRAME.fullmatch(text):
            return
        if text in _SECTIONS:
            self.section = _SECTIONS[text]
            self.level = self.block = self.dataspace = ""
        elif title := _TITLE.fullmatch(text):
            self.level, self.block, self.dataspace = title["name"], "", ""
        elif self.section == NETWORKS and not line.startswith(" "):
            self.level, self.block, self.dataspace = text, "", ""
        elif text in ("SPECS", "MAPPING", "STATS"):
            self.block, self.dataspace = text, ""
        elif self.section == SUMMARY:
            self._summary_line(text)
        elif self._part(text):
            return
        elif self.block == "STATS" and (dataspace := _DATASPACE.fullmatch(line)):
            self.dataspace = dataspace["name"]
        else:
            self._field_line(line)

    def _part(self, text: str) -> bool:
        """Read lines that continue the field above them."""
        if rank := _RANK.fullmatch(text):
            self._append(self.label, (int(rank[1]), int(rank[2])))
        elif _LOOP.fullmatch(text):
            self._append("Loop nest", text)
        elif breakdown := _BREAKDOWN.fullmatch(text):
            self._add(f"{self.label} Breakdown (Data, Format)", (float(breakdown[1]), float(breakdown[2])))
        elif bucket := _BUCKET.fullmatch(text):
            self._add(f"{self.label} {bucket[1]}", float(bucket[2]))
        else:
            return False
        return True

    def _field_line(self, line: str) -> None:
        match = _FIELD.fullmatch(line)
        if match is None:  # no colon: a label whose ranks follow
            self.label = line.strip()
            self._add(self.label, ())
        elif match["label"] == "Loop nest":
            self._add("Loop nest", ())
        else:
            self.label = match["label"]
            self._add(self.label, _value(match["value"] or ""))

    def _summary_line(self, text: str) -> None:
        """`label: value`, `label = computes`, a unit alone, or `level = energy per compute` below a unit."""
        if re.fullmatch(r"[fp]J/\S+", text):
            self.label = text
        elif "= " in text and self.label.endswith("Compute"):
            name, value = text.rsplit("= ", 1)
            if name.strip() == "Actual Computes":
                self._put(Key(SUMMARY, "", "", "", "Actual Computes"), int(value))
            else:
                self._put(Key(SUMMARY, name.strip(), "", "", self.label), float(value))
        else:
            name, value = text.split(" = " if " = " in text else ": ", 1)
            self._put(Key(SUMMARY, "", "", "", name), _value(value))

    def _add(self, label: str, value: Value) -> None:
        self._put(Key(self.section, self.level, self.block, self.dataspace, label), value)

    def _put(self, key: Key, value: Value) -> None:
        if key in self.fields:
            raise ValueError(f"{key} appears twice")
        self.fields[key] = value

    def _append(self, label: str, item: Value) -> None:
        key = Key(self.section, self.level, self.block, self.dataspace, label)
        above = self.fields.get(key)
        if not isinstance(above, tuple):
            raise ValueError(f"there is no field '{label}' above")
        self.fields[key] = (*above, item)


def _value(text: str) -> Value:
    text = text.strip()
    if mesh := _MESH.fullmatch(text):
        return tuple(int(number) for number in mesh.groups())
    if unit := _UNIT.fullmatch(text):
        text = unit[1]
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else text
