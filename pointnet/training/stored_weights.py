"""Load the network of a checkpoint."""

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from gmp import rebuild
from gmp.parameter_names import renamed
from pointnet.classifiers import Classifier, classifier
from pointnet.device_names import device_called
from pointnet.errors import CheckpointError
from pointnet.training import checkpoint
from pointnet.training.checkpoint import check_like
from pointnet.training.settings import Settings
from sparsim.fileio.reading import reading


class Stored(NamedTuple):
    """The network of a checkpoint in eval mode.

    Parameters
    ----------
    model : Classifier
        The network.
    settings : Settings
        The settings of its training.
    classes : tuple of str
        Names of the classes.
    digest : str
        SHA-256 of the weights.
    """

    model: Classifier
    settings: Settings
    classes: tuple[str, ...]
    digest: str  # of the weights


def load_model(path: Path, device: str = "cpu") -> Stored:
    """Load the network of a checkpoint.

    Parameters
    ----------
    path : Path
        The checkpoint.
    device : str, default "cpu"
        Device of torch.

    Returns
    -------
    Stored
        The network in eval mode, and its settings.

    Raises
    ------
    CheckpointError
        If the file is not a checkpoint of a network.
    ConfigError
        If the device does not exist.
    """
    place = device_called(device)
    state = checkpoint.load(path)
    settings = msgspec.convert(state["settings"], Settings)
    with reading(path, "a network", CheckpointError):
        model = classifier(settings.network(len(state["classes"])))
    _load_state(model, state, path)
    return Stored(
        model.to(place).eval(), settings, tuple(state["classes"]), checkpoint.digest(state["model"])
    )


def load_weights(model: Classifier, path: Path) -> dict[str, Any] | None:
    """Copy the weights of a checkpoint into a network, and remove the channels that were removed there.

    Parameters
    ----------
    model : Classifier
        The network.
    path : Path
        The checkpoint.

    Returns
    -------
    dict or None
        What was removed from the network of the checkpoint; None if it is whole.

    Raises
    ------
    CheckpointError
        If the weights belong to another network.
    """
    state = checkpoint.load(path)
    _load_state(model, state, path)
    return state.get("narrowed")


def _load_state(model: Classifier, state: dict[str, Any], path: Path) -> None:
    if (spec := state.get("narrowed")) is not None:
        with reading(path, "a narrowed network", CheckpointError):
            rebuild(model, spec)
    weights = renamed(state["model"], model.state_dict())  # the network may be compiled
    check_like(weights, model.state_dict(), f"{path}: model")
    model.load_state_dict(weights)
