"""Networks on many machines side by side: what pruning saves on each, and how good each model is.

Energies count other things on every machine. They compare networks on one machine, and not machines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from msgspec.structs import replace

from sparsim.hardware import Hardware, NetworkCost, load_hardware
from sparsim.hardware.layer_costs import PJ_PER_UJ, UM2_PER_MM2
from sparsim.records import Density, Layer
from sparsim.report import figure_style as style
from sparsim.report.tables import Table

US_PER_S = 1e6
GROUP = 4  # input channels, of which 2:4 keeps two
UNKNOWN = "-"
HOST = "sampling, neighbours and kernel maps, which a host computes"


class ComparedMachine(NamedTuple):
    """A preset of the comparison.

    Attributes
    ----------
    title : str
        Its name for readers.
    energy : str
        What its energy counts; empty where no energy is known.
    left_out : str
        What its costs do not contain.
    validation : str
        What its model was compared with.
    """

    title: str
    energy: str
    left_out: str
    validation: str


_EYERISS = "chip with clock and control, and DRAM"
_TEAAL = "closed form of TeAAL's model; all printed digits of its {}"
MACHINES: dict[str, ComparedMachine] = {
    "eyeriss_v1": ComparedMachine(
        "Eyeriss v1", _EYERISS, HOST,
        "good: speed 6 % too high for MobileNet and 7 % too low for AlexNet; DRAM and global buffer of the "
        "original chip within 1 % with published mappings. Clock and control are fitted",
    ),
    "eyeriss_v1_5": ComparedMachine(
        "Eyeriss v1.5", _EYERISS, HOST,
        "good: speed of MobileNet within 2 %. Clock and control are fitted",
    ),
    "eyeriss_v2": ComparedMachine(
        "Eyeriss v2", _EYERISS, HOST,
        "good: speed and inferences per joule within 10 %, but for the pruned AlexNet 21 % and 42 % too low",
    ),
    "eie": ComparedMachine(
        "EIE", "all units on chip, busy or not",
        f"DRAM; {HOST}. Positions run one after the other, and all weights are taken to fit on chip",
        "good for fully connected layers: load efficiencies of seven 3.7 % off on average; none for "
        "convolutions; energy is the published power over the time",
    ),
    "tensor_core_2_4": ComparedMachine(
        "2:4 tensor core", "multiplications and DRAM, a small part",
        f"caches, registers, wires and static power; {HOST}",
        "a roofline: four measured speed-ups within 15 %; no energy was compared",
    ),
    "sigma": ComparedMachine(
        "SIGMA", "", f"energy, area and DRAM; zeros of activations; {HOST}", _TEAAL.format("nine times")
    ),
    "gamma": ComparedMachine(
        "Gamma", "DRAM only", f"all other energy, and area; {HOST}",
        _TEAAL.format("five times") + ", for products of two sparse matrices and not for layers",
    ),
    "outerspace": ComparedMachine(
        "OuterSPACE", "DRAM only", f"all other energy, area and merges; {HOST}",
        _TEAAL.format("five times") + ", which are far from its paper",
    ),
    "extensor": ComparedMachine(
        "ExTensor", "", f"energy, area and intersections; {HOST}",
        "closed form of TeAAL's model; four of its five times",
    ),
    "pointacc": ComparedMachine(
        "PointAcc", "multiplications and DRAM",
        "mapping unit and memories in the energy; pooling and interpolation",
        "none: a machine with recalled sizes and assumed formulas. Zeros save nothing",
    ),
}  # fmt: skip


class MachineRun(NamedTuple):
    """An inference on a machine: all layers once.

    Attributes
    ----------
    energy_uj : float or None
        Energy in uJ; None where none is known.
    us : float
        Time in us.
    mapping_us : float
        Part of the time that operations on coordinates take.
    area_mm2 : float or None
        Area of the machine; None where it is not known.
    """

    energy_uj: float | None
    us: float
    mapping_us: float
    area_mm2: float | None

    @property
    def per_s(self) -> float:
        """Inferences per second."""
        return US_PER_S / self.us


Runs = Mapping[str, Mapping[str, MachineRun]]  # by machine and network


def run_on(hardware: Hardware, layers: Sequence[Layer]) -> MachineRun:
    """Cost one inference, with the fastest mappings where there are mappings.

    Parameters
    ----------
    hardware : Hardware
        A machine of which the clock is known.
    layers : sequence of Layer
        The layers of a network with one sample.

    Returns
    -------
    MachineRun
    """
    assert hardware.clock_mhz is not None
    return run_of(hardware.cost(layers, objective="delay"), hardware.clock_mhz)


def run_of(cost: NetworkCost, clock_mhz: float) -> MachineRun:
    """Take an inference from the costs of its layers.

    Parameters
    ----------
    cost : NetworkCost
        Costs of all layers.
    clock_mhz : float
        Clock of the machine in MHz.

    Returns
    -------
    MachineRun
    """
    mapping = sum(layer.details.get("mapping", 0.0) for layer in cost.layers)
    area = sum(cost.area_um2.values()) / UM2_PER_MM2
    return MachineRun(
        cost.energy_pj / PJ_PER_UJ or None, cost.cycles / clock_mhz, mapping / clock_mhz, area or None
    )


def compare(
    networks: Mapping[str, Sequence[Layer]],
    machines: Sequence[str] = tuple(MACHINES),
    step: Callable[[str], object] = lambda text: None,
) -> dict[str, dict[str, MachineRun]]:
    """Cost networks on machines.

    Parameters
    ----------
    networks : mapping of str to sequence of Layer
        Layers of each network, with one sample.
    machines : sequence of str, optional
        Names of presets in `MACHINES`; by default all of them.
    step : callable, optional
        Called with what is being computed.

    Returns
    -------
    dict of str to dict of str to MachineRun
        By machine and network.
    """
    found: dict[str, dict[str, MachineRun]] = {}
    for machine in machines:
        hardware = load_hardware(machine)
        found[machine] = {}
        for name, layers in networks.items():
            step(f"{name} on {machine}")
            found[machine][name] = run_on(hardware, layers)
    return found


def two_of_four(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Give weights half their values in the pattern 2:4, where there are four input channels.

    Parameters
    ----------
    layers : sequence of Layer
        Layers of a network that was not pruned.

    Returns
    -------
    tuple of Layer
        The same layers, with the same activations.
    """
    return tuple(
        with_weights(layer, Density(density=0.5)) if layer.bounds["C"] >= GROUP else layer for layer in layers
    )


