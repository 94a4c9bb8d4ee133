"""Libraries of networks, for tests that are skipped where one is not installed."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest
import torch


def library(name: str) -> Any:
    """The module `name`, or a skip of the test.

    Wheels of torchvision for another build of torch lack their operations, and fail where they describe these
    to the compiler; their networks work without.
    """
    found = importlib.util.find_spec("torchvision")
    if found is not None and "torchvision" not in sys.modules and not _has_operations():
        meta = "torchvision._meta_registrations"
        sys.modules[meta] = ModuleType(meta)
    return pytest.importorskip(name)


def _has_operations() -> bool:
    try:
        importlib.import_module("torchvision.extension")
    except (ImportError, RuntimeError):
        for key in [key for key in sys.modules if key.partition(".")[0] == "torchvision"]:
            del sys.modules[key]
    return hasattr(torch.ops.torchvision, "nms")
