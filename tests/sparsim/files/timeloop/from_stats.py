"""Rebuilds an `Evaluation` from a parsed stats text, so that the writer is tested without the model."""

from __future__ import annotations

import math
import re

from sparsim.files.timeloop.stats_reader import Key, Stats
from sparsim.files.timeloop.stats_writer import UNSIGNED
from sparsim.model.result import (
    Access,
    Bandwidth,
    Bucket,
    ComputeResult,
    Evaluation,
    FormatAccess,
    LevelIntensity,
    LoopView,
    NetworkResult,
    NetworkTraffic,
    OperationalIntensity,
    StorageResult,
    TensorTraffic,
    Units,
)
from sparsim.records import Compute, Storage


class Block:
    """The fields of one level, block and dataspace by label."""

    def __init__(self, stats: Stats, section: str, level: str = "", block: str = "", dataspace: str = ""):
        self.stats, self.prefix = stats, (section, level, block, dataspace)

    def __getitem__(self, label: str):
        return self.stats.fields[Key(*self.prefix, label)]

    def get(self, label: str, default=0):
        return self.stats.fields.get(Key(*self.prefix, label), default)

    def given(self, label: str):
        return None if self[label] == "-" else self[label]


def names(stats: Stats, section: str, block: str = "SPECS") -> list[str]:
    return list(dict.fromkeys(k.level for k in stats.fields if k.section == section and k.block == block))


def dataspaces(stats: Stats, section: str, level: str) -> list[str]:
    keys = (k for k in stats.fields if k.section == section and k.level == level and k.dataspace)
    return list(dict.fromkeys(k.dataspace for k in keys))


def meet(*printed: tuple[float, float]) -> float:
    """A value that prints as each (text value, unit) does with two decimals."""
    low = max((value - 0.005) * unit for value, unit in printed)
    high = min((value + 0.005) * unit for value, unit in printed)
    return (low + high) / 2


def evaluation_from(stats: Stats) -> Evaluation:
    compute_name, *storage_names = names(stats, "levels")
    summary, compute = Block(stats, "summary"), _compute(stats, compute_name)
    actual, algorithmic = compute.actual, compute.algorithmic

    def energy(name: str) -> float:
        block = Block(stats, "summary", name)
        terms = [(block["fJ/Compute"], actual / 1000)]
        if stats.sparse:
            terms.append((block["fJ/Algorithmic-Compute"], algorithmic / 1000))
        if name == "Total":
            terms.append((summary["Energy"], 1e6))
        if name == compute_name:
            terms.append((Block(stats, "levels", name, "STATS")["Energy (total)"], 1.0))
        return meet(*terms)

    intensity = Block(stats, "intensity")
    computes = intensity["Total elementwise ops"]
    results = (computes - intensity["Total reduction ops"]) % UNSIGNED
    levels = []
    for name in storage_names:
        block = Block(stats, "intensity", name)
        levels.append(LevelIntensity(name, block.get("Total scalar accesses"), block.get("Op per Byte")))
    return Evaluation(
        architecture="", layer="", accounting="timeloop-3", sparse_report=stats.sparse,
        cycles=summary["Cycles"], energy_pj=energy("Total"), utilization=summary["Utilization"],
        area_um2=summary["Area"] * 1e6,
        gflops=summary["GFLOPs (@1GHz)"], edp_j_cycles=summary["EDP(J*cycle)"],
        algorithmic_computes=algorithmic, actual_computes=actual,
        compute=_with(compute, energy_pj=energy(compute_name)),
        storage=tuple(_storage(stats, name, energy(name)) for name in storage_names),
        networks=tuple(_network(stats, name, energy(name)) for name in reversed(names(stats, "networks"))),
        intensity=OperationalIntensity(
            elementwise_ops=computes,
            results=results,
            reduction_ops=max(computes - results, 0),
            total_ops=computes + max(computes - results, 0),
            memory_accesses_required=intensity["Total memory accesses required"],
            optimal_ops_per_byte=intensity["Optimal Op per Byte"], levels=tuple(levels),
        ),
    )  # fmt: skip


def _with(record, **changes):
    return type(record)(**{f: getattr(record, f) for f in record.__struct_fields__} | changes)


