"""The fields of a report: the stage that computes each of them, and the difference of two fields."""

from typing import NamedTuple

from sparsim.files.timeloop.stats_reader import Key, Value

STAGES = (
    "answer", "specs", "dense counts", "sparse counts", "formats", "cost", "networks", "summary", "text",
)  # fmt: skip

# Fields of a tensor or level by the stage that computes them. Fields that are not listed are sparse counts.
_DENSE = (
    "Loop nest",
    "Partition size",
    "Data tile shape",
    "Utilized capacity",
    "Algorithmic ",
    "Scalar ",
    "Computes ",
)
_FORMATS = ("Tile density distribution", "Representation format", "Max utilized Repr format")
_COST = ("Cycles", "Bandwidth", "Energy", "Area")


def stage(key: Key) -> str:
    """The stage of the model that a field comes from, one of `STAGES`."""
    if key.section == "networks":
        return "networks"
    if key.section in ("intensity", "summary"):
        return "summary"
    if key.block == "SPECS":
        return "specs"
    if key.field.startswith(_DENSE):
        return "dense counts"
    if key.field.startswith(_FORMATS) or "scalar format" in key.field:
        return "formats"
    if any(word in key.field for word in _COST):
        return "cost"
    return "sparse counts"


class Difference(NamedTuple):
    """A field that is not equal in two stats texts.

    Attributes
    ----------
    key : Key
        Which field it is.
    expected, got : Value or None
        Values of the reference and of the other text.
    size : float
        Relative difference; inf where there is no number to compare.
    verdict : str
        "deviating", "tolerated" or "explained".
    reason : str
        Why the difference is tolerated or explained.
    """

    key: Key
    expected: Value | None
    got: Value | None
    size: float
    verdict: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.key}: expected {_show(self.expected)}, got {_show(self.got)}"


def _show(value: Value | None) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_show, value)) + ")"
    return f"'{value}'" if isinstance(value, str) else str(value)
