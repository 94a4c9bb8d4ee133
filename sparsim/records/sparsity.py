"""The treatment of zeros by an accelerator: formats, gating, skipping."""

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
    """One rank of a tensor format.

    Parameters
    ----------
    format : str
        How the rank is stored: uncompressed ("U"), with offsets ("UOP") or with an uncompressed bit mask
        ("UB"), or compressed with coordinates ("CP"), run lengths ("RLE") or a bit mask ("B").
    flattened : tuple of tuple of str, default ()
        Groups of dims that this rank may absorb together.
    metadata_word_bits : int, default None
        Bits of a metadata word; by default the level's `metadata_word_bits`, and 1 for "B".
    payload_word_bits : int, default None
        Bits of a payload word; by default the level's `metadata_word_bits`.

    Raises
    ------
    SpecError
        If a number is out of range, or if there are too many groups.

    Notes
    -----
    Model 9.1 has the metadata and payload words of each format.
    """

    format: RankKind
    flattened: tuple[tuple[str, ...], ...] = ()
    metadata_word_bits: int | None = None
    payload_word_bits: int | None = None

    @property
    def compressed(self) -> bool:
        """Whether the rank leaves out zeros."""
        return self.format in COMPRESSED_KINDS

    def __post_init__(self) -> None:
        for field in ("metadata_word_bits", "payload_word_bits"):
            check_whole(f"rank {self.format}", field, getattr(self, field), 0, MAX_INT)
        check_number(f"rank {self.format}", "groups of flattened dims", self.flattened, MAX_PARTS)


def rank_word_bits(rank: Rank, level: Storage) -> tuple[int, int]:
    """Return the bits of a metadata and of a payload word of `rank` at `level` (model 6.2).

    Given widths that do not divide the metadata width are increased until they do, at most to twice the bits.
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
    )  # words per access with these bits, and with twice the bits
    if most - least < bits:
        return next((width_bits // n for n in range(most, least, -1) if width_bits % n == 0), 2 * bits)
    return next((wider for wider in range(bits, 2 * bits) if width_bits % wider == 0), 2 * bits)


class TensorFormat(Record, frozen=True, kw_only=True):
    """How a storage level stores a dataspace.

    Parameters
    ----------
    level : str
        Name of the level.
    dataspace : str
        Name of the dataspace.
    ranks : tuple of Rank
        The ranks, the topmost (outermost) one first. No uncompressed rank lies below a compressed one.
    order : str, default "outer-to-inner"
        Whether ranks are matched with loops from the outside ("outer-to-inner") or from the inside
        ("inner-to-outer"; model 9.3).

    Raises
    ------
    SpecError
        If there are no ranks, or if an uncompressed rank lies below a compressed one.
    """

    level: str
    dataspace: str
    ranks: tuple[Rank, ...]
    order: Literal["outer-to-inner", "inner-to-outer"] = "outer-to-inner"

    def __post_init__(self) -> None:
        where = f"format of {self.dataspace} at {self.level}"
        if not self.ranks:
            raise SpecError("at least one rank is needed", path=where)
        check_number(where, "ranks", self.ranks, MAX_PARTS)
        above = False
        for rank in self.ranks:
            if above and not rank.compressed:
                raise SpecError(
                    f"uncompressed rank {rank.format} must not lie below a compressed one", path=where
                )
            above = above or rank.compressed

    @property
    def compressed(self) -> bool:
        """Whether any rank leaves out zeros."""
        return any(r.compressed for r in self.ranks)


class Option(Record, frozen=True, kw_only=True):
    """One alternative of a `Saf`: leave out accesses to a target while tiles of its leaders are empty.

    Parameters
    ----------
    target : str
        The dataspace that is not accessed.
    condition_on : tuple of str
        The leaders: `target` is not accessed while the matching tile of any of these dataspaces is empty.
    """

    target: str
    condition_on: tuple[str, ...]


class Saf(Record, frozen=True, kw_only=True):
    """A sparse acceleration feature (SAF): a rule by which a storage level leaves out accesses (model 10).

    Parameters
    ----------
    level : str
        Name of the storage level.
    type : str
        "gating" saves the energy of an access but not its time, "skipping" saves both, and "skipping-spatial"
        packs the work of several instances into fewer.
    options : tuple of Option
        The alternatives, of which the best is taken; "skipping-spatial" has exactly one.

    Raises
    ------
    SpecError
        If there are no options or too many, or if an option has no leaders.
    """

    level: str
    type: SafKind
    options: tuple[Option, ...]

    def __post_init__(self) -> None:
        where = f"{self.type} at {self.level}"
        if not self.options:
            raise SpecError("at least one option is needed", path=where)
        check_number(where, "options", self.options, MAX_PARTS)
        for option in self.options:
            check_number(where, "dataspaces in condition_on", option.condition_on, MAX_NAMES)
            if not option.condition_on:
                raise SpecError(f"condition_on of target '{option.target}' is empty", path=where)
        if self.type == "skipping-spatial" and len(self.options) > 1:
            raise SpecError("spatial skipping takes exactly one option", path=where)


class SparsePolicy(Record, frozen=True, kw_only=True):
    """What an accelerator does with zeros: formats, gating and skipping of one design (model 6).

    An empty policy counts like a dense accelerator but reports the way that sparse ones do, unless
    `always_active` is set.

    Parameters
    ----------
    name : str, default "policy"
        Name for messages.
    formats : tuple of TensorFormat, default ()
        Formats of dataspaces at levels, at most one for each pair.
    safs : tuple of Saf, default ()
        Gating and skipping at storage levels.
    compute_gating : bool, default False
        Whether the arithmetic units gate operations with a zero.
    compute_skipping : bool, default False
        Whether the arithmetic units skip operations with a zero.
    always_active : bool, default False
        Whether zeros are processed even if nothing else asks for it.

    Raises
    ------
    SpecError
        If a dataspace has two formats at one level, or if there are too many SAFs.
    """

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
