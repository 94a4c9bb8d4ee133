"""Reader and writer of sparsim's own YAML documents, and the presets that come with the package.

A document starts with `sparsim: 2` and may have the keys `architecture`, `layer` (or `layers`, a list),
`workload`, `policy`, `energy` (or `components`, a list), `mapping`, `mapspace`, `chip`, `machine` and
`row_stationary`, with the field names of the records. No other keys are accepted. Documents that start with
`sparsim: 1` differ in one respect: in them R and P are the width.
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from msgspec.structs import replace

from sparsim.errors import FormatError, SpecError, near
from sparsim.fileio.reading import read_text
from sparsim.files.documents import Documents
from sparsim.files.record_conversion import R, convert_at, where_in
from sparsim.files.swap_axes import swap_axes
from sparsim.files.yaml_reading import YamlMap, load_yaml, parse_yaml, plain_scalar
from sparsim.records.accelerator import Accelerator
from sparsim.records.architecture import Architecture
from sparsim.records.chip_spec import ChipSpec
from sparsim.records.component import Component
from sparsim.records.energy_table import EnergyTable
from sparsim.records.layer import Layer
from sparsim.records.machine_kinds import MACHINE_KINDS
from sparsim.records.machine_spec import MachineSpec
from sparsim.records.mapping import Mapping
from sparsim.records.mapspace import Mapspace
from sparsim.records.record import Record
from sparsim.records.row_stationary import RowStationaryMappings
from sparsim.records.sparsity import SparsePolicy
from sparsim.records.workload import Workload

MARK = "sparsim"
VERSION = 2
WIDTH_FIRST = 1  # the version in which R and P were the width, and S and Q the height
_RECORDS: dict[str, type[Record]] = {
    "architecture": Architecture,
    "layer": Layer,
    "policy": SparsePolicy,
    "energy": EnergyTable,
    "mapping": Mapping,
    "workload": Workload,
    "mapspace": Mapspace,
    "chip": ChipSpec,
    "machine": MachineSpec,
    "row_stationary": RowStationaryMappings,
}
_KEYS = (MARK, *_RECORDS, "layers", "components")
_FOREIGN = (  # keys of Timeloop's and Accelergy's documents
    "arch", "architecture", "problem", "mapping", "mapspace", "sparse_optimizations", "ERT", "ART",
    "ERT_summary", "ART_summary", "compound_components", "primitive_components", "components",
    "flattened_architecture",
)  # fmt: skip
_MARKED = re.compile(rf"""(^|[{{,])[ \t]*["']?{MARK}["']?\s*:""", re.MULTILINE)
_ARCHITECTURE = re.compile(r"""(^|[{,])[ \t]*["']?arch(itecture)?["']?\s*:""", re.MULTILINE)
_PRESETS = Path(__file__).parent / "presets"
_WORKLOADS, _MAPPINGS = _PRESETS / "workloads", _PRESETS / "mappings"


def is_native(data: YamlMap) -> bool:
    return MARK in data


def is_marked(text: str) -> bool:
    """Return whether the text of a file looks like a sparsim document, even if it is not valid YAML."""
    return MARK in text and bool(_MARKED.search(text))  # the search takes ten times as long


def load_documents(paths: Iterable[str | Path]) -> Documents:
    """Load records from files.

    The records of one design may be split over the files in any way and order.

    Parameters
    ----------
    paths : iterable of str or Path
        YAML files that begin with `sparsim: 2`.

    Returns
    -------
    Documents
        The records of all files together.

    Raises
    ------
    FormatError
        If a file cannot be read.
    SpecError
        If a key or value is unknown, missing or wrong; the message names the file and the line.
    """
    return documents_from([(str(path), load_yaml(path)) for path in paths])


def load_text(text: str, name: str = "text") -> Documents:
    r"""Load records from the text of one document.

    Parameters
    ----------
    text : str
        A document that begins with `sparsim: 2`. Files of masks are relative to the working directory.
    name : str, default "text"
        Name of the document in messages.

    Returns
    -------
    Documents
        The records of the document.

    Raises
    ------
    FormatError
        If the text is no document of sparsim.
    SpecError
        If a key or value is unknown, missing or wrong.

    Examples
    --------
    >>> import sparsim
    >>> documents = sparsim.load_text("sparsim: 2\npolicy: {compute_gating: true}")
    >>> documents.policy.compute_gating
    True
    """
    return documents_from([(name, parse_yaml(text, name))], resolve_masks=False)


def load_preset(name: str) -> Documents:
    """Load an accelerator, a machine or a workload that comes with the package.

    Parameters
    ----------
    name : str
        One of `preset_names()` or `workload_names()`.

    Returns
    -------
    Documents
        The records of the preset.

    Raises
    ------
    SpecError
        If there is no preset of this name.
    """
    _check_name("preset", name, (*preset_names(), *workload_names()))
    folder = _WORKLOADS if name in workload_names() else _PRESETS
    return load_documents([folder / f"{name}.yaml"])


def load_named(name_or_path: str | Path) -> Documents:
    """Return the records of a preset by its name, or of a document by its path, which ends in .yaml or .yml.

    Documents of Timeloop give the accelerator with its mapspace, and the layer if there is a problem.
    """
    if Path(name_or_path).suffix in (".yaml", ".yml"):
        documents = _timeloop_documents(name_or_path)
        return load_documents([name_or_path]) if documents is None else documents
    return load_preset(str(name_or_path))


def _timeloop_documents(path: str | Path) -> Documents | None:
    """Return the records of a document of Timeloop with an architecture; None for any other file."""
    from sparsim.files.timeloop_files import read_documents

    text = read_text(path, what="a YAML file")
    if _MARKED.search(text) or not _ARCHITECTURE.search(text):
        return None
    return read_documents([path], for_search=True, needs_problem=False)


def load_accelerator(name_or_path: str | Path) -> Accelerator:
    """Load an accelerator by the name of a preset or from a file.

    Parameters
    ----------
    name_or_path : str or Path
        The name of a preset, or the path of a document, which ends in .yaml or .yml. The document may be one
        of Timeloop.

    Returns
    -------
    Accelerator
        The accelerator, whose components can be estimated.

    Raises
    ------
    SpecError
        If the name is unknown, if the document has no architecture, or if its components cannot be estimated.
    FormatError
        If the file cannot be read.

    Examples
    --------
    >>> import sparsim
    >>> accelerator = sparsim.load_accelerator("eyeriss_like_onchip")
    >>> [level.name for level in accelerator.architecture.storage][:2]
    ['DRAM', 'shared_glb']
    """
    return load_named(name_or_path).accelerator


def load_workload(name_or_path: str | Path) -> Workload:
    """Load a workload by its name or from a file.

    Parameters
    ----------
    name_or_path : str or Path
        The name of a workload that comes with the package, or the path of a document, which ends in .yaml or
        .yml.

    Returns
    -------
    Workload
        The layers of a network with their densities.

    Raises
    ------
    SpecError
        If the name is unknown, or if the document has no workload.
    FormatError
        If the file cannot be read.

    Examples
    --------
    >>> import sparsim
    >>> len(sparsim.load_workload("alexnet_sparse").layers)
    8
    """
    if Path(name_or_path).suffix not in (".yaml", ".yml"):
        _check_name("workload", str(name_or_path), workload_names())
    workload = load_named(name_or_path).workload
    if workload is None:
        raise SpecError("'workload' is missing", path=str(name_or_path))
    return workload


def load_row_stationary(name_or_path: str | Path) -> RowStationaryMappings:
    """Load row-stationary mappings by their name or from a file.

    Parameters
    ----------
    name_or_path : str or Path
        The name of mappings that come with the package, or the path of a document, which ends in .yaml or
        .yml.

    Returns
    -------
    RowStationaryMappings
        Parameters by the name of the layer.

    Raises
    ------
    SpecError
        If the name is unknown, or if the document has no such mappings.
    FormatError
        If the file cannot be read.

    Examples
    --------
    >>> from sparsim.files.sparsim_yaml import load_row_stationary
    >>> load_row_stationary("eyeriss_v1_alexnet").layers["conv1"].m
    96
    """
    path = name_or_path
    if Path(name_or_path).suffix not in (".yaml", ".yml"):
        _check_name("row-stationary mapping", str(name_or_path), _stems(_MAPPINGS))
        path = _MAPPINGS / f"{name_or_path}.yaml"
    found = load_documents([path]).row_stationary
    if found is None:
        raise SpecError("'row_stationary' is missing", path=str(name_or_path))
    return found


def preset_names() -> tuple[str, ...]:
    """Return the names of the accelerators and machines that come with the package.

    Returns
    -------
    tuple of str
        The names in alphabetical order.
    """
    return _stems(_PRESETS)


def workload_names() -> tuple[str, ...]:
    """Return the names of the workloads, networks with densities, that come with the package.

    Returns
    -------
    tuple of str
        The names in alphabetical order.
    """
    return _stems(_WORKLOADS)


def _stems(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in folder.glob("*.yaml")))


def _check_name(kind: str, name: str, known: Sequence[str]) -> None:
    if name in known:
        return
    if Path(name).exists():
        what = "is a folder" if Path(name).is_dir() else "does not end in .yaml"
        raise SpecError(f"a document must be a file NAME.yaml, and this {what}", path=name)
    hint = near(name, known) or "sparsim show lists them; a document is a path that ends in .yaml"
    raise SpecError(f"unknown {kind} '{name}'", hint=hint)


def documents_from(
    files: Sequence[tuple[str, YamlMap]], *, resolve_masks: bool = True, keep_names: bool = False
) -> Documents:
    """Return the records of files that have been read, as `load_documents` does.

    `files` are pairs (name, contents). With `keep_names` dims of old documents keep their names.
    """
    found: dict[str, Record] = {}
    layers: list[Layer] = []
    components: list[Component] = []
    owner: dict[str, str] = {}
    for file, data in files:
        _check_mark(file, data)
        folder = os.path.dirname(file) if resolve_masks else ""
        named = swap_axes if data[MARK] == WIDTH_FIRST and not keep_names else _unchanged
        for key, value in data.items():
            if key not in _KEYS:
                raise SpecError(
                    f"unknown key '{key}'", path=where_in(file, data, (key,)), hint=near(key, _KEYS)
                )
            if key == "layers":
                layers += [_with_masks(named(layer), folder) for layer in _list(file, data, key, Layer)]
            elif key == "components":
                components += _list(file, data, key, Component)
            elif key == "layer":
                layers.append(_with_masks(named(convert_at(value, Layer, file, data, key)), folder))
            elif key != MARK:
                kind = _machine_kind(value, file, data) if key == "machine" else _RECORDS[key]
                record = named(convert_at(value, kind, file, data, key))
                if isinstance(record, Workload):
                    record = replace(record, layers=tuple(_with_masks(x, folder) for x in record.layers))
                if found.get(key, record) != record:
                    raise SpecError(f"'{key}' is also in {owner[key]}, with other contents", path=file)
                found[key], owner[key] = record, file
    workload, energy = _of(found, "workload", Workload), _of(found, "energy", EnergyTable)
    return Documents(
        where=", ".join(file for file, _ in files),
        accounting="timeloop-3" if energy is None else energy.rules,
        architecture=_of(found, "architecture", Architecture),
        layers=(*layers, *(workload.layers if workload else ())),
        policy=_of(found, "policy", SparsePolicy),
        energy=energy,
        mapping=_of(found, "mapping", Mapping),
        workload=workload,
        mapspace=_of(found, "mapspace", Mapspace),
        components=tuple(components),
        chip=_of(found, "chip", ChipSpec),
        machine=_of(found, "machine", MachineSpec),
        row_stationary=_of(found, "row_stationary", RowStationaryMappings),
    )


def _machine_kind(value: Any, file: str, data: YamlMap) -> type[MachineSpec]:
    """Return the class of record that the key `kind` of a machine names."""
    if not isinstance(value, dict):
        raise SpecError("must be a mapping", path=where_in(file, data, ("machine",)))
    if "kind" not in value:
        hint = near("", MACHINE_KINDS)
        raise SpecError("'kind' is missing", path=where_in(file, data, ("machine",)), hint=hint)
    kind = value["kind"]
    if kind not in tuple(MACHINE_KINDS):
        path = where_in(file, data, ("machine", "kind"))
        raise SpecError(f"unknown kind of machine '{kind}'", path=path, hint=near(kind, MACHINE_KINDS))
    return MACHINE_KINDS[kind]


def _check_mark(file: str, data: YamlMap) -> None:
    if not is_native(data):
        foreign = [f"'{key}'" for key in data if key in _FOREIGN]
        raise FormatError(
            f"there is no '{MARK}: {VERSION}' at the top level, so this is not a {MARK} document",
            path=file,
            hint=f"{', '.join(foreign)} is a key of Timeloop and Accelergy; sparsim model, explain and "
            "mapper read such documents with the ERT that Accelergy makes, and sparsim estimate reads "
            "'components' of sparsim documents"
            if foreign
            else "",
        )
    if data[MARK] not in (WIDTH_FIRST, VERSION) or isinstance(data[MARK], bool):
        raise FormatError(
            f"'{MARK}' must be {WIDTH_FIRST} or {VERSION}, got {data[MARK]}",
            path=where_in(file, data, (MARK,)),
        )


def _unchanged(record: R) -> R:
    return record


def _of(found: dict[str, Record], key: str, kind: type[R]) -> R | None:
    record = found.get(key)
    assert record is None or isinstance(record, kind)
    return record


def _list(file: str, data: YamlMap, key: str, kind: type[R]) -> list[R]:
    items = data[key]
    if not isinstance(items, list):
        raise SpecError("must be a list", path=where_in(file, data, (key,)))
    return [convert_at(item, kind, file, data, key, i) for i, item in enumerate(items)]


def _with_masks(layer: Layer, folder: str) -> Layer:
    """Return the layer with mask files relative to the folder of its document."""
    if not folder or not any(d.mask for d in layer.densities.values()):
        return layer
    densities = {
        name: replace(d, mask=os.path.join(folder, d.mask)) if d.mask else d
        for name, d in layer.densities.items()
    }
    return replace(layer, densities=densities)


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.2 would read as a number or a bool."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(plain_scalar(text), str) else "'"
    if not text.isprintable():
        style = '"'  # escapes what other styles would fold or drop
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def dump(*records: Record) -> str:
    """Write records as one document.

    Parameters
    ----------
    *records : Record
        The records. Several layers become `layers`, and components become `components`.

    Returns
    -------
    str
        YAML without the fields that have their default, from which `load_text` makes equal records.

    Examples
    --------
    >>> import sparsim
    >>> print(sparsim.dump(sparsim.Mapspace(name="half", min_parallelism=0.5)))
    sparsim: 2
    mapspace: {name: half, min_parallelism: 0.5}
    <BLANKLINE>
    """
    document: dict[str, Any] = {MARK: VERSION}
    layers = [record.to_dict() for record in records if isinstance(record, Layer)]
    for record in records:
        if isinstance(record, Component):
            document.setdefault("components", []).append(record.to_dict())
            continue
        key = next(key for key, kind in _RECORDS.items() if isinstance(record, kind))
        if key == "layer" and len(layers) > 1:
            document["layers"] = layers
        else:
            document[key] = record.to_dict()
    text: str = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=110, allow_unicode=True
    )
    return text
