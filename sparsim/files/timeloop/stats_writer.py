"""`Evaluation` -> the text of Timeloop 3.0.3's stats file (model chapter 16)."""

import math

from sparsim.files.timeloop.map_writer import loop_text
from sparsim.files.timeloop.network_stats import network_block
from sparsim.files.timeloop.stats_rows import real, table
from sparsim.model.result import (
    Bandwidth,
    ComputeResult,
    Evaluation,
    LoopView,
    NetworkResult,
    OperationalIntensity,
    StorageResult,
    TensorTraffic,
    ratio,
    single_ratio,
)

UNSIGNED = 2**64  # the reference counts operations in 64 bits, even if the difference is negative
_SPARSE_LABEL = 60  # width of a label


def write_stats(evaluation: Evaluation) -> str:
    """The report as Timeloop 3.0.3 prints it, in its dense or sparse variant (model 16).

    Like there, `Area` of the summary is always 0.00 (the sum is lost before it is printed) and operations
    are counted modulo 2^64; `Evaluation.area_um2` and `.intensity` have the real numbers. Without cycles the
    utilization is 0, and not -nan as there. Padded and imperfect dims are listed before the summary.
    """
    lines = ["Buffer and Arithmetic Levels", "-" * 28, "Level 0", "-" * 7]
    lines += _compute(evaluation.compute, evaluation.sparse_report)
    fanouts = {network.outer: network.tensors[0].fanout for network in evaluation.networks}
    for i, storage in enumerate(evaluation.storage):
        lines += [f"Level {i + 1}", "-" * 7]
        # as in the reference, loops are lost at levels outside all that keep the first dataspace
        loops = storage.loops if fanouts[storage.name] else ()
        lines.append(_storage(storage, loops, evaluation.sparse_report))
    lines += ["Networks", "-" * 8]
    for i, network in enumerate(_networks(evaluation)):
        lines += [f"Network {i}", "-" * 9]
        lines.append(network_block(network))
    lines += ["", *_intensity(evaluation), "", "", *_divisibility(evaluation), *_summary(evaluation), "", ""]
    return "\n".join(lines)


def _networks(evaluation: Evaluation) -> list[NetworkResult]:
    return sorted(evaluation.networks, key=lambda network: network.name)


def _integer(value: int | None) -> str:
    return "-" if value is None else str(value)


def _quotient(value: float) -> str:
    """Return a quotient that may be 0/0, which becomes a negative nan on the reference's processor."""
    return "-nan" if math.isnan(value) else f"{value:.2f}"


def _instances(count: int, mesh: tuple[int, int]) -> str:
    return f"{count} ({mesh[0]}*{mesh[1]})"


def _compute(compute: ComputeResult, sparse: bool) -> list[str]:
    specs = [
        ("Word bits", str(compute.compute.word_bits)),
        ("Instances", _instances(compute.instances, compute.mesh)),
        ("Compute energy", f"{compute.energy_per_op_pj:.2f} pJ"),
    ]
    tail = [
        ("Energy (total)", f"{compute.energy_pj:.2f} pJ"),
        ("Area (total)", f"{compute.area_um2:.2f} um^2"),
    ]
    if sparse:
        stats = [
            ("Utilized instances (max)", str(compute.instances_max)),
            ("Utilized instances (average)", str(compute.instances_average)),
            ("Cycles", str(compute.cycles)),
            ("Algorithmic Computes (total)", str(compute.algorithmic)),
            ("Actual Computes (total)", str(compute.actual)),
            ("Gated Computes (total)", str(compute.gated)),
            ("Skipped Computes (total)", str(compute.skipped)),
        ]
    else:
        stats = [
            ("Utilized instances", str(compute.instances_max)),
            ("Computes (total)", str(compute.actual)),
            ("Cycles", str(compute.cycles)),
        ]
    return [
        f"=== {compute.name} ===", "",
        "    SPECS", "    -----", *table(specs, indent=4, width=22), "",
        "    STATS", "    -----", *table([*stats, *tail], indent=4, width=29 if sparse else 24), "",
        *([""] if sparse else []),
    ]  # fmt: skip


def _storage(result: StorageResult, loops: tuple[LoopView, ...], sparse: bool) -> str:
    write_specs, write_tensor = (_sparse_specs, _sparse_tensor) if sparse else (_dense_specs, _dense_tensor)
    return f"""\
=== {result.name} ===

    SPECS
    -----
{write_specs(result)}
    MAPPING
    -------
    Loop nest:
{_loops(loops)}
    STATS
    -----
    Cycles               : {result.cycles}
    Bandwidth throttling : {result.throttling:.2f}
{"".join(map(write_tensor, result.tensors))}"""


