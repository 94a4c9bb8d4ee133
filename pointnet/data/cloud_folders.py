"""Data sets of many files: ModelNet as text with normals, and a folder of clouds or meshes per class."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pointnet.data.cloud_files import SUFFIXES, read_cloud, read_first, read_names
from pointnet.data.clouds import SPLITS, Clouds, Dataset, Points, split
from pointnet.errors import DataError
from sparsim.errors import near
from sparsim.fileio.reading import reading

Progress = Callable[[int, int], None]  # (files read, total files)
MODELNETS = (10, 40)


class _File(NamedTuple):
    path: Path
    label: int


def is_modelnet_text(folder: Path) -> bool:
    """Return whether a folder has one of the lists of the ModelNet40 text layout."""
    return any((folder / f"modelnet{size}_train.txt").is_file() for size in MODELNETS)


def read_modelnet_text(
    folder: Path, *, points: int, normals: bool, classes: int | None, progress: Progress
) -> Dataset:
    """ModelNet as CLASS/CLASS_0001.txt with lines `x,y,z,nx,ny,nz`; lists for 10 or 40 `classes` name them.

    The first `points` lines of each file are taken, as the original study did: they are in random order.
    """
    present = [size for size in MODELNETS if (folder / f"modelnet{size}_train.txt").is_file()]
    if classes is None and len(present) > 1:
        raise DataError(f"{folder}: has lists for 10 and for 40 classes; say which (classes = 10 or 40)")
    chosen = classes or present[0]
    if chosen not in present:
        sizes = " and ".join(map(str, present))
        raise DataError(
            f"{folder}: has no lists for {chosen} classes (modelnet{chosen}_train.txt), only for {sizes}"
        )
    names = tuple(name for _, name in read_names(folder / f"modelnet{chosen}_shape_names.txt"))
    with reading(folder, "ModelNet as text", DataError):
        files = [_listed_files(folder, folder / f"modelnet{chosen}_{part}.txt", names) for part in SPLITS]

    def read(file: _File) -> Points:
        return read_first(file.path, points=points, normals=normals)

    train, test = _read_all(files, names, str(folder), read, progress)
    return Dataset(train, test, f"ModelNet{chosen}")


def _listed_files(folder: Path, listing: Path, classes: tuple[str, ...]) -> list[_File]:
    files = []
    for number, name in read_names(listing):
        label = name.rpartition("_")[0]
        if label not in classes:
            raise DataError(f"{listing}: line {number}: unknown class '{label}'", hint=near(label, classes))
        path = folder / label / f"{name}.txt"
        if not path.is_file():
            raise DataError(f"{listing}: line {number}: there is no file {path}")
        files.append(_File(path, classes.index(label)))
    return files


def is_class_folders(folder: Path) -> bool:
    """Return whether some folder in `folder` contains clouds, or a split with clouds."""
    places = _folders_in(folder)
    return any(_files_in(place / part) for place in places for part in ("", *SPLITS))


def read_class_folders(
    folder: Path, *, points: int, normals: bool, seed: int, test_fraction: float, progress: Progress
) -> Dataset:
    """CLASS/{train,test}/FILE, or CLASS/FILE without a split, which is then drawn with `seed`.

    Files are xyz, txt, npy, npz, pcd or off; see `read_cloud` for the points taken. Every folder is a class.
    """
    with reading(folder, "folders of clouds", DataError):
        classes, files = _class_files(folder)

    def read(file: _File) -> Points:
        key = file.path.relative_to(folder).as_posix()
        return read_cloud(file.path, points=points, normals=normals, key=key, seed=seed)

    read_parts = _read_all(files, classes, str(folder), read, progress)
    if len(files) == 1:
        return split(read_parts[0], test_fraction, seed, folder.name)
    train, test = read_parts
    return Dataset(train, test, folder.name)


def _class_files(folder: Path) -> tuple[tuple[str, ...], list[list[_File]]]:
    """Return the classes, and the files for training and for testing, or one list of all files without a
    split.
    """
    places = _folders_in(folder)
    for place in places:
        if not any(place.iterdir()):
            raise DataError(f"{place}: is empty; every folder is a class")
    has_split = [any((place / part).is_dir() for part in SPLITS) for place in places]
    if any(has_split) and not all(has_split):
        parted, whole = places[has_split.index(True)], places[has_split.index(False)]
        raise DataError(f"{folder}: {parted.name} is split into train and test, {whole.name} is not")
    parts = SPLITS if has_split[0] else ("",)
    files = [
        [_File(path, label) for label, place in enumerate(places) for path in _some_files(place / part)]
        for part in parts
    ]
    return tuple(place.name for place in places), files


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] not in "._")


def _files_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix.lower() in SUFFIXES)


def _some_files(folder: Path) -> list[Path]:
    files = _files_in(folder)
    if not files:
        raise DataError(f"{folder}: has no clouds; looked for {', '.join(SUFFIXES)}")
    return files


def _read_all(
    files: list[list[_File]],
    classes: tuple[str, ...],
    source: str,
    read: Callable[[_File], Points],
    progress: Progress,
) -> list[Clouds]:
    """Read the clouds of each of several lists of files; `progress` counts over all of them."""
    total = sum(map(len, files))
    done = count(1)

    def read_one(file: _File) -> Points:
        points = read(file)
        progress(next(done), total)
        return points

    return [
        Clouds(
            np.stack([read_one(file) for file in part]),
            np.array([f.label for f in part], dtype=np.int64),
            classes,
            source,
        )
        for part in files
    ]
