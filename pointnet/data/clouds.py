"""Labelled point clouds in memory, and the operations that all readers share: choice of points,
normalisation, split.

Letters: n clouds of N points with C channels, which are 3 (xyz) or 6 (xyz, then the unit normal).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointnet.errors import DataError

XYZ = 3
WITH_NORMALS = 6
SPLITS = ("train", "test")
NORMALISED_TO = 1e-6  # clouds that are centred and scaled to this tolerance are not changed
UNIT_TO = 0.05  # tolerance of the length of normals, which text and float16 round
RADII = (1e-150, 1e150)  # range in which squares are finite and not 0
RESOLVED = 1e-9  # of the distance from the origin; smaller clouds consist of rounding errors
CHUNK = 256  # clouds normalised at a time, which bounds the float64 copies

Points = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Clouds:
    """Labelled clouds of one split.

    Parameters
    ----------
    points : ndarray
        float32 of shape (n, N, 3), centred on the mean and scaled into the unit sphere, or of shape (n, N, 6)
        with unit normals after the coordinates.
    labels : ndarray
        int64 of shape (n,), indices into `classes`.
    classes : tuple of str
        Names of the classes.
    source : str
        Where the clouds come from, for reports.

    Raises
    ------
    DataError
        If shapes, types or labels are wrong, or if a coordinate is not finite.
    """

    points: Points
    labels: Labels
    classes: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        shape = self.points.shape
        if self.points.dtype != np.float32 or len(shape) != 3 or shape[2] not in (XYZ, WITH_NORMALS):
            raise DataError(
                f"{self.source}: points must be float32 of shape (clouds, points, 3 or 6), "
                f"got {self.points.dtype} of shape {shape}"
            )
        if self.labels.dtype != np.int64 or self.labels.shape != shape[:1]:
            raise DataError(
                f"{self.source}: labels must be int64 of shape ({shape[0]},), "
                f"got {self.labels.dtype} of shape {self.labels.shape}"
            )
        if 0 in shape:
            raise DataError(f"{self.source}: holds no points, its shape is {shape}")
        if len(set(self.classes)) != len(self.classes):
            raise DataError(f"{self.source}: a class is named twice among {', '.join(self.classes)}")
        check_labels(self.labels, len(self.classes), self.source)
        if not np.isfinite(self.points).all():
            raise DataError(f"{self.source}: a coordinate is not finite")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def normals(self) -> bool:
        """Whether the points carry normals."""
        return bool(self.points.shape[2] == WITH_NORMALS)

    def digest(self) -> str:
        """Compute a digest of points, labels and classes; `source` does not change it.

        Returns
        -------
        str
            SHA-256 in hexadecimal.
        """
        digest = hashlib.sha256(repr((self.points.shape, self.classes)).encode())
        digest.update(self.points.astype("<f4", copy=False).tobytes())
        digest.update(self.labels.astype("<i8", copy=False).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class Dataset:
    """A training and a test split of the same classes.

    Parameters
    ----------
    train : Clouds
        Clouds to train on.
    test : Clouds
        Clouds to test on.
    name : str
        Name of the data set, for reports.

    Raises
    ------
    DataError
        If the splits differ in their classes or in the shape of their clouds, or if a class has no clouds in
        one of them.
    """

    train: Clouds
    test: Clouds
    name: str

    def __post_init__(self) -> None:
        if self.train.classes != self.test.classes:
            raise DataError(f"{self.name}: the splits have different classes")
        if self.train.points.shape[1:] != self.test.points.shape[1:]:
            raise DataError(
                f"{self.name}: a training cloud has shape {self.train.points.shape[1:]}, "
                f"a test cloud {self.test.points.shape[1:]}"
            )
        for split, clouds in (("training", self.train), ("test", self.test)):
            counts = np.bincount(clouds.labels, minlength=len(self.classes))
            if not counts.all():
                missing = self.classes[int(np.argmin(counts))]
                raise DataError(f"{self.name}: class '{missing}' has no {split} clouds")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.train.classes

    def digest(self) -> str:
        """Compute a digest of both splits.

        Returns
        -------
        str
            SHA-256 in hexadecimal.
        """
        return hashlib.sha256(f"{self.train.digest()} {self.test.digest()}".encode()).hexdigest()


def check_labels(labels: NDArray[np.integer], classes: int, where: str) -> None:
    """Raise DataError for the first label that is not the index of a class."""
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise DataError(
            f"{where}: the label of cloud {index} must be between 0 and {classes - 1}, got {labels[index]}"
        )


def channels_wanted(available: int, normals: bool, where: str) -> int:
    """Return how many columns of a point to keep. Raises DataError if normals are wanted but missing."""
    if available not in (XYZ, WITH_NORMALS):
        raise DataError(f"{where}: a point must have 3 columns (xyz) or 6 (with normals), got {available}")
    if normals and available == XYZ:
        raise DataError(f"{where}: has no normals; only x, y, z are there")
    return WITH_NORMALS if normals else XYZ


def check_count(available: int, points: int, where: str) -> None:
    """Raise DataError if a cloud has fewer points than needed; points are never invented."""
    if available < points:
        raise DataError(f"{where}: has {available} points, but {points} were asked for; ask for fewer points")


def normalise(points: NDArray[np.floating], name: Callable[[int], str]) -> Points:
    """Clouds (n, N, C) centred on the mean, scaled to radius 1, normals scaled to length 1, as float32.

    Clouds that are already normalised up to rounding are not changed, so that a pack returns exactly the
    clouds that it was written from. Raises DataError, with the `name` of a cloud's index, for numbers that
    are not finite, for a cloud whose points are all the same, and for normals that are not of unit length.
    """
    result = np.empty(points.shape, dtype=np.float32)
    for start in range(0, len(points), CHUNK):
        chunk = points[start : start + CHUNK].astype(np.float64)

        def refuse(wrong: Any, sentence: str, start: int = start) -> None:
            if wrong.any():
                raise DataError(f"{name(start + int(np.argmax(wrong)))}: {sentence}")

        refuse(~np.isfinite(chunk).all(axis=(1, 2)), "a number is not finite")
        xyz = chunk[..., :XYZ]
        same = (xyz == xyz[:, :1]).all(axis=(1, 2))
        refuse(same, "all points are equal, so the cloud cannot be scaled")
        chunk[..., :XYZ] = _into_unit_sphere(xyz)
        refuse(~np.isfinite(chunk).all(axis=(1, 2)), "coordinates are too large or too close to be scaled")
        if points.shape[2] == WITH_NORMALS:
            lengths = np.linalg.norm(chunk[..., XYZ:], axis=2, keepdims=True)
            refuse(
                (np.abs(lengths - 1) > UNIT_TO).any(axis=(1, 2)),
                "columns 4 to 6 are not unit normals; read the file without normals",
            )
            chunk[..., XYZ:] /= np.where(np.abs(lengths - 1) < NORMALISED_TO, 1.0, lengths)
        result[start : start + CHUNK] = chunk
    return result


def _into_unit_sphere(xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return centred and scaled clouds (n, N, 3); values are not finite if a cloud would consist of rounding
    errors.
    """
    with np.errstate(all="ignore"):
        mean = xyz.mean(axis=1, keepdims=True)
        centred = xyz - mean
        radius = np.linalg.norm(centred, axis=2).max(axis=1)[:, None, None]
    off = np.abs(mean).max(axis=2, keepdims=True)
    done = (off < NORMALISED_TO) & (np.abs(radius - 1) < NORMALISED_TO)
    lost = ~((radius > RADII[0]) & (radius < RADII[1]) & (radius > RESOLVED * off))
    return np.where(done, xyz, np.where(lost, np.nan, centred) / np.where(lost, 1.0, radius))


def stratified_test(
    labels: Labels, classes: tuple[str, ...], fraction: float, seed: int
) -> NDArray[np.bool_]:
    """Return which clouds (n,) are for testing: `fraction` of each class, rounded, at least one and never
    all.

    Raises DataError for a class of fewer than two clouds.
    """
    random = np.random.default_rng(seed)
    test = np.zeros(len(labels), dtype=bool)
    for label, name in enumerate(classes):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise DataError(
                f"class '{name}' needs at least 2 clouds for a split into train and test, has {len(members)}"
            )
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        test[random.permutation(members)[:count]] = True
    return test


def split(clouds: Clouds, fraction: float, seed: int, name: str) -> Dataset:
    """Split clouds that have no split into a Dataset; `source` then mentions it."""
    try:
        test = stratified_test(clouds.labels, clouds.classes, fraction, seed)
    except DataError as error:
        raise DataError(f"{clouds.source}: {error}") from error
    source = f"{clouds.source}, split at random (test fraction {fraction:g}, seed {seed})"

    def part(mask: NDArray[np.bool_]) -> Clouds:
        return Clouds(clouds.points[mask], clouds.labels[mask], clouds.classes, source)

    return Dataset(part(~test), part(test), name)
