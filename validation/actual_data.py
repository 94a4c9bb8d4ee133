"""`python -m validation.actual_data DIR`: actual data against the uniform model, where the answer is known.

On one sparse Eyeriss v2 PE every pair of a nonzero input and a nonzero weight of the same channel takes one
cycle, so a layer of 1 x 1 filters takes the sum over channels c of nnz_I[c] * nnz_W[c] cycles. A model that
uses only densities gives nnz_I * nnz_W / C, and its error is the covariance of the two over the channels.
"""

import math
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsim.cli.common_options import write_docs_option
from sparsim.errors import EnergyWarning, SpecError
from sparsim.files.timeloop_files import read_documents
from sparsim.model.evaluate import evaluate
from sparsim.model.result import Evaluation
from sparsim.records import Accelerator, Dataspace, Density, Layer, Mapping
from sparsim.records.layer_counts import tensor_shape
from sparsim.report.console import results
from sparsim.report.tables import Table, write_blocks
from validation.case_folders import find_cases

PAGE = Path(__file__).parents[1] / "docs" / "results" / "actual-data.md"
CHANNEL = "C"


class Row(NamedTuple):
    """Operations of one layer: all, and those that remain."""

    name: str
    all: int
    exact: int
    counted: int
    counted_cycles: int
    counted_updates: int  # updates of the innermost partial sums
    uniform: int
    covariance: float  # exact less nnz_I * nnz_W / C

    @property
    def counted_error(self) -> float:
        return self.counted / self.exact - 1.0

    @property
    def uniform_error(self) -> float:
        return self.uniform / self.exact - 1.0


def draw_masks(layer: Layer, seed: int) -> dict[str, NDArray[np.bool_]]:
    """Draw both operands with as many nonzeros as the densities of the layer say, unevenly over the channels:
    channels that are dense in one operand tend to be dense in the other.
    """
    rng = np.random.default_rng(seed)
    common = rng.random(layer.bounds[CHANNEL])
    masks = {}
    for dataspace in _operands(layer):
        shape = tensor_shape(layer, dataspace.name)
        lean = common + rng.random(layer.bounds[CHANNEL])
        along_channels = [-1 if side == CHANNEL else 1 for side in dataspace.projection]
        scores = rng.random(shape) + 0.5 * lean.reshape(along_channels)
        nonzeros = math.ceil(layer.density(dataspace.name).density * scores.size)
        mask = np.zeros(scores.size, np.bool_)
        mask[np.argsort(scores, axis=None, kind="stable")[scores.size - nonzeros :]] = True
        masks[dataspace.name] = mask.reshape(shape)
    return masks


def _operands(layer: Layer) -> list[Dataspace]:
    return [d for d in layer.shape.dataspaces if not d.read_write]


def nonzeros_by_channel(layer: Layer, masks: dict[str, NDArray[np.bool_]]) -> list[NDArray[np.int64]]:
    """Per operand, in the shape's order."""
    found = []
    for dataspace in _operands(layer):
        axis = dataspace.projection.index(CHANNEL)
        channels_first = np.moveaxis(masks[dataspace.name], axis, 0)
        found.append(channels_first.reshape(layer.bounds[CHANNEL], -1).sum(axis=1))
    return found


def compare(
    name: str,
    accelerator: Accelerator,
    layer: Layer,
    mapping: Mapping,
    seed: int,
) -> Row:
    """Evaluate a layer with drawn masks: exactly, with actual data, and with its own densities."""
    masks = draw_masks(layer, seed)
    densities = {**layer.densities, **dict.fromkeys(masks, Density(distribution="actual"))}
    with_masks = msgspec.structs.replace(layer, densities=densities)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EnergyWarning)  # energies are not used here
        counted = evaluate(accelerator, with_masks, mapping, masks=masks)
        uniform = evaluate(accelerator, layer, mapping)
    a, b = nonzeros_by_channel(layer, masks)
    exact = int(a @ b)
    return Row(
        name, counted.algorithmic_computes, exact, counted.actual_computes, counted.cycles,
        _innermost_updates(counted, layer), uniform.actual_computes,
        exact - int(a.sum()) * int(b.sum()) / len(a),
    )  # fmt: skip


def _innermost_updates(result: Evaluation, layer: Layer) -> int:
    """Return the updates of the result at the innermost level that keeps it, of all instances."""
    (name,) = (d.name for d in layer.shape.dataspaces if d.read_write)
    sums = next(t for level in result.storage for t in level.tensors if t.dataspace == name)
    return round(sums.updates.actual * sums.instances_average)


def compare_cases(root: Path) -> list[Row]:
    """Compare every case folder at and below `root`; the n-th one gets the masks of seed n."""
    rows = []
    for seed, case in enumerate(find_cases(root, "timeloop-3")):
        documents = read_documents(case.documents)
        if documents.mapping is None:
            raise SpecError("no mapping", path=case.name)
        name = case.name.rpartition("-")[2]
        rows.append(compare(name, documents.accelerator, documents.layer(), documents.mapping, seed))
    return rows


def table(rows: Sequence[Row]) -> Table:
    cells = [
        (
            row.name, row.all, row.exact, row.counted, f"{row.counted_error:.2%}", row.counted_updates,
            row.uniform, f"{row.uniform_error:+.2%}", f"{row.covariance:.1f}",
        )
        for row in rows
    ]  # fmt: skip
    head = "layer|operations|exact|actual data|error|psum updates|uniform|error|covariance"
    return Table(head.split("|"), cells)


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, exists=True))
@write_docs_option
def main(directory: Path, write_docs: bool) -> None:
    """Draw masks for every case folder below DIR and compare. Exits with 1 if actual data are off."""
    if not find_cases(directory, "timeloop-3"):
        click.echo(f"no case folder (YAML documents and a stats.txt) at or below {directory}")
        sys.exit(2)
    rows = compare_cases(directory)
    found = table(rows)
    if write_docs:
        write_blocks(PAGE, {"layers": found})
    results().print(found)
    sys.exit(any({row.counted, row.counted_cycles, row.counted_updates} != {row.exact} for row in rows))


if __name__ == "__main__":
    main(prog_name="python -m validation.actual_data")
