"""What a network on chip is: clusters of PEs, router networks between them, wires.

An array of `clusters` (rows, columns). A cluster has `pe_rows` x `pe_columns` PEs, a global buffer (GLB)
cluster and a router cluster. Each of three networks (iact, weight, psum) has some routers per router
cluster; router i has one GLB port (a bank, or the off-chip port of the weights), serves PEs of its own
cluster, and is linked with router i of the neighbouring clusters where the network has a mesh. One cluster
with one router per network is a flat bus. Facts: Chen et al., JETCAS 9(2) 2019, section III (hierarchical
mesh); JSSC 52(1) 2017 (bus).
"""

import math
from typing import Literal

from sparsim.errors import SpecError, near
from sparsim.records.number_limits import MAX_INT, check_real, check_whole, repeated
from sparsim.records.record import Record

Role = Literal["iact", "weight", "psum"]
Mesh = Literal["two-dimensional", "horizontal", "vertical", "none"]
PeSide = Literal["all", "row", "column"]
MAX_WIRES = 2**20  # between the routers of one kind and PEs: they are a graph in memory
Axis = Literal["cluster_rows", "cluster_columns", "pe_rows", "pe_columns"]


class Wiring(Record, frozen=True, kw_only=True):
    """Distances and energies per bit. `pe_pitch_um` is the side of a square PE, `glb_pitch_um` the width that
    the GLB and router clusters take beside the PEs of their cluster; `source` says where numbers are from."""

    pe_pitch_um: float
    glb_pitch_um: float
    wire_pj_per_bit_mm: float
    router_pj_per_bit: float
    source: str

    def __post_init__(self) -> None:
        for field in ("pe_pitch_um", "glb_pitch_um", "wire_pj_per_bit_mm", "router_pj_per_bit"):
            check_real("noc wiring", field, getattr(self, field))


class RouterNetwork(Record, frozen=True, kw_only=True):
    """The routers that carry one kind of word.

    A port moves `port_bits` per cycle: `raw_words` plain words, or `compressed_words` with their counts
    (None: no such words). `pe_side` is what a router reaches in its cluster: all PEs, or router i the PEs
    of row or column i. The psum network accumulates up a PE column, then from a cluster to the one below
    (to the south).
    """

    role: Role
    routers_per_cluster: int
    port_bits: int
    raw_words: int
    compressed_words: int | None = None
    mesh: Mesh
    pe_side: PeSide

    def __post_init__(self) -> None:
        where = f"noc network {self.role}"
        for field, most in (
            ("routers_per_cluster", None),
            ("port_bits", None),
            ("raw_words", self.port_bits),
        ):
            _in_range(where, field, getattr(self, field), most)
        if self.compressed_words is not None:
            _in_range(where, "compressed_words", self.compressed_words, self.raw_words)
        if self.role == "psum" and self.mesh not in ("vertical", "none"):
            raise SpecError(f"mesh is {self.mesh}, partial sums allow vertical and none", path=where)
        if self.role == "psum" and self.pe_side == "row":
            raise SpecError("pe_side is row, partial sums allow column and all", path=where)

    def words_per_port(self, compressed: bool) -> int:
        """Words per port and cycle."""
        if not compressed:
            return self.raw_words
        if self.compressed_words is None:
            raise SpecError("no compressed words on this network", path=f"noc network {self.role}")
        return self.compressed_words


class Noc(Record, frozen=True, kw_only=True):
    """The network on chip of an accelerator; `clusters` is (rows, columns)."""

    name: str = "noc"
    clusters: tuple[int, int]
    pe_rows: int
    pe_columns: int
    networks: tuple[RouterNetwork, ...]
    wiring: Wiring
    source: str = ""

    def __post_init__(self) -> None:
        where = f"noc {self.name}"
        for axis, size in self.axes.items():
            _in_range(where, axis, size)
        twice = repeated(network.role for network in self.networks)
        if twice is not None:
            raise SpecError(f"two networks carry {twice} words", path=where)
        for network in self.networks:
            here = f"{where}, network {network.role}"
            wires = self.pes * network.routers_per_cluster
            if wires > MAX_WIRES:
                raise SpecError(
                    f"{self.pes} PEs with {network.routers_per_cluster} routers per cluster, allowed is a "
                    f"product of at most {MAX_WIRES}",
                    path=here,
                )
            lines = {"row": self.pe_rows, "column": self.pe_columns}.get(network.pe_side)
            if lines is not None and network.routers_per_cluster != lines:
                raise SpecError(
                    f"{network.routers_per_cluster} routers per cluster for {lines} PE {network.pe_side}s,"
                    " allowed is one each",
                    path=here,
                )

    @property
    def axes(self) -> dict[Axis, int]:
        """Instances along each axis that a spatial loop can use."""
        rows, columns = self.clusters
        return {
            "cluster_rows": rows, "cluster_columns": columns,
            "pe_rows": self.pe_rows, "pe_columns": self.pe_columns,
        }  # fmt: skip

    @property
    def pes(self) -> int:
        return math.prod(self.axes.values())

    def network(self, role: str) -> RouterNetwork:
        """The network of a role; SpecError if there is none."""
        for network in self.networks:
            if network.role == role:
                return network
        known = [network.role for network in self.networks]
        raise SpecError(f"no network for '{role}'", path=f"noc {self.name}", hint=near(role, known))

    def ports(self, role: str) -> int:
        """Source ports of the busiest router, and as many destination ports: its links to other clusters,
        and GLB in and PEs out; psums have the GLB and the PEs on both sides, and links one way only."""
        network = self.network(role)
        rows, columns = self.clusters
        if role == "psum":
            return 2 + (network.mesh == "vertical" and rows > 1)
        links = 0
        if network.mesh in ("two-dimensional", "vertical"):
            links += min(rows - 1, 2)
        if network.mesh in ("two-dimensional", "horizontal"):
            links += min(columns - 1, 2)
        return links + 1


class SpatialLoop(Record, frozen=True, kw_only=True):
    """A dim spread over instances along one axis."""

    dim: str
    bound: int
    axis: Axis

    def __post_init__(self) -> None:
        _in_range(f"spatial loop over {self.dim}", "bound", self.bound)


def _in_range(where: str, field: str, value: int, most: int | None = None) -> None:
    if most is not None and not 1 <= value <= most:
        raise SpecError(f"{field} is {value}, allowed is 1 to {most}", path=where)
    check_whole(where, field, value, 1, MAX_INT)
