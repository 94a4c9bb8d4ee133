"""What an evaluation returns: every number of a Timeloop stats file, by name and with its unit.

Counts are per instance unless a name says `total`. Tables, text reports and plots are views of these records.
Levels are listed innermost first, like the report: storage `s` is the report's Level `s + 1`.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar, overload

import msgspec
import numpy as np

from sparsim.records import Compute, NamedNetwork, Storage
from sparsim.records.architecture import Direction
from sparsim.records.divisibility import Cover
from sparsim.records.energy_table import NOT_GIVEN

_Item = TypeVar("_Item")


def ratio(x: float, y: float) -> float:
    """Divide as the text report does, in IEEE arithmetic.

    Parameters
    ----------
    x, y : float
        Numerator and denominator.

    Returns
    -------
    float
        The quotient; nan or inf if `y` is 0.
    """
    if y:
        return x / y
    return math.nan if x == 0 or math.isnan(x) else math.copysign(math.inf, x)


def single_ratio(x: int, y: int) -> float:
    """Divide in single precision (model 16.5).

    Parameters
    ----------
    x, y : int
        Numerator and denominator.

    Returns
    -------
    float
        The quotient; nan or inf if `y` is 0.
    """
    return float(np.float32(x) / np.float32(y)) if y else ratio(x, y)


def or_nothing(quotient: Callable[..., float], x: float, y: float) -> float:
    """Divide for a record, in which a quotient without a denominator is 0.

    Parameters
    ----------
    quotient : callable
        The function that divides.
    x, y : float
        Numerator and denominator.

    Returns
    -------
    float
        The quotient, or 0 if `y` is 0.
    """
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
        plain: dict[str, Any] = msgspec.to_builtins(self, enc_hook=tuple)
        return plain


class Deferred(Sequence[_Item]):
    """A tuple that is computed when it is first looked at.

    Parameters
    ----------
    compute : callable
        The function that returns the tuple.
    """

    def __init__(self, compute: Callable[[], tuple[_Item, ...]]) -> None:
        self._compute: Callable[[], tuple[_Item, ...]] | None = compute
        self._items: tuple[_Item, ...] = ()

    def _all(self) -> tuple[_Item, ...]:
        compute = self._compute
        if compute is not None:
            self._items = compute()
            self._compute = None  # which lets go of what the function needs
        return self._items

    @overload
    def __getitem__(self, index: int) -> _Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[_Item, ...]: ...
    def __getitem__(self, index: int | slice) -> _Item | tuple[_Item, ...]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[_Item]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == (other._all() if isinstance(other, Deferred) else other)

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def __reduce__(self) -> tuple[type[tuple[_Item, ...]], tuple[tuple[_Item, ...]]]:
        return tuple, (self._all(),)


class Access(ResultRecord, frozen=True, kw_only=True):
    """Scalar accesses of one kind (reads, fills or updates), per instance.

    Attributes
    ----------
    algorithmic : int
        Accesses that would happen without sparsity.
    actual : int
        Accesses that happen.
    gated : int
        Accesses that are suppressed but take their time.
    skipped : int
        Accesses that do not take place at all.
    """

    algorithmic: int
    actual: int
    gated: int
    skipped: int


class Units(NamedTuple):
    """Metadata and payload words of one rank of a format.

    Attributes
    ----------
    metadata : int
        Metadata words.
    payload : int
        Payload words.
    """

    metadata: int
    payload: int


class FormatAccess(ResultRecord, frozen=True, kw_only=True):
    """Words of a format that are moved by accesses of one kind, per instance.

    Attributes
    ----------
    actual, gated, skipped : tuple of Units
        Words of each rank, the topmost rank first.
    actual_bits, gated_bits, skipped_bits : int
        The bits that these words are.
    """

    actual: tuple[Units, ...]
    gated: tuple[Units, ...]
    skipped: tuple[Units, ...]
    actual_bits: int
    gated_bits: int
    skipped_bits: int


class Bandwidth(ResultRecord, frozen=True, kw_only=True):
    """Bandwidth of one dataspace at a storage level.

    Attributes
    ----------
    per_instance : float
        Words per cycle of one instance.
    total : float
        Words per cycle of all instances.
    format_fraction : float
        Fraction of these words that are words of the format.
    """

    per_instance: float
    total: float
    format_fraction: float


class TensorTraffic(ResultRecord, frozen=True, kw_only=True):
    """Traffic of one dataspace at a storage level that keeps it.

    Counts are per instance. Energies without "per" in their name are those of all instances.

    Attributes
    ----------
    dataspace : str
        Name of the dataspace.
    partition_words : int
        Words of the part of the tensor that passes through one instance.
    density_model : str
        "fixed-structured", "hypergeometric", "banded-<half width>" or "actual".
    tile_words : int
        Words of the dense tile.
    tile_density : float
        Expected density of a tile, given that it is not dropped as empty.
    utilized_words : int
        Words that the tile takes as it is stored.
    format : tuple of str
        Formats of the ranks in lower case, the topmost rank first; empty without a format.
    format_words : tuple of Units
        Capacity that the words of the format take, by rank.
    instances_max : int
        Instances in use at most.
    instances_average : float
        Instances in use on average.
    clusters : int
        Clusters in use.
    reads, fills, updates : Access
        Scalar accesses: words that leave inwards, that arrive from outside, and that arrive from inside.
    format_reads, format_fills, format_updates : FormatAccess
        Accesses to words of the format.
    temporal_reductions : int
        Additions of partial sums at this level.
    address_generations : int
        Addresses that are generated, per cluster.
    decompressions, compressions : int
        Words that are decompressed and compressed.
    energy_per_access_pj : float
        Energy of one access in pJ; 0 without accesses.
    energy_per_instance_pj : float
        Energy of one instance in pJ.
    energy_pj : float
        Energy in pJ, without that of reductions and addresses.
    reduction_energy_per_instance_pj, reduction_energy_pj : float
        Energy of temporal reductions in pJ.
    addr_gen_energy_per_cluster_pj, addr_gen_energy_pj : float
        Energy of address generation in pJ.
    energy_by_action_pj : dict of str to float
        Energy in pJ by action; the sum is `energy_pj`.
    shared, read, write : Bandwidth
        Bandwidth of both directions together, of reads, and of writes.
    """

    dataspace: str
    partition_words: int
    density_model: str
    tile_words: int
    tile_density: float
    utilized_words: int
    format: tuple[str, ...]
    format_words: tuple[Units, ...]
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
    energy_per_access_pj: float
    energy_per_instance_pj: float
    energy_pj: float
    reduction_energy_per_instance_pj: float
    reduction_energy_pj: float
    addr_gen_energy_per_cluster_pj: float
    addr_gen_energy_pj: float
    energy_by_action_pj: dict[str, float]
    shared: Bandwidth
    read: Bandwidth
    write: Bandwidth


class LoopView(NamedTuple):
    """A loop with a bound above 1.

    Attributes
    ----------
    dim : str
        Name of the dim.
    bound : int
        Bound of the loop.
    kind : str
        "temporal", "spatial-x" or "spatial-y".
    """

    dim: str
    bound: int
    kind: str


class StorageResult(ResultRecord, frozen=True, kw_only=True):
    """Results of one storage level.

    Attributes
    ----------
    name : str
        Name of the level.
    storage : Storage
        The record of the level.
    instances : int
        Number of instances.
    mesh : tuple of two int
        All instances along (x, y).
    area_per_instance_um2, area_um2 : float
        Area of one instance and of all of them in um^2.
    area_source : str
        Where the area comes from.
    energy_source : dict of str to str
        Where the energy of each action comes from, as `sparsim.records.energy_table` names it.
    vector_access_energy_pj : float
        The one energy in pJ that the dense report prints: the largest entry of the table divided by the
        cluster size, or the built-in or given energy.
    vector_energy_source : str
        "ERT", "PAT" (built in) or "user".
    read_energy_pj, write_energy_pj : float
        Energy of one vector access in pJ.
    metadata_read_energy_pj, metadata_write_energy_pj : float
        Energy of one metadata access in pJ.
    decompression_energy_pj : float
        Energy of one decompression in pJ.
    loops : tuple of LoopView
        The loops of the level, outermost first.
    cycles : int
        Cycles that the level needs.
    throttling : float
        Factor by which the bandwidth stretches the cycles; 1 if it suffices.
    energy_pj : float
        Energy of all instances in pJ.
    leakage_pj : float
        The part of `energy_pj` that leaks.
    leak_pj : float
        Energy that one instance leaks per cycle in pJ.
    instances_per_gate : int
        Instances that share a power gate.
    tensors : tuple of TensorTraffic
        Traffic of the dataspaces that the level keeps, in the order of the shape.
    """

    name: str
    storage: Storage
    instances: int
    mesh: tuple[int, int]
    area_per_instance_um2: float
    area_um2: float
    area_source: str
    energy_source: dict[str, str]
    vector_access_energy_pj: (
        float  # dense report: the table's largest entry / cluster size, or built-in, or given
    )
    vector_energy_source: str
    read_energy_pj: float
    write_energy_pj: float
    metadata_read_energy_pj: float
    metadata_write_energy_pj: float
    decompression_energy_pj: float
    loops: tuple[LoopView, ...]
    cycles: int
    throttling: float
    energy_pj: float
    leakage_pj: float = 0.0
    leak_pj: float = 0.0
    instances_per_gate: int = 1
    tensors: tuple[TensorTraffic, ...]


class ComputeResult(ResultRecord, frozen=True, kw_only=True):
    """Results of the compute units.

    Attributes
    ----------
    name : str
        Name of the units.
    compute : Compute
        The record of the units.
    instances : int
        Number of units.
    mesh : tuple of two int
        All units along (x, y).
    energy_per_op_pj : float
        Energy of one operation in pJ.
    instances_max, instances_average : int
        Units in use at most and on average.
    cycles : int
        Compute cycles.
    algorithmic, actual, gated, skipped : int
        Computes without sparsity, and how many of them happen, are gated, and are skipped.
    energy_pj : float
        Energy of all units in pJ.
    area_um2 : float
        Area of all units in um^2.
    area_source : str
        Where the area comes from.
    energy_source : dict of str to str
        Where the energies of random, gated and skipped computes come from.
    """

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
    energy_source: dict[str, str]


class Bucket(NamedTuple):
    """Traffic of one multicast factor.

    Attributes
    ----------
    multicast : int
        Receivers of each word.
    scatter : int
        Different words that enter at one time.
    ingresses : float
        Words that enter.
    """

    multicast: int
    scatter: int
    ingresses: float


class NetworkTraffic(ResultRecord, frozen=True, kw_only=True):
    """Traffic of one dataspace on a network.

    Attributes
    ----------
    dataspace : str
        Name of the dataspace.
    fanout : int
        Instances of the inner level below one of the outer level.
    multicast : int
        Receivers of a word.
    ingresses : float
        Words that enter the network.
    buckets : tuple of Bucket
        Words by multicast factor.
    distributed : Bucket or None
        Multicast between instances of the inner level, on an "M:N" network.
    link_transfers : int
        Words that neighbouring instances pass on to each other.
    spatial_reductions : int
        Additions of partial sums on their way.
    average_hops : float
        Hops of a word on average.
    energy_per_hop_pj : float
        Energy of a word per hop in pJ.
    energy_per_instance_pj, energy_pj : float
        Energy of hops, routers and ingresses in pJ, below one instance of the outer level and in all.
    link_energy_per_instance_pj, link_energy_pj : float
        Energy of link transfers in pJ.
    reduction_energy_per_instance_pj, reduction_energy_pj : float
        Energy of spatial reductions in pJ.
    """

    dataspace: str
    fanout: int
    multicast: int
    ingresses: float
    buckets: tuple[Bucket, ...]
    distributed: Bucket | None
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
    """Results of a network between two levels, the automatic one or one with a name.

    An automatic network has the parameters of the outer level's `network` record. Where a level has a network
    for reads and one for updates, each carries all words that move, as in Timeloop (model 15.3).

    Attributes
    ----------
    outer, inner : str
        Names of the two levels.
    named : NamedNetwork or None
        The network with a name, or None for the automatic one.
    direction : str
        What the network carries: "read", "update" or "both".
    type : str
        Type of the network.
    word_bits : int
        Bits of a word.
    router_energy_pj, wire_energy_pj_per_bit_mm, energy_per_ingress_pj : float or None
        Energies in pJ, as the record gives them.
    fill_latency_cycles, drain_latency_cycles : int
        Cycles that filling and draining take.
    energy_pj : float
        Energy of all instances in pJ.
    tensors : tuple of NetworkTraffic
        Traffic of each dataspace.
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
        """Name of the network; an automatic one is called after its two levels."""
        return f"{self.outer} <==> {self.inner}" if self.named is None else self.named.name


