"""The results of a sweep: the table, the certificate of its front, and a record of the study."""

from __future__ import annotations

import platform
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import sparsim
from sparsim.cache import digest_of, sources_digest
from sparsim.errors import FormatError, require
from sparsim.fileio.json_and_csv import write_json
from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.objective_values import Objectives, skipping_is_on
from sparsim.sweep.point_list import PointList
from sparsim.sweep.point_states import DOMINATED, FAILURE, OK, PENDING, STATUS, PointStates, judge
from sparsim.sweep.row_store import RowStore
from sparsim.sweep.study import Study
from sparsim.sweep.sweep_tables import write_table

TABLE, SUMMARY, STUDY = "results.parquet", "sweep.json", "study.yaml"


class SweepResult:
    """The results of a sweep in a folder.

    Parameters
    ----------
    folder : str or Path
        The folder of results.

    Attributes
    ----------
    folder : Path
        The folder of results.
    summary : dict of str to object
        Counts, what is proven, the best points, versions and the study.

    Raises
    ------
    FormatError
        If the folder holds no results.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        path = self.folder / SUMMARY
        try:
            self.summary: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        except (OSError, msgspec.DecodeError) as error:
            raise FormatError(f"are not results of a sweep: {error}", path=str(path)) from None

    @property
    def path(self) -> Path:
        """Path of the Parquet file with a row per point."""
        return self.folder / TABLE

    @cached_property
    def table(self) -> Any:
        """The table with a row per point, a `pyarrow.Table`."""
        return require("pyarrow.parquet", "a sweep", "sweep").read_table(self.path)

    def frame(self) -> Any:
        """Return the table as a data frame.

        Returns
        -------
        pandas.DataFrame
            One row per point.

        Raises
        ------
        MissingLibraryError
            If pandas is not installed.
        """
        require("pandas", "a data frame", "sweep")
        return self.table.to_pandas()

    def front(self) -> Any:
        """Return the points on the front.

        Returns
        -------
        pyarrow.Table
            The rows of the table that are on the front.
        """
        return self.table.filter(self.table["on_front"])

    def failures(self) -> Any:
        """Return the points whose evaluation failed.

        Returns
        -------
        pyarrow.Table
            The rows of the table with the status "failed".
        """
        compute = require("pyarrow.compute", "a sweep", "sweep")
        return self.table.filter(compute.equal(self.table["status"], "failed"))


def write_results(
    folder: Path, space: DesignSpace, points: PointList, store: RowStore, objectives: Objectives,
    fingerprint: str,
) -> SweepResult:  # fmt: skip
    """Write the table and the summary, and return them."""
    states = judge(points, store, objectives, space)
    write_table(folder / TABLE, space, points, store, states)
    counts = Counter(STATUS[code] for code in states.codes.tolist())
    summary = {
        "complete": not counts["pending"] and not counts["failed"],
        "points": len(points),
        "counts": {name: counts[name] for name in STATUS},
        "refused_by_filters": int(points.is_refused.sum()),
        "on_front": int(states.on_front.sum()),
        "evaluations_saved": int(((states.codes == DOMINATED) & ~states.is_evaluated).sum()),
        "certificate": certificate(space, objectives, states),
        "best": _best(space, points, store, objectives, states),
        "versions": {"sparsim": sparsim.__version__, "sources": sources_digest(), **_versions()},
        "fingerprint": fingerprint,
        "table_digest": file_digest(folder / TABLE),
        "study": space.study.to_dict(),
    }
    write_json(folder / SUMMARY, summary)
    return SweepResult(folder)


def certificate(space: DesignSpace, objectives: Objectives, states: PointStates) -> dict[str, Any]:
    """Return the certificate of the front: whether it is exact, or within which gap, over the points that may
    be on it.
    """
    study = space.study
    points = "the grid" if study.sampler.kind == "grid" else "the points that were drawn"
    failed = int((states.codes == FAILURE).sum())
    gaps = states.gaps[states.codes == OK]
    gap = None
    if (states.codes == PENDING).any():
        kind, text = "unfinished", "points are missing"
    elif failed:
        kind, text = "open", f"{failed} points failed and might be on the front"
    elif not states.on_front.any():
        kind, text = "empty", "no point has results that meet all limits"
    elif study.search.mappings is not None:
        kind, text = "exact", f"exact over {points}, for the mappings that the study gives"
    elif np.isnan(gaps).any():
        kind, text = "open", "mappings are planned without a proof, so better ones may exist"
    else:
        gap = float(gaps.max()) if len(gaps) else 0.0
        of = (
            " and ".join(study.search.objective)
            if not isinstance(study.search.objective, str)
            else study.search.objective
        )
        kind = "gap" if gap else "exact"
        text = f"exact over {points}: every mapping that matters is proven to be best in {of}"
        if gap:
            text = (
                f"within {gap:.3%} over {points}: what better mappings could save in {of} of a point at most"
            )
    return {
        "kind": kind,
        "gap": gap,
        "statement": text,
        "skipped_by_proof": skipping_is_on(space, objectives),
    }


def _best(
    space: DesignSpace, points: PointList, store: RowStore, objectives: Objectives, states: PointStates
) -> dict[str, Any]:
    """Return the best point of each objective, with its value and its axes."""
    found: dict[str, Any] = {}
    on_front = np.flatnonzero(states.on_front)
    for column, name in enumerate(objectives.names):
        if len(on_front):
            at = int(on_front[np.argmin(states.values[on_front, column])])
            value = objectives.given(name, float(states.values[at, column]))
            found[name] = {"point": at, "value": value, "axes": points.points([at])[0]}
    return found


def fingerprint_of(space: DesignSpace, shard: str) -> str:
    """Return a digest of everything that the results of a study depend on."""
    study: Study = space.study
    networks = [(name, network.digest, network.attributes) for name, network in space.networks.items()]
    overlays = sorted(space.digests.items())
    return digest_of(space.context.hex(), study.to_dict(), networks, overlays, shard)


def finished_before(folder: Path, fingerprint: str) -> SweepResult | None:
    """Return the results in a folder, if they are complete, undamaged and of the same study and program."""
    try:
        result = SweepResult(folder)
        summary = result.summary
        if summary["complete"] and summary["fingerprint"] == fingerprint:
            return result if summary["table_digest"] == file_digest(result.path) else None
    except (FormatError, OSError, KeyError, TypeError):
        pass
    return None


def file_digest(path: Path) -> str:
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _versions() -> dict[str, str]:
    import numba

    return {"python": platform.python_version(), "numpy": np.__version__, "numba": numba.__version__}
