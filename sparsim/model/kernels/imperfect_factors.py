"""Imperfect factors: the last tile of a loop is smaller where the factors cover more than the bound.

The rest of the dense stage uses the covered bounds D'; this module reduces its results to the points below
the bound D that exist (remainders as in Ruby: Horeni et al., ISPASS 2022). For one dim, an iteration of
chosen loops exists if it has a point below D while all other loops are at their first iteration. Where tiles
of neighbouring iterations do not overlap, traffic is proportional to it.
"""

import numpy as np

from sparsim.model import arrays as k
from sparsim.model.kernels.jit import kernel


@kernel
def existing_iterations(layer, nest, dim, level, first, alone):
    """Return the numbers of existing and of all iterations of the chosen loops over `dim`: temporal loops
    from loop `first` outward, spatial ones outside `level`, and spatial ones of levels in the bit mask
    `alone`.
    """
    last = layer.real[dim] - 1  # its index in every loop, as in a number with one digit per loop
    exist, every = 1.0, 1.0
    for i in range(nest.ops[k.N_REAL]):
        m = nest.real[i]
        loop = nest.loop[m]
        if loop[k.DIM] != dim:
            continue
        digit = last // loop[k.STRIDE] % loop[k.BOUND]
        chosen = m >= first
        if loop[k.KIND] != k.TEMPORAL:
            chosen = loop[k.LEVEL] > level or alone >> loop[k.LEVEL] & 1 == 1
        if chosen:
            exist += digit * every
            every *= loop[k.BOUND]
        elif digit > 0:
            exist = every
    return exist, every


@kernel
def count_steps(layer, nest):
    """Fill ops: the points that exist, and the steps of the fullest unit of arithmetic."""
    points, steps = 1.0, 1.0
    for dim in range(layer.bound.shape[0]):
        points *= layer.real[dim]
        steps *= existing_iterations(layer, nest, dim, nest.tile.shape[0], 0, 0)[0]
    nest.ops[k.OPS], nest.ops[k.STEPS] = int(points), int(steps)


@kernel
def _existing_share(layer, nest, v, level, first, alone):
    """Words that exist per covered word: all loops over dims of v count, the chosen ones over others."""
    exist, every = 1.0, 1.0
    for dim in range(layer.bound.shape[0]):
        if layer.relevant[v] >> dim & 1:
            exist *= layer.real[dim]
            every *= layer.bound[dim]
        elif layer.real[dim] < layer.bound[dim]:
            some, of_all = existing_iterations(layer, nest, dim, level, first, alone)
            exist *= some
            every *= of_all
    return exist / every


@kernel
def _first_loop(layer, flags, nest, child, v):
    """Return the innermost temporal loop whose iterations bring a new tile to level `child` (-1:
    arithmetic).
    """
    reuse = child >= 0 and flags[child, k.NO_REUSE] >> v & 1 == 0
    for i in range(nest.ops[k.N_REAL]):
        loop = nest.loop[nest.real[i]]
        if loop[k.LEVEL] > child and loop[k.KIND] == k.TEMPORAL:
            if not reuse or layer.relevant[v] >> loop[k.DIM] & 1:
                return nest.real[i]
    return nest.loop.shape[0]


@kernel
def _rounded(x):
    return np.floor(x + 0.5)


@kernel
def cut_short(layer, flags, nest, v):
    """Reduce traffic and partitions of dataspace v to the words within the bounds, as averages over
    instances.
    """
    flow, bucket, part = nest.flow, nest.bucket, nest.part
    for s in range(part.shape[0]):
        child, alone = nest.kin[s, v, k.CHILD], 0
        for level in range(child + 1, s + 1):
            if flags[level, k.NO_MULTICAST] >> v & 1:
                alone |= 1 << level
        share = _existing_share(layer, nest, v, s, _first_loop(layer, flags, nest, child, v), alone)
        for i in range(nest.n_bucket[s, v]):
            bucket[s, v, i, k.B_ACCESSES] *= share
            bucket[s, v, i, k.B_HOPS] *= share
        flow[s, v, k.CONTENT] = _rounded(flow[s, v, k.CONTENT] * share)
        flow[s, v, k.LINK] *= share
        share = _existing_share(layer, nest, v, s, _first_loop(layer, flags, nest, s, v), 0)
        flow[s, v, k.SHARE] = _rounded(flow[s, v, k.SHARE] * share)
        flow[s, v, k.PEER] = _rounded(flow[s, v, k.PEER] * share)
        share = _existing_share(layer, nest, v, s, nest.loop.shape[0], 0)
        part[s, v] = int(_rounded(part[s, v] * share))
