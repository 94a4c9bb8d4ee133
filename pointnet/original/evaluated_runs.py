"""Evaluation of the published runs with our model."""

from collections.abc import Callable
from typing import NamedTuple

from pointnet.original.published_runs import DESIGNS, SHAPE, Run, runs
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.model.evaluate import Accounting, evaluate
from sparsim.model.result import Evaluation
from sparsim.records import Density, Layer

PUBLISHED_ACCOUNTING: Accounting = "timeloop-2022"


class Outcome(NamedTuple):
    run: Run
    accounting: Accounting
    evaluation: Evaluation


def evaluate_runs(
    accounting: Accounting = PUBLISHED_ACCOUNTING,
    *,
    change: Callable[[Layer], Layer] = lambda layer: layer,
    step: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Evaluate all runs under one accounting; `change` alters a layer before its run, `step` is called after
    it.
    """
    accelerators = {design: load_accelerator(name) for design, name in DESIGNS.items()}
    outcomes = []
    for run in runs():
        layer = change(run.layer)
        evaluation = evaluate(accelerators[run.design], layer, run.mapping, accounting=accounting)
        outcomes.append(Outcome(run, accounting, evaluation))
        step()
    return outcomes


def with_dense_weights(layer: Layer) -> Layer:
    """Return the layer as if no weight had been pruned."""
    return Layer(
        name=layer.name,
        shape=SHAPE,
        bounds=layer.bounds,
        densities={**layer.densities, "Weights": Density()},
    )
