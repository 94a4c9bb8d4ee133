"""From dense to actual counts: format effect, gating and skipping, operand states (model 10 to 12)."""

import math

import numpy as np

from sparsim.model import arrays as k
from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.jit import kernel
from sparsim.model.kernels.settled_computes import settled
from sparsim.model.kernels.spatial_skipping import average_units
from sparsim.model.kernels.tile_densities import chance_of_none, nonzeros_in_tensor


@kernel
def to_millionths(x):
    """Rounded to six decimals, half away from zero."""
    return math.floor(x * 1e6 + 0.5) / 1e6


@kernel
def choose_entries(arch, layer, density, policy, table, nest, sparse):
    """Fill saf and saf_p: per (level, dataspace) the most probable entry (model 10.1 to 10.4)."""
    for s in range(nest.tile.shape[0]):
        fill(sparse.saf[s], 0)
        fill(sparse.saf_p[s], 0.0)
    for f in range(policy.saf.shape[0]):
        kind = policy.saf[f, k.SAF_KIND]
        if kind == k.SPATIAL_SKIPPING:
            continue
        best, best_p, best_saving = -1, 0.0, -1.0
        for g in range(policy.saf[f, k.SAF_OPTION0], policy.saf[f, k.SAF_OPTION1]):
            p = _ineffectual(layer, density, policy, table, nest, g)
            saving = _saving(arch, policy, nest, sparse, g, p)
            if saving >= best_saving:
                best, best_p, best_saving = g, p, saving
        level, target = nest.lead[best, k.LEAD_LEVEL], policy.option[best, k.OPT_TARGET]
        if best_p > sparse.saf_p[level, target] or sparse.saf[level, target] == 0:
            sparse.saf[level, target] = kind
            sparse.saf_p[level, target] = best_p
            sparse.saf_option[level, target] = best


@kernel
def _ineffectual(layer, density, policy, table, nest, g):
    """Probability that an access of option g's target meets an empty leader tile (model 10.2)."""
    useful = table.useful[g]
    first = policy.option[g, k.OPT_LEADER0]
    for q in range(first, policy.option[g, k.OPT_LEADER1]):
        leader, words = policy.leader[q], nest.lead_words[g, q - first]
        if words == 0:
            continue
        if density.kind[leader] == k.TABULATED:
            empty = table.lead[g, q - first]
            if empty < 0.0:
                continue
        else:
            empty = chance_of_none(density.kind[leader], density.density[leader], layer.words[leader], words)
        useful *= 1.0 - empty
    return 1.0 - useful


@kernel
def _saving(arch, policy, nest, sparse, g, p):
    """What an option saves, in pJ per tile (model 10.3)."""
    level, child = nest.lead[g, k.LEAD_LEVEL], nest.lead[g, k.LEAD_CHILD]
    target = policy.option[g, k.OPT_TARGET]
    where = child if child >= 0 else level
    units = 0.0
    if policy.format[where, target, k.HAS_FORMAT]:
        for r in range(policy.format[where, target, k.N_RANKS]):
            units += sparse.units[where, target, r, k.METADATA] + sparse.units[where, target, r, k.PAYLOAD]
    units *= arch.width[level, k.METADATA_WORD] // arch.width[level, k.WORD_BITS]
    return (
        arch.energy[level, k.DATA_ACTIONS]
        / arch.width[level, k.BLOCK]
        * (sparse.occupancy[level, target] + units)
        * p
    )


