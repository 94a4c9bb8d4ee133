"""The architecture tree of versions 0.2 to 0.4 (model chapter 4)."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from sparsim.files.timeloop.document_node import Node, or_default, split_range
from sparsim.files.timeloop.read_networks import NETWORK_CLASSES, Ends, read_mesh, read_networks
from sparsim.records import Architecture, Compute, NamedNetwork, Network, Storage

STORAGE_CLASSES = ("DRAM", "SRAM", "regfile", "smartbuffer", "storage")
COMPUTE_CLASSES = ("mac", "intmac", "fpmac", "compute")

_WORD_BITS = ("word-bits", "word_width", "datawidth")
_BLOCK = ("block-size", "block_size", "n_words")
_WIDTH = ("width", "memory_width", "data_storage_width")
_DEPTH = ("depth", "memory_depth", "data_storage_depth")
_SIZE = ("entries", *_DEPTH, "sizeKB")
_NETWORK_NAMES = ("network_read", "network_fill", "network_update", "network_drain")

_STORAGE_KEYS = (
    *_WORD_BITS, *_BLOCK, *_WIDTH, *_SIZE, *_NETWORK_NAMES, "cluster-size",
    "metadata_datawidth", "metadata_word_bits", "metadata_storage_width", "metadata_storage_depth",
    "metadata_block_size", "read_bandwidth", "write_bandwidth", "shared_bandwidth", "bandwidth",
    "multiple-buffering", "min-utilization", "decompression_supported", "compression_supported",
    "reduction_supported", "addr-gen-energy", "vector-access-energy", "cluster-area",
    "network-word-bits", "router-energy", "wire-energy", "tile-width", "energy-per-hop", "energy-per-ingress",
    "network-type", "network_fill_latency", "network_drain_latency", "allow_overbooking",
    "tile_partition_supported", "instances", "meshX", "meshY", "technology",
    "power_gated_at",
)  # fmt: skip
_COMPUTE_KEYS = (
    "word-bits", "datawidth", "instances", "meshX", "meshY", "energy", "area",
    "network_operand", "network_result",
)  # fmt: skip
# Keys that the reference or energy estimators read, without effect here; they are listed as known keys.
_WITHOUT_EFFECT = (
    "num-banks", "n_banks", "num_banks", "num-ports", "n_ports", "num_ports", "n_rdwr_ports", "n_rd_ports",
    "n_wr_ports", "concordant_compressed_tile_traversal", "latency", "fill_latency", "drain_latency", "type",
    "subclass", "cycle_time", "metadata_counter_width", "counter_width", "metadata_n_banks",
    "global_cycle_seconds", "action_latency_cycles",
)  # fmt: skip

_ESTIMATOR_KEYS = ("technology", "subclass", "cycle_time", "global_cycle_seconds")
_TECHNOLOGIES = ("DRAM", "SRAM")  # those of the reference, as values of `technology`


class _Level(NamedTuple):
    node: Node
    name: str
    attributes: Node
    mesh: tuple[int, int]  # total of all instances


def read_architecture(root: Node, ert: Node | None = None) -> Architecture:
    """The storage levels outer to inner and the compute units. `ert` has the energies of named networks.

    Raises SpecError for everything that leaves no unambiguous architecture, the unsupported features
    (overbooking, runtime tile partitioning) included.
    """
    version = root.number("version")
    if root.has("nodes"):  # the key is `arch`, and `architecture` in version 0.4
        raise root.error("nodes of AccelForge's documents are not supported", "nodes")
    is_list = root.has("storage", "arithmetic") and not root.has("subtree", "local")
    if version is None and not is_list:
        raise root.error("'version' is missing; it must be 0.2, 0.3 or 0.4", hint=root.misspelt("version"))
    if version not in (None, 0.1, 0.2, 0.3, 0.4) or (version == 0.1 and not is_list):
        raise root.error(f"must be 0.2, 0.3 or 0.4, got {version:g}", "version")
    storages, computes, components = _lists(root) if is_list else _walk(root)
    if not storages:
        raise root.error(f"no storage level: no class contains {', '.join(STORAGE_CLASSES)}")
    if len(computes) != 1:
        found = " and ".join(f"'{c.name}'" for c in computes) or "none"
        raise root.error(f"exactly one compute component is needed, got {found}")
    levels = [*storages, computes[0]]
    meshes = _nested_meshes(levels)
    ends = [Ends(level.attributes, instances=prod(level.mesh)) for level in storages]
    ends.append(Ends(computes[0].attributes, outward=("network_operand", "network_result")))
    networks = read_networks(ends, components, ert)
    with root.located():
        return Architecture(
            name=root.text("name") or "accelerator",
            storage=tuple(map(_storage, storages, meshes, networks)),
            compute=_compute(computes[0], meshes[-1]),
        )


def estimator_attributes(data: object) -> tuple[str, ...]:
    """Return attributes anywhere in the tree that describe what components are made of."""
    found: dict[str, None] = {}
    if isinstance(data, dict):
        found |= {key: None for key in _ESTIMATOR_KEYS if data.get(key) not in (None, *_TECHNOLOGIES)}
    for item in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        found |= dict.fromkeys(estimator_attributes(item))
    return tuple(found)


def _walk(root: Node) -> tuple[list[_Level], list[_Level], dict[str, Node]]:
    """Collect storage levels, compute units, and the components that are networks."""
    storages: list[_Level] = []
    computes: list[_Level] = []
    networks: dict[str, Node] = {}
    instances, node = 1, root
    if any(_kind(c) for c in root.children("local")):
        root.warn("components beside the root are ignored; they belong below 'subtree'", "local")
    while node.has("subtree"):
        subtrees = node.children("subtree")
        if len(subtrees) != 1:
            raise node.error(f"must have exactly one element, has {len(subtrees)}", "subtree")
        node = subtrees[0]
        instances *= _name(node)[1] if node.has("name") else 1
        for component in node.children("local"):
            kind = _kind(component)
            name, count = _name(component)
            if kind == "network":
                networks[name] = component
            elif kind:
                level = _level(component, name, instances * count)
                (storages if kind == "storage" else computes).append(level)
        node.report_unknown(("name", "attributes", "local", "subtree"), harmless=())
    return storages, computes, networks


def _lists(root: Node) -> tuple[list[_Level], list[_Level], dict[str, Node]]:
    """Read the oldest form, without a tree and mostly without a version: levels innermost first."""
    root.report_unknown(("version", "name", "storage", "arithmetic", "constraints"))
    is_one = not isinstance(root.get("arithmetic"), list)
    given = [root.child("arithmetic")] if is_one else root.children("arithmetic")
    storages = [_level(node, *_name(node)) for node in reversed(root.children("storage"))]
    computes = [node for node in given if node is not None]
    units = [_level(one, *(_name(one) if one.holds("name") else ("MAC", 1))) for one in computes]
    return storages, units, {}


def _kind(component: Node) -> str:
    """Recognise the kind of a component by a substring of `class`, storage first (model 4.1)."""
    name = component.text("class") or ""
    for kind, classes in (
        ("storage", STORAGE_CLASSES), ("compute", COMPUTE_CLASSES), ("network", NETWORK_CLASSES)
    ):  # fmt: skip
        if any(c in name for c in classes):
            return kind
    return ""


def _name(node: Node) -> tuple[str, int]:
    with node.located():
        return split_range(node.required(node.text("name"), "name"))


def _level(node: Node, name: str, instances: int) -> _Level:
    node.report_unknown(("name", "class", "attributes", "subclass"), harmless=())
    attributes = node  # the reference reads them from here if they have no mapping of their own
    if node.holds("attributes"):
        attributes = node.child("attributes") or node.blank()
    given = attributes.integer("instances")
    if given is not None:
        instances = given
    x, y = attributes.integer("meshX"), attributes.integer("meshY")
    if instances < 1 or (x is not None and x < 1) or (y is not None and y < 1):
        raise attributes.error(
            f"instances, meshX and meshY of '{name}' must be at least 1, got {instances}, {x} and {y}"
        )
    if x is not None and y is not None:
        if x * y != instances:
            raise attributes.error(f"'{name}' has {instances} instances, but meshX * meshY is {x} * {y}")
    else:
        key, side = ("meshX", x) if x is not None else ("meshY", y)
        if side is not None and instances % side:
            raise attributes.error(
                f"instances of '{name}' must be a multiple of {key} {side}, got {instances}"
            )
        x = x if x is not None else instances // (y or 1)
        y = instances // x
    return _Level(node, name, attributes, (x, y))


def _nested_meshes(levels: list[_Level]) -> list[tuple[int, int]]:
    """Return, per level, its mesh below one instance of the next outer level."""
    nested = []
    outer = (1, 1)
    for i, level in enumerate(levels):
        for axis, side, outside in zip("XY", level.mesh, outer, strict=True):
            if side % outside:
                raise level.attributes.error(
                    f"mesh{axis} of '{level.name}' is {side}, no multiple of "
                    f"mesh{axis} {outside} of '{levels[i - 1].name}' outside of it"
                )
        nested.append((level.mesh[0] // outer[0], level.mesh[1] // outer[1]))
        outer = level.mesh
    return nested


def _storage(level: _Level, mesh: tuple[int, int], networks: dict[str, NamedNetwork]) -> Storage:
    a = level.attributes
    a.report_unknown(_STORAGE_KEYS, harmless=_WITHOUT_EFFECT)
    _refuse(a, level.name)
    dram = "DRAM" in (level.node.text("class") or "") or a.text("technology") == "DRAM"
    word_bits = or_default(a.integer(*_WORD_BITS), 16)
    block, cluster = _block_and_cluster(a, word_bits)
    size = _size_words(a, block, word_bits)
    if size is None and not dram:
        raise a.error(
            f"the size of '{level.name}' is missing, and only a DRAM may be unlimited",
            hint=a.misspelt(*_SIZE),
        )
    metadata_bits = or_default(a.integer("metadata_datawidth", "metadata_word_bits"), 0)
    bandwidth = a.number("bandwidth", infinite=True)
    if bandwidth is not None:
        a.warn("is deprecated; half of it is used for reads and half for writes", "bandwidth")
        bandwidth /= 2
    addr_gen = a.number("addr-gen-energy")
    with a.located():
        return Storage(
            name=level.name,
            technology="DRAM" if dram else "SRAM",
            mesh=mesh,
            word_bits=word_bits,
            block_size=block,
            cluster_size=cluster,
            size_words=size,
            multiple_buffering=or_default(a.number("multiple-buffering"), 1.0),
            min_utilization=or_default(a.number("min-utilization"), 0.0),
            read_bandwidth=or_default(a.number("read_bandwidth", infinite=True), bandwidth),
            write_bandwidth=or_default(a.number("write_bandwidth", infinite=True), bandwidth),
            shared_bandwidth=a.number("shared_bandwidth", infinite=True),
            metadata_word_bits=metadata_bits,
            metadata_width_bits=_metadata_width(a, metadata_bits),
            metadata_depth=a.integer("metadata_storage_depth"),
            compression_supported=or_default(a.flag("compression_supported"), False),
            decompression_supported=or_default(a.flag("decompression_supported"), False),
            reduction_supported=a.flag("reduction_supported"),
            addr_gen_energy_pj=None if addr_gen is None or addr_gen < 0 else addr_gen,
            vector_access_energy_pj=a.number("vector-access-energy"),
            cluster_area_um2=a.number("cluster-area"),
            power_gated_at=a.text("power_gated_at") or "",
            network=_network(a, networks),
        )


def _refuse(a: Node, name: str) -> None:
    scales = a.get("per_dataspace_bandwidth_consumption_scale")
    if scales and set(scales.values()) != {1}:
        raise a.error(
            f"the bandwidth scale per dataspace of '{name}' is not supported",
            "per_dataspace_bandwidth_consumption_scale",
        )
    if a.flag("allow_overbooking"):
        raise a.error(f"overbooking of '{name}' is not supported", "allow_overbooking")
    if a.flag("tile_partition_supported"):
        raise a.error(
            f"tile partitioning of '{name}' at run time is not supported", "tile_partition_supported"
        )


def _block_and_cluster(a: Node, word_bits: int) -> tuple[int, int]:
    """Apply the width rule of model 4.3."""
    block, cluster, width = a.integer(*_BLOCK), a.integer("cluster-size"), a.integer(*_WIDTH)
    for key, value in (("word bits", word_bits), ("block size", block), ("cluster size", cluster)):
        if value is not None and value < 1:
            raise a.error(f"{key} must be at least 1, got {value}")
    if width is None:
        return or_default(block, 1), or_default(cluster, 1)
    unit = word_bits * or_default(block, 1)
    if width < 1 or width % unit:
        raise a.error(f"width must be a multiple of {unit} bits (word bits * block size), got {width}")
    if block is not None and cluster is not None:
        if block * word_bits * cluster != width:
            raise a.error(
                f"width is {width} bits, but block size * word bits * cluster size is "
                f"{block} * {word_bits} * {cluster}"
            )
        return block, cluster
    if cluster is not None:
        return width // cluster // word_bits, cluster
    if block is not None:
        return block, width // unit
    return width // word_bits, 1


def _size_words(a: Node, block: int, word_bits: int) -> int | None:
    given = [key for key in ("entries", "sizeKB") if a.has(key)] + [key for key in _DEPTH if a.has(key)][:1]
    if "sizeKB" in given and len(given) > 1:
        raise a.error(f"the size must be given once, got {' and '.join(given)}")
    entries, depth, kilobytes = a.integer("entries"), a.integer(*_DEPTH), a.integer("sizeKB")
    for value in (entries, depth, kilobytes):
        if value is not None and value < 0:
            raise a.error(f"size must be at least 0, got {value}", given[0])
    if entries is not None:
        return entries
    if depth is not None:
        return depth * block
    return None if kilobytes is None else kilobytes * 1024 * 8 // word_bits


def _metadata_width(a: Node, word_bits: int) -> int:
    width, block = a.integer("metadata_storage_width"), or_default(a.integer("metadata_block_size"), 1)
    if width is None:
        return 0
    if word_bits > 0 and (block < 1 or width % (word_bits * block)):
        raise a.error(
            f"must be a multiple of {word_bits} * {block} (metadata word bits * metadata block size), "
            f"got {width}",
            "metadata_storage_width",
        )
    return width


def _network(a: Node, named: dict[str, NamedNetwork]) -> Network:
    return Network(
        word_bits=a.integer("network-word-bits"),
        fill_latency_cycles=or_default(a.integer("network_fill_latency"), 0),
        drain_latency_cycles=or_default(a.integer("network_drain_latency"), 0),
        **read_mesh(a),
        read=named.get("read"),
        update=named.get("update"),
    )


def _compute(level: _Level, mesh: tuple[int, int]) -> Compute:
    a = level.attributes
    a.report_unknown(_COMPUTE_KEYS, harmless=_WITHOUT_EFFECT)
    with a.located():
        return Compute(
            name=level.name,
            mesh=mesh,
            word_bits=or_default(a.integer("word-bits", "datawidth"), 16),
            energy_pj=a.number("energy"),
            area_um2=or_default(a.number("area"), 0.0),
        )
