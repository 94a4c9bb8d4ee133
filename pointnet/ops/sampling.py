"""Farthest-point sampling, ball query and gathering (Qi et al. 2017, arXiv:1706.02413, section 3.2).

Shapes: B clouds of N points, S centres, K neighbours, C channels. Squared distances are
(dx*dx + dy*dy) + dz*dz, each operation rounded to the precision of the coordinates: compiled loops (float32
on the CPU) and plain torch (anything else, and on request) return the same indices, bit for bit.
"""

from typing import Any, Literal

import torch
from torch import Tensor

from gmp.nonzeros import on_host
from pointnet.errors import DataError, PointnetError
from pointnet.ops import sampling_kernels
from pointnet.ops.kernel_threads import share

XYZ = 3
Backend = Literal["auto", "torch"]


def farthest_point_sample(
    xyz: Tensor, count: int, *, start: Tensor | None = None, backend: Backend = "auto"
) -> Tensor:
    """Choose points of clouds so that each one is the farthest from those chosen before it.

    Parameters
    ----------
    xyz : Tensor
        Clouds of shape (B, N, 3).
    count : int
        Number of points to choose, between 1 and N.
    start : Tensor, default None
        int64 of shape (B,), the first point of each cloud; by default point 0.
    backend : {"auto", "torch"}, default "auto"
        "torch" uses no compiled loops.

    Returns
    -------
    Tensor
        Indices of the points, int64 of shape (B, count). Among equally far points the lowest index is chosen.

    Raises
    ------
    PointnetError
        If shapes, counts or starts are wrong.
    DataError
        If a coordinate is not finite.
    """
    _check_points("xyz", xyz)
    batch, points = xyz.shape[:2]
    if not 1 <= count <= points:
        raise PointnetError(
            f"the number of centres must be between 1 and the {points} points of a cloud, got {count}"
        )
    picked = torch.zeros(batch, count, dtype=torch.int64, device=xyz.device)
    if start is not None:
        if tuple(start.shape) != (batch,):
            raise PointnetError(f"start must have shape ({batch},), got {tuple(start.shape)}")
        check_index("start", start, points)
        picked[:, 0] = start
    if _compiled(backend, xyz):
        share(sampling_kernels.farthest_points, batch, _rows(xyz), picked.numpy())
        return picked
    x, y, z = xyz.detach().unbind(-1)
    clouds = torch.arange(batch, device=xyz.device)
    nearest = torch.full_like(x, torch.inf)
    for s in range(1, count):
        last = picked[:, s - 1]
        d2 = _squared(x, y, z, *(axis[clouds, last, None] for axis in (x, y, z)))
        nearest = torch.minimum(nearest, d2)
        picked[:, s] = nearest.argmax(dim=1)
    return picked


def ball_query(
    xyz: Tensor, centres: Tensor, radius: float, count: int, *, backend: Backend = "auto"
) -> Tensor:
    """Find the neighbours of centres among the points of their cloud.

    Parameters
    ----------
    xyz : Tensor
        Clouds of shape (B, N, 3).
    centres : Tensor
        Centres of shape (B, S, 3).
    radius : float
        Largest distance of a neighbour.
    count : int
        Number of neighbours of each centre.
    backend : {"auto", "torch"}, default "auto"
        "torch" uses no compiled loops.

    Returns
    -------
    Tensor
        Indices, int64 of shape (B, S, count): the first `count` points within the radius, by index. If there
        are fewer, the first one is repeated; if there are none, the closest point is.

    Raises
    ------
    PointnetError
        If shapes or numbers are wrong.
    DataError
        If a coordinate is not finite.
    """
    _check_points("xyz", xyz)
    _check_points("centres", centres)
    if len(centres) != len(xyz) or centres.dtype != xyz.dtype or centres.device != xyz.device:
        raise PointnetError(
            f"centres and points must agree in clouds, type and device, got {_kind(centres)} and {_kind(xyz)}"
        )
    if not 0 < radius < float("inf"):
        raise PointnetError(f"radius must be a finite number above 0, got {radius}")
    if count < 1:
        raise PointnetError(f"the number of neighbours must be at least 1, got {count}")
    r2 = torch.tensor(radius * radius, dtype=xyz.dtype)
    if _compiled(backend, xyz):
        found = torch.empty(*centres.shape[:2], count, dtype=torch.int64)
        share(
            sampling_kernels.points_in_balls,
            len(xyz),
            _rows(xyz),
            centres.detach().contiguous().numpy(),
            r2.numpy()[()],
            found.numpy(),
        )
        return found
    return _first_in_balls(xyz.detach(), centres.detach(), r2.item(), count)


