"""Eyeriss v2, v1.5 and v1 by the chip model, compared with published numbers, and PointNet++ on v2.

    python benchmarks/eyeriss_v2.py [--json FILE] [--document FILE] [--quick]

The published numbers are in `eyeriss_published`. The reasons for deviations are written in the document by
hand. The benchmark takes about eight CPU minutes, most of them for arrays of 16384 PEs, which `--quick`
leaves out.
"""

from pathlib import Path
from typing import Any

import click
import eyeriss_pointnet as pn
from benchmark import Found, Step, benchmark
from eyeriss_networks import FULL_MOBILENET, NETWORKS, SIZES, Runs, area_mm2, pe_area_um2, speed_without
from eyeriss_overhead import GATES, measured_table, overhead, per_chip, residual_table, residuals
from eyeriss_published import EXPLAINED, SECTIONS, V1, V1_5, V2, Published

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
        })  # fmt: skip
    return found


def check_explained(rows: list[Row]) -> None:
    """Raises click's error where a large deviation is not explained in the document."""
    text = PAGE.read_text(encoding="utf-8").partition("<!-- explanations -->")[2].partition("<!--")[0]
    far = [row["quantity"] for row in rows if abs(row["deviation"]) > EXPLAINED]
    if missing := [quantity for quantity in far if quantity not in text]:
        raise click.ClickException(f"no explanation for: {'; '.join(sorted(missing))}")


def published_table(rows: list[Row]) -> Table:
    cells = []
    for row in rows:
        published = " to ".join(f"{x:.4g}" for x in row["range"] or [row["published"]])
        cells.append(
            (row["quantity"], row["source"], published, f"{row['model']:.4g}", f"{row['deviation']:+.0%}")
        )
    return Table(["quantity", "source", "published", "model", "deviation"], cells)


def count_lines(rows: list[Row]) -> list[str]:
    found = []
    for source in ("seen", "derived", "remembered"):
        deviations = [abs(row["deviation"]) for row in rows if row["source"] == source]
        aim, near = (sum(d <= most for d in deviations) for most in (AIM, EXPLAINED))
        found.append(f"Of {len(deviations)} {source} numbers {aim} are within 15 %, {near} within 25 %.")
    return found


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


def overhead_table(runs: Runs) -> Table:
    rows = [
        (chip, f"{GATES[chip]:,.0f}", f"{clock:.0f}", f"{control:.2f}")
        for chip, (clock, control) in per_chip(overhead(residuals(runs))).items()
    ]
    head = ["chip", "thousand gates", "clock pJ per cycle", "control pJ per busy PE and cycle"]
    return Table(head, rows)


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
    for name in ("AlexNet", FULL_MOBILENET):
        for chip, title in ((V1_5, "mesh"), (V1, "bus")):
            cycles = [f"{runs.scaled(chip, name, pes).cycles:,}" for pes in SIZES]
            rows.append(
                (f"{name}, {title}", *cycles, *(f"{runs.of_linear(chip, name, n):.1%}" for n in SIZES))
            )
    heads = (f"{pes} PEs, {what}" if what == "cycles" else f"{pes}, {what}"
             for what in ("cycles", "of linear") for pes in SIZES)  # fmt: skip
    return Table(["network, chip", *heads], rows)


def area_table() -> Table:
    rows = []
    for chip in (V1_5, V2):
        area, pe = area_mm2(load_chip(chip)), pe_area_um2(load_chip(chip))
        cells = [*area.values(), sum(area.values())]
        rows.append((chip, *(f"{x:.2f}" for x in cells), f"{sum(pe.values()):,.0f}"))
    head = ["chip", "spads mm2", "MACs mm2", "GLB mm2", "routers mm2", "sum mm2", "one PE um2"]
    return Table(head, rows)


@benchmark(quick="Neither larger arrays nor PointNet++.", document=True)
def main(step: Step, quick: bool) -> Found:
    runs = Runs(step)
    sections = {
        name: compare(rows, runs) for name, rows in SECTIONS.items() if name != "scaling" or not quick
    }
    rows = [row for part in sections.values() for row in part]
    check_explained(rows)
    study = [] if quick else pn.variants(runs)
    numbers = {"published": rows, "pointnet": pn.records(study)}
    blocks: dict[str, Block] = {name: published_table(part) for name, part in sections.items()}
    blocks["summary"] = count_lines(rows)
    printed = list(blocks)
    if not quick:
        blocks |= {
            "power": power_table(rows),
            "residual": residual_table(residuals(runs)),
            "overhead": overhead_table(runs),
            "measured": measured_table(runs),
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
