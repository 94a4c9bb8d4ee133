"""A shared MLP over neighbourhoods and their maximum, for training on the CPU: one operation, few passes.

For G groups of K rows, R = G K in all, layer l computes y_l = x_{l-1} W_l^T, z_l = batch-norm(y_l) over all
rows, x_l = relu(z_l); the result is the maximum of x_L over each group. The first y is given by its parts:
y_1 = points[index] - moved (delayed aggregation). It is fast for these reasons:

- Rows pass through in chunks that stay in the cache. Only y_2 ... y_{L-1} are stored; activations are
  computed again where they are needed.
- Batch-norm and ReLU rise or fall with y, so the maximum of x_L is where sign(gamma) y_L is largest: the last
  outputs are pooled as they are computed, and not stored.
- Batch-norm's backward (Ioffe and Szegedy 2015, arXiv:1502.03167, section 3) is affine in y, channel by
  channel; xhat = (y - mean) / std:

      dy = scale dz - constant - slope y
      scale = gamma / std
      slope = scale (sum of dz xhat) / (std R)
      constant = scale (sum of dz) / R - slope mean

  In the last layer dz has one entry for each group and channel, and y = x W^T, so that

      dx = (scale dz) W - constant W - x (W^T slope W)
      dW = (scale dz)^T x - constant (sum of x) - slope W (x^T x)

  whose products are sparse, or with square matrices of the narrower width.

Matrix products use torch's threads, the loops between them one. The products are many and short: where other
programs compete for the cores, one thread is faster than several that wait for each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from gmp.nonzeros import on_host
from pointnet.errors import PointnetError
from pointnet.ops import fused_mlp_kernels as kernels
from pointnet.ops import reused_memory as reuse
from pointnet.ops.sampling import check_index, recorded

CHUNK = 2**18  # values of the first layer in a chunk, which should stay in the cache


def usable(x: Tensor, rows: int, weights: Sequence[Tensor], bns: Sequence[nn.BatchNorm1d]) -> bool:
    """Check whether `shared_mlp_max` can replace plain operations.

    It needs at least two layers of one type of float on the CPU, batch-norms that are affine and in training,
    and nothing that records the operations of torch.

    Parameters
    ----------
    x : Tensor
        The input.
    rows : int
        Number of rows that the batch-norms see.
    weights : sequence of Tensor
        Weights of all layers but the first.
    bns : sequence of BatchNorm1d
        Batch-norms of all layers.

    Returns
    -------
    bool
        Whether it can.
    """
    kinds = {
        x.dtype,
        *(weight.dtype for weight in weights),
        *(p.dtype for bn in bns for p in bn.parameters()),
    }
    return (
        len(weights) > 0
        and rows > 1
        and on_host(x)
        and not recorded()
        and kinds <= {torch.float32, torch.float64}
        and len(kinds) == 1
        and all(bn.training and bn.affine for bn in bns)
    )


def shared_mlp_max(
    points: Tensor, moved: Tensor, index: Tensor, weights: Sequence[Tensor], bns: Sequence[nn.BatchNorm1d]
) -> Tensor:
    """Apply a shared MLP to the neighbours of each centre and take the maximum, as the module describes.

    The operation is differentiable once, with respect to points, moved, weights, gammas and betas. It updates
    the running statistics of the batch-norms as `nn.BatchNorm1d` does.

    Parameters
    ----------
    points : Tensor
        Outputs of the first layer for all points, of shape (B, N, C).
    moved : Tensor
        What is subtracted for each centre, of shape (B, S, C).
    index : Tensor
        int64 of shape (B, S, K), the neighbours of each centre.
    weights : sequence of Tensor
        Weights of all layers but the first.
    bns : sequence of BatchNorm1d
        Batch-norms of all layers.

    Returns
    -------
    Tensor
        Maxima over the neighbours, of shape (B, S, C').

    Raises
    ------
    PointnetError
        If an index is outside the cloud, or if shapes do not fit.
    """
    batch, count = points.shape[:2]
    if len(index) != batch or index.shape[:2] != moved.shape[:2]:
        raise PointnetError(
            f"neighbours must have shape ({batch}, {moved.shape[1]}, neighbours), got {tuple(index.shape)}"
        )
    check_index("neighbours", index, count)
    index = index + count * torch.arange(batch)[:, None, None]
    pooled, *statistics = _SharedMLPMax.apply(  # type: ignore[no-untyped-call]
        points.flatten(0, 1),
        moved.flatten(0, 1),
        index.flatten(0, 1),
        tuple(bn.eps for bn in bns),
        *weights,
        *(bn.weight for bn in bns),
        *(bn.bias for bn in bns),
    )
    for bn, mean, variance in zip(bns, statistics[::2], statistics[1::2], strict=True):
        _update(bn, mean, variance, index.numel())
    return cast(Tensor, pooled.view(*moved.shape[:2], -1))


def _update(bn: nn.BatchNorm1d, mean: Tensor, variance: Tensor, rows: int) -> None:
    if bn.running_mean is None or bn.running_var is None or bn.num_batches_tracked is None:
        return
    bn.num_batches_tracked.add_(1)
    factor = 1 / bn.num_batches_tracked.item() if bn.momentum is None else bn.momentum
    bn.running_mean.lerp_(mean, factor)
    bn.running_var.lerp_(variance * (rows / (rows - 1)), factor)


class _Norm(NamedTuple):
    """Batch-norm of one layer: (C,) each; z = scale y + shift."""

    mean: Tensor
    std: Tensor
    scale: Tensor
    shift: Tensor


class _Moments:
    """Mean and variance over rows that come in chunks."""

    def __init__(self) -> None:
        self.rows = 0

    def add(self, y: Tensor) -> None:
        if not self.rows:
            self.pivot = y[0].clone()
            self.total, self.squares = (torch.zeros(y.shape[1], dtype=torch.float64) for _ in range(2))
        self.rows += len(y)
        kernels.add_moments(*_arrays(y, self.pivot, self.total, self.squares))

    def mean_and_variance(self) -> tuple[Tensor, Tensor]:
        away = self.total / self.rows
        variance = (self.squares / self.rows - away * away).clamp(min=0)
        return (self.pivot + away).to(self.pivot.dtype), variance.to(self.pivot.dtype)


def _norm(mean: Tensor, variance: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> _Norm:
    std = (variance + eps).sqrt()
    return _Norm(mean, std, gamma / std, beta - mean * gamma / std)


class _Sums:
    """Sums over rows that come in chunks: of dz, and of dz (y - mean)."""

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean
        self.dz, self.dot = (torch.zeros(len(mean), dtype=torch.float64) for _ in range(2))

    def add(self, dz: Tensor, y: Tensor) -> None:
        kernels.add_products(*_arrays(dz, y, self.mean, self.dz, self.dot))


class _Affine(NamedTuple):
    """dy = scale dz - constant - slope y; the gradients of gamma and beta."""

    scale: Tensor
    constant: Tensor
    slope: Tensor
    dgamma: Tensor
    dbeta: Tensor


def _affine(norm: _Norm, sum_dz: Tensor, sum_dot: Tensor, rows: int) -> _Affine:
    dbeta = sum_dz.to(norm.std.dtype)
    dgamma = sum_dot.to(norm.std.dtype) / norm.std
    slope = norm.scale * dgamma / (norm.std * rows)
    return _Affine(norm.scale, norm.scale * dbeta / rows - slope * norm.mean, slope, dgamma, dbeta)


class _Chunk(NamedTuple):
    groups: slice
    rows: slice


@dataclass
class _Network:
    """The layers' outputs, chunk by chunk; `norms` and `stored` grow as the forward pass goes on."""

    points: Tensor
    moved: Tensor
    index: Tensor
    norms: list[_Norm] = field(default_factory=list)
    stored: list[Tensor] = field(default_factory=list)  # y_2, y_3, ...

    @property
    def rows(self) -> int:
        return self.index.numel()

    def chunks(self) -> Iterator[_Chunk]:
        groups, k = self.index.shape
        step = max(1, CHUNK // (k * self.moved.shape[1]))
        for begin in range(0, groups, step):
            end = min(begin + step, groups)
            yield _Chunk(slice(begin, end), slice(begin * k, end * k))

    def grouped(self, rows: Tensor) -> Tensor:
        return rows.view(-1, self.index.shape[1], rows.shape[1])

    def output(self, layer: int, chunk: _Chunk) -> Tensor:
        """Compute y of a layer, counted from 0."""
        if layer:
            return self.stored[layer - 1][chunk.rows]
        index, moved = self.index[chunk.groups], self.moved[chunk.groups]
        y = moved.new_empty(index.numel(), moved.shape[1])
        kernels.gather(*_arrays(index, self.points, moved, self.grouped(y)))
        return y

    def activation(self, layer: int, y: Tensor) -> Tensor:
        x = torch.empty_like(y)
        norm = self.norms[layer]
        kernels.activate(*_arrays(y, norm.scale, norm.shift, x))
        return x


def _first_forward(net: _Network) -> tuple[Tensor, Tensor]:
    moments = _Moments()
    for chunk in net.chunks():
        moments.add(net.output(0, chunk))
    return moments.mean_and_variance()


def _inner_forward(net: _Network, layer: int, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Store y of a layer; returns its mean and variance."""
    y = reuse.empty(net.rows, len(weight), weight.dtype)
    moments = _Moments()
    for chunk in net.chunks():
        x = net.activation(layer - 1, net.output(layer - 1, chunk))
        moments.add(torch.mm(x, weight.t(), out=y[chunk.rows]))
    net.stored.append(y)
    return moments.mean_and_variance()


def _last_forward(net: _Network, weight: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """The largest y of each group, its neighbour, and the mean and variance of all."""
    below = len(net.norms) - 1
    best = weight.new_empty(len(net.index), len(weight))
    winner = torch.empty(best.shape, dtype=torch.int32)
    moments = _Moments()
    for chunk in net.chunks():
        y = torch.mm(net.activation(below, net.output(below, chunk)), weight.t())
        moments.add(y)
        kernels.pool(*_arrays(net.grouped(y), best[chunk.groups], winner[chunk.groups]))
    return best, winner, moments.mean_and_variance()


def _last_backward(
    net: _Network, affine: _Affine, weight: Tensor, winner: Tensor, dz: Tensor
) -> tuple[Tensor, Tensor, _Sums]:
    """dz (G, C') of the last layer -> dz of the layer below (R, C), dweight, the sums over dz."""
    below = len(net.norms) - 1
    grad = affine.scale * dz
    fixed, square = affine.constant @ weight, weight.t() @ (affine.slope[:, None] * weight)
    gram, dweight = torch.zeros_like(square), torch.zeros_like(weight)
    sum_x, sums = torch.zeros_like(fixed), _Sums(net.norms[below].mean)
    dz_below = reuse.empty(net.rows, len(fixed), fixed.dtype)
    for chunk in net.chunks():
        y = net.output(below, chunk)
        x = net.activation(below, y)
        dx = torch.addmm(fixed, x, square, beta=-1, alpha=-1, out=dz_below[chunk.rows])
        gram.addmm_(x.t(), x)
        sum_x += x.sum(dim=0)
        entries = grad[chunk.groups], winner[chunk.groups], weight
        kernels.unpool(*_arrays(*entries, net.grouped(x), net.grouped(dx), dweight))
        kernels.mask(*_arrays(x, dx))
        sums.add(dx, y)
    dweight -= torch.outer(affine.constant, sum_x) + affine.slope[:, None] * (weight @ gram)
    return dz_below, dweight, sums


def _inner_backward(
    net: _Network, layer: int, affine: _Affine, weight: Tensor, dz: Tensor
) -> tuple[Tensor, Tensor, _Sums]:
    """dz (R, C') of a layer, overwritten -> dz of the layer below (R, C), dweight, the sums over dz."""
    dweight, sums = torch.zeros_like(weight), _Sums(net.norms[layer - 1].mean)
    dz_below = reuse.empty(net.rows, weight.shape[1], weight.dtype)
    for chunk in net.chunks():
        dy = dz[chunk.rows]
        kernels.combine(*_arrays(dy, net.output(layer, chunk), *affine[:3]))
        y = net.output(layer - 1, chunk)
        x = net.activation(layer - 1, y)
        dweight.addmm_(dy.t(), x)
        dx = torch.mm(dy, weight, out=dz_below[chunk.rows])
        kernels.mask(*_arrays(x, dx))
        sums.add(dx, y)
    return dz_below, dweight, sums


def _first_backward(net: _Network, affine: _Affine, dz: Tensor) -> tuple[Tensor, Tensor]:
    """dz (R, C) of the first layer, overwritten -> the gradients of points and moved."""
    dpoints, dmoved = torch.zeros_like(net.points), torch.empty_like(net.moved)
    for chunk in net.chunks():
        dy = dz[chunk.rows]
        kernels.combine(*_arrays(dy, net.output(0, chunk), *affine[:3]))
        kernels.scatter(*_arrays(net.index[chunk.groups], net.grouped(dy), dpoints, dmoved[chunk.groups]))
    return dpoints, dmoved


class _SharedMLPMax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, points: Tensor, moved: Tensor, index: Tensor, eps: tuple[float, ...], *parameters: Tensor
    ) -> tuple[Tensor, ...]:
        layers = len(eps)
        parameters = tuple(p.detach() for p in parameters)
        weights, affine = parameters[: layers - 1], parameters[layers - 1 :]
        gammas, betas = affine[:layers], affine[layers:]
        net = _Network(points.detach().contiguous(), moved.detach().contiguous(), index.contiguous())
        statistics = []
        for layer in range(layers - 1):
            if layer:
                statistics.append(_inner_forward(net, layer, weights[layer - 1]))
            else:
                statistics.append(_first_forward(net))
            net.norms.append(_norm(*statistics[layer], gammas[layer], betas[layer], eps[layer]))
        sign = torch.where(gammas[-1] < 0, -1, 1).to(gammas[-1].dtype)
        best, winner, (mean, variance) = _last_forward(net, weights[-1] * sign[:, None])
        best, mean = best * sign, mean * sign
        statistics.append((mean, variance))
        norm = _norm(mean, variance, gammas[-1], betas[-1], eps[-1])
        pooled = (norm.scale * best + norm.shift).relu_()
        ctx.norms, ctx.last = net.norms, norm
        ctx.save_for_backward(net.points, net.moved, net.index, best, winner, pooled, *net.stored, *weights)
        flat = [tensor for pair in statistics for tensor in pair]
        ctx.mark_non_differentiable(*flat)
        return pooled, *flat

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        points, moved, index, best, winner, pooled, *rest = (t.detach() for t in ctx.saved_tensors)
        layers = len(ctx.norms) + 1
        weights = rest[layers - 2 :]
        net = _Network(points, moved, index, ctx.norms, stored=rest[: layers - 2])
        dz = grad * (pooled > 0)
        affine = [_affine(ctx.last, dz.sum(dim=0), (dz * (best - ctx.last.mean)).sum(dim=0), net.rows)]
        dz, dweight, sums = _last_backward(net, affine[0], weights[-1], winner, dz)
        dweights = [dweight]
        for layer in range(layers - 2, -1, -1):
            affine.append(_affine(net.norms[layer], sums.dz, sums.dot, net.rows))
            if layer:
                dz, dweight, sums = _inner_backward(net, layer, affine[-1], weights[layer - 1], dz)
                dweights.append(dweight)
        dpoints, dmoved = _first_backward(net, affine[-1], dz)
        dgammas, dbetas = [a.dgamma for a in affine], [a.dbeta for a in affine]
        return dpoints, dmoved, None, None, *dweights[::-1], *dgammas[::-1], *dbetas[::-1]


def _arrays(*tensors: Tensor) -> Iterator[Any]:
    return (tensor.numpy() for tensor in tensors)
