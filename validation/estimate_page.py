"""`python -m validation.estimate_page`: estimates beside published tables and other sources.

Writes the tables of docs/results/estimate-results.md. The inputs lie in `validation/estimates`.
"""

import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import click
from msgspec.structs import replace

from sparsim.estimate import Component, Estimate, estimate, estimate_all
from sparsim.estimate.memory import Quantity, held_back_errors, interpolation_error
from sparsim.estimate.source_data import SramPoint, read_rows, sram_sweep
from sparsim.files.sparsim_yaml import load_documents
from sparsim.report.tables import Table, write_blocks

PAGE = Path(__file__).parents[1] / "docs" / "results" / "estimate-results.md"
FOLDER = Path(__file__).parent / "estimates"
PRINTED_STEP = 1e-5  # of Accelergy's tables
QUANTITIES: tuple[Quantity, ...] = ("read_pj", "write_pj", "area_um2", "leakage_mw", "cycle_ns")


class Published(NamedTuple):
    """A published number and our estimate."""

    set: str
    component: str
    quantity: str
    published: str
    estimated: float

    @property
    def agrees(self) -> bool:
        """Return whether our number may be printed as the published one, that is, differs by at most half a
        step.
        """
        return abs(self.estimated - float(self.published)) <= PRINTED_STEP / 2 * (1 + 1e-6)


def published() -> list[Published]:
    """Return every row of published.csv with its estimate."""
    estimates = estimate_all(load_documents([FOLDER / "accelergy_2022.yaml"]).components)
    return [
        Published(**row, estimated=_number(estimates[row["component"]], row["quantity"]))
        for row in read_rows(FOLDER / "published.csv")
    ]


def _number(found: Estimate, quantity: str) -> float:
    return found.area_um2 if quantity == "area" else found.actions[quantity].energy_pj


def parts() -> dict[str, Component]:
    return {part.name: part for part in load_documents([FOLDER / "parts.yaml"]).components}


def first_energy(found: Estimate) -> float:
    """Return the pJ of the action that the estimator lists first: read, add, transfer, ..."""
    return next(iter(found.actions.values())).energy_pj


class Falls(NamedTuple):
    """How often a quantity of the sweep falls, from one point to the next larger one of a size."""

    quantity: str
    size: str
    falls: int
    pairs: int


def falls() -> Iterable[Falls]:
    for quantity in QUANTITIES:
        for size in ("width_bits", "depth_words", "ports", "node_nm"):
            pairs = list(_neighbours(size))
            down = sum(getattr(b, quantity) < getattr(a, quantity) for a, b in pairs)
            yield Falls(quantity, size, down, len(pairs))


def _neighbours(size: str) -> Iterable[tuple[SramPoint, SramPoint]]:
    """Yield adjacent points of the sweep that differ in `size` only."""
    lines: dict[SramPoint, list[SramPoint]] = {}
    for point in sram_sweep():
        rest = {"read_pj": 0, "write_pj": 0, "area_um2": 0, "leakage_mw": 0, "cycle_ns": 0, size: 0}
        lines.setdefault(point._replace(**rest), []).append(point)
    for line in lines.values():
        line.sort(key=lambda point: float(getattr(point, size)))
        yield from itertools.pairwise(line)


def tables() -> dict[str, Table]:
    """Return the tables of the page by their place."""
    agreement = [(*row[:4], f"{row.estimated:.5f}", "yes" if row.agrees else "**no**") for row in published()]
    falling = [(f.quantity, f.size, f.falls, f.pairs) for f in falls()]
    return {
        "published": Table(
            ("set", "component", "quantity", "published", "estimate", "agrees"), agreement, text=(0, 1, 2)
        ),
        "classes": _classes(),
        "interpolation": _interpolation(),
        "falls": Table(("quantity", "along", "falls", "pairs"), falling, text=(0, 1)),
        "parts": _parts(),
        "Horowitz": _horowitz(),
    }


