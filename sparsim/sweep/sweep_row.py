"""The result of one point of a sweep."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

PointValue = int | float | str | bool | None | list[Any]
Point = dict[str, PointValue]
"""The value of each axis by name; None where the condition of an axis does not hold."""

Status = Literal["ok", "infeasible", "failed", "bound"]


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of one point of a sweep.

    Attributes
    ----------
    key : str
        Digest of everything that the result depends on, in hex.
    status : {"ok", "infeasible", "failed", "bound"}
        Whether the point was evaluated, cannot be built or mapped, ended with an error, or has bounds only.
    reason : str
        Why a point is infeasible, or the traceback of one that failed.
    metrics : dict of str to float
        Metrics by the names in `sparsim.sweep.study.METRICS`.
    components : dict of str to float
        Energy in pJ by component.
    bounds : dict of str to float
        The best values that any mapping of the design may reach, for metrics that depend on the mapping.
    is_final : bool
        Whether a larger budget of the search cannot change the metrics.
    """

    key: str
    status: Status
    reason: str = ""
    metrics: dict[str, float] = {}
    components: dict[str, float] = {}
    bounds: dict[str, float] = {}
    is_final: bool = True
