"""Reports on pruned models: one row per prunable weight, a total, and the sizes of dense and compressed
files.

A weight counts as nonzero if its mask keeps it and its value is not 0. Compressed sizes are those of a store
that keeps the nonzeros as float32 and the positions as a bitmask: 4 * nonzero + ceil(weights / 8) bytes.
`torch.save` has no such store: it writes every zero, so a pruned checkpoint is as large as the dense one.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path

import torch
from torch import nn

from gmp.errors import PruningError, writing
from gmp.masks import fit
from gmp.network_coverage import Coverage, coverage_of
from gmp.number_checks import is_number
from gmp.parameter_names import named_parameters, renamed
from sparsim.errors import near
from sparsim.fileio.json_and_csv import write_csv, write_json
from sparsim.report.tables import Table

Cell = str | int | float | None
Extra = Mapping[str, Mapping[str, object]]

FLOAT_BYTES = 4
FIXED = ("name", "shape", "weights", "nonzero", "sparsity", "dense_bytes", "compressed_bytes")


@dataclass(frozen=True)
class LayerReport:
    """Counts of one prunable weight, or of all of them.

    Parameters
    ----------
    name : str
        Name of the weight; "total" for all of them.
    shape : tuple of int
        Shape of the weight; () for the total.
    weights : int
        Number of weights.
    nonzero : int
        Number of weights that the mask keeps and whose value is not 0.
    compressed_bytes : int
        Size in bytes with the nonzeros as float32 and the positions as a bitmask:
        4 * nonzero + ceil(weights / 8) for one weight tensor.
    extra : mapping of str to str, int, float or None, default dict()
        Further columns; None stands for a value that was not measured.
    """

    name: str
    shape: tuple[int, ...]
    weights: int
    nonzero: int
    compressed_bytes: int
    extra: Mapping[str, Cell] = field(default_factory=dict)

    @property
    def sparsity(self) -> float:
        """Fraction of the weights that are zero."""
        return (self.weights - self.nonzero) / self.weights

    @property
    def dense_bytes(self) -> int:
        """Size in bytes with all weights as float32."""
        return FLOAT_BYTES * self.weights

    def cells(self) -> dict[str, Cell]:
        """Return the row as a dictionary.

        Returns
        -------
        dict of str to str, int, float or None
            Value of each column by its name; the fixed columns come before those of `extra`.
        """
        shape = "x".join(map(str, self.shape)) or None
        fixed = (self.name, shape, self.weights, self.nonzero, self.sparsity)
        cells = zip(FIXED, (*fixed, self.dense_bytes, self.compressed_bytes), strict=True)
        return {**dict(cells), **self.extra}


@dataclass(frozen=True)
class Report:
    """What pruning has left of a model.

    Parameters
    ----------
    rows : tuple of LayerReport
        One row for each prunable weight, in the order of the masks.
    total : LayerReport
        Sums over the prunable weights. A further column has a sum if it holds an integer in every row, and is
        None otherwise, since sums of ratios have no meaning.
    parameters : int
        Number of all parameters of the model.
    coverage : Coverage
        How much of the model the rows are.
    warnings : tuple of str, default ()
        Sentences about what was asked for and not reached.
    """

    rows: tuple[LayerReport, ...]
    total: LayerReport
    parameters: int
    coverage: Coverage
    warnings: tuple[str, ...] = ()

    @property
    def sparsity(self) -> float:
        """Fraction of the prunable weights that are zero."""
        return self.total.sparsity

    @property
    def parameter_sparsity(self) -> float:
        """Zeroed prunable weights as a fraction of all parameters; biases and the like count as kept."""
        return (self.total.weights - self.total.nonzero) / self.parameters

    @property
    def model_dense_bytes(self) -> int:
        """Size in bytes of all parameters as float32."""
        return FLOAT_BYTES * self.parameters

    @property
    def model_compressed_bytes(self) -> int:
        """Size in bytes with the prunable weights compressed and the other parameters dense."""
        return FLOAT_BYTES * (self.parameters - self.total.weights) + self.total.compressed_bytes

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that explain the numbers; warnings come first."""
        empty = [row.name for row in self.rows if not row.nonzero]
        warning = f"all weights of {', '.join(empty)} are zero; a layer without weights returns only its bias"
        return (
            *self.warnings,
            *([warning] if empty else []),
            *self.coverage.notes,
            f"{self.parameter_sparsity:.4f} of all {self.parameters:,} parameters are zeroed weights",
            f"all parameters take {self.model_dense_bytes:,} bytes dense and {self.model_compressed_bytes:,} "
            "with the prunable weights compressed: nonzeros as float32, positions as a bitmask",
            "torch.save stores zeros as well, so a checkpoint shrinks only in a compressed format",
        )

    def table(self) -> Table:
        """Return the report as a table for a terminal.

        Returns
        -------
        Table
            Table to be printed with ``rich.print(report.table())``.
        """
        rows = [list(_texts(row).values()) for row in (*self.rows, self.total)]
        return Table(tuple(self.total.cells()), rows[:-1], text=(0, 1), total=rows[-1], notes=self.notes)

    def to_markdown(self) -> str:
        """Return the table and the notes as Markdown.

        Returns
        -------
        str
            Markdown text.
        """
        return self.table().to_markdown() + "\n" + "".join(f"* {note}\n" for note in self.notes)

    def to_csv(self, path: str | Path) -> None:
        """Write the rows as CSV.

        Parameters
        ----------
        path : str or Path
            File to write: one line for each weight, and the total as the last line.

        Raises
        ------
        PruningError
            If the file cannot be written.
        """
        with writing(path, "report"):
            write_csv(path, [row.cells() for row in (*self.rows, self.total)])

    def to_json(self, path: str | Path) -> None:
        """Write rows, total, sizes of the model, coverage and notes as JSON.

        Parameters
        ----------
        path : str or Path
            File to write; null stands for a value that was not measured.

        Raises
        ------
        PruningError
            If the file cannot be written.
        """
        document = {
            "rows": [row.cells() for row in self.rows],
            "total": self.total.cells(),
            "parameters": self.parameters,
            "parameter_sparsity": self.parameter_sparsity,
            "model_dense_bytes": self.model_dense_bytes,
            "model_compressed_bytes": self.model_compressed_bytes,
            "coverage": self.coverage.plain(),
            "warnings": self.warnings,
            "notes": self.notes,
        }
        with writing(path, "report"):
            write_json(path, document)


