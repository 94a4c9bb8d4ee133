"""Python files of users whose functions the expressions of version 0.4 documents may call."""

import os
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sparsim.errors import SpecError
from sparsim.fileio.reading import reading
from sparsim.files.yaml_reading import YamlMap

CUSTOM_FUNCTIONS = "expression_custom_functions"

Functions = dict[str, Callable[..., Any]]


def find_custom_functions(document: YamlMap, folders: Sequence[Path]) -> list[str]:
    """The Python files that a document names, with the first of the folders that has each.

    The names in the document are replaced by these paths. No file is read.
    """
    found: list[str] = []
    for key in document:
        settings = document[key]
        if "globals" not in key or not isinstance(settings, YamlMap):
            continue
        names = settings.get(CUSTOM_FUNCTIONS)
        if isinstance(names, list):
            settings[CUSTOM_FUNCTIONS] = [_with_folder(name, folders) for name in names]
            found += [path for path in settings[CUSTOM_FUNCTIONS] if isinstance(path, str)]
    return found


def _with_folder(name: Any, folders: Sequence[Path]) -> Any:
    if not isinstance(name, str):
        return name
    places = [str(folder.absolute() / name) for folder in folders]
    return next(filter(os.path.isfile, places), places[0])


def run_custom_functions(paths: Sequence[str]) -> Functions:
    """The functions that Python files define, whose code this runs. Raises SpecError."""
    functions: Functions = {}
    for path in paths:
        with reading(path, "a Python file", SpecError):
            found = runpy.run_path(path)
        functions |= {key: value for key, value in found.items() if callable(value) and key[0] != "_"}
    return functions
