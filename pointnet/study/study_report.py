"""Numbers and tables of the study's report; its text is the template study_report.html.jinja."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pointnet.study.cloud_costs import CLOUDS, PERCENTILES
from pointnet.study.design_costs import BOTH, CHIPS, DENSE, PLAIN, TITLES, VARIANTS
from pointnet.study.design_error_bars import DesignBars, design_error_bars
from pointnet.study.findings import Findings
from pointnet.study.number_texts import change, interval, listed, percent, signed
from pointnet.study.pruning_comparison import CONTROL
from pointnet.study.savings import TOTAL, savings
from pointnet.study.study_networks import NOISE
from sparsim.hardware import NetworkCost
from sparsim.hardware.layer_costs import PJ_PER_UJ, UM2_PER_MM2
from sparsim.report.machine_comparison import answers, cost_table, machine_table
from sparsim.report.tables import Table
from sparsim.report.web_page import render


def report(found: Findings, figures: Mapping[str, str]) -> str:
    """Return the report as one HTML file. `figures` has SVG elements by name."""
    costs = next(iter(found.costs.values()))
    designs = [_design(design, costs) for design, costs in found.costs.items()]
    best = max(designs, key=lambda design: design["energy"].total)
    return render(
        "pointnet.study", "study_report.html.jinja", facts=found.facts, pruned=found.pruned,
        network=found.networks[found.pruned], control=found.networks[CONTROL],
        networks=found.networks, reproduction=found.reproduction, figures=figures, first=costs[BOTH],
        variants=VARIANTS, others=[name for name in costs if name not in VARIANTS],
        designs=designs, best=best, numbers=_numbers(found, designs, best), by_energy=_by_energy(found),
        blind=[design["title"] for design in designs if not design["skips_weights"]],
        machines=answers(found.machines, found.compared[0].title), tables=_tables(found), clouds=CLOUDS,
        percentiles=PERCENTILES, percent=percent, change=change,
        interval=interval, listed=listed, table=lambda plain: Table(**plain),
    )  # fmt: skip


def _numbers(
    found: Findings, designs: Sequence[Mapping[str, Any]], best: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return three numbers: the largest saving, the smallest one (or that of cycles), and the accuracy."""
    worst = min(designs, key=lambda design: design["energy"].total)
    dense, both = best["dense"], best["both"]
    low, high = f"{both.energy_uj:,.2f}", f"{dense.energy_uj:,.2f} µJ"
    text = f"energy of an inference on {best['title']}: {low} instead of {high}"
    numbers = [(signed(-100 * best["energy"].total, "%"), text)]
    if worst is best:
        text = f"cycles of an inference on {best['title']}: {both.cycles:,} instead of {dense.cycles:,}"
        numbers.append((signed(-100 * best["cycles"].total, "%"), text))
    else:
        low, high = f"{worst['both'].energy_uj:,.2f}", f"{worst['dense'].energy_uj:,.2f} µJ"
        text = f"energy on {worst['title']}, which saves least: {low} instead of {high}"
        numbers.append((signed(-100 * worst["energy"].total, "%"), text))
    control, pruned = found.networks[CONTROL], found.networks[found.pruned]
    text = (
        f"accuracy on {pruned.clouds:,} test clouds: {percent(pruned.accuracy)} "
        f"({interval(pruned.interval)}) instead of {percent(control.accuracy)} ({interval(control.interval)})"
    )
    return [*numbers, (signed(100 * (pruned.accuracy - control.accuracy), "points"), text)]


