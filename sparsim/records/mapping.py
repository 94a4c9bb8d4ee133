"""How a layer runs on an accelerator: loops, spatial splits and bypass per level."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from sparsim.errors import SpecError
from sparsim.records.loop_notation import (
    Loop,
    Reader,
    loops_text,
    misplaced,
    modifiers_text,
    next_loops,
    quoted,
)
from sparsim.records.number_limits import MAX_INT, check_whole, repeated
from sparsim.records.record import Record

Divisibility = Literal["padded", "imperfect"]
_POLICIES: tuple[Divisibility, ...] = get_args(Divisibility)
_FLAGS = ("bypass", "no_link_transfer", "no_multicast_no_reduction", "no_temporal_reuse")


class Nest(Record, frozen=True, kw_only=True):
    """The loops of one tiling level.

    Parameters
    ----------
    factors : dict of str to int, default {}
        Bounds of the loops by dim; dims that are left out have the bound 1.
    order : tuple of str, default ()
        Dims from outer to inner. Dims that are left out lie outside of these, and of them the first of the
        shape's dims lies innermost.
    split_x : int, default None
        How many of the innermost loops of a spatial nest run along X; the rest runs along Y. By default all
        of them run along X.

    Raises
    ------
    SpecError
        If a factor is no whole number above 0, or if a dim is twice in the order.
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
            raise SpecError(f"dim '{twice}' appears twice in an order", path="mapping")


class LevelMapping(Record, frozen=True, kw_only=True):
    """The loops of one storage level, and what it does not keep.

    Parameters
    ----------
    level : str
        Name of the level.
    temporal : Nest, default Nest()
        Loops over time; none by default.
    spatial : Nest, default None
        Loops that distribute the tile of the level over the instances of the next inner level.
    bypass : tuple of str, default ()
        Dataspaces that the level does not keep.
    no_link_transfer : tuple of str, default ()
        Dataspaces whose words neighbouring instances do not pass on to each other.
    no_multicast_no_reduction : tuple of str, default ()
        Dataspaces whose words are neither multicast nor reduced between instances.
    no_temporal_reuse : tuple of str, default ()
        Dataspaces of which every step moves the whole tile, also what is there already (model 7.3).

    Raises
    ------
    SpecError
        If the temporal loops have a `split_x`.
    """

    level: str
    temporal: Nest = Nest()
    spatial: Nest | None = None
    bypass: tuple[str, ...] = ()
    no_link_transfer: tuple[str, ...] = ()
    no_multicast_no_reduction: tuple[str, ...] = ()
    no_temporal_reuse: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.temporal.split_x is not None:
            raise SpecError("temporal loops cannot have a split_x", path=f"mapping, level {self.level}")


class Mapping(Record, frozen=True, kw_only=True):
    """How a layer runs on an accelerator: loops, spatial splits and bypass per level (model 5).

    The factors of a dim multiply to its bound.

    Parameters
    ----------
    levels : tuple of LevelMapping
        The levels from outer to inner. A level that is left out has no loops and keeps everything.
    divisibility : dict of str to {"padded", "imperfect"}, default {}
        Dims whose factors may multiply to more than the bound. A padded dim is computed on up to what the
        factors cover; the last tile of an imperfect dim is cut short, and none of its factors may be larger
        than needed (model 19).

    Raises
    ------
    SpecError
        If a level is mapped twice.

    See Also
    --------
    Mapping.parse : Makes a mapping from text.
    """

    levels: tuple[LevelMapping, ...]
    divisibility: dict[str, Divisibility] = {}

    def __post_init__(self) -> None:
        twice = repeated(m.level for m in self.levels)
        if twice is not None:
            raise SpecError(f"level '{twice}' is mapped twice", path="mapping")

    @classmethod
    def parse(cls, text: str) -> Mapping:
        """Make the mapping that a text such as "DRAM: Q64 C2 | GLB: P128 M8X" describes.

        Parameters
        ----------
        text : str
            Levels and their loops, outer to inner, in the notation of docs/reference/mapspace.md. Levels are
            separated by `|` or by ends of lines.

        Returns
        -------
        Mapping

        Raises
        ------
        SpecError
            If the text is no mapping; the path of the error has the line and the column.

        Examples
        --------
        >>> from sparsim import Mapping
        >>> mapping = Mapping.parse("DRAM: Q64 C2 | GLB [bypass Weights]: P128 C4Y M2X")
        >>> mapping.levels[1].spatial
        Nest(factors={'C': 4, 'M': 2}, order=('C', 'M'), split_x=1)
        >>> print(mapping)
        DRAM: Q64 C2 | GLB [bypass Weights]: P128 C4Y M2X
        """
        reader = Reader(text)
        reader.skip_separators()
        start = reader.here
        divisibility: dict[str, Divisibility] = {}
        for policy, dims in reader.modifiers(_POLICIES).items():
            for dim in dims:
                if dim in divisibility:
                    raise reader.error(f"dim '{dim}' has two policies", start)
                divisibility[dim] = next(one for one in _POLICIES if one == policy)
        levels = []
        reader.skip_separators()
        while reader.here.kind:
            levels.append(_level(reader))
            reader.skip_separators()
        return cls(levels=tuple(levels), divisibility=divisibility)

    def to_text(self) -> str:
        """Write the mapping as text.

        Returns
        -------
        str
            One line, from which `parse` makes an equal mapping.
        """
        policies = {p: [d for d, its in self.divisibility.items() if its == p] for p in _POLICIES}
        head = modifiers_text({policy: dims for policy, dims in policies.items() if dims})
        return " | ".join(filter(None, [head, *map(_level_text, self.levels)]))

    def __str__(self) -> str:
        return self.to_text()


