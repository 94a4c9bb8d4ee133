"""The numbers and tables of the study's report, whose text is the template report.md.jinja."""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, Template

from pointnet.study.design_costs import BOTH, DENSE, PLAIN, TITLES, VARIANTS
from pointnet.study.pruning_comparison import CONTROL
from pointnet.study.savings import Saved, saved
from pointnet.study.study_networks import NOISE, Network, Traced
from sparsim.hardware import NetworkCost
from sparsim.hardware.layer_costs import PJ_PER_UJ, UM2_PER_MM2
from sparsim.report.tables import Table

TOTAL = "all layers"


class Findings(NamedTuple):
    """All results of the stages. `costs`: by design and variant, or name of a further pruned network.

    `by_energy`: the network that was pruned by its energy on a design, and that design; None: none was.
    """

    facts: Mapping[str, str]
    networks: Mapping[str, Network]
    pruned: str
    by_energy: tuple[str, str] | None
    traces: Mapping[str, Traced]
    costs: Mapping[str, Mapping[str, NetworkCost]]
    reproduction: Mapping[str, Any]
    primes: Sequence[Mapping[str, Any]]


def report(found: Findings, figures: Sequence[str]) -> str:
    """The report as Markdown. `figures`: names of the PNG files below figures/ that there are."""
    costs = next(iter(found.costs.values()))
    text = resources.files("pointnet.study").joinpath("report.md.jinja").read_text(encoding="utf-8")
    template = Template(text, trim_blocks=True, undefined=StrictUndefined, keep_trailing_newline=True)
    text = template.render(
        facts=found.facts, pruned=found.pruned, network=found.networks[found.pruned],
        control=found.networks[CONTROL], reproduction=found.reproduction, figures=figures, first=costs[BOTH],
        variants=VARIANTS, others=", ".join(f"`{name}`" for name in costs if name not in VARIANTS),
        designs=[_design(design, costs) for design, costs in found.costs.items()],
        by_energy=_by_energy(found), tables=_tables(found), percent=_percent,
    )  # fmt: skip
    return re.sub(r"\n{3,}", "\n\n", text)


def savings(costs: Mapping[str, NetworkCost]) -> dict[str, dict[str, Saved]]:
    """Of one design: by quantity ("energy", "cycles"), by layer and in total."""
    names = [layer.layer for layer in costs[BOTH].layers]
    energy = {TOTAL: saved({v: costs[v].energy_uj for v in VARIANTS})}
    cycles = {TOTAL: saved({v: costs[v].cycles for v in VARIANTS})}
    for i, name in enumerate(names):
        energy[name] = saved({v: costs[v].layers[i].total_pj for v in VARIANTS})
        cycles[name] = saved({v: costs[v].layers[i].cycles for v in VARIANTS})
    return {"energy": energy, "cycles": cycles}


def _table(header: str, rows: Iterable[Sequence[object]]) -> str:
    """The names of the columns are separated by bars."""
    return Table(header.split("|"), list(rows)).to_markdown()


