"""Eyeriss v2, v1.5 and v1 by the chip model, beside what is published of them; and PointNet++ on v2.

    python benchmarks/eyeriss_v2.py [--json FILE] [--document FILE] [--quick]

The published numbers are in `eyeriss_published`, why ours deviate in `eyeriss_notes`. Some eight CPU minutes,
most of them for arrays of 16384 PEs, which `--quick` leaves out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress

from pointnet.text_tables import markdown, table, write_blocks

sys.path.insert(0, str(Path(__file__).parent))
import eyeriss_pointnet as pn
from evaluate import machine
from eyeriss_model import FULL_MOBILENET, NETWORKS, SIZES, Runs, area_mm2, pe_area_um2, speed_without
from eyeriss_notes import NOTES
from eyeriss_overhead import GATES, measured_lines, overhead, per_chip, residual_lines, residuals
from eyeriss_published import EXPLAINED, SECTIONS, V1, V1_5, V2, Published

from sparsim.fileio.writing import write_text
from sparsim.machines.eyeriss import load_chip
from validation.sparse_pe_page import run_layers

Row = dict[str, Any]
Lines = list[list[str]]
AIM = 0.15
LARGEST = str(max(SIZES))


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


def explained(rows: list[Row]) -> list[str]:
    """Notes of the quantities with large deviations. Raises click's error where one has none."""
    far = {row["quantity"] for row in rows if abs(row["deviation"]) > EXPLAINED}
    missing = far - {quantity for note in NOTES for quantity in note.quantities}
    if missing:
        raise click.ClickException(f"no explanation for: {'; '.join(sorted(missing))}")
    found = []
    for note in NOTES:
        about = [quantity for quantity in note.quantities if quantity in far]
        if about:
            found.append(f"{'; '.join(about)}. {note.text}")
    return found


def published_lines(rows: list[Row]) -> Lines:
    lines = [["quantity", "source", "published", "model", "deviation"]]
    for row in rows:
        low_high = row["range"]
        published = f"{row['published']:.4g}"
        if low_high:
            published = " to ".join(f"{x:.4g}" for x in low_high)
        cells = [published, f"{row['model']:.4g}", f"{row['deviation']:+.0%}"]
        lines.append([row["quantity"], row["source"], *cells])
    return lines


def count_lines(rows: list[Row]) -> list[str]:
    found = []
    for source in ("seen", "derived", "remembered"):
        deviations = [abs(row["deviation"]) for row in rows if row["source"] == source]
        aim, near = (sum(d <= most for d in deviations) for most in (AIM, EXPLAINED))
        found.append(f"Of {len(deviations)} {source} numbers {aim} are within 15 %, {near} within 25 %.")
    return found


def power_lines(rows: list[Row]) -> Lines:
    """What inferences/s and inferences/J of the same source imply."""
    both = {row["quantity"]: (row["published"], row["model"]) for row in rows}
    lines = [["chip and network", "published W", "model W"]]
    for quantity in both:
        name, _, what = quantity.rpartition(", ")
        if what == "inferences/s":
            watts = zip(both[quantity], both[f"{name}, inferences/J"], strict=True)
            lines.append([name, *(f"{per_s / per_j:.3f}" for per_s, per_j in watts)])
    return lines


def overhead_lines(runs: Runs) -> Lines:
    lines = [["chip", "thousand gates", "clock pJ per cycle", "control pJ per busy PE and cycle"]]
    for chip, (clock, control) in per_chip(overhead(residuals(runs))).items():
        lines.append([chip, f"{GATES[chip]:,.0f}", f"{clock:.0f}", f"{control:.2f}"])
    return lines


def energy_lines(runs: Runs) -> Lines:
    """Shares by component."""
    found = {f"v2, {name}": runs.network(V2, workload) for workload, name in NETWORKS.items()}
    found["v1.5, MobileNet"] = runs.network(V1_5, "mobilenet_v1_050_128")
    found["v1, MobileNet"] = runs.network(V1, "mobilenet_v1_050_128")
    parts = {
        "MACs": ("MAC",), "spads": ("weight_spad", "iact_spad", "psum_spad", "iact_reg", "address spads"),
        "GLB": ("iact_glb", "psum_glb"), "NoC": ("NoC",), "clock": ("clock",), "control": ("control",),
    }  # fmt: skip
    lines = [["network", *parts]]
    for name, network in found.items():
        energy = network.energy_pj
        shares = [sum(energy[part] for part in names) / network.chip_pj for names in parts.values()]
        lines.append([name, *(f"{share:.1%}" for share in shares)])
    return lines


