"""The mappings that a search may consider. The user fixes or limits some properties, and all others are
free.
"""

from collections.abc import Iterable

from sparsim.errors import SpecError
from sparsim.records.mapping import Divisibility
from sparsim.records.number_limits import MAX_INT, as_real, check_whole, repeated
from sparsim.records.record import Record

_WHERE = "mapspace"


def _once(names: Iterable[str], message: str) -> None:
    twice = repeated(names)
    if twice is not None:
        raise SpecError(message.format(twice), path=_WHERE)


class NestConstraint(Record, frozen=True, kw_only=True):
    """What a mapspace fixes about the loops of one tiling level.

    Dims that lie neither in `outer` nor in `inner` may stand in any order between these. The innermost
    temporal nest has the order of the shape where none is fixed, because its order moves no data.

    Parameters
    ----------
    factors : dict of str to int, default {}
        Fixed factors by dim; 0 stands for the whole bound of the dim.
    at_most : dict of str to int, default {}
        The largest factor by dim.
    at_least : dict of str to int, default {}
        The smallest factor by dim.
    default_at_most : int, default None
        The largest factor of dims that `at_most` does not name; no limit by default.
    default_at_least : int, default None
        The smallest factor of dims that `at_least` does not name; no limit by default.
    outer : tuple of str, default ()
        The outermost dims of the order, from outer to inner.
    inner : tuple of str, default ()
        The innermost dims of the order, from outer to inner.
    split_x : int, default None
        How many of the innermost loops of a spatial nest run along X, those of bound 1 included; free by
        default.

    Raises
    ------
    SpecError
        If a number is out of range, or if a dim is twice in the order.
    """

    factors: dict[str, int] = {}
    at_most: dict[str, int] = {}
    at_least: dict[str, int] = {}
    default_at_most: int | None = None
    default_at_least: int | None = None
    outer: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    split_x: int | None = None

    def __post_init__(self) -> None:
        for dim, factor in self.factors.items():
            check_whole(_WHERE, f"factor of dim '{dim}'", factor)
        for name, limits in (("at_most", self.at_most), ("at_least", self.at_least)):
            for dim, limit in limits.items():
                check_whole(_WHERE, f"{name} of dim '{dim}'", limit, 1)
        check_whole(_WHERE, "default_at_most", self.default_at_most, 1)
        check_whole(_WHERE, "default_at_least", self.default_at_least, 1)
        check_whole(_WHERE, "split_x", self.split_x, 0, MAX_INT)
        _once((*self.outer, *self.inner), "dim '{}' appears twice in an order")


class LevelConstraint(Record, frozen=True, kw_only=True):
    """What a mapspace fixes about one storage level.

    A dataspace that is neither in `keep` nor in `bypass` may be kept or not, but the outermost level keeps
    whatever it does not bypass.

    Parameters
    ----------
    level : str
        Name of the level.
    temporal : NestConstraint, default NestConstraint()
        Constraints of the temporal loops; none by default.
    spatial : NestConstraint, default None
        Constraints of the spatial loops; none by default.
    keep : tuple of str, default ()
        Dataspaces that the level keeps.
    bypass : tuple of str, default ()
        Dataspaces that the level does not keep.
    no_link_transfer : tuple of str, default ()
        Like `LevelMapping.no_link_transfer`, for every mapping.
    no_multicast_no_reduction : tuple of str, default ()
        Like `LevelMapping.no_multicast_no_reduction`, for every mapping.
    no_temporal_reuse : tuple of str, default ()
        Like `LevelMapping.no_temporal_reuse`, for every mapping.

    Raises
    ------
    SpecError
        If a dataspace is both in `keep` and in `bypass`, or if the temporal loops have a `split_x`.
    """

    level: str
    temporal: NestConstraint = NestConstraint()
    spatial: NestConstraint | None = None
    keep: tuple[str, ...] = ()
    bypass: tuple[str, ...] = ()
    no_link_transfer: tuple[str, ...] = ()
    no_multicast_no_reduction: tuple[str, ...] = ()
    no_temporal_reuse: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bypass = set(self.bypass)
        for name in self.keep:
            if name in bypass:
                raise SpecError(
                    f"dataspace '{name}' is in both 'keep' and 'bypass'", path=f"{_WHERE}, level {self.level}"
                )
        if self.temporal.split_x is not None:
            raise SpecError("only spatial nests can have a split_x", path=f"{_WHERE}, level {self.level}")


class Mapspace(Record, frozen=True, kw_only=True):
    """The mappings that a search may consider, given by what is fixed or limited (model 17.1).

    Parameters
    ----------
    name : str, default "mapspace"
        Name for messages.
    levels : tuple of LevelConstraint, default ()
        Constraints of levels, in any order; a level that is left out is free.
    min_parallelism : float, default 0.0
        The fraction of the arithmetic units, from 0 to 1, that a mapping has to use at least.
    most_temporal_loops : int, default None
        The largest number of temporal loops with a bound above 1; no limit by default.
    divisibility : dict of str to str, default {}
        Dims whose factors may multiply to more than the bound, each "padded" or "imperfect" (model 19).
    most_padding : float, default 0.125
        The fraction of the bound, from 0 to 1, by which the factors of these dims may exceed it. An excess of
        one is always allowed.
    source : str, default ""
        Where the constraints come from; for the reader only.

    Raises
    ------
    SpecError
        If a number is out of range, or if a level is constrained twice.
    """

    name: str = "mapspace"
    levels: tuple[LevelConstraint, ...] = ()
    min_parallelism: float = 0.0
    most_temporal_loops: int | None = None
    divisibility: dict[str, Divisibility] = {}
    most_padding: float = 0.125
    source: str = ""

    def __post_init__(self) -> None:
        if not 0.0 <= as_real(_WHERE, "min_parallelism", self.min_parallelism) <= 1.0:  # also refuses nan
            raise SpecError(
                f"min_parallelism must be between 0 and 1, got {self.min_parallelism:g}", path=_WHERE
            )
        if not 0.0 <= as_real(_WHERE, "most_padding", self.most_padding) <= 1.0:
            raise SpecError(f"most_padding must be between 0 and 1, got {self.most_padding:g}", path=_WHERE)
        check_whole(_WHERE, "most_temporal_loops", self.most_temporal_loops)
        _once((level.level for level in self.levels), "level '{}' is constrained twice")
