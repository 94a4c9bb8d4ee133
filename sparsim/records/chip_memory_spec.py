"""Records of what lies between PEs and DRAM: the link of the filters, a code for zeros, and banks."""

from sparsim.records.number_limits import MAX_INT, check_above_zero, check_whole
from sparsim.records.record import Record


class FilterLink(Record, frozen=True, kw_only=True):
    """The link between chip and DRAM through which filters arrive, and the memory that prefetches them.

    Parameters
    ----------
    gb_per_s : float
        Bandwidth of the link in GB/s.
    prefetch_bytes : int, default 0
        Bytes of filters of a pass that arrive behind the pass before; the rest streams between passes.
    source : str, default ""
        Where the numbers come from; for the reader only.

    Raises
    ------
    SpecError
        If a number is out of range.
    """

    gb_per_s: float
    prefetch_bytes: int = 0
    source: str = ""

    def __post_init__(self) -> None:
        where = "filter link"
        check_above_zero(where, "gb_per_s", self.gb_per_s)
        check_whole(where, "prefetch_bytes", self.prefetch_bytes, 0, MAX_INT)


class RunLengthCode(Record, frozen=True, kw_only=True):
    """The code of feature maps in the DRAM: pairs of a run of zeros and a value.

    Parameters
    ----------
    run_bits : int
        Bits of the length of a run.
    pairs : int
        Pairs in a word of the code.
    word_bits : int
        Bits of a word of the code.
    source : str, default ""
        Where the numbers come from; for the reader only.

    Raises
    ------
    SpecError
        If a number is out of range.

    Notes
    -----
    A run that is longer than its bits can say takes a pair with the value zero. With zeros at random and a
    fraction d of nonzeros, the tensor has d / (1 - (1 - d)^(2^run_bits)) pairs per value.
    """

    run_bits: int
    pairs: int
    word_bits: int
    source: str = ""

    def __post_init__(self) -> None:
        where = "run lengths"
        for field, most in (("run_bits", 30), ("pairs", MAX_INT), ("word_bits", MAX_INT)):
            check_whole(where, field, getattr(self, field), 1, most)


class GlbBanks(Record, frozen=True, kw_only=True):
    """The banks of a global buffer, each of which a layer uses for iacts or for psums.

    Parameters
    ----------
    number : int
        Number of banks.
    bank_bytes : int
        Bytes of a bank.
    source : str, default ""
        Where the numbers come from; for the reader only.

    Raises
    ------
    SpecError
        If a number is out of range.
    """

    number: int
    bank_bytes: int
    source: str = ""

    def __post_init__(self) -> None:
        for field in ("number", "bank_bytes"):
            check_whole("banks of the global buffer", field, getattr(self, field), 1, MAX_INT)
