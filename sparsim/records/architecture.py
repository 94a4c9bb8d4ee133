"""The accelerator: storage levels from outer to inner, then the compute units."""

from typing import Literal

from sparsim.errors import SpecError, near
from sparsim.records.number_limits import (
    MAX_COUNT,
    MAX_INT,
    MAX_NAMES,
    MAX_REAL,
    as_real,
    check_number,
    check_real,
    check_whole,
    repeated,
)
from sparsim.records.record import Record


def _check_mesh(where: str, mesh: tuple[int, int]) -> None:
    for side in mesh:
        check_whole(where, "a side of the mesh", side, -MAX_INT, MAX_INT)
    if min(mesh) < 1:
        raise SpecError(f"mesh is {mesh[0]} x {mesh[1]}, allowed is 1 and more each way", path=where)


Direction = Literal["read", "update", "both"]  # of what a network carries


class Transfer(Record, frozen=True, kw_only=True):
    """What a word costs that enters a network; None stands for every dataspace and number of receivers."""

    dataspace: str | None = None
    multicast: int | None = None
    energy_pj: float

    def __post_init__(self) -> None:
        check_whole("transfer", "multicast", self.multicast, 1, MAX_INT)
        check_real("transfer", "energy_pj", self.energy_pj)


MESH_FIELDS = (
    "router_energy_pj", "wire_energy_pj_per_bit_mm", "energy_per_hop_pj", "energy_per_ingress_pj",
    "tile_width_um",
)  # fmt: skip
_FIELDS = {
    "multicast": ("action", "argument", "transfers"),
    "mesh": ("type", *MESH_FIELDS),
    "reduction_tree": ("wire_energy_pj_per_bit_mm", "adder_energy_pj"),
}


class NamedNetwork(Record, frozen=True, kw_only=True):
    """A network with a name, which levels use in place of the automatic one (model 15.3).

    A "multicast" costs by how many receive a word: words that no one of the `transfers` speaks of cost
    nothing. A "mesh" is what the automatic network is. A "reduction_tree" carries updates alone, and adds
    results on their way. The fields after `latency_cycles` belong to one or two of the kinds.
    """

    name: str
    kind: Literal["multicast", "mesh", "reduction_tree"] = "multicast"
    word_bits: int = 16
    latency_cycles: int = 0
    action: str = ""  # as an ERT calls it, and its argument that counts receivers
    argument: str = ""
    transfers: tuple[Transfer, ...] = ()
    type: str = ""  # like that of `Network`
    router_energy_pj: float | None = None
    wire_energy_pj_per_bit_mm: float | None = None
    energy_per_hop_pj: float | None = None
    energy_per_ingress_pj: float | None = None
    tile_width_um: float | None = None
    adder_energy_pj: float | None = None  # per addition

    def __post_init__(self) -> None:
        where = f"network {self.name}"
        if self.kind not in _FIELDS:
            raise SpecError(f"kind is '{self.kind}', allowed is {', '.join(_FIELDS)}", path=where)
        of_others = {field for fields in _FIELDS.values() for field in fields} - {*_FIELDS[self.kind]}
        for field in sorted(of_others):
            if getattr(self, field) not in (None, "", ()):
                raise SpecError(f"a {self.kind} has no '{field}'", path=where)
        check_whole(where, "word_bits", self.word_bits, 1, MAX_INT)
        check_whole(where, "latency_cycles", self.latency_cycles, 0, MAX_INT)
        for field in (*MESH_FIELDS, "adder_energy_pj"):
            check_real(where, field, getattr(self, field))


