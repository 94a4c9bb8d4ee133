"""The study's recipe on a stand-in with the weights' names of PointNet++."""

from __future__ import annotations

import math
from importlib import resources
from itertools import pairwise

import pytest
import torch
from torch import nn

from gmp.recipes.recipe import load_recipe
from pointnet.model import PointNet2
from pointnet.network_config import preset

RECIPE = resources.files("pointnet") / "recipes" / "study.yaml"
STEPS = 4
WIDTHS = {"sa1": (3, 6, 6, 8), "sa2": (11, 8, 8, 16), "sa3": (19, 16, 24, 32)}


class Stage(nn.Module):
    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        pairs = pairwise(widths)
        self.mlp_convs = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairs)
        self.mlp_bns = nn.ModuleList(nn.BatchNorm2d(b) for b in widths[1:])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for conv, norm in zip(self.mlp_convs, self.mlp_bns, strict=True):
            x = norm(conv(x)).relu()
        return x


class StandIn(nn.Module):
    """The twelve layers without sampling and grouping; the coordinates join again at each stage."""

    def __init__(self) -> None:
        super().__init__()
        self.sa1, self.sa2, self.sa3 = (Stage(widths) for widths in WIDTHS.values())
        self.fc1, self.fc2, self.fc3 = nn.Linear(32, 24), nn.Linear(24, 16), nn.Linear(16, 10)

    def forward(self, xyz: torch.Tensor) -> torch.Tensor:
        x = self.sa1(xyz)
        x = self.sa2(torch.cat([xyz, x], dim=1))
        x = self.sa3(torch.cat([xyz, x], dim=1)).amax(dim=(2, 3))
        return self.fc3(self.fc2(self.fc1(x).relu()).relu())


def sparsity_of_the_study(epoch: float) -> float:
    """Zhu & Gupta 2017, equation 1: from 0.05 at epoch 1 to 0.9 at epoch 10, in steps of half an epoch."""
    if epoch < 1:
        return 0.0
    reached = min(math.floor(epoch * 2) / 2, 10.0)
    return 0.9 - 0.85 * (1 - (reached - 1) / 9) ** 3


def rate_of_the_study(epoch: float) -> float:
    """1e-4, then a cosine to 5e-5 over epochs 1 to 10, and once more over epochs 10 to 15."""
    if epoch < 1:
        return 1e-4
    begin, end = (1, 10) if epoch < 10 else (10, 15)
    return 5e-5 + 5e-5 * (1 + math.cos(math.pi * min(epoch - begin, end - begin) / (end - begin))) / 2


@pytest.mark.filterwarnings("ignore::gmp.errors.PruningWarning")  # the recipe leaves nothing of small layers
def test_the_recipe_prunes_as_the_study_did() -> None:
    torch.manual_seed(0)
    model = StandIn()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    recipe = load_recipe(str(RECIPE))
    running = recipe.attach(model, optimizer, steps_per_epoch=STEPS)
    weights = [p for p in model.parameters() if p.dim() > 1]
    size = sum(weight.numel() for weight in weights)
    assert recipe.epochs == 15
    assert len(running.weights) == len(weights) == 12
    for step in range(15 * STEPS):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate_of_the_study(step / STEPS), rel=1e-12)
        cloud = torch.rand(4, 3, 4, 2)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(cloud), torch.arange(4)).backward()
        optimizer.step()
        running.step()
        zeros = sum(int((weight == 0).sum()) for weight in weights)
        assert abs(zeros - sparsity_of_the_study((step + 1) / STEPS) * size) <= 0.5 + 1e-6
    assert running.report().total.nonzero == size - round(0.9 * size)
    assert all(row.sparsity > 0 for row in running.report().rows)


def test_its_length_can_be_changed() -> None:
    recipe = load_recipe(str(RECIPE), {"num_epochs": 30, "pruning_start": 2})
    assert recipe.epochs == 30
    assert [m.start_epoch for m in recipe.modifiers] == [0, 0, 2, 20, 2]


def test_it_names_all_weights_of_the_study_network() -> None:
    model = PointNet2(preset("study"))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    running = load_recipe(str(RECIPE)).attach(model, optimizer, steps_per_epoch=166)
    sizes = [model.get_parameter(name).numel() for name in running.weights]
    assert sizes[:3] == [192, 4096, 8192]
    assert (len(sizes), sum(sizes)) == (12, 1_457_984)
