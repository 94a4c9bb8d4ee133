"""The part of a leader tensor that decides whether an access is ineffectual (model 10.2, 20.4)."""

import numpy as np

from sparsim.model import arrays as k
from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.jit import kernel
from sparsim.model.kernels.loop_nest import box_words


@kernel
def find_leaders(arch, layer, policy, nest):
    """Fill lead, lead_words, lead_box, lead_loop and base_box of every option of gating and skipping SAFs."""
    for f in range(policy.saf.shape[0]):
        saf = policy.saf[f]
        for g in range(saf[k.SAF_OPTION0], saf[k.SAF_OPTION1]):
            target = policy.option[g, k.OPT_TARGET]
            level = saf[k.SAF_LEVEL]
            while level < nest.tile.shape[0] and not nest.kept[level, target]:
                level += 1
            if level == nest.tile.shape[0]:
                nest.info[0], nest.info[1] = saf[k.SAF_LEVEL], target
                return k.BAD_TARGET_NOT_KEPT
            nest.lead[g, k.LEAD_LEVEL] = level
            nest.lead[g, k.LEAD_CHILD] = nest.kin[level, target, k.CHILD]
            if saf[k.SAF_KIND] != k.SPATIAL_SKIPPING:
                status = _leader_boxes(arch, layer, policy, nest, g)
                if status != k.OK:
                    return status
    return k.OK


@kernel
def _relevant(layer, v, dim):
    return layer.relevant[v] >> dim & 1 == 1


@kernel
def _target_loop(layer, nest, target, level, child):
    """Return (loop, scalar): the loop whose iterations are decided on (model 10.2, step 2)."""
    last = -1
    for m in range(nest.loop.shape[0]):
        loop = nest.loop[m]
        if loop[k.LEVEL] > level:
            break
        if loop[k.LEVEL] <= child:
            continue
        last = m
        telling = loop[k.BOUND] > 1 and _relevant(layer, target, loop[k.DIM])
        if child >= 0:
            if telling:
                return m, False
            continue
        following = m + 1
        same_level = following < nest.loop.shape[0] and nest.loop[following, k.LEVEL] == loop[k.LEVEL]
        if same_level and nest.loop[following, k.KIND] != k.TEMPORAL:
            if telling:
                return m, False
        else:
            return m, loop[k.KIND] == k.TEMPORAL
    return last, False


@kernel
def _leader_boxes(arch, layer, policy, nest, g):
    target, level, child = (
        policy.option[g, k.OPT_TARGET],
        nest.lead[g, k.LEAD_LEVEL],
        nest.lead[g, k.LEAD_CHILD],
    )
    loop_t, scalar = _target_loop(layer, nest, target, level, child)
    nest.lead[g, k.LEAD_LOOP], nest.lead[g, k.LEAD_SCALAR] = loop_t, int(scalar)
    base, common = nest.base_box[g], nest.ext
    fill(base, 1)
    if not scalar:
        for m in range(loop_t + 1):
            base[nest.loop[m, k.DIM]] *= nest.loop[m, k.BOUND]
    for d in range(base.shape[0]):
        common[d] = base[d]
    fill(nest.lead_loop[g], 0)
    # nest.order: the loops that target and leader may share
    nest.order[0] = loop_t
    n = 1
    spatial = nest.loop[loop_t, k.KIND] != k.TEMPORAL
    located = not spatial
    for m in range(loop_t + 1, nest.loop.shape[0]):
        loop = nest.loop[m]
        if loop[k.LEVEL] > level:
            break
        if loop[k.BOUND] == 1:
            continue
        mine = _relevant(layer, target, loop[k.DIM])
        if loop[k.KIND] != k.TEMPORAL or (not located and child >= 0 and not mine):
            common[loop[k.DIM]] *= loop[k.BOUND]
            nest.lead_loop[g, m] = 1
            nest.order[n] = m
            n += 1
        if spatial and loop[k.KIND] == k.TEMPORAL and (child < 0 or mine):
            located = True
    if scalar:
        n = 0
    for q in range(policy.option[g, k.OPT_LEADER0], policy.option[g, k.OPT_LEADER1]):
        i = q - policy.option[g, k.OPT_LEADER0]
        leader = policy.leader[q]
        for d in range(common.shape[0]):
            nest.lead_box[g, i, d] = common[d]
        nest.lead_words[g, i] = 0
        block = arch.width[level, k.BLOCK]
        if _narrow(layer, nest, g, i, target, leader, loop_t, n, spatial, block):
            words = _words(layer, leader, nest.lead_box[g, i])
            if words > k.MAX_COUNT:
                nest.info[0], nest.info[1], nest.info[2] = level, leader, words
                return k.BAD_COUNT
            nest.lead_words[g, i] = int(words)
    return k.OK


@kernel
def _words(layer, v, ext):
    """Return the words of a box as a double, because a widened box may have more than an integer holds."""
    words = 1.0
    for o in range(layer.side.shape[1] - 1):
        side = 1.0
        for i in range(layer.side[v, o], layer.side[v, o + 1]):
            side += float(layer.term[i, k.TERM_SIZE]) * float(ext[layer.term[i, k.TERM_DIM]] - 1)
        words *= side
    return words


@kernel
def _extent(x):
    """Round down, to at most the largest integer."""
    return int(min(x, k.MAX_COUNT))


@kernel
def _narrow(layer, nest, g, i, target, leader, loop_t, n, spatial, block):
    """Shrink the leader's box to one step of the shared loops, then widen it until the target's slice fills
    one block. Returns False if this leader has no effect.
    """
    box = nest.lead_box[g, i]
    together = 1.0
    shared = False
    for j in range(n):
        loop = nest.loop[nest.order[j]]
        if spatial and shared and _relevant(layer, leader, loop[k.DIM]):
            return False
        if _relevant(layer, target, loop[k.DIM]) and _relevant(layer, leader, loop[k.DIM]):
            together *= loop[k.BOUND]
            shared = True
    slices = float(np.ceil(block / (box_words(layer, target, nest.base_box[g]) / together)))
    for dim in range(layer.bound.shape[0]):
        factor = 1
        for j in range(n):
            loop = nest.loop[nest.order[j]]
            if loop[k.DIM] == dim and _relevant(layer, target, dim) and _relevant(layer, leader, dim):
                factor *= loop[k.BOUND]
        if _shares(layer, nest, target, leader, dim, n):
            box[dim] = _extent(np.ceil(box[dim] / (factor / slices)))
            slices = slices / factor
    if slices > 1:
        dim = nest.loop[loop_t, k.DIM]
        box[dim] = _extent(box[dim] * slices)
    return True


@kernel
def _shares(layer, nest, target, leader, dim, n):
    """Whether a loop over `dim` that concerns both tensors is among the first n of nest.order."""
    if not (_relevant(layer, target, dim) and _relevant(layer, leader, dim)):
        return False
    for j in range(n):
        if nest.loop[nest.order[j], k.DIM] == dim:
            return True
    return False