@kernel
def format_counts(layer, policy, nest, sparse):
    """Working counts after compression, and format words, per level (model 9.6, 11.1). Returns a status."""
    kept, dense, tile, form = nest.kept, nest.counts, nest.tile, policy.format
    work, words, units, rho = sparse.work, sparse.format, sparse.units, sparse.rho
    for v in range(kept.shape[1]):
        for s in range(kept.shape[0]):
            if not kept[s, v]:
                work[s, v, k.READ], work[s, v, k.FILL], work[s, v, k.UPDATE] = 0.0, 0.0, 0.0
                continue
            for a in range(3):
                count = float(dense[s, v, a])
                if form[s, v, k.HAS_FORMAT]:
                    count -= math.floor(count * (1.0 - rho[s, v]))
                    per_tile = dense[s, v, a] / tile[s, v]
                    for r in range(form[s, v, k.N_RANKS]):
                        for u in range(2):
                            moved = np.ceil(units[s, v, r, u] * per_tile)
                            if not moved <= k.MAX_COUNT:  # also nan
                                nest.info[0], nest.info[1], nest.info[2] = s, v, moved
                                return k.BAD_COUNT
                            words[s, v, a, k.RANDOM, r, u] = int(moved)
                            words[s, v, a, k.GATED, r, u] = 0
                            words[s, v, a, k.SKIPPED, r, u] = 0
                work[s, v, a] = count
    return k.OK


@kernel
def propagate(layer, policy, table, nest, sparse):
    """Apply every entry to its level, the levels inside it and the computes (model 11.2 to 11.4).

    Returns (status, computes, p_a, p_b): the computes that remain, and per operand 0 or the probability that
    its accesses, and so the computes that need them, are left out.
    """
    computes = float(nest.ops[k.OPS])
    left_out_a, left_out_b = 0.0, 0.0
    for v in range(nest.tile.shape[1]):
        frozen = -1
        for s in range(nest.tile.shape[0] - 1, -1, -1):
            kind, p = sparse.saf[s, v], sparse.saf_p[s, v]
            if frozen != s:
                _store(nest, sparse, s, v)
                _split(layer, policy, nest, sparse, s, v, kind, p)
            if kind == 0:
                continue
            inner = s - 1
            while inner >= 0:
                _reduce(policy, nest, sparse, inner, s, v, p)
                if sparse.saf[inner, v] != 0:
                    break
                inner -= 1
            if inner >= 0:
                if sparse.saf[inner, v] != k.SPATIAL_SKIPPING and not table.given[v, k.GIVEN_COUNTS]:
                    if p >= 1.0 or sparse.saf_p[inner, v] < p:
                        nest.info[0], nest.info[1] = inner, v
                        nest.info[2], nest.info[3] = sparse.saf_p[inner, v], p
                        return k.BAD_NESTED_SAF, computes, left_out_a, left_out_b
                    _freeze(layer, policy, nest, sparse, inner, v, p)
                    frozen = inner
            elif not layer.read_write[v]:
                computes -= math.floor(computes * p)
                if v == layer.operand[0]:
                    left_out_a = to_millionths(p)
                else:
                    left_out_b = to_millionths(p)
    return k.OK, computes, left_out_a, left_out_b


@kernel
def _freeze(layer, policy, nest, sparse, s, v, outer_p):
    """Apply an entry at a level below another entry, where its share is conditional on the outer one.

    As in the reference, metadata updates of the level are used in place of its metadata reads (model 11.2).
    """
    _store(nest, sparse, s, v)
    if policy.format[s, v, k.HAS_FORMAT]:
        for r in range(policy.format[s, v, k.N_RANKS]):
            for u in range(2):
                drained = _drained(nest, s, v, sparse.format[s, v, k.READ, k.RANDOM, r, u])
                words = sparse.format[s, v, k.UPDATE, k.RANDOM, r, u]
                sparse.format[s, v, k.READ, k.RANDOM, r, u] = words + drained
    p = 1.0 - (1.0 - sparse.saf_p[s, v]) / (1.0 - outer_p)
    _split(layer, policy, nest, sparse, s, v, sparse.saf[s, v], p)


@kernel
def _reduce(policy, nest, sparse, inner, outer, v, p):
    """Remove accesses at the level `inner` by an entry at `outer`; format words only of rank 0, and only if
    the outer level has exactly one rank.
    """
    for a in range(3):
        sparse.work[inner, v, a] -= math.floor(sparse.work[inner, v, a] * p)
    one_rank = nest.kept[outer, v] and policy.format[outer, v, k.N_RANKS] == 1
    if nest.kept[inner, v] and policy.format[inner, v, k.HAS_FORMAT] and one_rank:
        for a in (k.READ, k.FILL):
            for u in range(2):
                words = sparse.format[inner, v, a, k.RANDOM, 0, u]
                sparse.format[inner, v, a, k.RANDOM, 0, u] = words - int(math.floor(words * p))


