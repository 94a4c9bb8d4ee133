"""Numbers of the TeAAL artifact for SIGMA, Gamma, OuterSPACE and ExTensor, compared with our closed forms."""

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from sparsim.files.sparsim_yaml import load_preset
from sparsim.machines.spgemm import (
    ExtensorCounts,
    GammaCounts,
    OuterspaceCounts,
    extensor_times,
    gamma_times,
    outerspace_times,
    sigma_cycles,
    sigma_expected,
)

PUBLISHED = Path(__file__).parent / "spgemm_published.csv"
WORD_BYTES = 4  # of SIGMA


class PublishedTime(NamedTuple):
    """One row: times of TeAAL's model, of the paper and of ours; `digits` behind the point are printed."""

    machine: str
    workload: str
    printed: float
    reported: float
    digits: int
    ours: float

    @property
    def exact(self) -> bool:
        """Whether ours has the printed digits."""
        return round(self.ours, self.digits) == self.printed


def published_times() -> list[PublishedTime]:
    """Return all rows."""
    lines = [line for line in PUBLISHED.read_text().splitlines() if not line.startswith("#")]
    return [
        PublishedTime(
            row["machine"], row["workload"], float(row["model_time"]), float(row["reported_time"]),
            len(row["model_time"].partition(".")[2]), _OURS[row["machine"]](row),
        )
        for row in csv.DictReader(lines)
    ]  # fmt: skip


def all_exact(machine: str) -> bool:
    """Return whether all rows of a machine agree in the printed digits."""
    return all(row.exact for row in published_times() if row.machine == machine)


def _spec(name: str) -> Any:
    return load_preset(name).machine


def _longest(times: Callable[[Any, Any], dict[str, float]], counts: Any, row: dict[str, str]) -> float:
    given = counts(*(float(row[field]) for field in counts._fields))
    return max(times(_spec(row["machine"]), given).values())


def _sigma(row: dict[str, str]) -> float:
    _, columns, inner = map(int, row["workload"].split("/"))
    words = int(row["a_bytes"]) // WORD_BYTES
    return sigma_cycles(_spec("sigma"), sigma_expected(_spec("sigma"), inner, columns, words))


_OURS: dict[str, Callable[[dict[str, str]], float]] = {
    "sigma": _sigma,
    "gamma": partial(_longest, gamma_times, GammaCounts),
    "outerspace": partial(_longest, outerspace_times, OuterspaceCounts),
    "extensor": partial(_longest, extensor_times, ExtensorCounts),
}