def _level_text(level: LevelMapping) -> str:
    named: dict[str, Sequence[str]] = {flag: getattr(level, flag) for flag in _FLAGS}
    modifiers = {flag: names for flag, names in named.items() if names}
    loops = _loops(level.temporal, [""] * len(level.temporal.order), "")
    if (nest := level.spatial) is not None:
        listed, split = len(nest.order), nest.split_x
        along_x = listed if split is None else max(0, min(split, listed))
        axes = ["Y"] * (listed - along_x) + ["X"] * along_x
        spatial = _loops(nest, axes, "X" if split is None else "Y")
        if _split_of(spatial) != split:
            modifiers["split_x"] = [str(split)]
        elif not spatial:
            modifiers["spatial"] = []
        loops += spatial
    head = f"{quoted(level.level)} {modifiers_text(modifiers)}".rstrip()
    return f"{head}: {loops_text(loops)}".rstrip()


def _loops(nest: Nest, axes: Sequence[str], free_axis: str) -> list[Loop]:
    """Return the loops outer to inner; those without a place in the order are outside of the others."""
    free = [Loop(dim, n, free_axis, free=True) for dim, n in nest.factors.items() if dim not in nest.order]
    placed = [Loop(dim, nest.factors.get(dim), axis) for dim, axis in zip(nest.order, axes, strict=True)]
    return free + placed


def _split_of(spatial: Sequence[Loop]) -> int | None:
    """Return `split_x` according to the axes: None if all loops run along X."""
    if all(loop.axis == "X" for loop in spatial):
        return None
    return sum(loop.axis == "X" for loop in spatial)


def _level(reader: Reader) -> LevelMapping:
    level = reader.need("name", "the name of a level")
    modifiers = reader.modifiers((*_FLAGS, "split_x", "spatial"))
    reader.need(":", "':' after the level")
    loops: list[Loop] = []
    while reader.here.kind not in ("|", "\n", ""):
        start = reader.here
        for loop in next_loops(reader):
            if problem := misplaced(loops, loop):
                raise reader.error(problem, start)
            loops.append(loop)
    spatial = [loop for loop in loops if loop.axis]
    split = _split_of(spatial)
    given = modifiers.pop("split_x", None)
    if given is not None:
        if len(given) != 1 or not re.fullmatch(r"-?[0-9]{1,30}", given[0]):
            raise reader.error("split_x must be one whole number", level)
        split = int(given[0])
    has_spatial = modifiers.pop("spatial", None) is not None or given is not None or bool(spatial)
    try:
        return LevelMapping(
            level=level.value,
            temporal=_nest([loop for loop in loops if not loop.axis], None),
            spatial=_nest(spatial, split) if has_spatial else None,
            **modifiers,
        )
    except SpecError as error:
        raise reader.error(error.message, level, error.hint) from None


def _nest(loops: Iterable[Loop], split: int | None) -> Nest:
    loops = list(loops)
    return Nest(
        factors={loop.dim: loop.factor for loop in loops if loop.factor is not None},
        order=tuple(loop.dim for loop in loops if not loop.free),
        split_x=split,
    )
