"""The command `sparsim trace`: an ONNX file as a workload."""

from __future__ import annotations

import math
from pathlib import Path

import click

from sparsim.cli.common_options import batch_option, folder_option, input_option
from sparsim.cli.json_output import json_option, print_json
from sparsim.errors import SpecError
from sparsim.report.console import echo, results


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.onnx")
@folder_option()
@click.option("--dim", "dims", multiple=True, metavar="NAME=SIZE", help="Size of a named dimension.")
@input_option("NAME=SHAPE")
@click.option(
    "--inputs", "samples", type=click.Path(path_type=Path), metavar="FILE.npz",
    help="A .npz file with samples for each input, on which onnxruntime measures zeros.",
)  # fmt: skip
@batch_option(1)
@click.option(
    "--name", default="", metavar="NAME", show_default="that of the file", help="Name of the workload."
)
@json_option
def trace(
    file: Path,
    output: Path | None,
    dims: tuple[str, ...],
    shapes: tuple[str, ...],
    samples: Path | None,
    batch: int,
    name: str,
    as_json: bool,
) -> None:
    """Read the layers of a network from an ONNX file.

    Shapes are inferred; zeros of weights are counted, those of activations only with --inputs. Shows the
    layers, and writes DIR/workload.yaml, trace.csv and trace.json. A first dimension without a size is 1.
    """
    if file.suffix == ".pt2":
        raise SpecError(f"{file}: use `python -m gmp trace {file}` for programs of torch.export")
    from sparsim.fileio.array_files import load_arrays
    from sparsim.files.onnx_densities import complete_shapes, measured, samples_of
    from sparsim.files.onnx_layers import layers_of
    from sparsim.files.onnx_model import read_onnx
    from sparsim.files.traced_layers import record_of
    from sparsim.records import Workload
    from sparsim.report.trace_report import table, trace_document, write_trace

    arrays = load_arrays(samples) if samples else {}
    if not isinstance(arrays, dict):
        raise SpecError(
            "contains a single array; give an .npz file with one array per input, under the input's name",
            path=str(samples),
        )
    given = {key: _shape(key, value) for key, value in map(_pair, shapes)}
    sizes = {key: _size(key, value) for key, value in map(_pair, dims)}
    model = read_onnx(file, sizes, given, arrays)
    if arrays:
        complete_shapes(model, arrays)
    found = layers_of(model)
    layers = measured(model, found, arrays) if arrays else found.layers
    count = samples_of(model, arrays) if arrays else 0
    facts: dict[str, str | int | float | bool] = {"samples": count}
    facts |= {"not_measured": ", ".join(found.gaps)} if found.gaps else {}
    workload = Workload(
        name=name or file.stem, source=file.name, provenance=facts,
        layers=tuple(record_of(layer, batch) for layer in layers),
    )  # fmt: skip
    macs = sum(layer.macs for layer in layers)
    document = trace_document(layers, workload, samples=count, macs=macs, not_measured=list(found.gaps))
    if as_json:
        print_json(document)
    else:
        title = f"{file}: " + (f"{count} samples" if count else "activations were not measured")
        notes = ["not counted: " + ", ".join(found.gaps)] if found.gaps else []
        results().print(table(layers, title, notes))
    if output is not None:
        write_trace(document, workload, output)
        echo(f"wrote workload.yaml, trace.csv and trace.json to {output}", err=as_json)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=")
    if not equals or not name:
        raise SpecError(f"the option must be NAME=VALUE, got '{text}'")
    return name, value


def _size(name: str, text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        raise SpecError(f"the size of '{name}' must be a positive whole number, got '{text}'")
    return int(text)


def _shape(name: str, text: str) -> tuple[int, ...]:
    shape = tuple(_size(name, size) for size in text.replace(",", "x").split("x"))
    if math.prod(shape) >= 1 << 40:
        raise SpecError(f"the shape of '{name}' holds too many elements, got '{text}'")
    return shape
