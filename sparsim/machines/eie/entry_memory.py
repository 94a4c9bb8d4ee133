"""The memory of entries with another width: more bits per access, but fewer accesses."""

from functools import cache

from sparsim.estimate import estimate
from sparsim.records import Component
from sparsim.records.eie_spec import PUBLISHED_WIDTH_BITS

NODE_NM = 45.0


def relative_access_energy(width_bits: int, kib: float) -> float:
    """Return the energy of a read relative to that of a memory of the same size with the published width
    (CACTI).
    """
    return _read_pj(width_bits, kib) / _read_pj(PUBLISHED_WIDTH_BITS, kib)


@cache
def _read_pj(width_bits: int, kib: float) -> float:
    attributes: dict[str, int | float | str] = {
        "width_bits": width_bits, "depth_words": max(int(kib * 8192) // width_bits, 1),
    }  # fmt: skip
    memory = Component(name="spmat", class_name="sram", node_nm=NODE_NM, attributes=attributes)
    return estimate(memory).actions["read"].energy_pj
