"""HDF5 packs: files of `data` (n, N, 3), `label` (n,) or (n, 1) and perhaps `normal` (n, N, 3).

So are ModelNet40 (ply_data_train0.h5 ..., ply_data_test0.h5 ..., shape_names.txt) and ScanObjectNN
(training_objectdataset.h5, test_objectdataset.h5) distributed. The first points are taken: they are in random
order. Without shape_names.txt the classes are called by their numbers.
"""

from pathlib import Path
from typing import Any

import numpy as np

from pointnet.data.cloud_files import read_names
from pointnet.data.cloud_packs import labels_from, points_from
from pointnet.data.clouds import XYZ, Clouds, Dataset, Labels, Points, check_labels, split
from pointnet.errors import DataError
from sparsim.errors import require
from sparsim.fileio.reading import DEFLATE_RATIO, check_size, reading

SUFFIXES = (".h5", ".hdf5")
NAMES = "shape_names.txt"


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def read_hdf5(path: Path, *, points: int, normals: bool, seed: int, test_fraction: float) -> Dataset:
    """A folder with files for training and for testing, by their names, or one file, split at random.

    Raises DataError, which names the file and the array.
    """
    if path.is_file():
        (clouds,) = _read([[path]], path.parent / NAMES, str(path), points, normals)
        return split(clouds, test_fraction, seed, path.stem)
    with reading(path, "a folder of HDF5 files", DataError):
        files = files_in(path)
    train = [file for file in files if "train" in file.stem.lower()]
    test = [file for file in files if "test" in file.stem.lower()]
    both = set(train) & set(test)  # otherwise clouds for testing would also be used for training
    if not train or not test or both:
        seen = ", ".join(file.name for file in (sorted(both) or files))
        raise DataError(f"{path}: needs .h5 files with either 'train' or 'test' in their names, has {seen}")
    train_clouds, test_clouds = _read([train, test], path / NAMES, str(path), points, normals)
    return Dataset(train_clouds, test_clouds, path.name)


def _read(parts: list[list[Path]], names: Path, source: str, points: int, normals: bool) -> list[Clouds]:
    stored = [[_arrays(file, points, normals) for file in files] for files in parts]
    if names.is_file():
        classes = tuple(name for _, name in read_names(names))
    else:
        last = max(int(labels.max()) for part in stored for _, labels in part)
        clouds = sum(len(labels) for part in stored for _, labels in part)
        if last >= clouds:  # names are generated only for classes that can have clouds
            raise DataError(f"{source}: a label is {last}, but there are only {clouds} clouds")
        classes = tuple(str(label) for label in range(last + 1))
    for files, arrays in zip(parts, stored, strict=True):
        for file, (_, labels) in zip(files, arrays, strict=True):
            check_labels(labels, len(classes), f"{file}: label")
    return [
        Clouds(np.concatenate([x for x, _ in part]), np.concatenate([y for _, y in part]), classes, source)
        for part in stored
    ]


def _arrays(path: Path, points: int, normals: bool) -> tuple[Points, Labels]:
    """Return the normalised clouds (n, `points`, 3 or 6) and the labels (n,) of one file."""
    h5py = require("h5py", f"reading {path}", "formats")
    columns = ("data", "normal") if normals else ("data",)
    with reading(path, "HDF5", DataError), h5py.File(path, "r") as file:
        for name in (*columns, "label"):
            if not isinstance(file.get(name), h5py.Dataset):
                raise DataError(f"{path}: has no array '{name}'; the arrays are {', '.join(file)}")
            if file[name].shape is None:
                raise DataError(f"{path}: array '{name}' is empty")
        shape = file["data"].shape
        for name in columns:
            if len(shape) != 3 or shape[2] != XYZ or file[name].shape != shape:
                raise DataError(f"{path}: {name} must have shape (clouds, points, 3), got {file[name].shape}")
        for name in (*columns, "label"):
            _check_stored(file[name], f"array '{name}'", path)
        label = file["label"]
        if label.size != shape[0]:
            raise DataError(
                f"{path}: label: must be integers of shape ({shape[0]},), "
                f"got {label.dtype} of shape {label.shape}"
            )
        array = np.concatenate([file[name][:, :points] for name in columns], axis=2)
        labels = np.asarray(label)
    clouds = points_from(array, points, normals, f"{path}: data")
    return clouds, labels_from(labels, len(clouds), f"{path}: label")


def _check_stored(array: Any, what: str, path: Path) -> None:
    """Raise DataError for an array that declares more than is stored of it, as a sparse one does."""
    stored = array.id.get_storage_size()
    check_size(path, what, array.size * array.dtype.itemsize, stored * DEFLATE_RATIO, DataError)
