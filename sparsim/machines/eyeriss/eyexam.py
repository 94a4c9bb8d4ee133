"""Eyexam: an analysis of the cycles of a layer in seven steps from the workload to the finished mapping.

Every step adds one restriction of the chip and can only lengthen the layer (Chen et al., JETCAS 9(2), 2019,
section II: shape, dataflow, number of PEs, array, storage, bandwidth, varying access patterns). Work includes
all operands that occupy a MAC; of operands that are stored compressed these are the nonzeros.
"""

import math
from typing import NamedTuple

import numpy as np

from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.conv_dims import conv_dims
from sparsim.machines.eyeriss.cost_arrays import together
from sparsim.machines.eyeriss.layer_cost import ChipEvaluation, even_cycles, tile_of, worked_share
from sparsim.machines.eyeriss.row_stationary_spreads import spreads
from sparsim.records.layer_counts import macs

STEPS = (
    "layer shape",
    "dataflow",
    "number of PEs",
    "array dimensions",
    "storage",
    "bandwidth",
    "access patterns",
)


class Bound(NamedTuple):
    """One step of `eyexam`: no mapping under the restrictions so far is faster.

    Attributes
    ----------
    step : str
        What restricts the layer in this step.
    cycles : float
        Cycles that the layer takes at least.
    macs_per_cycle : float
        MACs per cycle, those with zeros included, so that chips that skip zeros may exceed their number of
        MACs.
    """

    step: str
    cycles: float
    macs_per_cycle: float


def eyexam(chip: Chip, found: ChipEvaluation) -> tuple[Bound, ...]:
    """Explain the cycles of an evaluated layer by seven bounds.

    Parameters
    ----------
    chip : Chip
        The chip.
    found : ChipEvaluation
        The evaluated layer.

    Returns
    -------
    tuple of Bound
        The bounds, from the shape of the layer to the finished mapping; each is at least as large as the one
        before.

    Notes
    -----
    The steps are those of Eyexam (Chen et al., JETCAS 9(2), 2019, section II): shape, dataflow, number of
    PEs, array, storage, bandwidth, and varying access patterns.
    """
    layer = found.stored
    dims, pe = conv_dims(layer), chip.spec.pe
    total = macs(layer)
    work = total * math.prod(worked_share(chip, layer, role) for role in ("iact", "weight"))
    allowed = {d for axis in chip.spec.spread.values() for d in axis}
    lanes = min(pe.simd_width, dims.bounds.get("M", 1))
    spread = math.prod(n for d, n in dims.bounds.items() if d in allowed)
    pes = chip.spec.noc.pes
    even = math.ceil(spread / (pes * lanes)) / spread
    best = spreads(dims, chip.spec.noc.axes, chip.spec.spread)
    left = -(-np.array([dims.bounds[d] for d in best.dims]) // best.total())
    own = [[-(-dims.bounds[d] // found.spread[d]) for d in best.dims]]  # may have more dims on an axis
    left = np.concatenate([left, own]).astype(np.float64)
    filters = best.dims.index("M") if "M" in best.dims else None
    if filters is not None:
        left[:, filters] = -(-left[:, filters] // lanes)
    array = left.prod(axis=1).min() / math.prod(dims.bounds[d] for d in best.dims)
    steps = [
        1.0,
        work / spread,
        work * even,
        work * array,
        even_cycles(chip, layer, found.spread, tile_of(found.mapping)),
    ]
    moving = max(found.time["weight"], *together(found.time | {"PE": 0.0}).values())
    steps.append(max(steps[-1], moving) + found.time["DRAM"])
    steps.append(float(found.cycles))
    rising = np.maximum.accumulate(np.maximum(steps, 1.0))
    return tuple(Bound(step, float(c), total / float(c)) for step, c in zip(STEPS, rising, strict=True))
