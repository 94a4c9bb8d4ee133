"""Which part of a leader tensor decides that an access is ineffectual (model 10.2, 20.4)."""

import numpy as np

from sparsim.model.arrays import (
    BAD_COUNT,
    BAD_TARGET_NOT_KEPT,
    BLOCK,
    BOUND,
    CHILD,
    DIM,
    KIND,
    LEAD_CHILD,
    LEAD_LEVEL,
    LEAD_LOOP,
    LEAD_SCALAR,
    LEVEL,
    MAX_COUNT,
    OK,
    OPT_LEADER0,
    OPT_LEADER1,
    OPT_TARGET,
    SAF_KIND,
    SAF_LEVEL,
    SAF_OPTION0,
    SAF_OPTION1,
    SPATIAL_SKIPPING,
    TEMPORAL,
)
from sparsim.model.kernels.jit import inlined, kernel
from sparsim.model.kernels.loop_nest import box_words


@kernel
def find_leaders(arch, layer, policy, nest):
    """Fill lead, lead_words, lead_box, lead_loop and base_box of every option of gating and skipping SAFs."""
    for f in range(policy.saf.shape[0]):
        saf = policy.saf[f]
        for g in range(saf[SAF_OPTION0], saf[SAF_OPTION1]):
            target = policy.option[g, OPT_TARGET]
            level = saf[SAF_LEVEL]
            while level < nest.tile.shape[0] and not nest.kept[level, target]:
                level += 1
            if level == nest.tile.shape[0]:
                nest.info[0], nest.info[1] = saf[SAF_LEVEL], target
                return BAD_TARGET_NOT_KEPT
            nest.lead[g, LEAD_LEVEL] = level
            nest.lead[g, LEAD_CHILD] = nest.kin[level, target, CHILD]
            if saf[SAF_KIND] != SPATIAL_SKIPPING:
                status = _leader_boxes(arch, layer, policy, nest, g)
                if status != OK:
                    return status
    return OK


@kernel
def _relevant(layer, v, dim):
    return layer.relevant[v] >> dim & 1 == 1


@inlined
def _target_loop(layer, nest, target, level, child):
    """(loop, scalar): the loop whose iterations the decision is about (model 10.2, step 2)."""
    last = -1
    for m in range(nest.loop.shape[0]):
        loop = nest.loop[m]
        if loop[LEVEL] > level:
            break
        if loop[LEVEL] <= child:
            continue
        last = m
        telling = loop[BOUND] > 1 and _relevant(layer, target, loop[DIM])
        if child >= 0:
            if telling:
                return m, False
            continue
        following = m + 1
        same_level = following < nest.loop.shape[0] and nest.loop[following, LEVEL] == loop[LEVEL]
        if same_level and nest.loop[following, KIND] != TEMPORAL:
            if telling:
                return m, False
        else:
            return m, loop[KIND] == TEMPORAL
    return last, False


@inlined
def _leader_boxes(arch, layer, policy, nest, g):
    target, level, child = policy.option[g, OPT_TARGET], nest.lead[g, LEAD_LEVEL], nest.lead[g, LEAD_CHILD]
    loop_t, scalar = _target_loop(layer, nest, target, level, child)
    nest.lead[g, LEAD_LOOP], nest.lead[g, LEAD_SCALAR] = loop_t, int(scalar)
    base, common = nest.base_box[g], nest.ext
    base[:] = 1
    if not scalar:
        for m in range(loop_t + 1):
            base[nest.loop[m, DIM]] *= nest.loop[m, BOUND]
    for d in range(base.shape[0]):
        common[d] = base[d]
    nest.lead_loop[g] = 0
    # nest.order: the loops that may run in step for target and leader
    nest.order[0] = loop_t
    n = 1
    spatial = nest.loop[loop_t, KIND] != TEMPORAL
    located = not spatial
    for m in range(loop_t + 1, nest.loop.shape[0]):
        loop = nest.loop[m]
        if loop[LEVEL] > level:
            break
        if loop[BOUND] == 1:
            continue
        mine = _relevant(layer, target, loop[DIM])
        if loop[KIND] != TEMPORAL or (not located and child >= 0 and not mine):
            common[loop[DIM]] *= loop[BOUND]
            nest.lead_loop[g, m] = 1
            nest.order[n] = m
            n += 1
        if spatial and loop[KIND] == TEMPORAL and (child < 0 or mine):
            located = True
    if scalar:
        n = 0
    for q in range(policy.option[g, OPT_LEADER0], policy.option[g, OPT_LEADER1]):
        i = q - policy.option[g, OPT_LEADER0]
        leader = policy.leader[q]
        for d in range(common.shape[0]):
            nest.lead_box[g, i, d] = common[d]
        nest.lead_words[g, i] = 0
        block = arch.width[level, BLOCK]
        if _narrow(layer, nest, g, i, target, leader, loop_t, n, spatial, block):
            words = _words(layer, leader, nest.lead_box[g, i])
            if words > MAX_COUNT:
                nest.info[0], nest.info[1], nest.info[2] = level, leader, words
                return BAD_COUNT
            nest.lead_words[g, i] = int(words)
    return OK


@inlined
def _words(layer, v, ext):
    """The words of a box as a double: a box that was widened may have more than an integer holds."""
    words = 1.0
    for o in range(layer.side.shape[1] - 1):
        side = 1.0
        for i in range(layer.side[v, o], layer.side[v, o + 1]):
            side += float(layer.term[i, 1]) * float(ext[layer.term[i, 0]] - 1)
        words *= side
    return words


@inlined
def _extent(x):
    """Rounded down, and no more than an integer holds."""
    return int(min(x, MAX_COUNT))


@inlined
def _narrow(layer, nest, g, i, target, leader, loop_t, n, spatial, block):
    """Shrink the leader's box to what one step of the shared loops meets, then widen it until the target's
    slice fills one block. False: this leader has no effect."""
    box = nest.lead_box[g, i]
    together = 1.0
    shared = False
    for j in range(n):
        loop = nest.loop[nest.order[j]]
        if spatial and shared and _relevant(layer, leader, loop[DIM]):
            return False
        if _relevant(layer, target, loop[DIM]) and _relevant(layer, leader, loop[DIM]):
            together *= loop[BOUND]
            shared = True
    slices = float(np.ceil(block / (box_words(layer, target, nest.base_box[g]) / together)))
    for dim in range(layer.bound.shape[0]):
        factor = 1
        for j in range(n):
            loop = nest.loop[nest.order[j]]
            if loop[DIM] == dim and _relevant(layer, target, dim) and _relevant(layer, leader, dim):
                factor *= loop[BOUND]
        if _shares(layer, nest, target, leader, dim, n):
            box[dim] = _extent(np.ceil(box[dim] / (factor / slices)))
            slices = slices / factor
    if slices > 1:
        dim = nest.loop[loop_t, DIM]
        box[dim] = _extent(box[dim] * slices)
    return True


@inlined
def _shares(layer, nest, target, leader, dim, n):
    """Whether a loop over `dim` that concerns both tensors is among the first n of nest.order."""
    if not (_relevant(layer, target, dim) and _relevant(layer, leader, dim)):
        return False
    for j in range(n):
        if nest.loop[nest.order[j], DIM] == dim:
            return True
    return False
