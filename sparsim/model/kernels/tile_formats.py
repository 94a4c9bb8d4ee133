"""Contents of tiles and costs of their formats: occupancies, format units (model 9.4, 9.5, 13.1)."""

import math

from sparsim.model import arrays as k
from sparsim.model.kernels.jit import kernel
from sparsim.model.kernels.tile_densities import dd_over, dd_times, miss_chance, most_nonzeros, occupancies

_UNTABLED_BLOCK = 64  # words, for which the reference's table has no row
_MOST_LIMIT = 500  # blocks, above every limit of the table


@kernel
def tile_statistics(arch, layer, density, policy, table, nest, sparse):
    """Fill avg, rho, occupancy, units, capacity, capacity_units and ratio for every kept tile."""
    for v in range(nest.tile.shape[1]):
        for s in range(nest.tile.shape[0]):
            sparse.ratio[s, v] = 1.0
            sparse.avg[s + 1, v] = float(nest.space[s + 1, k.X] * nest.space[s + 1, k.Y])
            if nest.kept[s, v]:
                nest.info[0], nest.info[1] = s, v
                n, least = occupancies(
                    density.kind[v], density.density[v], layer.words[v], nest.tile[s, v], table, s, v,
                    sparse.list_k, sparse.list_p, sparse.list_lo,
                )  # fmt: skip
                full = _full_blocks(arch, sparse, s, v, n)
                _expect(density, policy, table, nest, sparse, s, v, n, least)
                _capacity(layer, density, policy, table, nest, sparse, s, v)
                status = _block_ratio(arch, policy, nest, sparse, s, v, full)
                if status != k.OK:
                    return status
    return k.OK


@kernel
def _expect(density, policy, table, nest, sparse, s, v, n, least):
    """Compute expectations over stored tiles; empty ones are not stored below a parent with metadata (model
    9.5).
    """
    held, p = sparse.list_k, sparse.list_p
    points = nest.tile[s, v]
    parent = nest.kin[s, v, k.PARENT]
    if parent >= 0 and policy.format[parent, v, k.HAS_FORMAT] and least == 0 and n > 0:
        empty = p[0]
        sparse.avg[s + 1, v] *= 1.0 - empty
        for i in range(n):
            p[i] = p[i] / (1.0 - empty) if empty < 1.0 else 0.0  # 1 if there are almost no nonzeros
        p[0] = 0.0
    words = 0.0
    for i in range(n):
        words += p[i] * held[i]
    sparse.occupancy[s, v] = words
    sparse.rho[s, v] = words / points
    if not policy.format[s, v, k.HAS_FORMAT]:
        return
    ranks = policy.format[s, v, k.N_RANKS]
    units, unit = sparse.units, sparse.unit
    if table.given[v, k.GIVEN_UNITS]:
        for r in range(units.shape[2]):
            for u in range(2):
                units[s, v, r, u] = table.units[s, v, r, u]
        return
    for r in range(ranks):
        units[s, v, r, k.METADATA], units[s, v, r, k.PAYLOAD] = 0.0, 0.0
    for i in range(n):
        _empty_chances(density, table, nest, sparse, s, v, ranks, held[i], i)
        if p[i] > 0.0:
            _rank_units(policy, nest, s, v, ranks, sparse.sweep, unit)
            for r in range(ranks):
                units[s, v, r, k.METADATA] += p[i] * unit[r, k.METADATA]
                units[s, v, r, k.PAYLOAD] += p[i] * unit[r, k.PAYLOAD]


@kernel
def _empty_chances(density, table, nest, sparse, s, v, ranks, nonzeros, i):
    """sweep[r, 0] := chance that the tile below rank r is empty when this tile holds `nonzeros`.

    For i > 0 the hypergeometric chances continue from those of one nonzero less.
    """
    points, kind = nest.tile[s, v], density.kind[v]
    sweep, sub = sparse.sweep, nest.sub
    if kind == k.FIXED:
        share = nonzeros / points
        for r in range(ranks + 1):
            x = (sub[s, v, r] if r < ranks else points) * share
            sweep[r, 0] = 1.0 - x if x < 1.0 else 0.0
        return
    for r in range(ranks + 1):
        below = sub[s, v, r] if r < ranks else points
        if kind == k.TABULATED:
            sweep[r, 0] = table.p0[table.start[s, v, k.START] + i, r]
            if r == ranks:
                sweep[r, 0] = 1.0 if nonzeros == 0 else 0.0
        elif i == 0:
            sweep[r, 0], sweep[r, 1] = miss_chance(points, below, nonzeros)
        else:
            left = points - below - nonzeros + 1
            hi, lo = sweep[r, 0], sweep[r, 1]
            if left <= 0:
                hi, lo = 0.0, 0.0
            elif hi > 0.0:
                hi, lo = dd_times(hi, lo, float(left))
                hi, lo = dd_over(hi, lo, float(points - nonzeros + 1))
            sweep[r, 0], sweep[r, 1] = hi, lo


