"""What a comparison says, as tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from gmp.tracing.trace import Trace, trace
from pointnet.data import Dataset
from pointnet.study.pruning_comparison import Row
from pointnet.trace_clouds import variant
from pointnet.training.train import load_model
from sparsim.report.tables import Table

TRACED_AT_ONCE = 32  # clouds; no result depends on it


def accuracy_table(rows: Sequence[Row]) -> Table:
    cells = []
    for row in rows:
        low, high = row.score.interval()
        cells.append((
            row.variant, row.epochs, f"{row.sparsity:.2%}", f"{row.score.accuracy:.2%}",
            f"{low:.1%} to {high:.1%}", f"{row.score.class_accuracy:.2%}", f"{row.cpu_s:.1f}",
        ))  # fmt: skip
    head = ("variant", "epochs", "sparsity", "accuracy", "95 % interval", "class accuracy", "CPU s")
    return Table(head, cells, "accuracy on the test clouds")


def traces(folder: Path, variants: Sequence[str], data: Dataset) -> dict[str, Trace]:
    """Densities of finished variants of the comparison in `folder`, over all test clouds."""
    found = {}
    for name in variants:
        model = variant(load_model(folder / name).model, delayed=False)
        clouds = torch.from_numpy(data.test.points[:, : model.config.points])
        found[name] = trace(model, clouds.split(TRACED_AT_ONCE))
    return found


def density_table(traced: Mapping[str, Trace]) -> Table:
    """Per layer, the densities of weights and of inputs (mean and spread over clouds) of each variant."""
    rows = []
    for layers in zip(*(found.layers for found in traced.values()), strict=True):
        weights = [f"{layer.weight_density:.3f}" for layer in layers]
        inputs = [f"{layer.inputs.mean:.3f} ± {layer.inputs.spread:.3f}" for layer in layers]
        rows.append([layers[0].name, *weights, *inputs])
    head = ["layer", *(f"{name}: {what}" for what in ("weights", "inputs") for name in traced)]
    return Table(head, rows, "nonzero fractions")
