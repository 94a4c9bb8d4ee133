"""Sparse directives: formats, gating and skipping (model chapter 6)."""

from __future__ import annotations

from sparsim.errors import near
from sparsim.files.timeloop.document_node import Node, describe
from sparsim.records import Architecture, Option, Rank, Saf, Shape, SparsePolicy, TensorFormat

_FORMATS = ("UOP", "RLE", "CP", "UB", "B")
_ORDERS = ("outer-to-inner", "inner-to-outer")
_SAF_TYPES = ("gating", "skipping", "skipping-spatial")
_COMPUTE_TYPES = {
    "gating": "gating", "gate-on-zero-operand": "gating",
    "skipping": "skipping", "skip_on_not_aligned_operands": "skipping",
}  # fmt: skip
_PARTS = ("representation-format", "action-optimization", "compute-optimization")


class _Names:
    """The names that directives may use."""

    def __init__(self, arch: Architecture, shape: Shape) -> None:
        self.levels = tuple(level.name for level in arch.storage)
        self.compute = arch.compute.name
        self.dims = shape.dims
        self.dataspaces = tuple(d.name for d in shape.dataspaces)


def read_sparse_optimizations(root: Node, arch: Architecture, shape: Shape) -> SparsePolicy:
    """Formats and SAFs of all items; an empty document is an empty policy. Raises SpecError.

    As in the reference, later formats of a level replace earlier ones, and so do later actions of the same
    type and level; optimizations that say nothing still switch sparse processing on.
    """
    names = _Names(arch, shape)
    root.report_unknown(("version", "name", "targets"))
    formats: dict[str, tuple[TensorFormat, ...]] = {}
    safs: dict[tuple[str, str], tuple[Saf, ...]] = {}
    compute: tuple[str, ...] = ()
    switched_on = False
    for item in root.children("targets"):
        name = item.required(item.text("name"), "name")
        item.report_unknown(("name", *_PARTS))
        if any(item.holds(key) for key in _PARTS):
            switched_on = True
        else:
            item.warn(f"says nothing about '{name}'")
        if item.holds("representation-format"):
            _add_formats(item, _level(item, name, names), formats, names)
        if item.holds("action-optimization"):
            _add_safs(item, _level(item, name, names), safs, names)
        if item.holds("compute-optimization"):
            if name != names.compute:
                raise item.error(f"'{name}' is not the compute level '{names.compute}'", "name")
            compute = tuple(_compute_type(entry) for entry in item.children("compute-optimization"))
    empty = not (formats or safs or compute)
    with root.located():
        return SparsePolicy(
            name=root.text("name") or "policy",
            formats=tuple(f for per_level in formats.values() for f in per_level),
            safs=tuple(s for per_type in safs.values() for s in per_type),
            compute_gating="gating" in compute,
            compute_skipping="skipping" in compute,
            always_active=switched_on and empty,
        )


def _level(item: Node, name: str, names: _Names) -> str:
    if name not in names.levels:
        raise item.error(f"unknown storage level '{name}'", "name", hint=near(name, names.levels))
    return name


def _dataspace(node: Node, key: str, names: _Names) -> str:
    name = node.required(node.text(key), key)
    if name not in names.dataspaces:
        raise node.error(f"unknown dataspace '{name}'", key, hint=near(name, names.dataspaces))
    return name


def _add_formats(item: Node, level: str, formats: dict[str, tuple[TensorFormat, ...]], names: _Names) -> None:
    node = item.child("representation-format")
    if node is None or not node.has("data-spaces"):
        item.warn("'data-spaces' is missing, so nothing is compressed", "representation-format")
        return
    node.report_unknown(("data-spaces",))
    new = tuple(_tensor_format(entry, level, names) for entry in node.children("data-spaces"))
    earlier = formats.get(level, new)
    lost = {f.dataspace for f in earlier} - {f.dataspace for f in new}
    if lost:
        raise item.error(
            f"a second list of formats for '{level}' leaves out {', '.join(sorted(lost))} of the first",
            "representation-format",
        )
    if earlier != new:
        item.warn(f"replaces the earlier formats of '{level}'", "representation-format")
    formats[level] = new


