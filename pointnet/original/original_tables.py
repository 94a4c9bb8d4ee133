"""The study's tables: our numbers beside the published ones, on the terminal, as Markdown and as CSV."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pointnet.original.evaluated_runs import Outcome
from pointnet.original.published_runs import DESIGN_TITLES, DESIGNS, SHORT_TITLES, VARIANTS
from sparsim.fileio.json_and_csv import write_csv
from sparsim.fileio.writing import write_text
from sparsim.files.timeloop.stats_writer import reported_gflops
from sparsim.hardware.layer_costs import PJ_PER_UJ, UM2_PER_MM2
from sparsim.model.result import Evaluation
from sparsim.report.tables import Table

COMPONENTS = ("MACs", "psum_spad", "weights_spad", "ifmap_spad", "shared_glb", "DRAM")


class Summary(NamedTuple):
    """The 48 runs as published, under `timeloop-3`, and as published but with dense weights."""

    published: list[Outcome]
    current: list[Outcome]
    dense_weights: list[Outcome]
    agreeing_numbers: int
    numbers: int
    agreeing_runs: int

    def closing_line(self) -> str:
        return (
            f"{self.agreeing_numbers} of {self.numbers} published numbers agree to the printed digits "
            f"({self.agreeing_runs} of {len(self.published)} runs)"
        )


def summarise(published: list[Outcome], current: list[Outcome], dense_weights: list[Outcome]) -> Summary:
    agreements = [agreeing(outcome) for outcome in published]
    return Summary(
        published,
        current,
        dense_weights,
        agreeing_numbers=sum(len(a) - len(differing(a)) for a in agreements),
        numbers=sum(len(a) for a in agreements),
        agreeing_runs=sum(not differing(a) for a in agreements),
    )


def component_energy_pj(evaluation: Evaluation) -> dict[str, float]:
    """Return the energy per component of all its instances, innermost first."""
    energies = {evaluation.compute.name: evaluation.compute.energy_pj}
    energies.update((level.name, level.energy_pj) for level in evaluation.storage)
    return energies


def as_printed(evaluation: Evaluation) -> dict[str, str]:
    """Return our numbers under the names and with the digits of published.csv."""
    computes = evaluation.algorithmic_computes
    numbers = {
        "cycles": f"{evaluation.cycles}",
        "energy_uj": f"{evaluation.energy_pj / PJ_PER_UJ:.2f}",
        "edp_j_cycles": f"{evaluation.edp_j_cycles:.2e}",
        "utilization": f"{evaluation.utilization:.2f}",
        "gflops": f"{reported_gflops(evaluation):.2f}",
        "algorithmic_computes": f"{computes}",
        "actual_computes": f"{evaluation.actual_computes}",
        "pj_per_algorithmic_compute": f"{evaluation.energy_pj / computes:.2f}",
        "pj_per_actual_compute": f"{evaluation.energy_pj / evaluation.actual_computes:.2f}",
    }
    energies = component_energy_pj(evaluation)
    numbers |= {f"{name.lower()}_pj_per_compute": f"{energies[name] / computes:.2f}" for name in COMPONENTS}
    return numbers


def agreeing(outcome: Outcome) -> dict[str, tuple[str, str]]:
    """Return, per published number, (ours, published), both as printed."""
    ours = as_printed(outcome.evaluation)
    return {name: (ours[name], text) for name, text in outcome.run.published.items()}


def differing(numbers: dict[str, tuple[str, str]]) -> list[str]:
    return [name for name, (ours, published) in numbers.items() if ours != published]


# ---- tables, at most 80 columns wide


def tables(summary: Summary) -> Iterator[Table]:
    for design in DESIGNS:
        yield _runs_table(design, summary)
    yield _totals_table(summary.published)
    yield _totals_table(summary.current)
    yield _savings_table(summary)
    yield _components_table(summary)


def _runs_table(design: str, summary: Summary) -> Table:
    rows = []
    for outcome in sorted(summary.published, key=lambda o: o.run.number):
        run = outcome.run
        if run.design != design:
            continue
        numbers = agreeing(outcome)
        pairs = [text for name in ("energy_uj", "cycles", "edp_j_cycles") for text in numbers[name]]
        same = f"{len(numbers) - len(differing(numbers))}/{len(numbers)}"
        rows.append((f"{run.number} {run.variant}", *pairs, same))
    header = ("layer", "energy uJ", "study", "cycles", "study", "EDP J cycles", "study", "equal")
    return Table(header, rows, f"{DESIGN_TITLES[design]}, layer by layer (timeloop-2022)")


def _totals_table(outcomes: list[Outcome]) -> Table:
    rows = []
    for design, variant in _cases():
        chosen = _pick(outcomes, design, variant)
        energy_pj, computes = _energy_pj(chosen), sum(o.evaluation.algorithmic_computes for o in chosen)
        rows.append((
            f"{SHORT_TITLES[design]} {variant}", f"{energy_pj / PJ_PER_UJ:.2f}",
            f"{sum(float(o.run.published['energy_uj']) for o in chosen):.2f}", _cycles(chosen),
            sum(int(o.run.published["cycles"]) for o in chosen), f"{energy_pj / computes:.2f}",
            f"{chosen[0].evaluation.area_um2 / UM2_PER_MM2:.3f}",
        ))  # fmt: skip
    header = ("12 layers", "energy uJ", "study", "cycles", "study", "pJ per MAC", "area mm2")
    return Table(header, rows, f"Totals ({outcomes[0].accounting}; study: sums of its rounded numbers)")


def _savings_table(summary: Summary) -> Table:
    rows = []
    for design in DESIGNS:
        for outcomes in (summary.published, summary.current):
            dense, sparse = (_pick(outcomes, design, variant) for variant in VARIANTS)
            computes = [sum(o.evaluation.actual_computes for o in group) for group in (dense, sparse)]
            saved = (
                1 - _energy_pj(sparse) / _energy_pj(dense), 1 - _cycles(sparse) / _cycles(dense),
                1 - computes[1] / computes[0],
            )  # fmt: skip
            rows.append((f"{SHORT_TITLES[design]}, {outcomes[0].accounting}", *map("{:.1%}".format, saved)))
    return Table(("design", "energy", "cycles", "MACs performed"), rows, "Saved by the sparse variant")


def _components_table(summary: Summary) -> Table:
    rows = []
    for name in COMPONENTS:
        groups = [_pick(summary.published, design, variant) for design, variant in _cases()]
        energies = [sum(component_energy_pj(o.evaluation)[name] for o in group) for group in groups]
        rows.append((name, *(f"{energy / PJ_PER_UJ:.1f}" for energy in energies)))
    header = ("uJ, 12 layers", *(f"{SHORT_TITLES[design]} {variant}" for design, variant in _cases()))
    return Table(header, rows, "Energy per component (timeloop-2022)")


def _cases() -> list[tuple[str, str]]:
    return [(design, variant) for design in DESIGNS for variant in VARIANTS]


def _pick(outcomes: Iterable[Outcome], design: str, variant: str) -> list[Outcome]:
    return [o for o in outcomes if (o.run.design, o.run.variant) == (design, variant)]


def _energy_pj(outcomes: Iterable[Outcome]) -> float:
    return sum(o.evaluation.energy_pj for o in outcomes)


def _cycles(outcomes: Iterable[Outcome]) -> int:
    return sum(o.evaluation.cycles for o in outcomes)


# ---- faults of the study, each with the number that shows it


class Fault(NamedTuple):
    """A fault of the study. `carried` tells whether the reproduction has it, too, and why."""

    name: str
    text: str
    carried: str


def faults(summary: Summary) -> Iterator[Fault]:
    dense = _pick(summary.published, "gating", "dense")
    sparse = [o for o in summary.published if o.run.variant == "sparse"]
    same = sum(
        (a.evaluation.energy_pj, a.evaluation.cycles) == (b.evaluation.energy_pj, b.evaluation.cycles)
        for a, b in zip(summary.published, summary.dense_weights, strict=True)
        if a.run.variant == "sparse"
    )
    prime = dense[3].evaluation.energy_pj / _energy_pj(dense)
    yield Fault(
        "Activation densities of noise.",
        "They were measured on normally distributed points, whose neighbourhoods are nearly empty: 85 % of "
        "the first layer's inputs are zeros, against 10 % on ModelNet10 clouds. Outputs were measured before "
        "batch normalisation.",
        "The reproduction has this fault too: these densities are the published inputs.",
    )
    yield Fault(
        "The baseline is the pruned network.",
        'The "dense" accuracy (94.5 %) is that of the pruned model (94.7 %) under a second name, so the two '
        "do not show what pruning costs. The dense runs have density 1, although an unpruned network has "
        "zeros of activations too.",
        "The reproduction has this fault in part: the published runs come without an accuracy, but the dense "
        "ones keep density 1.",
    )
    yield Fault(
        "Weight sparsity never entered.",
        "Neither design stores weights compressed or looks at their zeros: with dense weights "
        f"{same} of the {len(sparse)} sparse runs give the same energy and cycles to the last bit. All "
        "savings come from zeros of activations, none from pruning 90 % of the weights.",
        "The reproduction has this fault too: the designs are the published ones.",
    )
    yield Fault(
        "A prime channel count.",
        "Layer 4 has C = 131, which perfect factors cannot tile. It takes "
        f"{100 * prime:.0f} % of the dense energy (gating), because it reads its weights from DRAM again and "
        "again.",
        "The reproduction has this fault too: the mappings are the published ones.",
    )


def side_notes(summary: Summary) -> Iterator[str]:
    for design in DESIGNS:
        groups = [_pick(summary.published, design, variant) for variant in VARIANTS]
        column = "pj_per_algorithmic_compute"
        summed = [sum(float(o.run.published[column]) for o in group) for group in groups]
        per_mac = [_energy_pj(g) / sum(o.evaluation.algorithmic_computes for o in g) for g in groups]
        evaluation = groups[0][0].evaluation
        pes = evaluation.compute.instances
        single_um2 = evaluation.compute.area_um2 / pes
        single_um2 += sum(level.area_per_instance_um2 for level in evaluation.storage)
        yield (
            f"{DESIGN_TITLES[design]}: the study summed pJ per MAC over layers ({summed[0]:.2f} dense, "
            f"{summed[1]:.2f} sparse) where energy over MACs is {per_mac[0]:.2f} and {per_mac[1]:.2f}; and "
            f"added the area of one PE ({single_um2 / UM2_PER_MM2:.3f} mm2) where {pes} PEs give "
            f"{evaluation.area_um2 / UM2_PER_MM2:.3f} mm2. The reproduction does not have this fault."
        )


# ---- writers


def write_markdown(path: Path, summary: Summary) -> None:
    lines = ["# The original PointNet++ study, run again", "", summary.closing_line() + ".", ""]
    for table in tables(summary):
        lines += [f"## {table.title}", "", table.to_markdown()]
    lines += ["## Four faults of the study", ""]
    lines += [f"{i}. **{f.name}** {f.text} *{f.carried}*" for i, f in enumerate(faults(summary), start=1)]
    lines += ["", "Besides:", "", *(f"* {text}" for text in side_notes(summary)), ""]
    write_text(path, "\n".join(lines))


def plain(summary: Summary) -> dict[str, object]:
    """Return the results for JSON: how many published numbers agree, and the rows of study.csv."""
    return {
        "numbers": summary.numbers,
        "agreeing_numbers": summary.agreeing_numbers,
        "agreeing_runs": summary.agreeing_runs,
        "runs": [_csv_row(outcome) for outcome in (*summary.published, *summary.current)],
    }


def write_runs(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Write a CSV file with one row per run and accounting."""
    write_csv(path, [_csv_row(outcome) for outcome in outcomes])


def _csv_row(outcome: Outcome) -> dict[str, object]:
    run, evaluation = outcome.run, outcome.evaluation
    row: dict[str, object] = {
        "design": run.design,
        "variant": run.variant,
        "layer": run.number,
        "layer_name": run.layer.name,
        "accounting": outcome.accounting,
    }
    row |= {
        f"{name.lower()}_density": run.layer.density(name).density
        for name in ("Weights", "Inputs", "Outputs")
    }
    row |= {
        "energy_pj": evaluation.energy_pj,
        "cycles": evaluation.cycles,
        "edp_j_cycles": evaluation.edp_j_cycles,
        "utilization_fraction": evaluation.utilization,
        "gflops_at_1_ghz": evaluation.gflops,
        "algorithmic_computes": evaluation.algorithmic_computes,
        "actual_computes": evaluation.actual_computes,
        "area_um2": evaluation.area_um2,
    }
    energies = component_energy_pj(evaluation)
    row |= {f"{name.lower()}_energy_pj": energies[name] for name in COMPONENTS}
    row |= {
        f"published_{name}": text for name, text in run.published.items() if name in ("energy_uj", "cycles")
    }
    return row
