"""The record of a PE: scratchpads, arithmetic, pipeline, and which zeros it skips."""

from sparsim.records.number_limits import MAX_INT, check_whole
from sparsim.records.record import Record

MAX_COUNT_BITS = 30  # a run of zeros has up to 2^30 of them


class Spad(Record, frozen=True, kw_only=True):
    """A scratchpad of a PE.

    Parameters
    ----------
    words : int, default 0
        Number of words; 0 stands for no scratchpad.
    bits : int, default 0
        Bits of a word.

    Raises
    ------
    SpecError
        If a number is out of range.
    """

    words: int = 0
    bits: int = 0

    def __post_init__(self) -> None:
        for field in ("words", "bits"):
            check_whole("scratchpad", field, getattr(self, field), -MAX_INT, MAX_INT)


class SparsePE(Record, frozen=True, kw_only=True):
    """A PE that works on one filter row of a tile of filters and channels.

    Every iact of the window is multiplied with its column: the weights of all filters of the tile for the
    iact's channel and filter position, `simd_width` of them per cycle. A zero iact that is not skipped takes
    its cycles with the MACs gated, and so does whatever fills up the last word of a compressed column.

    Parameters
    ----------
    name : str, default "PE"
        Name for messages.
    simd_width : int, default 1
        MACs per cycle, all of one iact.
    value_bits : int, default 8
        Bits of a weight or iact.
    count_bits : int, default 4
        Bits of the count of zeros before a nonzero; a longer run needs an explicit zero.
    iact_address : Spad, default Spad()
        One word per segment of C0 * U iacts, which says where the segment ends.
    iact_data : Spad
        One word per iact, with its count if zeros are skipped.
    weight_address : Spad, default Spad()
        One word per column, which says where the column ends.
    weight_data : Spad
        `simd_width` weights per word, with their counts if zeros are skipped.
    psum : Spad
        One word per filter of the tile.
    skips_zero_iacts : bool, default False
        Whether zero iacts are stored compressed and skipped.
    skips_zero_weights : bool, default False
        Whether zero weights are stored compressed and skipped.
    pipeline_stages : int, default 0
        Stages of the fetch pipeline. A pass takes one cycle less than that to fill them; 0 stands for ideal
        fetching.
    lookahead_columns : int, default 1
        Columns that may wait for the MACs.
    accumulate_cycles : int, default 1
        Cycles from one MAC to the next that may add to the same psum, 1 or 2: 2 for MACs that multiply in one
        stage of the pipeline and add in the next.
    source : str, default ""
        Where the numbers come from; for the reader only.

    Raises
    ------
    SpecError
        If a number is out of range, or if a scratchpad is too narrow for what it holds.

    Notes
    -----
    The fetch pipeline settles one nonzero iact per cycle, and keeps up to `lookahead_columns` columns waiting
    for the MACs. An iact whose column is empty takes its cycle there and goes no further, and so does a
    segment of the window without any nonzero: such cycles are hidden while columns wait. With 0 stages
    nothing of this costs time, and a column of n entries takes ceil(n / simd_width) cycles. This is a model:
    no source says how many columns wait, or that empty segments cost a cycle. With it depthwise layers, whose
    segments are single iacts, have no cycles to skip, as the paper reports.

    With 2 `accumulate_cycles` the MACs wait a cycle before a column whose first word has a filter of the last
    word before it. With one filter, as in depthwise layers, that is every column of a window but the first.
    The psums of a window are handed over before the next one begins. Ideal fetching has no such cycles
    either.
    """

    name: str = "PE"
    simd_width: int = 1
    value_bits: int = 8
    count_bits: int = 4
    iact_address: Spad = Spad()
    iact_data: Spad
    weight_address: Spad = Spad()
    weight_data: Spad
    psum: Spad
    skips_zero_iacts: bool = False
    skips_zero_weights: bool = False
    pipeline_stages: int = 0
    lookahead_columns: int = 1
    accumulate_cycles: int = 1
    source: str = ""

    def __post_init__(self) -> None:
        least = {
            "simd_width": 1,
            "value_bits": 1,
            "count_bits": 0,
            "pipeline_stages": 0,
            "lookahead_columns": 1,
            "accumulate_cycles": 1,
        }
        for field, allowed in least.items():
            self._check(field, getattr(self, field), allowed)
        check_whole(f"PE {self.name}", "count_bits", self.count_bits, 0, MAX_COUNT_BITS)
        check_whole(f"PE {self.name}", "accumulate_cycles", self.accumulate_cycles, 1, 2)
        need_bits = {
            "iact_data": self._stored_bits(self.skips_zero_iacts),
            "weight_data": self.simd_width * self._stored_bits(self.skips_zero_weights),
            "psum": 1,
        }
        if self.skips_zero_iacts:  # an end behind the last word wraps around to 0
            need_bits["iact_address"] = (self.iact_data.words - 1).bit_length()
        if self.skips_zero_weights:
            need_bits["weight_address"] = (self.weight_data.words - 1).bit_length()
        for name in ("iact_address", "iact_data", "weight_address", "weight_data", "psum"):
            spad: Spad = getattr(self, name)
            self._check(f"words of {name}", spad.words, 1 if name in need_bits else 0)
            self._check(f"bits of {name}", spad.bits, need_bits.get(name, 0))

    def _check(self, what: str, value: int, least: int) -> None:
        check_whole(f"PE {self.name}", what, value, least, MAX_INT)

    def _stored_bits(self, counted: bool) -> int:
        return self.value_bits + (self.count_bits if counted else 0)

    @property
    def longest_run(self) -> int:
        """Zeros that an explicit zero stands for, itself included."""
        return 1 << self.count_bits

    @property
    def fill_cycles(self) -> int:
        """Cycles of a pass before its first MACs are done, less one."""
        return max(0, self.pipeline_stages - 1)
