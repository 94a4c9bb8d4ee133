"""The command `python -m gmp trace`: shapes, operations and densities of a network."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gmp.errors import TraceError
from sparsim.cli.common_options import (
    AT_LEAST_1,
    batch_option,
    folder_option,
    input_option,
    masks_option,
    seed_option,
)
from sparsim.cli.json_output import json_option, print_json_file
from sparsim.errors import near
from sparsim.report.console import echo, results

# torch is imported where it is used: --help must not wait for it.
if TYPE_CHECKING:
    from torch import nn


@click.command()
@click.argument("source", metavar="MODULE:FUNCTION|FILE.pt2")
@folder_option(required=True)
@input_option("SHAPE")
@batch_option(1)
@click.option(
    "--samples", type=AT_LEAST_1, show_default="the first axis of its first tensor",
    help="Number of samples in a batch of the example.",
)  # fmt: skip
@masks_option
@seed_option
@json_option
def trace(
    source: str, output: Path, shapes: tuple[str, ...], batch: int, samples: int | None, masks: Path | None,
    seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Measure shapes, operations and densities of every layer, and write them as a workload for sparsim.

    Writes DIR/workload.yaml, trace.csv and trace.json.

    FUNCTION of the Python module MODULE returns (model, example), where the example is a batch or a list of
    them; or it returns, or is, a model, and --input gives the shapes of normal numbers. FILE.pt2 is a program
    that torch.export.save wrote, with the example that it was exported for; nothing in it is unpickled.
    """
    import torch

    from gmp.example_batches import batches_of
    from gmp.tracing.exported_programs import load_program, run_example
    from gmp.tracing.trace import trace as trace_model
    from gmp.tracing.traced_workload import table, workload_of, write_masks, write_workload

    torch.manual_seed(seed)
    given, mask_samples = [shape_of(text) for text in shapes], 0 if masks is None else batch
    if source.endswith(".pt2"):
        name, (model, example) = Path(source).stem, load_program(source)
        example = (tuple(torch.randn(shape) for shape in given), {}) if given else example
        if not example:
            raise TraceError(f"{source} has no example inputs; give the shape of each with --input")
        with checked_inputs(shapes):
            traced = trace_model(
                model, [example], samples=samples, mask_samples=mask_samples, forward=run_example
            )
    else:
        model, example = load_network(source, given)
        name, batches = type(model).__name__, batches_of(model, example)
        with checked_inputs(shapes):
            traced = trace_model(model, batches, samples=samples, mask_samples=mask_samples)
    facts: dict[str, str | int | float | bool] = {"samples": traced.samples, "seed": seed}
    if shapes:
        facts["inputs"] = f"standard-normal, {' and '.join(shapes)}"
    mask_folder = None if masks is None else Path(os.path.relpath(masks, output)).as_posix()
    workload = workload_of(traced, name=name, batch=batch, source=source, provenance=facts, masks=mask_folder)
    if masks is not None:
        write_masks(traced, masks, batch)
    write_workload(traced, workload, output)
    if as_json:
        print_json_file(output / "trace.json")
    else:
        results().print(table(traced))
    echo(f"wrote {output}/workload.yaml, trace.csv and trace.json", err=as_json)


def load_network(source: str, shapes: list[tuple[int, ...]]) -> tuple[nn.Module, Any]:
    """Return the model that MODULE:FUNCTION names, and its example. Raises TraceError."""
    import torch
    from torch import nn

    module_name, _, name = source.partition(":")
    if not module_name or not name:
        raise TraceError(
            f"the model must be MODULE:FUNCTION, such as package.module:function, got '{source}'"
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        needing = "" if error.name == module_name else f", which {module_name} needs"
        hint = (
            f"the module of a file is called {Path(module_name).stem}" if module_name.endswith(".py") else ""
        )
        raise TraceError(f"there is no Python module '{error.name}'{needing}", hint=hint) from None
    if not hasattr(module, name):
        raise TraceError(f"{module_name} has no '{name}'", hint=near(name, vars(module)))
    made = getattr(module, name)
    if not isinstance(made, nn.Module) and callable(made):
        made = _called(made, source)
    if isinstance(made, nn.Module):
        if not shapes:
            raise TraceError(
                f"{source} returns a model without an example; give the shape of each input with --input"
            )
        return made, tuple(torch.randn(shape) for shape in shapes) if len(shapes) > 1 else torch.randn(
            shapes[0]
        )
    if not isinstance(made, tuple) or len(made) != 2 or not isinstance(made[0], nn.Module):
        raise TraceError(f"{source} must return a model or (model, example), got a {type(made).__name__}")
    if shapes:
        raise TraceError(f"{source} returns an example, so --input cannot be given")
    return made


@contextmanager
def checked_inputs(shapes: tuple[str, ...]) -> Iterator[None]:
    """Name the shapes of --input where the network does not run on them."""
    try:
        yield
    except (RuntimeError, TraceError) as error:
        if not shapes or not isinstance(error.__cause__ or error, RuntimeError):
            raise
        reason = str(error).partition("\n")[0]
        raise TraceError(
            f"the network does not run on inputs of the shape {' and '.join(shapes)}: {reason}"
        ) from error


def _called(function: Callable[..., Any], source: str) -> Any:
    """Call a function without arguments. Errors in it are shown with their place."""
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError) as error:
        raise TraceError(f"{source} must be a function without arguments ({error})") from None
    return function()


def shape_of(text: str) -> tuple[int, ...]:
    parts = text.lower().replace(",", "x").split("x")
    if not all(part.strip().isdecimal() and int(part) for part in parts):
        raise TraceError(f"the shape must be positive whole numbers such as 2x3x32x32, got '{text}'")
    return tuple(map(int, parts))
