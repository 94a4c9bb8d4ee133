"""The study's report as Markdown, chapter by chapter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pointnet.study.design_costs import BOTH, DENSE, PLAIN, TITLES, VARIANTS
from pointnet.study.pruning_comparison import CONTROL
from pointnet.study.savings import Saved, saved
from pointnet.study.study_networks import NOISE, Network, Traced
from pointnet.units import PJ_PER_UJ, UM2_PER_MM2
from sparsim.hardware import NetworkCost
from sparsim.report.tables import Table

TOTAL = "all layers"
_BY_LAYER = (
    "layer", "energy uJ, dense", "both", "saved", "weights", "activations", "cycles, dense", "both", "saved",
    "weights", "activations",
)  # fmt: skip


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
    """`figures`: names of the PNG files below figures/ that there are."""
    chapters = [_head(found), _networks(found), _designs(found, figures), _savings(found, figures)]
    chapters += [_by_energy(found), _layers(found, figures), _reproduction(found), _run(found)]
    return "\n\n".join(part for chapter in chapters for part in chapter) + "\n"


def savings(costs: Mapping[str, NetworkCost]) -> dict[str, dict[str, Saved]]:
    """Of one design: by quantity ("energy", "cycles"), by layer and in total."""
    names = [layer.layer for layer in costs[BOTH].layers]
    energy = {TOTAL: saved({v: costs[v].energy_uj for v in VARIANTS})}
    cycles = {TOTAL: saved({v: costs[v].cycles for v in VARIANTS})}
    for i, name in enumerate(names):
        energy[name] = saved({v: costs[v].layers[i].total_pj for v in VARIANTS})
        cycles[name] = saved({v: costs[v].layers[i].cycles for v in VARIANTS})
    return {"energy": energy, "cycles": cycles}


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return Table(header, rows).to_markdown().rstrip("\n")


def _head(found: Findings) -> Iterator[str]:
    network = found.networks[found.pruned]
    yield "# What pruning PointNet++ buys"
    lines = []
    for design, costs in found.costs.items():
        total = {quantity: rows[TOTAL] for quantity, rows in savings(costs).items()}
        lines.append(
            f"* **{TITLES[design]}**: {_percent(total['energy'].total)} of the energy "
            f"({_percent(total['energy'].weights)} due to weights, {_percent(total['energy'].activations)} "
            f"to changed activations) and {_percent(total['cycles'].total)} of the cycles "
            f"({_percent(total['cycles'].weights)} and {_percent(total['cycles'].activations)})."
        )
    control, costs = found.networks[CONTROL], next(iter(found.costs.values()))
    yield (
        f"PointNet++ (preset {found.facts['network preset']}: {len(costs[BOTH].layers)} layers, "
        f"{costs[BOTH].macs / 1e6:.2f} million MACs per cloud), trained on {found.facts['data']}, with "
        f"{_percent(network.sparsity)} of its weights pruned by gradual magnitude pruning (GMP), has an "
        f"accuracy of {_percent(network.accuracy)}; trained equally long without pruning, of "
        f"{_percent(control.accuracy)}. Against that unpruned network with its own zeros of activations (the "
        "honest dense baseline), one cloud at a time, pruning saves on"
    )
    yield "\n".join(lines)
    if found.by_energy is not None:
        name, design = found.by_energy
        plain, aware = (found.costs[design][n] for n in (found.pruned, name))
        points = 100 * (found.networks[name].accuracy - network.accuracy)
        yield (
            f"**Pruned by energy** on {TITLES[design]} in place of magnitude, with as many zeros, the "
            f"network takes another {_percent(1 - aware.energy_uj / plain.energy_uj)} less energy and "
            f"{_percent(1 - aware.cycles / plain.cycles)} fewer cycles; accuracy {points:+.1f} points."
        )
    yield f"Reproduction of the original study: {found.reproduction['closing']}."


def _networks(found: Findings) -> Iterator[str]:
    yield "## Networks"
    yield (
        "`dense` is the first training: all others start from its weights, and it is in no comparison (the "
        "*variant* `dense` below is of `control`). `control` is trained on for as long as the pruned "
        "networks and is the unpruned network of all comparisons. Zeros are those of the weights of "
        "convolutions and linear layers; biases and batch norm are not pruned. Intervals are 95 % Wilson "
        "score intervals over the test clouds; the weights are those of the last epoch."
    )
    rows = []
    for network in found.networks.values():
        rows.append((
            network.name, f"{network.epochs}", _percent(network.sparsity), _percent(network.accuracy),
            _interval(network), _percent(network.class_accuracy), f"{network.clouds}",
        ))  # fmt: skip
    header = ("network", "epochs", "zeros", "accuracy", "interval", "class accuracy", "test clouds")
    yield _table(header, rows)
    yield (
        "Nonzero fractions of weights, and of activations as they reach memory, mean over "
        f"{found.facts['clouds traced']} test clouds (outputs of a layer before pooling):"
    )
    header = ("layer", "C", "M", "weights pruned", "inputs control", "inputs pruned", "outputs pruned")
    both = zip(found.traces[CONTROL].rows, found.traces[found.pruned].rows, strict=True)
    yield _table(header, [
        (
            a["name"], str(a["C"]), str(a["M"]), f"{b['weights_density']:.3f}", f"{a['inputs_density']:.3f}",
            f"{b['inputs_density']:.3f}", f"{b['outputs_density']:.3f}",
        )
        for a, b in both
    ])  # fmt: skip


def _designs(found: Findings, figures: Sequence[str]) -> Iterator[str]:
    yield "## What the hardware sees"
    others = [f"`{name}`" for name in next(iter(found.costs.values())) if name not in VARIANTS]
    lines = [*(f"`{name}`: {text}" for name, text in VARIANTS.items()), f"{', '.join(others)}: each as it is"]
    yield "\n".join(f"* {line}." for line in lines)
    yield (
        "Every layer of every variant has a mapping of its own: the fastest found, and of these the one with "
        "the least energy. The two designs of the original study search its mapspace, with imperfect factors "
        "of C where C is a prime, and are counted as `timeloop-3`; they never look at zeros of weights: "
        "`weights` equals `plain` there. As in the published runs, a MAC whose weight is not read takes no "
        "time: the cycles of gating fall with zeros of activations, those of a machine that does nothing but "
        "gate would not. Eyeriss v2 moves both operands of a layer with the counts of their zeros as soon as "
        "one of them has zeros; that makes dense weights longer, and a layer of `dense` may cost more than "
        "in `plain`."
    )
    yield (
        "Energies include DRAM. pJ per MAC are per algorithmic MAC, those with zeros counted. Utilisation is "
        "the share of the slots for MACs (all units, all cycles) that have one; skipped MACs take none. "
        "Compare variants of a design, not designs: those of the study have 168 MACs of 16 bits at 45 nm and "
        "no energy for network, clock and control, Eyeriss v2 has 384 of 8 bits at 65 nm with all of these."
    )
    rows = []
    for design, costs in found.costs.items():
        for variant, cost in costs.items():
            rows.append((
                f"{TITLES[design]}, {variant}", f"{cost.energy_uj:.2f}", f"{cost.component_uj('DRAM'):.2f}",
                f"{cost.cycles:,}", f"{cost.edp_j_cycles:#.3g}", f"{cost.pj_per_mac:.2f}",
                f"{100 * cost.utilization:.1f} %",
            ))  # fmt: skip
    header = (
        "design, variant", "energy uJ", "of it DRAM uJ", "cycles", "EDP J cycles", "pJ per MAC",
        "utilisation",
    )  # fmt: skip
    yield _table(header, rows)
    yield from _shown(
        figures, "accuracy", "Accuracy against energy: points are networks, bars 95 % intervals"
    )
    yield "### Area"
    areas = [
        (TITLES[d], f"{sum(c[BOTH].area_um2.values()) / UM2_PER_MM2:.3f}") for d, c in found.costs.items()
    ]
    yield _table(("design", "area mm2"), areas)
    yield (
        "All instances, DRAM being off chip. Control, clock and wires have no estimate on any design, the "
        "network only on Eyeriss v2."
    )
    yield from _shown(figures, "area", "Area by component")


def _savings(found: Findings, figures: Sequence[str]) -> Iterator[str]:
    yield "## Who saves what"
    yield (
        "Against the honest dense baseline (`dense`): *saved* is what pruning saves, from `dense` to `both`; "
        "*activations* the step from `dense` to `activations` (pruning changes activations too, for better "
        "or worse), *weights* the rest, from `activations` to `both`. Against no zeros (`plain`): both, "
        "each kind of zeros alone, and *together*, what both save beyond the sum of the two (less than zero "
        "where they avoid the same work)."
    )
    header = (
        "total of design", "saved", "weights", "activations", "both, of plain", "weights alone",
        "activations alone", "together",
    )  # fmt: skip
    rows = [
        (f"{TITLES[design]}, {quantity}", *map(_percent, by_layer[TOTAL]))
        for design, costs in found.costs.items()
        for quantity, by_layer in savings(costs).items()
    ]
    yield _table(header, rows)
    yield (
        "Nobody has to store dense weights compressed. Where each layer of the baseline takes the cheaper of "
        "`plain` and `dense`, chosen for energy and for cycles apart, pruning on "
        + "; ".join(f"{TITLES[d]} saves {_against_cheaper(costs)}" for d, costs in found.costs.items())
        + "."
    )
    for design, costs in found.costs.items():
        yield f"### {TITLES[design]}, layer by layer"
        energy, cycles = savings(costs).values()
        rows = []
        for dense, both in zip(costs[DENSE].layers, costs[BOTH].layers, strict=True):
            by_energy, by_cycles = energy[dense.layer], cycles[dense.layer]
            rows.append((
                dense.layer, f"{dense.total_pj / PJ_PER_UJ:.3f}", f"{both.total_pj / PJ_PER_UJ:.3f}",
                *map(_percent, by_energy[:3]), f"{dense.cycles:,}", f"{both.cycles:,}",
                *map(_percent, by_cycles[:3]),
            ))  # fmt: skip
        totals = costs[DENSE], costs[BOTH]
        rows.append((
            TOTAL, *(f"{cost.energy_uj:.3f}" for cost in totals), *map(_percent, energy[TOTAL][:3]),
            *(f"{cost.cycles:,}" for cost in totals), *map(_percent, cycles[TOTAL][:3]),
        ))  # fmt: skip
        yield _table(_BY_LAYER, rows)
        yield from _shown(figures, f"savings-{design}", f"Savings on {TITLES[design]} by layer")


def _against_cheaper(costs: Mapping[str, NetworkCost]) -> str:
    """What pruning saves of a baseline whose layers each take the cheaper of `plain` and `dense`."""
    pairs = list(zip(costs[PLAIN].layers, costs[DENSE].layers, strict=True))
    energy_uj = sum(min(a.total_pj, b.total_pj) for a, b in pairs) / PJ_PER_UJ
    cycles = sum(min(a.cycles, b.cycles) for a, b in pairs)
    energy, delay = 1 - costs[BOTH].energy_uj / energy_uj, 1 - costs[BOTH].cycles / cycles
    return f"{_percent(energy)} of the energy and {_percent(delay)} of the cycles"


def _by_energy(found: Findings) -> Iterator[str]:
    if found.by_energy is None:
        return
    name, design = found.by_energy
    yield "## Pruning by energy"
    yield (
        f"`{name}` was pruned as far as `{found.pruned}` and at the same times, but by other scores: those "
        "of LAMP (magnitudes made comparable between layers) over the square root of the energy that one "
        f"weight less saves on {TITLES[design]}. One seed: differences of accuracy within the intervals say "
        "nothing."
    )
    names = {CONTROL: DENSE, found.pruned: found.pruned, name: name}
    base = found.costs[design][DENSE]
    rows = []
    for network, variant in names.items():
        cost, trained = found.costs[design][variant], found.networks[network]
        rows.append((
            network, _percent(trained.sparsity), _percent(trained.accuracy), _interval(trained),
            f"{cost.energy_uj:.2f}", f"{cost.cycles:,}",
            _percent(1 - cost.energy_uj / base.energy_uj), _percent(1 - cost.cycles / base.cycles),
        ))  # fmt: skip
    header = (
        f"on {TITLES[design]}", "zeros", "accuracy", "interval", "energy uJ", "cycles", "energy saved",
        "cycles saved",
    )  # fmt: skip
    yield _table(header, rows)
    yield "Where the weights are left, and what the layers then take:"
    by_layer = []
    for i, layer in enumerate(base.layers):
        kept = (f"{found.traces[n].rows[i]['weights_density']:.3f}" for n in (found.pruned, name))
        taken = (found.costs[design][v].layers[i].total_pj / PJ_PER_UJ for v in names.values())
        by_layer.append((layer.layer, *kept, *(f"{uj:.3f}" for uj in taken)))
    yield _table(
        ("layer", *(f"weights {n}" for n in (found.pruned, name)), *(f"uJ {n}" for n in names)), by_layer
    )


def _layers(found: Findings, figures: Sequence[str]) -> Iterator[str]:
    yield "## Layer by layer"
    for name, text in (
        ("energy", "Energy per layer, DRAM included"), ("cycles", "Cycles per layer"),
        ("edp", "Energy-delay product"), ("pj_per_mac", "Energy per algorithmic MAC"),
        ("utilization", "Utilisation"),
    ):  # fmt: skip
        yield from _shown(figures, name, text)
    for design in found.costs:
        yield from _shown(figures, f"components-{design}", f"Energy by component on {TITLES[design]}")


def _shown(figures: Sequence[str], name: str, text: str) -> Iterator[str]:
    if name in figures:
        yield f"![{text}](figures/{name}.png)"


def _reproduction(found: Findings) -> Iterator[str]:
    said = found.reproduction
    yield "## The original study, run again"
    yield (
        f"{said['closing']}. Below stand our numbers beside the published ones; `equal` counts the 15 "
        "published numbers of a run that agree to the printed digits. Its runs take two clouds at once "
        "through a network as large as preset `study`: shares compare with those above, energies do not."
    )
    for title, table in said["tables"].items():
        yield f"### {title}\n\n{table.rstrip()}"
    yield "### Four faults of the study, each with the number that shows it"
    yield "\n".join(f"{i}. {text}" for i, text in enumerate(said["faults"], start=1))
    yield "Besides:"
    yield "\n".join(f"* {text}" for text in said["notes"])
    yield from _fault_noise(found)
    yield from _fault_alias(found)
    yield from _fault_weights(found)
    yield from _fault_prime(found)


def _fault_noise(found: Findings) -> Iterator[str]:
    yield "### Noise and clouds"
    yield (
        "Nonzero fractions of the inputs: what the study measured on normally distributed points, and our "
        "pruned network on such points and on test clouds."
    )
    published = {row["name"]: row["inputs"] for row in found.reproduction["densities"]}
    both = zip(found.traces[NOISE].rows, found.traces[found.pruned].rows, strict=True)
    rows = [
        (b["name"], published.get(b["name"], ""), f"{a['inputs_density']:.3f}", f"{b['inputs_density']:.3f}")
        for a, b in both
    ]
    yield _table(("layer", "study, noise", "ours, noise", "ours, clouds"), rows)


def _fault_alias(found: Findings) -> Iterator[str]:
    control, pruned = found.networks[CONTROL], found.networks[found.pruned]
    (low, high), (low2, high2) = control.interval, pruned.interval
    yield "### The aliased baseline"
    yield (
        "The study's two accuracies, 94.52 % and 94.74 %, are of one network, and 2 of 908 clouds apart. "
        f"Here the unpruned and the pruned network are two files (weights {control.weights_sha256[:12]} and "
        f"{pruned.weights_sha256[:12]}) trained equally long: {_percent(control.accuracy)} "
        f"({_percent(low)} to {_percent(high)}) and {_percent(pruned.accuracy)} ({_percent(low2)} to "
        f"{_percent(high2)}), {100 * (control.accuracy - pruned.accuracy):+.1f} points for the unpruned one."
    )


def _fault_weights(found: Findings) -> Iterator[str]:
    yield "### Weight sparsity"
    yield "What zeros of weights alone save of the energy and of the cycles of `plain`:"
    rows = []
    for design, costs in found.costs.items():
        total = {quantity: by_layer[TOTAL].plain_weights for quantity, by_layer in savings(costs).items()}
        rows.append((TITLES[design], _percent(total["energy"]), _percent(total["cycles"])))
    yield _table(("design", "energy", "cycles"), rows)


def _fault_prime(found: Findings) -> Iterator[str]:
    yield "### The prime channel count"
    yield (
        "Layer 4 of the study has C = 131. Its mappings beside the best one with imperfect factors of C "
        "(fastest first, then least energy, timeloop-2022):"
    )
    rows = [
        (
            f"{TITLES[row['design']]}, {row['variant']}", f"{row['published_uj']:.2f}",
            f"{row['imperfect_uj']:.2f}", f"{row['published_cycles']:,}", f"{row['imperfect_cycles']:,}",
            _percent(1 - row["imperfect_uj"] / row["published_uj"]),
        )
        for row in found.primes
    ]  # fmt: skip
    header = ("layer 4", "energy uJ, study", "imperfect C", "cycles, study", "imperfect C", "energy saved")
    yield _table(header, rows)


def _run(found: Findings) -> Iterator[str]:
    yield "## This run"
    yield _table(("fact", "value"), list(found.facts.items()))


def _interval(network: Network) -> str:
    low, high = network.interval
    return f"{100 * low:.1f} to {_percent(high)}"


def _percent(fraction: float) -> str:
    return f"{round(100 * fraction, 1) + 0.0:.1f} %"  # no minus before a zero
