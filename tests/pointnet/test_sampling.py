"""Sampling against slow twins in plain Python, on lattices where ties are common and arithmetic is exact."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.named import names, naming
from torch import Tensor

from pointnet.errors import DataError, PointnetError
from pointnet.ops.sampling import ball_query, farthest_point_sample, gather

BACKENDS = ("auto", "torch")
SIDE = 8  # lattice points per unit of length: squared distances are exact


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# ---- slow twins, for one cloud


def squared(a: list[float], b: list[float]) -> float:
    return sum((p - q) ** 2 for p, q in zip(a, b, strict=True))


def slow_farthest(points: list[list[float]], count: int, start: int) -> list[int]:
    picked = [start]
    while len(picked) < count:
        distance = [min(squared(p, points[c]) for c in picked) for p in points]
        picked.append(distance.index(max(distance)))
    return picked


def slow_ball(points: list[list[float]], centre: list[float], radius: float, count: int) -> list[int]:
    distance = [squared(p, centre) for p in points]
    found = [j for j, d2 in enumerate(distance) if d2 <= radius * radius][:count]
    found = found or [distance.index(min(distance))]
    return found + [found[0]] * (count - len(found))


@st.composite
def lattices(draw: st.DrawFn, most: int = 40) -> Tensor:
    """Clouds (B, N, 3) on a small lattice: many points coincide, many distances are equal."""
    seed = draw(st.integers(0, 2**32 - 1))
    batch, points, extent = draw(st.integers(1, 3)), draw(st.integers(1, most)), draw(st.integers(0, SIDE))
    ticks = np.random.default_rng(seed).integers(-extent, extent + 1, (batch, points, 3))
    return torch.from_numpy(ticks / SIDE).float()


def clouds(batch: int, points: int, seed: int = 0) -> Tensor:
    return torch.randn(batch, points, 3, generator=torch.Generator().manual_seed(seed))


# ---- farthest-point sampling


@settings(max_examples=30, deadline=None)
@given(lattices(), st.data())
def test_farthest_points_equal_the_slow_twin(xyz: Tensor, data: st.DataObject) -> None:
    batch, points = xyz.shape[:2]
    count = data.draw(st.integers(1, points))
    start = data.draw(st.lists(st.integers(0, points - 1), min_size=batch, max_size=batch))
    slow = [slow_farthest(cloud, count, first) for cloud, first in zip(xyz.tolist(), start, strict=True)]
    for backend in BACKENDS:
        found = farthest_point_sample(xyz, count, start=torch.tensor(start), backend=backend)
        assert found.dtype == torch.int64
        assert found.tolist() == slow, backend


def test_farthest_points_start_at_the_first_point() -> None:
    xyz = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 3, 0]]])
    assert farthest_point_sample(xyz, 4).tolist() == [[0, 3, 1, 2]]
    assert farthest_point_sample(xyz, 3, start=torch.tensor([3])).tolist() == [[3, 1, 2]]


def test_of_equally_far_points_the_lowest_index_is_picked() -> None:
    corners = torch.tensor([[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)])
    xyz = torch.cat([torch.zeros(1, 3), corners.repeat(5, 1)])[None]
    for backend in BACKENDS:
        assert farthest_point_sample(xyz, 4, backend=backend).tolist() == [[0, 1, 2, 3]], backend


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_farthest_points_follow_a_permutation(seed: int) -> None:
    xyz, order = clouds(2, 50, seed), torch.randperm(50, generator=torch.Generator().manual_seed(seed))
    start = torch.tensor([7, 7])
    renamed = order.argsort()  # the new index of each point
    moved = farthest_point_sample(xyz[:, order], 20, start=renamed[start])
    assert torch.equal(moved, renamed[farthest_point_sample(xyz, 20, start=start)])


def test_coincident_points_are_picked_only_when_no_other_is_left() -> None:
    xyz = clouds(1, 10).repeat(1, 3, 1)
    picked = farthest_point_sample(xyz, 12)[0]
    assert sorted(picked[:10].tolist()) == list(range(10))
    assert picked[10:].tolist() == [0, 0]


# ---- ball query


@settings(max_examples=30, deadline=None)
@given(lattices(), lattices(most=6), st.integers(1, 2 * SIDE), st.integers(1, 50))
def test_balls_equal_the_slow_twin(xyz: Tensor, centres: Tensor, ticks: int, count: int) -> None:
    batch = min(len(xyz), len(centres))
    xyz, centres, radius = xyz[:batch], centres[:batch], ticks / SIDE
    slow = [
        [slow_ball(cloud, centre, radius, count) for centre in around]
        for cloud, around in zip(xyz.tolist(), centres.tolist(), strict=True)
    ]
    for backend in BACKENDS:
        found = ball_query(xyz, centres, radius, count, backend=backend)
        assert found.dtype == torch.int64
        assert found.tolist() == slow, backend


def test_balls_take_the_first_points_then_repeat_then_the_closest() -> None:
    xyz = torch.tensor([[[0.0, 0, 0], [3, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0]]])
    centres = torch.tensor([[[0.0, 0, 0], [3, 0, 0], [0, 0, 9]]])
    for backend in BACKENDS:
        found = ball_query(xyz, centres, 1.0, 2, backend=backend)
        assert found.tolist() == [[[0, 2], [1, 3], [0, 0]]], backend
        found = ball_query(xyz, centres, 1.0, 7, backend=backend)  # more neighbours than points
        assert found.tolist() == [[[0, 2, 4, 0, 0, 0, 0], [1, 3, 1, 1, 1, 1, 1], [0] * 7]], backend


@pytest.mark.parametrize("points", [1, 7, 255, 256, 257, 600])
def test_balls_in_clouds_of_any_number_of_points(points: int) -> None:
    """The compiled loop works in blocks; the last one is rarely full."""
    xyz = clouds(2, points)
    for radius in (0.2, 1.0, 3.0):
        found = ball_query(xyz, xyz[:, :9], radius, 16)
        assert torch.equal(found, ball_query(xyz, xyz[:, :9], radius, 16, backend="torch"))


# ---- both


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_backends_round_alike(seed: int, scale: float) -> None:
    xyz = scale * clouds(2, 300, seed)
    picked = farthest_point_sample(xyz, 60)
    assert torch.equal(picked, farthest_point_sample(xyz, 60, backend="torch"))
    centres = gather(xyz, picked)
    radius = float((xyz[0, 0] - xyz[0, 1]).norm())  # some point is about on the sphere
    found = ball_query(xyz, centres, radius, 8)
    assert torch.equal(found, ball_query(xyz, centres, radius, 8, backend="torch"))


def test_results_do_not_depend_on_threads_or_memory_order() -> None:
    xyz = clouds(5, 100)
    apart = xyz.transpose(1, 2).contiguous().transpose(1, 2)
    picked, found = farthest_point_sample(xyz, 30), ball_query(xyz, xyz, 0.5, 8)
    for threads in (2, 3):
        torch.set_num_threads(threads)
        assert torch.equal(farthest_point_sample(apart, 30), picked)
        assert torch.equal(ball_query(apart, apart, 0.5, 8), found)


def test_double_precision_decides_what_single_cannot() -> None:
    far = 1 + 1e-12
    xyz = torch.tensor([[[0, 0, 0], [1, 0, 0], [0, far, 0]]], dtype=torch.float64)
    assert farthest_point_sample(xyz, 2).tolist() == [[0, 2]]
    assert farthest_point_sample(xyz.float(), 2).tolist() == [[0, 1]]
    assert ball_query(xyz, xyz[:, :1], 1.0, 3).tolist() == [[[0, 1, 0]]]
    assert ball_query(xyz.float(), xyz[:, :1].float(), 1.0, 3).tolist() == [[[0, 1, 2]]]


# ---- gather


def test_gather_takes_rows_cloud_by_cloud() -> None:
    features = torch.arange(24.0).view(2, 3, 4)
    index = torch.tensor([[[2, 0], [1, 1]], [[0, 0], [2, 1]]])
    slow = [[[features[b, j].tolist() for j in row] for row in index[b].tolist()] for b in range(2)]
    assert gather(features, index).tolist() == slow
    assert gather(features, index[:, 0]).shape == (2, 2, 4)


@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_of_repeated_rows_add_up(threads: int) -> None:
    torch.set_num_threads(threads)
    features = torch.randn(3, 5, 7, generator=torch.Generator().manual_seed(0), requires_grad=True)
    index = torch.randint(4, (3, 6, 2), generator=torch.Generator().manual_seed(1))  # row 4 never
    weight = torch.randint(-9, 9, (3, 6, 2, 7), generator=torch.Generator().manual_seed(2)).float()
    (gather(features, index) * weight).sum().backward()
    expected = torch.zeros(3, 5, 7)
    for b in range(3):
        for s in range(6):
            for k in range(2):
                expected[b, index[b, s, k]] += weight[b, s, k]
    assert torch.equal(features.grad, expected)


def test_gather_gradcheck() -> None:
    features = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    index = torch.tensor([[0, 0, 3], [1, 2, 1]])
    assert torch.autograd.gradcheck(lambda f: gather(f, index), features.requires_grad_())


# ---- errors

XYZ_OK = torch.zeros(2, 4, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: farthest_point_sample(XYZ_OK, 5), "5 4 1"),
        (lambda: farthest_point_sample(XYZ_OK, 0), "0 4 1"),
        (
            lambda: farthest_point_sample(XYZ_OK[0], 1),
            "xyz 4 3 torch.float32",
        ),
        (
            lambda: farthest_point_sample(XYZ_OK.long(), 1),
            "xyz 2 4 3 torch.int64",
        ),
        (
            lambda: farthest_point_sample(torch.zeros(2, 0, 3), 1),
            "xyz 2 0 3 torch.float32",
        ),
        (
            lambda: farthest_point_sample(XYZ_OK, 2, start=torch.tensor([0, 4])),
            "start 4 0 3",
        ),
        (
            lambda: farthest_point_sample(XYZ_OK, 2, start=torch.tensor([-1, 0])),
            "start -1 0 3",
        ),
        (lambda: farthest_point_sample(XYZ_OK, 2, start=torch.tensor(0)), "start 2"),
        (
            lambda: farthest_point_sample(XYZ_OK, 2, start=torch.zeros(2)),
            "start torch.float32 torch.int64",
        ),
        (
            lambda: farthest_point_sample(XYZ_OK, 2, backend="cuda"),
            "backend cuda auto torch",
        ),
        (
            lambda: ball_query(XYZ_OK, XYZ_OK, 0.0, 1),
            "radius 0.0 0",
        ),
        (
            lambda: ball_query(XYZ_OK, XYZ_OK, float("nan"), 1),
            "radius 0",
        ),
        (lambda: ball_query(XYZ_OK, XYZ_OK, 1.0, 0), "0 1"),
        (
            lambda: ball_query(XYZ_OK, XYZ_OK[:1], 1.0, 1),
            "centres 1 4 3 torch.float32 2",
        ),
        (
            lambda: gather(XYZ_OK, torch.zeros(1, 4, dtype=torch.int64)),
            "features 2 4 3 1",
        ),
        (lambda: gather(XYZ_OK, torch.full((2, 1), 4)), "index 4 0 3"),
        (lambda: gather(XYZ_OK, torch.full((2, 1), -1)), "index -1 0 3"),
        (
            lambda: gather(XYZ_OK, torch.zeros(2, 1, dtype=torch.int32)),
            "index torch.int32 torch.int64",
        ),
    ],
)
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(PointnetError) as error:
        call()
    assert names(error.value, message)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_coordinates_must_be_finite(value: float) -> None:
    xyz = torch.zeros(2, 4, 3)
    xyz[1, 2, 0] = value
    with pytest.raises(DataError, match=naming("1 2")):
        farthest_point_sample(xyz, 2)
    with pytest.raises(DataError, match=naming("1 2")):
        ball_query(torch.zeros(2, 4, 3), xyz, 1.0, 2)


@pytest.mark.filterwarnings("ignore")  # what torch says of constants in a trace, and of traces as such
def test_a_trace_records_torchs_operations() -> None:
    """`torch.jit.trace` gives its tensors for sizes, which compiled loops cannot take."""

    def centres(xyz: Tensor) -> Tensor:
        return farthest_point_sample(xyz, 4)

    first, second = torch.randn(2, 1, 16, 3, generator=torch.Generator().manual_seed(3)).unbind()
    traced = torch.jit.trace(centres, first, check_trace=False)
    for xyz in (first, second):
        assert torch.equal(traced(xyz), centres(xyz))
