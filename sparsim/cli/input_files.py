"""The arguments that commands share, and readers of the documents that they name."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sparsim.cli.common_options import ACCOUNTING_HELP, set_option
from sparsim.errors import SpecError, near
from sparsim.report.console import echo

# Everything else is imported where it is used: --help must not wait for it.
if TYPE_CHECKING:
    from pathlib import Path

    from sparsim.estimate import Estimate
    from sparsim.files.accelergy.component_documents import Described
    from sparsim.files.accelergy.given_numbers import GivenNumbers
    from sparsim.files.documents import Documents
    from sparsim.files.yaml_reading import YamlMap
    from sparsim.model.result import Evaluation
    from sparsim.records import Layer

_OF_SEARCH = {"mapper", "mapspace", "mapspace_constraints", "arch_constraints", "architecture_constraints"}
_FILE_NAME = re.compile(r"\w[\w.+-]*")
ACCOUNTINGS = ("timeloop-3", "timeloop-4", "timeloop-4-2024", "timeloop-2022", "count-all", "count-drains")

files_argument = click.argument("files", nargs=-1, required=True, metavar="FILE...")
accounting_option = click.option(
    "--accounting",
    type=click.Choice(ACCOUNTINGS),
    show_default="timeloop-4 for Timeloop's documents of version 0.4, else timeloop-3",
    help=ACCOUNTING_HELP,
)
masks_option = click.option(
    "--mask",
    "masks",
    multiple=True,
    metavar="NAME=FILE",
    help="Take the nonzeros of dataspace NAME from a .npy or .npz file.",
)
stats_option = click.option(
    "--stats",
    "dialect",
    type=click.Choice(("3", "4")),
    show_default="by the accounting",
    help="Layout of the stats text: that of Timeloop 3.0.3 or of 4.x.",
)
timeloop_files_option = click.option(
    "--timeloop-files",
    is_flag=True,
    help="Also write the output files of Timeloop's programs, under the names that Timeloop uses.",
)


class Reading(NamedTuple):
    """The options that say how Timeloop's documents are read, in the order of `_OPTIONS`."""

    settings: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    trust: bool = False
    tables: tuple[str, ...] = ()
    hwcomponents: bool = False

    @property
    def given(self) -> GivenNumbers:
        from sparsim.files.accelergy.given_numbers import GivenNumbers

        return GivenNumbers(self.tables, self.hwcomponents)


_PLAIN = Reading()
_OPTIONS = ("--set", "--include", "--trust", "--tables", "--hwcomponents")


def reading_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add these options to a command, which receives them as `reading`."""

    @functools.wraps(command)
    def with_reading(
        *arguments: Any,
        settings: tuple[str, ...],
        include: tuple[str, ...],
        trust: bool,
        tables: tuple[str, ...],
        hwcomponents: bool,
        **named: Any,
    ) -> None:
        command(*arguments, reading=Reading(settings, include, trust, tables, hwcomponents), **named)

    options = (
        set_option,
        click.option(
            "--include", multiple=True, metavar="DIR", type=click.Path(exists=True, file_okay=False),
            show_default="only those of the FILEs", help="Another folder in which templates may read files.",
        ),
        click.option(
            "--trust", is_flag=True,
            help="Run the Python files that Timeloop's documents name as functions for their expressions.",
        ),
        click.option(
            "--tables", multiple=True, metavar="DIR",
            help="Folder of CSV files with energies and areas of components, which come before our "
            "estimates.",
        ),
        click.option(
            "--hwcomponents", is_flag=True,
            help="Take energies and areas from hwcomponents for the component classes that it knows.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        with_reading = option(with_reading)
    return with_reading


def read_model(paths: tuple[str, ...], reading: Reading = _PLAIN) -> Documents:
    """Read documents of Timeloop or of sparsim, including sparsim documents that add a mapping or energies to
    Timeloop's.
    """
    return _read(paths, reading, for_search=False)


def _read(paths: tuple[str, ...], reading: Reading, *, for_search: bool | None) -> Documents:
    """Read Timeloop's documents, beside which there may be a mapping, energies or components in sparsim
    documents.

    `for_search`: None is what the documents are meant for.
    """
    from sparsim.files import sparsim_yaml
    from sparsim.files.documents import Documents
    from sparsim.files.timeloop_files import documents_of, is_version4

    files, is_native = _load(paths, reading)
    if is_native:
        return sparsim_yaml.documents_from(files)
    beside = [file for file in files if _is_beside(file[1])]
    theirs = [file for file in files if file not in beside]
    ours = sparsim_yaml.documents_from(beside, keep_names=True) if beside else Documents(where="")
    where = ", ".join(paths)
    if ours.mapping is not None and any("mapping" in data for _, data in theirs):
        raise SpecError(
            "there are two mappings, one in Timeloop's form and one in sparsim's; remove one", path=where
        )
    has_energies = ours.energy is not None or bool(ours.components)
    if has_energies and any("ERT" in data for _, data in theirs):
        raise SpecError("an ERT and a sparsim document both give energies; remove one", path=where)
    if for_search is None:
        keys = {key.replace("-", "_") for _, data in theirs for key in data}
        for_search = "mapping" not in keys or bool(keys & _OF_SEARCH)
    # the constraints of version 0.4 are the mapping where there is no other
    as_search = for_search or (ours.mapping is not None and is_version4(theirs))
    documents = documents_of(
        theirs, for_search=as_search, trust=reading.trust, given=reading.given, has_energies=has_energies
    )
    if ours.mapping is not None:
        documents = replace(documents, mapping=ours.mapping)
    if has_energies:
        documents = replace(documents, energy=ours.energy, components=ours.components)
    return documents.accounted(documents.accounting) if beside else documents


def read_everything(paths: tuple[str, ...], reading: Reading) -> Documents:
    """Read what the files contain on a mapping or a search. A file *.txt is read as a map.txt of Timeloop."""
    from sparsim.fileio.reading import read_text
    from sparsim.files.timeloop.map_reader import read_map_text

    maps = [path for path in paths if path.endswith(".txt")]
    others = tuple(path for path in paths if path not in maps)
    documents = _read(others, reading, for_search=True if maps else None)
    if len(maps) + (documents.mapping is not None) > 1:
        raise SpecError("there are two mappings; give one", path=", ".join(paths))
    for path in maps:
        arch = documents.accelerator.architecture
        mapping = read_map_text(read_text(path, what="a map.txt"), arch, documents.layer(), path)
        documents = replace(documents, mapping=mapping, mapspace=None, mapper=None)
    return documents


def read_components(paths: tuple[str, ...], reading: Reading) -> tuple[Described, dict[str, Estimate]]:
    """Read the components of sparsim documents, or of Timeloop's architecture, with estimates."""
    from sparsim.estimate import estimate_all
    from sparsim.files import sparsim_yaml
    from sparsim.files.accelergy.component_documents import Described
    from sparsim.files.timeloop_files import components_of

    where = ", ".join(paths)
    files, is_native = _load(paths, reading, beside=False)
    if not is_native:
        return components_of(files, trust=reading.trust, given=reading.given)
    components = sparsim_yaml.documents_from(files).components
    if not components:
        raise SpecError("'components' is missing", path=where)
    try:
        return Described(components, {}, ()), estimate_all(components)
    except SpecError as error:
        raise error.within(where) from None


