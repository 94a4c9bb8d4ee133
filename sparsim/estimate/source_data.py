"""The numbers behind estimates, read from the CSV files in `data/`, which name their sources."""

import csv
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "data"


class CellRow(NamedTuple):
    """One standard cell synthesised for one latency. `idle_pj` is per cycle of that latency."""

    bits: float
    latency_ns: float
    active_pj: float
    idle_pj: float
    area_um2: float


class SramPoint(NamedTuple):
    """One memory that CACTI computed, with `ports` read-write ports."""

    node_nm: float
    ports: int
    width_bits: int
    depth_words: int
    read_pj: float
    write_pj: float
    area_um2: float
    leakage_mw: float
    cycle_ns: float


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by its heading; lines that start with # are its source."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


@cache
def cells() -> dict[str, list[CellRow]]:
    """Rows by cell, in the order of their latency."""
    found: dict[str, list[CellRow]] = {}
    for row in read_rows(_FOLDER / "aladdin.csv"):
        numbers = [float(row[field]) for field in CellRow._fields]
        found.setdefault(row["cell"], []).append(CellRow(*numbers))
    return {name: sorted(rows, key=lambda row: row.latency_ns) for name, rows in found.items()}


@cache
def sram_sweep() -> list[SramPoint]:
    """Return the points between which values are interpolated."""
    return _sram_points("cacti7_sram.csv")


@cache
def sram_held_back() -> list[SramPoint]:
    """Return points that are not used for interpolation."""
    return _sram_points("cacti7_held_back.csv")


def _sram_points(name: str) -> list[SramPoint]:
    kinds: list[Callable[[str], float]] = [float, int, int, int, float, float, float, float, float]
    return [
        SramPoint(*(kind(row[field]) for kind, field in zip(kinds, SramPoint._fields, strict=True)))  # type: ignore[arg-type]
        for row in read_rows(_FOLDER / name)
    ]


@cache
def dram_types() -> dict[str, tuple[float, str]]:
    """pJ per bit, and its source, by type of DRAM."""
    return {row["type"]: (float(row["pj_per_bit"]), row["source"]) for row in read_rows(_FOLDER / "dram.csv")}


@cache
def constants() -> dict[str, float]:
    """Single numbers by name; the file has their units and sources."""
    return {row["name"]: float(row["value"]) for row in read_rows(_FOLDER / "constants.csv")}


@cache
def area_ratios() -> dict[float, dict[float, float]]:
    """Area at a node (inner key, nm) per area at another (outer key, nm)."""
    return {
        float(row.pop("from_nm")): {float(node): float(ratio) for node, ratio in row.items()}
        for row in read_rows(_FOLDER / "scaling_area.csv")
    }


@cache
def energy_polynomials() -> dict[float, tuple[float, float, float]]:
    """(a2, a1, a0) by node (nm): energy is proportional to a2 V^2 + a1 V + a0."""
    return {
        float(row["node_nm"]): (float(row["a2"]), float(row["a1"]), float(row["a0"]))
        for row in read_rows(_FOLDER / "scaling_energy.csv")
    }
