"""Words that compressed operands take in memories and on the network, beyond one for each nonzero.

A column of weights is filled up with a zero to whole words of the weight spad, and a run of zeros that is too
long for its count takes an explicit zero. The ends of columns of weights, and of segments of iacts, travel
with their operand to the address spads (Chen et al., JETCAS 9(2), 2019, section IV).
"""

from typing import Any

import numpy as np

from sparsim.machines.eyeriss.pe.pe_estimate import PEEstimate
from sparsim.machines.eyeriss.pe.random_columns import Reals
from sparsim.records.pe_spec import SparsePE


def pairs_per_nonzero(pe: SparsePE, found: PEEstimate, role: str) -> Reals:
    """Return the values with counts that a nonzero of a compressed operand takes, as numbers or arrays."""
    if role == "weight":
        return _quotient(pe.simd_width * found.accesses.weight_data_writes, found.weights)
    return np.ones_like(found.cycles)


def words_per_nonzero(pe: SparsePE, found: PEEstimate, role: str) -> Reals:
    """Return the same with the addresses, as shares of the bits of a value and its count."""
    writes = found.accesses
    ends, nonzeros, spad = {
        "weight": (writes.weight_address_writes, found.weights, pe.weight_address),
        "iact": (writes.iact_address_writes, writes.iact_data_writes, pe.iact_address),
    }[role]
    share = spad.bits / (pe.value_bits + pe.count_bits)
    return pairs_per_nonzero(pe, found, role) + share * _quotient(ends, nonzeros, 0.0)


def _quotient(part: Any, whole: Any, otherwise: float = 1.0) -> Reals:
    """Return a quotient, or `otherwise` for a tensor without nonzeros."""
    part, whole = np.broadcast_arrays(part, whole)
    return np.divide(part, whole, out=np.full(part.shape, otherwise), where=whole > 0)
