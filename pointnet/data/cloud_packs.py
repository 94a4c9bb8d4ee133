"""Read and write whole data sets as one .npz file, which loads in seconds where text and meshes take minutes.

The arrays are x_train (n, N, C), y_train (n,), x_test, y_test and classes, or x, y and classes if the set has
no split yet. Points may be stored as float16. If a pack has more points than needed, the first ones are used,
because its points are in random order.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointnet.data.clouds import (
    SPLITS,
    Clouds,
    Dataset,
    Labels,
    Points,
    channels_wanted,
    check_count,
    check_labels,
    normalise,
    split,
)
from pointnet.errors import DataError
from sparsim.fileio.array_files import load_arrays
from sparsim.fileio.reading import reading
from sparsim.fileio.writing import replacing


def check_pack_path(path: Path) -> None:
    """Raise DataError if no pack can be written to this path."""
    if path.suffix != ".npz":
        raise DataError(f"'{path}': the name of a pack ends in .npz")
    if not path.parent.is_dir():
        raise DataError(f"'{path}': there is no folder '{path.parent}'")


def write_pack(dataset: Dataset, path: str | Path) -> None:
    """Write a data set as a pack, completely or not at all. Reading it back gives clouds of the same digest.

    Parameters
    ----------
    dataset : Dataset
        The data set.
    path : str or Path
        Name of the file, which must end in .npz.

    Raises
    ------
    DataError
        If the name does not end in .npz, or if the folder does not exist.
    """
    path = Path(path)
    check_pack_path(path)
    arrays: dict[str, NDArray[Any]] = {"classes": np.array(dataset.classes)}
    for name, clouds in zip(SPLITS, (dataset.train, dataset.test), strict=True):
        arrays[f"x_{name}"] = clouds.points
        arrays[f"y_{name}"] = clouds.labels
    with replacing(path) as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_pack(path: Path, *, points: int, normals: bool, seed: int, test_fraction: float) -> Dataset:
    """Read the clouds of a .npz pack. Raises DataError for an array that is missing or wrong."""
    with reading(path, "a pack", DataError):
        return _dataset(load_arrays(path, DataError), path, points, normals, seed, test_fraction)


def _dataset(
    arrays: NDArray[Any] | dict[str, NDArray[Any]],
    path: Path,
    points: int,
    normals: bool,
    seed: int,
    test_fraction: float,
) -> Dataset:
    if not isinstance(arrays, dict):
        raise DataError(f"{path}: is one array, not a pack of several")
    classes = _classes(_array(arrays, "classes", path), f"{path}: classes")
    if not any(f"x_{name}" in arrays for name in SPLITS):
        return split(_clouds(arrays, "", classes, points, normals, path), test_fraction, seed, path.stem)
    train, test = (_clouds(arrays, f"_{name}", classes, points, normals, path) for name in SPLITS)
    return Dataset(train, test, path.stem)


def _array(arrays: dict[str, NDArray[Any]], key: str, path: Path) -> NDArray[Any]:
    if key not in arrays:
        raise DataError(f"{path}: array '{key}' is missing; the arrays are {', '.join(arrays)}")
    return arrays[key]


def _classes(array: NDArray[Any], where: str) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind not in "US" or not array.size:
        raise DataError(f"{where}: must be a list of names, got {array.dtype} of shape {array.shape}")
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in array.tolist())


def _clouds(
    arrays: dict[str, NDArray[Any]],
    suffix: str,
    classes: tuple[str, ...],
    points: int,
    normals: bool,
    path: Path,
) -> Clouds:
    x, y = (_array(arrays, f"{letter}{suffix}", path) for letter in "xy")
    clouds = points_from(x, points, normals, f"{path}: x{suffix}")
    labels = labels_from(y, len(clouds), f"{path}: y{suffix}")
    check_labels(labels, len(classes), f"{path}: y{suffix}")
    return Clouds(clouds, labels, classes, str(path))


def points_from(array: NDArray[Any], points: int, normals: bool, where: str) -> Points:
    """Return the first `points` of stored clouds (n, N, C), normalised."""
    if array.ndim != 3 or array.dtype.kind != "f" or not len(array):
        raise DataError(
            f"{where}: must be floats of shape (clouds, points, 3 or 6), "
            f"got {array.dtype} of shape {array.shape}"
        )
    channels = channels_wanted(array.shape[2], normals, where)
    check_count(array.shape[1], points, where)
    return normalise(array[:, :points, :channels], lambda index: f"{where}: cloud {index}")


def labels_from(array: NDArray[Any], clouds: int, where: str) -> Labels:
    """Return stored labels, of shape (n,) or (n, 1), as int64 (n,)."""
    if array.dtype.kind not in "iu" or array.shape not in ((clouds,), (clouds, 1)):
        raise DataError(
            f"{where}: must be integers of shape ({clouds},), got {array.dtype} of shape {array.shape}"
        )
    return array.reshape(clouds).astype(np.int64)