def _compute(stats: Stats, name: str) -> ComputeResult:
    specs, block = Block(stats, "levels", name, "SPECS"), Block(stats, "levels", name, "STATS")
    count, x, y = specs["Instances"]
    sparse = stats.sparse
    actual = block["Actual Computes (total)" if sparse else "Computes (total)"]
    return ComputeResult(
        name=name, compute=Compute(name=name, word_bits=specs["Word bits"]), instances=count, mesh=(x, y),
        energy_per_op_pj=specs["Compute energy"],
        instances_max=block["Utilized instances (max)" if sparse else "Utilized instances"],
        instances_average=block.get("Utilized instances (average)"), cycles=block["Cycles"],
        algorithmic=block["Algorithmic Computes (total)"] if sparse else actual, actual=actual,
        gated=block.get("Gated Computes (total)"), skipped=block.get("Skipped Computes (total)"),
        energy_pj=0.0, area_um2=block["Area (total)"], area_source="", energy_source={},
    )  # fmt: skip


def _storage(stats: Stats, name: str, energy_pj: float) -> StorageResult:
    specs, block = Block(stats, "levels", name, "SPECS"), Block(stats, "levels", name, "STATS")
    sparse = stats.sparse
    data = "Data storage size" if sparse else "Size"
    count, x, y = specs["Instances"]
    loops = []
    for text in Block(stats, "levels", name, "MAPPING")["Loop nest"]:
        dim, bound, kind = re.fullmatch(r"for (\S+) in \[0:(\d+)\)(?: \((\S+)\))?", text).groups()
        loops.append(LoopView(dim, int(bound), kind.lower() if kind else "temporal"))
    storage = Storage(
        name=name, technology=specs["Technology"],
        word_bits=specs["Data word bits" if sparse else "Word bits"],
        block_size=specs["Data block size" if sparse else "Block size"], cluster_size=specs["Cluster size"],
        size_words=specs.given(data), multiple_buffering=specs["Multiple buffering"],
        min_utilization=specs["Min utilization"], read_bandwidth=specs.given("Read bandwidth"),
        write_bandwidth=specs.given("Write bandwidth"), shared_bandwidth=specs.given("Shared bandwidth"),
        metadata_width_bits=specs.get("Metadata storage width(bits)"),
        metadata_depth=specs.given("Metadata storage depth") if sparse else None,
    )  # fmt: skip
    return StorageResult(
        name=name, storage=storage, instances=count, mesh=(x, y), area_per_instance_um2=specs["Area"],
        area_um2=specs["Area"] * count, area_source="", energy_source={},
        vector_access_energy_pj=specs.get("Vector access energy"),
        vector_energy_source=specs.get("Vector access energy source", ""),
        read_energy_pj=specs.get("Vector read energy"), write_energy_pj=specs.get("Vector write energy"),
        metadata_read_energy_pj=specs.get("Vector metadata read energy"),
        metadata_write_energy_pj=specs.get("Vector metadata write energy"),
        decompression_energy_pj=specs.get("(De)compression energy"), loops=tuple(loops),
        cycles=block["Cycles"],
        throttling=block["Bandwidth throttling"], energy_pj=energy_pj,
        tensors=tuple(
            _tensor(Block(stats, "levels", name, "STATS", v), v, sparse)
            for v in dataspaces(stats, "levels", name)
        ),
    )  # fmt: skip