class Network(Record, frozen=True, kw_only=True):
    """The network from a storage level to the next level inside it. None means: not given, costs nothing.

    `read` and `update` are networks with names that stand in its place, for what moves inwards and outwards;
    without `update` the network of reads serves both.
    """

    type: str = ""  # "M:N": distributed multicast (model 7.7); others change nothing
    word_bits: int | None = None  # None: the level's own
    router_energy_pj: float | None = None
    wire_energy_pj_per_bit_mm: float | None = None
    energy_per_hop_pj: float | None = None
    energy_per_ingress_pj: float | None = None
    tile_width_um: float | None = None  # None: from the areas of what lies inside
    fill_latency_cycles: int = 0
    drain_latency_cycles: int = 0
    read: NamedNetwork | None = None
    update: NamedNetwork | None = None

    @property
    def named(self) -> tuple[NamedNetwork, ...]:
        """The networks with names, each once."""
        return tuple(one for one, _ in self.directions if one is not None)

    @property
    def directions(self) -> tuple[tuple[NamedNetwork | None, Direction], ...]:
        """The networks and what each carries; None is the automatic one."""
        if self.update is None or self.update == self.read:
            return ((self.read, "both"),)
        return (self.read, "read"), (self.update, "update")

    @property
    def distributes(self) -> bool:
        """Whether receivers pass words on to each other (model 7.7)."""
        return (self.type if self.read is None else self.read.type) == "M:N"

    @property
    def latency_cycles(self) -> int:
        """Of filling and draining."""
        fill = self.fill_latency_cycles if self.read is None else self.read.latency_cycles
        return fill + (self.drain_latency_cycles if self.update is None else self.update.latency_cycles)

    def __post_init__(self) -> None:
        for field in ("read", "update"):
            if not isinstance(getattr(self, field), NamedNetwork | None):
                raise SpecError(f"'{field}' is no network with a name", path="network")
        for named, direction in self.directions:
            if named is not None and named.kind == "reduction_tree" and direction != "update":
                raise SpecError(
                    f"'{named.name}' is a reduction tree, which carries updates alone", path="network"
                )
        if self.read is not None and self.type == "M:N":
            raise SpecError(f"type is M:N, and '{self.read.name}' stands in its place", path="network")
        check_whole("network", "word_bits", self.word_bits, 1, MAX_INT)
        for field in ("fill_latency_cycles", "drain_latency_cycles"):
            check_whole("network", field, getattr(self, field), 0, MAX_INT)
        for field in MESH_FIELDS:
            check_real("network", field, getattr(self, field))


class Storage(Record, frozen=True, kw_only=True):
    """A storage level. A word is one scalar of a tensor; an access moves a block of `block_size` words.

    `mesh` is (x, y): the instances of this level below ONE instance of the next outer level.
    """

    name: str
    technology: Literal["SRAM", "DRAM"] = "SRAM"
    mesh: tuple[int, int] = (1, 1)
    word_bits: int = 16
    block_size: int = 1
    cluster_size: int = 1
    size_words: int | None = None  # None: unlimited
    multiple_buffering: float = 1.0
    min_utilization: float = 0.0
    read_bandwidth: float | None = None  # words/cycle per instance; None, like inf: unlimited
    write_bandwidth: float | None = None
    shared_bandwidth: float | None = None
    metadata_word_bits: int = 0
    metadata_width_bits: int = 0  # bits that one metadata access moves; 0: no metadata storage
    metadata_depth: int | None = None  # None: no capacity given, counts as 0 on a sized level
    compression_supported: bool = False
    decompression_supported: bool = False
    reduction_supported: bool | None = None  # None: yes unless DRAM
    addr_gen_energy_pj: float | None = None
    vector_access_energy_pj: float | None = None
    cluster_area_um2: float | None = None
    power_gated_at: str = ""  # the level with whose unused instances this one's leakage is cut
    network: Network = Network()

    def __post_init__(self) -> None:
        where = f"storage {self.name}"
        _check_mesh(where, self.mesh)
        for field in ("word_bits", "block_size", "cluster_size"):
            check_whole(where, field, getattr(self, field), 1, MAX_INT)
        for field in ("metadata_word_bits", "metadata_width_bits"):
            check_whole(where, field, getattr(self, field), 0, MAX_INT)
        for field in ("size_words", "metadata_depth"):
            check_whole(where, field, getattr(self, field))
        for field in ("read_bandwidth", "write_bandwidth", "shared_bandwidth", "multiple_buffering"):
            value = getattr(self, field)
            if value is not None and not as_real(where, field, value) > 0:  # also refuses nan
                raise SpecError(f"{field} is {value:g}, allowed is more than 0", path=where)
        for field in ("addr_gen_energy_pj", "vector_access_energy_pj", "cluster_area_um2"):
            check_real(where, field, getattr(self, field))
        if not 0.0 <= as_real(where, "min_utilization", self.min_utilization) <= 1.0:
            raise SpecError(f"min_utilization is {self.min_utilization:g}, allowed is 0 to 1", path=where)
        if self.technology == "DRAM" and self.cluster_size != 1:
            raise SpecError(f"cluster_size is {self.cluster_size}, a DRAM allows only 1", path=where)
        if self.technology == "SRAM" and self.size_words is None:
            raise SpecError("no size given, and only a DRAM may be unlimited", path=where)
        if self.size_words is None and self.min_utilization > 0:
            raise SpecError("min_utilization needs a size", path=where)
        largest = max(self.size_words or 0, self.metadata_depth or 0)
        if largest / self.multiple_buffering > MAX_REAL:
            raise SpecError(
                f"multiple_buffering is {self.multiple_buffering:g}, {largest} words divided by it are more "
                f"than {MAX_REAL:g}",
                path=where,
            )

    @property
    def effective_size_words(self) -> int | None:
        return None if self.size_words is None else int(self.size_words / self.multiple_buffering)

    @property
    def metadata_capacity_bits(self) -> int:
        return int((self.metadata_depth or 0) * self.metadata_width_bits / self.multiple_buffering)


