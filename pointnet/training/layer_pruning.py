"""Pruning of a stored network without training: sensitivities of layers, and pruning at once."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import torch

from gmp.energy import WeightCosts
from gmp.oneshot import prune_with_data
from gmp.sensitivity import SensitivityTable, scan
from gmp.sparsity_report import Report
from pointnet.classifiers import Classifier
from pointnet.data import Clouds
from pointnet.errors import ConfigError
from pointnet.model import PointNet2
from pointnet.trace_clouds import RUN_BATCH
from pointnet.training import checkpoint
from pointnet.training.pruning_options import EXAMPLE
from sparsim.fileio.reading import read_text

Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]


def sensitivity_of(
    model: PointNet2, clouds: Clouds, *, count: int, hardware: str | None = None, seed: int = 0,
    path: Path | None = None, **options: Any,
) -> SensitivityTable:  # fmt: skip
    """Scan the network on `count` clouds, with batch norms measured again on as many others.

    Raises ConfigError if there are fewer clouds, and what `gmp.sensitivity.scan` raises.
    """
    if 2 * count > len(clouds):
        raise ConfigError(
            f"{2 * count} clouds are needed to scan and to recalibrate, and {len(clouds)} are there"
        )
    order = np.random.default_rng(seed).permutation(len(clouds))
    scanned = list(batches_with_groupings(model, clouds, order[:count]))
    calibration = [batch for batch, _ in batches_with_groupings(model, clouds, order[count : 2 * count])]
    costs = None
    if hardware is not None:
        chosen = np.sort(order[:EXAMPLE])
        example = torch.from_numpy(clouds.points[chosen, : model.config.points])
        costs = WeightCosts(model, torch.split(example, RUN_BATCH), hardware)
    return scan(model, scanned, calibration=calibration, costs=costs, path=path, **options)


def pruned_with_data(
    model: PointNet2, clouds: Clouds, *, count: int, seed: int = 0, **options: Any
) -> Report:
    """Prune the network on `count` clouds in place.

    First layers are calibrated without delayed aggregation, on the neighbourhoods that they stand for.
    """
    if count > len(clouds):
        raise ConfigError(f"{count} clouds are needed to calibrate, and {len(clouds)} are there")
    plain = PointNet2(replace(model.config, delayed=False))
    plain.load_state_dict(model.state_dict())
    chosen = np.random.default_rng(seed).permutation(len(clouds))[:count]
    report = prune_with_data(
        plain, [batch for batch, _ in batches_with_groupings(model, clouds, chosen)], **options
    )
    model.load_state_dict(plain.state_dict())
    return report


def batches_with_groupings(
    model: PointNet2, clouds: Clouds, rows: np.ndarray
) -> Iterator[tuple[dict[str, Any], torch.Tensor]]:
    """Yield batches with groupings, which do not depend on weights and are computed once."""
    for part in torch.from_numpy(rows).split(RUN_BATCH):  # type: ignore[no-untyped-call]
        points = torch.from_numpy(clouds.points[part.numpy(), : model.config.points])
        groupings = model.group(points[..., :3])
        yield {"clouds": points, "groupings": groupings}, torch.from_numpy(clouds.labels[part.numpy()])


def store_pruned(source: Path, model: Classifier, target: Path) -> None:
    """Write a checkpoint with the weights of `model` and everything else of `source`."""
    state = checkpoint.load(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.save(target, {**state, "model": model.state_dict()})


def pointnet_of(model: Classifier) -> PointNet2:
    """Return the network. Raises ConfigError for sparse convolutions, whose layers are no plain modules."""
    if not isinstance(model, PointNet2):
        raise ConfigError("sensitivities and one-shot pruning are of PointNet++, not of sparse convolutions")
    return model


class Ratios(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sparsities of layers in a file: of each weight by name, and of all together."""

    sparsity: Fraction
    scope: dict[str, Fraction]


def read_ratios(path: Path) -> Ratios:
    """Read sparsities of layers from a file. Raises ConfigError if it is not such a file."""
    text = read_text(path, what="sparsities of layers", error=ConfigError)
    try:
        return msgspec.json.decode(text, type=Ratios)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: has no sparsities of layers: {error}") from None