@kernel
def _store(nest, sparse, s, v):
    """Set counts to the working values, all of them actual at this stage."""
    counts, work = sparse.counts, sparse.work
    for a in range(3):
        counts[s, v, a, k.RANDOM], counts[s, v, a, k.GATED], counts[s, v, a, k.SKIPPED] = (
            int(work[s, v, a]),
            0,
            0,
        )
    _reductions(nest, sparse, s, v)


@kernel
def _reductions(nest, sparse, s, v):
    """Reduce temporal reductions in proportion to the updates."""
    dense, reductions = nest.counts, 0
    if dense[s, v, k.UPDATE] > 0:
        kept = dense[s, v, k.REDUCE] * float(sparse.counts[s, v, k.UPDATE, k.RANDOM])
        reductions = int(math.ceil(kept / dense[s, v, k.UPDATE]))
    sparse.reductions[s, v] = reductions


@kernel
def _drained(nest, s, v, words):
    """Return how many of `words` read at level s drain to the level outside it, in proportion."""
    drains = nest.counts[s, v, k.DRAIN]
    return int(math.floor(words * (drains / nest.counts[s, v, k.READ]))) if drains > 0 else 0


@kernel
def _split(layer, policy, nest, sparse, s, v, kind, p):
    """Turn part of the reads and updates of this level into gated or skipped ones (model 11.3). Drains are
    transfers of the level outside, so entries of this level leave them.
    """
    if kind == 0 or kind == k.SPATIAL_SKIPPING:
        return
    reads = sparse.counts[s, v, k.READ, k.RANDOM]
    served = reads - _drained(nest, s, v, reads)
    removed = int(math.ceil(served * p)) if layer.read_write[v] else int(math.floor(served * p))
    sparse.counts[s, v, k.READ, kind] = removed
    sparse.counts[s, v, k.READ, k.RANDOM] = reads - removed
    updates = sparse.counts[s, v, k.UPDATE, k.RANDOM]
    removed = int(math.floor(updates * p))
    sparse.counts[s, v, k.UPDATE, kind] = removed
    sparse.counts[s, v, k.UPDATE, k.RANDOM] = updates - removed
    _reductions(nest, sparse, s, v)
    if not policy.format[s, v, k.HAS_FORMAT]:
        return
    child = nest.kin[s, v, k.CHILD]
    ranks = policy.format[child, v, k.N_RANKS] if child >= 0 else policy.format[s, v, k.N_RANKS]
    for r in range(min(ranks, policy.format[s, v, k.N_RANKS])):
        for a in (k.READ, k.UPDATE):
            for u in range(2):
                words = sparse.format[s, v, a, k.RANDOM, r, u]
                drained = _drained(nest, s, v, words) if a == k.READ else 0
                removed = int(math.floor((words - drained) * p))
                sparse.format[s, v, a, kind, r, u] = removed
                sparse.format[s, v, a, k.RANDOM, r, u] = words - removed


@kernel
def take_counted(layer, policy, table, nest, sparse):
    """Replace results of formulas by counts on masks, where all relevant tensors have masks."""
    for v in range(nest.tile.shape[1]):
        if not table.given[v, k.GIVEN_COUNTS]:
            continue
        sparse.avg[0, v] = table.avg[0, v]
        for s in range(nest.tile.shape[0]):
            for a in range(3):
                for o in range(3):
                    sparse.counts[s, v, a, o] = table.counts[s, v, a, o]
                    for r in range(table.format.shape[4]):
                        for u in range(2):
                            sparse.format[s, v, a, o, r, u] = table.format[s, v, a, o, r, u]
            sparse.avg[s + 1, v] = table.avg[s + 1, v]
            sparse.reductions[s, v] = table.counts[s, v, k.REDUCE, k.RANDOM]
    if policy.switch[k.ANY_SPATIAL]:
        average_units(sparse)


