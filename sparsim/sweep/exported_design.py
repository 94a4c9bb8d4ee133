"""Export and re-evaluation of points in a table: their designs as documents, and checks of their rows."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

from sparsim.errors import SpecError
from sparsim.fileio.writing import write_text
from sparsim.files.sparsim_yaml import dump
from sparsim.files.timeloop.write_documents import write_documents
from sparsim.records import Workload
from sparsim.sweep.design_records import build_accelerator
from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.design_space_loading import load_design_space
from sparsim.sweep.point_evaluation import PointEvaluator
from sparsim.sweep.record_paths import ROOTS
from sparsim.sweep.results import STUDY, SweepResult
from sparsim.sweep.study import METRICS
from sparsim.sweep.study_files import load_study
from sparsim.sweep.sweep_row import Point, Row
from sparsim.sweep.sweep_tables import COMPONENT, plain_value

DESIGN, WORKLOAD = "design.yaml", "workload.yaml"


class Difference(NamedTuple):
    """What a row says that an evaluation now does not.

    Attributes
    ----------
    point : int
    column : str
    recorded, found : object
    """

    point: int
    column: str
    recorded: object
    found: object


def space_of_results(result: SweepResult) -> DesignSpace:
    """Return the design space of results."""
    return load_design_space(load_study(result.folder / STUDY))


def point_of_row(space: DesignSpace, row: dict[str, Any]) -> Point:
    """Return the point of a row of the table. Raises SpecError for values that are not among those of an
    axis.
    """
    point: Point = {}
    for axis in space.axes:
        given = row[axis.name]
        plain = [plain_value(value) for value in axis.values]
        named = [str(value) for value in plain] if isinstance(given, str) else plain
        values = dict(zip(named, axis.values, strict=True))
        if given is not None and given not in values:
            raise SpecError(
                f"axis '{axis.name}' has no value {given!r}, so the table belongs to another study"
            )
        point[axis.name] = None if given is None else values[given]
    return point


def row_of(result: SweepResult, number: int) -> dict[str, Any]:
    """Return a row of the table by the number of its point. Raises SpecError if there is none."""
    numbers = result.table["point"].to_pylist()
    if number not in numbers:
        raise SpecError(f"unknown point {number}; there are {len(numbers)} from {min(numbers, default=0)} on")
    row: dict[str, Any] = result.table.slice(numbers.index(number), 1).to_pylist()[0]
    return row


def export_point(result: SweepResult, number: int, folder: Path, *, timeloop: bool = False) -> list[Path]:
    """Write the design of a point as documents, with a mapping per layer where there is one.

    `folder` gets design.yaml, workload.yaml and layers/LAYER/{layer,mapping}.yaml; with `timeloop` also
    timeloop/LAYER/*.yaml. Returns their paths.

    Raises
    ------
    SpecError
        For unknown points, for a folder that holds the layers of another point, and for what Timeloop's
        documents cannot say.
    MappingError, EmptyMapspaceError
        For points that cannot be mapped.
    """
    space = space_of_results(result)
    row = row_of(result, number)
    point = point_of_row(space, row)
    records, network = space.records(point), space.network(point)
    if timeloop and records.get("machine") is not None:
        raise SpecError("Timeloop's documents cannot describe this machine; leave out --timeloop")
    parts = [records[root] for root in ROOTS if root != "components" and records.get(root) is not None]
    written = [folder / DESIGN, folder / WORKLOAD]
    for earlier in ("layers", "timeloop"):
        if (folder / earlier).exists():
            raise SpecError(f"'{earlier}' already exists and belongs to another point", path=str(folder))
    folder.mkdir(parents=True, exist_ok=True)
    write_text(written[0], dump(*parts, *records.get("components", ())))
    write_text(written[1], dump(Workload(name=network.name, layers=network.layers)))
    if row["status"] != "ok":
        return written
    evaluator = PointEvaluator(space)
    mappings = evaluator.mappings(point, evaluator.final(point)[1])
    for layer, mapping in zip(network.layers, mappings, strict=True):
        if mapping is None:
            continue
        place = folder / "layers" / layer.name
        place.mkdir(parents=True, exist_ok=True)
        for name, record in (("layer", layer), ("mapping", mapping)):
            written.append(place / f"{name}.yaml")
            write_text(written[-1], dump(record))
        if timeloop:
            accelerator = build_accelerator(records)
            written += write_documents(folder / "timeloop" / layer.name, accelerator, layer, mapping)
    return written


def check_rows(result: SweepResult, number: int, seed: int = 0) -> tuple[int, list[Difference]]:
    """Evaluate some evaluated points again and compare bit for bit.

    Returns
    -------
    (int, list of Difference)
        How many points were compared, and what differs.

    Raises
    ------
    SpecError
        If no point has results.
    """
    space = space_of_results(result)
    evaluator = PointEvaluator(space)
    ok = [i for i, status in enumerate(result.table["status"].to_pylist()) if status == "ok"]
    if not ok:
        raise SpecError("no point has results to evaluate again", path=str(result.path))
    chosen = sorted(random.Random(seed).sample(ok, min(number, len(ok))))
    found: list[Difference] = []
    for i in chosen:
        row = result.table.slice(i, 1).to_pylist()[0]
        again, _ = evaluator.final(point_of_row(space, row))
        found += differences(row, again)
    return len(chosen), found


def differences(row: dict[str, Any], again: Row) -> list[Difference]:
    """Return the columns in which a recorded and a new row differ."""
    expected: dict[str, object] = {"status": again.status}
    expected |= {name: again.metrics.get(name) for name in METRICS}
    names = [name for name in row if name.startswith(COMPONENT)]
    expected |= {name: again.components.get(name.removeprefix(COMPONENT)) for name in names}
    return [
        Difference(row["point"], name, row[name], value)
        for name, value in expected.items()
        if row[name] != value
    ]
