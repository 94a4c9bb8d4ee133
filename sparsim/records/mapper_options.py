"""The options of Timeloop's mapper (model 17.7) that mean something to any search."""

from sparsim.records.record import Record


class MapperOptions(Record, frozen=True, kw_only=True):
    """Options of Timeloop's mapper that mean something to any search (model 17.7).

    Parameters
    ----------
    metrics : tuple of str, default ("edp",)
        What is minimised, the most important metric first.
    threads : int, default None
        Number of threads; None stands for as many as the machine has.
    """

    metrics: tuple[str, ...] = ("edp",)
    threads: int | None = None
