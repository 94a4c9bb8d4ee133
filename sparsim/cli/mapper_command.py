"""The command `sparsim mapper`: search the mapspace of one layer or of several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsim.cli.common_options import (
    AT_LEAST_1,
    cache_option,
    folder_option,
    layer_option,
    seed_option,
    threads_option,
)
from sparsim.cli.input_files import (
    Reading,
    accounting_option,
    file_names,
    files_argument,
    print_warnings,
    read_search,
    reading_options,
    stats_option,
    timeloop_files_option,
    write_timeloop_files,
)
from sparsim.cli.json_output import json_option, print_json
from sparsim.errors import EmptyMapspaceError, MappingError, SpecError
from sparsim.fileio.json_and_csv import write_csv, write_json
from sparsim.fileio.writing import write_text
from sparsim.report.console import echo, fail, messages, named_values, results

# Everything else is imported where it is used: --help must not wait for a compiler.
if TYPE_CHECKING:
    from sparsim.files.documents import Documents
    from sparsim.mapper.engine import Progress
    from sparsim.mapper.mapping_cache import MappingCache
    from sparsim.mapper.search_result import SearchResult
    from sparsim.model.result import Evaluation
    from sparsim.records import Layer
    from sparsim.report.tables import Table

METHODS = ("auto", "exhaustive", "random", "local")
PERIOD_S = 0.1  # seconds between updates of the progress; more frequent ones cost time and cannot be read


@click.command()
@files_argument
@folder_option(".")
@click.option(
    "--objective", metavar="OBJECTIVE,...", show_default="the documents' mapper section, or edp",
    help="What to minimize.",
)  # fmt: skip
@click.option(
    "--method", type=click.Choice(METHODS), default=METHODS[0], show_default=True,
    help="How the mapspace is searched.",
)  # fmt: skip
@click.option(
    "--evaluations",
    type=AT_LEAST_1,
    help="Largest number of mappings that each method evaluates for a layer.",
)
@click.option("--seconds", type=float, help="Limit for the search of a layer, in CPU seconds.")
@click.option(
    "--gap", type=float, default=0.0, show_default=True,
    help="End when the best mapping is proven to be within this share of the optimum, such as 0.01.",
)  # fmt: skip
@seed_option
@threads_option(text="the documents' mapper section, or 1")
@click.option("--top", type=AT_LEAST_1, default=1, show_default=True, help="Number of mappings to report.")
@click.option(
    "--padded", metavar="DIM,...", multiple=True, help="Dims whose tensors may be padded with zeros."
)
@click.option("--imperfect", metavar="DIM,...", multiple=True, help="Dims whose last tile may be smaller.")
@click.option(
    "--most-padding", type=click.FloatRange(0.0, 1.0), metavar="SHARE",
    show_default="the mapspace's, or 0.125", help="By how much factors of these dims may exceed the bound.",
)  # fmt: skip
@click.option(
    "--uneven", metavar="LEVEL,...", multiple=True,
    help="Levels in which each tensor may have a tile at its own place of the loop nest, or 'all'.",
)  # fmt: skip
@accounting_option
@layer_option
@reading_options
@timeloop_files_option
@stats_option
@json_option
@cache_option("~/.cache/sparsim")
@click.option("--no-cache", is_flag=True, help="Neither keep results nor use those of earlier runs.")
def mapper(
    files: tuple[str, ...],
    output: Path,
    objective: str | None,
    layer: str | None,
    reading: Reading,
    timeloop_files: bool,
    dialect: str | None,
    cache_folder: Path | None,
    no_cache: bool,
    threads: int | None,
    padded: tuple[str, ...],
    imperfect: tuple[str, ...],
    uneven: tuple[str, ...],
    most_padding: float | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Search for the best mapping, and say how good it is.

    The FILEs, Timeloop's documents or our own, describe accelerator, layers and constraints, in any order.
    An OBJECTIVE is energy, delay, edp, accesses-LEVEL, last-level-accesses or ordered-accesses; of several,
    the first is the most important. The number of threads does not change the result.
    Writes DIR/sparsim.mapping.yaml, DIR/sparsim.stats.txt and DIR/sparsim.result.json; of several layers
    DIR/LAYER/..., and DIR/sparsim.layers.csv. With --uneven sparsim.design.yaml, for which the mapping is,
    and with --timeloop-files timeloop-mapper.stats.txt, .map.txt, .map.yaml, .ERT.yaml and .ART.yaml stand
    beside them. Ctrl-C ends the search with the best so far. The exit code is 1 if there is no valid mapping.
    """
    documents = read_search(files, layer, reading).accounted(options["accounting"])
    inputs = _with_policies(documents, padded, imperfect, most_padding)
    if uneven and timeloop_files:
        raise SpecError("--uneven and --timeloop-files cannot be used together: Timeloop has no uneven tiles")
    inputs = _with_uneven(inputs, _names(uneven))
    options["accounting"] = inputs.accounting
    options["objective"] = _objective(objective, inputs)
    options["threads"] = threads or (inputs.mapper and inputs.mapper.threads) or 1
    folders, cache = _folders(output, inputs.layers), _cache(cache_folder, no_cache)
    for each in inputs.layers:
        echo(_size(each, inputs, options["seed"]), err=True)
    rows: list[dict[str, Any]] = []
    try:
        for found, result in _search(inputs, cache, options):
            evaluation = _write(folders[len(rows)], inputs, found, result, dialect)
            if len(folders) == 1 and not as_json:
                echo(_summary(found, result, evaluation))
            if uneven:
                _write_design(folders[len(rows)], inputs, found)
            elif result.best.divisibility and not inputs.is_native:
                echo(
                    "the mapping is a sparsim document, because Timeloop's have perfect factors only",
                    err=as_json,
                )
            folder = folders[len(rows)]
            echo(f"wrote sparsim.mapping.yaml, .stats.txt and .result.json to {folder}", err=as_json)
            if timeloop_files:
                paths = write_timeloop_files(folder, "timeloop-mapper", inputs, found, evaluation, dialect)
                echo(f"wrote {paths}", err=as_json)
            rows.append(_row(found, result, evaluation))
    finally:
        if len(folders) > 1 and rows:
            write_csv(output / "sparsim.layers.csv", rows)
            echo(f"wrote {output / 'sparsim.layers.csv'}", err=as_json)
        if as_json:
            print_json(rows)
        elif len(folders) > 1 and rows:
            results().print(_network_table(rows))
    if missing := len(folders) - len(rows):
        fail("sparsim", f"interrupted; {missing} of {len(folders)} layers have no mapping", 1)


