"""A checkpoint without the channels whose weights are zero."""

from pathlib import Path
from typing import Any

import gmp
from gmp.channels import Narrowed
from pointnet.errors import CheckpointError
from pointnet.training import checkpoint
from pointnet.training.pruning_options import channel_groups_of
from pointnet.training.train import load_model


def write_narrowed(path: Path, output: Path) -> Narrowed:
    """Remove channels without weights from the network in `path`, and write it to `output`.

    `eval`, `trace` and trainings that start from it read the file; the run cannot go on from it. Raises
    CheckpointError if `output` is there already, and PruningError if no channel is without weights.
    """
    if output.exists():
        raise CheckpointError(f"{output} is there already")
    state, stored = checkpoint.load(path), load_model(path)
    groups = channel_groups_of(stored.model)
    found = gmp.narrow(stored.model, groups, after=state.get("narrowed"))
    rest: dict[str, Any] = {"optimizer": {}, "schedule": None, "pruning": None, "monitor": None}
    checkpoint.save(output, {**state, **rest, "model": found.model.state_dict(), "narrowed": found.spec})
    return found