@kernel
def count_coding(layer, policy, nest, sparse):
    """Words that pass a decompressor or a compressor (model 11.5)."""
    for v in range(nest.tile.shape[1]):
        for s in range(nest.tile.shape[0]):
            sparse.coded[s, v, k.DECOMPRESSIONS] = 0
            sparse.coded[s, v, k.COMPRESSIONS] = 0
        for s in range(nest.tile.shape[0]):
            parent = nest.kin[s, v, k.PARENT]
            if not nest.kept[s, v] or parent < 0 or policy.format[s, v, k.IS_COMPRESSED]:
                continue
            if policy.format[parent, v, k.IS_COMPRESSED]:
                sparse.coded[s, v, k.DECOMPRESSIONS] += sparse.counts[s, v, k.FILL, k.RANDOM]
                if layer.read_write[v]:
                    sparse.coded[s, v, k.COMPRESSIONS] += sparse.counts[parent, v, k.UPDATE, k.RANDOM]


@kernel
def _point_density(layer, density, table, v):
    """Nonzero fraction of single points, rounded twice as in the reference (model 12.1)."""
    d = density.density[v]
    if density.kind[v] == k.TABULATED:
        d = table.expected[v]
    elif density.kind[v] == k.HYPERGEOMETRIC:
        d = nonzeros_in_tensor(d, layer.words[v]) / layer.words[v]
    return to_millionths(to_millionths(d))


@kernel
def _has_metadata(policy, nest, v):
    """Whether the innermost level that keeps v stores it with metadata."""
    for s in range(nest.tile.shape[0]):
        if nest.kept[s, v]:
            return policy.format[s, v, k.HAS_FORMAT] == 1
    return False


@kernel
def _clamp(x):
    return min(max(x, 0.0), 1.0)


@kernel
def split_computes(layer, density, policy, table, nest, sparse, computes, left_out_a, left_out_b):
    """Fill compute: actual, gated and skipped operations (12)."""
    if table.compute[0] >= 0:
        for o in range(3):
            sparse.compute[o] = table.compute[o]
        return k.OK
    a, b = layer.operand[0], layer.operand[1]
    md_a, md_b = _has_metadata(policy, nest, a), _has_metadata(policy, nest, b)
    d_a = _point_density(layer, density, table, a)
    d_b = _point_density(layer, density, table, b)
    if left_out_b > 0.0 and d_a > 0.0:  # without any nonzero all may be left out, and the quotient is 0 / 0
        d_a = d_a / (1.0 - left_out_b) if left_out_b != 1.0 else math.inf
    if left_out_a > 0.0 and d_b > 0.0:
        d_b = d_b / (1.0 - left_out_a) if left_out_a != 1.0 else math.inf
    for d in (d_a, d_b):
        if not -1e-5 <= d <= 1.00001:
            nest.info[2] = d
            return k.BAD_OPERAND_STATE
    total = float(int(computes))
    n_a, n_b = _clamp(d_a), _clamp(d_b)
    z_a, z_b = _clamp(0.0 if md_a else 1.0 - d_a), _clamp(0.0 if md_b else 1.0 - d_b)
    e_a, e_b = _clamp(1.0 - d_a if md_a else 0.0), _clamp(1.0 - d_b if md_b else 0.0)
    _settle(
        policy, sparse, total, total * (n_a * z_b + z_a * n_b), total * (n_a * e_b + e_a * n_b),
        total * (z_a * z_b), total * (z_a * e_b + e_a * z_b), total * (e_a * e_b),
    )  # fmt: skip
    return k.OK


_settled = kernel(settled)


@kernel
def _settle(policy, sparse, total, zero, absent, both_zero, zero_absent, both_absent):
    sparse.compute[k.RANDOM], sparse.compute[k.GATED], sparse.compute[k.SKIPPED] = _settled(
        policy.switch[k.COMPUTE_GATING], policy.switch[k.COMPUTE_SKIPPING], total, zero, absent, both_zero,
        zero_absent, both_absent,
    )  # fmt: skip