def _loops(loops: tuple[LoopView, ...]) -> str:
    return "".join(f"{' ' * (6 + 2 * i)}{loop_text(loop)}\n" for i, loop in enumerate(loops))


def _dense_specs(result: StorageResult) -> str:
    storage = result.storage
    return f"""\
        Technology                  : {storage.technology}
        Size                        : {_integer(storage.size_words)}
        Word bits                   : {storage.word_bits}
        Block size                  : {storage.block_size}
        Cluster size                : {storage.cluster_size}
        Instances                   : {_instances(result.instances, result.mesh)}
        Shared bandwidth            : {real(storage.shared_bandwidth)}
        Read bandwidth              : {real(storage.read_bandwidth)}
        Write bandwidth             : {real(storage.write_bandwidth)}
        Multiple buffering          : {storage.multiple_buffering:.2f}
        Effective size              : {_integer(storage.effective_size_words)}
        Min utilization             : {storage.min_utilization:.2f}
        Vector access energy        : {result.vector_access_energy_pj:.2f} pJ
        Vector access energy source : {result.vector_energy_source}
        Area                        : {result.area_per_instance_um2:.2f} um^2
"""


def _sparse_specs(result: StorageResult) -> str:
    storage = result.storage
    return f"""\
        Technology                   : {storage.technology}
        Data storage size            : {_integer(storage.size_words)}
        Data word bits               : {storage.word_bits}
        Data block size              : {storage.block_size}
        Metadata storage width(bits) : {storage.metadata_width_bits}
        Metadata storage depth       : {_integer(storage.metadata_depth)}
        Cluster size                 : {storage.cluster_size}
        Instances                    : {_instances(result.instances, result.mesh)}
        Shared bandwidth             : {real(storage.shared_bandwidth)}
        Read bandwidth               : {real(storage.read_bandwidth)}
        Write bandwidth              : {real(storage.write_bandwidth)}
        Multiple buffering           : {storage.multiple_buffering:.2f}
        Effective data storage size  : {_integer(storage.effective_size_words)}
        Min utilization              : {storage.min_utilization:.2f}
        Vector read energy           : {result.read_energy_pj:.2f} pJ
        Vector write energy          : {result.write_energy_pj:.2f} pJ
        Vector metadata read energy  : {result.metadata_read_energy_pj:.2f} pJ
        Vector metadata write energy : {result.metadata_write_energy_pj:.2f} pJ
        (De)compression energy       : {result.decompression_energy_pj:.2f} pJ
        Area                         : {result.area_per_instance_um2:.2f} um^2
"""


def _per_access(tensor: TensorTraffic) -> float:
    accesses = tensor.reads.actual + tensor.fills.actual + tensor.updates.actual
    if accesses or not tensor.instances_average:
        return tensor.energy_per_access_pj
    return ratio(tensor.energy_per_instance_pj, accesses)


def _dense_tensor(tensor: TensorTraffic) -> str:
    return f"""\
    {tensor.dataspace}:
        Partition size                           : {tensor.partition_words}
        Utilized capacity                        : {tensor.utilized_words}
        Utilized instances (max)                 : {int(tensor.instances_average)}
        Utilized clusters (max)                  : {tensor.clusters}
        Scalar reads (per-instance)              : {tensor.reads.actual}
        Scalar updates (per-instance)            : {tensor.updates.actual}
        Scalar fills (per-instance)              : {tensor.fills.actual}
        Temporal reductions (per-instance)       : {tensor.temporal_reductions}
        Address generations (per-cluster)        : {tensor.address_generations}
        Energy (per-scalar-access)               : {_quotient(_per_access(tensor))} pJ
        Energy (per-instance)                    : {tensor.energy_per_instance_pj:.2f} pJ
        Energy (total)                           : {tensor.energy_pj:.2f} pJ
        Temporal Reduction Energy (per-instance) : {tensor.reduction_energy_per_instance_pj:.2f} pJ
        Temporal Reduction Energy (total)        : {tensor.reduction_energy_pj:.2f} pJ
        Address Generation Energy (per-cluster)  : {tensor.addr_gen_energy_per_cluster_pj:.2f} pJ
        Address Generation Energy (total)        : {tensor.addr_gen_energy_pj:.2f} pJ
        Shared Bandwidth (per-instance)          : {tensor.shared.per_instance:.2f} words/cycle
        Shared Bandwidth (total)                 : {tensor.shared.total:.2f} words/cycle
        Read Bandwidth (per-instance)            : {tensor.read.per_instance:.2f} words/cycle
        Read Bandwidth (total)                   : {tensor.read.total:.2f} words/cycle
        Write Bandwidth (per-instance)           : {tensor.write.per_instance:.2f} words/cycle
        Write Bandwidth (total)                  : {tensor.write.total:.2f} words/cycle
"""


