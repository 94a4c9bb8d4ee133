"""The eight layers of Sparseloop's validation on one PE of Eyeriss v2, as in docs/results/sparse-pe.md."""

from pathlib import Path

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from sparsim.estimate.source_data import read_rows
from sparsim.machines.eyeriss import load_chip
from sparsim.machines.eyeriss.pe.closed_forms import effectual_macs
from sparsim.machines.eyeriss.pe.conv_tiling import Conv, Tiling
from sparsim.machines.eyeriss.pe.cycle_simulator import run_array

LAYERS = Path(__file__).parents[1] / "validation" / "sparse_pe_layers.csv"
CHANNELS = 8  # of a tile


def pe_cycle_exact() -> int:
    """Return how many of the layers a PE with one MAC and ideal fetching takes to the cycle, which is the sum
    over channels of nonzero iacts times nonzero weights.

    The masks of the validation cannot be published. Others with as many nonzeros are drawn.
    """
    pe = replace(load_chip("eyeriss_v2").spec.pe, simd_width=1, pipeline_stages=0)
    exact = 0
    for seed, row in enumerate(read_rows(LAYERS)):
        m, c, p, m0 = (int(row[name]) for name in ("m", "c", "p", "m0"))
        rng = np.random.default_rng(seed)
        iacts = _mask((1, c, p, p), int(row["iacts"]), rng)
        weights = _mask((1, m, c, 1, 1), int(row["weights"]), rng)
        tiling = Tiling(M0=m0, C0=CHANNELS, P0=p, Q0=p)
        run = run_array(pe, Conv(M=m, C=c, P=p, Q=p), tiling, iacts, weights, limited=False)
        exact += run.cycles == effectual_macs(iacts, weights)
    return exact


def _mask(shape: tuple[int, ...], nonzeros: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    mask = np.zeros(int(np.prod(shape)), np.bool_)
    mask[rng.choice(mask.size, nonzeros, replace=False)] = True
    return mask.reshape(shape)