def assumption_lines(runs: Runs) -> Lines:
    """Speed without each assumption."""
    lines = [["network on v2", "waiting", "handing over", "loading weights"]]
    for workload, name in NETWORKS.items():
        network = runs.network(V2, workload)
        gains = [f"{gain - 1:+.1%}" for gain in speed_without(network).values()]
        lines.append([name, *gains])
    return lines


def scaling_lines(runs: Runs) -> Lines:
    lines = [
        ["network, chip", *(f"{pes} PEs, cycles" for pes in SIZES), *(f"{pes}, of linear" for pes in SIZES)]
    ]
    for name in ("AlexNet", FULL_MOBILENET):
        for chip, title in ((V1_5, "mesh"), (V1, "bus")):
            cycles = [f"{runs.scaled(chip, name, pes).cycles:,}" for pes in SIZES]
            parts = [f"{runs.of_linear(chip, name, pes):.1%}" for pes in SIZES]
            lines.append([f"{name}, {title}", *cycles, *parts])
    return lines


def area_lines() -> Lines:
    lines = [["chip", "spads mm2", "MACs mm2", "GLB mm2", "routers mm2", "sum mm2", "one PE um2"]]
    for chip in (V1_5, V2):
        area, pe = area_mm2(load_chip(chip)), pe_area_um2(load_chip(chip))
        cells = [*area.values(), sum(area.values())]
        lines.append([chip, *(f"{x:.2f}" for x in cells), f"{sum(pe.values()):,.0f}"])
    return lines


def sections(quick: bool) -> dict[str, list[Published]]:
    if not quick:
        return SECTIONS
    return {name: rows for name, rows in SECTIONS.items() if name != "scaling"}


def blocks(runs: Runs, result: Row) -> dict[str, str]:
    """The parts of the document that are written anew."""
    rows = result["published"]
    exact = (
        f"The PE's cycles are exact in {result['pe_cycle_exact']} of 8 layers ([sparse-pe.md](sparse-pe.md))."
    )
    found = {name: markdown(published_lines(part)) for name, part in result["sections"].items()}
    study = result["variants"]
    return found | {
        "summary": "".join(f"* {line}\n" for line in [*count_lines(rows), exact]),
        "explanations": "".join(f"* {line}\n" for line in explained(rows)),
        "power": markdown(power_lines(rows)),
        "residual": markdown(residual_lines(residuals(runs))),
        "overhead": markdown(overhead_lines(runs)),
        "measured": markdown(measured_lines(runs)),
        "energy": markdown(energy_lines(runs)),
        "assumptions": markdown(assumption_lines(runs)),
        "arrays": markdown(scaling_lines(runs)),
        "area": markdown(area_lines()),
        "pointnet": markdown(pn.total_lines(study)),
        **{
            f"pointnet {value.split()[0]}": markdown(pn.layer_lines(study, pn.STUDY, value))
            for value in pn.VALUES
        },
        "pointnet traced": markdown(pn.both_lines(study, pn.TRACED)),
    }  # fmt: skip


def measure(runs: Runs, quick: bool) -> Row:
    parts = {name: compare(rows, runs) for name, rows in sections(quick).items()}
    runs.step("PEs")
    exact = sum(row.twin == row.exact for row in run_layers())
    return {
        "machine": machine(),
        "quick": quick,
        "sections": parts,
        "published": [row for rows in parts.values() for row in rows],
        "pe_cycle_exact": exact,
        "variants": [] if quick else pn.variants(runs),
    }


@click.command(help=__doc__)
@click.option(
    "--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write the numbers here."
)
@click.option(
    "--document", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Renew its tables."
)
@click.option("--quick", is_flag=True, help="Neither larger arrays nor PointNet++.")
def main(json_path: Path | None, document: Path | None, quick: bool) -> None:
    if quick and document:
        raise click.UsageError("--document needs everything, leave out --quick")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        runs = Runs(lambda what: progress.update(task, description=what))
        result = measure(runs, quick)
        texts = blocks(runs, result) if document else {}
    console = Console()
    console.print(table(published_lines(result["published"]), "published and model"))
    for line in count_lines(result["published"]):
        console.print(line)
    if document:
        write_blocks(document, texts)
    if json_path:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        kept = {key: value for key, value in result.items() if key not in ("sections", "variants")}
        kept["pointnet"] = pn.records(result["variants"])
        write_text(json_path, json.dumps(kept, indent=2) + "\n")


if __name__ == "__main__":
    main()
