"""The constants of the lower bounds, which do not depend on mappings, and a bound of a whole mapspace.

`sparsim.mapper.kernels.lower_bounds` has the bound of one candidate. Bounds follow from the rules of the
model, and tests check that no valid mapping is below its bound.
"""

import math
from itertools import product
from typing import NamedTuple

import numpy as np

from sparsim.mapper.indexed_mapspace import Space
from sparsim.mapper.kernels.lower_bounds import ALMOST, BOUNDED
from sparsim.mapper.tile_sizes import least_stored, list_tiles
from sparsim.model import arrays as packs
from sparsim.model.arrays import ArchPack, BoundPack, DensityPack, Ints, LayerPack, PolicyPack, Reals
from sparsim.model.kernels.settled_computes import settled

MOST_STATES = 4096  # most combinations of shares left out that are tried one by one
ROUNDED = (
    4e-5  # relative error of densities that are rounded to millionths twice (model 12.1), and of clamping
)


class SearchArrays(NamedTuple):
    """All packs of one search."""

    arch: ArchPack
    layer: LayerPack
    density: DensityPack
    policy: PolicyPack
    space: Space
    accounting: int
    leak_pj: float  # least leakage per cycle


def bound_pack(low: SearchArrays) -> BoundPack:
    """The constants of the lower bounds."""
    policy, arch = low.policy, low.arch
    spatial = bool(policy.switch[packs.ANY_SPATIAL])
    negative = bool((arch.energy < 0).any() or (arch.compute_energy < 0).any())
    bounded = not (spatial or negative or arch.support[:, packs.DISTRIBUTES].any())
    exact = not policy.switch[packs.ACTIVE]
    left = [_least_left(low, range(*saf[[packs.SAF_OPTION0, packs.SAF_OPTION1]])) for saf in policy.saf]
    busy, energy = (0.0, 0.0) if spatial or negative else least_compute(low)
    return BoundPack(
        compute=np.array([busy, energy]),
        leak=np.array([low.leak_pj]),
        left=np.array(left, np.float64),
        distinct=distinct_dims(low.layer),
        switch=np.array([bounded, exact, not spatial], np.int64),
        accounting=np.array([low.accounting], np.int64),
        existing=np.array([_existing(low.layer)]),
        stored=least_stored(list_tiles(low.layer, low.density, exact=exact), len(low.layer.words)),
    )


def _existing(layer: LayerPack) -> float:
    """Return the least share of existing iterations of any loops, because imperfect factors cover more."""
    return float((layer.real / layer.bound).prod())


def _point_density(low: SearchArrays, v: int) -> float:
    """Return the nonzero fraction of single points; 0 if it needs a table."""
    d, words = float(low.density.density[v]), int(low.layer.words[v])
    if low.density.kind[v] == packs.TABULATED:
        return 0.0
    return math.ceil(d * words) / words if low.density.kind[v] == packs.HYPERGEOMETRIC else d


def _leaders(policy: PolicyPack, option: int) -> list[int]:
    first, last = policy.option[option, packs.OPT_LEADER0], policy.option[option, packs.OPT_LEADER1]
    return [int(v) for v in policy.leader[first:last]]


def _least_left(low: SearchArrays, options: range) -> float:
    """Return the least share of accesses that a SAF leaves; leader tiles of one point are empty most
    often.
    """
    return min(math.prod(_point_density(low, v) for v in _leaders(low.policy, g)) for g in options)


def distinct_dims(layer: LayerPack) -> Ints:
    """Return, per dataspace, the dims along which neighbouring tiles never overlap: those that move one
    coordinate, which no other dim moves.
    """
    masks = []
    for v in range(len(layer.side)):
        coordinates = [
            [int(d) for d, _, _ in layer.term[a:b] if layer.bound[d] > 1]
            for a, b in zip(layer.side[v, :-1], layer.side[v, 1:], strict=True)
        ]
        moved = [d for dims in coordinates for d in dims]
        masks.append(
            sum(1 << dims[0] for dims in coordinates if len(dims) == 1 and moved.count(dims[0]) == 1)
        )
    return np.array(masks, np.int64)


def least_compute(low: SearchArrays) -> tuple[float, float]:
    """(operations that take a cycle of a unit, pJ of all operations), both at least (model 12).

    What gating and skipping leave out depends on the mapping. If few shares are possible, all are tried with
    the arithmetic of the model, so that the bound is attained; otherwise densities give the bound.
    """
    total = float(np.prod(low.layer.real))
    price = low.arch.compute_energy
    if not low.policy.switch[packs.ACTIVE]:
        return total, total * float(price[packs.RANDOM])
    grids = [_left_out(low, int(v)) for v in low.layer.operand]
    metadata = _metadata_states(low)
    if grids[0] is None or grids[1] is None or len(grids[0]) * len(grids[1]) > MOST_STATES:
        return _least_by_density(low, total)
    found = []
    for p_a, p_b, state in product(grids[0], grids[1], sorted(metadata)):
        counts = _operations(low, total, p_a, p_b, *state)
        if counts is not None:
            found.append((counts[0] + counts[1], float(np.dot(counts, price))))
    if not found:
        return 0.0, 0.0
    return min(busy for busy, _ in found), min(energy for _, energy in found) * (1 - 1e-12)


