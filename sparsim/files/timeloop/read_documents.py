"""Timeloop's input documents, versions 0.2 to 0.4, as records (model chapters 2 to 6, 17.1, 17.7)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from msgspec import structs

from sparsim.errors import SpecError
from sparsim.files.documents import Documents
from sparsim.files.timeloop.document_node import Context, Node, describe, near_key, read_once
from sparsim.files.timeloop.read_architecture import estimator_attributes, read_architecture
from sparsim.files.timeloop.read_constraints import find_items, find_template, read_mapspace
from sparsim.files.timeloop.read_energy_tables import read_tables
from sparsim.files.timeloop.read_mapper_options import most_temporal_loops, read_mapper
from sparsim.files.timeloop.read_mapping import read_mapping
from sparsim.files.timeloop.read_problem import read_problem
from sparsim.files.timeloop.read_sparse_optimizations import read_sparse_optimizations
from sparsim.files.yaml_reading import YamlMap
from sparsim.records import Architecture, Layer
from sparsim.records.mapper_options import MapperOptions

_READ = (
    "architecture", "arch", "problem", "mapping", "sparse_optimizations", "ERT", "ART", "variables",
)  # fmt: skip
_MAPSPACE = ("mapspace", "mapspace_constraints")
_CONSTRAINTS = ("arch_constraints", "architecture_constraints")
_SEARCH = ("mapper", *_MAPSPACE, *_CONSTRAINTS)  # read only for a search
# For an energy estimator: allowed, and without consequence where its table of energies is there, or of areas.
_FOR_ENERGIES = (
    "compound_components", "primitive_components", "components", "ERT_summary", "flattened_architecture",
    "energy_estimation",
)  # fmt: skip
_FOR_AREAS = ("ART_summary",)
_PREFIX = re.compile(r"\w[\w.+-]*")  # of files in one folder
_IGNORED = ("model", "globals", "version", *_FOR_ENERGIES, *_FOR_AREAS)


def documents_from(
    files: Sequence[tuple[str, YamlMap]],
    *,
    for_search: bool = False,
    needs_problem: bool = True,
    has_energies: bool = False,
) -> Documents:
    """Return the records of files whose top-level keys together describe one evaluation or one search.

    `files` are pairs (name, contents) in any order. With `for_search` the constraints are read as a mapspace,
    and the options of the mapper, in place of the mapping. Without `needs_problem` the problem may be absent;
    sections that refer to tensors and dims are not read then. With `has_energies` there are other energies
    than the built-in ones if there is no ERT. Raises SpecError for wrong contents.
    """
    top = _merge(files, _READ)
    context = Context(variables=_variables(top), warnings=[])
    _report_unknown(files, context)
    nodes = {key: Node(data, file, "", context) for key, (file, data) in top.items()}

    arch_key = _architecture_key(top)
    if "arch" in top and "architecture" in top:
        nodes["architecture"].warn("is ignored, because 'arch' is given too", "architecture")
    ert = _section(nodes, "ERT", files) if "ERT" in nodes else None
    arch = read_once(read_architecture, _section(nodes, arch_key, files), ert)
    layer = None
    if needs_problem or "problem" in nodes:
        layer = read_problem(_section(nodes, "problem", files))
    policy = energy = mapping = None
    if "sparse_optimizations" in nodes and layer is None:
        nodes["sparse_optimizations"].warn("is not read without a problem", "sparse_optimizations")
    elif "sparse_optimizations" in nodes and layer is not None:
        root = nodes["sparse_optimizations"]
        root = root.child("sparse_optimizations") or root.blank()
        policy = read_once(read_sparse_optimizations, root, arch, layer.shape)
    if ert is not None:
        art = _section(nodes, "ART", files) if "ART" in nodes else None
        energy = read_once(read_tables, ert, art)
    elif "ART" in nodes:
        nodes["ART"].warn("is ignored, because an ART is used only together with an ERT", "ART")
    if not has_energies:
        _report_missing_tables(files, context, nodes, arch_key)
    if "mapping" in nodes and layer is not None:
        mapping = read_mapping(nodes["mapping"].children("mapping"), arch, layer)
    documents = Documents(
        where=", ".join(file for file, _ in files), architecture=arch, policy=policy, energy=energy,
        layers=() if layer is None else (layer,), mapping=mapping, is_native=False,
        warnings=tuple(dict.fromkeys(context.warnings)),
        out_prefix=_out_prefix(files, context, "mapper" if for_search else "model"),
    )  # fmt: skip
    return documents if layer is None or not for_search else _with_search(documents, arch, layer, files)


def _with_search(
    documents: Documents, arch: Architecture, layer: Layer, files: Sequence[tuple[str, YamlMap]]
) -> Documents:
    top = _merge(files, (*_READ, *_SEARCH))
    context = Context(variables=_variables(top), warnings=[])
    nodes = {key: Node(data, file, "", context) for key, (file, data) in top.items()}
    inside = _section(nodes, _architecture_key(top), files)
    places = [(nodes[key], key) for key in _CONSTRAINTS if key in nodes]
    if inside.has("constraints"):
        places.insert(0, (inside, "constraints"))
    mapspaces = [(nodes[key], key) for key in _MAPSPACE if key in nodes]
    ruby = find_template(*mapspaces[0]) if mapspaces else None
    items = [_first_items(mapspaces), _first_items(places)]
    mapspace = read_mapspace(items, arch, layer, documents.policy, ruby)
    mapper = nodes["mapper"].child("mapper") if "mapper" in nodes else None
    options = read_mapper(mapper, arch) if mapper else MapperOptions()
    if mapper is not None:
        mapspace = structs.replace(mapspace, most_temporal_loops=most_temporal_loops(mapper))
    warnings = (*documents.warnings, *context.warnings)
    return replace(documents, mapspace=mapspace, mapper=options, warnings=warnings)


def _architecture_key(top: dict[str, tuple[str, YamlMap]]) -> str:
    return "arch" if "arch" in top else "architecture"


def _first_items(places: list[tuple[Node, str]]) -> list[Node]:
    for node, key in places[1:]:
        node.warn(f"is ignored, because '{places[0][1]}' is given too", key)
    return find_items(*places[0]) if places else []


def _merge(files: Sequence[tuple[str, YamlMap]], keys: Sequence[str]) -> dict[str, tuple[str, YamlMap]]:
    """Return for each of `keys` the file that has it, in either spelling, and the contents of this file.

    A mapping without directives, which Timeloop's front end writes for a search, is replaced by another one.
    """
    top: dict[str, tuple[str, YamlMap]] = {}
    values: dict[str, object] = {}
    for file, data in sorted(files, key=lambda item: item[1].get("mapping") == []):
        for seen in data:
            key = seen if seen in keys else seen.replace("-", "_")
            if key not in keys:
                continue
            if key == "mapping" and key in top and data[seen] == []:
                continue
            if key in top and values[key] != data[seen]:
                raise SpecError(f"key '{key}' is also in {top[key][0]}, with other contents", path=file)
            values[key] = data[seen]
            top.setdefault(key, (file, data))
    return top


def _variables(top: dict[str, tuple[str, YamlMap]]) -> dict[str, object]:
    if "variables" not in top:
        return {}
    file, data = top["variables"]
    variables = data["variables"] if data["variables"] is not None else {}
    if not isinstance(variables, dict):
        raise SpecError(f"must be a mapping, got {describe(variables)}", path=f"{file}: variables")
    return variables


def _report_unknown(files: Sequence[tuple[str, YamlMap]], context: Context) -> None:
    for file, data in files:
        node = Node(data, file, "", context)
        node.report_unknown((*_READ, *_SEARCH, *_IGNORED))
        model = node.child("model")
        if model and model.flag("auto_bypass_on_failure"):
            model.warn("is not supported; a level that is too small is an error", "auto_bypass_on_failure")


def _out_prefix(files: Sequence[tuple[str, YamlMap]], context: Context, section: str) -> str | None:
    """Return the prefix of the names of output files; the last file that sets it counts."""
    found = None
    for file, data in files:
        node = Node(data, file, "", context).child(section)
        if node and node.holds("out_prefix"):
            found = node.required(node.text("out_prefix"), "out_prefix")
            if not _PREFIX.fullmatch(found):
                raise node.error(f"must be the beginning of a file name, got '{found}'", "out_prefix")
    return found


def _report_missing_tables(
    files: Sequence[tuple[str, YamlMap]], context: Context, nodes: dict[str, Node], arch_key: str
) -> None:
    """Warn of sections for an energy estimator if there are no tables that an estimator has made."""
    areas = "areas are those of the architecture, and 0 where it gives none"
    energies = "there is no ERT, and the energies are built in"
    unread = [] if "ERT" in nodes else [(key, energies) for key in _FOR_ENERGIES]
    unread += [] if "ART" in nodes else [(key, f"there is no ART, and {areas}") for key in _FOR_AREAS]
    for file, data in files:
        for key, instead in unread:
            if key in data:
                Node(data, file, "", context).warn(f"is not read: {instead}", key)
    if "ERT" not in nodes:
        root = _section(nodes, arch_key, files)
        names = estimator_attributes(root.data)
        if names:
            root.warn(f"{', '.join(names)}: only energy estimators read such attributes, {energies}")
    elif "ART" not in nodes:
        nodes["ERT"].warn(f"there is no ART beside it: {areas}", "ERT")


def _section(nodes: dict[str, Node], key: str, files: Sequence[tuple[str, YamlMap]]) -> Node:
    child = nodes[key].child(key) if key in nodes else None
    if child is None:
        names = ", ".join(file for file, _ in files)
        keys = [k for _, data in files for k in data if k not in _READ]
        close = next((k for k in keys if near_key(k, (key,))), None)
        raise SpecError(
            f"'{key}' is missing",
            path=names,
            hint=f"there is '{close}'; did you mean '{key}'?" if close else "",
        )
    return child
