"""EIE (ISCA 2016): PEs that multiply compressed columns of weights with nonzero activations."""

from sparsim.errors import SpecError
from sparsim.records.machine_spec import MachineSpec
from sparsim.records.number_limits import check_real, check_whole

ENTRY_MEMORY = "spmat_read"  # the component whose energy depends on the width of the memory of entries
PUBLISHED_WIDTH_BITS = 64  # the width of the memory with the published power
WIDEST_BITS = 256  # widest memory that can be estimated


class EieSpec(MachineSpec, frozen=True, kw_only=True, tag="eie"):
    """An array of PEs that holds pruned weights with shared values on chip, as EIE does.

    Row i of the weights belongs to PE i modulo the number of PEs. Each PE stores its part of a column as
    entries of an index into the codebook and the number of zeros before it. Nonzero activations are broadcast
    to a queue in each PE.

    Parameters
    ----------
    name : str
        Name of the machine.
    clock_mhz : float
        Clock in MHz.
    source : str, default ""
        Where the numbers come from; for the reader only.
    pes : int, default 64
        Number of PEs.
    fifo_depth : int, default 8
        Activations that the queue of a PE holds.
    index_bits : int, default 4
        Bits of the number of zeros before an entry. After `2**index_bits - 1` zeros an entry with a zero
        weight is stored.
    weight_bits : int, default 4
        Bits of an index into the codebook, which has `2**weight_bits` values.
    spmat_width_bits : int, default 64
        Width of the memory of entries, a multiple of the bits of an entry. Energies are those of 64 bits.
        With another width the energy of the component "spmat_read" changes as estimates of memories and the
        number of reads do.
    spmat_kib : float, default 128.0
        Size of the memory of entries of a PE in KiB.
    pointer_kib : float, default 32.0
        Size of the memory of pointers of a PE in KiB.
    pointer_bits : int, default 16
        Bits of a pointer to the first entry of a column.
    pipeline_stages : int, default 4
        Stages of the arithmetic, which run empty after each vector.
    pj_per_pe_cycle : dict of str to float
        Energy in pJ that each component of a PE takes in each cycle.
    pj_per_node_cycle : float, default 0.0
        Energy in pJ that a node of the tree which finds nonzero activations takes in each cycle.
    um2_per_pe : dict of str to float, default {}
        Area in um^2 of each component of a PE.
    um2_per_node : float, default 0.0
        Area in um^2 of a node of the tree.

    Raises
    ------
    SpecError
        If a number is out of range, if `pj_per_pe_cycle` is empty, or if the width is not 64 and it lacks
        "spmat_read".
    """

    pes: int = 64
    fifo_depth: int = 8
    index_bits: int = 4
    weight_bits: int = 4
    spmat_width_bits: int = 64
    spmat_kib: float = 128.0
    pointer_kib: float = 32.0
    pointer_bits: int = 16
    pipeline_stages: int = 4
    pj_per_pe_cycle: dict[str, float]
    pj_per_node_cycle: float = 0.0
    um2_per_pe: dict[str, float] = {}
    um2_per_node: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self.where, "pes", self.pes, 1, 2**20)
        check_whole(self.where, "fifo_depth", self.fifo_depth, 1, 2**20)
        for field in ("index_bits", "weight_bits", "pointer_bits", "pipeline_stages"):
            check_whole(self.where, field, getattr(self, field), 1, 32)
        check_whole(self.where, "spmat_width_bits", self.spmat_width_bits, self.entry_bits, WIDEST_BITS)
        if self.spmat_width_bits % self.entry_bits:
            raise SpecError(
                f"spmat_width_bits must be a multiple of the {self.entry_bits} bits of an entry, got "
                f"{self.spmat_width_bits}", path=self.where,
            )  # fmt: skip
        self.check_above_zero("spmat_kib", self.spmat_kib)
        self.check_above_zero("pointer_kib", self.pointer_kib)
        for field in ("pj_per_node_cycle", "um2_per_node"):
            check_real(self.where, field, getattr(self, field))
        for field in ("pj_per_pe_cycle", "um2_per_pe"):
            for component, value in getattr(self, field).items():
                check_real(self.where, f"{field} of {component}", value)
        energies = self.pj_per_pe_cycle
        if not energies:
            raise SpecError("pj_per_pe_cycle must name at least one component", path=self.where)
        if self.spmat_width_bits != PUBLISHED_WIDTH_BITS and ENTRY_MEMORY not in energies:
            raise SpecError(
                f"pj_per_pe_cycle must have '{ENTRY_MEMORY}', which spmat_width_bits {self.spmat_width_bits} "
                f"changes, got {', '.join(energies)}", path=self.where,
            )  # fmt: skip

    @property
    def entry_bits(self) -> int:
        """Bits of an entry: the index into the codebook and the number of zeros."""
        return self.weight_bits + self.index_bits

    @property
    def entries_per_row(self) -> int:
        """Entries that one access to their memory reads."""
        return self.spmat_width_bits // self.entry_bits

    @property
    def longest_gap(self) -> int:
        """Rows of a PE that one entry can stand for: itself and the zeros before it."""
        return 1 << self.index_bits

    @property
    def nodes(self) -> int:
        """Nodes of the tree that finds nonzero activations; each has four children."""
        found, level = 0, self.pes
        while level > 1:
            level = -(-level // 4)
            found += level
        return found
