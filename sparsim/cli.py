"""The command line: `sparsim model`, `sparsim explain`, `sparsim show`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sparsim import __version__
from sparsim.console import run
from sparsim.errors import SpecError, near

# Everything else is imported where it is used: --help and show must not wait for a compiler.
if TYPE_CHECKING:
    from sparsim.result import Evaluation
    from sparsim.spec import Layer
    from sparsim.spec.load import Loaded
    from sparsim.timeloop.reader import Documents

ACCOUNTINGS = ("timeloop-3", "timeloop-2022", "count-all")

_files = click.argument("files", nargs=-1, required=True, metavar="FILE...")
_accounting = click.option(
    "--accounting",
    type=click.Choice(ACCOUNTINGS),
    default=ACCOUNTINGS[0],
    show_default=True,
    help="How first fills and first reads of results count.",
)
_mask = click.option(
    "--mask",
    "masks",
    multiple=True,
    metavar="NAME=FILE",
    help="Take the nonzeros of dataspace NAME from a .npy or .npz file.",
)
_layer = click.option("--layer", metavar="NAME", help="The layer to take where the FILEs hold several.")


@click.group()
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Energy and cycles of dense and compressed-sparse DNN accelerators, with Timeloop 3.0.3's numbers."""


@cli.command()
@_files
@click.option("-o", "out", default=".", metavar="DIR", help="Folder of the two output files.  [default: .]")
@_accounting
@_mask
@_layer
def model(
    files: tuple[str, ...], out: str, accounting: str, masks: tuple[str, ...], layer: str | None
) -> None:
    """Evaluate one mapping, as timeloop-model does.

    The FILEs, Timeloop's documents or our own, describe accelerator, layer and mapping, in any order. Writes
    DIR/sparsim.stats.txt, in Timeloop's layout, and DIR/sparsim.result.json.
    """
    evaluation = _evaluate(files, accounting, masks, layer)

    import msgspec

    from sparsim.timeloop.stats_write import write_stats

    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    stats, result = folder / "sparsim.stats.txt", folder / "sparsim.result.json"
    stats.write_text(write_stats(evaluation))
    result.write_bytes(msgspec.json.format(msgspec.json.encode(evaluation), indent=1) + b"\n")  # nan as null
    click.echo(_summary(evaluation))
    click.echo(f"wrote {stats} and {result}")


@cli.command()
@_files
@_accounting
@_mask
@_layer
def explain(files: tuple[str, ...], accounting: str, masks: tuple[str, ...], layer: str | None) -> None:
    """Show where the energy and the cycles of a mapping come from."""
    evaluation = _evaluate(files, accounting, masks, layer)

    from rich.console import Console

    from sparsim.explain import explain as explain_parts

    console = Console(width=None if sys.stdout.isatty() else 100)
    for part in explain_parts(evaluation):
        console.print(part)


@cli.command()
@click.argument("what", required=False, metavar="[PRESET|FILE]")
def show(what: str | None) -> None:
    """List the presets, or show one, or a document of ours: an accelerator, a workload."""
    from sparsim.spec.load import load_documents, load_preset, preset_names

    if what is None:
        for name in preset_names():
            loaded = load_preset(name)
            source = loaded.architecture.source if loaded.architecture else ""
            click.echo(f"{name:<24} {source}".rstrip())
    else:
        from sparsim.show import describe

        is_file = Path(what).suffix in (".yaml", ".yml")
        click.echo(describe(what, load_documents([what]) if is_file else load_preset(what)))


def _evaluate(
    files: tuple[str, ...], accounting: str, mask_options: tuple[str, ...], layer_name: str | None
) -> Evaluation:
    documents = _read(files, layer_name)
    for warning in documents.warnings:
        click.echo(f"sparsim: warning: {warning}", err=True)
    if documents.mapping is None:
        raise SpecError("no 'mapping' given", path=", ".join(files))
    layer = _with_masks(documents.layer, mask_options)

    from sparsim.evaluation import announce_compilation, evaluate

    with announce_compilation():
        evaluation = evaluate(
            documents.arch,
            layer,
            documents.policy,
            documents.energy,
            documents.mapping,
            accounting=accounting,  # type: ignore[arg-type]
        )
    for warning in evaluation.warnings:
        click.echo(f"sparsim: warning: {warning}", err=True)
    return evaluation


def _read(paths: tuple[str, ...], layer: str | None) -> Documents:
    """Timeloop's documents or our own, not both; of several layers the one with name `layer`."""
    from sparsim.spec.load import is_native, loaded_from
    from sparsim.spec.yamlfile import load_yaml
    from sparsim.timeloop.reader import documents_from

    files = [(path, load_yaml(path)) for path in paths]
    native = [path for path, data in files if is_native(data)]
    where = ", ".join(paths)
    if not native:
        documents = documents_from(files)
        return documents._replace(layer=_choose((documents.layer,), layer, where))
    others = [path for path in paths if path not in native]
    if others:
        raise SpecError(f"{native[0]} is a document of ours, {others[0]} is not: give one kind only")
    return _from_loaded(loaded_from(files), layer, where)


def _from_loaded(loaded: Loaded, layer: str | None, where: str) -> Documents:
    from sparsim.timeloop.reader import Documents

    if loaded.architecture is None:
        raise SpecError("no 'architecture' given", path=where)
    chosen = _choose(loaded.layers, layer, where)
    return Documents(loaded.architecture, chosen, loaded.policy, loaded.energy, loaded.mapping, warnings=())


def _choose(layers: tuple[Layer, ...], name: str | None, where: str) -> Layer:
    found = [layer for layer in layers if name is None or layer.name == name]
    if len(found) == 1:
        return found[0]
    if name is None:
        hint = "choose with --layer NAME" if layers else ""
        raise SpecError(f"{len(layers)} layers given, exactly one is expected", path=where, hint=hint)
    if found:
        raise SpecError(f"{len(found)} layers have the name '{name}'", path=where)
    raise SpecError(f"no layer '{name}'", path=where, hint=near(name, [layer.name for layer in layers]))


def _with_masks(layer: Layer, options: tuple[str, ...]) -> Layer:
    """The layer with `actual` densities for the dataspaces of `--mask NAME=FILE`."""
    from msgspec.structs import replace

    from sparsim.spec import Density

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
        ("area", f"{evaluation.area_um2 / 1e6:,.4g} mm^2"),
        ("accounting", evaluation.accounting),
    )
    head = f"{evaluation.layer} on {evaluation.architecture}"
    return "\n".join([head, *(f"  {name:<12} {value}" for name, value in lines)])


def main() -> None:
    run(cli, "sparsim")