def _sparse_tensor(tensor: TensorTraffic) -> str:
    formats = "".join(f"{name} " for name in tensor.format) or "none"
    reads, fills, updates = tensor.reads, tensor.fills, tensor.updates
    shared, read, write = tensor.shared, tensor.read, tensor.write
    additions_pj = tensor.reduction_energy_per_instance_pj
    addresses_pj = tensor.addr_gen_energy_per_cluster_pj
    capacity = _ranks(
        "Max utilized Repr format storage capacity", tensor.format_words, bool(tensor.format), ", "
    )
    return f"""\
    {tensor.dataspace}:
        Partition size                                              : {tensor.partition_words}
        Tile density distribution                                   : {tensor.density_model}
        Data tile shape                                             : {tensor.tile_words}
        Max utilized data storage capacity                          : {tensor.utilized_words}
        Representation format                                       : {formats}
{capacity}\
        Utilized instances (max)                                    : {tensor.instances_max}
        Utilized instances (average)                                : {tensor.instances_average:.2f}
        Utilized clusters (max)                                     : {tensor.clusters}
        Algorithmic scalar reads (per-instance)                     : {reads.algorithmic}
        Actual scalar reads (per-instance)                          : {reads.actual}
        Gated scalar reads (per-instance)                           : {reads.gated}
        Skipped scalar reads (per-instance)                         : {reads.skipped}
        Algorithmic scalar fills (per-instance)                     : {fills.algorithmic}
        Actual scalar fills (per-instance)                          : {fills.actual}
        Gated scalar fills (per-instance)                           : {fills.gated}
        Skipped scalar fills (per-instance)                         : {fills.skipped}
        Algorithmic scalar updates (per-instance)                   : {updates.algorithmic}
        Actual scalar updates (per-instance)                        : {updates.actual}
        Gated scalar updates (per-instance)                         : {updates.gated}
        Skipped scalar updates (per-instance)                       : {updates.skipped}
{_format_words(tensor)}\
        Temporal reductions (per-instance)                          : {tensor.temporal_reductions}
        Address generations (per-cluster)                           : {tensor.address_generations}
        Energy (per-scalar-access)                                  : {_quotient(_per_access(tensor))} pJ
        Energy (per-instance)                                       : {tensor.energy_per_instance_pj:.2f} pJ
        Energy (total)                                              : {tensor.energy_pj:.2f} pJ
        Temporal Reduction Energy (per-instance)                    : {additions_pj:.2f} pJ
        Temporal Reduction Energy (total)                           : {tensor.reduction_energy_pj:.2f} pJ
        Address Generation Energy (per-cluster)                     : {addresses_pj:.2f} pJ
        Address Generation Energy (total)                           : {tensor.addr_gen_energy_pj:.2f} pJ
        Average Shared Bandwidth (per-instance)                     : {shared.per_instance:.2f} words/cycle
            Breakdown (Data, Format): {_breakdown(shared)}
        Shared Bandwidth (total)                                    : {shared.total:.2f} words/cycle
        Average Read Bandwidth (per-instance)                       : {read.per_instance:.2f} words/cycle
            Breakdown (Data, Format): {_breakdown(read)}
        Read Bandwidth (total)                                      : {read.total:.2f} words/cycle
        Average Write Bandwidth (per-instance)                      : {write.per_instance:.2f} words/cycle
            Breakdown (Data, Format): {_breakdown(write)}
        Write Bandwidth (total)                                     : {write.total:.2f} words/cycle
"""


def _breakdown(bandwidth: Bandwidth) -> str:
    words = bandwidth.format_fraction
    return f"({100 * (1 - words):.2f}%, {100 * words:.2f}%)"


def _format_words(tensor: TensorTraffic) -> str:
    if not tensor.format:
        return ""
    lines = []
    kinds = (
        ("reads", tensor.format_reads),
        ("fills", tensor.format_fills),
        ("updates", tensor.format_updates),
    )
    for kind, access in kinds:
        outcomes = (
            ("Actual", access.actual, access.actual_bits),
            ("Gated", access.gated, access.gated_bits),
            ("Skipped", access.skipped, access.skipped_bits),
        )
        for name, units, bits in outcomes:
            lines.append(_ranks(f"{name} scalar format {kind} (per-instance)", units, bits > 0, ",  "))
    return "".join(lines)


