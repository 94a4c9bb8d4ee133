"""Eyeriss v2, v1.5 and v1 by the chip model, compared with published numbers, and PointNet++ on v2.

    python benchmarks/eyeriss_v2.py [--json FILE] [--document FILE] [--quick]

The published numbers are in `eyeriss_published`. The reasons for deviations are written in the document by
hand. The benchmark takes about eight CPU minutes, most of them for arrays of 16384 PEs, which `--quick`
leaves out; it ends within three.
"""

from pathlib import Path
from typing import Any

import click
import eyeriss_assumptions as assumed
import eyeriss_pointnet as pn
from benchmark import Found, Step, benchmark
from eyeriss_measured import ALEXNET, VGG16, measured_table
from eyeriss_networks import (
    FULL_MOBILENET,
    NETWORKS,
    ORIGINAL,
    SIZES,
    Runs,
    area_mm2,
    pe_area_um2,
    speed_without,
    thousand_gates,
)
from eyeriss_overhead import overhead_table, regression_table, residual_table
from eyeriss_pe import pe_cycle_exact
from eyeriss_published import EXPLAINED, KINDS, SECTIONS, V1, V1_5, V2, Published

from sparsim.machines.eyeriss import load_chip
from sparsim.report.tables import Block, Table

PAGE = Path(__file__).parents[1] / "docs" / "results" / "eyeriss-v2.md"
Row = dict[str, Any]
AIM = 0.15


def compare(rows: list[Published], runs: Runs) -> list[Row]:
    found = []
    for row in rows:
        model = float(row.model(runs))
        near = row.nearest(model)
        found.append({
            "quantity": row.quantity,
            "published": near,
            "range": list(row.value) if isinstance(row.value, tuple) else None,
            "model": model,
            "deviation": model / near - 1.0,
            "source": row.source,
            "set": row.set,
            "kind": row.kind,
        })  # fmt: skip
    return found


def check_explained(rows: list[Row]) -> None:
    """Raises click's error where a large deviation is not explained in the document, which treats the test
    set as a whole.
    """
    text = PAGE.read_text(encoding="utf-8").partition("<!-- explanations -->")[2].partition("<!--")[0]
    far = [row["quantity"] for row in rows if row["set"] != "test" and abs(row["deviation"]) > EXPLAINED]
    if missing := [quantity for quantity in far if quantity not in text]:
        raise click.ClickException(f"no explanation for: {'; '.join(sorted(missing))}")


def published_table(rows: list[Row]) -> Table:
    cells = []
    for row in rows:
        published = " to ".join(f"{x:.4g}" for x in row["range"] or [row["published"]])
        cells.append(
            (
                row["quantity"], row["source"], row["kind"], published, f"{row['model']:.4g}",
                f"{row['deviation']:+.0%}",
            )
        )  # fmt: skip
    return Table(["quantity", "source", "kind", "published", "model", "deviation"], cells)


def within(rows: list[Row], most: float) -> int:
    return sum(abs(row["deviation"]) <= most for row in rows)


def count_lines(rows: list[Row]) -> list[str]:
    """How many numbers are near: of the 42 by kind, of the others by source, and of the test set."""

    def where(**fields: str) -> list[Row]:
        return [row for row in rows if all(row[key] == value for key, value in fields.items())]

    parts = {
        "seen numbers": where(set="compared"),
        **{f"{kind} ones among these": where(set="compared", kind=kind) for kind in KINDS},
        **{f"{name} numbers": where(set="other", source=name) for name in ("derived", "remembered")},
        "numbers of the test set": where(set="test"),
    }
    return [
        f"Of {len(part)} {name} {within(part, AIM)} are within 15 %, {within(part, EXPLAINED)} within 25 %."
        for name, part in parts.items()
    ]


def power_table(rows: list[Row]) -> Table:
    """What inferences/s and inferences/J of the same source imply."""
    both = {row["quantity"]: (row["published"], row["model"]) for row in rows}
    cells = []
    for quantity in both:
        name, _, what = quantity.rpartition(", ")
        if what == "inferences/s":
            watts = zip(both[quantity], both[f"{name}, inferences/J"], strict=True)
            cells.append((name, *(f"{per_s / per_j:.3f}" for per_s, per_j in watts)))
    return Table(["chip and network", "published W", "model W"], cells)