def with_weights(layer: Layer, density: Density) -> Layer:
    """Replace the density of the weights of a layer.

    Parameters
    ----------
    layer : Layer
        The layer.
    density : Density
        That of its weights.

    Returns
    -------
    Layer
    """
    return replace(layer, densities={**layer.densities, "Weights": density})


def cost_table(runs: Runs) -> Table:
    """Energy and inferences per second of each network, a row per machine."""
    networks = list(next(iter(runs.values())))
    rows = [
        (
            MACHINES[machine].title,
            *(_number(found[name].energy_uj) for name in networks),
            *(_number(found[name].per_s) for name in networks),
        )
        for machine, found in runs.items()
    ]
    head = ("machine", *(f"{n}, uJ" for n in networks), *(f"{n}, inferences/s" for n in networks))
    return Table(head, rows)


def machine_table(runs: Runs) -> Table:
    """What is known of the machines."""
    rows = []
    for machine, found in runs.items():
        about, area = MACHINES[machine], next(iter(found.values())).area_mm2
        rows.append((
            about.title, f"`{machine}`", _number(area), about.energy or "not known", about.left_out,
            about.validation,
        ))  # fmt: skip
    head = ("machine", "preset", "mm2", "energy counts", "left out", "validation")
    return Table(head, rows, text=(0, 1, 3, 4, 5))


class Answer(NamedTuple):
    """What pruning buys on a machine, in words.

    Attributes
    ----------
    title : str
        The machine.
    text : str
        Changes of energy and time by network.
    """

    title: str
    text: str


def answers(runs: Runs, base: str) -> list[Answer]:
    """Say what the other networks save against `base`.

    Parameters
    ----------
    runs : mapping
        What `compare` has found.
    base : str
        The network that the others are compared with.

    Returns
    -------
    list of Answer
        One for each machine.
    """
    found = []
    for machine, by_network in runs.items():
        whole = by_network[base]
        saved = {name: _saved(run, whole) for name, run in by_network.items() if name != base}
        if len(saved) > 1 and len(set(saved.values())) == 1:
            text = f"all others take {next(iter(saved.values()))}"
        else:
            text = "; ".join(f"{name} takes {change}" for name, change in saved.items())
        found.append(Answer(MACHINES[machine].title, text))
    return found


def _saved(run: MachineRun, base: MachineRun) -> str:
    time = _change(run.us / base.us - 1.0, "time")
    if run.energy_uj is None or base.energy_uj is None:
        return time
    return f"{_change(run.energy_uj / base.energy_uj - 1.0, 'energy')} and {time}"


def _change(change: float, what: str) -> str:
    percent = round(100 * abs(change))
    if not percent:
        return f"the same {what}"
    return f"{percent} % {'less' if change < 0 else 'more'} {what}"


def _number(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"


@style.styled
def draw_comparison(runs: Runs, base: str) -> tuple[Figure, str]:
    """Time and energy of the networks as shares of those of `base` on the same machine.

    Parameters
    ----------
    runs : mapping
        What `compare` has found.
    base : str
        The network that is 100 %.

    Returns
    -------
    tuple of Figure and str
        The figure, and what it shows in words.
    """
    networks = [name for name in next(iter(runs.values())) if name != base]
    width, said = 0.8 / len(networks), []
    figure = style.panels(8.6, 1.3 + 0.5 * len(runs), 1, 2, sharey=True)
    quantities: dict[str, Callable[[MachineRun], float | None]] = {
        "time": lambda run: run.us, "energy": lambda run: run.energy_uj,
    }  # fmt: skip
    for axes, (quantity, value) in zip(figure.axes, quantities.items(), strict=True):
        for place, (name, color) in enumerate(zip(networks, style.OKABE_ITO, strict=False)):
            for y, (machine, found) in enumerate(runs.items()):
                whole, part = value(found[base]), value(found[name])
                at = y + (place - (len(networks) - 1) / 2) * width
                share = 100 * part / whole if part and whole else 0.0
                axes.barh(at, share, 0.92 * width, color=color, label="" if y else name)
                if share:
                    said.append(f"{MACHINES[machine].title}, {name}, {quantity}: {share:.0f} %")
                elif not place:
                    axes.annotate("not known", (1, y), va="center", fontsize=8, color=style.GREY)
        axes.axvline(100, color=style.INK, linewidth=0.8)
        axes.set(title=f"{quantity.capitalize()} of an inference", xlabel=f"% of {base} on this machine")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
    figure.axes[0].set_yticks(range(len(runs)), [MACHINES[machine].title for machine in runs])
    figure.axes[0].invert_yaxis()
    style.add_legend(figure, len(networks))
    return figure, f"Bar chart. Shares of {base} on the same machine. {'; '.join(said)}."
