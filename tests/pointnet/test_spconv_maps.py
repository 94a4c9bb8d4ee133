"""Kernel maps are those of spconv's CPU build, where that is installed (`pip install spconv`)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.sparse_clouds import random_cloud, shell

from pointnet.ops.coordinates import Coordinates
from pointnet.ops.kernel_maps import Kernel, generated_coordinates, kernel_map, strided_coordinates

pytestmark = pytest.mark.filterwarnings("ignore")  # of spconv's own
spconv = pytest.importorskip(
    "spconv.core_cc.csrc.sparse.all",
    reason="needs spconv's CPU build (pip install spconv)",
    exc_type=ImportError,
)

SIDE = 12
CLOUDS = [*((random_cloud(seed, 300, SIDE), SIDE) for seed in range(3)), (shell(5, 6), SIDE + 1)]


def pairs_of(rows, kernel, side, output_side, *, transposed=False):
    """{(k, input, output)} of coordinates, by spconv; a submanifold map where the stride is 1."""
    from cumm import tensorview as tv

    rows = np.ascontiguousarray(rows.numpy().astype(np.int32))
    K, n = kernel.volume, len(rows)
    pairs = np.full((2, K, n), -1, np.int32)
    counts = np.zeros(K, np.int32)
    outputs = np.zeros((n * K, 4), np.int32)
    arrays = [tv.from_numpy(array) for array in (rows, pairs, outputs, counts)]
    size, dilation = list(kernel.size), list(kernel.dilation)
    submanifold = set(kernel.stride) == {1}
    if submanifold:
        spconv.SpconvOps.generate_subm_conv_inds_cpu(*arrays, 64, [side] * 3, size, dilation)
        outputs = rows
        for k in range(K // 2):  # counts of the second half are those of the first
            counts[K - 1 - k] = counts[k]
            pairs[:, K - 1 - k] = pairs[::-1, k]
        counts[K // 2] = n
        pairs[:, K // 2] = np.arange(n)
    else:
        padding = [-first for first in kernel.first]
        spconv.SpconvOps.generate_conv_inds_cpu(
            *arrays, 64, output_side, [side] * 3, size, list(kernel.stride), padding, dilation, transposed
        )
    return {
        (k, tuple(rows[i].tolist()), tuple(outputs[o].tolist()))
        for k in range(K)
        for i, o in pairs[:, k, : counts[k]].T.tolist()
    }


def ours(inputs, outputs, found):
    rows, results = inputs.rows.tolist(), outputs.rows.tolist()
    return {(k, tuple(rows[i]), tuple(results[o])) for k, i, o in found.triples().tolist()}


@pytest.mark.parametrize(("rows", "side"), CLOUDS)
@pytest.mark.parametrize("kernel", [Kernel(3), Kernel(5), Kernel(3, dilation=2), Kernel((1, 3, 5))])
def test_submanifold_maps(rows, side, kernel):
    inputs = Coordinates(rows, (side,) * 3)
    found = ours(inputs, inputs, kernel_map(inputs, inputs, kernel))
    assert found == pairs_of(rows, kernel, side, [side] * 3)


@pytest.mark.parametrize(("rows", "side"), CLOUDS)
@pytest.mark.parametrize(
    "kernel",
    [
        Kernel(3, 2),
        Kernel(2, 2),
        Kernel(3, 3, anchor="corner"),
        Kernel((3, 1, 2), (2, 1, 2)),
        Kernel(4, 2, anchor="corner"),
        Kernel(3, 2, dilation=2),
    ],
)
def test_strided_maps_under_the_full_rule(rows, side, kernel):
    inputs = Coordinates(rows, (side,) * 3)
    outputs = strided_coordinates(inputs, kernel, "full")
    found = ours(inputs, outputs, kernel_map(inputs, outputs, kernel))
    assert found == pairs_of(rows, kernel, side, list(outputs.grid))


@pytest.mark.parametrize(("rows", "side"), CLOUDS)
def test_generative_maps(rows, side):
    kernel = Kernel(2, 2)
    inputs = Coordinates(rows, (side,) * 3)
    outputs = generated_coordinates(inputs, kernel)
    found = ours(inputs, outputs, kernel_map(outputs, inputs, kernel).transposed)
    assert found == pairs_of(rows, kernel, side, [2 * side] * 3, transposed=True)


def test_the_oracle_is_not_asked_for_more_than_it_can():
    """It drops pairs of negative coordinates, which are valid here."""
    rows = torch.tensor([[0, -2, 0, 0], [0, -1, 0, 0]])
    inputs = Coordinates(rows)
    assert kernel_map(inputs, inputs, Kernel(3)).total == 4