def energy_table(runs: Runs) -> Table:
    """Shares by component."""
    found = {f"v2, {name}": runs.network(V2, workload) for workload, name in NETWORKS.items()}
    found["v1.5, MobileNet"] = runs.network(V1_5, "mobilenet_v1_050_128")
    found["v1, MobileNet"] = runs.network(V1, "mobilenet_v1_050_128")
    parts = {
        "MACs": ("MAC",), "spads": ("weight_spad", "iact_spad", "psum_spad", "iact_reg", "address spads"),
        "GLB": ("iact_glb", "psum_glb"), "NoC": ("NoC",), "clock": ("clock",), "control": ("control",),
    }  # fmt: skip
    rows = []
    for name, network in found.items():
        energy = network.energy_pj
        shares = [sum(energy[part] for part in names) / network.chip_pj for names in parts.values()]
        rows.append((name, *(f"{share:.1%}" for share in shares)))
    return Table(["network", *parts], rows)


def assumption_table(runs: Runs) -> Table:
    """Speed without each assumption."""
    rows = []
    for workload, name in NETWORKS.items():
        gains = speed_without(runs.network(V2, workload)).values()
        rows.append((name, *(f"{gain - 1:+.1%}" for gain in gains)))
    return Table(["network on v2", "waiting", "handing over", "loading weights"], rows)


def scaling_table(runs: Runs) -> Table:
    rows = []
    for name, chip, title in (
        ("AlexNet", V1_5, "mesh"), ("AlexNet", V1, "bus"), (FULL_MOBILENET, V1_5, "mesh"),
        (FULL_MOBILENET, V1, "bus"),
    ):  # fmt: skip
        cycles = [f"{runs.scaled(chip, name, pes).cycles:,}" for pes in SIZES]
        rows.append((f"{name}, {title}", *cycles, *(f"{runs.of_linear(chip, name, n):.1%}" for n in SIZES)))
    heads = (f"{pes} PEs, {what}" if what == "cycles" else f"{pes}, {what}"
             for what in ("cycles", "of linear") for pes in SIZES)  # fmt: skip
    return Table(["network, chip", *heads], rows)


def area_table() -> Table:
    rows = []
    for chip in (ORIGINAL, V1, V1_5, V2):
        loaded = load_chip(chip)
        area, pe = area_mm2(loaded), pe_area_um2(loaded)
        cells = [*area.values(), sum(area.values())]
        rows.append(
            (chip, *(f"{x:.2f}" for x in cells), f"{sum(pe.values()):,.0f}", f"{thousand_gates(loaded):,.0f}")
        )
    heads = ["spads", "MACs", "PE control", "GLB", "routers", "sum"]
    return Table(["chip", *(f"{x} mm2" for x in heads), "one PE um2", "thousand gates of logic"], rows)


@benchmark(quick="No arrays of 16384 PEs.", document=True)
def main(step: Step, quick: bool) -> Found:
    runs = Runs(step)
    sections = {
        name: compare([row for row in rows if not (quick and row.large_array)], runs)
        for name, rows in SECTIONS.items()
    }
    rows = [row for part in sections.values() for row in part]
    if not quick:  # --document cannot be quick
        check_explained(rows)
    study = pn.variants(runs)
    steps, sensitivity = assumed.steps(runs, rows), assumed.sensitivity(runs, rows)
    numbers = {
        "published": [row for row in rows if row["set"] != "test"],
        "test_set": [row for row in rows if row["set"] == "test"],
        "pe_cycle_exact": pe_cycle_exact(),
        "steps": steps,
        "sensitivity": sensitivity,
        "pointnet": pn.records(study),
    }
    blocks: dict[str, Block] = {
        name: published_table(part) for name, part in sections.items() if name != "VGG-16"
    }
    blocks |= {
        "steps": assumed.steps_table(steps),
        "sensitivity": assumed.sensitivity_table(rows, sensitivity),
        "summary": count_lines(rows),
    }
    printed = list(blocks)
    if not quick:  # the document needs everything
        blocks |= {
            "sparse AlexNets": assumed.bracket_table(runs),
            "power": power_table(rows),
            "regression": regression_table(),
            "residual": residual_table(runs),
            "overhead": overhead_table(runs),
            "measured": measured_table(runs.as_published(), ALEXNET),
            "measured, found": measured_table(runs.original(), ALEXNET),
            "measured, VGG-16": measured_table(runs.original("vgg16"), VGG16),
            "energy": energy_table(runs),
            "assumptions": assumption_table(runs),
            "arrays": scaling_table(runs),
            "area": area_table(),
            "pointnet": pn.total_table(study),
            **{f"pointnet {x.split()[0]}": pn.layer_table(study, pn.STUDY, x) for x in pn.VALUES},
            "pointnet traced": pn.both_table(study, pn.TRACED),
        }
    return Found(numbers, blocks, printed)


if __name__ == "__main__":
    main()
