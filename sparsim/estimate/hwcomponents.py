"""Numbers of hwcomponents, Accelergy's successor, where it is installed; it needs Python 3.12.

Its models are asked with the attributes of documents, a technology in metres as `tech_node`, and a `size` in
bits; actions are asked without arguments.
"""

import importlib
from collections.abc import Mapping
from typing import Any

from sparsim.errors import MissingLibraryError
from sparsim.estimate.plug_in_classes import node_nm_of

_UNKNOWN = "is not supported by any models"  # the messages of hwcomponents for unknown classes
_WIDTHS = ("width", "adder_width", "multiplier_width")
_LONGEST = 200
_CYCLE_SECONDS = 5e-9


class HwComponents:
    """Finds components in hwcomponents by class. `failures` collects its messages on classes that it could
    not estimate.

    Raises MissingLibraryError if it is not installed.
    """

    def __init__(self) -> None:
        try:
            self._package = importlib.import_module("hwcomponents")
        except ImportError as error:
            hint = "pip install hwcomponents, with Python 3.12 or newer"
            raise MissingLibraryError("--hwcomponents needs hwcomponents", hint=hint) from error
        self.failures: dict[str, str] = {}

    def find(self, kind: str, given: Mapping[str, Any]) -> dict[str, int | float | str] | None:
        """Return the attributes of a component of class `table`; None if hwcomponents has no estimate."""
        asked = dict(given)
        if given.get("technology") is not None:
            asked["tech_node"] = node_nm_of(given["technology"]) * 1e-9
        width = given.get("width", given.get("datawidth"))
        if width is not None:
            asked = dict.fromkeys(_WIDTHS, width) | asked
        if width is not None and "depth" in given:
            asked.setdefault("size", width * given["depth"])
        try:
            model = self._package.get_model(kind, asked)
            names = [
                name
                for name in dir(type(model))
                if getattr(getattr(type(model), name, None), "_is_component_action", False)
            ]
            found: dict[str, int | float | str] = {
                name: float(getattr(model, name)().energy) * 1e12 for name in names
            }
            area, leak_w = float(model.area) * 1e12, float(model.leak_power)
        except Exception as error:  # its models raise exceptions of any type
            text = " ".join(str(error).split())
            if _UNKNOWN not in text:
                self.failures[kind] = text[:_LONGEST]
            return None
        cycle = float(given.get("global_cycle_seconds", _CYCLE_SECONDS))
        source = f"hwcomponents, {type(model).__module__}.{type(model).__qualname__}"
        return {**found, "leak": leak_w * cycle * 1e12, "area_um2": area, "source": source}
