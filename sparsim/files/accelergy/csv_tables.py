"""Users' tables of energies and areas, in the form of Accelergy's library plug-in.

A folder has a CSV file per class, or files with `COMPONENT: name` lines: columns of attributes, then `energy`
in pJ, `area` in um2 and `action`. Several names or actions in one cell stand apart by `|`, `*` or nothing
fits everything, and what follows `#` is a comment. The row with the most equal attributes is used; other
attributes are scaled.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sparsim.errors import SpecError
from sparsim.estimate.plug_in_classes import node_nm_of
from sparsim.estimate.technology_scaling import scale_area, scale_energy
from sparsim.fileio.reading import read_text

_DEPTH_POWER = 1.56 / 2
_COMPONENT = "COMPONENT"
_LINEAR = ("width", "datawidth", "width_a", "width_b", "datawidth_a", "datawidth_b", "n_instances")
_KNOWN = {"energy": "energy", "energy(pj)": "energy", "dynamic energy(pj)": "energy",
          "area": "area", "area(um^2)": "area", "action": "action", "comment": "comment"}  # fmt: skip
_MOST_BYTES = 10_000_000

_Factors = tuple[float, float, float]  # factors of the energy of an action, of leakage and of the area
_ANY = ("*", "")


class Row(NamedTuple):
    """A line of a table. `attributes`: its values by the names that a column has."""

    where: str
    attributes: dict[tuple[str, ...], str]
    energy: float
    area: float
    actions: tuple[str, ...]


class CsvTables:
    """The rows of all files below folders, by class in lower case."""

    def __init__(self, folders: tuple[str, ...] = ()) -> None:
        self.rows: dict[str, list[Row]] = {}
        for folder in folders:
            if not Path(folder).is_dir():
                raise SpecError("is not a folder", path=folder, hint="--tables takes a folder of CSV files")
            files = sorted(Path(folder).rglob("*.csv"))
            if not files:
                raise SpecError("has no CSV files", path=folder)
            for file in files:
                self._read(file)

    def find(self, kind: str, given: Mapping[str, Any]) -> dict[str, int | float | str] | None:
        """The attributes of a component of class `table` for a class; None if no table has the class.

        Raises SpecError where no row can be scaled to the attributes.
        """
        rows = self.rows.get(kind.lower())
        if not rows:
            return None
        best: dict[str, tuple[int, Row, _Factors]] = {}
        reason = ""
        for row in rows:
            try:
                equal, factors = _match(row, given)
            except SpecError as error:
                reason = str(error)
                continue
            for action in row.actions:
                if action not in best or equal > best[action][0]:
                    best[action] = equal, row, factors
        if not best:
            raise SpecError(f"no row of the table of class {kind} matches: {reason}", path=rows[0].where)
        found: dict[str, int | float | str] = {
            action: row.energy * (factors[1] if action == "leak" else factors[0])
            for action, (_, row, factors) in best.items()
        }
        _, row, factors = max(best.values(), key=lambda one: one[0])
        note = "" if factors == (1.0, 1.0, 1.0) else ", scaled"
        return {**found, "area_um2": row.area * factors[2], "source": f"{row.where}{note}"}

    def _read(self, file: Path) -> None:
        text = read_text(file, what="a table")
        if len(text) > _MOST_BYTES:
            raise SpecError(f"has more than {_MOST_BYTES} characters", path=str(file))
        kind = file.name.split(".")[0]
        heads: list[str] = []
        for number, line in enumerate(text.splitlines(), 1):
            cells = [cell.strip() for cell in line.split("#")[0].split(",")]
            if not any(cells):
                continue
            where = f"{file}:{number}"
            if cells[0].startswith(_COMPONENT):
                kind, heads = cells[0].partition(":")[2].strip(), []
                if not kind:
                    raise SpecError(f"must begin with '{_COMPONENT}: NAME'", path=where)
            elif not heads:
                heads = [_KNOWN.get(cell.lower(), cell.lower()) for cell in cells]
                missing = [name for name in ("energy", "area", "action") if name not in heads]
                if missing:
                    raise SpecError(f"column '{missing[0]}' is missing", path=where)
            else:
                row = _row(where, dict(zip(heads, cells, strict=False)))
                for name in kind.lower().split("|"):
                    self.rows.setdefault(name.strip(), []).append(row)


def _row(where: str, cells: dict[str, str]) -> Row:
    energy, area = (_number(cells.get(name, "") or "0", where, name) for name in ("energy", "area"))
    actions = tuple(part.strip().lower() for part in cells.get("action", "").split("|") if part.strip())
    if not actions:
        raise SpecError("the action is missing", path=where)
    attributes = {
        tuple(part.strip() for part in head.split("|")): value
        for head, value in cells.items()
        if head and head not in _KNOWN.values()
    }
    return Row(where, attributes, energy, area, actions)


def _number(text: str, where: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e30:
        raise SpecError(f"{name} must be a number of at least 0, got '{text[:40]}'", path=where)
    return value


def _match(row: Row, given: Mapping[str, Any]) -> tuple[int, _Factors]:
    """Return how many attributes of a row equal the given ones, and factors for the others. Raises
    SpecError.
    """
    equal, factors = 0, (1.0, 1.0, 1.0)
    for names, value in row.attributes.items():
        name = next((name for name in names if given.get(name) is not None), None)
        if name is None or value in _ANY:
            equal += name is not None
        elif _same(name, value, given[name]):
            equal += 1
        else:
            more = _scaled(name, value, given[name])
            factors = (factors[0] * more[0], factors[1] * more[1], factors[2] * more[2])
    return equal, factors


def _same(name: str, value: str, wanted: Any) -> bool:
    if name == "technology":
        return node_nm_of(value) == node_nm_of(wanted)
    try:
        return float(value) == float(wanted)
    except (TypeError, ValueError):
        return value.lower() == str(wanted).lower()


def _scaled(name: str, value: str, wanted: Any) -> _Factors:
    """Return factors from the value of a row to the wanted value. Raises SpecError if no rule scales it."""
    if name == "technology":
        nodes = node_nm_of(value), node_nm_of(wanted)
        energy = scale_energy(1.0, *nodes)
        return energy, energy, scale_area(1.0, *nodes)
    rule = _RULES.get(name)
    try:
        have, want = float(value), float(wanted)
        if rule is not None and have > 0 and want > 0:
            return rule(have, want)
    except (TypeError, ValueError, OverflowError):
        pass
    raise SpecError(f"{name} must be '{wanted}', as nothing scales it, got '{value}'")


_RULES: dict[str, Callable[[float, float], _Factors]] = {
    **dict.fromkeys(_LINEAR, lambda a, b: (b / a, b / a, b / a)),
    "depth": lambda a, b: ((b / a) ** _DEPTH_POWER, b / a, b / a),
    "voltage": lambda a, b: ((b / a) ** 2, b / a, 1.0),
    "resolution": lambda a, b: (2.0 ** (b - a),) * 3,
    "global_cycle_seconds": lambda a, b: (1.0, b / a, 1.0),
    "cycle_seconds": lambda a, b: (1.0, 1.0, 1.0),
}
