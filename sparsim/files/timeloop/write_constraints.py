"""A mapspace and the mapper's options as documents of version 0.3."""

from typing import Any

from sparsim.errors import SpecError
from sparsim.records import LevelConstraint, Mapspace, NestConstraint
from sparsim.records.mapper_options import MapperOptions

Document = dict[str, Any]


def constraint_items(mapspace: Mapspace, innermost: str) -> list[Document]:
    """One item per level and kind. Raises SpecError for padded and imperfect dims."""
    for dim, policy in mapspace.divisibility.items():
        raise SpecError(f"dim '{dim}' is {policy}, Timeloop's mapspaces have perfect factors only")
    items = [item for level in mapspace.levels for item in _items(level)]
    if mapspace.min_parallelism:
        items.append({"target": innermost, "type": "utilization", "min": mapspace.min_parallelism})
    return items


def mapper_options(options: MapperOptions) -> Document:
    threads = {} if options.threads is None else {"num-threads": options.threads}
    return {"optimization-metrics": list(options.metrics), **threads}


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
