"""Reader of programs that `torch.export.save` wrote (.pt2), which runs no code from a file.

`torch.export.load` unpickles weights, constants and examples of inputs where a file asks for it, evaluates
expressions of sizes as Python, and loads compiled libraries. The file is therefore checked before: only plain
weights, plain sizes, operations of torch, and examples with tensors, numbers and text are accepted.
"""

import io
import json
import logging
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from gmp.errors import TraceError
from sparsim.fileio.reading import DEFLATE_RATIO, check_size, reading, refusal

_TARGET = re.compile(
    r"torch\.ops\.(aten|prims|higher_order|quantized_decomposed|torchvision)\.[\w.]+"
    r"|_operator\.\w+|math\.\w+|torch\.(sym_\w+|_sym_\w+)|torch\._higher_order_ops\.[\w.]+"
)
_EXPRESSION = re.compile(r"[\w\s+\-*/%(),<>=!&|~]*")
_NAMES = {"Max", "Min", "Mod", "FloorDiv", "PythonMod", "CleanDiv", "CeilDiv", "Eq", "Ne", "And", "Or", "Not",
          "True", "False", "Lt", "Le", "Gt", "Ge", "Identity", "TruncToInt", "IntTrueDiv"}  # fmt: skip


class ExportedModel(NamedTuple):
    """A program that was read from a file, and its example.

    Attributes
    ----------
    module : nn.Module
        Module that runs the program.
    example : tuple
        Positional and keyword arguments (args, kwargs) of an example; () if the file has none.
    """

    module: nn.Module
    example: tuple[Any, ...]


def run_example(model: nn.Module, example: Any) -> object:
    """Run a model on the example of a program, as the `forward` argument of a trace.

    Parameters
    ----------
    model : nn.Module
        Module to run.
    example : tuple
        Positional and keyword arguments (args, kwargs).

    Returns
    -------
    object
        The output of the model.
    """
    args, kwargs = example
    return model(*args, **kwargs)


def load_program(path: str | Path) -> ExportedModel:
    """Read a program that `torch.export.save` wrote, without running code from the file.

    Parameters
    ----------
    path : str or Path
        A .pt2 file.

    Returns
    -------
    ExportedModel
        The program and its example.

    Notes
    -----
    Raises `TraceError` if the file is not such a program, or contains anything that would run code when
    loaded.
    """
    with reading(path, "a program of torch.export", TraceError):
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                raise refusal(path, "is not a program of torch.export", TraceError)
        with zipfile.ZipFile(path) as archive:
            _check(path, archive)
        with _quiet():
            program = torch.export.load(path)
        module = program.module()
        # these only raise that they are not supported, because a program has one mode
        for name in ("train", "eval"):
            vars(module).pop(name, None)
        return ExportedModel(module, program.example_inputs or ())


def _check(path: str | Path, archive: zipfile.ZipFile) -> None:
    """Raise TraceError for files with anything that is not data."""
    size = sum(info.file_size for info in archive.infolist())
    check_size(path, "its contents", size, Path(path).stat().st_size * DEFLATE_RATIO, TraceError)
    members = {info.filename.partition("/")[2]: info for info in archive.infolist()}
    if not any(re.fullmatch(r"models/.*\.json", name) for name in members):
        raise refusal(path, "has no program in the format of torch 2.7 and later", TraceError)
    for name, info in members.items():
        if name.startswith("data/aotinductor/"):
            raise refusal(path, f"holds a compiled library, {name}, which is not loaded", TraceError)
        if re.fullmatch(r"data/(weights|constants)/.*\.json", name):
            payloads = json.loads(archive.read(info))["config"]
            for key, payload in payloads.items():
                own = re.fullmatch(r"(weight|tensor)_\d+", payload["path_name"])
                if payload["use_pickle"] or not own:
                    raise refusal(path, f"keeps '{key}' as a Python object, which is not loaded", TraceError)
        elif re.fullmatch(r"data/(weights|constants)/.*\.pt", name):
            raise refusal(path, f"keeps {name} as Python objects, which are not loaded", TraceError)
        elif re.fullmatch(r"data/sample_inputs/.*\.pt", name):
            _check_example(path, archive.read(info))
        elif re.fullmatch(r"models/.*\.json", name):
            _check_program(path, json.loads(archive.read(info)))


def _check_example(path: str | Path, data: bytes) -> None:
    try:
        torch.load(io.BytesIO(data), weights_only=True) if data else None
    except Exception:
        text = "has example inputs with Python objects, which are not loaded"
        raise refusal(path, text, TraceError) from None


def _check_program(path: str | Path, program: Any) -> None:
    """Refuse functions other than those of torch, and expressions other than sizes."""
    for key, value in _strings(program):
        words = re.findall(r"[A-Za-z_]\w*", value)
        known = all(word in _NAMES or re.fullmatch(r"[a-z]{1,2}\d+", word) for word in words)
        plain = known and _EXPRESSION.fullmatch(value)
        if (key == "target" and not _TARGET.fullmatch(value)) or (key == "expr_str" and not plain):
            raise refusal(path, f"has '{value[:60]}', which is not an operation of torch", TraceError)


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield all texts with their keys in mappings."""
    waiting = [(key, value)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(key, item) for item in value]
        elif isinstance(value, str):
            yield key, value


@contextmanager
def _quiet() -> Iterator[None]:
    """Disable torch's logger, because torch also logs the errors that it raises."""
    logger = logging.getLogger("torch.export")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
