"""What the accelerator does with zeros: formats, gating, skipping."""

from typing import Literal

from sparsim.errors import SpecError
from sparsim.records.architecture import Storage
from sparsim.records.number_limits import MAX_INT, MAX_NAMES, MAX_PARTS, check_number, check_whole, repeated
from sparsim.records.record import Record

RankKind = Literal["U", "UOP", "UB", "CP", "RLE", "B"]
COMPRESSED_KINDS = ("CP", "RLE", "B")
SafKind = Literal["gating", "skipping", "skipping-spatial"]
MAX_SAFS = 1024


class Rank(Record, frozen=True, kw_only=True):
    """One rank of a tensor format. `flattened` lists groups of dims that this rank may absorb together.

    Word bits None: the level's `metadata_word_bits` (metadata of `B`: 1).
    """

    format: RankKind
    flattened: tuple[tuple[str, ...], ...] = ()
    metadata_word_bits: int | None = None
    payload_word_bits: int | None = None

    @property
    def compressed(self) -> bool:
        return self.format in COMPRESSED_KINDS

    def __post_init__(self) -> None:
        for field in ("metadata_word_bits", "payload_word_bits"):
            check_whole(f"rank {self.format}", field, getattr(self, field), 0, MAX_INT)
        check_number(f"rank {self.format}", "groups of flattened dims", self.flattened, MAX_PARTS)


def rank_word_bits(rank: Rank, level: Storage) -> tuple[int, int]:
    """Bits of a metadata and of a payload word of `rank` at `level` (model 6.2).

    Given widths that do not divide the metadata width grow until they do, at most to the double.
    """
    default = level.metadata_word_bits
    if rank.format == "UB":
        return default, default
    metadata, payload = rank.metadata_word_bits, rank.payload_word_bits
    if metadata is None:
        metadata = 1 if rank.format == "B" else default
    else:
        metadata = _dividing(metadata, level.metadata_width_bits)
    return metadata, default if payload is None else _dividing(payload, level.metadata_width_bits)


def _dividing(bits: int, width_bits: int) -> int:
    if bits == 0 or width_bits % bits == 0:
        return bits
    if bits > width_bits:
        return 2 * bits
    most, least = (
        width_bits // bits,
        width_bits // (2 * bits),
    )  # words per access now, and with twice the bits
    if most - least < bits:
        return next((width_bits // n for n in range(most, least, -1) if width_bits % n == 0), 2 * bits)
    return next((wider for wider in range(bits, 2 * bits) if width_bits % wider == 0), 2 * bits)


class TensorFormat(Record, frozen=True, kw_only=True):
    """How `level` stores `dataspace`; ranks top (outermost) first."""

    level: str
    dataspace: str
    ranks: tuple[Rank, ...]
    order: Literal["outer-to-inner", "inner-to-outer"] = "outer-to-inner"

    def __post_init__(self) -> None:
        where = f"format of {self.dataspace} at {self.level}"
        if not self.ranks:
            raise SpecError("no ranks, at least one is needed", path=where)
        check_number(where, "ranks", self.ranks, MAX_PARTS)
        above = False
        for rank in self.ranks:
            if above and not rank.compressed:
                raise SpecError(f"uncompressed rank {rank.format} lies below a compressed one", path=where)
            above = above or rank.compressed

    @property
    def compressed(self) -> bool:
        return any(r.compressed for r in self.ranks)


class Option(Record, frozen=True, kw_only=True):
    """Do not touch `target` while the matching tile of any dataspace in `condition_on` is empty."""

    target: str
    condition_on: tuple[str, ...]


class Saf(Record, frozen=True, kw_only=True):
    """A sparse acceleration feature of a storage level; of several options the best is taken."""

    level: str
    type: SafKind
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        where = f"{self.type} at {self.level}"
        if not self.options:
            raise SpecError("no options, at least one is needed", path=where)
        check_number(where, "options", self.options, MAX_PARTS)
        for option in self.options:
            check_number(where, "dataspaces in condition_on", option.condition_on, MAX_NAMES)
            if not option.condition_on:
                raise SpecError(f"condition_on of target '{option.target}' is empty", path=where)
        if self.type == "skipping-spatial" and len(self.options) > 1:
            raise SpecError("spatial skipping takes exactly one option", path=where)


class SparsePolicy(Record, frozen=True, kw_only=True):
    """Formats and SAFs of one design. An empty policy counts as dense but reports the sparse way, unless
    `always_active` has it processed all the same."""

    name: str = "policy"
    formats: tuple[TensorFormat, ...] = ()
    safs: tuple[Saf, ...] = ()
    compute_gating: bool = False
    compute_skipping: bool = False
    always_active: bool = False

    def __post_init__(self) -> None:
        twice = repeated((f.level, f.dataspace) for f in self.formats)
        if twice is not None:
            raise SpecError(f"two formats for {twice[1]} at {twice[0]}", path=f"policy {self.name}")
        check_number(f"policy {self.name}", "SAFs", self.safs, MAX_SAFS)

    @property
    def active(self) -> bool:
        """Whether sparse processing takes place (model 6.1)."""
        processes = self.formats or self.safs or self.compute_gating or self.compute_skipping
        return bool(processes or self.always_active)