def _tensor_format(node: Node, level: str, names: _Names) -> TensorFormat:
    dataspace = _dataspace(node, "name", names)
    if not node.has("ranks"):
        raise node.error("'ranks' is missing", hint=node.misspelt("ranks"))
    order = node.text("rank-application-order") or _ORDERS[0]
    if order not in _ORDERS:
        raise node.error(f"must be {' or '.join(_ORDERS)}, got '{order}'", "rank-application-order")
    node.report_unknown(("name", "ranks", "rank-application-order", "compression-rate"))
    with node.located():
        result = TensorFormat(
            level=level,
            dataspace=dataspace,
            ranks=tuple(_rank(rank, names) for rank in node.children("ranks")),
            order=order,  # type: ignore[arg-type]
        )
    if node.has("compression-rate") and not result.compressed:
        raise node.error("a compression rate needs a compressed rank", "compression-rate")
    return result


def _rank(node: Node, names: _Names) -> Rank:
    given = node.required(node.text("format"), "format")
    kind = given.upper()
    if kind not in _FORMATS or given not in (kind, kind.lower()):
        raise node.error(f"unknown format '{given}'", "format", hint=near(kind, _FORMATS))
    node.report_unknown(("format", "flattened-rankIDs", "metadata-word-bits", "payload-word-bits"))
    metadata, payload = node.integer("metadata-word-bits"), node.integer("payload-word-bits")
    if kind == "UB" and (metadata, payload) != (None, None):
        node.warn("word bits of a UB rank are ignored, because those of the level are used")
        metadata = payload = None
    with node.located():
        return Rank(
            format=kind,  # type: ignore[arg-type]
            flattened=_flattened(node, names),
            metadata_word_bits=metadata,
            payload_word_bits=payload,
        )


def _flattened(node: Node, names: _Names) -> tuple[tuple[str, ...], ...]:
    groups = []
    for group in node.items("flattened-rankIDs") or []:
        if not isinstance(group, list):
            raise node.error(f"must be a list of lists of dims, holds {describe(group)}", "flattened-rankIDs")
        for dim in group:
            if dim not in names.dims:
                raise node.error(f"unknown dim '{dim}'", "flattened-rankIDs", hint=near(dim, names.dims))
        groups.append(tuple(group))
    return tuple(groups)


def _add_safs(item: Node, level: str, safs: dict[tuple[str, str], tuple[Saf, ...]], names: _Names) -> None:
    new: dict[tuple[str, str], tuple[Saf, ...]] = {}
    kind: str | None = None
    for entry in item.children("action-optimization"):
        if kind is not None and not entry.has("type") and not entry.misspelt("type"):
            entry.warn(f"'type' is missing, so that of the item before is used: {kind}")
        else:
            kind = entry.required(entry.text("type"), "type").replace("_", "-")
        # this key occurs in documents of 2022 only; it is not a misspelling of skipping
        if kind == "position-skipping":
            raise entry.error("action type 'position-skipping' is not supported", "type")
        if kind not in _SAF_TYPES:
            raise entry.error(f"unknown action type '{kind}'", "type", hint=near(kind, _SAF_TYPES))
        entry.report_unknown(("type", "options", "target", "condition-on"))
        if entry.has("options"):
            options = tuple(_option(option, names) for option in entry.children("options"))
        else:
            options = (_option(entry, names),)
        with entry.located():
            saf = Saf(level=level, type=kind, options=options)  # type: ignore[arg-type]
        new[level, kind] = (*new.get((level, kind), ()), saf)
    for key, entries in new.items():
        if safs.get(key, entries) != entries:
            item.warn(f"replaces the earlier {key[1]} of '{level}'", "action-optimization")
        safs[key] = entries


def _option(node: Node, names: _Names) -> Option:
    target = _dataspace(node, "target", names)
    if not node.has("condition-on"):
        raise node.error("'condition-on' is missing", hint=node.misspelt("condition-on"))
    leaders = node.names("condition-on")
    for leader in leaders:
        if leader not in names.dataspaces:
            raise node.error(
                f"unknown dataspace '{leader}'", "condition-on", hint=near(leader, names.dataspaces)
            )
    return Option(target=target, condition_on=leaders)


def _compute_type(node: Node) -> str:
    kind = node.required(node.text("type"), "type")
    if kind not in _COMPUTE_TYPES:
        raise node.error(f"unknown compute optimization '{kind}'", "type", hint=near(kind, _COMPUTE_TYPES))
    node.report_unknown(("type",))
    return _COMPUTE_TYPES[kind]
