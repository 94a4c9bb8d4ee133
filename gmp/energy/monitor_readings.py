"""Readings of a monitor, one per step, and their output as tables, files and plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gmp.errors import writing
from sparsim.errors import require
from sparsim.fileio.json_and_csv import write_csv
from sparsim.hardware import Plan, Reals
from sparsim.records import edp_j_cycles
from sparsim.report.tables import Table

HEAD = ("step", "layer", "weights_density", "inputs_density", "outputs_density", "energy_pj", "cycles", "edp")
TOTAL = "total"
_ARRAYS = ("densities", "layer_energy_pj", "layer_cycles")


@dataclass(frozen=True, eq=False)
class Reading:
    """Energy and cycles of a network at one step.

    Parameters
    ----------
    step : int
        Step of the training.
    names : tuple of str
        Names of the layers.
    densities : array of float, shape (layers, 3)
        Nonzero fractions of weights, inputs and outputs.
    layer_energy_pj : array of float, shape (layers,)
        Energy of each layer in pJ.
    layer_cycles : array of float, shape (layers,)
        Cycles of each layer.
    reached : bool
        Whether the targets of the monitor are met; False if it has none.
    """

    step: int
    names: tuple[str, ...]
    densities: Reals
    layer_energy_pj: Reals
    layer_cycles: Reals
    reached: bool

    def plain(self) -> dict[str, Any]:
        """Return the reading as lists and numbers.

        Returns
        -------
        dict
            All fields but `names`, for a state that is saved.
        """
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        return {"step": self.step, "reached": self.reached, **arrays}

    @property
    def energy_pj(self) -> float:
        """Energy of the network in pJ."""
        return float(self.layer_energy_pj.sum())

    @property
    def cycles(self) -> float:
        """Cycles of the network, whose layers run one after the other."""
        return float(self.layer_cycles.sum())

    @property
    def edp(self) -> float:
        """Product of the network's energy and cycles in J x cycles."""
        return float(edp_j_cycles(self.energy_pj, self.cycles))

    def scalars(self) -> dict[str, float]:
        """Return the numbers for a logger.

        Returns
        -------
        dict of str to float
            Totals as "energy_pj", "cycles" and "edp", and the numbers of each layer as "energy_pj/LAYER" and
            "cycles/LAYER".
        """
        found = {"energy_pj": self.energy_pj, "cycles": self.cycles, "edp": self.edp}
        for what, values in (("energy_pj", self.layer_energy_pj), ("cycles", self.layer_cycles)):
            found |= {f"{what}/{name}": float(x) for name, x in zip(self.names, values, strict=True)}
        return found

    def rows(self) -> list[tuple[str | int | float, ...]]:
        """Return one row for each layer and one for the total.

        Returns
        -------
        list of tuple
            Rows with the step, the name of the layer, the densities of weights, inputs and outputs, the
            energy in pJ, the cycles, and their product in J x cycles. The densities of the total are "".
        """
        rows: list[tuple[str | int | float, ...]] = []
        each = zip(self.names, self.densities.tolist(), self.layer_energy_pj, self.layer_cycles, strict=True)
        for name, densities, energy, cycles in each:
            edp = float(edp_j_cycles(energy, cycles))
            rows.append((self.step, name, *densities, float(energy), float(cycles), edp))
        return [*rows, (self.step, TOTAL, "", "", "", self.energy_pj, self.cycles, self.edp)]

    def table(self, notes: Sequence[str] = ()) -> Table:
        """Return the reading as a table for a terminal.

        Parameters
        ----------
        notes : sequence of str, default ()
            Sentences below the table.

        Returns
        -------
        Table
            Table to be printed with ``rich.print(reading.table())``.
        """
        rows = []
        for _, name, *densities, energy, cycles, _ in self.rows():
            shown = [f"{100 * d:.1f}" if isinstance(d, float) else "" for d in densities]
            share = float(energy) / (self.energy_pj or 1.0)
            rows.append((
                name, *shown, f"{float(energy) / 1e6:,.2f}", f"{100 * share:.1f}", f"{float(cycles):,.0f}"
            ))  # fmt: skip
        head = ("layer", "weights %", "inputs %", "outputs %", "energy uJ", "% of energy", "cycles")
        return Table(head, rows[:-1], f"step {self.step}", total=rows[-1], notes=notes)


def reading_of(names: tuple[str, ...], plain: Mapping[str, Any]) -> Reading:
    arrays = {name: np.array(plain[name], np.float64) for name in _ARRAYS}
    return Reading(plain["step"], names, reached=plain["reached"], **arrays)


def write_readings(history: Sequence[Reading], path: str | Path) -> None:
    """Write the rows of all readings. Raises PruningError if the file cannot be written."""
    rows = [dict(zip(HEAD, row, strict=True)) for reading in history for row in reading.rows()]
    with writing(path, "readings"):
        write_csv(path, rows)


def plot(history: Sequence[Reading], path: str | Path, target_energy_pj: float | None,
         target_cycles: float | None) -> None:  # fmt: skip
    """Draw energy and cycles by step, stacked by layer, with targets as lines; the path determines the
    format.
    """
    require("matplotlib", "plotting energies", "plot")
    from sparsim.report.figure_style import styled, write_figure  # this import takes a second

    figure = styled(_drawn)(history, target_energy_pj, target_cycles)
    with writing(path, "plot", ValueError):  # an unknown format
        write_figure(figure, Path(path))


def _drawn(history: Sequence[Reading], target_energy_pj: float | None, target_cycles: float | None) -> Any:
    from sparsim.report.figure_style import INK, panels

    figure = panels(10, 4, 1, 2)
    steps = [reading.step for reading in history]
    energy = [reading.layer_energy_pj / 1e6 for reading in history]
    cycles = [reading.layer_cycles for reading in history]
    energy_target = None if target_energy_pj is None else target_energy_pj / 1e6
    shown = (("energy (µJ)", energy, energy_target), ("cycles", cycles, target_cycles))
    for axes, (what, values, target) in zip(figure.axes, shown, strict=True):
        axes.stackplot(steps, list(zip(*values, strict=True)), labels=history[0].names)
        if target is not None:
            axes.axhline(target, color=INK, linestyle="--")
        axes.set(xlabel="step", ylabel=what)
    figure.axes[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def knows_energy(plan: Plan) -> bool:
    """Return whether any layer takes energy; some machines know cycles only.

    Parameters
    ----------
    plan : Plan
        Plan of the layers.

    Returns
    -------
    bool
    """
    return bool((plan(plan.densities).energy_pj > 0).any())