def _tables(found: Findings) -> dict[str, Table]:
    """Return the tables of all designs and of the networks."""
    control, pruned, noise = (found.traces[name].rows for name in (CONTROL, found.pruned, NOISE))
    published = {row["name"]: row["inputs"] for row in found.reproduction["densities"]}
    saves = [
        (TITLES[design], quantity, by_layer[TOTAL])
        for design, costs in found.costs.items()
        for quantity, by_layer in savings(costs).items()
    ]
    alone = [percent(total.plain_weights) for _, _, total in saves]
    bars = {design: design_error_bars(design, costs) for design, costs in found.costs.items()}
    return {
        "networks": _table(
            "network|epochs|zeros|accuracy|interval|class accuracy|test clouds",
            (
                (
                    x.name, x.epochs, percent(x.sparsity), percent(x.accuracy), interval(x.interval),
                    percent(x.class_accuracy), x.clouds,
                )
                for x in found.networks.values()
            ),
        ),
        "densities": _table(
            "layer|C|M|weights pruned|inputs control|inputs pruned|outputs pruned",
            (
                (
                    a["name"], a["C"], a["M"], f"{b['weights_density']:.3f}", f"{a['inputs_density']:.3f}",
                    f"{b['inputs_density']:.3f}", f"{b['outputs_density']:.3f}",
                )
                for a, b in zip(control, pruned, strict=True)
            ),
        ),
        "costs": _table(
            "design, variant|energy µJ|of it DRAM µJ|cycles|EDP J cycles|pJ per MAC|utilisation"
            "|energy, from|to|cycles, from|to",
            (
                (
                    f"{TITLES[design]}, {variant}", f"{cost.energy_uj:.2f}",
                    f"{cost.component_uj('DRAM'):.2f}", f"{cost.cycles:,}", f"{cost.edp_j_cycles:#.3g}",
                    f"{cost.pj_per_mac:.2f}", f"{100 * cost.utilization:.1f} %",
                    *_ends(bars[design], variant),
                )
                for design, costs in found.costs.items()
                for variant, cost in costs.items()
            ),
        ),
        "clouds": _table(
            "design, network|clouds|energy µJ, from|to|cycles, from|to",
            (
                (
                    f"{TITLES[design]}, {each.network}", len(clouds[each.variant].cycles),
                    *(f"{uj:.2f}" for uj in clouds[each.variant].range_of("energy")),
                    *(f"{cycles:,.0f}" for cycles in clouds[each.variant].range_of("cycles")),
                )
                for design, clouds in found.clouds.items()
                for each in found.compared
            ),
        ),
        "components": _table(
            "design, component|energy µJ, dense|both|saved",
            (
                (f"{TITLES[design]}, {name}", f"{dense:.3f}", f"{both:.3f}", percent(1 - both / dense))
                for design, costs in found.costs.items()
                for name in costs[DENSE].layers[0].energy_pj
                for dense, both in [[costs[v].component_uj(name) for v in (DENSE, BOTH)]]
                if dense
            ),
        ),
        "areas": _table(
            "design|area mm²",
            (
                (TITLES[design], f"{sum(costs[BOTH].area_um2.values()) / UM2_PER_MM2:.3f}")
                for design, costs in found.costs.items()
            ),
        ),
        "savings": _table(
            "total of design|saved|weights|activations|both, of plain|weights alone|activations alone"
            "|together",
            ((f"{title}, {quantity}", *map(percent, total)) for title, quantity, total in saves),
        ),
        "noise": _table(
            "layer|study, noise|ours, noise|ours, clouds",
            (
                (
                    b["name"], published.get(b["name"], ""), f"{a['inputs_density']:.3f}",
                    f"{b['inputs_density']:.3f}",
                )
                for a, b in zip(noise, pruned, strict=True)
            ),
        ),
        "weights": _table(
            "design|energy|cycles",
            ((TITLES[design], *alone[2 * i : 2 * i + 2]) for i, design in enumerate(found.costs)),
        ),
        "primes": _table(
            "layer 4|energy µJ, study|imperfect C|cycles, study|imperfect C|energy saved",
            (
                (
                    f"{TITLES[row['design']]}, {row['variant']}", f"{row['published_uj']:.2f}",
                    f"{row['imperfect_uj']:.2f}", f"{row['published_cycles']:,}",
                    f"{row['imperfect_cycles']:,}", percent(1 - row["imperfect_uj"] / row["published_uj"]),
                )
                for row in found.primes
            ),
        ),
        "machine runs": cost_table(found.machines),
        "machines": machine_table(found.machines),
        "facts": Table(("fact", "value"), list(found.facts.items()), text=(0, 1)),
    }  # fmt: skip


