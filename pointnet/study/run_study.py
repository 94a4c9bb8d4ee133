"""The study, done right: train, prune, trace, map, cost, report; what is done is not done again."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import numpy
import pyarrow
import torch
from msgspec.structs import replace
from pyarrow import parquet
from rich.console import Console

from pointnet.data import Dataset
from pointnet.original import original_tables as original
from pointnet.original.evaluated_runs import PUBLISHED_ACCOUNTING
from pointnet.original.published_runs import DESIGNS, runs
from pointnet.original.reproduce import reproduce
from pointnet.study import design_costs as cost_models
from pointnet.study import machine_costs, pruning_comparison, study_figures
from pointnet.study.cloud_costs import CloudCosts, cloud_costs
from pointnet.study.design_costs import BOTH, DENSE, PLAIN, VARIANTS
from pointnet.study.design_error_bars import design_error_bars
from pointnet.study.findings import Compared, Findings, compared
from pointnet.study.pruning_comparison import CONTROL
from pointnet.study.savings import savings
from pointnet.study.stage_cache import Stages, program_digest
from pointnet.study.study_networks import Network, Plan, Traced, trace_all, train
from pointnet.study.study_report import report
from pointnet.training.run_training import data_of
from sparsim import __version__
from sparsim.cache import digest_of
from sparsim.fileio.json_and_csv import write_csv, write_json
from sparsim.fileio.writing import write_bytes, write_text
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.hardware import NetworkCost
from sparsim.hardware.layer_costs import PJ_PER_UJ
from sparsim.mapper.search import search
from sparsim.model.evaluate import evaluate
from sparsim.report.figure_style import inline_svg, standalone

PRIME_LAYER = 4


def run_study(plan: Plan, output: Path, designs: Sequence[str], console: Console) -> dict[str, Any]:
    """Run the study: train, prune, trace, map, cost and report.

    Parameters
    ----------
    plan : Plan
        What is trained, pruned and measured.
    output : Path
        Folder for report.html, results.json, results.csv, results.parquet, figures/, workloads/ and
        reproduction/. Finished stages are stored in stages/ and are not repeated.
    designs : sequence of str
        Names of the designs on which networks are costed.
    console : rich.console.Console
        Console on which progress is shown.

    Returns
    -------
    dict
        The content of results.json.

    Notes
    -----
    Raises `ConfigError` for an unknown design, and the errors of training, tracing and the model.
    """
    for design in designs:
        cost_models.check_design(design)
    pruning_comparison.check(plan.comparison)
    stages = Stages(output / "stages", lambda name, kept: _tell(console, name, kept))
    data = data_of(plan.settings, console)  # first: what is wrong with it shall not take a minute to show
    reproduction = stages.run("reproduction", [], lambda: _reproduction(output, console), _reproduced(output))
    primes = stages.run("prime", [], _primes)
    networks = train(plan, data, stages, console)
    traces = trace_all(plan, data, networks, stages, output / "workloads")
    costs = {design: _costs(design, plan, traces, stages, console) for design in designs}
    clouds = {design: _clouds(design, plan, traces, costs[design], stages, console) for design in designs}
    by_energy = _by_energy(plan, designs)
    machines = _machines(compared(plan.pruned, by_energy and by_energy[0]), traces, costs, stages, console)
    found = Findings(
        _facts(plan, data, networks), networks, plan.pruned, plan.names_of_pruned, by_energy,
        traces, costs, clouds, machines, reproduction, primes,
    )  # fmt: skip
    return _write(found, output)


def _by_energy(plan: Plan, designs: Sequence[str]) -> tuple[str, str] | None:
    """The network that was pruned by energy, and the design on whose chip."""
    for design in designs:
        if plan.by_energy is not None and cost_models.CHIPS.get(design) == plan.hardware:
            return plan.by_energy, design
    return None


def _tell(console: Console, name: str, kept: bool) -> None:
    console.print(f"study: {name}" + (" (done before)" if kept else ""), highlight=False, markup=False)


# ---- stages


def _reproduced(output: Path) -> list[Path]:
    return [output / "reproduction" / name for name in ("study.csv", "report.md", "breakdown.png")]


def _reproduction(output: Path, console: Console) -> dict[str, Any]:
    with _status(console, "evaluating the 48 published runs (the very first run compiles kernels)"):
        summary = reproduce(output / "reproduction")
    inputs = {
        run.layer.name: f"{run.layer.density('Inputs').density:.2f}" for run in runs() if run.variant != DENSE
    }
    return {
        "closing": summary.closing_line(),
        "reproduced": summary.agreeing_runs,
        "tables": [
            {"title": table.title, "head": table.head, "rows": table.rows}
            for table in original.tables(summary)
        ],
        "faults": [fault._asdict() for fault in original.faults(summary)],
        "notes": list(original.side_notes(summary)),
        "densities": [{"name": name, "inputs": value} for name, value in inputs.items()],
    }


def _primes() -> list[dict[str, Any]]:
    """Layer 4 of the study as published, and with the best mapping that may cut C short."""
    rows = []
    for run in runs():
        if run.number != PRIME_LAYER:
            continue
        accelerator = load_accelerator(DESIGNS[run.design])
        published = evaluate(accelerator, run.layer, run.mapping, accounting=PUBLISHED_ACCOUNTING)
        found = search(
            replace(accelerator, mapspace=cost_models.mapspace_of(run.layer)), run.layer,
            objective=cost_models.OBJECTIVE, accounting=PUBLISHED_ACCOUNTING,
        ).uncut()  # fmt: skip
        rows.append({
            "design": run.design, "variant": run.variant,
            "published_uj": published.energy_pj / PJ_PER_UJ, "published_cycles": published.cycles,
            "imperfect_uj": found.energy_pj / PJ_PER_UJ, "imperfect_cycles": found.cycles,
        })  # fmt: skip
    return rows


def _costs(
    design: str, plan: Plan, traces: Mapping[str, Traced], stages: Stages, console: Console
) -> dict[str, NetworkCost]:
    """The costs by variant, and by name those of the pruned networks as they are."""
    control = traces[CONTROL].layers()
    found = cost_models.variants(control, traces[plan.pruned].layers())
    for name in plan.names_of_pruned:
        found[name] = cost_models.variants(control, traces[name].layers())[BOTH]
    costs: dict[str, NetworkCost] = {}
    for variant, layers in found.items():
        if variant == plan.pruned:
            costs[variant] = costs[BOTH]
            continue

        def compute(variant: str = variant, layers: Sequence[Any] = layers) -> dict[str, Any]:
            with _status(console, f"{design}, {variant}") as tell:
                return cost_models.cost(design, layers, tell).plain()

        said = [layer.to_dict() for layer in layers]
        costs[variant] = NetworkCost.of(stages.run(f"cost-{design}-{variant}", said, compute))
    return costs


def _clouds(
    design: str, plan: Plan, traces: Mapping[str, Traced], costs: Mapping[str, NetworkCost], stages: Stages,
    console: Console,
) -> dict[str, CloudCosts]:  # fmt: skip
    """The costs of clouds by variant, for the networks that the report compares."""
    found = {}
    for network, variant, _ in compared(plan.pruned, plan.by_energy):
        traced, cost = traces[network], costs[variant]

        def compute(name: str = network, traced: Traced = traced, cost: NetworkCost = cost) -> dict[str, Any]:
            with _status(console, f"{design}, single clouds of {name}"):
                return cloud_costs(design, traced.layers(), cost, traced.clouds)._asdict()

        said = [traced.document, traced.clouds, cost.plain()]
        found[variant] = CloudCosts(**stages.run(f"clouds-{design}-{network}", said, compute))
    return found


def _machines(
    networks: list[Compared], traces: Mapping[str, Traced], costs: Mapping[str, Mapping[str, NetworkCost]],
    stages: Stages, console: Console,
) -> machine_costs.Runs:  # fmt: skip
    """By machine and title of a network."""

    def compute() -> dict[str, Any]:
        with _status(console, "further machines") as tell:
            return machine_costs.plain(machine_costs.machine_costs(networks, traces, costs, tell))

    said = [
        [each, traces[each.network].document, [by[each.variant].plain() for by in costs.values()]]
        for each in networks
    ]
    return machine_costs.runs_of(stages.run("machines", [list(costs), said], compute))


@contextmanager
def _status(console: Console, text: str) -> Iterator[Any]:
    """What is being done, on a terminal; yields a function that takes the part at hand."""
    with console.status(text) as status:
        yield lambda part: status.update(f"{text}: {part}")


# ---- what is written


def _write(found: Findings, output: Path) -> dict[str, Any]:
    drawn = study_figures.draw_all(found)
    figures = {name: inline_svg(figure, text) for name, (figure, text) in drawn.items()}
    results = _results(found)
    (output / "figures").mkdir(exist_ok=True)
    for name, svg in figures.items():
        write_text(output / "figures" / f"{name}.svg", standalone(svg))
    write_text(output / "report.html", report(found, figures))
    write_json(output / "results.json", results)
    rows = list(_rows(found))
    write_csv(output / "results.csv", rows)
    write_bytes(output / "results.parquet", _parquet(rows))
    return results


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue())


def _results(found: Findings) -> dict[str, Any]:
    designs = {
        design: {variant: _summary(cost, _network(found, variant)) for variant, cost in costs.items()}
        for design, costs in found.costs.items()
    }
    shares = {
        design: {
            quantity: {layer: saved._asdict() for layer, saved in rows.items()}
            for quantity, rows in savings(costs).items()
        }
        for design, costs in found.costs.items()
    }
    return {
        "reproduced": found.reproduction["reproduced"],
        "designs": designs,
        "saved": shares,
        "error_bars": {
            design: {
                quantity: {name: bar._asdict() for name, bar in by_name.items()}
                for quantity, by_name in bars._asdict().items()
            }
            for design, costs in found.costs.items()
            for bars in [design_error_bars(design, costs)]
            if bars is not None
        },
        "clouds": {
            design: {variant: clouds._asdict() for variant, clouds in by_variant.items()}
            for design, by_variant in found.clouds.items()
        },
        "machines": {
            machine: {name: {**run._asdict(), "per_s": run.per_s} for name, run in runs.items()}
            for machine, runs in found.machines.items()
        },
        "networks": {name: network._asdict() for name, network in found.networks.items()},
        "prime": list(found.primes),
        "facts": dict(found.facts),
    }


def _network(found: Findings, variant: str) -> Network:
    """The network whose accuracy a variant has: `activations` and `weights` only count the pruned network
    differently.
    """
    if variant in VARIANTS:
        return found.networks[CONTROL if variant in (PLAIN, DENSE) else found.pruned]
    return found.networks[variant]


def _summary(cost: NetworkCost, network: Network) -> dict[str, Any]:
    return {
        "energy_uj": cost.energy_uj,
        "cycles": cost.cycles,
        "accuracy": network.accuracy,
        "network": network.name,
        "edp_j_cycles": cost.edp_j_cycles,
        "pj_per_mac": cost.pj_per_mac,
        "utilization": cost.utilization,
        "area_um2": sum(cost.area_um2.values()),
    }


def _rows(found: Findings) -> Iterator[dict[str, Any]]:
    """One per design, variant and layer; columns of components that a design lacks are empty."""
    costs = [cost for by_variant in found.costs.values() for cost in by_variant.values()]
    names = dict.fromkeys(name for cost in costs for name in cost.layers[0].energy_pj)
    for design, by_variant in found.costs.items():
        for variant, cost in by_variant.items():
            for layer in cost.layers:
                yield {
                    "design": design, "variant": variant, "layer": layer.layer, "macs": layer.macs,
                    "cycles": layer.cycles, "utilization_fraction": layer.utilization,
                    "energy_pj": layer.total_pj, "edp_j_cycles": layer.edp_j_cycles,
                    "pj_per_mac": layer.pj_per_mac,
                    **{f"{name} pj": layer.energy_pj.get(name) for name in names},
                }  # fmt: skip


def _facts(plan: Plan, data: Dataset, networks: Mapping[str, Network]) -> dict[str, str]:
    settings = plan.settings
    facts = {
        "data": data.test.source, "data sha256": data.digest(), "training clouds": str(len(data.train)),
        "test clouds": str(len(data.test)), "network preset": settings.preset, "seed": str(settings.seed),
        "data seed": str(settings.data_seed), "epochs of dense": str(settings.epochs),
        "further epochs of the others": str(plan.more),
        "clouds traced": str(min(plan.samples, len(data.test))),
        "plan sha256": digest_of(plan.facts()), "program sha256": program_digest(),
    }  # fmt: skip
    if plan.by_energy is not None:
        facts |= {f"hardware that {plan.by_energy} was pruned by": str(plan.hardware)}
    facts |= {f"weights sha256, {name}": network.weights_sha256 for name, network in networks.items()}
    versions = {
        "sparsim": __version__, "torch": str(torch.__version__), "numpy": numpy.__version__,
        "numba": numba.__version__, "python": platform.python_version(),
    }  # fmt: skip
    return facts | {f"version of {name}": version for name, version in versions.items()}