def read_search(paths: tuple[str, ...], layer: str | None, reading: Reading = _PLAIN) -> Documents:
    """Read the documents for a search, which takes all layers if none is named, and print their warnings."""
    documents = _read(paths, reading, for_search=True)
    _ = documents.accelerator  # refuse missing or wrong files before the layers are read
    print_warnings(documents.warnings)
    if layer is not None:
        documents = replace(documents, layers=(documents.layer(layer),))
    if not documents.layers:
        raise SpecError("'layer' is missing", path=documents.where)
    return documents


def with_masks(layer: Layer, options: tuple[str, ...]) -> Layer:
    """Return the layer with `actual` densities for the dataspaces of `--mask NAME=FILE`."""
    if not options:
        return layer
    from msgspec.structs import replace

    from sparsim.records import Density

    names = [dataspace.name for dataspace in layer.shape.dataspaces]
    densities = dict(layer.densities)
    for option in options:
        name, separator, file = option.partition("=")
        if not separator or not file:
            raise SpecError(f"--mask must be NAME=FILE, got '{option}'")
        if name not in names:
            raise SpecError(f"unknown dataspace '{name}'", path=f"--mask {option}", hint=near(name, names))
        densities[name] = Density(distribution="actual", mask=file)
    return replace(layer, densities=densities)


def file_names(layers: tuple[Layer, ...]) -> list[str]:
    """Return the layers' names, which are used as names of files and folders. Raises SpecError for unsuitable
    ones.
    """
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
) -> str:
    """Write the files of Timeloop's programs, named after the documents' `out_prefix` or the `program`.
    Returns a description of each file and its path.
    """
    from sparsim.files.timeloop.output_files import write_output_files

    prefix = inputs.out_prefix or program
    paths = write_output_files(folder, prefix, evaluation, inputs.accelerator, layer, dialect)
    return f"{', '.join(path.name for path in paths)} to {folder}"


def print_warnings(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        echo(f"sparsim: warning: {warning}", err=True)


def _load(
    paths: tuple[str, ...], reading: Reading, *, beside: bool = True
) -> tuple[list[tuple[str, YamlMap]], bool]:
    """Return the contents by file, and whether they are sparsim documents.

    With `beside`, sparsim documents that contain only a mapping or energies may accompany Timeloop's.
    """
    from sparsim.files.read_any import load_either

    values, may_stand_beside = template_data(reading.settings), _is_beside if beside else None
    files, are_ours = load_either(paths, values, reading.include, may_stand_beside)
    for option, value in zip(_OPTIONS, reading, strict=True):
        if are_ours and value:
            raise SpecError(f"{option} applies to Timeloop's documents only, and these are sparsim documents")
    return files, are_ours


def template_data(settings: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of --set, parsed as YAML."""
    from sparsim.files.yaml_reading import plain_scalar

    found: dict[str, Any] = {}
    for setting in settings:
        name, separator, value = setting.partition("=")
        if not separator or not name.isidentifier():
            raise SpecError(f"--set must be NAME=VALUE, got '{setting}'")
        found[name] = plain_scalar(value)
    return found


def _is_beside(data: YamlMap) -> bool:
    """Whether a sparsim document may be given together with Timeloop's."""
    from sparsim.files.sparsim_yaml import MARK

    return MARK in data and len(data) > 1 and set(data) <= {MARK, "mapping", "energy", "components"}
