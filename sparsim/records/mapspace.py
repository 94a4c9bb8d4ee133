"""Which mappings a search may consider: what the user fixes or limits; everything else is free."""

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
    """What is fixed about the loops of one tiling level.

    `factors` are fixed, 0 stands for the dim's whole bound. `at_most` and `at_least` limit a factor; the
    defaults are for the dims without an own limit of that kind. `outer` and `inner` are the fixed outermost
    and innermost part of the order, both outer to inner; the dims between may stand in any order. `split_x`
    (spatial nests): that many of the innermost loops, those of bound 1 among them, run along X; None: free.

    The innermost temporal nest has the shape's order where none is fixed, as its order moves no data.
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
        _once((*self.outer, *self.inner), "dim '{}' is twice in an order")


class LevelConstraint(Record, frozen=True, kw_only=True):
    """One storage level. A dataspace in neither `keep` nor `bypass` may be kept or not; the outermost level
    keeps what it does not bypass. The flags are those of every mapping (see LevelMapping)."""

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
                    f"dataspace '{name}' is in 'keep' and in 'bypass'", path=f"{_WHERE}, level {self.level}"
                )
        if self.temporal.split_x is not None:
            raise SpecError("split_x is for spatial nests only", path=f"{_WHERE}, level {self.level}")


class Mapspace(Record, frozen=True, kw_only=True):
    """Levels in any order; one that is left out is free. A mapping must use at least the fraction
    `min_parallelism` of the arithmetic units, and have at most `most_temporal_loops` temporal loops with a
    bound above 1.

    The factors of a dim in `divisibility` may also multiply to more than its bound, by at most the fraction
    `most_padding` of it, or by one.
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
            raise SpecError(f"min_parallelism is {self.min_parallelism:g}, allowed is 0 to 1", path=_WHERE)
        if not 0.0 <= as_real(_WHERE, "most_padding", self.most_padding) <= 1.0:
            raise SpecError(f"most_padding is {self.most_padding:g}, allowed is 0 to 1", path=_WHERE)
        check_whole(_WHERE, "most_temporal_loops", self.most_temporal_loops)
        _once((level.level for level in self.levels), "level '{}' is constrained twice")
