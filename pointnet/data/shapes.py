"""A procedural data set of ten furniture-like classes, which needs no download.

An object is a list of boxes and frustums with random proportions. Its surface is sampled uniformly by area,
then stretched along each axis, turned about z, hidden in part, made noisy and scaled into the unit sphere.
All clouds of a class are made at once; every class of every split has its own random stream.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pointnet.data.clouds import WITH_NORMALS, XYZ, Clouds, Dataset, normalise
from pointnet.errors import DataError

# Difficulty of the set. Wider proportions, more stretch, more noise and more hidden points make it harder.
SPREAD = 0.85  # range of random proportions around their middle; 0 gives one object per class
STRETCH = (0.8, 1.25)  # a factor for each axis
OCCLUDED_CLOUDS = 0.5  # share of the clouds that are seen in part
OCCLUDED_POINTS = 0.25  # share of their points that is hidden, those farthest in a random direction
NOISE = 0.02  # standard deviation of each coordinate, in a cloud of radius 1

Array = NDArray[np.floating]
Length = float | Array  # one for all objects, or one for each
BOX, FRUSTUM = 0.0, 1.0


class Parts(NamedTuple):
    """Parts of the n objects of a class: kind (P,), origin (n, P, 3) and size (n, P, 3).

    Box: origin is its centre, size its three edges. Frustum about z, without lids: origin is the middle of
    its lower rim, size is (lower radius, upper radius, height); height 0 is a disc. Size 0 leaves it out.
    """

    kind: Array
    origin: Array
    size: Array


class _Maker:
    """Builder that collects the parts of `count` objects; every length is a number or an array (count,)."""

    def __init__(self, random: np.random.Generator, count: int) -> None:
        self.random, self.count = random, count
        self.kinds: list[float] = []
        self.origins: list[Array] = []
        self.sizes: list[Array] = []

    def between(self, low: float, high: float) -> Array:
        middle, half = (low + high) / 2, (high - low) / 2
        return middle + SPREAD * half * self.random.uniform(-1, 1, self.count)

    def maybe(self, probability: float) -> Array:
        return (self.random.random(self.count) < probability).astype(np.float64)

    def box(self, x: Length, y: Length, z: Length, dx: Length, dy: Length, dz: Length) -> None:
        self._add(BOX, (x, y, z), (dx, dy, dz))

    def frustum(self, x: Length, y: Length, z: Length, low: Length, high: Length, height: Length) -> None:
        self._add(FRUSTUM, (x, y, z), (low, high, height))

    def legs(self, width: Length, depth: Length, height: Length, thick: Length) -> None:
        """Add four legs on the ground, under the corners of a plate of width x depth."""
        for sx in (-0.5, 0.5):
            for sy in (-0.5, 0.5):
                x, y = sx * (width - thick), sy * (depth - thick)
                self.box(x, y, np.divide(height, 2), thick, thick, height)

    def parts(self) -> Parts:
        return Parts(np.array(self.kinds), np.stack(self.origins, axis=1), np.stack(self.sizes, axis=1))

    def _add(self, kind: float, origin: tuple[Length, ...], size: tuple[Length, ...]) -> None:
        self.kinds.append(kind)
        self.origins.append(np.stack([np.broadcast_to(v, self.count) for v in origin], axis=1))
        self.sizes.append(np.stack([np.broadcast_to(v, self.count) for v in size], axis=1))


def _bed(m: _Maker) -> None:
    width, length, height = m.between(0.8, 1.5), m.between(1.7, 2.2), m.between(0.2, 0.5)
    thick, head = m.between(0.15, 0.3), m.between(0.3, 0.7)
    foot = m.between(0.1, 0.4) * m.maybe(0.5)
    m.box(0, 0, height, width, length, thick)
    m.box(0, length / 2, height + head / 2, width, 0.08, head)
    m.box(0, -length / 2, height + foot / 2, width * (foot > 0), 0.06 * (foot > 0), foot)
    m.legs(width, length, height, m.between(0.05, 0.1))


def _bottle(m: _Maker) -> None:
    radius, body = m.between(0.2, 0.4), m.between(0.6, 1.1)
    neck, shoulder, top = radius * m.between(0.25, 0.5), m.between(0.1, 0.4), m.between(0.15, 0.4)
    m.frustum(0, 0, 0, 0, radius, 0)
    m.frustum(0, 0, 0, radius, radius, body)
    m.frustum(0, 0, body, radius, neck, shoulder)
    m.frustum(0, 0, body + shoulder, neck, neck, top)


def _chair(m: _Maker) -> None:
    width, depth, height = m.between(0.4, 0.6), m.between(0.4, 0.6), m.between(0.35, 0.55)
    back, thick = m.between(0.25, 0.65), m.between(0.04, 0.08)
    arms = m.maybe(0.25)
    m.box(0, 0, height, width, depth, thick)
    m.box(0, depth / 2, height + back / 2, width, thick, back)
    m.legs(width, depth, height, m.between(0.03, 0.07))
    for side in (-0.5, 0.5):
        m.box(side * width, 0, height + 0.22, 0.05 * arms, depth * arms, 0.04 * arms)


def _cone(m: _Maker) -> None:
    radius, height = m.between(0.3, 0.6), m.between(0.6, 1.3)
    tip, plate = radius * m.between(0.0, 0.3), m.between(1.0, 1.5) * m.maybe(0.5)
    m.frustum(0, 0, 0, radius, tip, height)
    m.frustum(0, 0, 0, 0, radius, 0)
    m.box(0, 0, 0, 2 * radius * plate, 2 * radius * plate, 0.04 * (plate > 0))


def _lamp(m: _Maker) -> None:
    foot, height = m.between(0.15, 0.35), m.between(0.6, 1.4)
    low, shade = m.between(0.2, 0.45), m.between(0.2, 0.45)
    m.frustum(0, 0, 0, 0, foot, 0)
    m.frustum(0, 0, 0, foot, foot, 0.04)
    m.frustum(0, 0, 0, m.between(0.02, 0.06), m.between(0.02, 0.06), height)
    m.frustum(0, 0, height - shade / 3, low, low * m.between(0.3, 0.9), shade)


def _monitor(m: _Maker) -> None:
    width, height = m.between(0.8, 1.4), m.between(0.5, 0.8)
    stand, foot = m.between(0.1, 0.3), m.between(0.25, 0.5)
    m.box(0, 0, stand + height / 2, width, m.between(0.04, 0.2), height)
    m.box(0, 0.03, stand / 2, m.between(0.08, 0.2), 0.06, stand)
    m.box(0, 0, 0, foot, foot * m.between(0.5, 0.9), 0.04)


def _mug(m: _Maker) -> None:
    radius, height = m.between(0.3, 0.5), m.between(0.5, 1.0)
    reach, thick, grip = m.between(0.2, 0.4), m.between(0.05, 0.1), m.between(0.35, 0.6)
    m.frustum(0, 0, 0, 0, radius, 0)
    m.frustum(0, 0, 0, radius * m.between(0.75, 1.0), radius, height)
    m.box(radius + reach, 0, height / 2, thick, thick, height * grip)
    for side in (-0.5, 0.5):
        m.box(radius + reach / 2, 0, height * (0.5 + side * grip), reach, thick, thick)


def _sofa(m: _Maker) -> None:
    width, depth, height = m.between(1.2, 2.2), m.between(0.6, 0.9), m.between(0.25, 0.45)
    back, arm, thick = m.between(0.25, 0.5), m.between(0.1, 0.3), m.between(0.12, 0.25)
    m.box(0, 0, height / 2 + 0.05, width, depth, height)
    m.box(0, depth / 2, height + back / 2, width, thick, back)
    for side in (-0.5, 0.5):
        m.box(side * width, 0, (height + arm) / 2, thick, depth, height + arm)


def _stool(m: _Maker) -> None:
    width, height, thick = m.between(0.3, 0.45), m.between(0.4, 0.8), m.between(0.04, 0.1)
    rounded = m.maybe(0.5)
    square = width * (1 - rounded)
    m.box(0, 0, height, square, square, thick * (1 - rounded))
    radius = rounded * width / 2
    m.frustum(0, 0, height, 0, radius, 0)
    m.frustum(0, 0, height, radius, radius, thick * rounded)
    m.frustum(0, 0, height + thick, radius, 0, 0)
    m.legs(width * (1 - 0.3 * rounded), width * (1 - 0.3 * rounded), height, m.between(0.03, 0.06))


def _table(m: _Maker) -> None:
    width, depth, height = m.between(0.9, 1.8), m.between(0.6, 1.0), m.between(0.4, 0.8)
    thick, pedestal = m.between(0.04, 0.1), m.maybe(0.3)
    m.box(0, 0, height, width, depth, thick)
    m.legs(width, depth, height * (1 - pedestal), m.between(0.05, 0.1) * (1 - pedestal))
    m.frustum(0, 0, 0, 0.08 * pedestal, 0.08 * pedestal, height * pedestal)
    m.frustum(0, 0, 0, 0, 0.3 * pedestal, 0)


MAKERS: dict[str, Callable[[_Maker], None]] = {
    "bed": _bed,
    "bottle": _bottle,
    "chair": _chair,
    "cone": _cone,
    "lamp": _lamp,
    "monitor": _monitor,
    "mug": _mug,
    "sofa": _sofa,
    "stool": _stool,
    "table": _table,
}
CLASSES = tuple(MAKERS)


def shapes(
    train_per_class: int = 120,
    test_per_class: int = 100,
    points: int = 256,
    seed: int = 0,
    *,
    normals: bool = False,
) -> Dataset:
    """Make the procedural data set of 10 classes. Equal seeds give equal clouds.

    Parameters
    ----------
    train_per_class : int, default 120
        Training clouds of each class.
    test_per_class : int, default 100
        Test clouds of each class.
    points : int, default 256
        Points of each cloud, at least 2.
    seed : int, default 0
        Seed of all random numbers.
    normals : bool, default False
        Whether points have unit normals.

    Returns
    -------
    Dataset
        Splits of shape (10 * clouds per class, points, 3 or 6), sorted by class.

    Raises
    ------
    DataError
        If a number of clouds is below 1, or there are fewer than 2 points.
    """
    for what, count, least in (
        ("training clouds a class", train_per_class, 1),
        ("test clouds a class", test_per_class, 1),
        ("points a cloud", points, 2),
        ("as the seed", seed, 0),
    ):
        if isinstance(count, bool) or not isinstance(count, int) or count < least:
            raise DataError(
                f"procedural shapes: {what} must be a whole number of at least {least}, got {count!r}"
            )
    streams = [stream.spawn(len(CLASSES)) for stream in np.random.default_rng(seed).spawn(2)]
    source = f"procedural shapes (seed {seed})"
    train, test = (
        _clouds(stream, count, points, normals, source)
        for stream, count in zip(streams, (train_per_class, test_per_class), strict=True)
    )
    return Dataset(train, test, "shapes")


def _clouds(
    streams: list[np.random.Generator], per_class: int, points: int, normals: bool, source: str
) -> Clouds:
    made = [
        _class_clouds(maker, random, per_class, points)
        for maker, random in zip(MAKERS.values(), streams, strict=True)
    ]
    channels = WITH_NORMALS if normals else XYZ
    array = normalise(np.concatenate(made)[..., :channels], lambda index: f"{source}: cloud {index}")
    return Clouds(array, np.repeat(np.arange(len(CLASSES)), per_class).astype(np.int64), CLASSES, source)


def _class_clouds(
    make: Callable[[_Maker], None], random: np.random.Generator, count: int, points: int
) -> Array:
    """Return clouds (count, points, 6) of one class, with a radius of about 1."""
    maker = _Maker(random, count)
    make(maker)
    xyz, normal = _sample(maker.parts(), random, points)
    stretch = random.uniform(*STRETCH, (count, 1, 3))
    xyz, normal = xyz * stretch, normal / stretch
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    angle = random.uniform(0, 2 * np.pi, count)
    turn = np.zeros((count, 3, 3))
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
    turn[:, 0, 1], turn[:, 1, 0] = np.sin(angle), -np.sin(angle)
    turn[:, 2, 2] = 1
    xyz, normal = xyz @ turn, normal @ turn
    xyz -= xyz.mean(axis=1, keepdims=True)
    xyz /= np.linalg.norm(xyz, axis=2).max(axis=1)[:, None, None]
    seen = _seen(xyz, random)
    xyz, normal = (np.take_along_axis(a, seen[..., None], axis=1) for a in (xyz, normal))
    return np.concatenate([xyz + random.normal(0, NOISE, xyz.shape), normal], axis=2)


def _sample(parts: Parts, random: np.random.Generator, points: int) -> tuple[Array, Array]:
    """Return points (n, points, 3), uniform on the surface of all parts, and their normals, not of unit
    length.
    """
    box = parts.kind == BOX
    area = np.where(box, _box_area(parts.size), _frustum_area(parts.size))  # (n, P)
    share = np.cumsum(area, axis=1) / area.sum(axis=1, keepdims=True)
    pick = random.random((len(area), points, 1))
    part = np.minimum((pick >= share[:, None, :]).sum(axis=2), len(box) - 1)  # (n, points)
    origin, size = (np.take_along_axis(a, part[..., None], axis=1) for a in (parts.origin, parts.size))
    draws = random.random((3, *part.shape))
    on_box, box_normal = _on_box(size, draws)
    on_frustum, frustum_normal = _on_frustum(size, draws)
    is_box = box[part][..., None]
    return origin + np.where(is_box, on_box, on_frustum), np.where(is_box, box_normal, frustum_normal)


def _box_area(size: Array) -> Array:
    x, y, z = np.moveaxis(size, -1, 0)
    return np.asarray(2 * (x * y + y * z + z * x))


def _frustum_area(size: Array) -> Array:
    low, high, height = np.moveaxis(size, -1, 0)
    return np.asarray(np.pi * (low + high) * np.hypot(low - high, height))


def _on_box(size: Array, draws: Array) -> tuple[Array, Array]:
    """Choose a face by its area, then two coordinates on it."""
    x, y, z = np.moveaxis(size, -1, 0)
    faces = np.stack([y * z, z * x, x * y], axis=-1)  # the pair of faces across each axis
    total = np.maximum(faces.sum(axis=-1), np.finfo(np.float64).tiny)
    pick = 2 * draws[0]
    side = np.where(pick < 1, -1.0, 1.0)
    across = ((pick % 1)[..., None] * total[..., None] >= np.cumsum(faces, axis=-1)).sum(axis=-1)
    normal = np.eye(3)[np.minimum(across, 2)] * side[..., None]
    free = np.stack([draws[1], np.where(across == 0, draws[1], draws[2]), draws[2]], axis=-1) - 0.5
    return np.where(normal != 0, normal / 2, free) * size, normal


def _on_frustum(size: Array, draws: Array) -> tuple[Array, Array]:
    """Sample uniformly by area: the square of the radius is uniform between those of the rims."""
    low, high, height = np.moveaxis(size, -1, 0)
    radius = np.sqrt(low**2 + draws[0] * (high**2 - low**2))
    even = low == high
    rise = np.where(even, draws[0], (radius - low) / np.where(even, 1.0, high - low))
    angle = 2 * np.pi * draws[1]
    x, y = np.cos(angle), np.sin(angle)
    normal = np.stack([height * x, height * y, low - high], axis=-1)
    return np.stack([radius * x, radius * y, rise * height], axis=-1), normal


def _seen(xyz: Array, random: np.random.Generator) -> NDArray[np.intp]:
    """Return indices (n, N) of the visible points; in occluded clouds some appear twice, in place of hidden
    ones.
    """
    clouds, points = xyz.shape[:2]
    direction = random.normal(size=(clouds, 3, 1))
    order = np.argsort((xyz @ direction)[..., 0], axis=1)
    kept = points - int(OCCLUDED_POINTS * points)
    again = random.integers(0, kept, (clouds, points - kept))
    partly = np.concatenate([order[:, :kept], np.take_along_axis(order, again, axis=1)], axis=1)
    partly = random.permuted(partly, axis=1)
    occluded = random.random((clouds, 1)) < OCCLUDED_CLOUDS
    return np.where(occluded, partly, np.arange(points))
