"""What the commands share: their arguments, and the documents that these name."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from sparsim.errors import SpecError, near
from sparsim.report.console import echo

# Everything else is imported where it is used: --help must not wait for it.
if TYPE_CHECKING:
    from pathlib import Path

    from sparsim.files.documents import Documents
    from sparsim.files.yaml_reading import YamlMap
    from sparsim.model.result import Evaluation
    from sparsim.records import Layer

_FILE_NAME = re.compile(r"\w[\w.+-]*")
ACCOUNTINGS = ("timeloop-3", "timeloop-4", "timeloop-2022", "count-all")

files_argument = click.argument("files", nargs=-1, required=True, metavar="FILE...")
accounting_option = click.option(
    "--accounting",
    type=click.Choice(ACCOUNTINGS),
    help="How first fills and first reads of results count, and which energies are charged.  [default: "
    "timeloop-4 for Timeloop's documents of version 0.4, else timeloop-3]",
)
masks_option = click.option(
    "--mask",
    "masks",
    multiple=True,
    metavar="NAME=FILE",
    help="Take the nonzeros of dataspace NAME from a .npy or .npz file.",
)
settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A value for the Jinja templates among Timeloop's documents.",
)
stats_option = click.option(
    "--stats",
    "dialect",
    type=click.Choice(("3", "4")),
    help="Whose stats text is written, that of Timeloop 3.0.3 or 4.x.  [default: by the accounting]",
)
trust_option = click.option(
    "--trust",
    is_flag=True,
    help="Run the Python files that Timeloop's documents name as functions for their expressions.",
)
timeloop_files_option = click.option(
    "--timeloop-files",
    is_flag=True,
    help="Write the files of Timeloop's programs, too, under their names and out_prefix.",
)
layer_option = click.option("--layer", metavar="NAME", help="The layer to take where the FILEs hold several.")


def read_model(paths: tuple[str, ...], settings: tuple[str, ...] = (), trust: bool = False) -> Documents:
    """Timeloop's documents or our own. `settings` are those of --set, `trust` is --trust.

    Beside Timeloop's there may be a mapping of ours, which can say what theirs cannot.
    """
    from sparsim.files import sparsim_yaml
    from sparsim.files.timeloop_files import documents_of, is_version4

    files, is_native = _load(paths, settings, with_mapping=True)
    if is_native:
        return sparsim_yaml.documents_from(files)
    ours = [(path, data) for path, data in files if _is_mapping(data)]
    others = [(path, data) for path, data in files if not _is_mapping(data)]
    if ours and any("mapping" in data for _, data in others):
        raise SpecError("two mappings are given, Timeloop's and one of ours", path=", ".join(paths))
    # the constraints of version 0.4 are the mapping where there is no other
    documents = documents_of(others, for_search=bool(ours) and is_version4(others), trust=trust)
    if not ours:
        return documents
    return replace(documents, mapping=sparsim_yaml.documents_from(ours, keep_names=True).mapping)


def read_search(
    paths: tuple[str, ...], layer: str | None, settings: tuple[str, ...] = (), trust: bool = False
) -> Documents:
    """The same for a search, which takes all layers if none is named. Prints the documents' warnings."""
    from sparsim.files import sparsim_yaml
    from sparsim.files.timeloop_files import documents_of

    files, is_native = _load(paths, settings)
    if is_native:
        documents = sparsim_yaml.documents_from(files)
    else:
        documents = documents_of(files, for_search=True, trust=trust)
    _ = documents.accelerator  # refuses what is missing or wrong before the layers are looked at
    print_warnings(documents.warnings)
    if layer is not None:
        documents = replace(documents, layers=(documents.layer(layer),))
    if not documents.layers:
        raise SpecError("no 'layer' given", path=documents.where)
    return documents


def with_masks(layer: Layer, options: tuple[str, ...]) -> Layer:
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


def file_names(layers: tuple[Layer, ...]) -> list[str]:
    """The layers' names, by which files or folders can be called. Raises SpecError if they cannot."""
    names = [layer.name for layer in layers]
    number = Counter(names)
    for name in names:
        if not _FILE_NAME.fullmatch(name):
            raise SpecError(
                f"layer name '{name}' cannot name a file or folder", hint="choose with --layer NAME"
            )
        if number[name] > 1:
            raise SpecError(f"{number[name]} layers have the name '{name}'")
    return names


def write_timeloop_files(
    folder: Path, program: str, inputs: Documents, layer: Layer, evaluation: Evaluation, dialect: str | None
) -> None:
    """The files of Timeloop's programs, called by the documents' `out_prefix` or by the `program`."""
    from sparsim.files.timeloop.output_files import write_output_files

    prefix = inputs.out_prefix or program
    paths = write_output_files(folder, prefix, evaluation, inputs.accelerator, layer, dialect)
    echo(f"wrote {', '.join(path.name for path in paths)} to {folder}")


def print_warnings(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        echo(f"sparsim: warning: {warning}", err=True)


def _load(
    paths: tuple[str, ...], settings: tuple[str, ...], *, with_mapping: bool = False
) -> tuple[list[tuple[str, YamlMap]], bool]:
    """The contents by file, and whether they are documents of ours.

    `with_mapping`: those that hold nothing but a mapping may stand beside Timeloop's.
    """
    from sparsim.files.sparsim_yaml import is_marked, is_native
    from sparsim.files.timeloop_files import load_files
    from sparsim.files.yaml_reading import load_yaml

    marked = [path for path in paths if is_marked(path)]
    ours = {path: data for path in marked if is_native(data := load_yaml(path))}
    others = [path for path in paths if path not in ours]
    native = [path for path, data in ours.items() if not (with_mapping and others and _is_mapping(data))]
    if native and others:
        raise SpecError(f"{native[0]} is a document of ours, {others[0]} is not: give one kind only")
    if native and settings:
        raise SpecError("--set is for templates of Timeloop's documents, these are documents of ours")
    return [*ours.items(), *load_files(others, _template_data(settings))], bool(native)


def _template_data(settings: tuple[str, ...]) -> dict[str, Any]:
    """The values of --set, which mean what they mean in YAML."""
    from sparsim.files.yaml_reading import plain_scalar

    found: dict[str, Any] = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name.isidentifier():
            raise SpecError(f"--set is '{setting}', NAME=VALUE is expected")
        found[name] = plain_scalar(value)
    return found


def _is_mapping(data: YamlMap) -> bool:
    from sparsim.files.sparsim_yaml import is_native

    return is_native(data) and len(data) == 2 and "mapping" in data
