"""Sparse convolution against loops, dense convolution, and its own second dataflow; gradients included."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from naive import kernel_map as naive
from support.sparse_clouds import PATTERN, random_cloud, rows_of
from torch.nn import functional as F

from pointnet.errors import DataError, PointnetError
from pointnet.ops.coordinates import Coordinates
from pointnet.ops.kernel_maps import Kernel, generated_coordinates, kernel_map, strided_coordinates
from pointnet.ops.sparse_convolution import ALONE, Grouping, adaptive_groups, sparse_convolution
from pointnet.ops.voxels import merge_duplicates, voxelize
from pointnet.sparse.sparse_layers import SubmanifoldConvolution
from pointnet.sparse.sparse_tensor import SparseTensor

SIDE = 6
DATAFLOWS = ["gather_scatter", "fetch_on_demand"]
GROUPINGS = [ALONE, Grouping(0.3, 1e9), Grouping(1.0, 1e9), Grouping(0.2, 20)]
KERNELS = {
    "submanifold": Kernel(3),
    "dilated": Kernel(3, dilation=2),
    "flat": Kernel((3, 1, 5)),
    "even": Kernel(4),
    "strided": Kernel(3, 2),
    "corner": Kernel(2, 2),
    "uneven": Kernel((1, 2, 3), (1, 2, 2)),
}


def drawn(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=dtype, requires_grad=True)


def mapped(kernel, seed=0, count=150):
    inputs = Coordinates(random_cloud(seed, count, SIDE))
    submanifold = set(kernel.stride) == {1}
    outputs = inputs if submanifold else strided_coordinates(inputs, kernel)
    return inputs, outputs, kernel_map(inputs, outputs, kernel)


def dense(features, inputs):
    """(2, C, side, side, side) with zeros where there is no coordinate."""
    grid = features.new_zeros(2, SIDE, SIDE, SIDE, features.shape[1])
    b, x, y, z = inputs.rows.long().unbind(1)
    return grid.index_put((b, x, y, z), features).permute(0, 4, 1, 2, 3)


def dense_convolved(features, weights, inputs, outputs, kernel):
    """Dense convolution, read at the outputs. Windows begin at the first offset."""
    shape = (*kernel.size, *weights.shape[1:])
    filters = weights.reshape(shape).permute(4, 3, 0, 1, 2)
    grid = dense(features, inputs)
    pads = []
    for first, size, dilation in zip(kernel.first, kernel.size, kernel.dilation, strict=True):
        pads = [-first, first + (size - 1) * dilation + 2, *pads]
    found = F.conv3d(F.pad(grid, pads), filters, stride=kernel.stride, dilation=kernel.dilation)
    b, x, y, z = outputs.rows.long().unbind(1)
    return found[b, :, x, y, z]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_values_and_gradients_are_those_of_masked_dense_convolution(name, dataflow):
    kernel = KERNELS[name]
    inputs, outputs, found = mapped(kernel)
    features, weights = drawn(len(inputs), 3), drawn(kernel.volume, 3, 4)
    result = sparse_convolution(features, weights, found, dataflow=dataflow)
    expected = dense_convolved(features, weights, inputs, outputs, kernel)
    torch.testing.assert_close(result, expected)
    direction = torch.randn_like(result)
    ours = torch.autograd.grad(result, (features, weights), direction)
    theirs = torch.autograd.grad(expected, (features, weights), direction)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("name", KERNELS)
def test_transposed_layers_are_the_gradients_of_dense_convolution(name):
    kernel = KERNELS[name]
    inputs, outputs, found = mapped(kernel)
    coarse, weights = drawn(len(outputs), 4), drawn(kernel.volume, 3, 4)
    features = drawn(len(inputs), 3)
    result = sparse_convolution(coarse, weights.transpose(1, 2), found.transposed)
    forward = dense_convolved(features, weights, inputs, outputs, kernel)
    (expected,) = torch.autograd.grad(forward, features, coarse)
    torch.testing.assert_close(result, expected)


def test_generative_layers_are_dense_transposed_convolution():
    inputs = Coordinates(random_cloud(0, 20, SIDE))
    kernel = Kernel(2, 2)
    outputs = generated_coordinates(inputs, kernel)
    found = kernel_map(outputs, inputs, kernel).transposed
    features, weights = drawn(len(inputs), 3), drawn(8, 3, 4)
    result = sparse_convolution(features, weights, found)
    filters = weights.reshape(2, 2, 2, 3, 4).permute(3, 4, 0, 1, 2)
    expected = F.conv_transpose3d(dense(features, inputs), filters, stride=2)
    b, x, y, z = outputs.rows.long().unbind(1)
    torch.testing.assert_close(result, expected[b, :, x, y, z])
    assert found.total == len(outputs) == 160


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("name", ["submanifold", "strided"])
def test_dataflows_and_groupings_are_equal(name, grouping):
    inputs, _, found = mapped(KERNELS[name])
    features, weights = drawn(len(inputs), 5), drawn(27, 5, 7)
    runs = [
        sparse_convolution(features, weights, found, grouping=grouping),
        sparse_convolution(features, weights, found, dataflow="fetch_on_demand"),
    ]
    torch.testing.assert_close(*runs)
    gradients = [torch.autograd.grad(run.square().sum(), (features, weights)) for run in runs]
    torch.testing.assert_close(*gradients)
    rows = [tuple(row) for row in found.triples().tolist()]
    torch.testing.assert_close(runs[0], naive.convolved(features, weights, rows, found.output_count))


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_gradients_are_those_of_differences(dataflow):
    inputs, _, found = mapped(Kernel(3), count=12)
    arguments = drawn(len(inputs), 2), drawn(27, 2, 3)
    assert torch.autograd.gradcheck(
        lambda x, w: sparse_convolution(x, w, found, dataflow=dataflow), arguments
    )


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_results_do_not_depend_on_the_number_of_threads(dataflow):
    inputs, _, found = mapped(Kernel(3))
    features, weights = (t.float() for t in (drawn(len(inputs), 8), drawn(27, 8, 8)))
    before, runs = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            runs.append(sparse_convolution(features, weights, found, dataflow=dataflow))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*runs)


def test_permuted_inputs_give_permuted_results():
    rows = random_cloud(1, 80, 5)
    order = torch.randperm(80)
    features, weights = drawn(80, 3), drawn(27, 3, 4)
    plain, turned = Coordinates(rows), Coordinates(rows[order])
    result = sparse_convolution(features, weights, kernel_map(plain, plain, Kernel(3)))
    permuted = sparse_convolution(features[order], weights, kernel_map(turned, turned, Kernel(3)))
    torch.testing.assert_close(permuted, result[order])


def test_the_worked_example():
    features = torch.arange(1.0, 9)[:, None]
    weights = torch.arange(1.0, 10)[:, None, None]
    inputs = Coordinates(rows_of(PATTERN))
    found = kernel_map(inputs, inputs, Kernel((3, 3, 1)))
    result = sparse_convolution(features, weights, found)
    assert result.flatten().tolist() == [46, 135, 186, 56, 81, 103, 113, 71]
    kernel = Kernel((3, 3, 1), (2, 2, 1))
    found = kernel_map(inputs, strided_coordinates(inputs, kernel), kernel)
    assert sparse_convolution(features, weights, found).flatten().tolist() == [22, 28, 24, 81, 113]


SIZES = [37, 28, 38, 33, 44, 38, 35, 41, 32, 38, 48, 47, 44]


@pytest.mark.parametrize(
    ("epsilon", "lengths", "rows"),
    [
        (0.0, [2] * 13, 1006),
        (0.1, [2, 2, 2, 2, 2, 4, 2, 2, 2, 6], 1022),
        (0.2, [2, 2, 4, 4, 4, 4, 6], 1062),
        (0.3, [8, 12, 6], 1120),
        (1.0, [26], 1248),
    ],
)
def test_adaptive_groups_of_the_worked_example(epsilon, lengths, rows):
    pairs = [*SIZES, 100, *reversed(SIZES)]
    groups = adaptive_groups(pairs, Grouping(epsilon, float("inf")), identity=13)
    assert [len(group.offsets) for group in groups] == lengths
    assert sum(group.rows for group in groups) == rows
    assert groups[0].offsets[:2] == (0, 26)


def test_large_groups_are_not_padded():
    groups = adaptive_groups([7, 9, 5], Grouping(1.0, 9))
    assert [(group.offsets, group.rows, group.batched) for group in groups] == [((0, 2, 1), 21, False)]


def test_voxels_of_points():
    points = torch.tensor([[[0.1, 0.2, -0.1], [0.3, 0.4, -0.2], [0.9, 0, 0]], [[0.1, 0.2, 0.1]] * 3])
    voxels = voxelize(points, 0.5)
    assert voxels.coordinates.rows.tolist() == [[0, 0, 0, -1], [0, 1, 0, 0], [1, 0, 0, 0]]
    assert voxels.voxel_of_point.tolist() == [0, 0, 1, 2, 2, 2]
    centred = points.flatten(0, 1) / 0.5 - voxels.coordinates.rows[voxels.voxel_of_point, 1:] - 0.5
    torch.testing.assert_close(voxels.features[0], centred[:2].mean(dim=0))


@pytest.mark.parametrize(("reduction", "expected"), [("mean", 2.0), ("sum", 6.0), ("first", 3.0)])
def test_duplicates_are_merged_by_a_named_reduction(reduction, expected):
    rows = torch.tensor([[0, 1, 1, 1], [0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 1, 1]])
    features = torch.tensor([[3.0], [9.0], [1.0], [2.0]], requires_grad=True)
    found = merge_duplicates(rows, features, reduction)
    assert found.coordinates.rows.tolist() == [[0, 0, 0, 0], [0, 1, 1, 1]]
    assert found.features.flatten().tolist() == [9, expected]
    (gradient,) = torch.autograd.grad(found.features[1].sum(), features)
    share = {"mean": [1 / 3, 0, 1 / 3, 1 / 3], "sum": [1, 0, 1, 1], "first": [1, 0, 0, 0]}[reduction]
    torch.testing.assert_close(gradient.flatten(), torch.tensor(share, dtype=torch.float32))


CLOUD = Coordinates(random_cloud(0, 10, 4))
MAP = kernel_map(CLOUD, CLOUD, Kernel(3))
X, W = torch.zeros(10, 3), torch.zeros(27, 3, 4)


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: sparse_convolution(X[:9], W, MAP), PointnetError, r"features.*\(9, 3\)"),
        (lambda: sparse_convolution(X, W[:, :2], MAP), PointnetError, r"weights.*\(27, 2, 4\)"),
        (lambda: sparse_convolution(X, W[:26], MAP), PointnetError, r"weights.*\(26, 3, 4\)"),
        (lambda: sparse_convolution(X, W.double(), MAP), PointnetError, "float64"),
        (lambda: sparse_convolution(X, W, MAP, dataflow="gather"), PointnetError, "dataflow 'gather'"),
        (
            lambda: sparse_convolution(X.half(), W.half(), MAP, dataflow="fetch_on_demand"),
            PointnetError,
            "float16",
        ),
        (lambda: sparse_convolution(X, W, MAP, grouping=Grouping(2)), PointnetError, "epsilon"),
        (lambda: sparse_convolution(X, W, MAP, grouping="x"), PointnetError, "grouping"),
        (lambda: voxelize(torch.zeros(0, 3), 1.0), DataError, "empty"),
        (lambda: voxelize(torch.tensor([[0, float("nan"), 0]]), 1.0), DataError, "not finite"),
        (lambda: voxelize(torch.full((1, 3), 1e9), 1e-3), DataError, "beyond"),
        (lambda: voxelize(torch.zeros(1, 3), 0.0), PointnetError, r"voxel_size.*0"),
        (lambda: voxelize(torch.zeros(4), 1.0), PointnetError, "points"),
        (lambda: voxelize(torch.zeros(4, 3), 1.0, torch.zeros(3, 2)), PointnetError, "features"),
        (lambda: merge_duplicates(CLOUD.rows, X, "max"), PointnetError, "reduction 'max'"),
    ],
)
def test_what_cannot_be_is_refused(make, kind, text):
    with pytest.raises(kind, match=text):
        make()


@pytest.mark.parametrize("make", [
    lambda: Coordinates([[0, 1, 2, 3]]),
    lambda: Coordinates(torch.zeros(1, 4, dtype=torch.complex64)),
    lambda: Coordinates(torch.zeros(1, 4, dtype=torch.int64), 1.5),
    lambda: voxelize(torch.rand(4, 3), "0.5"),
    lambda: voxelize([[0.0, 0.0, 0.0]], 0.5),
    lambda: SparseTensor(torch.rand(1, 2), torch.zeros(1, 4, dtype=torch.int64)),
    lambda: SparseTensor(torch.rand(1, 2), Coordinates(torch.zeros(1, 4, dtype=torch.int64)), (0, 1, 1)),
    lambda: SparseTensor(torch.rand(1, 2), Coordinates(torch.zeros(1, 4, dtype=torch.int64)), 2),
    lambda: SubmanifoldConvolution(2, 3, 2.5),
    lambda: SubmanifoldConvolution(2, 3)(torch.rand(1, 2)),
])  # fmt: skip
def test_other_types_and_numbers_are_refused(make: Any) -> None:
    with pytest.raises(PointnetError):
        make()


def test_voxels_of_half_precision_may_hold_many_points() -> None:
    """Their sums and counts are beyond half precision."""
    points = torch.zeros(70000, 3)
    voxels = voxelize(points, 0.5, torch.ones(70000, 1, dtype=torch.float16))
    assert voxels.features.dtype == torch.float16
    assert voxels.features.tolist() == [[1.0]]
