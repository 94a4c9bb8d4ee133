"""The procedural set: seeded, balanced, normalised, and its surfaces are what they claim to be."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from support.named import naming

from pointnet.data import Clouds, Dataset, load_data, shapes
from pointnet.data.shapes import BOX, CLASSES, FRUSTUM, OCCLUDED_POINTS, Array, Parts, _sample, _seen
from pointnet.errors import DataError


@pytest.fixture(scope="module")
def data() -> Dataset:
    return shapes(train_per_class=12, test_per_class=5, points=64, seed=3, normals=True)


def sampled(
    kind: float, origin: tuple[float, ...], size: tuple[float, ...], points: int
) -> tuple[Array, Array]:
    """Points and normals (points, 3) of one part."""
    parts = Parts(np.array([kind]), np.array([[origin]], dtype=float), np.array([[size]], dtype=float))
    xyz, normal = _sample(parts, np.random.default_rng(0), points)
    return xyz[0], normal[0] / np.linalg.norm(normal[0], axis=1, keepdims=True)


def test_equal_seeds_give_equal_clouds() -> None:
    first, again, other = (shapes(2, 2, 32, seed).digest() for seed in (1, 1, 2))
    assert first == again != other


def test_splits_and_classes_differ(data: Dataset) -> None:
    assert len(np.unique(np.concatenate([data.train.points, data.test.points]), axis=0)) == 170


def test_labels_are_balanced(data: Dataset) -> None:
    assert data.train.classes == CLASSES == tuple(sorted(CLASSES))
    assert np.bincount(data.train.labels).tolist() == [12] * 10
    assert np.bincount(data.test.labels).tolist() == [5] * 10


@pytest.mark.parametrize("split", ["train", "test"])
def test_clouds_are_centred_in_the_unit_sphere_with_unit_normals(data: Dataset, split: str) -> None:
    clouds: Clouds = getattr(data, split)
    assert clouds.points.dtype == np.float32
    assert clouds.points.shape[1:] == (64, 6)
    radius = np.linalg.norm(clouds.points[..., :3], axis=2)
    assert radius.max(axis=1) == pytest.approx(1, abs=1e-6)
    assert np.abs(clouds.points[..., :3].mean(axis=1)).max() < 1e-6
    assert np.linalg.norm(clouds.points[..., 3:], axis=2) == pytest.approx(1, abs=1e-6)


def test_normals_do_not_change_the_points() -> None:
    plain, with_normals = (shapes(2, 2, 32, normals=normals).test.points for normals in (False, True))
    np.testing.assert_array_equal(plain, with_normals[..., :3])


def test_a_class_does_not_depend_on_how_many_clouds_others_have() -> None:
    few, many = shapes(2, 1, 32), shapes(2, 4, 32)
    np.testing.assert_array_equal(few.train.points, many.train.points)


def test_a_box_is_sampled_by_area_with_normals_outwards() -> None:
    edges = np.array([1.0, 2.0, 4.0])
    xyz, normal = sampled(BOX, (5, -3, 1), tuple(edges), 20_000)
    local = (xyz - (5, -3, 1)) / (edges / 2)
    assert np.abs(local).max(axis=1) == pytest.approx(1)
    np.testing.assert_allclose((local * normal).sum(axis=1), 1)  # on the face that the normal belongs to
    areas = np.array([8, 4, 2])
    for axis in range(3):
        for side in (-1, 1):
            share = (normal[:, axis] == side).mean()
            assert share == pytest.approx(areas[axis] / areas.sum() / 2, abs=0.015)
        across = np.delete(local[np.abs(normal[:, axis]) == 1], axis, axis=1)
        assert np.abs(across.mean(axis=0)).max() < 0.05
        assert across.var(axis=0) == pytest.approx(1 / 3, abs=0.03)  # uniform on (-1, 1)
        assert abs(np.corrcoef(across.T)[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("low", "high", "height"),
    [(0.5, 0.5, 2.0), (1.0, 0.25, 1.0), (0.0, 1.0, 1.0), (1.0, 0.0, 0.0)],
    ids=["tube", "frustum", "funnel", "disc"],
)
def test_a_frustum_is_sampled_by_area_with_normals_across(low: float, high: float, height: float) -> None:
    xyz, normal = sampled(FRUSTUM, (1, 2, 3), (low, high, height), 20_000)
    x, y, z = (xyz - (1, 2, 3)).T
    radius = np.hypot(x, y)
    if height:
        np.testing.assert_allclose(radius, low + (high - low) * z / height, atol=1e-9)
        outwards = np.stack([x / radius, y / radius], axis=1)
        assert ((outwards * normal[:, :2]).sum(axis=1) > 0).all()
    else:
        np.testing.assert_allclose(z, 0, atol=1e-12)
        np.testing.assert_allclose(normal, np.tile([0, 0, 1], (len(xyz), 1)), atol=1e-12)
    slope = np.stack([(high - low) * x / radius, (high - low) * y / radius, np.full_like(x, height)], axis=1)
    np.testing.assert_allclose((slope * normal).sum(axis=1), 0, atol=1e-9)
    inner = (low + high) / 2  # half-way up: the area below is that of the lower half
    below = radius < inner if high > low else radius > inner if low > high else z < height / 2
    assert below.mean() == pytest.approx((low + inner) / (2 * (low + high) / 2) / 2, abs=0.015)


def test_parts_are_sampled_by_their_areas_and_those_of_size_zero_never() -> None:
    origin = np.array([[[0, 0, 0], [10, 0, 0], [20, 0, 0], [30, 0, 0]]], dtype=float)
    size = np.array([[[0, 0, 0], [1, 1, 1], [0.5, 0.5, 3 / np.pi], [0, 0, 0]]], dtype=float)
    parts = Parts(np.array([BOX, BOX, FRUSTUM, FRUSTUM]), origin, size)
    xyz, _ = _sample(parts, np.random.default_rng(1), 20_000)  # areas 0, 6, 3, 0
    nearest = np.round(xyz[0, :, 0] / 10)
    assert [(nearest == k).mean() for k in range(4)] == pytest.approx([0, 2 / 3, 1 / 3, 0], abs=0.01)


def test_hidden_points_lie_beyond_a_plane_and_are_replaced_by_seen_ones() -> None:
    xyz = np.random.default_rng(0).normal(size=(200, 40, 3))
    seen = _seen(xyz, np.random.default_rng(1))
    whole = (np.sort(seen, axis=1) == np.arange(40)).all(axis=1)
    assert 0.35 < whole.mean() < 0.65
    for cloud, indices in zip(xyz[~whole], seen[~whole], strict=True):
        kept = np.unique(indices)
        assert len(indices) == 40
        assert len(kept) == 40 - int(OCCLUDED_POINTS * 40)
        gone = np.setdiff1d(np.arange(40), kept)
        assert _separable(cloud[kept], cloud[gone])


def _separable(near: Array, far: Array) -> bool:
    """Whether a plane has all of `near` on one side and `far` on the other: perceptron, which then ends."""
    points = np.concatenate([np.c_[near, np.ones(len(near))], -np.c_[far, np.ones(len(far))]])
    plane = np.zeros(4)
    for _ in range(20_000):
        wrong = points @ plane <= 0
        if not wrong.any():
            return True
        plane = plane + points[np.argmin(points @ plane)]
    return False


def test_normals_are_across_the_surface_of_whole_clean_clouds(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a point to its nearest neighbour is along the surface, at edges aside."""
    module = sys.modules["pointnet.data.shapes"]  # as an attribute, the name is the function's
    monkeypatch.setattr(module, "NOISE", 0.0)
    monkeypatch.setattr(module, "OCCLUDED_CLOUDS", 0.0)
    for cloud in shapes(2, 1, 800, normals=True).train.points.astype(np.float64):
        offsets = cloud[None, :, :3] - cloud[:, None, :3]
        distances = np.linalg.norm(offsets, axis=2)
        np.fill_diagonal(distances, np.inf)
        nearest = distances.argmin(axis=1)
        along = offsets[np.arange(800), nearest] / distances.min(axis=1)[:, None]
        assert np.median(np.abs((along * cloud[:, 3:]).sum(axis=1))) < 0.05


def test_load_data_makes_them_by_name() -> None:
    loaded = load_data("shapes", points=16, seed=4, normals=True)
    assert loaded.digest() == shapes(points=16, seed=4, normals=True).digest()
    assert loaded.train.source == "procedural shapes (seed 4)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train_per_class": 0}, "0 1"),
        ({"test_per_class": 2.5}, "2.5"),
        ({"points": 1}, "1 2"),
        ({"points": True}, "True"),
        ({"seed": -1}, "-1"),
    ],
)
def test_shapes_refuse(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=naming(message)):
        shapes(**arguments)
