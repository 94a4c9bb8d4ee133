"""Settings of a training run: data, network, optimisation, pruning. Equal settings give equal results."""

import math
from typing import Any, Literal, get_args

import gmp
from pointnet.classifiers import AnyConfig, classifier_config
from pointnet.data import Augmentation
from pointnet.device_names import check_name
from pointnet.errors import ConfigError
from sparsim.errors import near
from sparsim.records.record import Record

AUGMENTATIONS = {
    "none": Augmentation(),
    "rotation": Augmentation(rotate=True),  # rigid: neighbours are found once per cloud
    # for objects that are upright and face one direction
    "light": Augmentation(scale=(0.8, 1.25), shift=0.1),
    "study": Augmentation(scale=(0.8, 1.25), shift=0.1, drop=0.875),  # as in the original study
    "strong": Augmentation(rotate=True, scale=(0.8, 1.25), shift=0.1, jitter=0.01),
}
MOST = {  # limits of torch, and of memory and time
    "seed": 2**63 - 1, "data_seed": 2**63 - 1, "threads": 1024, "epochs": 10**6, "batch": 10**6,
    "points": 10**7, "pool": 10**7,
}  # fmt: skip
CHANNEL_SCORES = ("magnitude", "l1", "l2", "norm")
Optimizer = Literal["adam", "sgd"]
LearningRate = Literal["one-cycle", "cosine", "constant"]


class Pruning(Record, frozen=True, kw_only=True):
    """Gradual magnitude pruning during a run, from epoch `begin` to epoch `end`; see `gmp.Pruner`.

    Parameters
    ----------
    sparsity : float
        Fraction of zeros among the pruned weights at the end.
    initial : float, default 0.05
        Fraction of zeros after the first step.
    begin : float, default 0.0
        Epoch of the first step.
    end : float
        Epoch of the last step.
    every : float, default 0.5
        Epochs between steps.
    scope : {"global", "layer"}, default "global"
        Whether weights are ranked in one pool or in each layer.
    score : str, default "magnitude"
        What ranks the weights.
    pattern : str, default "1x1"
        What is pruned together; "channels": whole channels of coupled layers, which can be removed afterwards
        (`gmp.ChannelPruner`). Sparsities are fractions of channels then.
    ignore : tuple of str, default ()
        Layers that stay dense.
    min_density : float, default 0.0
        Smallest fraction of nonzeros in every layer.
    alpha : float, default 0.0
        Scores are divided by what a weight costs on the hardware to this power (`gmp.energy.EnergyScore`).
    target_energy_uj : float, default None
        No more is pruned than this energy of one cloud needs.
    target_cycles : float, default None
        No more is pruned than these cycles of one cloud need.
    penalty : float, default 0.0
        Strength with which scales of batch norms are driven to zero until pruning ends, with the pattern
        "channels" (network slimming, `gmp.channels.ChannelPenalty`).

    Raises
    ------
    PruningError
        For sparsities and times that cannot be.
    ConfigError
        For other numbers.
    """

    sparsity: float
    initial: float = 0.05
    begin: float = 0.0
    end: float
    every: float = 0.5
    scope: str | dict[str, float] = "global"
    score: str = "magnitude"
    pattern: str = "1x1"
    ignore: tuple[str, ...] = ()
    min_density: float = 0.0
    alpha: float = 0.0
    target_energy_uj: float | None = None
    target_cycles: float | None = None
    penalty: float = 0.0

    def __post_init__(self) -> None:
        gmp.CubicSchedule(
            None, initial=self.initial, final=self.sparsity, begin=self.begin, end=self.end, every=self.every
        )
        if not 0 <= self.alpha < math.inf:
            raise ConfigError(f"alpha must be at least 0, got {self.alpha}")
        for field in ("target_energy_uj", "target_cycles"):
            value = getattr(self, field)
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{field} must be greater than 0, got {value}")
        if not 0 <= self.penalty < math.inf:
            raise ConfigError(f"penalty must be at least 0, got {self.penalty}")
        if self.penalty and not self.of_channels:
            raise ConfigError(f"a penalty needs the pattern 'channels', got '{self.pattern}'")
        if self.of_channels:
            if self.alpha or self.has_target or self.min_density or isinstance(self.scope, dict):
                text = "alpha, targets, min_density and sparsities by layer"
                raise ConfigError(f"{text} are not for the pattern 'channels'")
            if self.score not in CHANNEL_SCORES:
                hint = near(self.score, CHANNEL_SCORES)
                raise ConfigError(f"unknown score '{self.score}' of the pattern 'channels'", hint=hint)

    @property
    def of_channels(self) -> bool:
        """Whether whole channels of coupled layers are pruned."""
        return self.pattern == "channels"

    @property
    def has_target(self) -> bool:
        """Whether pruning has a target of energy or cycles."""
        return self.target_energy_uj is not None or self.target_cycles is not None


