"""PointAcc (MICRO 2021): a unit for operations on coordinates beside an array for products."""

from typing import Literal

from sparsim.errors import SpecError
from sparsim.records.machine_spec import MachineSpec
from sparsim.records.number_limits import MAX_INT, check_real, check_whole


class PointAccSpec(MachineSpec, frozen=True, kw_only=True, tag="pointacc"):
    """An accelerator of point-cloud networks: a mapping unit, a memory unit and a matrix unit.

    Parameters
    ----------
    name : str
        Name of the machine.
    clock_mhz : float
        Clock in MHz.
    source : str, default ""
        Where the numbers come from; for the reader only.
    lanes : int, default 64
        Distances per cycle of the mapping unit, which are also the width of its sorter and merger.
    rows, columns : int, default 64
        Multipliers of the matrix unit along the input and along the output channels.
    word_bytes : int, default 2
        Bytes of a word of features, weights and coordinates.
    sram_kib : float, default 776.0
        Size of the on-chip memories together in KiB.
    cache_kib : float, default 388.0
        What of it caches features of inputs that are fetched on demand, in KiB.
    dram_gb_per_s : float
        Bandwidth of DRAM in 10^9 bytes per second.
    flow : {"fetch-on-demand", "gather-scatter"}, default "fetch-on-demand"
        How features get to the matrix unit where a map says which ones: one by one through a cache, or
        gathered in DRAM, with results scattered there.
    fused : bool, default True
        Whether consecutive layers on the same points keep what is between them on chip.
    overlapped : bool, default False
        Whether the mapping unit works for a layer while the matrix unit does.
    pj_per_mac : float, default 0.0
        Energy in pJ of a multiplication; 0 where it is not known.
    dram_pj_per_bit : float, default 0.0
        Energy of DRAM traffic in pJ per bit; 0 where it is not known.

    Raises
    ------
    SpecError
        If a number is out of range.
    """

    lanes: int = 64
    rows: int = 64
    columns: int = 64
    word_bytes: int = 2
    sram_kib: float = 776.0
    cache_kib: float = 388.0
    dram_gb_per_s: float
    flow: Literal["fetch-on-demand", "gather-scatter"] = "fetch-on-demand"
    fused: bool = True
    overlapped: bool = False
    pj_per_mac: float = 0.0
    dram_pj_per_bit: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("lanes", "rows", "columns", "word_bytes"):
            check_whole(self.where, field, getattr(self, field), 1, MAX_INT)
        for field in ("sram_kib", "dram_gb_per_s"):
            self.check_above_zero(field, getattr(self, field))
        for field in ("cache_kib", "pj_per_mac", "dram_pj_per_bit"):
            check_real(self.where, field, getattr(self, field))
        if self.cache_kib > self.sram_kib:
            raise SpecError(
                f"cache_kib must be at most sram_kib, which is {self.sram_kib:g}, got {self.cache_kib:g}",
                path=self.where,
            )