def _left_out(low: SearchArrays, v: int) -> list[float] | None:
    """Return all probabilities with which accesses to operand v may be left out; None if there are too
    many.
    """
    shares = {0.0}
    for target, first, last in low.policy.option.tolist():
        if target != v:
            continue
        per_leader = [_chances(low, leader) for leader in low.policy.leader[first:last].tolist()]
        if any(chances is None for chances in per_leader):
            return None
        for useful in product(*(chances or [] for chances in per_leader)):
            together = 1.0
            for chance in useful:
                together *= chance
            shares.add(1.0 - together)
    return sorted(shares)


def _chances(low: SearchArrays, leader: int) -> list[float] | None:
    """Return all probabilities that a leader tile has a nonzero, computed as in the model; None if there are
    too many.
    """
    d = float(low.density.density[leader])
    if low.density.kind[leader] != packs.FIXED or 0.0 < d < 1 / 64:
        return None
    points = range(1, 2 if d == 0.0 else math.ceil(1 / d) + 1)
    return sorted({1.0} | {1.0 - (1.0 - n * d) for n in points if n * d < 1.0})


def _metadata_states(low: SearchArrays) -> set[tuple[bool, bool]]:
    """Return the cases of whether the operands have metadata where they are kept innermost, over all bypass
    choices.
    """
    if low.space.is_sampled:
        return {(a, b) for a in (False, True) for b in (False, True)}
    states = set()
    for keep in low.space.keep:
        state = []
        for v in low.layer.operand:
            kept = [s for s in range(len(keep)) if keep[s] >> v & 1]
            state.append(bool(kept) and bool(low.policy.format[kept[0], v, packs.HAS_FORMAT]))
        states.add((state[0], state[1]))
    return states


def _millionths(x: float) -> float:
    return math.floor(x * 1e6 + 0.5) / 1e6


def _operations(
    low: SearchArrays, total: float, p_a: float, p_b: float, metadata_a: bool, metadata_b: bool
) -> tuple[int, int, int] | None:
    """Return (actual, gated, skipped) operations as the kernel computes them (model 12); None if no mapping
    is valid.
    """
    left = total - math.floor(total * p_a)
    left -= math.floor(left * p_b)
    d_a, d_b = (_millionths(_millionths(_point_density(low, int(v)))) for v in low.layer.operand)
    p_a, p_b = _millionths(p_a), _millionths(p_b)
    if (p_b == 1.0 and d_a > 0.0) or (p_a == 1.0 and d_b > 0.0):
        return None
    d_a, d_b = d_a and d_a / (1.0 - p_b), d_b and d_b / (1.0 - p_a)
    if not max(d_a, d_b) <= 1.00001:
        return None
    states = [_states(d_a, metadata_a), _states(d_b, metadata_b)]
    (n_a, z_a, e_a), (n_b, z_b, e_b) = states
    gating, skipping = low.policy.switch[[packs.COMPUTE_GATING, packs.COMPUTE_SKIPPING]].tolist()
    return settled(
        gating, skipping, left, left * (n_a * z_b + z_a * n_b), left * (n_a * e_b + e_a * n_b),
        left * (z_a * z_b), left * (z_a * e_b + e_a * z_b), left * (e_a * e_b),
    )  # fmt: skip


def _states(d: float, metadata: bool) -> tuple[float, float, float]:
    """Return the shares of an operand that are nonzero, zero, absent."""
    rest = min(max(1.0 - d, 0.0), 1.0)
    return min(max(d, 0.0), 1.0), 0.0 if metadata else rest, rest if metadata else 0.0


def _least_by_density(low: SearchArrays, total: float) -> tuple[float, float]:
    """Bound operations by densities: those with two nonzero operands always remain, and take a cycle and the
    full energy.
    """
    d_a, d_b = (_point_density(low, int(v)) for v in low.layer.operand)
    least = min(d_a, d_b)
    if least <= 0.0:
        return 0.0, 0.0
    busy = max(total * d_a * d_b * (1.0 - ROUNDED / least) ** 4 - 4.0, 0.0) if least > ROUNDED else 0.0
    return busy, busy * float(low.arch.compute_energy[packs.RANDOM])


def space_bound(low: SearchArrays, bound: BoundPack, most_units: float) -> Reals:
    """Return lower bounds (cycles, pJ, accesses of every level) of all mappings of the space.

    The arithmetic takes its time on all units; every word of a tensor leaves or reaches the outermost level.
    """
    cycles = math.ceil(float(bound.compute[0]) / most_units)
    energy = float(bound.compute[1]) + cycles * low.leak_pj
    outermost = low.space.keep.shape[1] - 1
    accesses = np.zeros(outermost + 1)
    for v, words in enumerate(low.layer.words.tolist() if bound.switch[BOUNDED] else []):
        if not low.layer.plain[v] or not all(keep >> v & 1 for keep in low.space.keep[:, outermost].tolist()):
            continue
        share = 1.0
        if low.policy.switch[packs.ACTIVE]:
            share = math.prod(bound.left.tolist())
            if low.policy.format[outermost, v, packs.HAS_FORMAT]:
                share *= _point_density(low, v)
        action = packs.UPDATE if low.layer.read_write[v] else packs.READ
        price = float(low.arch.energy[outermost, packs.DATA_ACTIONS + action])
        block, cluster = low.arch.width[outermost, [packs.BLOCK, packs.CLUSTER]].tolist()
        clusters = min(1, int(low.arch.mesh[outermost + 1, 2]) // cluster)
        existing = _existing(low.layer)
        energy += max(words * (share * existing) - 3.0, 0.0) / block * price * clusters
        accesses[outermost] += max(math.ceil(words * existing * ALMOST - 0.5), 0.0)
    return np.array([cycles + low.arch.latency[0], energy * (1 - 1e-9), *accesses])
