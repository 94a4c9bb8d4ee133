"""Speed of sampling and of a training step, in CPU seconds on one core, compared with plain torch.

    python benchmarks/sampling_speed.py [--json FILE] [--quick]

Both implementations run in turn, in one process and on the same clouds. The clouds are points on boxes with
coordinates that are multiples of 2^-10, so distances are exact and the samples must be equal. The step trains
the study's network with forward, backward and Adam, and the logits must agree.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import plain_pointnet
import torch
from benchmark import Found, Step, benchmark, cpu_seconds, met
from torch import Tensor, nn
from torch.nn import functional as F

from pointnet.model import PointNet2
from pointnet.network_config import preset
from pointnet.ops import sampling
from sparsim.report.tables import Table

SEED = 2022
POINTS = 1024
TICKS = 1024  # per unit of length
LOGIT_TOLERANCE = 1e-3  # the head's batch-norms magnify rounding: they divide by what 16 alike clouds differ


class Effort(NamedTuple):
    batch: int
    sampling_repeats: int
    step_repeats: int


FULL = Effort(batch=16, sampling_repeats=9, step_repeats=5)
QUICK = Effort(batch=2, sampling_repeats=1, step_repeats=1)


class Stage(NamedTuple):
    """The two stages of the study's network."""

    points: int
    centres: int
    radius: float
    neighbours: int


STAGES = (Stage(POINTS, 512, 0.2, 32), Stage(512, 128, 0.4, 64))


class Pair(NamedTuple):
    """Median CPU seconds of two ways to the same result."""

    plain_s: float
    ours_s: float

    @property
    def speedup(self) -> float:
        return self.plain_s / self.ours_s


def box_clouds(batch: int, generator: torch.Generator) -> Tensor:
    """Points on the surface of boxes of random extents within [-1, 1]: (B, N, 3)."""
    xyz = 2 * torch.rand(batch, POINTS, 3, generator=generator) - 1
    axis = torch.randint(3, (batch, POINTS, 1), generator=generator)
    side = xyz.gather(2, axis).sign()
    xyz = xyz.scatter(2, axis, side) * (0.3 + 0.7 * torch.rand(batch, 1, 3, generator=generator))
    return (xyz * TICKS).round() / TICKS


def measure_sampling(effort: Effort, step: Step) -> dict[str, Pair]:
    """Compare both implementations. Raises RuntimeError if they disagree."""
    pairs: dict[str, Pair] = {}
    xyz = box_clouds(effort.batch, torch.Generator().manual_seed(SEED))
    for i, (points, count, radius, neighbours) in enumerate(STAGES, start=1):
        assert xyz.shape[1] == points
        calls: dict[str, tuple[Callable[[], Tensor], Callable[[], Tensor]]] = {}
        centres = sampling.gather(xyz, sampling.farthest_point_sample(xyz, count))
        calls[f"fps_stage_{i}"] = (
            lambda xyz=xyz, count=count: plain_pointnet.farthest_point_sample(xyz, count),  # type: ignore[misc]
            lambda xyz=xyz, count=count: sampling.farthest_point_sample(xyz, count),  # type: ignore[misc]
        )
        ball = (xyz, centres, radius, neighbours)
        calls[f"ball_query_stage_{i}"] = (
            lambda ball=ball: plain_pointnet.ball_query(*ball),  # type: ignore[misc]
            lambda ball=ball: sampling.ball_query(*ball),  # type: ignore[misc]
        )
        for name, (reference, ours) in calls.items():
            step(name)
            if not torch.equal(reference(), ours()):
                raise RuntimeError(f"{name}: the results differ")
            pairs[name] = Pair(*cpu_seconds(reference, ours, repeats=effort.sampling_repeats))
        xyz = centres
    return pairs


def measure_train_step(effort: Effort) -> Pair:
    """Compare both networks. Raises RuntimeError if they disagree."""
    draw = torch.Generator().manual_seed(SEED)
    clouds, labels = box_clouds(effort.batch, draw), torch.randint(10, (effort.batch,), generator=draw)
    torch.manual_seed(SEED)
    config = preset("study", dropout=0.0)
    ours, reference = PointNet2(config), plain_pointnet.PointNet2(config)
    reference.load(ours.state_dict())
    with torch.no_grad():
        difference = (ours.train()(clouds) - reference.train()(clouds)).abs().max().item()
    if not difference < LOGIT_TOLERANCE:
        raise RuntimeError(f"train step: the logits differ by {difference}")
    steps = [_train_step(net, clouds, labels) for net in (reference, ours)]
    return Pair(*cpu_seconds(*steps, repeats=effort.step_repeats))


def _train_step(net: nn.Module, clouds: Tensor, labels: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.Adam(net.parameters())

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(net(clouds), labels).backward()
        optimizer.step()

    return step


# ---- report

TARGETS = {"fps_stage_1": 10, "ball_query_stage_1": 20}


def table(pairs: dict[str, Pair]) -> Table:
    rows = []
    for name, pair in pairs.items():
        milliseconds = (f"{1e3 * seconds:,.2f}" for seconds in pair)
        rows.append((name, *milliseconds, f"{pair.speedup:,.1f}", *met(pair.speedup, TARGETS.get(name))))
    return Table(["what", "plain, ms", "ours, ms", "speed-up", "target", ""], rows, "CPU time on one core")


@benchmark(quick="Little work, rough numbers.")
def main(step: Step, quick: bool) -> Found:
    torch.set_num_threads(1)
    effort = QUICK if quick else FULL
    result: dict[str, Any] = {"batch": effort.batch}
    pairs = measure_sampling(effort, step)
    step("train step")
    pairs["train_step"] = measure_train_step(effort)
    for name, pair in pairs.items():
        result |= {f"{name}_{way}": seconds for way, seconds in pair._asdict().items()}
    result |= {f"{name.removesuffix('_stage_1')}_speedup": pair.speedup for name, pair in pairs.items()}
    return Found(result, {"sampling": table(pairs)})


if __name__ == "__main__":
    main()
