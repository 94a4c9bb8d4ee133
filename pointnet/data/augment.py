"""Random changes of training clouds, the same for all points of a cloud (jitter and drop aside)."""

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
    """What to do to a cloud, in this order; the defaults do nothing.

    mirror   : with probability 1/2, flip the first horizontal axis
    stretch  : a factor for each axis, uniform in (low, high)
    rotate   : about the up axis, by any angle
    scale    : one factor for the cloud, uniform in (low, high)
    jitter   : standard deviation of each coordinate's noise, cut at +- `jitter_clip`
    shift    : of the whole cloud, each axis uniform within +- this
    drop     : a share of the points, uniform between 0 and this, is replaced by the cloud's first point
               (as in the published code of PointNet++; the number of points stays)
    up       : the vertical axis, x, y or z

    Raises ConfigError for a number out of its range.
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
        """Whether distances between a cloud's points stay: then their neighbours may be remembered."""
        return self.stretch == self.scale == (1.0, 1.0) and self.jitter == self.drop == 0.0

    @property
    def idle(self) -> bool:
        """Whether nothing is done at all."""
        still = Augmentation(up=self.up, jitter_clip=self.jitter_clip)
        return all(getattr(self, field.name) == getattr(still, field.name) for field in fields(self))


def augment(points: Tensor, config: Augmentation, generator: torch.Generator) -> Tensor:
    """New clouds (B, N, C) made from `points` (B, N, 3 or 6), which stay as they are; normals turn along.

    All randomness comes from `generator`; equal states give equal clouds.
    Raises ConfigError for another shape.
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
    """Draws of one generator, with the type and the place of some clouds."""

    def __init__(self, generator: torch.Generator, like: Tensor) -> None:
        self.generator, self.like = generator, like

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        drawn = torch.rand(shape, generator=self.generator, device=self.generator.device)
        return (low + (high - low) * drawn).to(self.like)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, device=self.generator.device).to(self.like)


def _linear(config: Augmentation, random: _Random, clouds: int) -> tuple[Tensor, Tensor]:
    """Mirror, stretch, rotation and scale as matrices (B, 3, 3) for row vectors, and their inverses."""
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