def _with_policies(
    inputs: Documents, padded: tuple[str, ...], imperfect: tuple[str, ...], most_padding: float | None
) -> Documents:
    """Add the dims that the options name to those of the mapspace, and set how much they may cover."""
    import msgspec

    from sparsim.records import Mapspace
    from sparsim.records.mapping import Divisibility

    added: dict[str, Divisibility] = dict.fromkeys(_names(padded), "padded")
    for dim in _names(imperfect):
        if dim in added:
            raise SpecError(f"dim '{dim}' is in both --padded and --imperfect")
        added[dim] = "imperfect"
    mapspace = inputs.mapspace or Mapspace()
    if most_padding is not None:
        mapspace = msgspec.structs.replace(mapspace, most_padding=most_padding)
    if not added and most_padding is None:
        return inputs
    mapspace = msgspec.structs.replace(mapspace, divisibility=mapspace.divisibility | added)
    return replace(inputs, mapspace=mapspace)


def _with_uneven(inputs: Documents, levels: list[str]) -> Documents:
    """Put several levels in place of each of the levels that the option names."""
    from sparsim.mapper.uneven_tiles import with_uneven_tiles

    if not levels:
        return inputs
    shape = inputs.layers[0].shape
    for layer in inputs.layers:
        if layer.shape.dataspaces != shape.dataspaces:
            raise SpecError("layers with different tensors need one run each for --uneven", path=inputs.where)
    found = with_uneven_tiles(inputs.accelerator, shape, None if levels == ["all"] else levels)
    if not any(level.memory for level in found.architecture.storage):
        raise SpecError("no level keeps several tensors and has free loops in time", path="--uneven")
    return replace(
        inputs, architecture=found.architecture, policy=found.policy, energy=found.energy, components=(),
        mapspace=found.mapspace, is_native=True,
    )  # fmt: skip