class Compute(Record, frozen=True, kw_only=True):
    """The arithmetic units; `mesh` counts them below one instance of the innermost storage."""

    name: str
    mesh: tuple[int, int] = (1, 1)
    word_bits: int = 16
    energy_pj: float | None = None  # used when the energy table has no entry
    area_um2: float = 0.0

    def __post_init__(self) -> None:
        where = f"compute {self.name}"
        _check_mesh(where, self.mesh)
        check_whole(where, "word_bits", self.word_bits, 1, MAX_INT)
        check_real(where, "energy_pj", self.energy_pj)
        check_real(where, "area_um2", self.area_um2)


class Architecture(Record, frozen=True, kw_only=True):
    """Storage levels outer to inner (the first is the backing store), and the compute units."""

    name: str = "accelerator"
    storage: tuple[Storage, ...]
    compute: Compute
    source: str = ""

    def __post_init__(self) -> None:
        if not self.storage:
            raise SpecError("no storage level, at least one is needed", path=f"architecture {self.name}")
        check_number(f"architecture {self.name}", "storage levels", self.storage, MAX_NAMES)
        names = [s.name for s in self.storage] + [self.compute.name]
        twice = repeated(names)
        if twice is not None:
            raise SpecError(f"two levels are called '{twice}'", path=f"architecture {self.name}")
        twice = repeated([network.name for level in self.storage for network in level.network.named])
        if twice is not None:
            raise SpecError(f"two networks are called '{twice}'", path=f"architecture {self.name}")
        for i, name in enumerate(names):
            x, y = self.total_mesh(i)
            if x * y >= MAX_COUNT:
                raise SpecError(f"{x} x {y} instances, allowed are less than 2^53", path=f"level {name}")
        for i, level in enumerate(self.storage):
            if level.power_gated_at and level.power_gated_at not in names[: i + 1]:
                raise SpecError(
                    f"power_gated_at is '{level.power_gated_at}', the level or one outside is expected",
                    path=f"storage {level.name}",
                    hint=near(level.power_gated_at, names[: i + 1]),
                )
        for i, level in enumerate(self.storage):
            x, y = self.total_mesh(i)
            if x * y % level.cluster_size:
                raise SpecError(
                    f"{x * y} instances are no multiple of cluster_size {level.cluster_size}",
                    path=f"storage {level.name}",
                )

    def total_mesh(self, index: int) -> tuple[int, int]:
        """(x, y) of all instances of `storage[index]`; `index == len(storage)` is compute."""
        meshes = [level.mesh for level in self.storage] + [self.compute.mesh]
        x = y = 1
        for mesh in meshes[: index + 1]:
            x, y = x * mesh[0], y * mesh[1]
        return x, y