def _ends(bars: DesignBars | None, variant: str) -> tuple[str, ...]:
    """Return the ends of the error bars of energy and cycles; nothing where no uncertainty is known."""
    if bars is None:
        return ("-",) * 4
    energy, cycles = bars.energy_uj[variant], bars.cycles[variant]
    return f"{energy.low:.2f}", f"{energy.high:.2f}", f"{cycles.low:,.0f}", f"{cycles.high:,.0f}"


def _design(design: str, costs: Mapping[str, NetworkCost]) -> dict[str, Any]:
    """Return the contents of the section on one design."""
    energy, cycles = savings(costs).values()
    dense, both = costs[DENSE], costs[BOTH]
    pairs = [
        (a.layer, a.total_pj / PJ_PER_UJ, b.total_pj / PJ_PER_UJ, a.cycles, b.cycles)
        for a, b in zip(dense.layers, both.layers, strict=True)
    ]
    rows = [
        (
            name, f"{a_uj:.3f}", f"{b_uj:.3f}", *map(percent, energy[name][:3]), f"{a_cycles:,}",
            f"{b_cycles:,}", *map(percent, cycles[name][:3]),
        )
        for name, a_uj, b_uj, a_cycles, b_cycles in [
            *pairs, (TOTAL, dense.energy_uj, both.energy_uj, dense.cycles, both.cycles)
        ]
    ]  # fmt: skip
    head = (
        "layer|energy µJ, dense|both|saved|weights|activations|cycles, dense|both|saved|weights|activations"
    )
    cheaper = list(zip(costs[PLAIN].layers, dense.layers, strict=True))
    least_uj = sum(min(a.total_pj, b.total_pj) for a, b in cheaper) / PJ_PER_UJ
    least_cycles = sum(min(a.cycles, b.cycles) for a, b in cheaper)
    return {
        "name": design, "title": TITLES[design], "energy": energy[TOTAL], "cycles": cycles[TOTAL],
        "dense": dense, "both": both, "skips_weights": design in CHIPS,
        "cheaper": (1 - both.energy_uj / least_uj, 1 - both.cycles / least_cycles),
        "table": _table(head, rows), "bars": design_error_bars(design, costs),
    }  # fmt: skip


def _by_energy(found: Findings) -> dict[str, Any] | None:
    """Return the contents of the section on the network that was pruned by energy; None if there is none."""
    if found.by_energy is None:
        return None
    name, design = found.by_energy
    costs, names = found.costs[design], {CONTROL: DENSE, found.pruned: found.pruned, name: name}
    base, rows, by_layer = costs[DENSE], [], []
    for network, variant in names.items():
        cost, trained = costs[variant], found.networks[network]
        rows.append((
            network, percent(trained.sparsity), percent(trained.accuracy), interval(trained.interval),
            f"{cost.energy_uj:.2f}", f"{cost.cycles:,}",
            percent(1 - cost.energy_uj / base.energy_uj), percent(1 - cost.cycles / base.cycles),
        ))  # fmt: skip
    for i, layer in enumerate(base.layers):
        kept = (f"{found.traces[n].rows[i]['weights_density']:.3f}" for n in (found.pruned, name))
        taken = (costs[v].layers[i].total_pj / PJ_PER_UJ for v in names.values())
        by_layer.append((layer.layer, *kept, *(f"{uj:.3f}" for uj in taken)))
    head = f"on {TITLES[design]}|zeros|accuracy|interval|energy µJ|cycles|energy saved|cycles saved"
    heads = ["layer", *(f"weights {n}" for n in (found.pruned, name)), *(f"µJ {n}" for n in names)]
    return {
        "name": name, "title": TITLES[design], "cost": costs[name], "base": base,
        "network": found.networks[name], "totals": _table(head, rows),
        "layers": _table("|".join(heads), by_layer),
    }  # fmt: skip


def _table(header: str, rows: Iterable[Sequence[object]]) -> Table:
    """Make a table. The names of the columns in `header` are separated by bars."""
    return Table(header.split("|"), list(rows))
