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
        raise SpecError(f"mesh must be at least 1 in each direction, got {mesh[0]} x {mesh[1]}", path=where)


Direction = Literal["read", "update", "both"]  # the words that a network carries


class Transfer(Record, frozen=True, kw_only=True):
    """Energy of a word that enters a `NamedNetwork` of kind "multicast".

    Parameters
    ----------
    dataspace : str, optional
        The dataspace that the energy holds for; None stands for every dataspace.
    multicast : int, optional
        The number of receivers that the energy holds for; None stands for every number.
    energy_pj : float
        Energy of one word in pJ.
    """

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

    A "multicast" costs by the number of receivers of a word: words that none of the `transfers` describes
    cost nothing. A "mesh" works like the automatic network. A "reduction_tree" carries updates only, and adds
    results on their way. The fields after `latency_cycles` belong to one or two of the kinds.

    Parameters
    ----------
    name : str
        Name of the network, unique in its architecture.
    kind : str, default "multicast"
        What the network does: "multicast", "mesh" or "reduction_tree".
    word_bits : int, default 16
        Bits of a word.
    latency_cycles : int, default 0
        Cycles that the network adds to those of a layer, for each direction that it serves.
    action : str, default ""
        Name of the action in an ERT whose entries gave the `transfers` ("multicast").
    argument : str, default ""
        Name of the argument of this action that counts the receivers ("multicast").
    transfers : tuple of Transfer, default ()
        Energies per word by dataspace and number of receivers ("multicast").
    type : str, default ""
        Like `Network.type` ("mesh").
    router_energy_pj : float, optional
        Energy of a word in a router in pJ ("mesh").
    wire_energy_pj_per_bit_mm : float, optional
        Energy of wires in pJ per bit and mm ("mesh", "reduction_tree").
    energy_per_hop_pj : float, optional
        Energy of a word per hop in pJ ("mesh").
    energy_per_ingress_pj : float, optional
        Energy of a word that enters in pJ ("mesh").
    tile_width_um : float, optional
        Length of a hop in um ("mesh").
    adder_energy_pj : float, optional
        Energy per addition in pJ ("reduction_tree").

    Raises
    ------
    SpecError
        If the kind is unknown, if a field of another kind is given, or if a number is out of range.
    """

    name: str
    kind: Literal["multicast", "mesh", "reduction_tree"] = "multicast"
    word_bits: int = 16
    latency_cycles: int = 0
    action: str = ""
    argument: str = ""
    transfers: tuple[Transfer, ...] = ()
    type: str = ""
    router_energy_pj: float | None = None
    wire_energy_pj_per_bit_mm: float | None = None
    energy_per_hop_pj: float | None = None
    energy_per_ingress_pj: float | None = None
    tile_width_um: float | None = None
    adder_energy_pj: float | None = None

    def __post_init__(self) -> None:
        where = f"network {self.name}"
        if self.kind not in _FIELDS:
            raise SpecError(f"kind must be one of {', '.join(_FIELDS)}, got '{self.kind}'", path=where)
        of_others = {field for fields in _FIELDS.values() for field in fields} - {*_FIELDS[self.kind]}
        for field in sorted(of_others):
            if getattr(self, field) not in (None, "", ()):
                raise SpecError(f"a {self.kind} has no '{field}'", path=where)
        check_whole(where, "word_bits", self.word_bits, 1, MAX_INT)
        check_whole(where, "latency_cycles", self.latency_cycles, 0, MAX_INT)
        for field in (*MESH_FIELDS, "adder_energy_pj"):
            check_real(where, field, getattr(self, field))


class Network(Record, frozen=True, kw_only=True):
    """The network from a storage level to the next level inside it.

    An energy that is None is not given and counts as zero.

    Parameters
    ----------
    type : str, default ""
        "M:N" stands for a network with distributed multicast, in which receivers pass words on to each other
        (model 7.7). Other values change nothing.
    word_bits : int, default None
        Bits of a word; by default those of the outer level.
    router_energy_pj : float, default None
        Energy of a word in a router in pJ.
    wire_energy_pj_per_bit_mm : float, default None
        Energy of wires in pJ per bit and mm.
    energy_per_hop_pj : float, default None
        Energy of a word per hop in pJ.
    energy_per_ingress_pj : float, default None
        Energy of a word that enters the network in pJ.
    tile_width_um : float, default None
        Length of a hop in um; by default it follows from the areas of what lies inside.
    fill_latency_cycles : int, default 0
        Cycles that filling adds to those of a layer.
    drain_latency_cycles : int, default 0
        Cycles that draining adds to those of a layer.
    read : NamedNetwork, default None
        Network that replaces the automatic one for words that move inwards.
    update : NamedNetwork, default None
        Network that replaces the automatic one for words that move outwards; by default `read` serves both
        directions.

    Raises
    ------
    SpecError
        If `read` is a reduction tree or stands beside the type "M:N", or if a number is out of range.

    Notes
    -----
    Words cost hops times energy per hop, and a hop costs its length times the energy of the wires; routers
    and ingresses cost per word (model 15.1 and 15.2).
    """

    type: str = ""
    word_bits: int | None = None
    router_energy_pj: float | None = None
    wire_energy_pj_per_bit_mm: float | None = None
    energy_per_hop_pj: float | None = None
    energy_per_ingress_pj: float | None = None
    tile_width_um: float | None = None
    fill_latency_cycles: int = 0
    drain_latency_cycles: int = 0
    read: NamedNetwork | None = None
    update: NamedNetwork | None = None

    @property
    def named(self) -> tuple[NamedNetwork, ...]:
        """Return the named networks, each once."""
        return tuple(one for one, _ in self.directions if one is not None)

    @property
    def directions(self) -> tuple[tuple[NamedNetwork | None, Direction], ...]:
        """Return the networks and the words that each carries; None is the automatic network."""
        if self.update is None or self.update == self.read:
            return ((self.read, "both"),)
        return (self.read, "read"), (self.update, "update")

    @property
    def distributes(self) -> bool:
        """Return whether receivers pass words on to each other (model 7.7)."""
        return (self.type if self.read is None else self.read.type) == "M:N"

    @property
    def latency_cycles(self) -> int:
        """Return the sum of the cycles of filling and draining."""
        fill = self.fill_latency_cycles if self.read is None else self.read.latency_cycles
        return fill + (self.drain_latency_cycles if self.update is None else self.update.latency_cycles)

    def __post_init__(self) -> None:
        for field in ("read", "update"):
            if not isinstance(getattr(self, field), NamedNetwork | None):
                raise SpecError(f"'{field}' must be a network with a name", path="network")
        for named, direction in self.directions:
            if named is not None and named.kind == "reduction_tree" and direction != "update":
                raise SpecError(
                    f"'{named.name}' is a reduction tree, which carries only updates", path="network"
                )
        if self.read is not None and self.type == "M:N":
            raise SpecError(f"type must not be M:N beside the network '{self.read.name}'", path="network")
        check_whole("network", "word_bits", self.word_bits, 1, MAX_INT)
        for field in ("fill_latency_cycles", "drain_latency_cycles"):
            check_whole("network", field, getattr(self, field), 0, MAX_INT)
        for field in MESH_FIELDS:
            check_real("network", field, getattr(self, field))


class Storage(Record, frozen=True, kw_only=True):
    """A storage level.

    A word is one scalar of a tensor, and an access moves a block of `block_size` words.

    Parameters
    ----------
    name : str
        Name of the level, unique in its architecture.
    technology : str, default "SRAM"
        "SRAM" or "DRAM". It selects the built-in energies, and only a DRAM may be unlimited.
    mesh : tuple of two int, default (1, 1)
        Instances (x, y) of this level below one instance of the next outer level.
    word_bits : int, default 16
        Bits of a word.
    block_size : int, default 1
        Words that one vector access moves.
    cluster_size : int, default 1
        Instances that share one memory array, whose width is `word_bits * block_size * cluster_size`.
    size_words : int, default None
        Words that one instance holds. None stands for an unlimited size, which only a DRAM may have.
    multiple_buffering : float, default 1.0
        Factor by which the size is divided to find the words that a tile may take: 2.0 for double buffering.
    min_utilization : float, default 0.0
        Fraction of the size, from 0 to 1, that a valid mapping has to use at least.
    read_bandwidth : float, default None
        Words that one instance reads per cycle; unlimited by default.
    write_bandwidth : float, default None
        Words that one instance writes per cycle; unlimited by default.
    shared_bandwidth : float, default None
        Words that one instance reads and writes together per cycle; unlimited by default.
    metadata_word_bits : int, default 0
        Bits of a metadata word where the format of a rank does not say otherwise.
    metadata_width_bits : int, default 0
        Bits that one metadata access moves; 0 means that there is no metadata storage.
    metadata_depth : int, default None
        Metadata accesses that the metadata storage of one instance holds. None stands for no given capacity,
        which counts as 0 on a level with a size.
    compression_supported : bool, default False
        Whether the level can compress tensors that it writes.
    decompression_supported : bool, default False
        Whether the level can decompress tensors that it reads.
    reduction_supported : bool, default None
        Whether the level can add partial sums. By default an SRAM can and a DRAM cannot.
    addr_gen_energy_pj : float, default None
        Energy of generating one address in pJ.
    vector_access_energy_pj : float, default None
        Energy of one vector access in pJ. It replaces the level's whole entry in an energy table.
    cluster_area_um2 : float, default None
        Area of one cluster of `cluster_size` instances in um^2.
    power_gated_at : str, default ""
        The level with whose unused instances the leakage of this level is switched off.
    network : Network, default Network()
        The network to the next level inside; by default one that costs nothing.
    memory : str, default ""
        The level further inside in whose memory this level lies; by default it is a memory of its own. Levels
        of one memory share its size, its bandwidth, its area and its leakage, so that tensors may have tiles
        at different places of the loop nest in one memory.

    Raises
    ------
    SpecError
        If a number is out of range, if an SRAM has no size, or if fields contradict each other.

    Examples
    --------
    >>> from sparsim import Storage
    >>> glb = Storage(name="GLB", size_words=65536, block_size=4, multiple_buffering=2.0)
    >>> glb.effective_size_words
    32768
    """

    name: str
    technology: Literal["SRAM", "DRAM"] = "SRAM"
    mesh: tuple[int, int] = (1, 1)
    word_bits: int = 16
    block_size: int = 1
    cluster_size: int = 1
    size_words: int | None = None
    multiple_buffering: float = 1.0
    min_utilization: float = 0.0
    read_bandwidth: float | None = None
    write_bandwidth: float | None = None
    shared_bandwidth: float | None = None
    metadata_word_bits: int = 0
    metadata_width_bits: int = 0
    metadata_depth: int | None = None
    compression_supported: bool = False
    decompression_supported: bool = False
    reduction_supported: bool | None = None
    addr_gen_energy_pj: float | None = None
    vector_access_energy_pj: float | None = None
    cluster_area_um2: float | None = None
    power_gated_at: str = ""
    network: Network = Network()
    memory: str = ""

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
                raise SpecError(f"{field} must be greater than 0, got {value:g}", path=where)
        for field in ("addr_gen_energy_pj", "vector_access_energy_pj", "cluster_area_um2"):
            check_real(where, field, getattr(self, field))
        if not 0.0 <= as_real(where, "min_utilization", self.min_utilization) <= 1.0:
            raise SpecError(
                f"min_utilization must be between 0 and 1, got {self.min_utilization:g}", path=where
            )
        if self.technology == "DRAM" and self.cluster_size != 1:
            raise SpecError(f"cluster_size of a DRAM must be 1, got {self.cluster_size}", path=where)
        if self.technology == "SRAM" and self.size_words is None:
            raise SpecError("the size is missing, and only a DRAM may be unlimited", path=where)
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
        """Words of one instance that a tile may take: `floor(size_words / multiple_buffering)`, or None."""
        return None if self.size_words is None else int(self.size_words / self.multiple_buffering)

    @property
    def metadata_capacity_bits(self) -> int:
        """Bits of one instance: `floor(metadata_depth * metadata_width_bits / multiple_buffering)`."""
        return int((self.metadata_depth or 0) * self.metadata_width_bits / self.multiple_buffering)


class Compute(Record, frozen=True, kw_only=True):
    """The arithmetic units.

    Parameters
    ----------
    name : str
        Name of the units, different from those of all storage levels.
    mesh : tuple of two int, default (1, 1)
        Units (x, y) below one instance of the innermost storage level.
    word_bits : int, default 16
        Bits of an operand.
    energy_pj : float, default None
        Energy of one operation in pJ where the energy table has no entry; by default `(word_bits / 16)**2`
        (model 4.4).
    area_um2 : float, default 0.0
        Area of one unit in um^2.

    Raises
    ------
    SpecError
        If a number is out of range.
    """

    name: str
    mesh: tuple[int, int] = (1, 1)
    word_bits: int = 16
    energy_pj: float | None = None
    area_um2: float = 0.0

    def __post_init__(self) -> None:
        where = f"compute {self.name}"
        _check_mesh(where, self.mesh)
        check_whole(where, "word_bits", self.word_bits, 1, MAX_INT)
        check_real(where, "energy_pj", self.energy_pj)
        check_real(where, "area_um2", self.area_um2)


class Architecture(Record, frozen=True, kw_only=True):
    """The storage levels and the compute units of an accelerator.

    Parameters
    ----------
    name : str, default "accelerator"
        Name for messages and reports.
    storage : tuple of Storage
        The levels from outer to inner; the first one is the backing store.
    compute : Compute
        The arithmetic units.
    source : str, default ""
        Where the numbers come from; for the reader only.

    Raises
    ------
    SpecError
        If there is no storage level, if two levels or two networks have the same name, if a mesh or cluster
        does not fit, if `power_gated_at` names a level further inside, or if levels of one memory differ.

    Examples
    --------
    >>> from sparsim import Architecture, Compute, Storage
    >>> arch = Architecture(
    ...     storage=(
    ...         Storage(name="DRAM", technology="DRAM"),
    ...         Storage(name="spad", size_words=64, mesh=(4, 3)),
    ...     ),
    ...     compute=Compute(name="MAC", mesh=(2, 1)),
    ... )
    >>> arch.total_mesh(2)
    (8, 3)
    """

    name: str = "accelerator"
    storage: tuple[Storage, ...]
    compute: Compute
    source: str = ""

    def __post_init__(self) -> None:
        if not self.storage:
            raise SpecError("at least one storage level is needed", path=f"architecture {self.name}")
        check_number(f"architecture {self.name}", "storage levels", self.storage, MAX_NAMES)
        names = [s.name for s in self.storage] + [self.compute.name]
        twice = repeated(names)
        if twice is not None:
            raise SpecError(f"two levels have the name '{twice}'", path=f"architecture {self.name}")
        twice = repeated([network.name for level in self.storage for network in level.network.named])
        if twice is not None:
            raise SpecError(f"two networks have the name '{twice}'", path=f"architecture {self.name}")
        for i, name in enumerate(names):
            x, y = self.total_mesh(i)
            if x * y >= MAX_COUNT:
                raise SpecError(
                    f"there must be fewer than 2^53 instances, got {x} x {y}", path=f"level {name}"
                )
        for i, level in enumerate(self.storage):
            if level.power_gated_at and level.power_gated_at not in names[: i + 1]:
                raise SpecError(
                    f"power_gated_at must be the level or one outside it, got '{level.power_gated_at}'",
                    path=f"storage {level.name}",
                    hint=near(level.power_gated_at, names[: i + 1]),
                )
        for i, level in enumerate(self.storage):
            x, y = self.total_mesh(i)
            if x * y % level.cluster_size:
                raise SpecError(
                    f"instances must be a multiple of cluster_size {level.cluster_size}, got {x * y}",
                    path=f"storage {level.name}",
                )
        self._check_memories()

    def _check_memories(self) -> None:
        """Refuse levels of one memory that are no neighbours, or whose memories differ."""
        for i, level in enumerate(self.storage):
            if not level.memory:
                continue
            where, inner = f"storage {level.name}", self.storage[i + 1 :][:1]
            if not inner or level.memory != (inner[0].memory or inner[0].name):
                raise SpecError(
                    "memory must name the next level inside, or its memory", path=where,
                    hint=near(level.memory, [one.memory or one.name for one in inner]),
                )  # fmt: skip
            if inner[0].mesh != (1, 1):
                raise SpecError(
                    f"a fan-out to '{inner[0].name}' cannot lie inside of the memory '{level.memory}'",
                    path=where,
                )
            for field in level.__struct_fields__:
                differs = getattr(level, field) != getattr(inner[0], field)
                if differs and field not in ("name", "mesh", "network", "memory"):
                    raise SpecError(
                        f"'{field}' differs from that of '{inner[0].name}' in one memory", path=where
                    )

    def total_mesh(self, index: int) -> tuple[int, int]:
        """Return the mesh of all instances of a level together.

        Parameters
        ----------
        index : int
            Position in `storage`; `len(storage)` stands for the compute units.

        Returns
        -------
        tuple of two int
            Instances (x, y) along both axes, the products of the meshes down to this level.
        """
        meshes = [level.mesh for level in self.storage] + [self.compute.mesh]
        x = y = 1
        for mesh in meshes[: index + 1]:
            x, y = x * mesh[0], y * mesh[1]
        return x, y
