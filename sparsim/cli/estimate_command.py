"""The command `sparsim estimate`: energies and areas of the components of documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsim.cli.common_options import folder_option
from sparsim.cli.input_files import (
    Reading,
    files_argument,
    print_warnings,
    read_components,
    reading_options,
)
from sparsim.cli.json_output import json_option, print_json
from sparsim.fileio.json_and_csv import write_json
from sparsim.fileio.writing import write_text
from sparsim.report.console import echo, results
from sparsim.report.tables import Table

# Everything else is imported where it is used: --help must not wait for it.
if TYPE_CHECKING:
    from sparsim.estimate import Estimate


@click.command()
@files_argument
@folder_option()
@reading_options
@json_option
def estimate(files: tuple[str, ...], output: Path | None, reading: Reading, as_json: bool) -> None:
    """Estimate energies and areas of components, with their sources.

    The FILEs are documents of ours with `components`, or Timeloop's and Accelergy's: an architecture and the
    classes of compound components. With -o, DIR/ERT.yaml and DIR/ART.yaml are the tables that Accelergy
    makes, DIR/sparsim.energy.yaml is the same for documents of ours, and DIR/sparsim.estimate.json has
    uncertainties and sources too.
    """
    from sparsim.estimate.estimate_components import table_of
    from sparsim.files.accelergy.reference_tables import area_reference_table, energy_reference_table
    from sparsim.files.sparsim_yaml import dump
    from sparsim.files.timeloop.write_documents import dump_document

    found, estimates = read_components(files, reading)
    print_warnings(found.warnings)
    if as_json:
        print_json(estimates)
    else:
        results().print(_table(estimates))
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        energy, report = output / "sparsim.energy.yaml", output / "sparsim.estimate.json"
        write_text(energy, dump(table_of(found.components, estimates, Path(files[0]).stem)))
        write_json(report, estimates)
        ert, art = output / "ERT.yaml", output / "ART.yaml"
        write_text(ert, dump_document(energy_reference_table(estimates, found.paths)))
        write_text(art, dump_document(area_reference_table(estimates, found.paths)))
        echo(f"wrote {ert}, {art}, {energy} and {report}", err=as_json)


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
