"""PointAcc, of which much is unpublished: closed forms of its three units, whose formulas are assumptions."""

from sparsim.machines.pointacc.mapping_unit import (
    kernel_map_cycles,
    neighbour_cycles,
    sampling_cycles,
    sort_cycles,
)
from sparsim.machines.pointacc.matrix_unit import matrix_cycles
from sparsim.machines.pointacc.memory_unit import fetched_bytes, fetched_words, gathered_bytes

__all__ = [
    "fetched_bytes", "fetched_words", "gathered_bytes", "kernel_map_cycles", "matrix_cycles",
    "neighbour_cycles", "sampling_cycles", "sort_cycles",
]  # fmt: skip
