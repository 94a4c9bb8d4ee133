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
    """Correct answers per class.

    Parameters
    ----------
    correct : tuple of int
        Correctly classified clouds of each class.
    total : tuple of int
        All clouds of each class.
    """

    correct: tuple[int, ...]
    total: tuple[int, ...]

    @property
    def accuracy(self) -> float:
        """Fraction of all clouds (instance accuracy)."""
        return sum(self.correct) / sum(self.total)

    @property
    def class_accuracy(self) -> float:
        """Mean of the accuracies of all classes that have clouds."""
        parts = [right / n for right, n in zip(self.correct, self.total, strict=True) if n]
        return sum(parts) / len(parts)

    def interval(self) -> tuple[float, float]:
        """Compute the 95 % confidence interval of `accuracy`.

        Returns
        -------
        tuple of float
            The lower and the upper end.

        Notes
        -----
        This is the score interval of a proportion (Wilson 1927).
        """
        n, p = sum(self.total), self.accuracy
        scale = 1 + Z95**2 / n
        centre = (p + Z95**2 / (2 * n)) / scale
        half = Z95 / scale * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def table(self, classes: Sequence[str]) -> Table:
        """Return the accuracies as a table with a row for each class.

        Parameters
        ----------
        classes : sequence of str
            Names of the classes.

        Returns
        -------
        Table
            The table.
        """
        each = zip(classes, self.correct, self.total, strict=True)
        rows = [(name, right, n, f"{right / n:.1%}" if n else "") for name, right, n in each]
        return Table(("class", "right", "clouds", "accuracy"), rows)

    def plain(self, classes: Sequence[str]) -> dict[str, Any]:
        """Return the accuracies for JSON.

        Parameters
        ----------
        classes : sequence of str
            Names of the classes.

        Returns
        -------
        dict
            Accuracy, its interval, and the counts of each class.
        """
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
    """Classify the first points of every cloud in eval mode.

    Parameters
    ----------
    model : torch.nn.Module
        The network, which takes clouds of shape (batch, points, channels).
    clouds : Clouds
        The clouds and their labels.
    points : int
        How many points of each cloud are used.
    batch : int, default 64
        Clouds per batch.

    Returns
    -------
    Score
        The correct answers per class.

    Raises
    ------
    ConfigError
        If an output of the network is not finite.
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
