"""Limits on the factors of one dim, and the limit that is responsible if nothing is left."""

from collections.abc import Sequence
from typing import NamedTuple

from sparsim.errors import EmptyMapspaceError
from sparsim.mapper.factorisations import count_factorisations
from sparsim.records import NestConstraint


class Limit(NamedTuple):
    """The limit that a constraint puts on the factor at one tiling level."""

    text: str  # "M <= 4 at spad temporal"
    tiling: int
    low: int
    high: int


def limits_of(nest: NestConstraint, tiling: int, where: str, dim: str, bound: int) -> list[Limit]:
    """Return the limits that the constraint of a tiling level puts on `dim`."""
    limits = []
    if dim in nest.factors:
        factor = nest.factors[dim] or bound
        limits.append(Limit(f"{dim} = {factor} at {where}", tiling, factor, factor))
    most = nest.at_most.get(dim, nest.default_at_most)
    if most is not None:
        limits.append(Limit(f"{dim} <= {most} at {where}", tiling, 1, most))
    least = nest.at_least.get(dim, nest.default_at_least)
    if least is not None:
        limits.append(Limit(f"{dim} >= {least} at {where}", tiling, least, bound))
    return limits


def combined(limits: Sequence[Limit], bound: int, n_tiling: int) -> tuple[list[int], list[int]]:
    """Return the lowest and highest factor per tiling level."""
    low, high = [1] * n_tiling, [bound] * n_tiling
    for limit in limits:
        low[limit.tiling] = max(low[limit.tiling], limit.low)
        high[limit.tiling] = min(high[limit.tiling], limit.high)
    return low, high


def blame(dim: str, bound: int, limits: Sequence[Limit], n_tiling: int) -> EmptyMapspaceError:
    """Return the error for limits that leave no factorisation: the one that removes most, and what to
    relax.
    """

    def left(some: Sequence[Limit]) -> int:
        return count_factorisations(bound, *combined(some, bound, n_tiling))

    total = left(())
    remaining = [left((limit,)) for limit in limits]
    worst = limits[remaining.index(min(remaining))]
    message = (
        f"no factorisation of dim '{dim}' (bound {bound}) is left: "
        f"'{worst.text}' alone removes {total - min(remaining)} of {total}"
    )
    rescued = [(left([other for other in limits if other is not limit]), limit.text) for limit in limits]
    most, text = max(rescued, key=lambda pair: pair[0])
    if most:
        hint = f"without '{text}' there would be {most}"
    else:
        hint = f"more than one of its {len(limits)} limits must be relaxed"
    return EmptyMapspaceError(f"{message} ({hint})", constraint=worst.text)