class Settings(Record, frozen=True, kw_only=True):
    """A training run. It may go on on another `device`; what torch computes differs there by rounding.

    Parameters
    ----------
    data : str, default "shapes"
        Name, file or folder of the clouds.
    preset : str, default "small"
        Name of the network.
    points : int, default None
        Points per cloud; by default those of the network.
    pool : int, default None
        Points kept of each cloud, from which each step draws those that the network takes; by default no more
        than needed.
    normals : bool, default False
        Whether normals are used beside coordinates.
    delayed : bool, default True
        Whether features are transformed before grouping.
    classes : int, default None
        The class list to use of a ModelNet folder.
    epochs : int, default 15
        Epochs of training. Those of a recipe replace them.
    batch : int, default 32
        Clouds per training step.
    optimizer : {"adam", "sgd"}, default "adam"
        The optimizer.
    lr : float, default 0.002
        Highest learning rate.
    weight_decay : float, default 0.0001
        Weight decay.
    schedule : {"one-cycle", "cosine", "constant"}, default "one-cycle"
        How the learning rate changes, unless the recipe says it.
    label_smoothing : float, default 0.1
        Label smoothing of the loss.
    augmentation : str, default "strong"
        How training clouds are varied.
    seed : int, default 0
        Seed of the training.
    data_seed : int, default 0
        Seed of generated shapes, sampled surfaces and splits.
    threads : int, default 1
        Number of threads.
    device : str, default "cpu"
        Device of torch.
    start : str, default None
        Checkpoint to begin with, zeros included.
    recipe : str, default None
        File of a recipe, which takes the place of `pruning`.
    pruning : Pruning, default None
        Gradual pruning during the run.
    hardware : str, default None
        Preset or document of sparsim on which energy and cycles of one cloud are read after every epoch.

    Raises
    ------
    ConfigError
        If a setting is out of its range, or if settings contradict each other.
    """

    data: str = "shapes"
    preset: str = "small"
    points: int | None = None
    pool: int | None = None
    normals: bool = False
    delayed: bool = True
    classes: int | None = None
    epochs: int = 15
    batch: int = 32
    optimizer: Optimizer = "adam"
    lr: float = 2e-3
    weight_decay: float = 1e-4
    schedule: LearningRate = "one-cycle"
    label_smoothing: float = 0.1
    augmentation: str = "strong"
    seed: int = 0
    data_seed: int = 0
    threads: int = 1
    device: str = "cpu"
    start: str | None = None
    recipe: str | None = None
    pruning: Pruning | None = None
    hardware: str | None = None

    def __post_init__(self) -> None:
        for field, known in (("optimizer", get_args(Optimizer)), ("schedule", get_args(LearningRate)),
                             ("augmentation", tuple(AUGMENTATIONS))):  # fmt: skip
            value = getattr(self, field)
            if value not in known:
                raise ConfigError(f"unknown {field} '{value}'", hint=near(value, known))
        check_name(self.device)
        for field in ("epochs", "threads"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field} must be at least 1, got {getattr(self, field)}")
        if self.batch < 2:
            raise ConfigError(
                f"batch must be at least 2, got {self.batch}", hint="batch-norm needs several samples"
            )
        for field in ("seed", "data_seed"):
            if getattr(self, field) < 0:
                raise ConfigError(f"{field} must be at least 0, got {getattr(self, field)}")
        for field, most in MOST.items():
            value = getattr(self, field)
            if value is not None and value > most:
                raise ConfigError(f"{field} must be at most {most}, got {value}")
        if not 0 < self.lr < math.inf:
            raise ConfigError(f"learning rate must be greater than 0, got {self.lr}")
        if not 0 <= self.weight_decay < math.inf:
            raise ConfigError(f"weight decay must be at least 0, got {self.weight_decay}")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"label smoothing must be at least 0 and below 1, got {self.label_smoothing}")
        if self.recipe is not None and self.pruning is not None:
            raise ConfigError("a recipe and a sparsity cannot be given together")
        if self.pruning is not None and self.pruning.end > self.epochs:
            raise ConfigError(f"pruning ends after epoch {self.pruning.end:g}, the run after {self.epochs}")
        if (
            self.pruning is not None
            and self.hardware is None
            and (self.pruning.alpha or self.pruning.has_target)
        ):
            raise ConfigError("alpha and targets need hardware")
        points = self.network(2).points
        if self.pool is not None and self.pool < points:
            raise ConfigError(f"pool must be {points} points for this network, got {self.pool}")

    def network(self, classes: int) -> AnyConfig:
        """Return the configuration of the network.

        Parameters
        ----------
        classes : int
            Number of classes of the data.

        Returns
        -------
        AnyConfig
            The configuration.

        Raises
        ------
        ConfigError
            If the settings do not describe a network.
        """
        changes: dict[str, Any] = {} if self.points is None else {"points": self.points}
        return classifier_config(
            self.preset, classes=classes, normals=self.normals, delayed=self.delayed, **changes
        )

    @property
    def kept_points(self) -> int:
        """Points per cloud that the data set has to hold."""
        return self.pool or self.network(2).points
