"""The command `sparsim estimate`: energies and areas of the components of a document."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsim.cli.input_files import files_argument
from sparsim.errors import SpecError
from sparsim.fileio.json_and_csv import write_json
from sparsim.fileio.writing import write_text
from sparsim.report.console import echo, results
from sparsim.report.tables import Table

# Everything else is imported where it is used: --help must not wait for it.
if TYPE_CHECKING:
    from sparsim.estimate import Estimate


@click.command()
@files_argument
@click.option("-o", "out", metavar="DIR", help="Folder of the two output files; without, nothing is written.")
def estimate(files: tuple[str, ...], out: str | None) -> None:
    """Energy per action and area of components, with the source of every number.

    The FILEs, documents of ours, have `components`. With -o, DIR/sparsim.energy.yaml is the energy table that
    sparsim model reads, and DIR/sparsim.estimate.json has uncertainties and sources too.
    """
    from sparsim.estimate.estimate_components import estimate_all, table_of
    from sparsim.files.sparsim_yaml import dump, load_documents

    where = ", ".join(files)
    components = load_documents(files).components
    if not components:
        raise SpecError("no 'components' given", path=where)
    try:
        estimates = estimate_all(components)
    except SpecError as error:
        raise error.within(where) from None
    results().print(_table(estimates))
    if out is not None:
        folder = Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        energy, report = folder / "sparsim.energy.yaml", folder / "sparsim.estimate.json"
        write_text(energy, dump(table_of(components, estimates, Path(files[0]).stem)))
        write_json(report, estimates)
        echo(f"wrote {energy} and {report}")


def _table(estimates: dict[str, Estimate]) -> Table:
    """One row per action, and one for the area."""
    rows = []
    for name, found in estimates.items():
        for action, energy in found.actions.items():
            pj = f"{energy.energy_pj:.6g}"
            rows.append((name, action, pj, "", _percent(energy.uncertainty), energy.source))
        area = found.area
        rows.append((name, "area", "", f"{found.area_um2:.6g}", _percent(area.uncertainty), area.source))
    return Table(("component", "action", "pJ", "um2", "+-", "source"), rows, text=(0, 1, 5))


def _percent(uncertainty: float | None) -> str:
    return "" if uncertainty is None else f"{uncertainty:.0%}"