def _tables(found: Findings) -> dict[str, str]:
    """Those of all designs and of the networks."""
    control, pruned, noise = (found.traces[name].rows for name in (CONTROL, found.pruned, NOISE))
    published = {row["name"]: row["inputs"] for row in found.reproduction["densities"]}
    saves = [
        (TITLES[design], quantity, by_layer[TOTAL])
        for design, costs in found.costs.items()
        for quantity, by_layer in savings(costs).items()
    ]
    alone = [_percent(total.plain_weights) for _, _, total in saves]
    return {
        "networks": _table(
            "network|epochs|zeros|accuracy|interval|class accuracy|test clouds",
            (
                (
                    x.name, x.epochs, _percent(x.sparsity), _percent(x.accuracy), _interval(x),
                    _percent(x.class_accuracy), x.clouds,
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
            "design, variant|energy uJ|of it DRAM uJ|cycles|EDP J cycles|pJ per MAC|utilisation",
            (
                (
                    f"{TITLES[design]}, {variant}", f"{cost.energy_uj:.2f}",
                    f"{cost.component_uj('DRAM'):.2f}", f"{cost.cycles:,}", f"{cost.edp_j_cycles:#.3g}",
                    f"{cost.pj_per_mac:.2f}", f"{100 * cost.utilization:.1f} %",
                )
                for design, costs in found.costs.items()
                for variant, cost in costs.items()
            ),
        ),
        "areas": _table(
            "design|area mm2",
            (
                (TITLES[design], f"{sum(costs[BOTH].area_um2.values()) / UM2_PER_MM2:.3f}")
                for design, costs in found.costs.items()
            ),
        ),
        "savings": _table(
            "total of design|saved|weights|activations|both, of plain|weights alone|activations alone"
            "|together",
            ((f"{title}, {quantity}", *map(_percent, total)) for title, quantity, total in saves),
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
            "layer 4|energy uJ, study|imperfect C|cycles, study|imperfect C|energy saved",
            (
                (
                    f"{TITLES[row['design']]}, {row['variant']}", f"{row['published_uj']:.2f}",
                    f"{row['imperfect_uj']:.2f}", f"{row['published_cycles']:,}",
                    f"{row['imperfect_cycles']:,}", _percent(1 - row["imperfect_uj"] / row["published_uj"]),
                )
                for row in found.primes
            ),
        ),
        "facts": _table("fact|value", found.facts.items()),
    }  # fmt: skip


def _design(design: str, costs: Mapping[str, NetworkCost]) -> dict[str, Any]:
    """What the report says of one design."""
    energy, cycles = savings(costs).values()
    dense, both = costs[DENSE], costs[BOTH]
    pairs = [
        (a.layer, a.total_pj / PJ_PER_UJ, b.total_pj / PJ_PER_UJ, a.cycles, b.cycles)
        for a, b in zip(dense.layers, both.layers, strict=True)
    ]
    rows = [
        (
            name, f"{a_uj:.3f}", f"{b_uj:.3f}", *map(_percent, energy[name][:3]), f"{a_cycles:,}",
            f"{b_cycles:,}", *map(_percent, cycles[name][:3]),
        )
        for name, a_uj, b_uj, a_cycles, b_cycles in [
            *pairs, (TOTAL, dense.energy_uj, both.energy_uj, dense.cycles, both.cycles)
        ]
    ]  # fmt: skip
    head = (
        "layer|energy uJ, dense|both|saved|weights|activations|cycles, dense|both|saved|weights|activations"
    )
    cheaper = list(zip(costs[PLAIN].layers, dense.layers, strict=True))
    least_uj = sum(min(a.total_pj, b.total_pj) for a, b in cheaper) / PJ_PER_UJ
    least_cycles = sum(min(a.cycles, b.cycles) for a, b in cheaper)
    return {
        "name": design, "title": TITLES[design], "energy": energy[TOTAL], "cycles": cycles[TOTAL],
        "cheaper": (1 - both.energy_uj / least_uj, 1 - both.cycles / least_cycles),
        "table": _table(head, rows),
    }  # fmt: skip


def _by_energy(found: Findings) -> dict[str, Any] | None:
    """What the report says of the network that was pruned by energy; None: there is none."""
    if found.by_energy is None:
        return None
    name, design = found.by_energy
    costs, names = found.costs[design], {CONTROL: DENSE, found.pruned: found.pruned, name: name}
    base, rows, by_layer = costs[DENSE], [], []
    for network, variant in names.items():
        cost, trained = costs[variant], found.networks[network]
        rows.append((
            network, _percent(trained.sparsity), _percent(trained.accuracy), _interval(trained),
            f"{cost.energy_uj:.2f}", f"{cost.cycles:,}",
            _percent(1 - cost.energy_uj / base.energy_uj), _percent(1 - cost.cycles / base.cycles),
        ))  # fmt: skip
    for i, layer in enumerate(base.layers):
        kept = (f"{found.traces[n].rows[i]['weights_density']:.3f}" for n in (found.pruned, name))
        taken = (costs[v].layers[i].total_pj / PJ_PER_UJ for v in names.values())
        by_layer.append((layer.layer, *kept, *(f"{uj:.3f}" for uj in taken)))
    head = f"on {TITLES[design]}|zeros|accuracy|interval|energy uJ|cycles|energy saved|cycles saved"
    heads = ["layer", *(f"weights {n}" for n in (found.pruned, name)), *(f"uJ {n}" for n in names)]
    return {
        "name": name, "title": TITLES[design], "cost": costs[name], "plain": costs[found.pruned],
        "network": found.networks[name], "totals": _table(head, rows),
        "layers": _table("|".join(heads), by_layer),
    }  # fmt: skip


def _interval(network: Network) -> str:
    low, high = network.interval
    return f"{100 * low:.1f} to {_percent(high)}"


def _percent(fraction: float) -> str:
    return f"{round(100 * fraction, 1) + 0.0:.1f} %"  # no minus before a zero