def _names(options: tuple[str, ...]) -> list[str]:
    return [name.strip() for option in options for name in option.split(",")]


def _objective(given: str | None, inputs: Documents) -> tuple[str, ...]:
    from sparsim.records.objective import objective_names

    levels = [level.name for level in inputs.accelerator.architecture.storage]
    if given is not None:
        return objective_names([name.strip() for name in given.split(",")], levels)
    return objective_names(inputs.mapper.metrics if inputs.mapper else "edp", levels)


def _cache(folder: Path | None, off: bool) -> MappingCache:
    from sparsim.cache import default_folder
    from sparsim.mapper.mapping_cache import MappingCache

    if off:
        if folder is not None:
            raise SpecError("--cache and --no-cache cannot be used together")
        return MappingCache()

    def warn(message: str) -> None:
        print_warnings((message,))

    return MappingCache(folder or default_folder(warn), warn=warn)


def _folders(out: Path, layers: tuple[Layer, ...]) -> list[Path]:
    """Return the output folders: DIR for one layer, DIR/LAYER for several."""
    if len(layers) == 1:
        return [out]
    return [out / name for name in file_names(layers)]


def _size(layer: Layer, inputs: Documents, seed: int) -> str:
    from sparsim.mapper.covered_parts import list_parts, sizes_of_all

    try:
        number = sizes_of_all(inputs.accelerator, layer, list_parts(inputs.accelerator, layer, seed))
    except EmptyMapspaceError as error:
        fail("sparsim", f"layer {layer.name}: {error}", 1)
    parts = (
        ("factorisations", number.factorisations),
        ("orders", number.orders),
        ("splits", number.splits),
        ("bypass choices", number.bypasses),
    )
    product = ", ".join(f"{name} {_large(count)}" for name, count in parts)
    return f"{layer.name}: {_large(number.total)} mappings ({product})"


def _search(
    inputs: Documents, cache: MappingCache, options: dict[str, Any]
) -> Iterator[tuple[Layer, SearchResult]]:
    """Search the layers one after the other, until one is interrupted or has no mapping."""
    from sparsim.mapper.network_search import search_each

    for layer in inputs.layers:
        try:
            with _live(layer) as progress:
                (result,) = search_each(
                    inputs.accelerator, [layer], cache=cache, progress=progress, **options
                )
        except MappingError as error:  # names the layer
            fail("sparsim", str(error), 1)
        yield layer, result
        if result.interrupted:
            return


@contextmanager
def _live(layer: Layer) -> Iterator[Callable[[Progress], None]]:
    """Show the best mapping so far on stderr if it is a terminal."""
    from rich.markup import escape

    shown = 0.0
    with messages().status(escape(layer.name)) as status:

        def show(progress: Progress) -> None:
            nonlocal shown
            if progress.seconds - shown >= PERIOD_S:
                shown = progress.seconds
                status.update(escape(_progress(layer, progress)))

        yield show


def _progress(layer: Layer, progress: Progress) -> str:
    best = "none valid yet"
    if progress.best is not None:
        best = f"best {progress.best.energy_pj / 1e6:.6g} uJ in {progress.best.cycles:,} cycles"
    tried = f"{progress.evaluated:,} evaluated in {progress.seconds:.0f} s"
    return f"{layer.name}: {best}, {tried} (Ctrl-C keeps it)"


def _large(number: int) -> str:
    from sparsim.records.number_limits import rounded

    return f"{number:,}" if number < 10**12 else rounded(number)


