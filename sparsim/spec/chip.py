"""What an architecture does not say about a row-stationary chip: PE, network, clock, dataflow."""

from __future__ import annotations

import math

from sparsim.errors import SpecError
from sparsim.spec.base import Record
from sparsim.spec.noc import Axis, Noc
from sparsim.spec.pe import SparsePE


class ChipSpec(Record, frozen=True, kw_only=True):
    """`spread` lists per axis of the array the dims that may be spread along it. The clock takes
    `clock_pj_per_cycle` in every cycle, registers and control of a PE `control_pj_per_pe_cycle` in those in
    which it works. `dram_gb_per_s`: None for an off-chip bandwidth that never limits.
    """

    name: str
    clock_mhz: float
    pe: SparsePE
    noc: Noc
    spread: dict[Axis, tuple[str, ...]]
    clock_pj_per_cycle: float = 0.0
    control_pj_per_pe_cycle: float = 0.0
    overhead_source: str = ""
    dram_gb_per_s: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        where = f"chip {self.name}"
        for field in ("clock_mhz", "dram_gb_per_s"):
            value = getattr(self, field)
            if value is not None and not 0 < value < math.inf:  # also refuses nan
                raise SpecError(f"{field} is {value:g}, allowed is more than 0", path=where)
        for field in ("clock_pj_per_cycle", "control_pj_per_pe_cycle"):
            if not 0 <= getattr(self, field) < math.inf:
                raise SpecError(f"{field} is {getattr(self, field):g}, allowed is 0 and more", path=where)
        missing = [axis for axis in self.noc.axes if axis not in self.spread]
        if missing:
            raise SpecError(f"spread does not name the axis {missing[0]}", path=where)