@kernel
def _rank_units(policy, nest, s, v, ranks, none, unit):
    """unit[r] := (metadata, payload) units of rank r of one tile (model 9.1, 9.4)."""
    fiber, rank = nest.fiber, policy.rank
    whole_tile_rank = 0 if policy.format[s, v, k.INNER_FIRST] else ranks - 1
    fibers = 1.0
    for r in range(ranks - 1, -1, -1):
        length = fiber[s, v, r]
        unit[r, k.METADATA], unit[r, k.PAYLOAD] = 0.0, 0.0
        if length > 1 or r == whole_tile_rank:
            alive = fibers * (1.0 - none[r + 1, 0])
            filled = length * (1.0 - none[r, 0])
            kind = rank[s, v, r, k.RANK_KIND]
            if kind == k.RANK_UOP:
                unit[r, k.PAYLOAD] = alive * (length + 1)
            elif kind == k.RANK_UB:
                unit[r, k.METADATA] = fibers * length
                unit[r, k.PAYLOAD] = fibers * length
            elif kind == k.RANK_RLE:
                unit[r, k.METADATA] = alive * filled
                unit[r, k.PAYLOAD] = alive * filled
            elif kind == k.RANK_CP:
                unit[r, k.METADATA] = alive * math.ceil(filled)
                unit[r, k.PAYLOAD] = alive * math.ceil(filled)
            elif kind == k.RANK_B:
                unit[r, k.METADATA] = alive * length
                unit[r, k.PAYLOAD] = alive * math.ceil(filled)
        fibers *= length
    for r in range(ranks):
        if unit[r, k.METADATA] != 0.0 or unit[r, k.PAYLOAD] != 0.0:
            unit[r, k.PAYLOAD] = 0.0
            break


@kernel
def _capacity(layer, density, policy, table, nest, sparse, s, v):
    """Most words and format units that the level must hold (model 13.1)."""
    points = nest.tile[s, v]
    form = policy.format[s, v]
    sparse.capacity[s, v] = points
    if not form[k.HAS_FORMAT]:
        return
    if density.kind[v] == k.TABULATED:
        most = table.bounds[s, v, k.MOST]
        last = table.start[s, v, k.STOP] - table.start[s, v, k.START]  # the table's extra row
    else:
        most = most_nonzeros(density.kind[v], density.density[v], layer.words[v], points)
        last = 0
    sparse.capacity[s, v] = most
    if table.given[v, k.GIVEN_UNITS]:
        for r in range(table.fullest.shape[2]):
            for u in range(2):
                sparse.capacity_units[s, v, r, u] = table.fullest[s, v, r, u]
        return
    ranks = form[k.N_RANKS]
    _empty_chances(density, table, nest, sparse, s, v, ranks, most, last)
    _rank_units(policy, nest, s, v, ranks, sparse.sweep, sparse.capacity_units[s, v])


@kernel
def _full_blocks(arch, sparse, s, v, n):
    """Expected block accesses of one tile before empty tiles are dropped (model 14.1)."""
    block = arch.width[s, k.BLOCK]
    blocks = 0.0
    if block > 1:
        for i in range(n):
            if sparse.list_k[i] > 0:
                blocks += ((sparse.list_k[i] + block - 1) // block) * sparse.list_p[i]
    return blocks


@kernel
def _small_tile_limit(block, tenth):
    """Blocks per tile below which partly filled ones matter: the reference's table (model 14.1); -1: none."""
    if block == 2:
        return (251, 125, 84, 63, 51, 42, 36, 32, 28, 1)[tenth]
    if block == 4:
        return (375, 188, 125, 94, 75, 63, 54, 47, 42, 1)[tenth]
    if block == 8:
        return (438, 219, 146, 110, 88, 73, 63, 55, 49, 1)[tenth]
    if block == 16:
        return (469, 235, 157, 118, 94, 79, 67, 59, 52, 1)[tenth]
    if block == 32:
        return (485, 243, 162, 122, 97, 81, 70, 61, 52, 1)[tenth]
    return -1


@kernel
def small_tile_ratio(block, rho, points, full):
    """Vector accesses per full block of a compressed tile (model 14.1); -1 for a block without a table."""
    if rho >= 1.0 or rho <= 0.0:
        return 1.0
    tenth = max(int(math.floor(rho / 0.1)) - 1, 0)
    limit = _small_tile_limit(block, tenth)
    if block == _UNTABLED_BLOCK and points // block >= _MOST_LIMIT:
        return 1.0  # the counting of the release of 2022
    if limit < 0:
        return -1.0
    return full / (points * rho / block) if limit > points // block else 1.0


@kernel
def _block_ratio(arch, policy, nest, sparse, s, v, full):
    """Fill ratio of a tile, which is 1 for all but small compressed ones."""
    block = arch.width[s, k.BLOCK]
    if policy.format[s, v, k.IS_COMPRESSED] and block != 1:
        sparse.ratio[s, v] = small_tile_ratio(block, sparse.rho[s, v], nest.tile[s, v], full)
        if sparse.ratio[s, v] < 0.0:
            nest.info[2] = block
            return k.BAD_BLOCK_SIZE
    return k.OK
