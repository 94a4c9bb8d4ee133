"""The properties of a row-stationary chip besides its architecture: PE, network, clock, dataflow."""

from typing import Literal

from sparsim.errors import SpecError
from sparsim.records.chip_memory_spec import FilterLink, GlbBanks, RunLengthCode
from sparsim.records.noc_spec import Axis, Noc
from sparsim.records.number_limits import check_above_zero, check_real, repeated
from sparsim.records.objective import ObjectiveName
from sparsim.records.pe_spec import SparsePE
from sparsim.records.record import Record

ADDRESS_SPADS = {"iact": "iact_address_spad", "weight": "weight_address_spad"}  # by the operand
ROUTERS = {"iact": "iact_router", "weight": "weight_router", "psum": "psum_router"}
PE_CONTROL = "pe_control"  # registers and control of a PE, of which only the area is given
CHIP_COMPONENTS = (
    *ADDRESS_SPADS.values(),
    *ROUTERS.values(),
    PE_CONTROL,
)  # beside the levels of the architecture

Compression = Literal["cheapest", "any-zero"]
Dataflow = Literal["row-stationary", "row-stationary-plus"]


class ChipSpec(Record, frozen=True, kw_only=True):
    """What an architecture does not say about a row-stationary chip.

    Parameters
    ----------
    name : str
        Name of the chip.
    clock_mhz : float
        Clock in MHz.
    pe : SparsePE
        The PEs.
    noc : Noc
        The network on chip.
    spread : dict of str to tuple of str
        For each axis of the array the dims that may be spread along it.
    clock_pj_per_cycle : float, default 0.0
        Energy in pJ that the clock takes in every cycle.
    control_pj_per_pe_cycle : float, default 0.0
        Energy in pJ that registers and control of a PE take in each cycle in which it works.
    compression : str, default "cheapest"
        When an operand whose zeros the PE skips is stored with counts: "cheapest" chooses for each tensor of
        each layer what is cheaper, "any-zero" compresses both operands as soon as either has a zero.
    overhead_uncertainty : float, default 0.0
        How far the energies of clock and control may be from the true ones, as a fraction; 0 if that is not
        known. Error bars contain it.
    dataflow : str, default "row-stationary-plus"
        The mappings that the chip can run: "row-stationary" for sets of PEs as on Eyeriss v1, whose
        parameters hold for a whole layer, "row-stationary-plus" for every dim along every axis that `spread`
        allows.
    filter_link : FilterLink, default None
        The link through which filters arrive; None stands for filters that are as fast as their network.
    run_lengths : RunLengthCode, default None
        The code of iacts and outputs in the DRAM, for tensors that it makes smaller; None stands for none.
    glb_banks : GlbBanks, default None
        Banks that a layer divides between iacts and psums; None stands for a division that never changes.
    overhead_source : str, default ""
        Where the energies of clock and control come from; for the reader only.
    dram_gb_per_s : float, default None
        Off-chip bandwidth in GB/s; None stands for one that never limits.
    source : str, default ""
        Where the other numbers come from; for the reader only.

    Raises
    ------
    SpecError
        If a number is out of range, or if `spread` lacks an axis or names a dim twice.
    """

    name: str
    clock_mhz: float
    pe: SparsePE
    noc: Noc
    spread: dict[Axis, tuple[str, ...]]
    clock_pj_per_cycle: float = 0.0
    control_pj_per_pe_cycle: float = 0.0
    compression: Compression = "cheapest"
    overhead_uncertainty: float = 0.0
    dataflow: Dataflow = "row-stationary-plus"
    filter_link: FilterLink | None = None
    run_lengths: RunLengthCode | None = None
    glb_banks: GlbBanks | None = None
    overhead_source: str = ""
    dram_gb_per_s: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        where = f"chip {self.name}"
        for field in ("clock_mhz", "dram_gb_per_s"):
            check_above_zero(where, field, getattr(self, field))
        for field in ("clock_pj_per_cycle", "control_pj_per_pe_cycle", "overhead_uncertainty"):
            check_real(where, field, getattr(self, field))
        for axis, dims in self.spread.items():
            twice = repeated(dims)
            if twice is not None:
                raise SpecError(f"dim '{twice}' is listed twice for the axis {axis}", path=where)
        missing = [axis for axis in self.noc.axes if axis not in self.spread]
        if missing:
            raise SpecError(f"spread does not name the axis {missing[0]}", path=where)

    @property
    def objective(self) -> ObjectiveName:
        """What plans minimise unless they are told otherwise: "edp" with the dataflow "row-stationary",
        as the mappings of Eyeriss v1 were optimised, else "delay".
        """
        return "edp" if self.dataflow == "row-stationary" else "delay"