class LevelIntensity(NamedTuple):
    """Operational intensity at one storage level.

    Attributes
    ----------
    name : str
        Name of the level.
    accesses : int
        Dense words that all instances access.
    ops_per_byte : float
        Operations per byte of these.
    """

    name: str
    accesses: int
    ops_per_byte: float


class OperationalIntensity(ResultRecord, frozen=True, kw_only=True):
    """Operations and how many of them there are per byte of memory accesses.

    Attributes
    ----------
    elementwise_ops : int
        Multiplications.
    results : int
        Words of results whose first computes add nothing up; 0 where first computes count as reductions, too
        (accounting "count-all").
    reduction_ops : int
        Actual computes minus `results`, or 0 where there are fewer computes than that. (The text report then
        prints what the reference prints, the negative difference modulo 2^64.)
    total_ops : int
        Sum of both kinds of operations.
    memory_accesses_required : int
        Words of all dataspaces, each accessed once.
    optimal_ops_per_byte : float
        Operations per byte of these.
    levels : sequence of LevelIntensity
        Intensity at the storage levels, innermost first.
    """

    elementwise_ops: int
    results: int
    reduction_ops: int
    total_ops: int
    memory_accesses_required: int
    optimal_ops_per_byte: float
    levels: Sequence[LevelIntensity]


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
    storage : sequence of StorageResult
        Results of the storage levels, innermost first.
    networks : sequence of NetworkResult
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
    storage: Sequence[StorageResult]
    networks: Sequence[NetworkResult]
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
