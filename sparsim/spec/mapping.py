"""How a layer runs on an accelerator: loops, spatial splits and bypass per level."""

from __future__ import annotations

from typing import Literal

from sparsim.errors import SpecError
from sparsim.spec.base import Record

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
            if factor < 1:
                raise SpecError(f"factor of dim '{dim}' is {factor}, allowed is 1 and more", path="mapping")
        for dim in self.order:
            if self.order.count(dim) > 1:
                raise SpecError(f"dim '{dim}' is twice in an order", path="mapping")


class LevelMapping(Record, frozen=True, kw_only=True):
    """One level: `spatial` loops distribute its tile over the instances of the next inner level."""

    level: str
    temporal: Nest = Nest()
    spatial: Nest | None = None
    bypass: tuple[str, ...] = ()
    no_link_transfer: tuple[str, ...] = ()
    no_multicast_no_reduction: tuple[str, ...] = ()
    no_temporal_reuse: tuple[str, ...] = ()


class Mapping(Record, frozen=True, kw_only=True):
    """Levels outer to inner; a level that is left out has no loops and keeps everything.

    The factors of a dim multiply to its bound. Those of a dim in `divisibility` may cover more (see
    `sparsim.spec.divisibility`); of an `imperfect` one none may be larger than needed.
    """

    levels: tuple[LevelMapping, ...]
    divisibility: dict[str, Divisibility] = {}

    def __post_init__(self) -> None:
        names = [m.level for m in self.levels]
        for name in names:
            if names.count(name) > 1:
                raise SpecError(f"level '{name}' is mapped twice", path="mapping")