def _tensor(block: Block, name: str, sparse: bool) -> TensorTraffic:
    def access(kind: str) -> Access:
        if not sparse:
            count = block[f"Scalar {kind} (per-instance)"]
            return Access(algorithmic=count, actual=count, gated=0, skipped=0)
        fields = ("algorithmic", "actual", "gated", "skipped")
        return Access(**{f: block[f"{f.capitalize()} scalar {kind} (per-instance)"] for f in fields})

    def words(kind: str) -> FormatAccess:
        parts = {}
        for outcome in ("actual", "gated", "skipped"):
            units = block.get(f"{outcome.capitalize()} scalar format {kind} (per-instance)")
            parts[outcome] = tuple(Units(*u) for u in units) if units else ()
            parts[f"{outcome}_bits"] = int(bool(units))
        return FormatAccess(**parts)

    def bandwidth(kind: str) -> Bandwidth:
        label = f"{'Average ' if sparse else ''}{kind} Bandwidth (per-instance)"
        data, words = block.get(f"{label} Breakdown (Data, Format)", (100.0, 0.0))
        return Bandwidth(
            per_instance=block[label],
            total=block[f"{kind} Bandwidth (total)"],
            format_fraction=(words + 100.0 - data) / 200,
        )

    form = block.get("Representation format", "none")
    capacity = block.get("Max utilized Repr format storage capacity")
    return TensorTraffic(
        dataspace=name, partition_words=block["Partition size"],
        density_model=block.get("Tile density distribution", ""), tile_words=block.get("Data tile shape"),
        tile_density=math.nan,
        utilized_words=block["Max utilized data storage capacity" if sparse else "Utilized capacity"],
        format=() if form == "none" else tuple(form.split()),
        format_words=tuple(Units(*u) for u in capacity) if capacity else (),
        instances_max=block["Utilized instances (max)"],
        instances_average=block.get("Utilized instances (average)", float(block["Utilized instances (max)"])),
        clusters=block["Utilized clusters (max)"], reads=access("reads"), fills=access("fills"),
        updates=access("updates"), format_reads=words("reads"), format_fills=words("fills"),
        format_updates=words("updates"), temporal_reductions=block["Temporal reductions (per-instance)"],
        address_generations=block["Address generations (per-cluster)"],
        decompressions=0, compressions=0,
        energy_per_access_pj=block["Energy (per-scalar-access)"],
        energy_per_instance_pj=block["Energy (per-instance)"], energy_pj=block["Energy (total)"],
        reduction_energy_per_instance_pj=block["Temporal Reduction Energy (per-instance)"],
        reduction_energy_pj=block["Temporal Reduction Energy (total)"],
        addr_gen_energy_per_cluster_pj=block["Address Generation Energy (per-cluster)"],
        addr_gen_energy_pj=block["Address Generation Energy (total)"], energy_by_action_pj={},
        shared=bandwidth("Shared"), read=bandwidth("Read"), write=bandwidth("Write"),
    )  # fmt: skip


def _network(stats: Stats, name: str, energy_pj: float) -> NetworkResult:
    specs = Block(stats, "networks", name, "SPECS")
    outer, inner = name.split(" <==> ")

    def traffic(dataspace: str) -> NetworkTraffic:
        block = Block(stats, "networks", name, "STATS", dataspace)
        buckets, distributed = [], None
        for key, value in stats.fields.items():
            found = re.search(r"@multicast (\d+) @scatter (\d+)", key.field)
            if found and key[:4] == block.prefix:
                bucket = Bucket(int(found[1]), int(found[2]), value)
                if "(distributed)" in key.field:
                    distributed = bucket
                else:
                    buckets.append(bucket)
        return NetworkTraffic(
            dataspace=dataspace, fanout=block["Fanout"], multicast=block["Multicast factor"],
            ingresses=block["Ingresses"], buckets=tuple(buckets), distributed=distributed,
            link_transfers=block["Link transfers"],
            spatial_reductions=block["Spatial reductions"], average_hops=block["Average number of hops"],
            energy_per_hop_pj=block["Energy (per-hop)"] / 1000,
            energy_per_instance_pj=block["Energy (per-instance)"], energy_pj=block["Energy (total)"],
            link_energy_per_instance_pj=block["Link transfer energy (per-instance)"],
            link_energy_pj=block["Link transfer energy (total)"],
            reduction_energy_per_instance_pj=block["Spatial Reduction Energy (per-instance)"],
            reduction_energy_pj=block["Spatial Reduction Energy (total)"],
        )  # fmt: skip

    return NetworkResult(
        outer=outer, inner=inner, type=specs["Legacy sub-type"], word_bits=specs["Word bits"],
        router_energy_pj=specs.given("Router energy"), wire_energy_pj_per_bit_mm=specs.given("Wire energy"),
        energy_per_ingress_pj=specs.given("Ingress energy"), fill_latency_cycles=specs["Fill latency"],
        drain_latency_cycles=specs["Drain latency"], energy_pj=energy_pj,
        tensors=tuple(traffic(v) for v in dataspaces(stats, "networks", name)),
    )  # fmt: skip
