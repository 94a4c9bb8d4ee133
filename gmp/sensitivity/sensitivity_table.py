"""Curves of loss and accuracy over the sparsity of one layer at a time: rows, tables, files, plots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmp.allocation import allocate
from gmp.channels.channel_costs import ChannelCost
from gmp.energy.weight_costs import WeightCosts, weights_left
from gmp.errors import PruningError, writing
from gmp.sensitivity.sensitivity_ratios import LayerRatios, allocated, at_threshold, meeting
from sparsim.errors import near, require
from sparsim.fileio.json_and_csv import write_csv
from sparsim.report.tables import Table

if TYPE_CHECKING:
    from gmp.sensitivity.sensitivity_ratios import Curves

Reals = NDArray[np.float64]

MEASURES = ("loss", "accuracy")


class Point(NamedTuple):
    """Result of pruning one layer alone.

    Parameters
    ----------
    name : str
        Name of the weight.
    sparsity : float
        Fraction of its elements that is zero.
    loss : float
        Mean loss of the samples.
    loss_increase : float
        Difference to the mean loss of the dense network on the same samples.
    loss_se : float
        Standard error of this difference, which is paired sample by sample.
    accuracy : float
        Fraction of the samples that are classified correctly.
    accuracy_drop : float
        Accuracy of the dense network on the same samples minus this one.
    accuracy_se : float
        Standard error of this difference, likewise paired.
    """

    name: str
    sparsity: float
    loss: float
    loss_increase: float
    loss_se: float
    accuracy: float
    accuracy_drop: float
    accuracy_se: float


@dataclass(frozen=True)
class SensitivityTable:
    """Results of a scan.

    Parameters
    ----------
    samples : int
        Number of samples that every point was evaluated on.
    loss : float
        Mean loss of the dense network.
    accuracy : float
        Accuracy of the dense network.
    sizes : dict of str to int
        Number of elements of each weight that was scanned, by name.
    points : tuple of Point
        Points in the order of the layers and of rising sparsity.
    not_prunable : dict of str to str
        Weights that were not scanned, and why.
    costs : WeightCosts, optional
        Costs of the network, for columns and budgets of other quantities than weights.
    of_channels : bool, default False
        Whether groups of channels were scanned, so that names are those of groups and sizes are channels.
    """

    samples: int
    loss: float
    accuracy: float
    sizes: dict[str, int]
    points: tuple[Point, ...]
    not_prunable: dict[str, str] = field(default_factory=dict)
    costs: WeightCosts | None = None
    of_channels: bool = False

    def curves(self, measure: str = "loss") -> Curves:
        """Return how much each layer loses at each sparsity, never less than at a lower one.

        Parameters
        ----------
        measure : {"loss", "accuracy"}, default "loss"
            Increase of the loss, or drop of the accuracy.

        Returns
        -------
        dict of str to tuple of array of float
            Sparsities and losses of each weight, which begin with 0 and 0. The losses are the running maximum
            of those that were measured.

        Raises
        ------
        PruningError
            If the measure is unknown.
        """
        if measure not in MEASURES:
            raise PruningError(f"unknown measure {measure!r}", hint=near(str(measure), MEASURES))
        found = {}
        for name in self.sizes:
            mine = [point for point in self.points if point.name == name]
            lost = [p.loss_increase if measure == "loss" else p.accuracy_drop for p in mine]
            found[name] = (
                np.array([0.0, *(point.sparsity for point in mine)]),
                np.maximum.accumulate([0.0, *lost]),
            )
        return found

    def at_threshold(self, threshold: float, measure: str = "loss") -> dict[str, float]:
        """Return the largest sparsity of each layer that stays within a threshold.

        Parameters
        ----------
        threshold : float
            Largest increase of the loss, or drop of the accuracy as a fraction.
        measure : {"loss", "accuracy"}, default "loss"
            Quantity that the threshold limits.

        Returns
        -------
        dict of str to float
            Sparsity of each weight, one of those that were measured; 0 if the first one exceeds the
            threshold. It can be used as ``scope`` of `gmp.Pruner`.

        Raises
        ------
        PruningError
            If the threshold is negative or no number, or the measure is unknown.
        """
        return at_threshold(self.curves(measure), threshold)

    def ratios(
        self, saved: float, *, cost: str = "weights", method: str = "table", measure: str = "loss"
    ) -> LayerRatios:
        """Return sparsities of the layers that together save a fraction of a cost.

        Parameters
        ----------
        saved : float
            Fraction of the cost of the dense network that is saved, 0 to below 1; of "weights" it is the
            overall sparsity.
        cost : {"weights", "macs", "energy", "cycles"}, default "weights"
            What is saved.
        method : {"table", "threshold"}, default "table"
            "table": the least sum of losses, by dynamic programming (see `gmp.allocate`). "threshold": the
            same loss in every layer, interpolated between the sparsities that were measured.
        measure : {"loss", "accuracy"}, default "loss"
            Loss of the layers: increase of the loss, or drop of the accuracy.

        Returns
        -------
        LayerRatios
            Sparsities by name for ``scope`` of `gmp.Pruner`. For "weights", exactly
            ``round(saved * weights)`` are zero. For other costs the network stays within the budget, and one
            more weight would exceed it.

        Raises
        ------
        PruningError
            If a name is unknown, if the costs were not given, or if the highest sparsities that were
            measured save less.
        """
        costs = self.costs
        if self.of_channels:
            raise PruningError("these are groups of channels, whose costs are coupled: use channels(...)")
        if costs is None:
            if cost != "weights":
                raise PruningError(
                    f"the table has no costs, so it cannot save '{cost}'; scan with costs=WeightCosts(...)"
                )
            size = self.sizes

            def total(quantity: str, sparsities: Mapping[str, float]) -> float:
                return float(sum(weights_left(size[name], s) for name, s in sparsities.items()))

            def levels(quantity: str, sparsities: Mapping[str, Reals]) -> dict[str, Reals]:
                return {name: weights_left(size[name], s) for name, s in sparsities.items()}
        else:
            total, levels = costs.total, costs.levels  # type: ignore[assignment]
        methods = {"table": allocated, "threshold": meeting}
        if method not in methods:
            raise PruningError(f"unknown method {method!r}", hint=near(str(method), methods))
        return methods[method](self.curves(measure), self.sizes, saved, cost, total, levels)

    def channels(self, cost: ChannelCost, budget: float, measure: str = "loss") -> dict[str, int]:
        """Return how many channels of each group to keep within a budget.

        Parameters
        ----------
        cost : callable
            Cost by the number of channels left in each group, such as `gmp.channels.mac_cost` makes.
        budget : float
            Largest cost.
        measure : {"loss", "accuracy"}, default "loss"
            Loss of the groups: increase of the loss, or drop of the accuracy.

        Returns
        -------
        dict of str to int
            Number of channels of each group, one of those that were measured.

        Raises
        ------
        PruningError
            If weights were scanned, or if the fewest channels that were measured cost more.
        """
        if not self.of_channels:
            raise PruningError("these are weights, not groups of channels: use ratios(...)")
        curves = self.curves(measure)
        left = {name: [round(self.sizes[name] * (1 - s)) for s in x] for name, (x, _) in curves.items()}
        errors = {name: lost for name, (_, lost) in curves.items()}
        found = allocate(
            errors, lambda levels: cost({name: left[name][i] for name, i in levels.items()}), budget
        )
        return {name: left[name][i] for name, i in found.levels.items()}

    def rows(self) -> list[dict[str, Any]]:
        """Return the points with the costs of their layers.

        Returns
        -------
        list of dict
            For each point its fields, the number of "weights" (or "channels") that are left and, with costs,
            "macs", "energy_pj" and "cycles" of the layer.
        """
        found, what = (
            [point._asdict() for point in self.points],
            "channels" if self.of_channels else "weights",
        )
        for name in self.sizes:
            mine = [row for row in found if row["name"] == name]
            sparsities = [row["sparsity"] for row in mine]
            for row in mine:
                row[what] = round(self.sizes[name] * (1 - row["sparsity"]))
            if self.costs is None or not mine or self.of_channels:
                continue
            for quantity in self.costs.quantities[1:]:
                column = "energy_pj" if quantity == "energy" else quantity
                values = self.costs.levels(quantity, {name: sparsities})[name]
                for row, value in zip(mine, values.tolist(), strict=True):
                    row[column] = value
        return found

    def to_csv(self, path: str | Path) -> None:
        """Write `rows` as CSV.

        Parameters
        ----------
        path : str or Path
            The file.

        Raises
        ------
        PruningError
            If it cannot be written.
        """
        with writing(path, "table"):
            write_csv(path, self.rows())

    def table(self) -> Table:
        """Return the results as a table for a terminal.

        Returns
        -------
        Table
            One row for each point, for ``rich.print``.
        """
        rows = self.rows()
        extra = [key for key in (rows[0] if rows else {}) if key not in Point._fields]
        cells = []
        for row in rows:
            costs = [f"{row[key] / 1e6:,.3f}" if key == "energy_pj" else f"{row[key]:,.0f}" for key in extra]
            cells.append((
                row["name"], f"{row['sparsity']:.3f}", f"{row['loss']:.4f}",
                f"{row['loss_increase']:+.4f} ± {row['loss_se']:.4f}", f"{100 * row['accuracy']:.2f}",
                f"{100 * row['accuracy_drop']:+.2f} ± {100 * row['accuracy_se']:.2f}", *costs,
            ))  # fmt: skip
        names = ["energy uJ" if key == "energy_pj" else key for key in extra]
        head = ("weight", "sparsity", "loss", "increase", "accuracy %", "drop in points", *names)
        title = f"{self.samples} samples, dense: loss {self.loss:.4f}, accuracy {100 * self.accuracy:.2f} %"
        notes = [f"{name} is not prunable: {why}" for name, why in self.not_prunable.items()]
        return Table(head, cells, title, notes=notes)

    def plot(self, path: str | Path, measure: str = "accuracy") -> None:
        """Draw the points of all layers, with two standard errors.

        Parameters
        ----------
        path : str or Path
            Picture to write; its ending gives the format.
        measure : {"accuracy", "loss"}, default "accuracy"
            Quantity that is drawn.

        Raises
        ------
        PruningError
            If the measure is unknown, or the file cannot be written.
        """
        require("matplotlib", "plotting sensitivities", "plot")
        from sparsim.report.figure_style import styled, write_figure  # takes a second to load

        if measure not in MEASURES:
            raise PruningError(f"unknown measure {measure!r}", hint=near(str(measure), MEASURES))
        figure = styled(_drawn)(self, measure)
        with writing(path, "plot", ValueError):  # an unknown format
            write_figure(figure, Path(path))


def _drawn(table: SensitivityTable, measure: str) -> Any:
    from sparsim.report.figure_style import panels

    figure = panels(8, 4, 1, 1)
    (axes,) = figure.axes
    for name in table.sizes:
        mine = [point for point in table.points if point.name == name]
        values = [getattr(point, measure) for point in mine]
        errors = [2 * getattr(point, f"{measure}_se") for point in mine]
        x = [0.0, *(point.sparsity for point in mine)]
        axes.errorbar(x, [getattr(table, measure), *values], [0.0, *errors], label=name, capsize=2)
    axes.set(xlabel="sparsity of the layer", ylabel=measure)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure
