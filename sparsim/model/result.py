"""What an evaluation returns: every number of a Timeloop stats file, by name and with its unit.

Counts are per instance unless a name says `total`. Tables, text reports and plots are views of these records.
Levels are listed innermost first, like the report: storage `s` is the report's Level `s + 1`.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from sparsim.records import Compute, NamedNetwork, Storage
from sparsim.records.architecture import Direction
from sparsim.records.divisibility import Cover
from sparsim.records.energy_table import NOT_GIVEN


def ratio(x: float, y: float) -> float:
    """IEEE division, as the text report has it: nan or inf where there is nothing to divide by."""
    if y:
        return x / y
    return math.nan if x == 0 or math.isnan(x) else math.copysign(math.inf, x)


def single_ratio(x: int, y: int) -> float:
    """The same in single precision (model 16.5)."""
    return float(np.float32(x) / np.float32(y)) if y else ratio(x, y)


def or_nothing(quotient: Callable[..., float], x: float, y: float) -> float:
    """The quotient of a record, which is 0 where there is nothing to divide by."""
    return quotient(x, y) if y else 0.0


class ResultRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the records of results."""

    def to_dict(self) -> dict[str, Any]:
        """Return the record as plain dicts, lists and scalars.

        Returns
        -------
        dict of str to object
            The fields by name.
        """
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


class Access(ResultRecord, frozen=True, kw_only=True):
    """Scalar accesses of one kind (reads, fills or updates). `algorithmic` ignores sparsity."""

    algorithmic: int
    actual: int
    gated: int
    skipped: int


class Units(NamedTuple):
    """Metadata and payload words of one format rank."""

    metadata: int
    payload: int


class FormatAccess(ResultRecord, frozen=True, kw_only=True):
    """Format words moved, one `Units` per rank, top rank first; and the bits that they are."""

    actual: tuple[Units, ...]
    gated: tuple[Units, ...]
    skipped: tuple[Units, ...]
    actual_bits: int
    gated_bits: int
    skipped_bits: int


class Bandwidth(ResultRecord, frozen=True, kw_only=True):
    """Words per cycle; `format_fraction` of them are format words."""

    per_instance: float
    total: float
    format_fraction: float


class TensorTraffic(ResultRecord, frozen=True, kw_only=True):
    """One dataspace at one storage level that keeps it."""

    dataspace: str
    partition_words: int
    density_model: str  # fixed-structured, hypergeometric, banded-<half width>, actual
    tile_words: int
    tile_density: float  # expected, given that the tile is not dropped as empty
    utilized_words: int
    format: tuple[str, ...]  # rank formats in lower case, top first; () is none
    format_words: tuple[Units, ...]  # capacity, top rank first
    instances_max: int
    instances_average: float
    clusters: int
    reads: Access
    fills: Access
    updates: Access
    format_reads: FormatAccess
    format_fills: FormatAccess
    format_updates: FormatAccess
    temporal_reductions: int
    address_generations: int
    decompressions: int
    compressions: int
    energy_per_access_pj: float  # 0 without accesses
    energy_per_instance_pj: float
    energy_pj: float  # all instances; without the two below
    reduction_energy_per_instance_pj: float
    reduction_energy_pj: float
    addr_gen_energy_per_cluster_pj: float
    addr_gen_energy_pj: float
    energy_by_action_pj: dict[str, float]  # all instances; sums to energy_pj
    shared: Bandwidth
    read: Bandwidth
    write: Bandwidth


class LoopView(NamedTuple):
    """A loop that is not trivial. `kind` is 'temporal', 'spatial-x' or 'spatial-y'."""

    dim: str
    bound: int
    kind: str


class StorageResult(ResultRecord, frozen=True, kw_only=True):
    name: str
    storage: Storage
    instances: int
    mesh: tuple[int, int]  # of all instances
    area_per_instance_um2: float
    area_um2: float
    area_source: str
    energy_source: dict[str, str]  # of each action: see `sparsim.records.energy_table`
    vector_access_energy_pj: (
        float  # dense report: the table's largest entry / cluster size, or built-in, or given
    )
    vector_energy_source: str  # ERT, PAT (built-in) or user
    read_energy_pj: float  # of one vector access
    write_energy_pj: float
    metadata_read_energy_pj: float
    metadata_write_energy_pj: float
    decompression_energy_pj: float
    loops: tuple[LoopView, ...]  # outermost first
    cycles: int
    throttling: float  # 1: bandwidth suffices
    energy_pj: float
    leakage_pj: float = 0.0  # of energy_pj, what no access takes
    leak_pj: float = 0.0  # per instance and cycle
    instances_per_gate: int = 1  # that share a power gate
    tensors: tuple[TensorTraffic, ...]  # kept dataspaces, in the shape's order


class ComputeResult(ResultRecord, frozen=True, kw_only=True):
    name: str
    compute: Compute
    instances: int
    mesh: tuple[int, int]
    energy_per_op_pj: float
    instances_max: int
    instances_average: int
    cycles: int
    algorithmic: int
    actual: int
    gated: int
    skipped: int
    energy_pj: float
    area_um2: float
    area_source: str
    energy_source: dict[str, str]  # of random, gated and skipped computes


class Bucket(NamedTuple):
    """Traffic of one multicast factor: `ingresses` words enter, each for `multicast` receivers."""

    multicast: int
    scatter: int
    ingresses: float


class NetworkTraffic(ResultRecord, frozen=True, kw_only=True):
    dataspace: str
    fanout: int
    multicast: int
    ingresses: float
    buckets: tuple[Bucket, ...]
    distributed: Bucket | None  # multicast between instances of the level inside, under an M:N network
    link_transfers: int
    spatial_reductions: int
    average_hops: float
    energy_per_hop_pj: float
    energy_per_instance_pj: float
    energy_pj: float
    link_energy_per_instance_pj: float
    link_energy_pj: float
    reduction_energy_per_instance_pj: float
    reduction_energy_pj: float


class NetworkResult(ResultRecord, frozen=True, kw_only=True):
    """A network from `outer` to `inner`, the automatic one or one with a name.

    An automatic network has the parameters of `outer`'s `network` record. Where a level has a network for
    reads and one for updates (`direction`), each carries all words that move, as in Timeloop (model 15.3).
    """

    outer: str
    inner: str
    named: NamedNetwork | None = None
    direction: Direction = "both"
    type: str
    word_bits: int
    router_energy_pj: float | None
    wire_energy_pj_per_bit_mm: float | None
    energy_per_ingress_pj: float | None
    fill_latency_cycles: int
    drain_latency_cycles: int
    energy_pj: float
    tensors: tuple[NetworkTraffic, ...]

    @property
    def name(self) -> str:
        return f"{self.outer} <==> {self.inner}" if self.named is None else self.named.name


class LevelIntensity(NamedTuple):
    """Operational intensity at one storage level; `accesses` counts dense words of all instances."""

    name: str
    accesses: int
    ops_per_byte: float


class OperationalIntensity(ResultRecord, frozen=True, kw_only=True):
    """`reduction_ops` is actual computes minus `results`, the words of results whose first computes add
    nothing up, or 0 where fewer computes than that remain (the text report then prints what the reference
    does, the negative difference modulo 2^64)."""

    elementwise_ops: int
    results: int  # 0 where first computes count as reductions, too (accounting count-all)
    reduction_ops: int
    total_ops: int
    memory_accesses_required: int
    optimal_ops_per_byte: float
    levels: tuple[LevelIntensity, ...]  # storage, innermost first


class Evaluation(ResultRecord, frozen=True, kw_only=True):
    """Results of one layer on one accelerator under one mapping.

    Operations, and numbers that are given per operation, include the padding of padded dims;
    `useful_computes` does not.

    Attributes
    ----------
    architecture : str
        Name of the architecture.
    layer : str
        Name of the layer.
    accounting : str
        The convention of accounting.
    sparse_report : bool
        Whether a sparse policy was given, be it an empty one.
    cycles : int
        Cycles of the layer, those of its slowest part plus the latencies of networks.
    energy_pj : float
        Energy in pJ, of storage, compute units and networks.
    utilization : float
        Share of the compute units that is busy, from 0 to 1; 0 without cycles.
    area_um2 : float
        Area of all instances in um^2.
    gflops : float
        Operations per second at a clock of 1 GHz, in 10^9.
    edp_j_cycles : float
        The energy-delay product in J x cycles.
    algorithmic_computes : int
        Computes, whether or not an operand is zero.
    actual_computes : int
        Computes that happen.
    compute : ComputeResult
        Results of the compute units.
    storage : tuple of StorageResult
        Results of the storage levels, innermost first.
    networks : tuple of NetworkResult
        Results of the networks between levels, innermost first.
    intensity : OperationalIntensity
        Operations per byte of each level.
    warnings : tuple of str
        What stands in for energies that are missing, and what was given and is not used.
    covers : tuple of Cover
        The dims that the mapping pads or cuts short.
    """

    architecture: str
    layer: str
    accounting: str
    sparse_report: bool
    cycles: int
    energy_pj: float
    utilization: float
    area_um2: float
    gflops: float
    edp_j_cycles: float
    algorithmic_computes: int
    actual_computes: int
    compute: ComputeResult
    storage: tuple[StorageResult, ...]
    networks: tuple[NetworkResult, ...]
    intensity: OperationalIntensity
    warnings: tuple[str, ...] = ()
    covers: tuple[Cover, ...] = ()

    @property
    def useful_computes(self) -> int:
        """Algorithmic computes without those of padding, which are those of the layer itself."""
        computes = self.algorithmic_computes
        for cover in self.covers:
            if cover.policy == "padded":
                computes = computes * cover.bound // cover.covered
        return computes

    @property
    def energy_sources(self) -> str:
        """Where the energies of actual accesses and computes come from, in a few words."""
        where: dict[str, list[str]] = {}
        for storage in self.storage[::-1]:
            if storage.tensors:
                where.setdefault(storage.energy_source["random_read"], []).append(storage.name)
        where.setdefault(self.compute.energy_source["random_compute"], []).append(self.compute.name)
        if len(where) == 1:
            return next(iter(where))
        return "; ".join(f"{source} for {', '.join(names)}" for source, names in where.items())

    @property
    def area_is_given(self) -> bool:
        """Whether any level has an area. If none has, the area is 0 and means nothing."""
        sources = [self.compute.area_source, *(storage.area_source for storage in self.storage)]
        return any(source != NOT_GIVEN for source in sources)

    def level(self, name: str) -> StorageResult:
        """Return the results of a storage level.

        Parameters
        ----------
        name : str
            Name of the level.

        Returns
        -------
        StorageResult

        Raises
        ------
        KeyError
            If there is no such level.
        """
        for result in self.storage:
            if result.name == name:
                return result
        raise KeyError(name)
