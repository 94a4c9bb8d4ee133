"""Products of sparse matrices on a machine, for the command `sparsim chip`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sparsim.cli.json_output import print_json
from sparsim.errors import SpecError
from sparsim.fileio.json_and_csv import write_json
from sparsim.report.console import echo, named_values

if TYPE_CHECKING:
    from sparsim.hardware import Hardware

MOST_MATRICES = 2


def run_products(hardware: Hardware, paths: Sequence[str], output: Path | None, *, as_json: bool) -> None:
    """Cost the product of one or two matrices on a machine, and print or write what is found."""
    from sparsim.files.matrix_files import load_matrix
    from sparsim.hardware import SpgemmMachine
    from sparsim.machines.spgemm import SparseMatrix
    from sparsim.report.product_rows import product_document, product_lines

    if not isinstance(hardware, SpgemmMachine):
        text = f"{hardware.name} takes workloads, matrices are for extensor, gamma, outerspace and sigma"
        raise SpecError(text, path=paths[0])
    if len(paths) > MOST_MATRICES:
        raise SpecError(f"there must be one matrix (A) or two (A and B), got {len(paths)}")
    matrices = [SparseMatrix.of(load_matrix(path), Path(path).name) for path in paths]
    cost = hardware.product(*matrices)
    found = product_document(hardware, cost)
    if as_json:
        print_json(found)
    else:
        echo(f"{cost.product} on {hardware.name}")
        echo(named_values(product_lines(hardware, cost)))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        write_json(output / "chip.result.json", found)
        echo(f"wrote chip.result.json to {output}", err=as_json)
