"""Running of sweeps, and merging of the results of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparsim.errors import SpecError, require
from sparsim.fileio.writing import write_text
from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.design_space_loading import load_design_space
from sparsim.sweep.objective_values import Objectives, skipping_is_on
from sparsim.sweep.point_list import PointList
from sparsim.sweep.point_states import final_rows
from sparsim.sweep.results import STUDY, SweepResult, fingerprint_of, finished_before, write_results
from sparsim.sweep.row_store import RowStore
from sparsim.sweep.run_options import Options
from sparsim.sweep.study import Study
from sparsim.sweep.study_files import load_study, study_text
from sparsim.sweep.sweep_loop import SweepLoop
from sparsim.sweep.sweep_tables import check_columns

ROWS = "rows"


def run(study: Study | str | Path | DesignSpace, out: str | Path, **options: Any) -> SweepResult | None:
    """Run a sweep, or the part of it that is not done yet.

    Every finished chunk of points is on disk at once, so that the same call continues where another one was
    killed.

    Parameters
    ----------
    study : Study, DesignSpace, str or Path
        The study, its name, or its file.
    out : str or Path
        The folder of results.
    **options
        Fields of `sparsim.sweep.run_options.Options`: jobs, client, shard, cache, retry_failed, limit_s,
        on_row, on_progress, evaluator, sampler.

    Returns
    -------
    SweepResult or None
        The results. None for a shard, whose results are those of all shards together.

    Raises
    ------
    SpecError
        For everything that is wrong in the study, before any point is evaluated.
    MissingLibraryError
        If a library that sweeps need is not installed.
    KeyboardInterrupt
        On Ctrl-C, when the table of what is finished has been written.
    """
    for library in ("pyarrow", "filelock"):
        require(library, "a sweep", "sweep")
    chosen = Options(**options)
    chosen.check()
    space = study if isinstance(study, DesignSpace) else load_space(study)
    objectives = Objectives(space)
    check_columns(space)
    folder = Path(out)
    fingerprint = fingerprint_of(space, chosen.shard_name)
    if not chosen.retry_failed and chosen.on_row is None and (done := finished_before(folder, fingerprint)):
        return done
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / STUDY, study_text(space.study))
    rows = chosen.cache or folder / ROWS
    with RowStore(rows, chosen.shard_name, forget_failed=chosen.retry_failed) as store:
        sweep = SweepLoop(space, objectives, store, chosen)
        sweep.run()
        result = None
        if chosen.shard is None:
            result = write_results(folder, space, sweep.points, store, objectives, fingerprint)
    if sweep.progress.is_interrupted:
        raise KeyboardInterrupt
    return result


def load_space(study: Study | str | Path) -> DesignSpace:
    return load_design_space(study if isinstance(study, Study) else load_study(study))


def merge(folders: Sequence[str | Path], out: str | Path, *, evaluator: Any = None) -> SweepResult:
    """Put the rows of several folders of results of one study together, and write their table.

    Parameters
    ----------
    folders : sequence of str or Path
        Folders of results.
    out : str or Path
        The folder of the merged results.
    evaluator : object, optional
        The evaluator of the runs, if they had one of their own.

    Returns
    -------
    SweepResult
        The merged results.

    Raises
    ------
    SpecError
        If a folder holds no rows, or if the folders belong to different studies.
    """
    paths = [Path(folder) for folder in folders]
    for path in paths:
        if not (path / ROWS).is_dir():
            raise SpecError(
                f"has no folder '{ROWS}' of rows", path=str(path), hint="rows of a run with a cache are there"
            )
    studies = [load_study(path / STUDY) for path in paths]
    for path, other in zip(paths, studies, strict=True):
        if other != studies[0]:
            raise SpecError("has another study than the first folder", path=str(path))
    space = load_space(studies[0])
    objectives = Objectives(space)
    Path(out).mkdir(parents=True, exist_ok=True)
    write_text(Path(out) / STUDY, study_text(studies[0]))
    others = [path / ROWS for path in paths if (path / ROWS).resolve() != (Path(out) / ROWS).resolve()]
    with RowStore(Path(out) / ROWS, others=others) as store:
        store.copy_from_others()
        sweep = SweepLoop(space, objectives, store, Options(evaluator=evaluator))
        sweep.list_points()
        return write_results(
            Path(out), space, sweep.points, store, objectives, fingerprint_of(space, Options().shard_name)
        )


def listing(
    study: Study | str | Path | DesignSpace, out: Path, options: Options
) -> tuple[DesignSpace, PointList, list[int], bool]:
    """Return all points of a study, the numbers of those without a result, and whether bounds may rule out
    some of these.
    """
    options.check()
    space = study if isinstance(study, DesignSpace) else load_space(study)
    objectives = Objectives(space)
    with RowStore(
        options.cache or out / ROWS, options.shard_name, forget_failed=options.retry_failed
    ) as store:
        sweep = SweepLoop(space, objectives, store, options)
        if sweep.sampler.is_adaptive:
            raise SpecError("points depend on results, so they are not known in advance", path="--dry-run")
        sweep.list_points()
        found, _ = final_rows(store, sweep.points.keys, sweep.budgets)
    left = np.flatnonzero((found < 0) & ~sweep.points.is_refused)
    return space, sweep.points, left.tolist(), skipping_is_on(space, objectives)
