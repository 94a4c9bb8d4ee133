"""The loop nest of one mapping: loops, boxes, tiles, spatial expansion (model 5.1, 7.1, 3.2)."""

from sparsim.model import arrays as k
from sparsim.model.kernels.fill import fill, fill_rows
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
def build_nest(arch, layer, factor, order, split, nest):
    """Fill loop, real, first_real, outside, box, tile, space and ops from one row of a MappingPack."""
    status = list_loops(arch, layer, factor, order, nest)
    if status == k.OK:
        status = _spread(arch, factor, order, split, nest)
    if status != k.OK:
        return status
    for v in range(nest.box.shape[1]):
        grow_boxes(arch, layer, nest, v)
    if layer.cut[0]:
        count_steps(layer, nest)
    return k.OK


@kernel
def list_loops(arch, layer, factor, order, nest):
    """Fill loop, real and first_real, as if all loops were temporal.

    Loops of bound 1 are treated like all others, because branches on bounds are hard to predict.
    """
    loops, real, ext, whole, n_dims = nest.loop, nest.real, nest.ext, layer.bound, layer.bound.shape[0]
    fill(ext, 1)
    steps, n_real, m = 1, 0, 0
    for t in range(arch.tiling.shape[0]):
        level, dims, bounds, seen = arch.tiling[t, k.TILING_LEVEL], order[t], factor[t], 0
        nest.first_real[t] = n_real
        for i in range(n_dims):
            dim = dims[i]
            if dim < 0 or dim >= n_dims or seen >> dim & 1:
                return k.BAD_ORDER
            seen |= 1 << dim
            bound, stride, loop = bounds[dim], ext[dim], loops[m]
            if bound < 1 or float(stride) * float(bound) > float(whole[dim]):
                return k.BAD_FACTORS
            loop[k.DIM], loop[k.BOUND], loop[k.KIND] = dim, bound, k.TEMPORAL
            loop[k.LEVEL], loop[k.STRIDE] = level, stride
            ext[dim] = stride * bound
            real[n_real] = m
            n_real += int(bound > 1)
            steps *= bound
            m += 1
    nest.first_real[arch.tiling.shape[0]] = n_real
    nest.ops[k.N_REAL], nest.ops[k.OPS] = n_real, steps
    for dim in range(n_dims):
        if ext[dim] != whole[dim]:
            return k.BAD_FACTORS
    return k.OK


@kernel
def _spread(arch, factor, order, split, nest):
    """Make the loops of spatial tiling levels spatial; fill space, outside and ops."""
    space, outside, n_dims = nest.space, nest.outside, factor.shape[1]
    fill_rows(space, 1)
    for t in range(arch.tiling.shape[0]):
        if not arch.tiling[t, k.IS_SPATIAL]:
            continue
        x, y = 1, 1
        for i in range(n_dims):
            loop = nest.loop[t * n_dims + i]
            if i < split[t]:
                loop[k.KIND] = k.SPATIAL_X
                x *= loop[k.BOUND]
            else:
                loop[k.KIND] = k.SPATIAL_Y
                y *= loop[k.BOUND]
            if x * y > nest.key.shape[0]:
                nest.info[0], nest.info[2] = arch.tiling[t, k.TILING_LEVEL], x * y
                return k.BAD_CHILDREN
        for h in range(arch.tiling[t, k.TILING_LEVEL] + 1):  # hardware level h is storage h - 1
            space[h, k.X] *= x
            space[h, k.Y] *= y
    steps, outside[nest.ops[k.N_REAL]] = 1, 1.0
    for i in range(nest.ops[k.N_REAL] - 1, -1, -1):
        loop = nest.loop[nest.real[i]]
        bound = loop[k.BOUND] if loop[k.KIND] == k.TEMPORAL else 1
        outside[i] = outside[i + 1] * bound
        steps *= bound
    nest.ops[k.UNITS] = space[0, k.X] * space[0, k.Y]
    nest.ops[k.STEPS] = steps
    return k.OK


@kernel
def grow_boxes(arch, layer, nest, v):
    """box[i, v] := words of v inside the first i real loops; fill tile."""
    _grow(layer, nest, v)
    for s in range(nest.tile.shape[0]):
        nest.tile[s, v] = nest.box[nest.first_real[arch.first_tiling[s + 1]], v]


@kernel
def _grow(layer, nest, v):
    loops, real, box, ext, relevant = nest.loop, nest.real, nest.box, nest.ext, layer.relevant[v]
    words = 1
    box[0, v] = 1
    if layer.plain[v]:
        for i in range(nest.ops[k.N_REAL]):
            loop = loops[real[i]]
            words *= 1 + (relevant >> loop[k.DIM] & 1) * (loop[k.BOUND] - 1)  # a branch costs more
            box[i + 1, v] = words
        return
    fill(ext, 1)
    for i in range(nest.ops[k.N_REAL]):
        loop = loops[real[i]]
        ext[loop[k.DIM]] *= loop[k.BOUND]
        if relevant >> loop[k.DIM] & 1:
            words = box_words(layer, v, ext)
        box[i + 1, v] = words


@kernel
def relate_levels(flags, nest):
    """Fill kept and kin from the flags of a mapping. Returns a status."""
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
