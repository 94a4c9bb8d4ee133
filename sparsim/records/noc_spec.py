"""The record of a network on chip: clusters of PEs, router networks between them, wires.

A chip is an array of `clusters` (rows, columns). A cluster has `pe_rows` x `pe_columns` PEs, a global buffer
(GLB) cluster and a router cluster. Each of three networks (iact, weight, psum) has some routers per router
cluster; router i has one GLB port (a bank, or the off-chip port of the weights), serves PEs of its own
cluster, and is linked with router i of the neighbouring clusters where the network has a mesh. One cluster
with one router per network is a flat bus. Sources: Chen et al., JETCAS 9(2) 2019, section III (hierarchical
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
MAX_WIRES = 2**20  # limit on links between the routers of one kind and PEs, which form a graph in memory
Axis = Literal["cluster_rows", "cluster_columns", "pe_rows", "pe_columns"]


class Wiring(Record, frozen=True, kw_only=True):
    """Distances on a chip, and energies per bit.

    Parameters
    ----------
    pe_pitch_um : float
        Side of a square PE in um.
    glb_pitch_um : float
        Width in um that the GLB and router clusters take beside the PEs of their cluster.
    wire_pj_per_bit_mm : float
        Energy of wires in pJ per bit and mm.
    router_pj_per_bit : float
        Energy of a router in pJ per bit.
    source : str
        Where the numbers come from.

    Raises
    ------
    SpecError
        If a number is out of range.
    """

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

    The psum network accumulates up a PE column, then from a cluster to the one below (to the south).

    Parameters
    ----------
    role : str
        What the routers carry: "iact", "weight" or "psum".
    routers_per_cluster : int
        Routers in each router cluster.
    port_bits : int
        Bits that a port moves per cycle.
    raw_words : int
        Plain words that a port moves per cycle.
    compressed_words : int, default None
        Words with their counts that a port moves per cycle; None stands for no such words.
    mesh : str
        Links between clusters: "two-dimensional", "horizontal", "vertical" or "none".
    pe_side : str
        The PEs that a router reaches in its cluster: "all", or those of the "row" or "column" with the number
        of the router.

    Raises
    ------
    SpecError
        If a number is out of range, or if partial sums have a mesh or side that they cannot use.
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
            raise SpecError(f"mesh must be vertical or none for partial sums, got {self.mesh}", path=where)
        if self.role == "psum" and self.pe_side == "row":
            raise SpecError("pe_side must be column or all for partial sums, got row", path=where)

    def words_per_port(self, compressed: bool) -> int:
        """Return the words that a port moves per cycle.

        Parameters
        ----------
        compressed : bool
            Whether the words have counts of zeros.

        Returns
        -------
        int

        Raises
        ------
        SpecError
            If the network has no compressed words.
        """
        if not compressed:
            return self.raw_words
        if self.compressed_words is None:
            raise SpecError("no compressed words on this network", path=f"noc network {self.role}")
        return self.compressed_words


class Noc(Record, frozen=True, kw_only=True):
    """The network on chip of an accelerator: clusters of PEs, and the routers between them.

    Parameters
    ----------
    name : str, default "noc"
        Name for messages.
    clusters : tuple of two int
        Clusters (rows, columns).
    pe_rows : int
        Rows of PEs in a cluster.
    pe_columns : int
        Columns of PEs in a cluster.
    networks : tuple of RouterNetwork
        The networks, at most one for each kind of word.
    wiring : Wiring
        Distances and energies.
    source : str, default ""
        Where the numbers come from; for the reader only.

    Raises
    ------
    SpecError
        If a number is out of range, if two networks carry the same words, or if the routers of a network do
        not match the rows or columns that they serve.
    """

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
                    f"PEs times routers per cluster must be at most {MAX_WIRES}, got "
                    f"{self.pes} times {network.routers_per_cluster}",
                    path=here,
                )
            lines = {"row": self.pe_rows, "column": self.pe_columns}.get(network.pe_side)
            if lines is not None and network.routers_per_cluster != lines:
                raise SpecError(
                    f"a cluster must have one router for each of its {lines} PE {network.pe_side}s,"
                    f" got {network.routers_per_cluster}",
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
        """Number of PEs."""
        return math.prod(self.axes.values())

    def network(self, role: str) -> RouterNetwork:
        """Return the network of a role.

        Parameters
        ----------
        role : str
            "iact", "weight" or "psum".

        Returns
        -------
        RouterNetwork

        Raises
        ------
        SpecError
            If there is no such network.
        """
        for network in self.networks:
            if network.role == role:
                return network
        known = [network.role for network in self.networks]
        raise SpecError(
            f"the network for '{role}' is missing", path=f"noc {self.name}", hint=near(role, known)
        )

    def ports(self, role: str) -> int:
        """Return the number of source ports of the busiest router, which has as many destination ports.

        Parameters
        ----------
        role : str
            "iact", "weight" or "psum".

        Returns
        -------
        int
            Links to other clusters, and GLB in and PEs out. Partial sums have the GLB and the PEs on both
            sides, and links one way only.

        Raises
        ------
        SpecError
            If there is no such network.
        """
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
    """A dim that is spread over instances along one axis.

    Parameters
    ----------
    dim : str
        Name of the dim.
    bound : int
        Number of instances.
    axis : str
        "cluster_rows", "cluster_columns", "pe_rows" or "pe_columns".

    Raises
    ------
    SpecError
        If the bound is out of range.
    """

    dim: str
    bound: int
    axis: Axis

    def __post_init__(self) -> None:
        _in_range(f"spatial loop over {self.dim}", "bound", self.bound)


def _in_range(where: str, field: str, value: int, most: int | None = None) -> None:
    if most is not None and not 1 <= value <= most:
        raise SpecError(f"{field} must be between 1 and {most}, got {value}", path=where)
    check_whole(where, field, value, 1, MAX_INT)
