"""Classifier of point clouds: voxels, levels of residual blocks of sparse convolutions, and a pooled head."""

from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointnet.errors import ConfigError
from pointnet.ops.coordinates import AXES
from pointnet.sparse.sparse_layers import SubmanifoldConvolution
from pointnet.sparse.sparse_resunet import ConvolutionBlock, DownLevel
from pointnet.sparse.sparse_tensor import SparseTensor


@dataclass(frozen=True)
class SparseConfig:
    """Configuration of a classifier.

    Parameters
    ----------
    widths : tuple of int
        Channels of the stem and of every coarser level.
    voxel_size : float
        Edge of a voxel in the unit of the points, above 0.
    head : tuple of int, default (128,)
        Widths of the hidden layers of the head.
    points : int, default 1024
        Number of points of a cloud.
    classes : int, default 10
        Number of classes, from 2.
    normals : bool, default False
        Whether points have normals besides coordinates.
    dropout : float, default 0.4
        Probability of dropout in the head, 0 to below 1.

    Raises
    ------
    ConfigError
        If the network cannot be built.
    """

    widths: tuple[int, ...]
    voxel_size: float
    head: tuple[int, ...] = (128,)
    points: int = 1024
    classes: int = 10
    normals: bool = False
    dropout: float = 0.4

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(*self.widths, *self.head) < 1:
            raise ConfigError(
                f"a network needs at least two widths, and these and the head must be at least 1, got "
                f"{self.widths} and {self.head}"
            )
        for name, value, least in (("points", self.points, 1), ("classes", self.classes, 2)):
            if value < least:
                raise ConfigError(f"{name} must be at least {least}, got {value}")
        if not 0 < self.voxel_size < float("inf"):
            raise ConfigError(f"voxel size must be a finite number above 0, got {self.voxel_size}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout must be at least 0 and below 1, got {self.dropout}")

    @property
    def channels(self) -> int:
        """Numbers per point of a cloud: 3 coordinates, and 3 of the normal if normals are used."""
        return 2 * AXES if self.normals else AXES


SPARSE_PRESETS = {
    # some minutes on one core: ten voxels across a cloud in the unit sphere would be 0.2
    "sparse": SparseConfig(widths=(16, 32, 64, 128), voxel_size=0.1, points=512),
}


class SparseClassifier(nn.Module):
    """Classifier with sparse convolutions.

    Parameters
    ----------
    config : SparseConfig
        Configuration of the network.

    Attributes
    ----------
    config : SparseConfig
        The configuration.

    Notes
    -----
    The features of a voxel are 1, the mean offset of its points from its centre, and their mean normal if
    normals are used. They are followed by a stem and levels as in `SparseResUNet`, the mean and maximum over
    the voxels of each cloud, and the head fc1, fc2, ... with batch norms bn1, bn2, ...

    Examples
    --------
    >>> import torch
    >>> from pointnet.sparse.sparse_classifier import SPARSE_PRESETS, SparseClassifier
    >>> network = SparseClassifier(SPARSE_PRESETS["sparse"]).eval()
    >>> network(torch.rand(2, 512, 3)).shape
    torch.Size([2, 10])
    """

    def __init__(self, config: SparseConfig) -> None:
        super().__init__()
        self.config = config
        stem = config.widths[0]
        self.stem = ConvolutionBlock(
            **{
                "1": SubmanifoldConvolution(1 + config.channels, stem),
                "2": SubmanifoldConvolution(stem, stem),
            }
        )
        for i, (a, b) in enumerate(pairwise(config.widths)):
            self.add_module(f"enc{i}", DownLevel(a, b))
        widths = [2 * config.widths[-1], *config.head]
        for i, (a, b) in enumerate(pairwise(widths), start=1):
            self.add_module(f"fc{i}", nn.Linear(a, b, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm1d(b))
        self.add_module(f"fc{len(widths)}", nn.Linear(widths[-1], config.classes))

    def forward(self, clouds: Tensor) -> Tensor:
        """Classify clouds.

        Parameters
        ----------
        clouds : Tensor, shape (B, N, 3) or (B, N, 6)
            Coordinates of the points, followed by normals if the network uses them.

        Returns
        -------
        Tensor, shape (B, classes)
            Logits.

        Raises
        ------
        ConfigError
            If the clouds have another shape.
        """
        if clouds.dim() != 3 or clouds.shape[2] != self.config.channels:
            seen = tuple(clouds.shape)
            raise ConfigError(f"clouds must have shape (clouds, points, {self.config.channels}), got {seen}")
        x = cast(SparseTensor, self.stem(self.voxels(clouds)))
        for i in range(len(self.config.widths) - 1):
            x = self.get_submodule(f"enc{i}")(x)
        pooled = pooled_by_sample(x, len(clouds))
        for i in range(1, len(self.config.head) + 1):
            pooled = F.relu(self.get_submodule(f"bn{i}")(self.get_submodule(f"fc{i}")(pooled)))
            pooled = F.dropout(pooled, self.config.dropout, self.training)
        logits: Tensor = self.get_submodule(f"fc{len(self.config.head) + 1}")(pooled)
        return logits

    def voxels(self, clouds: Tensor) -> SparseTensor:
        """Divide clouds into the voxels that the network takes.

        Parameters
        ----------
        clouds : Tensor, shape (B, N, 3) or (B, N, 6)
            The clouds.

        Returns
        -------
        SparseTensor
            Voxels with 4 channels, or 7 with normals.
        """
        xyz = clouds[..., :AXES]
        inside = xyz / self.config.voxel_size
        offsets = inside - inside.floor() - 0.5
        features = torch.cat([torch.ones_like(xyz[..., :1]), offsets, clouds[..., AXES:]], dim=-1)
        return SparseTensor.from_points(xyz, self.config.voxel_size, features)


def pooled_by_sample(x: SparseTensor, samples: int) -> Tensor:
    """Pool the features of each sample.

    Parameters
    ----------
    x : SparseTensor
        Features of the voxels of all samples.
    samples : int
        Number of samples, each with at least one voxel.

    Returns
    -------
    Tensor, shape (samples, 2 C)
        Mean and maximum over the voxels of each sample.
    """
    index = x.coordinates.rows[:, 0].long().to(x.features.device)
    counts = torch.bincount(index, minlength=samples).to(x.features.dtype)[:, None]
    zeros = x.features.new_zeros(samples, x.features.shape[1])
    mean = zeros.index_add(0, index, x.features) / counts
    most = zeros.scatter_reduce(
        0, index[:, None].expand_as(x.features), x.features, "amax", include_self=False
    )
    return torch.cat([mean, most], dim=1)
