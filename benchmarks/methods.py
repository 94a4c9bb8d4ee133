"""Comparison of the pruning methods: accuracy, speed, and time of the searches.

    python benchmarks/methods.py [--json FILE] [--document FILE] [--data MODELNET10]

`digits_uniform`, `digits_table` and `digits_least_squares` are accuracies of the digits network (see
digits_network.py; they are left out if its packages are absent) with 90 % zeros and without training: with
the same sparsity in all layers, with the sparsities of a sensitivity table, and with least squares at these.
With --data PointNet++ is pruned with equal training by each method (see pruning_runs.py).

`resnet18_speedup` is the speedup of ResNet-18 without half of its channels (one picture of 224 x 224, one
thread, CPU time). `amc_cpu_s` is the CPU time of `gmp.channels.amc` on the digits network, for 300 episodes
to a quarter of the MACs and for the searches that the agent is compared with.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import click
import torch
from benchmark import Found, Step, benchmark, cpu_seconds
from digits_network import INSTALL, Digits, is_there, load_digits
from digits_pruning import accuracy, digits_numbers, digits_table, pruned, scanned, scope_table
from pruning_runs import compared, run_options
from resnet18 import ResNet18
from torch import nn
from torch.nn import functional as F

import gmp
from gmp.channels import AmcReport, ChannelCandidates, amc, mac_cost
from sparsim.report.console import messages
from sparsim.report.tables import Block, Table

SEED = 2022
SEARCHED = 200  # number of pictures with whose loss a search works


def resnet18_speedup() -> float:
    torch.manual_seed(SEED)
    model = ResNet18().eval()
    groups = gmp.channel_groups(model, torch.randn(1, 3, 32, 32))
    half = {group.name: range(0, group.channels, 2) for group in groups}
    narrow = gmp.narrow(model, groups, half).model
    picture = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        whole_s, half_s = cpu_seconds(lambda: model(picture), lambda: narrow(picture), repeats=9)
    return whole_s / half_s


def amc_on_digits(digits: Digits, share: float = 0.25) -> tuple[float, AmcReport]:
    """Return the CPU seconds of groups, calibration and all searches, and the report of the searches."""
    started = time.process_time()
    pictures, labels = (torch.cat(each)[:SEARCHED] for each in zip(*digits.scanned, strict=True))

    def loss(model: nn.Module) -> float:
        return float(F.cross_entropy(model(pictures), labels))

    groups = gmp.channel_groups(digits.model, pictures[:1])
    calibration = [x for x, _ in digits.calibration]
    candidates = ChannelCandidates(digits.model, groups, loss, calibration=calibration)
    cost = mac_cost(digits.model, groups)
    report = amc(candidates, cost, share * cost({}), episodes=300, seed=SEED)
    return time.process_time() - started, report


@benchmark(document=True)
@click.option("--data", metavar="SOURCE", help="ModelNet10, for PointNet++.  [default: left out]")
@run_options
def main(step: Step, data: str | None, seeds: Sequence[int], folder: str, stored: bool) -> Found:
    torch.set_num_threads(1)
    step("ResNet-18 with half of its channels")
    numbers = {"resnet18_speedup": resnet18_speedup()}
    blocks: dict[str, Block] = {}
    if is_there():
        digits = load_digits()
        step("sensitivity of the digits network")
        table = scanned(digits)
        step("pruning the digits network")
        results = pruned(digits, table)
        numbers |= digits_numbers(results)
        blocks["digits"] = digits_table(results, accuracy(digits.model, digits))
        blocks["digits scope"] = scope_table(table)
        step("AMC on the digits network")
        numbers["amc_cpu_s"], report = amc_on_digits(digits)
        blocks["amc"] = report.table()
    else:
        messages().print(f"the digits network is left out: it is not installed ({INSTALL})")
    if data is not None:
        blocks["pointnet"] = compared(data, seeds, Path(folder), step, stored=stored)
    rows = [(name, f"{value:.4g}") for name, value in numbers.items()]
    return Found(numbers, {"methods": Table(["quantity", "value"], rows), **blocks})


if __name__ == "__main__":
    main()
