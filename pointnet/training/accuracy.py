"""Accuracy with its confidence interval."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from pointnet.data import Clouds
from pointnet.device_names import device_of
from pointnet.errors import ConfigError
from sparsim.report.tables import Table

Z95 = 1.959964  # two-sided 95 % of a normal distribution


class Score(NamedTuple):
    """Right answers per class."""

    correct: tuple[int, ...]
    total: tuple[int, ...]

    @property
    def accuracy(self) -> float:
        """Fraction of all clouds (instance accuracy)."""
        return sum(self.correct) / sum(self.total)

    @property
    def class_accuracy(self) -> float:
        """Mean over the classes that occur."""
        parts = [right / n for right, n in zip(self.correct, self.total, strict=True) if n]
        return sum(parts) / len(parts)

    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of `accuracy` (Wilson 1927, the score interval of a proportion)."""
        n, p = sum(self.total), self.accuracy
        scale = 1 + Z95**2 / n
        centre = (p + Z95**2 / (2 * n)) / scale
        half = Z95 / scale * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def table(self, classes: Sequence[str]) -> Table:
        """For a terminal, class by class."""
        each = zip(classes, self.correct, self.total, strict=True)
        rows = [(name, right, n, f"{right / n:.1%}" if n else "") for name, right, n in each]
        return Table(("class", "right", "clouds", "accuracy"), rows)

    def plain(self, classes: Sequence[str]) -> dict[str, Any]:
        """For JSON, class by class."""
        each = zip(classes, self.correct, self.total, strict=True)
        return {
            "accuracy": self.accuracy,
            "interval_95": self.interval(),
            "class_accuracy": self.class_accuracy,
            "classes": [{"class": name, "right": right, "clouds": n} for name, right, n in each],
        }

    def __str__(self) -> str:
        low, high = self.interval()
        return f"{self.accuracy:.2%} (95 % interval {low:.2%} to {high:.2%}, {sum(self.total)} clouds)"


@torch.no_grad()
def score(model: nn.Module, clouds: Clouds, points: int, *, batch: int = 64) -> Score:
    """Classify the first `points` points of every cloud, in eval mode.

    Raises ConfigError for outputs that are not finite: the greatest of them would name a class all the same.
    """
    was_training = model.training
    model.eval()
    device = device_of(model)
    right = torch.zeros(len(clouds.classes), dtype=torch.int64)
    labels = torch.from_numpy(clouds.labels)
    for i in range(0, len(clouds), batch):
        x = torch.from_numpy(clouds.points[i : i + batch, :points]).to(device)
        y = labels[i : i + batch]
        logits = model(x).cpu()
        if not torch.isfinite(logits).all():
            raise ConfigError("the outputs of the network are not finite: it cannot be scored")
        right += torch.bincount(y[logits.argmax(dim=1) == y], minlength=len(right))
    model.train(was_training)
    total = torch.bincount(labels, minlength=len(right))
    return Score(tuple(right.tolist()), tuple(total.tolist()))
