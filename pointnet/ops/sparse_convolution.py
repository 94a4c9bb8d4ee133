"""Convolution along a kernel map, with gradients: gather-GEMM-scatter or fetch-on-demand.

Gather-GEMM-scatter copies the inputs of an offset into a buffer, multiplies them in one matrix product, and
adds the rows to their outputs. Offsets with similar numbers of pairs can be one batched product, padded to
the largest (adaptive grouping: Tang et al., TorchSparse, MLSys 2022). Fetch-on-demand multiplies pair by pair
without buffers.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from gmp.nonzeros import on_host
from pointnet.errors import PointnetError
from pointnet.ops import sparse_kernels as kernels
from pointnet.ops.kernel_maps import KernelMap
from pointnet.ops.kernel_threads import share
from sparsim.errors import near

Dataflow = Literal["gather_scatter", "fetch_on_demand"]
BLOCK = 1 << 18  # elements of a buffer, which stays in a core's cache

Piece = tuple[int, int, int]  # an offset, and the first and the last but one of its pairs


class Grouping(NamedTuple):
    """Rule for offsets that are multiplied together.

    Parameters
    ----------
    epsilon : float, default 0.0
        Largest 1 - min / max of the numbers of pairs in a group, 0 to 1.
    threshold : float, default 0
        Groups whose largest number of pairs is below this threshold are one batched product; in other groups
        each offset has its own product.
    """

    epsilon: float = 0.0
    threshold: float = 0


class Group(NamedTuple):
    """Offsets that are multiplied together.

    Parameters
    ----------
    offsets : tuple of int
        Indices of the offsets.
    rows : int
        Rows that are multiplied, padding included.
    batched : bool
        Whether the offsets are one batched product, padded to the largest.
    """

    offsets: tuple[int, ...]
    rows: int
    batched: bool


ALONE = Grouping()


def check_grouping(grouping: Grouping) -> None:
    """Check the grouping of offsets.

    Parameters
    ----------
    grouping : Grouping
        The grouping.

    Raises
    ------
    PointnetError
        If it is not a `Grouping` with an epsilon from 0 to 1 and a threshold from 0.
    """
    if not isinstance(grouping, Grouping):
        raise PointnetError(f"grouping must be a Grouping, got {grouping!r}")
    if not 0 <= grouping.epsilon <= 1 or not grouping.threshold >= 0:
        raise PointnetError(
            f"grouping must be an epsilon from 0 to 1 and a threshold from 0, got {tuple(grouping)}"
        )


def adaptive_groups(
    pairs: Sequence[int], grouping: Grouping = ALONE, identity: int | None = None
) -> list[Group]:
    """Group the offsets of a kernel map.

    Parameters
    ----------
    pairs : sequence of int
        Number of pairs of each offset.
    grouping : Grouping, default ALONE
        When offsets are multiplied together.
    identity : int or None, default None
        Offset that is left out, because it is multiplied without gathering.

    Returns
    -------
    list of Group
        Groups in the order 0, K - 1, 1, K - 2, ..., in which mirrored offsets are neighbours. An offset that
        exceeds the limit starts the next group. Offsets without pairs are left out.

    Raises
    ------
    PointnetError
        If `epsilon` is not from 0 to 1, or `threshold` is negative.

    Examples
    --------
    >>> from pointnet.ops.sparse_convolution import Grouping, adaptive_groups
    >>> groups = adaptive_groups([7, 9, 20, 9, 7], Grouping(0.3, 100), identity=2)
    >>> [(group.offsets, group.rows) for group in groups]
    [((0, 4, 1, 3), 36)]
    """
    check_grouping(grouping)
    K = len(pairs)
    order = [k for i in range((K + 1) // 2) for k in dict.fromkeys((i, K - 1 - i))]
    groups: list[list[int]] = []
    for k in order:
        if k == identity or not pairs[k]:
            continue
        sizes = [pairs[other] for other in groups[-1]] + [pairs[k]] if groups else []
        if not sizes or 1 - min(sizes) / max(sizes) > grouping.epsilon:
            groups.append([])
        groups[-1].append(k)
    found = []
    for offsets in groups:
        largest = max(pairs[k] for k in offsets)
        batched = len(offsets) > 1 and largest < grouping.threshold
        rows = len(offsets) * largest if batched else sum(pairs[k] for k in offsets)
        found.append(Group(tuple(offsets), rows, batched))
    return found


def sparse_convolution(
    features: Tensor, weights: Tensor, kernel_map: KernelMap, *, dataflow: Dataflow = "gather_scatter",
    grouping: Grouping = ALONE,
) -> Tensor:  # fmt: skip
    """Convolve features along a kernel map: the sum of features[in] @ weights[k] over the pairs of an output.

    Parameters
    ----------
    features : Tensor, shape (N, C)
        Features of the inputs.
    weights : Tensor, shape (K, C, M)
        A matrix for each offset.
    kernel_map : KernelMap
        Pairs of inputs and outputs.
    dataflow : str, default "gather_scatter"
        "gather_scatter" or "fetch_on_demand". The latter runs on the CPU only, in float32 or float64.
    grouping : Grouping, default ALONE
        When offsets are multiplied together in "gather_scatter".

    Returns
    -------
    Tensor, shape (outputs of the map, M)
        Features of the outputs. Gradients flow to features and weights.

    Raises
    ------
    PointnetError
        If a shape does not fit, or if an option is unknown.

    Notes
    -----
    The results of both dataflows are equal up to the order in which rows are added.
    """
    if dataflow not in get_args(Dataflow):
        raise PointnetError(f"unknown dataflow '{dataflow}'", hint=near(dataflow, get_args(Dataflow)))
    check_grouping(grouping)
    if features.dim() != 2 or len(features) != kernel_map.input_count:
        raise PointnetError(
            f"features must have shape ({kernel_map.input_count}, channels), got {tuple(features.shape)}"
        )
    wanted = kernel_map.kernel.volume, features.shape[1]
    if weights.dim() != 3 or tuple(weights.shape[:2]) != wanted:
        raise PointnetError(
            f"weights must have shape ({wanted[0]}, {wanted[1]}, outputs), got {tuple(weights.shape)}"
        )
    if features.dtype != weights.dtype or features.device != weights.device:
        raise PointnetError(
            f"features are {features.dtype} on {features.device}, weights {weights.dtype} on {weights.device}"
        )
    if dataflow == "fetch_on_demand" and not _compiled(features):
        raise PointnetError(
            f"fetch_on_demand needs float32 or float64 on the CPU, features are {features.dtype} "
            f"on {features.device}"
        )
    result: Tensor = _Convolution.apply(  # type: ignore[no-untyped-call]
        features, weights, kernel_map, dataflow, grouping
    )
    return result


class _Convolution(torch.autograd.Function):
    """The gradient of the features is the transposed convolution along the transposed map."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weights: Tensor, kernel_map: KernelMap, dataflow: Dataflow,
        grouping: Grouping,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(features, weights)
        ctx.options = kernel_map, dataflow, grouping
        return _convolved(features, weights, kernel_map, dataflow, grouping)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        features, weights = ctx.saved_tensors
        kernel_map, dataflow, grouping = ctx.options
        of_features = of_weights = None
        if ctx.needs_input_grad[0]:
            across = weights.transpose(1, 2).contiguous()
            of_features = _convolved(grad.contiguous(), across, kernel_map.transposed, dataflow, grouping)
        if ctx.needs_input_grad[1]:
            of_weights = torch.zeros_like(weights)
            inputs, outputs = (index.to(grad.device) for index in (kernel_map.inputs, kernel_map.outputs))
            for k, (begin, end) in enumerate(_ranges(kernel_map)):
                if k == kernel_map.identity:
                    torch.mm(features.t(), grad, out=of_weights[k])
                elif end > begin:
                    rows, against = features[inputs[begin:end]], grad[outputs[begin:end]]
                    torch.mm(rows.t(), against, out=of_weights[k])
        return of_features, of_weights, None, None, None


