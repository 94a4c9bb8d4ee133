"""A network on a chip: bounds of its layers, energy by component, and the routes of a layer's words."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparsim.machines.eyeriss import Bound, NetworkEvaluation
from sparsim.machines.eyeriss.compression import ROLES
from sparsim.machines.eyeriss.layer_cost import ChipEvaluation, relevant_dims, spatial_loops
from sparsim.machines.eyeriss.noc import groups
from sparsim.report import figure_style as style
from sparsim.report.noc_figures import draw_delivery

LOSSES = (style.SKY, style.GREEN, style.YELLOW, style.ORANGE, style.RED, style.PINK)


@style.styled
def draw_eyexam(network: NetworkEvaluation, bounds: Sequence[tuple[Bound, ...]]) -> Figure:
    """Draw, per layer, the peak MACs per cycle of all PEs, the reductions by later steps of `eyexam`, and the
    attained rate.
    """
    figure, axes, x = _axes(network)
    steps = [bound.step for bound in bounds[0]]
    first = steps.index("number of PEs")
    rates = np.array([[bound.macs_per_cycle for bound in found[first:]] for found in bounds])
    axes.bar(x, rates[:, -1], width=0.8, color=style.BLUE, label="attained")
    lost = steps[first + 1 :]
    for k, color in reversed(list(zip(range(len(lost)), cycle(LOSSES), strict=False))):
        axes.bar(
            x, rates[:, k] - rates[:, k + 1], bottom=rates[:, k + 1], width=0.8, color=color,
            label=f"lost to {lost[k]}",
        )  # fmt: skip
    spec = network.chip.spec
    peak = spec.noc.pes * spec.pe.simd_width
    axes.axhline(peak, color=style.INK, linewidth=1, linestyle="--", label=f"{peak} MACs of the chip")
    axes.set_ylabel("MACs per cycle, zeros included")
    axes.set_title(f"Speed of each layer on {spec.name}")
    figure.legend(loc="outside right upper", reverse=True)
    return figure


@style.styled
def draw_energy(network: NetworkEvaluation) -> Figure:
    """Draw energy per layer, stacked by component, with DRAM on top."""
    figure, axes, x = _axes(network)
    shares = {name: [layer.energy_pj[name] for layer in network.layers] for name in network.energy_pj}
    shares = dict(sorted(shares.items(), key=lambda item: -sum(item[1])))
    shares["DRAM"] = [layer.dram_pj for layer in network.layers]
    looks = style.part_styles(list(shares))
    bottom = np.zeros(len(x))
    for name, energy in shares.items():
        axes.bar(x, np.array(energy) / 1e6, bottom=bottom, width=0.8, label=name, **looks[name])
        bottom += np.array(energy) / 1e6
    axes.set_ylabel("energy (µJ)")
    axes.set_title(f"Energy of each layer on {network.chip.name}")
    figure.legend(loc="outside right upper", reverse=True)
    return figure


def draw_routes(found: ChipEvaluation, role: str) -> Figure:
    """Draw how the network delivers the layer's words of a role: `iact`, `weight` or `psum`."""
    delivery = found.flows[role].delivery
    loops = spatial_loops({level.level: level for level in found.mapping.levels})
    pattern = groups(delivery.noc, loops, sorted(relevant_dims(found.layer, ROLES[role])))
    return draw_delivery(delivery, pattern)


def _axes(network: NetworkEvaluation) -> tuple[Figure, Axes, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Make a figure with a place on the x axis for every layer."""
    names = [layer.layer.name for layer in network.layers]
    figure = style.panels(max(7.0, 3.0 + 0.38 * len(names)), 4.8)
    (axes,) = figure.axes
    x = np.arange(len(names))
    axes.set_xticks(x, names, rotation=90 if len(names) > 10 else 0)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.grid(axis="y")
    return figure, axes, x
