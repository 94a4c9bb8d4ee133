"""What the commands share: their arguments, and the documents that these name."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import click

from sparsim.errors import SpecError, near
from sparsim.report.console import echo

# Everything else is imported where it is used: --help must not wait for it.
if TYPE_CHECKING:
    from sparsim.files.native import Loaded
    from sparsim.files.timeloop.documents import Documents
    from sparsim.files.yaml_reading import YamlMap
    from sparsim.records import Architecture, EnergyTable, Layer, Mapping, Mapspace, SparsePolicy

_FILE_NAME = re.compile(r"\w[\w.+-]*")
ACCOUNTINGS = ("timeloop-3", "timeloop-2022", "count-all")

files_argument = click.argument("files", nargs=-1, required=True, metavar="FILE...")
accounting_option = click.option(
    "--accounting",
    type=click.Choice(ACCOUNTINGS),
    default=ACCOUNTINGS[0],
    show_default=True,
    help="How first fills and first reads of results count.",
)
masks_option = click.option(
    "--mask",
    "masks",
    multiple=True,
    metavar="NAME=FILE",
    help="Take the nonzeros of dataspace NAME from a .npy or .npz file.",
)
layer_option = click.option("--layer", metavar="NAME", help="The layer to take where the FILEs hold several.")


class SearchInputs(NamedTuple):
    """What a search needs. `objective` and `threads` are what the documents ask for, if they do."""

    arch: Architecture
    layers: tuple[Layer, ...]
    policy: SparsePolicy | None
    energy: EnergyTable | None
    mapspace: Mapspace
    objective: tuple[str, ...] | None
    threads: int | None
    is_native: bool


def read_model(paths: tuple[str, ...], layer: str | None) -> Documents:
    """Timeloop's documents or our own; of several layers the one with name `layer`.

    Beside Timeloop's there may be a mapping of ours, which can say what theirs cannot.
    """
    from sparsim.files.timeloop.documents import Documents, documents_from

    files, is_native = _load(paths, with_mapping=True)
    where = ", ".join(paths)
    if not is_native:
        mapping, others = _split_mapping(files)
        documents = documents_from(others)
        if mapping is not None:
            if documents.mapping is not None:
                raise SpecError("two mappings are given, Timeloop's and one of ours", path=where)
            documents = documents._replace(mapping=mapping)
        return documents._replace(layer=choose_layer((documents.layer,), layer, where))
    loaded, arch = _native(files, where)
    chosen = choose_layer(loaded.layers, layer, where)
    return Documents(arch, chosen, loaded.policy, loaded.energy, loaded.mapping, warnings=())


def read_search(paths: tuple[str, ...], layer: str | None) -> SearchInputs:
    """The same for a search, which takes all layers if none is named. Prints the documents' warnings."""
    from sparsim.files.timeloop.documents import search_documents_from
    from sparsim.records import Mapspace

    files, is_native = _load(paths)
    where = ", ".join(paths)
    if is_native:
        loaded, arch = _native(files, where)
        layers = loaded.layers if layer is None else (choose_layer(loaded.layers, layer, where),)
        if not layers:
            raise SpecError("no 'layer' given", path=where)
        mapspace = loaded.mapspace or Mapspace()
        return SearchInputs(arch, layers, loaded.policy, loaded.energy, mapspace, None, None, True)
    documents, mapspace, options = search_documents_from(files)
    print_warnings(documents.warnings)
    chosen = choose_layer((documents.layer,), layer, where)
    return SearchInputs(
        documents.arch, (chosen,), documents.policy, documents.energy, mapspace, options.metrics,
        options.threads, False,
    )  # fmt: skip


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


def print_warnings(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        echo(f"sparsim: warning: {warning}", err=True)


def _load(paths: tuple[str, ...], *, with_mapping: bool = False) -> tuple[list[tuple[str, YamlMap]], bool]:
    """The contents by file, and whether they are documents of ours.

    `with_mapping`: those that hold nothing but a mapping may stand beside Timeloop's.
    """
    from sparsim.files.native import is_native
    from sparsim.files.yaml_reading import load_yaml

    files = [(path, load_yaml(path)) for path in paths]
    ours = {path: data for path, data in files if is_native(data)}
    others = [path for path in paths if path not in ours]
    native = [path for path, data in ours.items() if not (with_mapping and others and _is_mapping(data))]
    if native and others:
        raise SpecError(f"{native[0]} is a document of ours, {others[0]} is not: give one kind only")
    return files, bool(native)


def _is_mapping(data: YamlMap) -> bool:
    from sparsim.files.native import is_native

    return is_native(data) and len(data) == 2 and "mapping" in data


def _split_mapping(
    files: list[tuple[str, YamlMap]],
) -> tuple[Mapping | None, list[tuple[str, YamlMap]]]:
    """The mapping in a document of ours, whose dims are those of Timeloop's problem, and the other files."""
    from sparsim.files.native import loaded_from

    ours = [(path, data) for path, data in files if _is_mapping(data)]
    others = [(path, data) for path, data in files if not _is_mapping(data)]
    return (loaded_from(ours, keep_names=True).mapping if ours else None), others


def _native(files: list[tuple[str, YamlMap]], where: str) -> tuple[Loaded, Architecture]:
    from sparsim.files.load import with_energy
    from sparsim.files.native import loaded_from

    loaded = loaded_from(files)
    arch = loaded.architecture
    if arch is None:
        raise SpecError("no 'architecture' given", path=where)
    return with_energy(loaded, where), arch


def choose_layer(layers: tuple[Layer, ...], name: str | None, where: str) -> Layer:
    """The layer called `name`, or the only one. Raises SpecError if there is none or several."""
    found = [layer for layer in layers if name is None or layer.name == name]
    if len(found) == 1:
        return found[0]
    if name is None:
        hint = "choose with --layer NAME" if layers else ""
        raise SpecError(f"{len(layers)} layers given, exactly one is expected", path=where, hint=hint)
    if found:
        raise SpecError(f"{len(found)} layers have the name '{name}'", path=where)
    raise SpecError(f"no layer '{name}'", path=where, hint=near(name, [layer.name for layer in layers]))
