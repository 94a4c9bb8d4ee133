"""Loss of accuracy by pruning on the procedural set, with the CPU seconds of the whole process on one core.

    python benchmarks/pruning_accuracy.py [--json FILE] [--seed N]

The benchmark trains the `small` network dense. It then continues from this network twice for the same number
of epochs: without pruning (control), and with gradual pruning to 90 %. `cpu_s` is the time of the whole
process: imports, data, compilation of kernels, training and tests.
"""

import tempfile
import time
from pathlib import Path

from benchmark import Found, Step, benchmark

from pointnet.study.accuracy_report import accuracy_table
from pointnet.study.pruning_comparison import Plan, compare
from pointnet.training.run_training import data_of, run_training
from pointnet.training.settings import Settings
from pointnet.training.train import Training
from sparsim.cli.common_options import seed_option
from sparsim.report.console import messages

EPOCHS = 20
MORE = 30
LR_AGAIN = 4e-3
POOL = 512  # points per cloud, of which each step draws 256


@benchmark()
@seed_option
def main(step: Step, seed: int) -> Found:
    dense = Settings(epochs=EPOCHS, pool=POOL, seed=seed)
    again = Settings(epochs=MORE, lr=LR_AGAIN, pool=POOL, seed=seed)
    data = data_of(dense, messages())

    def train(settings: Settings, folder: Path) -> Training:
        return run_training(settings, data, folder)

    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(dense, again, levels=(0.9,), one_shot=False, two_four=False)
        rows = compare(plan, data, Path(folder), train)
    by_name = {row.variant: row.score for row in rows}
    found = {
        "dense_accuracy": by_name["dense"].accuracy,
        "control_accuracy": by_name["control"].accuracy,
        "gmp90_accuracy": by_name["gmp-90"].accuracy,
        "intervals_95": {row.variant: row.score.interval() for row in rows},
        "test_clouds": len(data.test),
        "cpu_s": round(time.process_time(), 2),
    }
    return Found(found, {"procedural shapes": accuracy_table(rows)})


if __name__ == "__main__":
    main()
