"""What the pruning methods are worth: accuracy, speed, and time of the searches.

    python benchmarks/methods.py [--json FILE]

`resnet18_speedup` is how many times faster ResNet-18 runs without half of its channels (one picture of 224 x
224, one thread, CPU time).
"""

import torch
from benchmark import Found, Step, benchmark, cpu_seconds
from resnet18 import ResNet18

import gmp
from sparsim.report.tables import Table

SEED = 2022


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


@benchmark()
def main(step: Step) -> Found:
    torch.set_num_threads(1)
    step("ResNet-18 with half of its channels")
    numbers = {"resnet18_speedup": resnet18_speedup()}
    rows = [(name, f"{value:.4g}") for name, value in numbers.items()]
    return Found(numbers, {"methods": Table(["quantity", "value"], rows)})


if __name__ == "__main__":
    main()
