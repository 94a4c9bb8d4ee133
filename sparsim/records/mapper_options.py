"""The options of Timeloop's mapper (model 17.7)."""

from __future__ import annotations

from sparsim.records.record import Record


class MapperOptions(Record, frozen=True, kw_only=True):
    """How Timeloop would search, with its defaults."""

    algorithm: str = "hybrid"
    metrics: tuple[str, ...] = ("edp",)  # the most important first
    threads: int | None = None  # None: as many as the machine has
    search_size: int = 0  # valid mappings; 0: no limit
    timeout: int = 1000  # invalid mappings since the last valid one; 0: no limit
    victory_condition: int = 500  # valid mappings since the last better one, per thread; 0: no limit
    max_permutations_per_visit: int = 16  # orders per factorisation, random-pruned
    filter_revisits: bool = False
    penalize_consecutive_bypass_fails: bool = False
    sync_interval: int = 0  # mappings between exchanges of the best between threads; 0: never
