"""Load clouds from any source. The layout is recognised from the files that are found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pointnet.data import cloud_folders as folders
from pointnet.data import hdf5
from pointnet.data.cloud_files import SUFFIXES
from pointnet.data.cloud_folders import Progress
from pointnet.data.cloud_packs import read_pack
from pointnet.data.clouds import Dataset
from pointnet.data.shapes import shapes
from pointnet.errors import DataError
from sparsim.errors import near
from sparsim.fileio.reading import reading

SHAPES = "shapes"
LAYOUTS = (
    "modelnet10_train.txt or modelnet40_train.txt",
    ".h5 files with 'train' and 'test' in their names",
    f"a folder per class with files {', '.join(SUFFIXES)}, in train and test or in neither",
)


def load_data(
    source: str | Path,
    *,
    points: int = 1024,
    normals: bool = False,
    classes: int | None = None,
    seed: int = 0,
    test_fraction: float = 0.3,
    progress: Progress = lambda done, total: None,
) -> Dataset:
    """Load labelled clouds from the procedural set, a file or a folder.

    Parameters
    ----------
    source : str or Path
        "shapes" for the procedural set; or the path of a .npz pack (`write_pack`), an .h5 pack, a folder of
        .h5 packs, ModelNet as text with normals, or a folder per class with clouds or meshes.
    points : int, default 1024
        Points of each cloud. If more are stored, packs and the text of ModelNet, whose order is random, give
        their first points, and other files a random choice. Meshes are sampled.
    normals : bool, default False
        Whether to load unit normals too.
    classes : int, default None
        Selects the list of 10 or of 40 classes of ModelNet; elsewhere the number of classes that must be
        found.
    seed : int, default 0
        Seed of shapes, choices, sampling, and the split of sources without one.
    test_fraction : float, default 0.3
        Fraction of each class that becomes the test split of sources without one.
    progress : callable, default lambda done, total: None
        Called as ``progress(done, total)`` after each of many files.

    Returns
    -------
    Dataset
        The training and the test split.

    Raises
    ------
    DataError
        If a file is missing or damaged, or holds other clouds than were asked for.
    """
    for what, value, least in (("points", points, 2), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise DataError(f"{what} must be a whole number of at least {least}, got {value!r}")
    if not 0 < test_fraction < 1:
        raise DataError(f"test fraction {test_fraction} is not between 0 and 1")
    if source == SHAPES:
        data = shapes(points=points, seed=seed, normals=normals)
    else:
        data = _load_path(Path(source), points, normals, classes, seed, test_fraction, progress)
    if classes is not None and len(data.classes) != classes:
        raise DataError(f"{source}: has {len(data.classes)} classes, wanted are {classes}")
    return data


def _load_path(
    path: Path,
    points: int,
    normals: bool,
    classes: int | None,
    seed: int,
    test_fraction: float,
    progress: Progress,
) -> Dataset:
    with reading(path, "a data set", DataError):
        layout = _layout(path)
    options: dict[str, Any] = {"points": points, "normals": normals}
    if layout is folders.read_modelnet_text:
        return folders.read_modelnet_text(path, classes=classes, progress=progress, **options)
    options |= {"seed": seed, "test_fraction": test_fraction}
    if layout is folders.read_class_folders:
        return folders.read_class_folders(path, progress=progress, **options)
    return layout(path, **options)


def _layout(path: Path) -> Callable[..., Dataset]:
    """Return the function that reads the file or folder. Raises DataError if there is none."""
    if not path.exists():
        siblings = [str(p) for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"there is no file or folder '{path}'", hint=near(str(path), [SHAPES, *siblings]))
    if not path.is_dir():
        if path.suffix.lower() == ".npz":
            return read_pack
        if path.suffix.lower() in hdf5.SUFFIXES:
            return hdf5.read_hdf5
        raise DataError(f"{path}: must end in .npz or {', '.join(hdf5.SUFFIXES)}, ends in '{path.suffix}'")
    if folders.is_modelnet_text(path):
        return folders.read_modelnet_text
    if hdf5.files_in(path):
        return hdf5.read_hdf5
    if folders.is_class_folders(path):
        return folders.read_class_folders
    raise DataError(f"{path}: holds no data set; looked for {'; '.join(LAYOUTS)}")
