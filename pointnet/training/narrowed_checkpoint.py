"""A checkpoint without the channels whose weights are zero."""

from pathlib import Path
from typing import Any

from torch import nn

import gmp
from gmp.channels import Narrowed
from pointnet.training import checkpoint
from pointnet.training.pruning_options import channel_groups_of
from pointnet.training.stored_weights import load_model
from pointnet.training.train import check_free


def write_narrowed(path: Path, folder: Path) -> Narrowed:
    """Remove channels without weights from the network in `path`, and write its checkpoint to `folder`.

    `eval`, `trace` and trainings that start from it read it; the run cannot go on from it. Raises
    CheckpointError if `folder` holds a run already, and PruningError if no channel is without weights.
    """
    check_free(folder)
    state, stored = checkpoint.load(path), load_model(path)
    groups = channel_groups_of(stored.model)
    found = gmp.narrow(stored.model, groups, after=state.get("narrowed"))
    save_narrowed(state, found.model, found.spec, folder)
    return found


def save_narrowed(state: dict[str, Any], model: nn.Module, spec: dict[str, Any], folder: Path) -> None:
    """Write the checkpoint of a network that was narrowed from that in `state`."""
    rest: dict[str, Any] = {"optimizer": {}, "schedule": None, "pruning": None, "monitor": None}
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save(
        folder / checkpoint.NAME, {**state, **rest, "model": model.state_dict(), "narrowed": spec}
    )