def report_of(
    model: nn.Module,
    masks: Mapping[str, torch.Tensor],
    extra: Extra | None = None,
    *,
    warnings: Iterable[str] = (),
    coverage: Coverage | None = None,
) -> Report:
    """Count what masks leave of the weights of a model, which is not changed.

    Parameters
    ----------
    model : nn.Module
        Model with the weights.
    masks : mapping of str to Tensor
        Mask of each weight by its name ("fc1.weight"): a bool tensor of its shape, True where it is kept.
    extra : mapping of str to mapping, optional
        Further columns by the name of a weight or module, as ``{"fc1": {"macs": 524288}}``.
    warnings : iterable of str, default ()
        Sentences with which the notes of the report begin.
    coverage : Coverage, optional
        How much of the model the masks cover; by default it is counted in parameters, without MACs.

    Returns
    -------
    Report
        One row for each weight, and the total.

    Raises
    ------
    PruningError
        If there are no masks, if a name is unknown, if a mask does not fit its weight, or if a further column
        exists already or holds anything but finite numbers and text.
    """
    if not masks:
        raise PruningError("there are no masks to report")
    parameters = named_parameters(model)
    masks = renamed(masks, parameters)
    columns = _columns(list(masks), extra or {})
    names = list(dict.fromkeys(column for cells in columns.values() for column in cells))
    rows = []
    for name, mask in masks.items():
        if name not in parameters:
            raise PruningError(f"unknown weight '{name}' has a mask", hint=near(name, parameters))
        weight = parameters[name].detach()
        _check_mask(name, weight, mask)
        nonzero = int(((weight != 0) & mask.to(weight.device)).sum())
        cells = {column: columns[name].get(column) for column in names}
        rows.append(_row(name, tuple(weight.shape), weight.numel(), nonzero, cells))
    if coverage is None:
        coverage = coverage_of(model, [parameters[name] for name in masks], "pruned")
    return Report(tuple(rows), _total(rows, names), coverage.parameters, coverage, tuple(warnings))


def _check_mask(name: str, weight: torch.Tensor, mask: torch.Tensor) -> None:
    if mask.dtype != torch.bool:
        raise PruningError(f"the mask of '{name}' must have the type torch.bool, got {mask.dtype}")
    fit(name, mask, weight)
    if not weight.numel():
        raise PruningError(f"weight '{name}' has no elements: its shape is {tuple(weight.shape)}")


def _row(
    name: str, shape: tuple[int, ...], weights: int, nonzero: int, extra: Mapping[str, Cell]
) -> LayerReport:
    return LayerReport(name, shape, weights, nonzero, FLOAT_BYTES * nonzero + math.ceil(weights / 8), extra)


def _total(rows: list[LayerReport], columns: Iterable[str]) -> LayerReport:
    extra: dict[str, Cell] = {}
    for column in columns:
        values = [row.extra[column] for row in rows]
        counts = [value for value in values if isinstance(value, int)]
        extra[column] = sum(counts) if len(counts) == len(values) else None
    weights, nonzero = sum(row.weights for row in rows), sum(row.nonzero for row in rows)
    return LayerReport("total", (), weights, nonzero, sum(row.compressed_bytes for row in rows), extra)


def _columns(weights: list[str], extra: Extra) -> dict[str, dict[str, Cell]]:
    """Weight name to its further columns."""
    owners: dict[str, list[str]] = {name: [name] for name in weights}
    for name in weights:
        owners.setdefault(name.rpartition(".")[0], []).append(name)
    result: dict[str, dict[str, Cell]] = {name: {} for name in weights}
    for name, cells in renamed(extra, owners).items():
        if name not in owners:
            raise PruningError(
                f"extra columns name an unknown weight or module '{name}'", hint=near(name, owners)
            )
        if len(owners[name]) > 1:
            raise PruningError(
                f"extra columns for '{name}', which has several weights: {', '.join(owners[name])}"
            )
        row = result[owners[name][0]]
        for column, value in cells.items():
            if column in FIXED or column in row:
                raise PruningError(f"extra column '{column}' of '{name}' already exists")
            row[column] = _cell(value, f"extra column '{column}' of '{name}'")
    return result


def _cell(value: object, what: str) -> Cell:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if is_number(value):
        return float(value)
    raise PruningError(f"{what} must be a finite number, text, or None if it was not measured, got {value!r}")


def _texts(row: LayerReport) -> dict[str, str]:
    """Return cells as text; values that were not measured are blank."""
    return {column: _text(column, value) for column, value in row.cells().items()}


def _text(column: str, value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4f}" if column == "sparsity" else f"{value:.4g}"
    return value
