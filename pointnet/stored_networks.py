"""Loading of a network from a checkpoint, with the data that it classifies."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from pointnet.data import Dataset
from pointnet.errors import DataError
from pointnet.training.run_training import data_of
from pointnet.training.stored_weights import Stored, load_model
from sparsim.report.console import messages


class StoredNetwork(NamedTuple):
    """The network and the clouds that a command uses."""

    network: Stored
    data: Dataset


def stored_network(checkpoint: str, source: str | None, device: str = "cpu") -> StoredNetwork:
    """Load a network with the clouds of `source`, or of its training data, which must have the network's
    classes.
    """
    stored = load_model(Path(checkpoint), device)
    settings = stored.settings if source is None else replace(stored.settings, data=source)
    data = data_of(settings, messages())
    if data.classes != stored.classes:
        seen, known = ", ".join(data.classes), ", ".join(stored.classes)
        raise DataError(f"{settings.data}: classes are {seen}; the network knows {known}")
    return StoredNetwork(stored, data)
