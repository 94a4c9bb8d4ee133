"""The options of Timeloop's mapper (model 17.7) that mean something to any search."""

from sparsim.records.record import Record


class MapperOptions(Record, frozen=True, kw_only=True):
    """What Timeloop's mapper is asked for, with its defaults."""

    metrics: tuple[str, ...] = ("edp",)  # the most important first
    threads: int | None = None  # None: as many as the machine has
