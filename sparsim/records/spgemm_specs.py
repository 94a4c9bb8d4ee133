"""Machines for products of sparse matrices: SIGMA, Gamma, OuterSPACE, ExTensor."""

from sparsim.records.machine_spec import MachineSpec
from sparsim.records.number_limits import MAX_INT, check_real, check_whole


class SigmaSpec(MachineSpec, frozen=True, kw_only=True, tag="sigma"):
    """An array of multipliers that holds the nonzeros of one operand, while the other streams through.

    Parameters
    ----------
    name : str
        Name of the machine.
    clock_mhz : float
        Clock in MHz.
    source : str, default ""
        Where the numbers come from; for the reader only.
    multipliers : int, default 16384
        Multipliers; each holds one nonzero of the stationary operand.
    slab : int, default 128
        Rows of the inner dim that are processed together.
    load_words : int, default 128
        Words of the stationary operand that are loaded in a cycle.

    Raises
    ------
    SpecError
        If a number is out of range.
    """

    multipliers: int = 16384
    slab: int = 128
    load_words: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("multipliers", "slab", "load_words"):
            check_whole(self.where, field, getattr(self, field), 1, MAX_INT)


class DramBoundSpec(MachineSpec, frozen=True, kw_only=True):
    """What machines share whose time is mostly that of their DRAM traffic.

    Parameters
    ----------
    name : str
        Name of the machine.
    clock_mhz : float
        Clock in MHz.
    source : str, default ""
        Where the numbers come from; for the reader only.
    dram_gib_per_s : float
        Bandwidth of DRAM in GiB (2^30 bytes) per second.
    dram_pj_per_bit : float, default 0.0
        Energy of DRAM traffic in pJ per bit; 0 where it is not known.

    Raises
    ------
    SpecError
        If a number is out of range.
    """

    dram_gib_per_s: float
    dram_pj_per_bit: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_above_zero("dram_gib_per_s", self.dram_gib_per_s)
        check_real(self.where, "dram_pj_per_bit", self.dram_pj_per_bit)


class GammaSpec(DramBoundSpec, frozen=True, kw_only=True, tag="gamma"):
    """PEs that merge rows of the right operand, which come from a cache of rows.

    Parameters
    ----------
    name : str
        Name of the machine.
    clock_mhz : float
        Clock in MHz.
    source : str, default ""
        Where the numbers come from; for the reader only.
    dram_gib_per_s : float
        Bandwidth of DRAM in GiB (2^30 bytes) per second.
    dram_pj_per_bit : float, default 0.0
        Energy of DRAM traffic in pJ per bit; 0 where it is not known.
    pes : int, default 32
        Number of PEs, each with one merger and one multiplier.
    radix : int, default 64
        Rows that a merger takes at a time.
    cache_kib : float, default 3072.0
        Size of the cache in KiB.

    Raises
    ------
    SpecError
        If a number is out of range.
    """

    pes: int = 32
    radix: int = 64
    cache_kib: float = 3072.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.where, "pes", self.pes, 1, MAX_INT)
        check_whole(self.where, "radix", self.radix, 2, MAX_INT)
        self.check_above_zero("cache_kib", self.cache_kib)


class OuterspaceSpec(DramBoundSpec, frozen=True, kw_only=True, tag="outerspace"):
    """PEs that store all products of columns and rows in DRAM, and then merge them.

    Parameters
    ----------
    name : str
        Name of the machine.
    clock_mhz : float
        Clock in MHz.
    source : str, default ""
        Where the numbers come from; for the reader only.
    dram_gib_per_s : float
        Bandwidth of DRAM in GiB (2^30 bytes) per second.
    dram_pj_per_bit : float, default 0.0
        Energy of DRAM traffic in pJ per bit; 0 where it is not known.
    pes : int, default 256
        Number of PEs.
    cache_kib : float, default 16.0
        Size of the cache of a group of PEs in KiB.

    Raises
    ------
    SpecError
        If a number is out of range.
    """

    pes: int = 256
    cache_kib: float = 16.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.where, "pes", self.pes, 1, MAX_INT)
        self.check_above_zero("cache_kib", self.cache_kib)


class ExtensorSpec(DramBoundSpec, frozen=True, kw_only=True, tag="extensor"):
    """PEs that intersect tiles of both operands, and tiles of these tiles.

    Parameters
    ----------
    name : str
        Name of the machine.
    clock_mhz : float
        Clock in MHz.
    source : str, default ""
        Where the numbers come from; for the reader only.
    dram_gib_per_s : float
        Bandwidth of DRAM in GiB (2^30 bytes) per second.
    dram_pj_per_bit : float, default 0.0
        Energy of DRAM traffic in pJ per bit; 0 where it is not known.
    pes : int, default 128
        Number of PEs.
    tile : int, default 128
        Side of the tiles that a PE works on.
    tiles : tuple of three int, default (32, 64, 128)
        Tiles of rows, of the inner dim and of columns in a tile of the buffer that all PEs share.

    Raises
    ------
    SpecError
        If a number is out of range.
    """

    pes: int = 128
    tile: int = 128
    tiles: tuple[int, int, int] = (32, 64, 128)

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("pes", "tile"):
            check_whole(self.where, field, getattr(self, field), 1, MAX_INT)
        for value in self.tiles:
            check_whole(self.where, "tiles", value, 1, MAX_INT)
