"""Configurations of PointNet++, with those of the papers and of the original study as presets."""

from dataclasses import dataclass, replace

from pointnet.errors import ConfigError
from pointnet.ops.sampling import XYZ
from sparsim.errors import near


@dataclass(frozen=True)
class Scale:
    """Neighbourhoods of one size around the centres of a stage.

    Parameters
    ----------
    radius : float
        Radius of the neighbourhoods, in the unit of the coordinates, above 0.
    neighbours : int
        Number of points in each neighbourhood, from 1.
    widths : tuple of int
        Output channels of the layers of the MLP that is applied to every point.
    """

    radius: float
    neighbours: int
    widths: tuple[int, ...]


@dataclass(frozen=True)
class Stage:
    """Set abstraction: centres by farthest-point sampling, and neighbourhoods around them.

    Parameters
    ----------
    centres : int
        Number of centres, from 1 to the number of points that enter the stage.
    scales : tuple of Scale
        One or several sizes of neighbourhoods, whose features are concatenated.
    """

    centres: int
    scales: tuple[Scale, ...]


@dataclass(frozen=True)
class Config:
    """Configuration of a network.

    Parameters
    ----------
    stages : tuple of Stage
        Set abstractions, in their order.
    pooled : tuple of int
        Widths of the last shared MLP, whose maximum over the centres enters the head.
    head : tuple of int
        Widths of the hidden layers of the head.
    points : int, default 1024
        Number of points of a cloud.
    classes : int, default 10
        Number of classes, from 2.
    normals : bool, default False
        Whether points have normals besides coordinates.
    dropout : float, default 0.4
        Probability of dropout in the head, 0 to below 1.
    delayed : bool, default False
        Whether features are transformed once per point before they are grouped. Training on the CPU always
        does this.

    Notes
    -----
    Delayed aggregation (Feng et al., Mesorasi, 2020) gives equal outputs up to rounding with fewer
    multiplications.
    """

    stages: tuple[Stage, ...]
    pooled: tuple[int, ...]
    head: tuple[int, ...]
    points: int = 1024
    classes: int = 10
    normals: bool = False
    dropout: float = 0.4
    delayed: bool = False

    @property
    def channels(self) -> int:
        """Numbers per point of a cloud: 3 coordinates, and 3 of the normal where normals are used."""
        return 2 * XYZ if self.normals else XYZ


def _single(centres: int, radius: float, neighbours: int, *widths: int) -> Stage:
    return Stage(centres, (Scale(radius, neighbours, widths),))


PRESETS = {
    # the network of the original study: 1.46 M prunable weights, 0.84 G MACs a cloud
    "study": Config(
        stages=(_single(512, 0.2, 32, 64, 64, 128), _single(128, 0.4, 64, 128, 128, 256)),
        pooled=(256, 512, 1024),
        head=(512, 256),
    ),
    # the paper's multi-scale network
    "msg": Config(
        stages=(
            Stage(512, (
                Scale(0.1, 16, (32, 32, 64)), Scale(0.2, 32, (64, 64, 128)), Scale(0.4, 128, (64, 96, 128)),
            )),
            Stage(128, (
                Scale(0.2, 32, (64, 64, 128)), Scale(0.4, 64, (128, 128, 256)),
                Scale(0.8, 128, (128, 128, 256)),
            )),
        ),
        pooled=(256, 512, 1024),
        head=(512, 256),
    ),
    # half the study's width on a quarter of the points: real data on two cores
    "half": Config(
        stages=(_single(64, 0.3, 16, 32, 32, 64), _single(16, 0.6, 16, 64, 64, 128)),
        pooled=(128, 256, 512),
        head=(256, 128),
        points=256,
    ),
    # a quarter of the width: minutes on one core
    "small": Config(
        stages=(_single(64, 0.3, 16, 16, 16, 32), _single(16, 0.6, 16, 32, 32, 64)),
        pooled=(64, 128, 256),
        head=(128, 64),
        points=256,
    ),
}  # fmt: skip


def preset(name: str, **changes: object) -> Config:
    """Return a preset with some fields changed.

    Parameters
    ----------
    name : str
        Name of the preset: "study", "msg", "half" or "small".
    **changes
        Fields of `Config` with their new values.

    Returns
    -------
    Config
        The configuration.

    Raises
    ------
    ConfigError
        If there is no preset of this name.

    Examples
    --------
    >>> from pointnet.network_config import preset
    >>> preset("study", classes=40).classes
    40
    """
    if name not in PRESETS:
        raise ConfigError(f"unknown network preset '{name}'", hint=near(name, PRESETS))
    return replace(PRESETS[name], **changes)  # type: ignore[arg-type]


def check(config: Config) -> None:
    """Check that a network can be built.

    Parameters
    ----------
    config : Config
        Configuration of the network.

    Raises
    ------
    ConfigError
        If a size is not positive, if a stage has more centres than points, or if a part is missing.
    """
    points = config.points
    for i, stage in enumerate(config.stages, start=1):
        if not 1 <= stage.centres <= points:
            raise ConfigError(f"centres of stage {i} must be between 1 and {points}, got {stage.centres}")
        points = stage.centres
        for scale in stage.scales:
            if not scale.radius > 0:
                raise ConfigError(f"radius of stage {i} must be greater than 0, got {scale.radius}")
            if scale.neighbours < 1:
                raise ConfigError(f"neighbours of stage {i} must be at least 1, got {scale.neighbours}")
    widths = [
        *config.pooled,
        *config.head,
        *(w for s in config.stages for scale in s.scales for w in scale.widths),
    ]
    if min(widths) < 1 or config.classes < 2 or not config.stages or not config.pooled:
        raise ConfigError("a network needs at least one stage, widths of at least 1 and at least 2 classes")
    if not 0 <= config.dropout < 1:
        raise ConfigError(f"dropout must be at least 0 and below 1, got {config.dropout}")