def _interpolation() -> Table:
    rows = []
    for quantity in QUANTITIES:
        errors = held_back_errors(quantity)
        mean, median = math.fsum(errors) / len(errors), errors[len(errors) // 2]
        shares = (mean, median, interpolation_error(quantity), errors[-1])
        rows.append((quantity, len(errors), *(f"{share:.1%}" for share in shares)))
    return Table(("quantity", "points", "mean", "median", "90 %", "largest"), rows)


def _parts() -> Table:
    others = {
        (row["component"], float(row["node_nm"])): row for row in read_rows(FOLDER / "hwcomponents.csv")
    }
    rows = []
    for name, part in parts().items():
        row = [name]
        for node in (45.0, 65.0):
            found = estimate(replace(part, node_nm=node))
            write = found.actions.get("write")
            other = others.get((name, node), {"energy_pj": "", "write_pj": "", "area_um2": ""})
            row += [
                _pair(first_energy(found), write.energy_pj if write else None), f"{found.area_um2:.0f}",
                _pair(*(float(other[k]) if other[k] else None for k in ("energy_pj", "write_pj"))),
                f"{float(other['area_um2']):.0f}" if other["area_um2"] else "",
            ]  # fmt: skip
        rows.append(row)
    heads = [f"{node} nm {what}" for node in (45, 65) for what in ("pJ", "um2", "hwc pJ", "hwc um2")]
    return Table(("part", *heads), rows)


def _pair(energy_pj: float | None, write_pj: float | None) -> str:
    if energy_pj is None:
        return ""
    return f"{energy_pj:.4g}" if write_pj in (None, energy_pj) else f"{energy_pj:.4g} / {write_pj:.4g}"


def class_ratios() -> list[tuple[str, str, dict[str, tuple[float, float]]]]:
    """Class and attributes, set, and per quantity the published number and ours.

    Classes of public plug-ins at 1 ns, as the published tables have it where they say nothing else.
    """
    found = []
    for row in read_rows(FOLDER / "accelergy_classes.csv"):
        pairs = (pair.split("=") for pair in row["attributes"].split())
        attributes: dict[str, int | float | str] = {"global_cycle_seconds": 1e-9}
        attributes |= {key: float(value) for key, value in pairs}
        node = f", {row['node_nm']} nm" if row["node_nm"] else ""
        ours = estimate(
            Component(
                name="part", class_name=row["class"], rules="accelergy", attributes=attributes,
                node_nm=float(row["node_nm"]) if node else None,
            )
        )  # fmt: skip
        numbers = {
            "access": first_energy(ours),
            "write": ours.actions["write"].energy_pj if "write" in ours.actions else 0.0,
            "leak": ours.actions["leak"].energy_pj,
            "area": ours.area_um2,
        }
        what = f"{row['class']} {row['attributes']}{node}"
        quantities = {key: (float(row[key]), own) for key, own in numbers.items() if row[key]}
        found.append((what, row["set"], quantities))
    return found


def _classes() -> Table:
    rows = []
    for what, source, quantities in class_ratios():
        access, own = quantities["access"]
        rows.append((what, source, f"{access:.4g}", f"{own:.4g}", *(_ratio(quantities.get(key)) for key in
                     ("access", "write", "leak", "area"))))  # fmt: skip
    heads = ("component", "set", "published pJ", "estimate pJ", "access", "write", "leak", "area")
    return Table(heads, rows, text=(0, 1))


def _ratio(pair: tuple[float, float] | None) -> str:
    """Return our number divided by the published one."""
    if pair is None:
        return ""
    published, own = pair
    if published == own:
        return "1"
    return f"{own / published:.3g}" if published else f"{own:.2g} for 0"


def _horowitz() -> Table:
    rows = []
    for row in read_rows(FOLDER / "horowitz.csv"):
        attributes: dict[str, int | float | str] = {
            key: int(value) for key, value in (x.split("=") for x in row["attributes"].split())
        }
        found = estimate(Component(name="part", class_name=row["class"], node_nm=45, attributes=attributes))
        ours = f"{first_energy(found):.3g}", f"{found.area_um2:.0f}"
        name = f"{row['class']} {row['attributes']}"
        rows.append((name, row["energy_pj"], ours[0], row["area_um2"], ours[1]))
    return Table(("component", "Horowitz pJ", "estimate pJ", "Horowitz um2", "estimate um2"), rows)


@click.command()
def main() -> None:
    """Write the tables of docs/results/estimate-results.md anew. Exits with 1 if a number is missed."""
    write_blocks(PAGE, tables())
    missed = [row for row in published() if not row.agrees]
    for row in missed:
        click.echo(
            f"{row.component} {row.quantity}: published {row.published}, estimated {row.estimated:.8g}"
        )
    raise SystemExit(bool(missed))


if __name__ == "__main__":
    main(prog_name="python -m validation.estimate_page")
