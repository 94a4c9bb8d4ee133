"""Energy per action (ERT) and area per component (ART)."""

from __future__ import annotations

import math

from sparsim.errors import SpecError
from sparsim.spec.base import Record


class EnergyTable(Record, frozen=True, kw_only=True):
    """`actions[component][action]` in pJ per vector access (storage) or per operation (compute);
    `areas[component]` in um^2 per instance; `wire_pj_per_bit_mm` for all networks that name none of their own."""

    name: str = "energy"
    actions: dict[str, dict[str, float]] = {}
    areas: dict[str, float] = {}
    wire_pj_per_bit_mm: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        for component, actions in self.actions.items():
            for action, energy in actions.items():
                if not (energy >= 0 and math.isfinite(energy)):
                    raise SpecError(
                        f"energy of action '{action}' is {energy:g} pJ, allowed is 0 and more",
                        path=f"energy table, component {component}",
                    )
        for component, area in self.areas.items():
            if not (area >= 0 and math.isfinite(area)):
                raise SpecError(
                    f"area is {area:g} um^2, allowed is 0 and more", path=f"area table, component {component}"
                )
