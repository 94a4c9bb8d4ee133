"""Files that a killed run leaves whole: written beside their place, then moved into it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pointnet.errors import CheckpointError
from sparsim.file_writing import write_bytes

FORMAT = 2
NAME = "checkpoint.pt"


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Tensors, numbers, text, and lists and dicts of them."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    write_bytes(path, buffer.getvalue())


def load(path: Path) -> dict[str, Any]:
    """The state that `save` wrote; a folder stands for the checkpoint of the run in it.

    Raises CheckpointError for a file that is missing, cut off, or something else.
    """
    if path.is_dir():
        path = path / NAME
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except OSError:
        raise
    except Exception as error:  # whatever the library makes of a spoiled file
        raise CheckpointError(f"{path}: is no checkpoint, or was cut off") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        seen = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(f"{path}: has format {seen}, {FORMAT} is expected")
    return state


def digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of a state_dict's names, shapes and values, in hex."""
    found = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
