"""How a layer runs on an accelerator: loops, spatial splits and bypass per level."""

from __future__ import annotations

from typing import Literal

from sparsim.errors import SpecError
from sparsim.records.number_limits import MAX_INT, check_whole, repeated
from sparsim.records.record import Record

Divisibility = Literal["padded", "imperfect"]


class Nest(Record, frozen=True, kw_only=True):
    """The loops of one tiling level. Dims without a factor have bound 1.

    `order` lists dims outer to inner; dims that it leaves out lie outside of it, the first of the shape's
    dims innermost. `split_x` (spatial nests): that many of the innermost loops run along X, the rest along Y;
    None: all along X.
    """

    factors: dict[str, int] = {}
    order: tuple[str, ...] = ()
    split_x: int | None = None

    def __post_init__(self) -> None:
        for dim, factor in self.factors.items():
            check_whole("mapping", f"factor of dim '{dim}'", factor, 1)
        check_whole("mapping", "split_x", self.split_x, -MAX_INT, MAX_INT)
        twice = repeated(self.order)
        if twice is not None:
            raise SpecError(f"dim '{twice}' is twice in an order", path="mapping")


class LevelMapping(Record, frozen=True, kw_only=True):
    """One level: `spatial` loops distribute its tile over the instances of the next inner level."""

    level: str
    temporal: Nest = Nest()
    spatial: Nest | None = None
    bypass: tuple[str, ...] = ()
    no_link_transfer: tuple[str, ...] = ()
    no_multicast_no_reduction: tuple[str, ...] = ()
    no_temporal_reuse: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.temporal.split_x is not None:
            raise SpecError("temporal loops have a split_x", path=f"mapping, level {self.level}")


class Mapping(Record, frozen=True, kw_only=True):
    """Levels outer to inner; a level that is left out has no loops and keeps everything.

    The factors of a dim multiply to its bound. Those of a dim in `divisibility` may cover more (see
    `sparsim.records.divisibility`); of an `imperfect` one none may be larger than needed.
    """

    levels: tuple[LevelMapping, ...]
    divisibility: dict[str, Divisibility] = {}

    def __post_init__(self) -> None:
        twice = repeated(m.level for m in self.levels)
        if twice is not None:
            raise SpecError(f"level '{twice}' is mapped twice", path="mapping")

    @classmethod
    def parse(cls, text: str) -> Mapping:
        """The mapping that a text such as "DRAM: Q64 C2 | GLB: P128 M8X" describes.

        Parameters
        ----------
        text : str
            Levels and their loops, outer to inner, in the notation of docs/mapspace.md. Levels are separated
            by `|` or by ends of lines.

        Raises
        ------
        SpecError
            For text that is no mapping; its path has the line and the column.

        Examples
        --------
        >>> mapping = Mapping.parse("DRAM: Q64 C2 | GLB [bypass Weights]: P128 C4Y M2X")
        >>> mapping.levels[1].spatial
        Nest(factors={'C': 4, 'M': 2}, order=('C', 'M'), split_x=1)
        >>> print(mapping)
        DRAM: Q64 C2 | GLB [bypass Weights]: P128 C4Y M2X
        """
        from sparsim.records.mapping_text import parse  # which needs this module

        return parse(text)

    def to_text(self) -> str:
        """The mapping in one line, from which `parse` makes an equal one."""
        from sparsim.records.mapping_text import to_text

        return to_text(self)

    def __str__(self) -> str:
        return self.to_text()
