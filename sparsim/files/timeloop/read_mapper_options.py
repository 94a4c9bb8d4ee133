"""Options of Timeloop's mapper (model 17.7).

Options of its search methods are checked and then ignored, because our search has its own methods; options of
its output are ignored.
"""

from __future__ import annotations

from sparsim.errors import SpecError, near
from sparsim.files.timeloop.document_node import Node
from sparsim.records import Architecture
from sparsim.records.mapper_options import MapperOptions
from sparsim.records.objective import objective_names

_ALGORITHMS = ("exhaustive", "linear-pruned", "hybrid", "random-pruned", "random")
_COUNTS = {  # least values
    "search-size": 0, "search_size": 0, "timeout": 0, "heartbeat": 0, "victory-condition": 0,
    "max-permutations-per-if-visit": 1, "sync-interval": 0,
}  # fmt: skip
_FLAGS = ("filter-revisits", "penalize-consecutive-bypass-fails")
_LOOPS = "max-temporal-loops-in-a-mapping"
_KEYS = ("algorithm", "optimization-metric", "optimization-metrics", "num-threads", _LOOPS, *_COUNTS, *_FLAGS)
_OUTPUT = (
    "log-suboptimal", "log-oaves", "log-oaves-mappings", "log-stats", "log-all", "live-status", "diagnostics",
    "emit-whoop-nest", "out_prefix", "version",
)  # fmt: skip


def read_mapper(node: Node, arch: Architecture) -> MapperOptions:
    """Read the options. Raises SpecError for unknown algorithms and metrics, and for numbers out of range."""
    node.report_unknown(_KEYS, harmless=_OUTPUT)
    algorithm = node.text("algorithm")
    if algorithm is not None and algorithm.replace("_", "-") not in _ALGORITHMS:
        raise node.error(f"unknown algorithm '{algorithm}'", "algorithm", hint=near(algorithm, _ALGORITHMS))
    for key, least in _COUNTS.items():
        _count(node, key, least)
    for key in _FLAGS:
        node.flag(key)
    metrics = _metrics(node, arch) or MapperOptions().metrics
    return MapperOptions(metrics=metrics, threads=_count(node, "num-threads", 1))


def most_temporal_loops(node: Node) -> int | None:
    """Return the most loops of a mapping; as in Timeloop, 0 and less mean no limit."""
    value = node.integer(_LOOPS)
    return value if value is not None and value > 0 else None


def _metrics(node: Node, arch: Architecture) -> tuple[str, ...]:
    key = "optimization-metric" if node.has("optimization-metric") else "optimization-metrics"
    is_list = isinstance(node.get(key), list)
    text = None if is_list else node.text(key)
    given = node.names(key) if is_list else () if text is None else (text,)
    try:
        return objective_names(given, [level.name for level in arch.storage]) if given else ()
    except SpecError as error:
        raise node.error(error.message, key, error.hint) from None


def _count(node: Node, key: str, least: int) -> int | None:
    value = node.integer(key)
    if value is not None and value < least:
        raise node.error(f"must be at least {least}, got {value}", key)
    return value
