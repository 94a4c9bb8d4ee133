"""The loop nest of one mapping: loops, boxes, tiles, spatial expansion (model 5.1, 7.1, 3.2)."""

from sparsim.model import arrays as k
from sparsim.model.kernels.fill import fill
from sparsim.model.kernels.imperfect_factors import count_steps
from sparsim.model.kernels.jit import kernel


@kernel
def box_words(layer, v, ext):
    """Words of dataspace `v` in a box of extents `ext`: product over coordinates of 1 + sum |c| (e - 1)."""
    words = 1
    for o in range(layer.side.shape[1] - 1):
        side = 1
        for i in range(layer.side[v, o], layer.side[v, o + 1]):
            side += layer.term[i, k.TERM_SIZE] * (ext[layer.term[i, k.TERM_DIM]] - 1)
        words *= side
    return words


@kernel
def build_nest(arch, layer, factor, order, split, flags, nest):
    """Fill loop, real, box, tile, space, kept, kin and ops from one row of a MappingPack."""
    loops, real, box, space, tile, ext = nest.loop, nest.real, nest.box, nest.space, nest.tile, nest.ext
    relevant, plain, tiling = layer.relevant, layer.plain, arch.tiling
    whole, room = layer.bound, nest.key.shape[0]
    n_data, n_dims = tile.shape[1], layer.bound.shape[0]
    fill(ext, 1)
    for h in range(space.shape[0]):
        space[h, k.X], space[h, k.Y] = 1, 1
    for v in range(n_data):
        box[0, v] = 1
    steps, n_real, m = 1, 0, 0
    for t in range(tiling.shape[0]):
        level, spatial, seen, children = tiling[t, k.TILING_LEVEL], tiling[t, k.IS_SPATIAL] == 1, 0, 1
        for i in range(n_dims):
            dim = order[t, i]
            if dim < 0 or dim >= n_dims or seen >> dim & 1:
                return k.BAD_ORDER
            seen |= 1 << dim
            bound = factor[t, dim]
            if bound < 1:
                return k.BAD_FACTORS
            kind = k.TEMPORAL
            if spatial:
                kind = k.SPATIAL_X if i < split[t] else k.SPATIAL_Y
            loops[m, k.DIM], loops[m, k.BOUND], loops[m, k.KIND] = dim, bound, kind
            loops[m, k.LEVEL], loops[m, k.STRIDE] = level, ext[dim]
            for v in range(n_data):
                box[m + 1, v] = box[m, v]
            if bound > 1:
                if float(ext[dim]) * float(bound) > float(whole[dim]):
                    return k.BAD_FACTORS
                real[n_real] = m
                n_real += 1
                ext[dim] *= bound
                for v in range(n_data):
                    if relevant[v] >> dim & 1:
                        box[m + 1, v] = box[m, v] * bound if plain[v] else box_words(layer, v, ext)
                if kind == k.TEMPORAL:
                    steps *= bound
                else:
                    children *= bound
                    if children > room:
                        nest.info[0], nest.info[2] = level, children
                        return k.BAD_CHILDREN
                    for h in range(level + 1):  # all loops inside `level`; hardware level h is storage h - 1
                        space[h, kind - k.SPATIAL_X] *= bound
            m += 1
        if not spatial:
            for v in range(n_data):
                tile[level, v] = box[m, v]
    for dim in range(n_dims):
        if ext[dim] != whole[dim]:
            return k.BAD_FACTORS
    nest.ops[k.N_REAL] = n_real
    nest.ops[k.STEPS] = steps
    nest.ops[k.UNITS] = nest.space[0, k.X] * nest.space[0, k.Y]
    nest.ops[k.OPS] = steps * nest.ops[k.UNITS]
    if layer.cut[0]:
        count_steps(layer, nest)
    return _relate(flags, nest)


@kernel
def _relate(flags, nest):
    kept, kin = nest.kept, nest.kin
    for v in range(kept.shape[1]):
        inside = -1
        for s in range(kept.shape[0]):
            keep = flags[s, k.KEEP] >> v & 1
            kept[s, v] = keep
            kin[s, v, k.CHILD] = inside
            kin[s, v, k.PARENT] = -1
            if keep:
                if inside >= 0:
                    kin[inside, v, k.PARENT] = s
                inside = s
        if inside < 0:
            nest.info[1] = v
            return k.BAD_KEPT_NOWHERE
    return k.OK


@kernel
def check_instances(arch, nest):
    """Return whether the mapping uses no more instances than there are, along each axis (model 12.4,
    13.2).
    """
    space, mesh = nest.space, arch.mesh
    for h in range(space.shape[0]):
        x, y = space[h, k.X], space[h, k.Y]
        if x > mesh[h, k.X] or y > mesh[h, k.Y]:
            nest.info[0], nest.info[1], nest.info[2], nest.info[3] = h - 1, x, y, h
            return k.BAD_INSTANCES
    return k.OK
