"""Checkpoints: the state of a run in one file, verified and checked when it is read.

The archive that `torch.save` writes holds a CRC-32 of each of its parts, which `torch.load` does not verify:
weights with a flipped bit would load like any others. `load` verifies them all before anything is unpacked.
"""

import hashlib
import io
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Annotated, Any, NoReturn
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import msgspec
import torch
from torch import Tensor

from pointnet.errors import CheckpointError
from pointnet.training.settings import Settings
from sparsim.fileio.reading import reading
from sparsim.fileio.writing import write_bytes

FORMAT = 2
NAME = "checkpoint.pt"
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Part = dict[str, Any]


class Sums(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sums over the steps of the epoch at hand.

    Attributes
    ----------
    loss : float
        Sum of the losses.
    right : int
        Clouds whose class was found.
    seen : int
        Clouds in all.
    """

    loss: float
    right: _Count
    seen: _Count


class State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a checkpoint holds; tensors are in `model`, `optimizer`, `pruning` and `monitor`.

    Attributes
    ----------
    format : int
        Version of this form.
    settings : Settings
        Settings of the run.
    classes : list of str
        Names of the classes, in the order of the outputs.
    data : str
        Digest of the data set.
    began : str or None
        Digest of the weights of `settings.start`; None without one.
    step : int
        Steps of the optimizer that are done.
    cpu_s : float
        CPU time of the run so far in s.
    sums : Sums
        Sums over the steps of the epoch at hand.
    history : list of dict
        Rows of metrics.csv, one for each epoch.
    score : pair of tuple of int, or None
        Right answers and clouds of each class after the latest epoch.
    model, optimizer : dict
        The `state_dict` of the network and of the optimizer.
    schedule : dict or None
        The state of the schedule of the learning rate.
    pruning : dict or None
        The state of the pruning, masks included.
    monitor : dict or None
        The readings of energy and cycles.
    narrowed : dict or None, default None
        What was removed of the network (`gmp.rebuild`); only narrowed networks have it.
    """

    format: int
    settings: Settings
    classes: Annotated[list[str], msgspec.Meta(min_length=1)]
    data: str
    began: str | None
    step: _Count
    cpu_s: Annotated[float, msgspec.Meta(ge=0)]
    sums: Sums
    history: list[dict[str, float]]
    score: tuple[tuple[_Count, ...], tuple[_Count, ...]] | None
    model: _Part
    optimizer: _Part
    schedule: _Part | None
    pruning: _Part | None
    monitor: _Part | None
    narrowed: _Part | None = None


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint.

    Parameters
    ----------
    path : Path
        File to write.
    state : mapping of str to object
        The fields of `State` except `format`: tensors, numbers, text, and lists and dicts of these.
    """
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **state}, buffer)
    write_bytes(path, buffer.getvalue())


def load(path: Path) -> dict[str, Any]:
    """Read and verify a checkpoint.

    Parameters
    ----------
    path : Path
        A file that `save` wrote, or the folder of a run with a checkpoint.

    Returns
    -------
    dict
        The state as passed to `save`, with `format`.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, truncated or not a checkpoint, or if a part of the state is missing,
        unknown, of another type, or not finite.
    """
    if path.is_dir():
        path = path / NAME
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint")
    with reading(path, "a checkpoint", CheckpointError):
        data = path.read_bytes()
        _verify(data, path)
        try:
            state = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
        except UnpicklingError:
            raise CheckpointError(f"{path}: holds more than tensors, numbers and text") from None
        _check(state, path)
    found: dict[str, Any] = state
    return found


def _verify(data: bytes, path: Path) -> None:
    """Compare the archive with its checksums."""
    try:
        archive = ZipFile(io.BytesIO(data))
    except BadZipFile:
        raise CheckpointError(f"{path}: is not a checkpoint, or is truncated") from None
    names = archive.namelist()
    try:
        if len(set(names)) < len(names):
            raise BadZipFile("a part is there twice")
        for info in archive.infolist():
            if info.compress_type != ZIP_STORED:
                raise BadZipFile("a part is compressed")
            archive.read(info)  # compares the checksum
    except Exception as error:  # the library raises various errors for damaged files
        raise CheckpointError(
            f"{path}: is damaged: {error}", hint="copy the tensor, or train again in another folder"
        ) from error


def _check(state: Any, path: Path) -> None:
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        seen = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise CheckpointError(f"{path}: must have format {FORMAT}, got {seen}")
    try:
        checked = msgspec.convert(state, State)
    except msgspec.ValidationError as error:
        raise CheckpointError(f"{path}: is damaged, or of another version: {error}") from error
    if missing := set(Settings.__struct_fields__) - set(state["settings"]):
        raise CheckpointError(f"{path}: its settings have no {', '.join(sorted(missing))}")
    if len(set(checked.classes)) < len(checked.classes):
        raise CheckpointError(f"{path}: a class is named twice")
    if checked.score is not None:
        right, total = checked.score
        fits = len(right) == len(total) == len(checked.classes) and sum(total) > 0
        if not fits or any(r > n for r, n in zip(right, total, strict=True)):
            raise CheckpointError(f"{path}: its score is not one of {len(checked.classes)} classes")
    for key, value in state.items():
        for place, leaf in _leaves(value, key):
            if isinstance(leaf, float) and not math.isfinite(leaf):
                raise CheckpointError(f"{path}: {place} must be a finite number, got {leaf}")
            if isinstance(leaf, Tensor):
                _check_tensor(leaf, f"{path}: {place}")


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield all values that are neither dicts nor lists, with their place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{place}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{place}[{index}]")
    else:
        yield place, value


def _check_tensor(tensor: Tensor, where: str) -> None:
    if tensor.device.type != "cpu" or tensor.layout != torch.strided or tensor.is_quantized:
        raise CheckpointError(f"{where} is not a plain tensor in memory")
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        raise CheckpointError(f"{where} has shape {tuple(tensor.shape)}, less is stored of it")
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        raise CheckpointError(f"{where} has a value that is not finite")


def check_like(found: Any, wanted: Any, where: str) -> None:
    """Refuse a state with other keys, types, shapes or dtypes than a reference.

    Parameters
    ----------
    found : object
        State to check: tensors, numbers, text, and lists and mappings of these.
    wanted : object
        State with the expected structure.
    where : str
        Name of the state in messages.

    Raises
    ------
    CheckpointError
        If the states differ in structure.
    """

    def refuse(what: str) -> NoReturn:
        raise CheckpointError(f"{where} {what}")

    if isinstance(wanted, Tensor):
        if not isinstance(found, Tensor) or found.dtype != wanted.dtype:
            refuse(f"is {getattr(found, 'dtype', type(found).__name__)}, the network has {wanted.dtype}")
        if found.shape != wanted.shape:
            refuse(f"is {tuple(found.shape)}, the network has {tuple(wanted.shape)}")
    elif isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            refuse(f"must be a mapping, got {type(found).__name__}")
        for key in wanted:
            if key not in found:
                refuse(f"lacks '{key}'")
        for key in found:
            if key not in wanted:
                refuse(f"has an unknown entry '{key}'")
            check_like(found[key], wanted[key], f"{where} '{key}'")
    elif isinstance(wanted, list | tuple):
        if not isinstance(found, list | tuple) or len(found) != len(wanted):
            refuse(f"is not a list of {len(wanted)} entries")
        for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
            check_like(one, other, f"{where} [{index}]")
    elif type(found) is not type(wanted) and not {type(found), type(wanted)} <= {int, float}:
        refuse(f"must be {type(wanted).__name__}, got {type(found).__name__}")


def digest(state: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 of the names, dtypes, shapes and values in a state_dict.

    Parameters
    ----------
    state : mapping of str to Tensor
        Tensors by name; their order and device do not matter.

    Returns
    -------
    str
        The digest in hex.
    """
    found = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
