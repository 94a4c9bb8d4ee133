"""The command line: `sparsim model`, `sparsim explain`, `sparsim show`; `sparsim mapper`, `sparsim
chip` and `sparsim estimate` are in modules of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsim import __version__
from sparsim.cli.chip_command import chip
from sparsim.cli.estimate_command import estimate
from sparsim.cli.input_files import (
    accounting_option,
    files_argument,
    layer_option,
    print_warnings,
    read_model,
)
from sparsim.cli.mapper_command import mapper
from sparsim.errors import SpecError, near
from sparsim.fileio.json_and_csv import write_json
from sparsim.fileio.writing import write_text
from sparsim.report.console import echo, results, run

# Everything else is imported where it is used: --help and show must not wait for a compiler.
if TYPE_CHECKING:
    from sparsim.model.result import Evaluation
    from sparsim.records import Layer

_mask = click.option(
    "--mask",
    "masks",
    multiple=True,
    metavar="NAME=FILE",
    help="Take the nonzeros of dataspace NAME from a .npy or .npz file.",
)


@click.group()
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Energy and cycles of dense and compressed-sparse DNN accelerators, with Timeloop 3.0.3's numbers."""


@cli.command()
@files_argument
@click.option("-o", "out", default=".", metavar="DIR", help="Folder of the two output files.  [default: .]")
@accounting_option
@_mask
@layer_option
def model(
    files: tuple[str, ...], out: str, accounting: str, masks: tuple[str, ...], layer: str | None
) -> None:
    """Evaluate one mapping, as timeloop-model does.

    The FILEs, Timeloop's documents or our own, describe accelerator, layer and mapping, in any order. Writes
    DIR/sparsim.stats.txt, in Timeloop's layout, and DIR/sparsim.result.json.
    """
    evaluation = _evaluate(files, accounting, masks, layer)

    from sparsim.files.timeloop.stats_writer import wrapped_counts, write_stats

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    stats, result = folder / "sparsim.stats.txt", folder / "sparsim.result.json"
    write_text(stats, write_stats(evaluation))
    write_json(result, evaluation)
    print_warnings(wrapped_counts(evaluation))
    echo(_summary(evaluation))
    echo(f"wrote {stats} and {result}")


@cli.command()
@files_argument
@accounting_option
@_mask
@layer_option
def explain(files: tuple[str, ...], accounting: str, masks: tuple[str, ...], layer: str | None) -> None:
    """Show where the energy and the cycles of a mapping come from."""
    evaluation = _evaluate(files, accounting, masks, layer)

    from sparsim.report.explain import explanation

    console = results(width=100)
    for part in explanation(evaluation):
        console.print(part)


@cli.command()
@click.argument("what", required=False, metavar="[PRESET|FILE]")
def show(what: str | None) -> None:
    """List the presets, or show one, or a document of ours: an accelerator, a workload."""
    from sparsim.files.native import load_preset, preset_names, workload_names

    if what is None:
        names = (*preset_names(), *workload_names())
        for name in names:
            loaded = load_preset(name)
            record = loaded.architecture or loaded.workload
            echo(f"{name:<{max(map(len, names))}} {record.source if record else ''}".rstrip())
    else:
        from sparsim.files.native import load_named
        from sparsim.report.describe import describe

        echo(describe(what, load_named(what)))


cli.add_command(chip)
cli.add_command(estimate)
cli.add_command(mapper)


def _evaluate(
    files: tuple[str, ...], accounting: str, mask_options: tuple[str, ...], layer_name: str | None
) -> Evaluation:
    documents = read_model(files)
    print_warnings(documents.warnings)
    layer = _with_masks(documents.layer(layer_name), mask_options)
    if documents.mapping is None:
        raise SpecError("no 'mapping' given", path=documents.where)

    from sparsim.model.evaluate import announce_compilation, evaluate

    with announce_compilation():
        evaluation = evaluate(
            documents.accelerator,
            layer,
            documents.mapping,
            accounting=accounting,  # type: ignore[arg-type]
        )
    return evaluation


def _with_masks(layer: Layer, options: tuple[str, ...]) -> Layer:
    """The layer with `actual` densities for the dataspaces of `--mask NAME=FILE`."""
    from msgspec.structs import replace

    from sparsim.records import Density

    names = [dataspace.name for dataspace in layer.shape.dataspaces]
    densities = dict(layer.densities)
    for option in options:
        name, separator, file = option.partition("=")
        if not separator or not file:
            raise SpecError(f"--mask is '{option}', NAME=FILE is expected")
        if name not in names:
            raise SpecError(f"unknown dataspace '{name}'", path=f"--mask {option}", hint=near(name, names))
        densities[name] = Density(distribution="actual", mask=file)
    return replace(layer, densities=densities)


def _summary(evaluation: Evaluation) -> str:
    lines = (
        ("cycles", f"{evaluation.cycles:,}"),
        ("energy", f"{evaluation.energy_pj / 1e6:,.6g} uJ"),
        ("utilization", f"{evaluation.utilization:.1%}"),
        ("computes", f"{evaluation.actual_computes:,} of {evaluation.algorithmic_computes:,}"),
        ("area", f"{evaluation.area_um2 / 1e6:,.4g} mm^2" if evaluation.area_is_given else "not given"),
        ("energies", evaluation.energy_sources),
        ("accounting", evaluation.accounting),
        *(("divisibility", str(cover)) for cover in evaluation.covers),
    )
    head = f"{evaluation.layer} on {evaluation.architecture}"
    return "\n".join([head, *(f"  {name:<12} {value}" for name, value in lines)])


def main() -> None:
    run(cli, "sparsim")
