"""Operations on coordinates of points that a network computes before a layer: sampling and neighbour
search.
"""

from typing import Literal

from sparsim.errors import SpecError
from sparsim.records.number_limits import check_whole
from sparsim.records.record import Record

PointMappingKind = Literal["fps", "ball-query", "knn"]


class PointMapping(Record, frozen=True, kw_only=True):
    """An operation on coordinates that runs before a layer, such as farthest-point sampling.

    Parameters
    ----------
    kind : {"fps", "ball-query", "knn"}
        Farthest-point sampling, neighbours within a radius, or the nearest neighbours.
    points : int
        Number of points of a cloud that are looked at.
    queries : int
        Number of points that are sampled, or whose neighbours are looked for.
    neighbours : int, default 1
        Number of neighbours of each query; 1 for "fps".
    clouds : int, default 1
        Number of clouds, one after the other.

    Raises
    ------
    SpecError
        If a number is out of range, or if more points are sampled than there are.
    """

    kind: PointMappingKind
    points: int
    queries: int
    neighbours: int = 1
    clouds: int = 1

    def __post_init__(self) -> None:
        where = f"point mapping {self.kind}"
        for field in ("points", "queries", "neighbours", "clouds"):
            check_whole(where, field, getattr(self, field), 1)
        if self.kind == "fps" and self.queries > self.points:
            raise SpecError(f"{self.queries} samples of {self.points} points", path=where)
        if self.kind == "fps" and self.neighbours > 1:
            raise SpecError(f"neighbours must be 1, got {self.neighbours}", path=where)
