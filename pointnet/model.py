"""PointNet++ for classification (Qi et al. 2017, arXiv:1706.02413), with single- or multi-scale grouping.

Shapes: B clouds of N points; a stage picks S centres with K neighbours each; C channels come last everywhere,
so that the paper's 1x1 convolution is a `Linear`. The names of the layers are those of the original study
(sa1.mlp_convs.0 ... fc3); with several scales sa1.0.mlp_convs.0 and so on.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pointnet.errors import ConfigError
from pointnet.network_config import Config, Scale, check
from pointnet.ops import fused_mlp
from pointnet.ops.sampling import XYZ, ball_query, farthest_point_sample, gather


class Grouping(NamedTuple):
    """Points that belong together in one stage, which depend on coordinates only.

    Attributes
    ----------
    centres : Tensor, shape (B, S)
        Indices (int64) of the centres in the points that enter the stage.
    neighbours : tuple of Tensor, shape (B, S, K)
        Indices (int64) of the neighbours of each centre, one tensor for each scale.
    """

    centres: Tensor  # (B, S) int64
    neighbours: tuple[Tensor, ...]  # (B, S, K) int64, one for each scale

    def to(self, device: torch.device) -> "Grouping":
        """Move the indices to a device.

        Parameters
        ----------
        device : torch.device
            The device.

        Returns
        -------
        Grouping
            The same indices on the device.
        """
        return Grouping(self.centres.to(device), tuple(each.to(device) for each in self.neighbours))


class SharedMLP(nn.Module):
    """Linear layers, each with batch norm and ReLU, that are applied to every point: (..., C) -> (..., C').

    Parameters
    ----------
    channels : int
        Input channels C.
    widths : sequence of int
        Output channels of the layers; the last one is C'.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        ends = [channels, *widths]
        # no bias, because batch-norm would subtract it
        self.mlp_convs = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairwise(ends))
        self.mlp_bns = nn.ModuleList(nn.BatchNorm1d(width) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        """Apply all layers.

        Parameters
        ----------
        x : Tensor, shape (..., C)
            Features of points.

        Returns
        -------
        Tensor, shape (..., C')
            Features after the last layer.
        """
        return self.after_first(self.mlp_convs[0](x))

    def pooled(self, x: Tensor) -> Tensor:
        """Apply all layers and take the maximum over all points.

        Parameters
        ----------
        x : Tensor, shape (B, S, C)
            Features of points.

        Returns
        -------
        Tensor, shape (B, C')
            Maximum of the features over the S points.
        """
        batch, count, _ = x.shape
        if not self.fusable(x, batch * count):
            return self(x).amax(dim=1)
        points = self.mlp_convs[0](x)
        everybody = torch.arange(count).expand(batch, 1, count)
        return self.fused(points, points.new_zeros(batch, 1, points.shape[2]), everybody).squeeze(1)

    def fusable(self, x: Tensor, rows: int) -> bool:
        """Tell whether `fused` can be used: in training on the CPU.

        Parameters
        ----------
        x : Tensor
            Tensor with the device and type of the features.
        rows : int
            Number of points that the layers are applied to.

        Returns
        -------
        bool
            Whether it can be used.
        """
        return self.training and fused_mlp.usable(x, rows, *self._after_first())

    def fused(self, points: Tensor, moved: Tensor, neighbours: Tensor) -> Tensor:
        """Apply `after_first` to points[neighbours] - moved and take the maximum over the neighbours.

        Parameters
        ----------
        points : Tensor, shape (B, N, C)
            Outputs of the first linear layer for the points.
        moved : Tensor, shape (B, S, C)
            Outputs of the first linear layer for the centres, which are subtracted.
        neighbours : Tensor, shape (B, S, K)
            Indices (int64) of the neighbours of each centre.

        Returns
        -------
        Tensor, shape (B, S, C')
            Features of the centres.

        Notes
        -----
        This is one fast operation, in which hooks of the layers are not called.
        """
        return fused_mlp.shared_mlp_max(points, moved, neighbours, *self._after_first())

    def _after_first(self) -> tuple[list[Tensor], list[nn.BatchNorm1d]]:
        weights = [cast(Tensor, conv.weight) for conv in self.mlp_convs[1:]]
        return weights, [cast(nn.BatchNorm1d, bn) for bn in self.mlp_bns]

    def after_first(self, x: Tensor) -> Tensor:
        """Apply what follows the first linear layer.

        Parameters
        ----------
        x : Tensor, shape (..., C)
            Output of the first linear layer.

        Returns
        -------
        Tensor, shape (..., C')
            Features after the last layer.
        """
        x = _normalise(self.mlp_bns[0], x)
        for conv, bn in zip(self.mlp_convs[1:], self.mlp_bns[1:], strict=True):
            x = _normalise(bn, conv(x))
        return x


class SetAbstraction(SharedMLP):
    """One scale of a stage: a shared MLP over each neighbourhood, then the maximum over its points.

    Parameters
    ----------
    features : int
        Channels F of the points besides coordinates.
    scale : Scale
        Size of the neighbourhoods and widths of the MLP.
    delayed : bool
        Whether features are transformed before they are grouped, as in `Config`.
    """

    def __init__(self, features: int, scale: Scale, *, delayed: bool) -> None:
        super().__init__(XYZ + features, scale.widths)
        self.delayed = delayed

    def forward(  # type: ignore[override]
        self, xyz: Tensor, features: Tensor | None, centres: Tensor, neighbours: Tensor
    ) -> Tensor:
        """Compute the features of the centres.

        Parameters
        ----------
        xyz : Tensor, shape (B, N, 3)
            Coordinates of the points.
        features : Tensor or None, shape (B, N, F)
            Features of the points; None if they have only coordinates.
        centres : Tensor, shape (B, S, 3)
            Coordinates of the centres.
        neighbours : Tensor, shape (B, S, K)
            Indices (int64) of the neighbours of each centre.

        Returns
        -------
        Tensor, shape (B, S, C')
            Features of the centres.
        """
        conv = cast(nn.Linear, self.mlp_convs[0])
        fast = self.fusable(xyz, neighbours.numel())
        if self.delayed or fast:  # W [x - c; f] = W [x; f] - W_xyz c
            points, moved = conv(_join(xyz, features)), F.linear(centres, conv.weight[:, :XYZ])
            if fast:
                return self.fused(points, moved, neighbours)
            x = gather(points, neighbours) - moved[:, :, None]
        else:
            local = gather(xyz, neighbours) - centres[:, :, None]
            x = conv(_join(local, None if features is None else gather(features, neighbours)))
        return self.after_first(x).amax(dim=2)


class PointNet2(nn.Module):
    """PointNet++ classifier.

    Parameters
    ----------
    config : Config
        Configuration of the network.

    Attributes
    ----------
    config : Config
        The configuration.

    Raises
    ------
    ConfigError
        If the network cannot be built.

    Notes
    -----
    The network (Qi et al. 2017, arXiv:1706.02413) has the set abstractions sa1, sa2, ..., a shared MLP over
    the last centres, and the head fc1, fc2, ... with batch norms bn1, bn2, ...

    Examples
    --------
    >>> import torch
    >>> from pointnet.model import PointNet2
    >>> from pointnet.network_config import preset
    >>> network = PointNet2(preset("small")).eval()
    >>> network(torch.rand(2, 256, 3)).shape
    torch.Size([2, 10])
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        check(config)
        self.config = config
        features = config.channels - XYZ
        for i, stage in enumerate(config.stages, start=1):
            scales = [SetAbstraction(features, scale, delayed=config.delayed) for scale in stage.scales]
            self.add_module(f"sa{i}", scales[0] if len(scales) == 1 else nn.ModuleList(scales))
            features = sum(scale.widths[-1] for scale in stage.scales)
        self.add_module(f"sa{len(config.stages) + 1}", SharedMLP(XYZ + features, config.pooled))
        widths = [config.pooled[-1], *config.head]
        for i, (a, b) in enumerate(pairwise(widths), start=1):
            self.add_module(f"fc{i}", nn.Linear(a, b, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm1d(b))
        self.add_module(f"fc{len(widths)}", nn.Linear(widths[-1], config.classes))

    def group(self, xyz: Tensor, start: Tensor | None = None) -> tuple[Grouping, ...]:
        """Compute the groupings of all stages.

        Parameters
        ----------
        xyz : Tensor, shape (B, N, 3)
            Coordinates of the points.
        start : Tensor, shape (B,), optional
            Index of the first centre of each cloud; by default point 0.

        Returns
        -------
        tuple of Grouping
            One grouping for each stage.

        Notes
        -----
        Groupings depend on distances only: a cloud that is rotated, mirrored or shifted keeps them.
        """
        groupings = []
        for stage in self.config.stages:
            picked = farthest_point_sample(xyz, stage.centres, start=start)
            centres = gather(xyz, picked)
            groups = tuple(ball_query(xyz, centres, scale.radius, scale.neighbours) for scale in stage.scales)
            groupings.append(Grouping(picked, groups))
            xyz, start = centres, None
        return tuple(groupings)

    def forward(self, clouds: Tensor, groupings: Sequence[Grouping] | None = None) -> Tensor:
        """Classify clouds.

        Parameters
        ----------
        clouds : Tensor, shape (B, N, 3) or (B, N, 6)
            Coordinates of the points, followed by normals if the network uses them.
        groupings : sequence of Grouping, optional
            Result of `group` for these clouds; by default it is computed.

        Returns
        -------
        Tensor, shape (B, classes)
            Logits.

        Raises
        ------
        ConfigError
            If the clouds have another shape or too few points.
        """
        self._check_clouds(clouds)
        xyz, features = clouds[..., :XYZ], clouds[..., XYZ:] if self.config.normals else None
        for i, grouping in enumerate(self.group(xyz) if groupings is None else groupings, start=1):
            centres = gather(xyz, grouping.centres)
            stage = self.get_submodule(f"sa{i}")
            scales = stage if isinstance(stage, nn.ModuleList) else [stage]
            parts = [
                scale(xyz, features, centres, neighbours)
                for scale, neighbours in zip(scales, grouping.neighbours, strict=True)
            ]
            xyz, features = centres, torch.cat(parts, dim=-1)
        last = cast(SharedMLP, self.get_submodule(f"sa{len(self.config.stages) + 1}"))
        x = last.pooled(_join(xyz, features))
        for i in range(1, len(self.config.head) + 1):
            x = F.relu(self.get_submodule(f"bn{i}")(self.get_submodule(f"fc{i}")(x)))
            x = F.dropout(x, self.config.dropout, self.training)
        logits: Tensor = self.get_submodule(f"fc{len(self.config.head) + 1}")(x)
        return logits

    def _check_clouds(self, clouds: Tensor) -> None:
        seen, channels = tuple(clouds.shape), self.config.channels
        if clouds.dim() != 3 or seen[2] != channels or seen[1] < self.config.stages[0].centres:
            least = self.config.stages[0].centres
            raise ConfigError(
                f"clouds must have shape (clouds, at least {least} points, {channels}), got {seen}"
            )


def _normalise(bn: nn.Module, x: Tensor) -> Tensor:
    """Batch-norm over all but the last axis, then ReLU.

    Of (rows, channels) the CPU adds float32 up one by one, which costs four digits of a variance over 262,144
    rows; of (1, channels, rows) it does not.
    """
    rows = x.flatten(0, -2)
    exact = bn.training and x.device.type == "cpu"
    normed: Tensor = bn(rows.t().contiguous()[None])[0].t() if exact else bn(rows)
    return F.relu(normed.view_as(x))


def _join(xyz: Tensor, features: Tensor | None) -> Tensor:
    return xyz if features is None else torch.cat([xyz, features], dim=-1)
