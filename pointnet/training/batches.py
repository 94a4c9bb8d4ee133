"""Batches of training steps, which depend only on the run's seed and the number of the step."""

from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from pointnet.classifiers import Classifier
from pointnet.data import Augmentation, Clouds, augment
from pointnet.model import XYZ, Grouping, PointNet2

_ORDER, _DRAW = range(2)  # streams of random numbers


class Batch(NamedTuple):
    """A batch of clouds with their labels.

    Attributes
    ----------
    clouds : Tensor
        Points, shape (B, N, 3), or (B, N, 6) with normals.
    labels : Tensor
        Class numbers, shape (B,).
    groupings : tuple of Grouping or None
        Centres and neighbours of each stage. None if the network finds them itself, or has no stages.
    """

    clouds: Tensor  # (B, N, 3 or 6)
    labels: Tensor  # (B,)
    groupings: tuple[Grouping, ...] | None  # None: the network finds them, or has none

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The arguments of the network."""
        return (self.clouds,) if self.groupings is None else (self.clouds, self.groupings)

    def to(self, device: torch.device) -> "Batch":
        """Copy the batch to a device.

        Parameters
        ----------
        device : torch.device
            Target device.

        Returns
        -------
        Batch
            The batch on the device.
        """
        groupings = None if self.groupings is None else tuple(each.to(device) for each in self.groupings)
        return Batch(self.clouds.to(device), self.labels.to(device), groupings)


class Batches:
    """Batches of a training run by step; each depends only on the seed and the number of the step.

    Every epoch has its own order of clouds. The last clouds of an order, which are too few for a batch, are
    left out in this epoch. Clouds with more points than the network takes are sampled anew in every step. If
    points and their distances do not change, the neighbours of each cloud are searched once.

    Parameters
    ----------
    clouds : Clouds
        Training clouds.
    model : Classifier
        Network that is trained; its configuration has the number of points.
    augmentation : Augmentation
        Random changes of the clouds.
    size : int
        Clouds in a batch.
    seed : int
        Seed of the run.
    """

    def __init__(
        self, clouds: Clouds, model: Classifier, augmentation: Augmentation, size: int, seed: int
    ) -> None:
        self.clouds, self.augmentation, self.size, self.seed = clouds, augmentation, size, seed
        self.points = model.config.points
        self.resampled = clouds.points.shape[1] > self.points
        kept = isinstance(model, PointNet2) and augmentation.rigid and not self.resampled
        self.groupings = _Groupings(clouds, cast(PointNet2, model)) if kept else None

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self.clouds) // self.size

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step, counted over all epochs."""
        epoch, i = divmod(step, len(self))
        order = np.random.default_rng((self.seed, _ORDER, epoch)).permutation(len(self.clouds))
        rows = order[i * self.size : (i + 1) * self.size]
        points = torch.from_numpy(self.clouds.points[rows])
        generator = torch.Generator().manual_seed(seed_of(self.seed, _DRAW, step))
        if self.resampled:
            chosen = torch.rand(points.shape[:2], generator=generator).argsort(dim=1)[:, : self.points]
            points = torch.take_along_dim(points, chosen[:, :, None], dim=1)
        groupings = None if self.groupings is None else self.groupings.of(rows)
        points = augment(points, self.augmentation, generator)
        return Batch(points, torch.from_numpy(self.clouds.labels[rows]), groupings)


def seed_of(*keys: int) -> int:
    """Derive a seed from several keys.

    Parameters
    ----------
    *keys : int
        Keys, at least 0 each.

    Returns
    -------
    int
        A seed of 32 bits, which is different for different keys, up to collisions.
    """
    return int(np.random.SeedSequence(keys).generate_state(1)[0])


class _Groupings:
    """The groupings of every cloud, computed on first use."""

    def __init__(self, clouds: Clouds, model: PointNet2) -> None:
        self.clouds, self.model = clouds, model
        self.known = np.zeros(len(clouds), bool)
        self.stored: list[np.ndarray] = []  # centres and neighbours, stage by stage

    def of(self, rows: np.ndarray) -> tuple[Grouping, ...]:
        new = rows[~self.known[rows]]
        if len(new):
            found = self.model.group(torch.from_numpy(self.clouds.points[new][..., :XYZ]))
            tensors = [index for grouping in found for index in (grouping.centres, *grouping.neighbours)]
            if not self.stored:  # int32, because index arrays of large sets would be gigabytes otherwise
                self.stored = [np.empty((len(self.clouds), *t.shape[1:]), np.int32) for t in tensors]
            for kept, tensor in zip(self.stored, tensors, strict=True):
                kept[new] = tensor.numpy()
            self.known[new] = True
        tensors = [torch.from_numpy(kept[rows].astype(np.int64)) for kept in self.stored]
        groupings = []
        for stage in self.model.config.stages:
            centres, *neighbours = tensors[: 1 + len(stage.scales)]
            del tensors[: 1 + len(stage.scales)]
            groupings.append(Grouping(centres, tuple(neighbours)))
        return tuple(groupings)
