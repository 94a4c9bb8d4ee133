"""`Evaluation` -> `map+stats.xml`, the archive of levels and networks that Timeloop's programs write.

It has the elements of a Boost serialization archive of Timeloop 3.0.3 and 4.x, in their order. Of the numbers
of classes in such archives, those of pointers (`px`) are included, because scripts read them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from sparsim.model.result import (
    Access,
    Bandwidth,
    ComputeResult,
    Evaluation,
    FormatAccess,
    LoopView,
    NetworkResult,
    StorageResult,
    TensorTraffic,
    ratio,
)
from sparsim.records import Layer

_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>\n<!DOCTYPE boost_serialization>\n'
_SPACETIME = {"temporal": 0, "spatial-x": 1, "spatial-y": 2}
_TECHNOLOGIES = {"SRAM": 0, "DRAM": 1}
_NETWORKS = {"mesh": "Legacy", "multicast": "SimpleMulticast", "reduction_tree": "ReductionTree"}
_UNTOUCHED = Access(algorithmic=0, actual=0, gated=0, skipped=0)
_NO_FORMAT = FormatAccess(actual=(), gated=(), skipped=(), actual_bits=0, gated_bits=0, skipped_bits=0)
_IDLE = Bandwidth(per_instance=0.0, total=0.0, format_fraction=0.0)


def map_stats_xml(evaluation: Evaluation, layer: Layer) -> str:
    """The text of the file.

    Like there, counts and energies of levels and networks are per instance, tensors that a level does not
    keep have zeros, `reads`, `updates` and `fills` ignore sparsity (`random_reads` and so on do not), and the
    leakage of levels is left out.
    """
    root = Element("boost_serialization", signature="serialization::archive", version="18")
    topology = SubElement(SubElement(root, "engine"), "topology_")
    pointers = _Pointers()
    levels = _vector(topology, "levels_", len(evaluation.storage) + 1, version=1)
    _compute(pointers.add(SubElement(levels, "item"), "model::ArithmeticUnits"), evaluation.compute)
    for storage, used in zip(evaluation.storage, _used_instances(evaluation), strict=True):
        _storage(pointers.add(SubElement(levels, "item"), "model::BufferLevel"), storage, layer, used)
    networks = _vector(topology, "networks_", len(evaluation.networks))
    for network in sorted(evaluation.networks, key=lambda one: one.name):
        kind = _NETWORKS["mesh" if network.named is None else network.named.kind]
        item = SubElement(networks, "item")
        _add(item, "first", network.name)
        _network(pointers.add(SubElement(item, "second"), f"model::{kind}Network"), network, evaluation)
    nest = SubElement(SubElement(root, "mapping"), "datatype_bypass_nest")
    for dataspace in layer.shape.dataspaces:
        kept = [any(t.dataspace == dataspace.name for t in one.tensors) for one in evaluation.storage]
        bits = "".join(str(int(keeps)) for keeps in reversed(kept))
        _add(SubElement(nest, "item"), "bits", bits.zfill(32))
    _workload(SubElement(SubElement(root, "a"), "workload_"), layer)
    indent(root, "\t")
    return _HEAD + tostring(root, encoding="unicode", short_empty_elements=False) + "\n\n"


class _Pointers:
    """Numbering of objects of classes, and of classes at their first object."""

    def __init__(self) -> None:
        self.classes: dict[str, str] = {}
        self.objects = 0

    def add(self, parent: Element, name: str) -> Element:
        if name in self.classes:
            attributes = {"class_id_reference": self.classes[name]}
        else:
            self.classes[name] = str(len(self.classes))
            attributes = {
                "class_id": self.classes[name],
                "class_name": name,
                "tracking_level": "1",
                "version": "0",
            }
        self.objects += 1
        return SubElement(parent, "px", {**attributes, "object_id": f"_{self.objects - 1}"})


def _text(value: str | float) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return "-nan" if math.isnan(value) else f"{value:.17e}"
    return str(value)


def _add(parent: Element, tag: str, value: str | float) -> None:
    SubElement(parent, tag).text = _text(value)


def _attributes(parent: Element, **values: str | float | None) -> None:
    """Add parameters, of which some may be unknown."""
    for tag, value in values.items():
        element = SubElement(parent, tag)
        if value is not None:
            _add(element, "t_", value)


def _vector(parent: Element, tag: str, count: int, version: int = 0) -> Element:
    element = SubElement(parent, tag)
    _add(element, "count", count)
    _add(element, "item_version", version)
    return element


def _per_dataspace(parent: Element, tag: str, values: Iterable[str | float]) -> None:
    inside = SubElement(SubElement(parent, tag), "PerDataSpace")
    for value in values:
        _add(inside, "item", value)


def _pairs(parent: Element, tag: str, values: Sequence[int]) -> None:
    """Add a map from numbers of dims or coefficients."""
    element = _vector(parent, tag, len(values))
    for i, value in enumerate(values):
        item = SubElement(element, "item")
        _add(item, "first", i)
        _add(item, "second", value)


def _used_instances(evaluation: Evaluation) -> list[int]:
    """Return, for every level, the instances that spatial loops use, even if it keeps nothing."""
    used, found = 1, []
    for storage in reversed(evaluation.storage):
        found.append(used)
        used *= math.prod(loop.bound for loop in storage.loops if loop.kind != "temporal")
    return found[::-1]


def _compute(level: Element, compute: ComputeResult) -> None:
    SubElement(level, "Level")
    specs = SubElement(level, "specs_")
    _add(SubElement(specs, "LevelSpecs"), "level_name", compute.name)
    x, y = compute.mesh
    _attributes(specs, instances=compute.instances, meshX=x, meshY=y, word_bits=compute.compute.word_bits)
    for tag, value in {
        "energy_": compute.energy_pj, "area_": compute.area_um2 / compute.instances,
        "cycles_": compute.cycles, "utilized_instances_": compute.instances_max,
        "avg_utilized_instances_": compute.instances_average, "algorithmic_computes_": compute.algorithmic,
        "random_computes_": compute.actual, "gated_computes_": compute.gated,
        "skipped_computes_": compute.skipped,
    }.items():  # fmt: skip
        _add(level, tag, value)


def _storage(level: Element, storage: StorageResult, layer: Layer, used: int) -> None:
    SubElement(level, "Level")
    dims, loops = layer.shape.dims, list(reversed(storage.loops))
    if all(loop.kind != "temporal" for loop in loops):  # one is written, as in the reference
        loops.append(LoopView(dims[-1], 1, "temporal"))
    subnest = _vector(level, "subnest_", len(loops))
    for loop in loops:
        item = SubElement(subnest, "item")
        fields = {"dimension": dims.index(loop.dim), "start": 0, "end": loop.bound, "stride": 1}
        for tag, value in {**fields, "spacetime_dimension": _SPACETIME[loop.kind]}.items():
            _add(item, tag, value)
    specs, record = SubElement(level, "specs_"), storage.storage
    _add(SubElement(specs, "LevelSpecs"), "level_name", storage.name)
    _attributes(
        specs, name=storage.name, technology=_TECHNOLOGIES[record.technology], size=record.size_words,
        word_bits=record.word_bits, block_size=record.block_size,
        cluster_size=record.cluster_size, instances=storage.instances, meshX=storage.mesh[0],
        meshY=storage.mesh[1], shared_bandwidth=record.shared_bandwidth, read_bandwidth=record.read_bandwidth,
        write_bandwidth=record.write_bandwidth, multiple_buffering=record.multiple_buffering,
        min_utilization=record.min_utilization,
    )  # fmt: skip
    tensors = {tensor.dataspace: tensor for tensor in storage.tensors}
    stats = SubElement(level, "stats_")
    kept = [tensors.get(dataspace.name) for dataspace in layer.shape.dataspaces]
    clusters = max((tensor.clusters for tensor in storage.tensors), default=-(-used // record.cluster_size))
    for tag, values in _tensor_fields(kept, float(used), clusters).items():
        _per_dataspace(stats, tag, values)
    _formats(stats, kept)
    _add(stats, "cycles", storage.cycles)
    _add(stats, "slowdown", storage.throttling)


def _tensor_fields(kept: Sequence[TensorTraffic | None], used: float, clusters: int) -> dict[str, list[Any]]:
    """Return the fields of every tensor, including those that the level does not keep."""
    found: dict[str, list[Any]] = {}
    for tensor in kept:
        moved = [_UNTOUCHED] * 3 if tensor is None else [tensor.reads, tensor.updates, tensor.fills]
        energy = 0.0 if tensor is None else tensor.energy_per_instance_pj
        shared, read, write = (_IDLE,) * 3 if tensor is None else (tensor.shared, tensor.read, tensor.write)
        of_kind = dict(zip(("reads", "updates", "fills"), moved, strict=True))
        fields: dict[str, Any] = {
            "keep": tensor is not None,
            "partition_size": 0 if tensor is None else tensor.partition_words,
            "utilized_capacity": 0 if tensor is None else tensor.utilized_words,
            "utilized_instances": used if tensor is None else tensor.instances_average,
            "utilized_clusters": clusters if tensor is None else tensor.clusters,
            **{kind: access.algorithmic for kind, access in of_kind.items()},
            **{f"gated_{kind}": access.gated for kind, access in of_kind.items()},
            **{f"skipped_{kind}": access.skipped for kind, access in of_kind.items()},
            **{f"random_{kind}": access.actual for kind, access in of_kind.items()},
            "decompression_counts": 0 if tensor is None else tensor.decompressions,
            "compression_counts": 0 if tensor is None else tensor.compressions,
            "address_generations": 0 if tensor is None else tensor.address_generations,
            "temporal_reductions": 0 if tensor is None else tensor.temporal_reductions,
            "shared_bandwidth": shared.per_instance,
            "read_bandwidth": read.per_instance,
            "write_bandwidth": write.per_instance,
            "energy_per_algorithmic_access": ratio(energy, sum(access.algorithmic for access in moved)),
            "energy_per_access": ratio(energy, sum(access.actual for access in moved)),
            "energy": energy,
            "temporal_reduction_energy": 0.0 if tensor is None else tensor.reduction_energy_per_instance_pj,
            "addr_gen_energy": 0.0 if tensor is None else tensor.addr_gen_energy_per_cluster_pj,
            "format_shared_bandwidth_ratio": shared.format_fraction,
            "format_read_bandwidth_ratio": read.format_fraction,
            "format_write_bandwidth_ratio": write.format_fraction,
        }
        for tag, value in fields.items():
            found.setdefault(tag, []).append(value)
    return found


def _formats(stats: Element, kept: Sequence[TensorTraffic | None]) -> None:
    """Words of formats: per tensor a list of ranks from below, each with its metadata and payload words."""
    for kind in ("reads", "fills", "updates"):
        moved = [_NO_FORMAT if t is None else getattr(t, f"format_{kind}") for t in kept]
        for name, outcome in (("random", "actual"), ("gated", "gated"), ("skipped", "skipped")):
            inside = SubElement(SubElement(stats, f"{name}_format_{kind}"), "PerDataSpace")
            for access in moved:
                ranks = getattr(access, outcome)
                element = _vector(inside, "item", len(ranks))
                for rank in reversed(ranks):
                    pair = _vector(element, "item", len(rank))
                    for words in rank:
                        _add(pair, "item", words)


def _network(network: Element, result: NetworkResult, evaluation: Evaluation) -> None:
    SubElement(network, "Network")
    specs = SubElement(network, "specs_")
    _add(SubElement(specs, "NetworkSpecs"), "name", result.name)
    own = result.named or evaluation.level(result.outer).storage.network
    _attributes(
        specs, word_bits=result.word_bits, router_energy=result.router_energy_pj,
        wire_energy=result.wire_energy_pj_per_bit_mm, tile_width=own.tile_width_um,
        energy_per_hop=own.energy_per_hop_pj, ingress_energy=result.energy_per_ingress_pj,
        fill_latency=result.fill_latency_cycles, drain_latency=result.drain_latency_cycles,
    )  # fmt: skip
    tensors = result.tensors
    fields: dict[str, list[Any]] = {
        "fanout": [t.fanout for t in tensors],
        "multicast_factor": [t.multicast for t in tensors],
        "distributed_multicast_factor": [t.distributed.multicast if t.distributed else 0 for t in tensors],
        "distributed_multicast": [t.distributed is not None for t in tensors],
        "link_transfers": [t.link_transfers for t in tensors],
        "spatial_reductions": [t.spatial_reductions for t in tensors],
        "link_transfer_energy": [t.link_energy_per_instance_pj for t in tensors],
        "num_hops": [t.average_hops for t in tensors],
        "energy_per_hop": [t.energy_per_hop_pj for t in tensors],
        "energy": [t.energy_per_instance_pj for t in tensors],
        "spatial_reduction_energy": [t.reduction_energy_per_instance_pj for t in tensors],
    }
    stats = SubElement(network, "stats_")
    for tag, values in fields.items():
        _per_dataspace(stats, tag, values)


def _workload(workload: Element, layer: Layer) -> None:
    bounds = [layer.bounds[dim] for dim in layer.shape.dims]
    _pairs(workload, "factorized_bounds_", bounds)
    _pairs(workload, "bounds_", bounds)  # names in the archives of earlier releases
    values = {**layer.shape.coefficients, **layer.coefficients}
    _pairs(workload, "coefficients_", [values[name] for name in layer.shape.coefficients])
