"""Tensor cores that skip zeros of weights with an N:M pattern, as 2:4."""

import re

from sparsim.errors import SpecError
from sparsim.records.machine_spec import MachineSpec
from sparsim.records.number_limits import check_real, check_whole


class TensorCoreSpec(MachineSpec, frozen=True, kw_only=True, tag="tensor_core"):
    """A processor with tensor cores for dense weights and for weights with an N:M pattern.

    Of each group of M weights along the input channels at most N are not zero.

    Parameters
    ----------
    name : str
        Name of the machine.
    clock_mhz : float
        Clock in MHz.
    source : str, default ""
        Where the numbers come from; for the reader only.
    pattern : str, default "2:4"
        N:M, how many weights of how large a group may be nonzero.
    weight_bits, input_bits, output_bits : int, default 16
        Bits of a word of each tensor in DRAM.
    dense_macs_per_cycle : float
        Multiplications per cycle of the whole processor with dense weights.
    sparse_macs_per_cycle : float, default None
        The same with N:M weights, counting the multiplications with zeros that are skipped; by default M/N
        times as many as with dense ones.
    dram_gb_per_s : float
        Bandwidth of DRAM in 10^9 bytes per second.
    launch_us : float, default 0.0
        Time in us that starting a layer takes, in addition to its computation and traffic.
    pj_per_mac : float, default 0.0
        Energy in pJ of a multiplication that is computed; 0 where it is not known.
    dram_pj_per_bit : float, default 0.0
        Energy of DRAM traffic in pJ per bit; 0 where it is not known.

    Raises
    ------
    SpecError
        If a number is out of range, if the pattern is not of the form N:M, or if N is larger than M.

    Examples
    --------
    >>> from sparsim.records.tensor_core_spec import TensorCoreSpec
    >>> a100 = {"name": "a100", "clock_mhz": 1410.0, "dense_macs_per_cycle": 110592.0, "dram_gb_per_s": 2e3}
    >>> TensorCoreSpec(**a100).storage_ratio
    0.5625
    >>> TensorCoreSpec(**a100, weight_bits=8).storage_ratio
    0.625
    """

    pattern: str = "2:4"
    weight_bits: int = 16
    input_bits: int = 16
    output_bits: int = 16
    dense_macs_per_cycle: float
    sparse_macs_per_cycle: float | None = None
    dram_gb_per_s: float
    launch_us: float = 0.0
    pj_per_mac: float = 0.0
    dram_pj_per_bit: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"\d{1,5}:\d{1,5}", str(self.pattern), re.ASCII):
            raise SpecError(f"pattern must be N:M, such as '2:4', got {self.pattern!r}", path=self.where)
        if not 1 <= self.nonzeros <= self.group:
            raise SpecError(
                f"the N of the pattern N:M must be between 1 and M, got '{self.pattern}'", path=self.where
            )
        for field in ("weight_bits", "input_bits", "output_bits"):
            check_whole(self.where, field, getattr(self, field), 1, 1024)
        for field in ("dense_macs_per_cycle", "dram_gb_per_s"):
            self.check_above_zero(field, getattr(self, field))
        if self.sparse_macs_per_cycle is not None:
            self.check_above_zero("sparse_macs_per_cycle", self.sparse_macs_per_cycle)
        for field in ("launch_us", "pj_per_mac", "dram_pj_per_bit"):
            check_real(self.where, field, getattr(self, field))

    @property
    def nonzeros(self) -> int:
        """Weights of a group that may be nonzero: the N of N:M."""
        return int(self.pattern.partition(":")[0])

    @property
    def group(self) -> int:
        """Weights of a group: the M of N:M."""
        return int(self.pattern.partition(":")[2])

    @property
    def index_bits(self) -> int:
        """Bits that say where in its group a kept weight stands."""
        return (self.group - 1).bit_length()

    @property
    def storage_ratio(self) -> float:
        """Bits of stored N:M weights over those of dense ones: `(N/M) * (1 + ceil(log2 M) / weight_bits)`."""
        return self.nonzeros * (self.weight_bits + self.index_bits) / (self.group * self.weight_bits)

    @property
    def sparse_peak(self) -> float:
        """Multiplications per cycle with N:M weights, those with zeros included."""
        return self.sparse_macs_per_cycle or self.dense_macs_per_cycle * self.group / self.nonzeros
