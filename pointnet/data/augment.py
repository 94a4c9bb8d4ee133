"""Random changes of training clouds. Except jitter and drop they are the same for all points of a cloud."""

import math
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from pointnet.data.clouds import WITH_NORMALS, XYZ
from pointnet.errors import ConfigError

AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a cloud, applied in the order of the parameters. The defaults change nothing.

    Parameters
    ----------
    mirror : bool, default False
        Whether to flip the first horizontal axis with probability 1/2.
    stretch : tuple of float, default (1.0, 1.0)
        Range (low, high) of a uniform factor for each axis.
    rotate : bool, default False
        Whether to rotate by a random angle about the vertical axis.
    scale : tuple of float, default (1.0, 1.0)
        Range (low, high) of one uniform factor for the whole cloud.
    jitter : float, default 0.0
        Standard deviation of the noise of each coordinate.
    jitter_clip : float, default 0.05
        Largest absolute value of the noise.
    shift : float, default 0.0
        Largest shift of the whole cloud along each axis.
    drop : float, default 0.0
        Largest fraction of the points that is replaced by the first point of the cloud, as in the published
        code of PointNet++. The number of points stays.
    up : str, default "z"
        The vertical axis, "x", "y" or "z".

    Raises
    ------
    ConfigError
        If a number is out of its range.
    """

    mirror: bool = False
    stretch: tuple[float, float] = (1.0, 1.0)
    rotate: bool = False
    scale: tuple[float, float] = (1.0, 1.0)
    jitter: float = 0.0
    jitter_clip: float = 0.05
    shift: float = 0.0
    drop: float = 0.0
    up: str = "z"

    def __post_init__(self) -> None:
        for name, high in (("jitter", math.inf), ("shift", math.inf), ("drop", 1.0)):
            allowed = "a number of at least 0" if high == math.inf else f"a number between 0 and {high:g}"
            value = getattr(self, name)
            self._check(name, _is_number(value) and 0 <= value <= high, allowed)
        self._check(
            "jitter_clip", _is_number(self.jitter_clip) and self.jitter_clip > 0, "a number greater than 0"
        )
        for name in ("stretch", "scale"):
            self._check(name, _is_range(getattr(self, name)), "a pair (low, high) with 0 < low <= high")
        for name in ("mirror", "rotate"):
            self._check(name, isinstance(getattr(self, name), bool), "true or false")
        self._check("up", self.up in AXES, "x, y or z")

    def _check(self, name: str, right: bool, allowed: str) -> None:
        if not right:
            raise ConfigError(f"augmentation: {name} must be {allowed}, got {getattr(self, name)!r}")

    @property
    def rigid(self) -> bool:
        """Whether distances between the points of a cloud stay, so that their neighbours stay too."""
        return self.stretch == self.scale == (1.0, 1.0) and self.jitter == self.drop == 0.0

    @property
    def idle(self) -> bool:
        """Whether clouds stay as they are."""
        still = Augmentation(up=self.up, jitter_clip=self.jitter_clip)
        return all(getattr(self, field.name) == getattr(still, field.name) for field in fields(self))


def augment(points: Tensor, config: Augmentation, generator: torch.Generator) -> Tensor:
    """Make randomly changed copies of clouds. Normals turn along with the points.

    Parameters
    ----------
    points : Tensor
        Clouds of shape (B, N, 3) or, with normals, (B, N, 6).
    config : Augmentation
        The changes.
    generator : torch.Generator
        Source of all randomness; equal states give equal clouds.

    Returns
    -------
    Tensor
        New clouds of the same shape.

    Raises
    ------
    ConfigError
        If `points` has another shape.
    """
    if points.ndim != 3 or points.shape[2] not in (XYZ, WITH_NORMALS):
        raise ConfigError(f"augmentation: clouds must have shape (B, N, 3 or 6), got {tuple(points.shape)}")
    if config.idle:
        return points.clone()
    random = _Random(generator, points)
    linear, inverse = _linear(config, random, len(points))
    parts = [points[..., :XYZ] @ linear]
    if config.jitter:
        noise = config.jitter * random.normal(*parts[0].shape)
        parts[0] = parts[0] + noise.clamp(-config.jitter_clip, config.jitter_clip)
    if config.shift:
        parts[0] = parts[0] + random.uniform(-config.shift, config.shift, len(points), 1, XYZ)
    if points.shape[2] == WITH_NORMALS:  # normals follow the inverse transpose
        parts.append(torch.nn.functional.normalize(points[..., XYZ:] @ inverse.transpose(1, 2), dim=2))
    result = torch.cat(parts, dim=2)
    if config.drop:
        share = random.uniform(0.0, config.drop, len(points), 1)
        dropped = random.uniform(0.0, 1.0, *points.shape[:2]) < share
        result = torch.where(dropped[..., None], result[:, :1], result)
    return result


class _Random:
    """Random numbers of one generator, with the type and the device of some clouds."""

    def __init__(self, generator: torch.Generator, like: Tensor) -> None:
        self.generator, self.like = generator, like

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(shape, generator=self.generator, device=self.generator.device)
        return (low + (high - low) * drawn).to(self.like)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.generator.device).to(self.like)


def _linear(config: Augmentation, random: _Random, clouds: int) -> tuple[Tensor, Tensor]:
    """Return mirror, stretch, rotation and scale as matrices (B, 3, 3) for row vectors, and their
    inverses.
    """
    up = AXES[config.up]
    first, second = sorted(set(AXES.values()) - {up})
    factors = torch.ones(clouds, XYZ).to(random.like)
    if config.mirror:
        factors[:, first] = torch.where(random.uniform(0.0, 1.0, clouds) < 0.5, -1.0, 1.0).to(factors)
    if config.stretch != (1.0, 1.0):
        factors = factors * random.uniform(*config.stretch, clouds, XYZ)
    turn = torch.eye(XYZ).to(random.like).repeat(clouds, 1, 1)
    if config.rotate:
        angle = random.uniform(-math.pi, math.pi, clouds)
        turn[:, first, first] = turn[:, second, second] = angle.cos()
        turn[:, first, second] = angle.sin()
        turn[:, second, first] = -angle.sin()
    size = torch.ones(clouds, 1, 1).to(random.like)
    if config.scale != (1.0, 1.0):
        size = random.uniform(*config.scale, clouds, 1, 1)
    linear = factors[:, :, None] * turn * size
    inverse = turn.transpose(1, 2) / factors[:, None, :] / size
    return linear, inverse


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(map(_is_number, value))
        and 0 < value[0] <= value[1]
    )
