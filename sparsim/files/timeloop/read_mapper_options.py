"""Options of Timeloop's mapper (model 17.7). Those that only concern its output are passed over."""

from __future__ import annotations

from sparsim.errors import near
from sparsim.files.timeloop.document_node import Node, or_default
from sparsim.records import Architecture
from sparsim.records.mapper_options import MapperOptions

_ALGORITHMS = ("exhaustive", "linear-pruned", "hybrid", "random-pruned", "random")
_METRICS = ("delay", "energy", "edp", "last-level-accesses", "ordered-accesses")
_ACCESSES = "accesses-"  # and the name of a storage level
_KEYS = (
    "algorithm", "optimization-metric", "optimization-metrics", "num-threads", "search-size", "search_size",
    "timeout", "heartbeat", "victory-condition", "max-permutations-per-if-visit", "filter-revisits",
    "penalize-consecutive-bypass-fails", "sync-interval",
)  # fmt: skip
_OUTPUT = (
    "log-suboptimal", "log-oaves", "log-oaves-mappings", "log-stats", "log-all", "live-status", "diagnostics",
    "emit-whoop-nest", "out_prefix", "version",
)  # fmt: skip


def read_mapper(node: Node, arch: Architecture) -> MapperOptions:
    """Raises SpecError for unknown algorithms and metrics, and for numbers out of range."""
    node.report_unknown(_KEYS, harmless=_OUTPUT)
    default = MapperOptions()
    algorithm = or_default(node.text("algorithm"), default.algorithm)
    if algorithm not in _ALGORITHMS:
        raise node.error(f"unknown algorithm '{algorithm}'", "algorithm", hint=near(algorithm, _ALGORITHMS))
    return MapperOptions(
        algorithm=algorithm,
        metrics=_metrics(node, arch) or default.metrics,
        threads=_count(node, "num-threads", least=1),
        search_size=or_default(_count(node, "search-size", "search_size"), default.search_size),
        timeout=or_default(_count(node, "timeout", "heartbeat"), default.timeout),
        victory_condition=or_default(_count(node, "victory-condition"), default.victory_condition),
        max_permutations_per_visit=or_default(
            _count(node, "max-permutations-per-if-visit", least=1), default.max_permutations_per_visit
        ),
        filter_revisits=or_default(node.flag("filter-revisits"), default.filter_revisits),
        penalize_consecutive_bypass_fails=or_default(
            node.flag("penalize-consecutive-bypass-fails"), default.penalize_consecutive_bypass_fails
        ),
        sync_interval=or_default(_count(node, "sync-interval"), default.sync_interval),
    )


def _metrics(node: Node, arch: Architecture) -> tuple[str, ...]:
    key = "optimization-metric" if node.has("optimization-metric") else "optimization-metrics"
    is_list = isinstance(node.data.get(key), list)
    text = None if is_list else node.text(key)
    metrics = node.names(key) if is_list else () if text is None else (text,)
    allowed = (*_METRICS, *(_ACCESSES + level.name for level in arch.storage))
    for metric in metrics:
        if metric not in allowed:
            raise node.error(f"unknown metric '{metric}'", key, hint=near(metric, allowed))
    return metrics


def _count(node: Node, *keys: str, least: int = 0) -> int | None:
    value = node.integer(*keys)
    if value is not None and value < least:
        key = next(key for key in keys if node.has(key))
        raise node.error(f"is {value}, allowed is {least} and more", key)
    return value
