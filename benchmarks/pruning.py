"""What pruning costs in accuracy on the procedural set, from nothing, in CPU seconds on one core.

    python benchmarks/pruning.py [--json FILE] [--seed N]

Trains the `small` network dense, then that network again for as long three ways: without pruning (control)
and pruned gradually to 90 %. `cpu_s` is the whole process: imports, data, kernels' compilation, training,
tests.
"""

from __future__ import annotations

import json
import platform
import tempfile
import time
from pathlib import Path

import click
import torch
from rich.console import Console

from pointnet.study.comparison_tables import accuracy_lines
from pointnet.study.pruning_comparison import Plan, compare
from pointnet.text_tables import table
from pointnet.training.run_training import data_of, run_training
from pointnet.training.settings import Settings
from pointnet.training.train import Training
from sparsim.fileio.writing import write_text
from sparsim.report.console import results

EPOCHS = 20
MORE = 30
LR_AGAIN = 4e-3
POOL = 512  # points per cloud, of which each step draws 256


@click.command(help=__doc__)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--seed", type=int, default=0, show_default=True)
def main(json_file: Path | None, seed: int) -> None:
    console = Console(stderr=True)
    dense = Settings(epochs=EPOCHS, pool=POOL, seed=seed)
    again = Settings(epochs=MORE, lr=LR_AGAIN, pool=POOL, seed=seed)
    data = data_of(dense, console)

    def train(settings: Settings, folder: Path) -> Training:
        return run_training(settings, data, folder, console=console)

    with tempfile.TemporaryDirectory() as folder:
        rows = compare(
            Plan(dense, again, levels=(0.9,), one_shot=False, two_four=False), data, Path(folder), train
        )
    results().print(table(accuracy_lines(rows), "procedural shapes"))
    by_name = {row.variant: row.score for row in rows}
    found = {
        "dense_accuracy": by_name["dense"].accuracy,
        "control_accuracy": by_name["control"].accuracy,
        "gmp90_accuracy": by_name["gmp-90"].accuracy,
        "intervals_95": {row.variant: row.score.interval() for row in rows},
        "test_clouds": len(data.test),
        "seed": seed,
        "cpu_s": round(time.process_time(), 2),
        "machine": f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} thread",
    }
    click.echo(json.dumps(found, indent=1))
    if json_file is not None:
        write_text(json_file, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