def _ranks(label: str, units: tuple[tuple[int, int], ...], listed: bool, comma: str) -> str:
    """One line per rank, top rank first; a single 0 if not `listed`, also for words that hold no bits."""
    if not listed:
        return f"        {label:<{_SPARSE_LABEL}}: 0\n"
    lines = [f"        {label:<{_SPARSE_LABEL}}\n"]
    for i, (metadata, payload) in enumerate(units):
        rank = len(units) - 1 - i
        lines.append(f"            Rank {rank} (metadata, payload): ({metadata}{comma}{payload})\n")
    return "".join(lines)


def _intensity(evaluation: Evaluation) -> list[str]:
    intensity = evaluation.intensity
    reductions, ops = _operations(intensity)
    least_bytes = evaluation.storage[-1].storage.word_bits * intensity.memory_accesses_required // 8
    rows = [
        ("Total elementwise ops", str(intensity.elementwise_ops)),
        ("Total reduction ops", str(reductions)),
        ("Total ops", str(ops)),
        ("Total memory accesses required", str(intensity.memory_accesses_required)),
        ("Optimal Op per Byte", _quotient(single_ratio(ops, least_bytes))),
    ]
    lines = ["Operational Intensity Stats", "-" * 27, *table(rows, indent=4, width=40), ""]
    for level, result in zip(intensity.levels, evaluation.storage, strict=True):
        accesses = level.accesses % UNSIGNED
        byte = result.storage.word_bits * accesses % UNSIGNED // 8
        lines.append(f"=== {level.name} ===")
        if accesses:
            rows = [
                ("Total scalar accesses", str(accesses)),
                ("Op per Byte", _quotient(single_ratio(ops, byte))),
            ]
            lines += table(rows, indent=4, width=40)
    return lines


def _operations(intensity: OperationalIntensity) -> tuple[int, int]:
    """Return reductions and all operations as the reference counts them, with negative numbers modulo
    2^64.
    """
    reductions = intensity.elementwise_ops - intensity.results
    return reductions % UNSIGNED, (intensity.elementwise_ops + reductions) % UNSIGNED


def reported_gflops(evaluation: Evaluation) -> float:
    """Operations per nanosecond at 1 GHz as the text has them, reductions modulo 2^64 included."""
    return single_ratio(_operations(evaluation.intensity)[1], evaluation.cycles)


def wrapped_counts(evaluation: Evaluation) -> tuple[str, ...]:
    """Return a warning for a report whose counts wrapped around; the records have the correct ones."""
    intensity = evaluation.intensity
    if intensity.elementwise_ops >= intensity.results:
        return ()
    return (
        f"{intensity.elementwise_ops} computes are left for {intensity.results} results: the stats text has "
        f"{_operations(intensity)[0]} reduction ops, as Timeloop does, the result {intensity.reduction_ops}",
    )


def _divisibility(evaluation: Evaluation) -> list[str]:
    """Write a section that only sparsim has, if dims are padded or imperfect, which the reference does not
    support.
    """
    useful = f"{evaluation.useful_computes} of {evaluation.algorithmic_computes}"
    last = f"    Useful computes: {useful}; energies per compute divide by all of them"
    lines = ["Divisibility", "-" * 12, *(f"    {cover}" for cover in evaluation.covers), last, "", ""]
    return lines if evaluation.covers else []


def _summary(evaluation: Evaluation) -> list[str]:
    lines = [
        "Summary Stats",
        "-------------",
        f"GFLOPs (@1GHz): {_quotient(reported_gflops(evaluation))}",
        f"Utilization: {evaluation.utilization:.2f}",
        f"Cycles: {evaluation.cycles}",
        f"Energy: {evaluation.energy_pj / 1e6:.2f} uJ",
        f"EDP(J*cycle): {evaluation.edp_j_cycles:.2e}",
        "Area: 0.00 mm^2",
        "",
    ]
    if not evaluation.sparse_report:
        return lines + _per_compute(evaluation, "Computes", evaluation.actual_computes, "fJ/Compute")
    algorithmic, actual = evaluation.algorithmic_computes, evaluation.actual_computes
    lines += _per_compute(evaluation, "Algorithmic Computes", algorithmic, "fJ/Algorithmic-Compute")
    return [*lines, "", *_per_compute(evaluation, "Actual Computes", actual, "fJ/Compute")]


def _per_compute(evaluation: Evaluation, label: str, computes: int, unit: str) -> list[str]:
    rows = [(evaluation.compute.name, evaluation.compute.energy_pj)]
    rows += [(storage.name, storage.energy_pj) for storage in evaluation.storage]
    rows += [(network.name, network.energy_pj) for network in _networks(evaluation)]
    rows += [("Total", evaluation.energy_pj)]
    width = max(len(name) for name, _ in rows) + 1
    return [
        f"{label} = {computes}",
        unit,
        *(f"    {name:<{width}}= {_quotient(ratio(energy * 1000, computes))}" for name, energy in rows),
    ]
