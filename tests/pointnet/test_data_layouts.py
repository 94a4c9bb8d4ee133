"""Folders and packs of whole data sets: recognised, read, and refused where something is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.named import naming

from pointnet.data import Dataset, load_data, write_pack
from pointnet.data.clouds import normalise
from pointnet.errors import DataError

Array = np.ndarray
OFF = "OFF5 4 0\n0 0 0\n1 0 0\n1 {depth} 0\n0 {depth} 0\n.5 .5 2\n3 0 1 4\n3 1 2 4\n3 2 3 4\n3 3 0 4\n"
POINTS = 6


def a_cloud(seed: int, points: int = POINTS + 2) -> Array:
    """Points and unit normals (points, 6)."""
    random = np.random.default_rng(seed)
    xyz, normal = random.normal(size=(2, points, 3))
    return np.concatenate([xyz, normal / np.linalg.norm(normal, axis=1, keepdims=True)], axis=1)


def expected(seeds: list[int], channels: int = 3) -> Array:
    """The first points of the clouds with these seeds, normalised."""
    return normalise(np.stack([a_cloud(seed)[:POINTS, :channels] for seed in seeds]), str)


def write_text(path: Path, seed: int, between: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [between.join(map(repr, row)) for row in a_cloud(seed).tolist()]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture
def modelnet(tmp_path: Path) -> Path:
    """ModelNet as text: clouds 1 to 3 for training, 4 and 5 for testing; 2 and 4 are chairs."""
    lists = {
        "shape_names": "chair\nnight_stand\n",
        "train": "night_stand_0001\nchair_0002\nnight_stand_0003\n",
        "test": "chair_0004\nnight_stand_0005\n\n",
    }
    for name, content in lists.items():
        (tmp_path / f"modelnet10_{name}.txt").write_text(content)
    for label, number in (
        ("night_stand", 1),
        ("chair", 2),
        ("night_stand", 3),
        ("chair", 4),
        ("night_stand", 5),
    ):
        write_text(tmp_path / label / f"{label}_{number:04}.txt", number)
    return tmp_path


@pytest.mark.parametrize(("normals", "channels"), [(False, 3), (True, 6)])
def test_modelnet_text_takes_the_first_points_of_the_listed_files(
    normals: bool, channels: int, modelnet: Path
) -> None:
    (modelnet / "chair" / "chair_0009.txt").write_text("not listed")
    data = load_data(modelnet, points=POINTS, normals=normals)
    assert data.classes == ("chair", "night_stand")
    assert data.train.labels.tolist() == [1, 0, 1]
    assert data.test.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(data.train.points, expected([1, 2, 3], channels))
    np.testing.assert_array_equal(data.test.points, expected([4, 5], channels))
    assert data.name == "ModelNet10"


def test_of_two_lists_of_modelnet_the_classes_pick_one(modelnet: Path) -> None:
    for name, content in {"shape_names": "chair\n", "train": "chair_0004\n", "test": "chair_0002\n"}.items():
        (modelnet / f"modelnet40_{name}.txt").write_text(content)
    with pytest.raises(DataError, match=naming("10 40")):
        load_data(modelnet, points=POINTS)
    with pytest.raises(DataError, match=naming("12 10 40")):
        load_data(modelnet, points=POINTS, classes=12)
    with pytest.raises(DataError, match=naming("1 40")):  # the list is far too short
        load_data(modelnet, points=POINTS, classes=40)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("modelnet10_train.txt", "chiar_0002\n", "1 chiar chair"),
        ("modelnet10_train.txt", "\nchair\n", "2"),
        ("modelnet10_train.txt", "chair_0002\nchair_0007\n", "2 chair_0007.txt"),
        ("modelnet10_train.txt", "chair_0002\n", "night_stand"),
        ("modelnet10_test.txt", "", "is empty"),
        ("modelnet10_test.txt", None, "no such file"),
        ("modelnet10_shape_names.txt", None, "no such file"),
        ("modelnet10_shape_names.txt", "chair\nnight_stand\nchair\n", "class"),
        ("chair/chair_0002.txt", "", "is empty"),
        ("chair/chair_0002.txt", "0,0,0,1,0,0\n0,0,1,1,0\n", "2 5"),
        ("chair/chair_0002.txt", "0,0,0,1,0,0\n" * 5, "5 6"),
        ("chair/chair_0002.txt", "0,0,0,1,0,0\n" * 6, "points"),
        ("chair/chair_0002.txt", "0,0,0,1,0,0\n0,0,0,nan,0,0\n", "2 nan"),
    ],
)
def test_spoiled_modelnet_text_is_refused(
    file: str, content: str | None, message: str, modelnet: Path
) -> None:
    if content is None:
        (modelnet / file).unlink()
    else:
        (modelnet / file).write_text(content)
    with pytest.raises(DataError, match=naming(message)):
        load_data(modelnet, points=POINTS)


def off_tree(root: Path) -> None:
    files = (("bath", "train"), ("bath", "test"), ("desk", "train"), ("desk", "train"), ("desk", "test"))
    for number, (label, part) in enumerate(files, 1):
        (root / label / part).mkdir(parents=True, exist_ok=True)
        (root / label / part / f"{label}_{number}.off").write_text(OFF.format(depth=number))


def test_trees_of_meshes_are_sampled_the_same_for_one_seed(tmp_path: Path) -> None:
    off_tree(tmp_path / "a")
    off_tree(tmp_path / "moved" / "a")
    (tmp_path / "a" / "README").write_text("no mesh")
    (tmp_path / "a" / "desk" / "train" / "notes.md").write_text("no mesh")
    data, moved, other = (
        load_data(tmp_path / where, points=50, normals=True, seed=seed)
        for where, seed in (("a", 0), ("moved/a", 0), ("a", 1))
    )
    assert data.classes == ("bath", "desk")
    assert data.train.labels.tolist() == [0, 1, 1]
    assert data.test.labels.tolist() == [0, 1]
    assert data.digest() == moved.digest() != other.digest()
    assert data.train.normals


def test_progress_counts_the_files(tmp_path: Path) -> None:
    off_tree(tmp_path)
    seen: list[tuple[int, int]] = []
    load_data(tmp_path, points=8, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 5) for done in range(1, 6)]


@pytest.mark.parametrize("suffix", ["xyz", "txt", "npy", "npz", "pcd"])
def test_folders_without_a_split_are_split_by_seed(suffix: str, tmp_path: Path) -> None:
    from pypcd4 import PointCloud

    writers: dict[str, Callable[[Path, Array], None]] = {
        "xyz": lambda path, cloud: np.savetxt(path, cloud),
        "txt": lambda path, cloud: np.savetxt(path, cloud, delimiter=","),
        "npy": np.save,
        "npz": lambda path, cloud: np.savez(path, points=cloud),
        "pcd": lambda path, cloud: PointCloud.from_xyz_points(cloud.astype(np.float32)).save(path),
    }
    for label in ("cup", "hat"):
        (tmp_path / label).mkdir()
        for number in range(5):
            writers[suffix](tmp_path / label / f"{number}.{suffix}", a_cloud(number)[:, :3])
    data, again, other = (
        load_data(tmp_path, points=POINTS, test_fraction=0.4, seed=seed) for seed in (0, 0, 1)
    )
    assert data.digest() == again.digest() != other.digest()
    assert np.bincount(data.train.labels).tolist() == [3, 3]
    assert np.bincount(data.test.labels).tolist() == [2, 2]
    assert data.train.source == f"{tmp_path}, split at random (test fraction 0.4, seed 0)"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "lamp").mkdir(), "lamp: is empty; every folder is a class"),
        (
            lambda root: (root / "lamp" / "train").mkdir(parents=True),
            "lamp/train",
        ),
        (lambda root: (root / "desk" / "test" / "desk_5.off").unlink(), "desk/test"),
        (
            lambda root: write_text(root / "lamp" / "a.txt", 1),
            "bath",
        ),
        (lambda root: write_text(root / "desk" / "test" / "a.xyz", 1), "a.xyz 8 20"),
    ],
    ids=["empty class", "empty split", "empty test", "mixed", "few points"],
)
def test_spoiled_trees_are_refused(spoil: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    off_tree(tmp_path)
    load_data(tmp_path, points=20)
    spoil(tmp_path)
    with pytest.raises(DataError, match=naming(message)):
        load_data(tmp_path, points=20)


def write_h5(path: Path, seeds: list[int], labels: list[int], **changes: Any) -> None:
    clouds = np.stack([a_cloud(seed) for seed in seeds]).astype(np.float32)
    arrays = {
        "data": clouds[..., :3],
        "normal": clouds[..., 3:],
        "label": np.array(labels, dtype=np.uint8)[:, None],
        **changes,
    }
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            if array is not None:
                file[name] = array


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    write_h5(tmp_path / "ply_data_train0.h5", [1, 2], [0, 1])
    write_h5(tmp_path / "ply_data_train1.h5", [3], [1])
    write_h5(tmp_path / "ply_data_test0.h5", [4, 5], [1, 0])
    (tmp_path / "shape_names.txt").write_text("cup\nhat\n")
    return tmp_path


@pytest.mark.parametrize(("normals", "channels"), [(False, 3), (True, 6)])
def test_hdf5_packs_give_their_first_points(normals: bool, channels: int, hdf5: Path) -> None:
    data = load_data(hdf5, points=POINTS, normals=normals)
    assert data.classes == ("cup", "hat")
    assert data.train.labels.tolist() == [0, 1, 1]
    assert data.test.labels.tolist() == [1, 0]
    np.testing.assert_allclose(data.train.points, expected([1, 2, 3], channels), atol=2e-6)
    np.testing.assert_allclose(data.test.points, expected([4, 5], channels), atol=2e-6)


def test_one_hdf5_file_is_split_and_its_classes_are_numbers_without_names(tmp_path: Path) -> None:
    write_h5(tmp_path / "objects.h5", list(range(8)), [0, 1] * 4)
    data = load_data(tmp_path / "objects.h5", points=POINTS, test_fraction=0.25)
    assert data.classes == ("0", "1")
    assert (len(data.train), len(data.test)) == (6, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": None}, "label"),
        ({"normal": None}, "normal"),
        ({"data": np.zeros((2, 8, 4))}, "data 2 8 4 3"),
        ({"data": np.zeros((2, 8))}, "data 2 8"),
        ({"normal": np.zeros((2, 7, 3))}, "normal 2 7 3"),
        ({"data": np.zeros((2, 5, 3)), "normal": np.zeros((2, 5, 3))}, "5 6"),
        ({"data": np.zeros((2, 8, 3))}, "0 points"),
        ({"normal": np.zeros((2, 8, 3))}, "0 4 6"),
        ({"label": np.array([0, 2])}, "2 1"),
        ({"label": np.array([0, -1])}, "-1 1"),
        ({"label": np.array([0.0, 1.0])}, "float64"),
        ({"label": np.array([0])}, "int64 1 2"),
    ],
)
def test_spoiled_hdf5_is_refused(changes: dict[str, Any], message: str, hdf5: Path) -> None:
    write_h5(hdf5 / "ply_data_train0.h5", [1, 2], [0, 1], **changes)
    with pytest.raises(DataError, match=naming(f"ply_data_train0.h5 {message}")):
        load_data(hdf5, points=POINTS, normals=True)


def test_hdf5_that_is_none_or_half_there_is_refused(hdf5: Path) -> None:
    (hdf5 / "ply_data_train0.h5").write_bytes(b"no such format")
    with pytest.raises(DataError, match=naming("ply_data_train0.h5 HDF5")):
        load_data(hdf5, points=POINTS)
    (hdf5 / "ply_data_test0.h5").unlink()
    with pytest.raises(DataError, match=naming("train test ply_data_train0.h5")):
        load_data(hdf5, points=POINTS)
    for name in ("train.h5", "test.h5", "train_and_test.h5"):
        (hdf5 / name).touch()
    with pytest.raises(DataError, match=naming("train_and_test.h5")):
        load_data(hdf5, points=POINTS)


def test_what_holds_no_data_set_is_told_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=naming("modelnet10_train.txt")):
        load_data(tmp_path)
    (tmp_path / "data.csv").write_text("1,2,3")
    with pytest.raises(DataError, match=naming(".csv .h5 .hdf5")):
        load_data(tmp_path / "data.csv")
    with pytest.raises(DataError, match=naming("shape shapes")):
        load_data("shape")
    with pytest.raises(DataError, match=naming("daat.csv data.csv")):
        load_data(tmp_path / "daat.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": 1}, "points 1 2"),
        ({"points": 64.0}, "points 64.0"),
        ({"seed": -1}, "seed -1 0"),
        ({"test_fraction": 1.0}, "1.0 0 1"),
        ({"test_fraction": float("nan")}, "test fraction nan"),
        ({"classes": 40}, "10 40"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=naming(message)):
        load_data("shapes", **{"points": 16, **arguments})


def test_every_layout_becomes_a_pack_that_gives_the_same_clouds(modelnet: Path, tmp_path: Path) -> None:
    data: Dataset = load_data(modelnet, points=POINTS, normals=True)
    write_pack(data, tmp_path / "pack.npz")
    assert load_data(tmp_path / "pack.npz", points=POINTS, normals=True).digest() == data.digest()
