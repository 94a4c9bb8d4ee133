"""A network in a checkpoint, and the data that it classifies."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from pointnet.data import Dataset
from pointnet.errors import DataError
from pointnet.training.run_training import data_of
from pointnet.training.train import Stored, load_model
from sparsim.report.console import messages


class StoredNetwork(NamedTuple):
    """What a command works on."""

    network: Stored
    data: Dataset


def stored_network(checkpoint: str, source: str | None, device: str = "cpu") -> StoredNetwork:
    """Of clouds with the classes that the network knows: of `source`, or of what it was trained on."""
    stored = load_model(Path(checkpoint), device)
    settings = stored.settings if source is None else replace(stored.settings, data=source)
    data = data_of(settings, messages())
    if data.classes != stored.classes:
        seen, known = ", ".join(data.classes), ", ".join(stored.classes)
        raise DataError(f"{settings.data}: classes are {seen}; the network knows {known}")
    return StoredNetwork(stored, data)
