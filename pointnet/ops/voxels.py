"""Voxels of point clouds: integer coordinates, and features of the points that share a voxel."""

from numbers import Real
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from pointnet.errors import DataError, PointnetError
from pointnet.ops.coordinates import AXES, HIGHEST, LOWEST, Coordinates, checked_rows, packed_keys
from sparsim.errors import near

Reduction = Literal["mean", "sum", "first"]


class Voxels(NamedTuple):
    """Voxels of points.

    Attributes
    ----------
    coordinates : Coordinates
        Coordinates of the V voxels in lexicographic order.
    features : Tensor, shape (V, C)
        Features of the voxels.
    voxel_of_point : Tensor, shape (N,)
        Row (int64) of the voxel of each point.
    """

    coordinates: Coordinates
    features: Tensor
    voxel_of_point: Tensor


def merge_duplicates(rows: Tensor, features: Tensor, reduction: Reduction = "mean") -> Voxels:
    """Merge equal coordinates and reduce their features.

    Parameters
    ----------
    rows : Tensor, shape (N, 4)
        Integer coordinates (b, x, y, z), possibly several times.
    features : Tensor, shape (N, C)
        Features of each row.
    reduction : str, default "mean"
        Features of a voxel: the "mean" or "sum" over its rows, or those of the "first" one.

    Returns
    -------
    Voxels
        The distinct coordinates with their features. Gradients flow to `features`.

    Raises
    ------
    DataError
        If there are no coordinates, or if one is out of range.
    PointnetError
        If shapes do not fit, or if the reduction is unknown.
    """
    if reduction not in get_args(Reduction):
        raise PointnetError(f"unknown reduction '{reduction}'", hint=near(reduction, get_args(Reduction)))
    if features.dim() != 2 or len(features) != len(rows):
        raise PointnetError(f"features must have shape ({len(rows)}, channels), got {tuple(features.shape)}")
    keys, first, inverse = np.unique(packed_keys(checked_rows(rows)), return_index=True, return_inverse=True)
    index = torch.from_numpy(inverse.reshape(-1)).to(features.device)
    if reduction == "first":
        reduced = features[torch.from_numpy(first).to(features.device)]
    else:
        # half precision cannot hold the sums and counts of large voxels
        wide = features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
        reduced = wide.new_zeros(len(keys), features.shape[1]).index_add(0, index, wide)
        if reduction == "mean":
            reduced = reduced / torch.bincount(index, minlength=len(keys)).to(wide.dtype)[:, None]
        reduced = reduced.to(features.dtype) if wide is not features else reduced
    return Voxels(Coordinates.of_keys(keys), reduced, index)


def voxelize(
    points: Tensor, voxel_size: float, features: Tensor | None = None, reduction: Reduction = "mean"
) -> Voxels:
    """Divide clouds into voxels.

    Parameters
    ----------
    points : Tensor, shape (N, 3) or (B, N, 3)
        Points of one cloud or of several.
    voxel_size : float
        Edge of a voxel in the unit of the points, above 0.
    features : Tensor, shape (N, C) or (B, N, C), optional
        Features of the points; by default their offsets from the centre of the voxel, in voxels.
    reduction : str, default "mean"
        Features of a voxel: the "mean" or "sum" over its points, or those of the "first" one.

    Returns
    -------
    Voxels
        Coordinates floor(point / voxel_size), with the index of the cloud as the sample.

    Raises
    ------
    DataError
        If there are no points, if one is not finite, or if a voxel is out of range.
    PointnetError
        If shapes do not fit, or if `voxel_size` is not positive.

    Examples
    --------
    >>> import torch
    >>> from pointnet.ops.voxels import voxelize
    >>> voxels = voxelize(torch.tensor([[0.1, 0.0, 0.0], [0.4, 0.0, 0.0], [-0.1, 0.0, 0.0]]), 0.5)
    >>> voxels.coordinates.rows.tolist()
    [[0, -1, 0, 0], [0, 0, 0, 0]]
    """
    if not isinstance(voxel_size, Real) or not 0 < voxel_size < float("inf"):
        raise PointnetError(f"voxel_size must be a finite number above 0, got {voxel_size!r}")
    if not isinstance(points, Tensor):
        raise PointnetError(f"points must be a tensor, got a {type(points).__name__}")
    if points.dim() not in (2, 3) or points.shape[-1] != AXES or not points.is_floating_point():
        raise PointnetError(
            f"points must be floats of shape (..., N, {AXES}), got {tuple(points.shape)} {points.dtype}"
        )
    if features is not None and features.shape[:-1] != points.shape[:-1]:
        raise PointnetError(f"features are {tuple(features.shape)}, the points {tuple(points.shape)}")
    if not points.numel():
        raise DataError("the cloud is empty, at least one point is needed")
    scaled = points.detach().to("cpu", torch.float64) / voxel_size
    if not bool(torch.isfinite(scaled).all()):
        raise DataError("points are not finite")
    cells = scaled.floor()
    if float(cells.amin()) < LOWEST or float(cells.amax()) > HIGHEST:
        raise DataError(f"a point lies in a voxel beyond {LOWEST} to {HIGHEST}; use larger voxels")
    if features is None:
        features = (scaled - cells - 0.5).to(points)
    samples = torch.arange(1 if points.dim() == 2 else len(points)).repeat_interleave(points.shape[-2])
    rows = torch.cat([samples[:, None], cells.reshape(-1, AXES).long()], dim=1)
    return merge_duplicates(rows, features.flatten(0, -2), reduction)
