"""Writer of a mapspace and the mapper's options as documents of versions 0.3 and 0.4."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from sparsim.errors import SpecError
from sparsim.records import LevelConstraint, Mapspace, NestConstraint
from sparsim.records.mapper_options import MapperOptions

Document = dict[str, Any]

FANOUT = re.compile(r"inter_(?P<name>.+)_spatial")  # the level that stands for a fan-out in version 0.4
_V4 = {"no_temporal_reuse": "no_reuse", "no_multicast_no_reduction": "no_reuse"}


def constraint_items(mapspace: Mapspace, innermost: str) -> list[Document]:
    """One item per level and kind. Raises SpecError for padded and imperfect dims."""
    for dim, policy in mapspace.divisibility.items():
        raise SpecError(f"dim '{dim}' is {policy}, but Timeloop's mapspaces have only perfect factors")
    items = [item for level in mapspace.levels for item in _items(level)]
    if mapspace.min_parallelism:
        items.append({"target": innermost, "type": "utilization", "min": mapspace.min_parallelism})
    return items


def constraint_items_v4(mapspace: Mapspace, dims: Sequence[str]) -> list[Document]:
    """The items in version 0.4, where a fan-out and its loops belong to the node inside it.

    Raises SpecError for the least parallelism, fixed outer loops with free ones inside, and for padded and
    imperfect dims.
    """
    if mapspace.min_parallelism:
        raise SpecError("a least parallelism cannot be written in version 0.4", path=mapspace.name)
    items = constraint_items(replace(mapspace, levels=tuple(_whole_orders(mapspace, dims))), "")
    found = []
    for item in items:
        fanout = FANOUT.fullmatch(item["target"])
        if fanout and item["type"] != "spatial":
            continue  # a fan-out has spatial loops only
        kind = "dataspace" if item["type"] == "bypass" else item["type"]
        renamed = {_V4.get(key, key): value for key, value in item.items()}
        found.append(renamed | {"target": fanout["name"] if fanout else item["target"], "type": kind})
    return found


def _whole_orders(mapspace: Mapspace, dims: Sequence[str]) -> Iterator[LevelConstraint]:
    """Yield the levels with the outer part of an order joined to the inner one."""
    for level in mapspace.levels:
        nests = {"temporal": level.temporal, "spatial": level.spatial}
        for key, nest in nests.items():
            if nest is None or not nest.outer:
                continue
            free = [dim for dim in dims if dim not in (*nest.outer, *nest.inner)]
            if len(free) > 1:
                text = f"outer loops {', '.join(nest.outer)} are fixed and {', '.join(free)} inside are not"
                raise SpecError(f"{text}, which version 0.4 cannot say", path=f"level {level.level}")
            nests[key] = replace(nest, outer=(), inner=(*nest.outer, *free, *nest.inner))
        yield replace(level, **nests)


def mapper_options(options: MapperOptions | None, mapspace: Mapspace | None) -> Document:
    """Return the mapper's options, including the largest number of temporal loops; empty if there are
    none.
    """
    found: Document = {} if options is None else {"optimization-metrics": list(options.metrics)}
    if options is not None and options.threads is not None:
        found["num-threads"] = options.threads
    if mapspace is not None and mapspace.most_temporal_loops is not None:
        found["max_temporal_loops_in_a_mapping"] = mapspace.most_temporal_loops
    return found


def _items(level: LevelConstraint) -> list[Document]:
    items = []
    if level.keep or level.bypass:
        items.append({"type": "bypass", "keep": list(level.keep), "bypass": list(level.bypass)})
    flags = {key: list(names) for key in ("no_temporal_reuse",) if (names := getattr(level, key))}
    if temporal := _nest(level.temporal) | flags:
        items.append({"type": "temporal", **temporal})
    keys = ("no_link_transfer", "no_multicast_no_reduction")
    flags = {key: list(names) for key in keys if (names := getattr(level, key))}
    if level.spatial is not None or flags:
        items.append({"type": "spatial", **_nest(level.spatial or NestConstraint()), **flags})
    return [{"target": level.level, **item} for item in items]


def _nest(nest: NestConstraint) -> Document:
    signs = (("=", nest.factors), ("<=", nest.at_most), (">=", nest.at_least))
    factors = [f"{dim}{sign}{value}" for sign, values in signs for dim, value in values.items()]
    found: Document = {"factors": " ".join(factors)} if factors else {}
    if nest.outer or nest.inner:
        free = "_" if nest.outer else ""
        found["permutation"] = "".join((*reversed(nest.inner), free, *reversed(nest.outer)))
    counts = {
        "default_max_factor": nest.default_at_most, "default_min_factor": nest.default_at_least,
        "split": nest.split_x,
    }  # fmt: skip
    return found | {key: count for key, count in counts.items() if count is not None}
