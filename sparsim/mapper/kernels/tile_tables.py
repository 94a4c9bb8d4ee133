"""Tables of the sparse statistics of tiles, computed with the functions of the model."""

import math

from sparsim.model import arrays as k
from sparsim.model.kernels.jit import entry
from sparsim.model.kernels.tile_formats import tile_statistics

AVERAGE, RHO, RATIO, WORDS, BITS, UNITS = 0, 1, 2, 3, 4, 5  # fields; after them metadata, payload by rank


@entry
def tabulate_tiles(arch, layer, density, policy, table, nest, sparse, s, v, words, fiber, below, out):
    """Entry: out (n, 5 + 2 K) := statistics of the tiles of v with `words` (n,) at level s, the only pair
    that `nest` keeps; fibers (n, K) and sub-tiles (n, K + 1) of the ranks are given. AVERAGE: share of the
    instances in use, nan where the model refuses the tile.
    """
    ranks = fiber.shape[1]
    for i in range(words.shape[0]):
        nest.tile[s, v] = words[i]
        for r in range(ranks):
            nest.fiber[s, v, r], nest.sub[s, v, r] = fiber[i, r], below[i, r]
        nest.sub[s, v, ranks] = below[i, ranks]
        status = tile_statistics(arch, layer, density, policy, table, nest, sparse)
        out[i, AVERAGE], out[i, RHO], out[i, RATIO] = (
            sparse.avg[s + 1, v],
            sparse.rho[s, v],
            sparse.ratio[s, v],
        )
        if status != k.OK:
            out[i, AVERAGE] = math.nan
        out[i, WORDS], bits = sparse.capacity[s, v], 0.0
        for r in range(policy.format[s, v, k.N_RANKS] if policy.format[s, v, k.HAS_FORMAT] else 0):
            bits += sparse.capacity_units[s, v, r, k.METADATA] * policy.rank[s, v, r, k.RANK_METADATA_BITS]
            bits += sparse.capacity_units[s, v, r, k.PAYLOAD] * policy.rank[s, v, r, k.RANK_PAYLOAD_BITS]
            for u in range(2):
                out[i, UNITS + 2 * r + u] = sparse.units[s, v, r, u]
        out[i, BITS] = math.ceil(bits)
