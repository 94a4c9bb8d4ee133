"""Estimators that ask hwcomponents, where it is installed (it needs Python 3.12 or newer).

    register(estimator("SRAM", {"width": int, "depth": int}, ("read", "write")))

lets a component with `class: SRAM` and `rules: hwcomponents` be answered by whatever model hwcomponents has
for that name and these attributes. Actions with arguments are asked without any. Written after the interface
of hwcomponents 1.0.114.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sparsim.errors import SpecError
from sparsim.estimate.estimator import Area, Energy, Estimate, Estimator

RULES = "hwcomponents"


def estimator(class_name: str, attributes: Mapping[str, type], actions: Sequence[str]) -> type[Estimator]:
    """An estimator, to be registered, of the class that hwcomponents calls `class_name`.

    `attributes` are those that a component has to give, with their types; the node is passed on as
    `tech_node`.
    """

    def estimate(self: Estimator, node_nm: float) -> Estimate:
        given = msgspec.structs.asdict(self)
        return _ask(class_name, {**given, "tech_node": node_nm * 1e-9}, actions)

    made: type[Any] = msgspec.defstruct(
        f"HwComponents{class_name}",
        list(attributes.items()),
        bases=(Estimator,),
        namespace={"class_name": class_name, "rules": RULES, "estimate": estimate},
        frozen=True,
        kw_only=True,
    )
    return made


def _ask(class_name: str, attributes: dict[str, Any], actions: Sequence[str]) -> Estimate:
    try:
        library = importlib.import_module("hwcomponents")
    except ImportError as error:
        raise SpecError(f"hwcomponents is not available: {error}") from None
    try:
        model = library.get_model(class_name, attributes, list(actions))
        energies = {action: float(getattr(model, action)().energy) for action in actions}
        area_m2 = float(model.area)
    except Exception as error:  # its models raise whatever they like
        raise SpecError(f"hwcomponents has no estimate: {' '.join(str(error).split())}") from error
    source = f"hwcomponents, model {type(model).__module__}.{type(model).__qualname__}"
    return Estimate(
        actions={
            action: Energy(energy_pj=energy * 1e12, source=source) for action, energy in energies.items()
        },
        area=Area(area_um2=area_m2 * 1e12, source=source),
    )