def _write(
    folder: Path, inputs: Documents, layer: Layer, result: SearchResult, dialect: str | None
) -> Evaluation:
    """Write the three files of a layer. Returns the evaluation of the best mapping."""
    from sparsim.files.sparsim_yaml import dump
    from sparsim.files.timeloop.stats_dialect import stats_text
    from sparsim.files.timeloop.stats_writer import wrapped_counts
    from sparsim.files.timeloop.write_documents import mapping_text
    from sparsim.model.evaluate import evaluate

    evaluation = evaluate(inputs.accelerator, layer, result.best, accounting=inputs.accounting)
    if inputs.is_native or result.best.divisibility:
        text = dump(result.best)
    else:
        text = mapping_text(inputs.accelerator.architecture, layer, result.best)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "sparsim.mapping.yaml", text)
    write_text(folder / "sparsim.stats.txt", stats_text(evaluation, dialect))
    print_warnings(wrapped_counts(evaluation))
    document = result.to_dict() | {
        "sizes": result.sizes._asdict(),
        "top": [found._asdict() | {"mapping": found.mapping.to_dict()} for found in result.top],
        "evaluation": evaluation,
    }
    write_json(folder / "sparsim.result.json", document)
    return evaluation


def _write_design(folder: Path, inputs: Documents, layer: Layer) -> None:
    """Write what the mapping is for, which differs from the FILEs, as a document for `sparsim model`."""
    from sparsim.files.sparsim_yaml import dump

    records = (inputs.architecture, inputs.policy, inputs.energy, layer)
    path = folder / "sparsim.design.yaml"
    write_text(path, dump(*(record for record in records if record is not None)))
    echo(f"wrote {path.name}, of which each memory with uneven tiles is several levels", err=True)


def _summary(layer: Layer, result: SearchResult, evaluation: Evaluation) -> str:
    seen, certificate = result.statistics, result.certificate
    method = f"{result.method}, interrupted" if result.interrupted else result.method
    from sparsim.records.objective import ACCESSES

    values = zip(result.objective, result.top[0].values, strict=False)
    accesses = [(name, value) for name, value in values if name.startswith(ACCESSES)]
    lines = [
        ("cycles", f"{evaluation.cycles:,}"),
        ("energy", f"{evaluation.energy_pj / 1e6:,.6g} uJ"),
        ("utilization", f"{evaluation.utilization:.1%}"),
        ("energies", evaluation.energy_sources),
        *(("divisibility", str(cover)) for cover in evaluation.covers),
        ("objective", ", ".join(result.objective)),
        *((name, f"{value:,.0f} words") for name, value in accesses),
        ("search", f"{method}, {seen.evaluated:,} evaluated, {seen.cpu_s:.3g} CPU-s"),
        ("proof", _proof(certificate.kind, certificate.gap)),
    ]
    return named_values(lines, f"{layer.name} on {evaluation.architecture}") + f"\n  {certificate.statement}"


def _proof(kind: str, gap: float) -> str:
    return kind if kind == "optimal" else f"gap {gap:.3%}"


def _row(layer: Layer, result: SearchResult, evaluation: Evaluation) -> dict[str, Any]:
    """Return a row of sparsim.layers.csv."""
    certificate = result.certificate
    return {
        "layer": layer.name,
        "energy_pj": evaluation.energy_pj,
        "cycles": evaluation.cycles,
        "utilization": evaluation.utilization,
        "certificate": certificate.kind,
        "gap": certificate.gap,
        "divisibility": "; ".join(map(str, evaluation.covers)),
    }


def _network_table(rows: list[dict[str, Any]]) -> Table:
    """Return the table of all layers."""
    from sparsim.report.tables import Table

    cells = [
        (
            row["layer"], f"{row['energy_pj'] / 1e6:,.6g}", f"{row['cycles']:,}", f"{row['utilization']:.1%}",
            _proof(row["certificate"], row["gap"]),
        )
        for row in rows
    ]  # fmt: skip
    energy_uj, cycles = sum(row["energy_pj"] for row in rows) / 1e6, sum(row["cycles"] for row in rows)
    total = ("total", f"{energy_uj:,.6g}", f"{cycles:,}", "", "")
    return Table(("layer", "energy uJ", "cycles", "utilization", "proof"), cells, total=total)
