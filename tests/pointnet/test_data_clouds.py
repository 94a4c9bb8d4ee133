"""Clouds in memory: what is refused, how clouds are normalised and split, and packs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.named import names, naming

from pointnet.data import Clouds, Dataset, load_data, write_pack
from pointnet.data.clouds import normalise, split
from pointnet.errors import DataError

CLASSES = ("cup", "hat")


def random_points(clouds: int, points: int = 8, *, normals: bool = False, seed: int = 0) -> np.ndarray:
    """Raw clouds, far from the origin; normals of unit length."""
    random = np.random.default_rng(seed)
    xyz = random.normal(3, 2, (clouds, points, 3))
    if not normals:
        return xyz
    normal = random.normal(size=xyz.shape)
    return np.concatenate([xyz, normal / np.linalg.norm(normal, axis=2, keepdims=True)], axis=2)


def some_clouds(per_class: int = 3, *, normals: bool = False, seed: int = 0) -> Clouds:
    points = normalise(random_points(2 * per_class, normals=normals, seed=seed), str)
    return Clouds(points, np.repeat(np.arange(2), per_class), CLASSES, "made")


def some_dataset(*, normals: bool = False) -> Dataset:
    return Dataset(some_clouds(normals=normals), some_clouds(2, normals=normals, seed=1), "made")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": np.zeros((2, 4, 3))}, "points float64 2 4 3 float32"),
        ({"points": np.zeros((2, 4, 5), np.float32)}, "2 4 5 float32"),
        ({"points": np.zeros((2, 0, 3), np.float32)}, "2 0 3"),
        ({"labels": np.array([0, 2])}, "2 1 0"),
        ({"labels": np.array([-1, 0])}, "-1 0"),
        ({"labels": np.array([0, 1, 1])}, "labels int64 3 2"),
        ({"labels": np.array([0.0, 1.0])}, "labels float64 2"),
        ({"classes": ("cup", "cup")}, "class"),
        ({"points": np.full((2, 4, 3), np.nan, np.float32)}, "a coordinate is not finite"),
    ],
    ids=["type", "columns", "empty", "label", "negative", "lengths", "float labels", "names", "nan"],
)
def test_clouds_refuse(changes: dict[str, Any], message: str) -> None:
    right = {
        "points": np.zeros((2, 4, 3), np.float32),
        "labels": np.array([0, 1]),
        "classes": CLASSES,
        "source": "made",
    }
    Clouds(**right)
    with pytest.raises(DataError) as caught:
        Clouds(**{**right, **changes})
    assert names(caught.value, message)
    assert str(caught.value).startswith("made: ")


def test_a_dataset_has_every_class_in_both_splits() -> None:
    whole = some_clouds()
    cups = Clouds(whole.points[:3], whole.labels[:3], CLASSES, "made")
    with pytest.raises(DataError, match=naming("hat")):
        Dataset(whole, cups, "made")
    with pytest.raises(DataError, match=naming("hat")):
        Dataset(cups, whole, "made")


def test_splits_must_fit_each_other() -> None:
    whole = some_clouds()
    with pytest.raises(DataError, match=naming("training cloud 8 3 6")):
        Dataset(whole, some_clouds(normals=True), "made")
    renamed = Clouds(whole.points, whole.labels, ("cup", "cap"), "made")
    with pytest.raises(DataError, match=naming("splits")):
        Dataset(whole, renamed, "made")


def test_digest_depends_on_points_labels_and_classes_only() -> None:
    clouds = some_clouds()
    points, labels = clouds.points.copy(), clouds.labels.copy()
    points[2, 3, 1] += 1e-6
    labels[0] = 1
    others = [
        Clouds(points, clouds.labels, CLASSES, "made"),
        Clouds(clouds.points, labels, CLASSES, "made"),
        Clouds(clouds.points, clouds.labels, ("cup", "cap"), "made"),
        Clouds(clouds.points.reshape(6, 4, 6), clouds.labels, CLASSES, "made"),
    ]
    assert Clouds(clouds.points.copy(), clouds.labels, CLASSES, "elsewhere").digest() == clouds.digest()
    assert len({clouds.digest(), *(other.digest() for other in others)}) == 5


@settings(max_examples=50, deadline=None)
@given(
    points=hnp.arrays(
        np.float64, st.tuples(st.integers(1, 3), st.integers(2, 6), st.just(3)), elements=st.floats(-1e6, 1e6)
    )
)
def test_normalised_clouds_are_centred_in_the_unit_sphere_and_stay_so(points: np.ndarray) -> None:
    radii = np.array([np.linalg.norm(cloud - cloud.mean(axis=0), axis=1).max() for cloud in points])
    away = np.array([np.abs(cloud.mean(axis=0)).max() for cloud in points])
    if any((cloud == cloud[0]).all() for cloud in points) or (radii <= np.maximum(1e-150, 1e-9 * away)).any():
        with pytest.raises(DataError, match=r"all points are equal|too close to be scaled"):
            normalise(points, str)
        return
    result = normalise(points, str)
    assert result.dtype == np.float32
    assert np.linalg.norm(result.astype(float), axis=2).max(axis=1) == pytest.approx(1, abs=1e-6)
    assert np.abs(result.astype(float).mean(axis=1)).max() < 1e-6
    assert np.array_equal(normalise(result, str), result)


def test_normalising_keeps_the_form_and_the_normals() -> None:
    raw = random_points(4, normals=True)
    result = normalise(raw, str).astype(np.float64)
    for before, after in zip(raw, result, strict=True):
        near, far = (
            np.linalg.norm(cloud[:, None, :3] - cloud[None, :, :3], axis=2) for cloud in (before, after)
        )
        np.testing.assert_allclose(far / far.max(), near / near.max(), atol=1e-6)
    np.testing.assert_allclose(result[..., 3:], raw[..., 3:], atol=1e-7)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: x.__setitem__((1, 2, 0), np.nan), "a number is not finite"),
        (lambda x: x.__setitem__((1, 2, 5), np.inf), "a number is not finite"),
        (lambda x: x.__setitem__((1, slice(None), slice(3)), 0.1), "points"),
        (lambda x: x.__setitem__((1, slice(2), 0), [1e308, -1e308]), "too large or too close"),
        (lambda x: x.__setitem__((1, slice(None), slice(3)), 1e-200 * x[1, :, :3]), "too large or too close"),
        (lambda x: x.__setitem__((1, ..., 0), 1e12 + x[1, :, 0]), "too large or too close"),
        (lambda x: x.__setitem__((1, 2, slice(3, 6)), 0), "4 6"),
        (lambda x: x.__setitem__((1, 2, slice(3, 6)), (255, 0, 0)), "4 6"),
    ],
    ids=["nan", "infinite normal", "one place", "huge", "tiny", "far", "no normal", "colours"],
)
def test_normalising_names_the_cloud_it_refuses(spoil: Any, message: str) -> None:
    raw = random_points(3, normals=True)
    normalise(raw, str)
    spoil(raw)
    with pytest.raises(DataError, match=naming(f"1 {message}")):
        normalise(raw, lambda index: f"cloud {index}")


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(2, 30), min_size=2, max_size=2),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 5),
)
def test_a_split_takes_its_share_of_each_class_and_loses_nothing(
    counts: list[int], fraction: float, seed: int
) -> None:
    labels = np.repeat(np.arange(2), counts)
    points = normalise(random_points(len(labels), 2), str)
    data = split(Clouds(points, labels, CLASSES, "made"), fraction, seed, "made")
    for label, count in enumerate(counts):
        tested = int((data.test.labels == label).sum())
        assert abs(tested - fraction * count) <= 0.5 or tested in (1, count - 1)
    both = np.concatenate([data.train.points, data.test.points])
    assert sorted(map(bytes, both)) == sorted(map(bytes, points))


def test_a_split_follows_its_seed_and_says_so() -> None:
    clouds = some_clouds(20)
    first, again, other = (split(clouds, 0.25, seed, "made") for seed in (1, 1, 2))
    assert first.digest() == again.digest() != other.digest()
    assert first.test.source == "made, split at random (test fraction 0.25, seed 1)"


def test_a_class_of_one_cloud_cannot_be_split() -> None:
    clouds = some_clouds()
    few = Clouds(clouds.points[:4], clouds.labels[:4], CLASSES, "made")
    with pytest.raises(DataError, match=naming("hat 1")):
        split(few, 0.5, 0, "made")


@pytest.mark.parametrize("normals", [False, True], ids=["xyz", "normals"])
def test_a_pack_gives_back_the_clouds_it_was_made_of(normals: bool, tmp_path: Path) -> None:
    data = some_dataset(normals=normals)
    write_pack(data, tmp_path / "pack.npz")
    assert load_data(tmp_path / "pack.npz", points=8, normals=normals).digest() == data.digest()
    arrays = dict(np.load(tmp_path / "pack.npz"))
    halves = {name: x.astype(np.float16) if name.startswith("x_") else x for name, x in arrays.items()}
    np.savez(tmp_path / "half.npz", **halves)
    half = load_data(tmp_path / "half.npz", points=8, normals=normals)
    np.testing.assert_allclose(half.test.points, data.test.points, atol=2e-3)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["half.npz", "pack.npz"]


def test_a_pack_with_more_points_gives_the_first_and_without_normals_where_not_wanted(tmp_path: Path) -> None:
    data = some_dataset(normals=True)
    write_pack(data, tmp_path / "pack.npz")
    few = load_data(tmp_path / "pack.npz", points=5)
    np.testing.assert_array_equal(few.train.points, normalise(data.train.points[:, :5, :3], str))


def test_a_pack_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pack.npz"
    write_pack(some_dataset(), path)
    before = path.read_bytes()

    def break_off(file: Any, **arrays: Any) -> None:
        file.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", break_off)
    with pytest.raises(KeyboardInterrupt):
        write_pack(some_dataset(normals=True), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_pack_needs_its_ending_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the name of a pack ends in \.npz"):
        write_pack(some_dataset(), tmp_path / "pack.npy")
    with pytest.raises(DataError, match="there is no folder"):
        write_pack(some_dataset(), tmp_path / "missing" / "pack.npz")


def test_a_pack_without_a_split_is_split(tmp_path: Path) -> None:
    clouds = some_clouds(10)
    np.savez(tmp_path / "p.npz", x=clouds.points, y=clouds.labels.astype(np.uint8)[:, None], classes=CLASSES)
    data = load_data(tmp_path / "p.npz", points=8, seed=3, test_fraction=0.2)
    assert (len(data.train), len(data.test)) == (16, 4)
    assert data.digest() == split(clouds, 0.2, 3, "p").digest()
    assert "split at random (test fraction 0.2, seed 3)" in data.train.source


X, Y = random_points(4).astype(np.float32), np.array([0, 0, 1, 1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": None}, "classes"),
        ({"y": None, "labels": Y}, "y"),
        ({"x": None, "x_train": X, "y_train": Y}, "x_test"),
        ({"x": X[0]}, "float32 (8, 3)"),
        ({"x": np.float32(1)}, "float32"),
        ({"x": X.astype(int)}, "int64"),
        ({"x": X[..., :2]}, "point 2 3"),
        ({"x": X[:, :7]}, "7 8"),
        ({"x": np.where(X[2, 1, 1] == X, np.nan, X)}, "2"),
        ({"x": X * [[[1]], [[0]], [[1]], [[1]]]}, "1 points"),
        ({"y": Y.astype(float)}, "float64 4"),
        ({"y": Y[:3]}, "int64 3 4"),
        ({"y": Y + 1}, "2"),
        ({"classes": np.arange(2)}, "int64"),
        ({"classes": np.array("cup")}, "<U3"),
        ({"classes": ("cup", "hat", "cap")}, "cap 0"),
        ({"x": np.array([X[0], X[1, :5], X[2], X[3]], dtype=object)}, "x Python"),
    ],
)
def test_spoiled_packs_are_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    arrays = {"x": X, "y": Y, "classes": np.array(CLASSES)}
    np.savez(tmp_path / "pack.npz", **arrays)
    assert len(load_data(tmp_path / "pack.npz", points=8).train) == 2
    arrays = {key: value for key, value in {**arrays, **changes}.items() if value is not None}
    np.savez(tmp_path / "pack.npz", **arrays)
    with pytest.raises(DataError, match=naming(message)):
        load_data(tmp_path / "pack.npz", points=8)


@settings(max_examples=50, deadline=None)
@given(at=st.floats(0, 0.99))
def test_a_pack_cut_off_anywhere_is_refused(at: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cut") / "pack.npz"
    write_pack(some_dataset(), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(at * len(content))])
    with pytest.raises(DataError, match=naming("pack.npz")):
        load_data(path, points=8)


def test_normals_that_are_not_there_are_missed(tmp_path: Path) -> None:
    write_pack(some_dataset(), tmp_path / "pack.npz")
    with pytest.raises(DataError, match="has no normals; only x, y, z are there"):
        load_data(tmp_path / "pack.npz", points=8, normals=True)