def _convolved(
    features: Tensor, weights: Tensor, kernel_map: KernelMap, dataflow: Dataflow, grouping: Grouping
) -> Tensor:
    result = features.new_zeros(kernel_map.output_count, weights.shape[2])
    if dataflow == "fetch_on_demand":
        arrays = (t.detach().contiguous().numpy() for t in (features, weights))
        pairs = kernel_map.ends, kernel_map.inputs.numpy(), kernel_map.outputs.numpy()
        share(kernels.fetch_on_demand, len(result), *arrays, *pairs, result.numpy())
        return result
    if kernel_map.identity is not None:
        torch.mm(features, weights[kernel_map.identity], out=result)
    inputs, outputs = (index.to(features.device) for index in (kernel_map.inputs, kernel_map.outputs))
    ranges, matrices = _ranges(kernel_map), weights.unbind()
    alone: list[int] = []
    for group in adaptive_groups(kernel_map.pairs, grouping, kernel_map.identity):
        if not group.batched:
            alone += group.offsets
            continue
        rows = features.new_zeros(len(group.offsets), group.rows // len(group.offsets), features.shape[1])
        for buffer, k in zip(rows, group.offsets, strict=True):
            begin, end = ranges[k]
            torch.index_select(features, 0, inputs[begin:end], out=buffer[: end - begin])
        for product, k in zip(torch.bmm(rows, weights[list(group.offsets)]), group.offsets, strict=True):
            begin, end = ranges[k]
            _scatter(product[: end - begin], outputs[begin:end], result)
    blocks = list(_blocks([(k, *ranges[k]) for k in sorted(alone)], BLOCK // max(weights.shape[1:])))
    most = max((pieces[-1][2] - pieces[0][1] for pieces in blocks), default=0)
    gathered, multiplied = (features.new_empty(most, width) for width in weights.shape[1:])
    for pieces in blocks:
        first, last = pieces[0][1], pieces[-1][2]
        rows, products = gathered[: last - first], multiplied[: last - first]
        torch.index_select(features, 0, inputs[first:last], out=rows)
        sizes = [end - begin for _, begin, end in pieces]
        for (k, _, _), x, y in zip(pieces, rows.split(sizes), products.split(sizes), strict=True):
            torch.mm(x, matrices[k], out=y)
        _scatter(products, outputs[first:last], result)
    return result


def _blocks(pieces: Sequence[Piece], most: int) -> Iterator[list[Piece]]:
    """Yield pieces of consecutive offsets to gather at once, `most` pairs at most; longer ones are split."""
    block: list[Piece] = []
    for k, begin, end in pieces:
        while begin < end:
            free = most - (block[-1][2] - block[0][1]) if block else most
            if block and (free < min(end - begin, most) or block[-1][2] != begin):
                yield block
                block, free = [], most
            block.append((k, begin, min(end, begin + max(1, free))))
            begin = block[-1][2]
    if block:
        yield block


def _scatter(rows: Tensor, outputs: Tensor, result: Tensor) -> None:
    if _compiled(rows):
        share(kernels.scatter_add, rows.shape[1], rows.numpy(), outputs.numpy(), result.numpy())
    else:
        result.index_add_(0, outputs, rows)


def _ranges(kernel_map: KernelMap) -> list[tuple[int, int]]:
    ends = kernel_map.ends.tolist()
    return list(pairwise(ends))


def _compiled(x: Tensor) -> bool:
    return x.dtype in (torch.float32, torch.float64) and on_host(x)