def _first_in_balls(xyz: Tensor, centres: Tensor, r2: float, count: int) -> Tensor:
    points = xyz.shape[1]
    d2 = _squared(*xyz[:, None].unbind(-1), *centres[:, :, None].unbind(-1))  # (B, S, N)
    order = torch.arange(points, dtype=torch.int32, device=xyz.device)
    order = torch.where(d2 <= r2, order, points)
    found = order.topk(min(count, points), largest=False, sorted=True).values.long()
    first = torch.where(found[..., :1] == points, d2.argmin(dim=-1, keepdim=True), found[..., :1])
    found = torch.where(found == points, first, found)
    if count <= points:
        return found
    return torch.cat([found, first.expand(-1, -1, count - points)], dim=-1)


def gather(features: Tensor, index: Tensor) -> Tensor:
    """Gather rows of features, cloud by cloud. The operation is differentiable.

    Parameters
    ----------
    features : Tensor
        Features of shape (B, N, C).
    index : Tensor
        int64 of shape (B, ...), indices of points.

    Returns
    -------
    Tensor
        The rows, of shape (B, ..., C).

    Raises
    ------
    PointnetError
        If an index is outside the cloud, or if shapes are wrong.
    """
    if features.dim() != 3 or index.dim() < 2 or len(index) != len(features):
        raise PointnetError(
            "features and index must have shapes (clouds, points, channels) and (clouds, ...), "
            f"got {tuple(features.shape)} and {tuple(index.shape)}"
        )
    check_index("index", index, features.shape[1])
    flat = index.flatten(1)
    if _compiled("auto", features):
        rows: Tensor = _Gather.apply(features, flat)  # type: ignore[no-untyped-call]
    else:
        rows = _rows_of(features, flat)
    return rows.view(*index.shape, features.shape[2])


class _Gather(torch.autograd.Function):
    """Gather rows (B, M) of (B, N, C). The gradients of a row that is gathered several times add up."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.shape = features.shape
        return _rows_of(features, index)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        total = grad.new_zeros(ctx.shape)
        arrays = grad.contiguous().numpy(), index.contiguous().numpy(), total.numpy()
        share(sampling_kernels.add_rows, len(grad), *arrays)
        return total, None


def _rows_of(features: Tensor, index: Tensor) -> Tensor:
    batch, points, channels = features.shape
    offset = points * torch.arange(batch, device=index.device)
    rows = features.reshape(-1, channels).index_select(0, (index + offset[:, None]).flatten())
    return rows.view(*index.shape, channels)


def recorded() -> bool:
    """Check whether `torch.jit.trace` or `torch.export` is recording operations.

    Returns
    -------
    bool
        Whether operations are recorded, so that only operations of torch may be used.
    """
    exporting = getattr(torch.compiler, "is_exporting", bool)  # since torch 2.7
    return torch.jit.is_tracing() or exporting()


def _compiled(backend: Backend, x: Tensor) -> bool:
    if backend not in ("auto", "torch"):
        raise PointnetError(f"backend must be 'auto' or 'torch', got '{backend}'")
    return backend == "auto" and x.dtype == torch.float32 and on_host(x) and not recorded()


def _rows(xyz: Tensor) -> Any:
    return xyz.detach().transpose(1, 2).contiguous().numpy()


def _squared(x: Tensor, y: Tensor, z: Tensor, cx: Tensor, cy: Tensor, cz: Tensor) -> Tensor:
    dx, dy, dz = x - cx, y - cy, z - cz
    return (dx * dx + dy * dy) + dz * dz


def _check_points(name: str, xyz: Tensor) -> None:
    if xyz.dim() != 3 or xyz.shape[2] != XYZ or not xyz.is_floating_point():
        raise PointnetError(f"{name} must be floats of shape (clouds, points, {XYZ}), got {_kind(xyz)}")
    if xyz.numel() == 0:
        raise PointnetError(f"{name} must hold at least one cloud of one point, got {_kind(xyz)}")
    if not recorded() and not torch.isfinite(xyz).all():
        cloud, point, _ = torch.nonzero(~torch.isfinite(xyz))[0].tolist()
        raise DataError(f"{name} are not finite, first in cloud {cloud} at point {point}")


def check_index(name: str, index: Tensor, points: int) -> None:
    """Check that indices are int64 and name points of a cloud.

    Parameters
    ----------
    name : str
        What messages call the indices.
    index : Tensor
        The indices.
    points : int
        Number of points of a cloud.

    Raises
    ------
    PointnetError
        If the type is not int64, or if an index is not between 0 and points - 1.
    """
    if index.dtype != torch.int64:
        raise PointnetError(f"{name} must be of type torch.int64, got {index.dtype}")
    if index.numel() == 0 or recorded():
        return
    low, high = (int(end) for end in index.aminmax())
    if low < 0 or high >= points:
        raise PointnetError(f"{name} must be between 0 and {points - 1}, got {low if low < 0 else high}")


def _kind(x: Tensor) -> str:
    return f"{tuple(x.shape)} {x.dtype}"
