"""Allocation of the arrays that kernels fill."""

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from sparsim.model import arrays as packs
from sparsim.model.lower import ints, reals

_NO_INTS, _NO_REALS = ints(0), reals(0)


class Scratch(NamedTuple):
    nest: packs.NestPack
    sparse: packs.SparsePack
    cost: packs.CostPack


def most_children(arch: packs.ArchPack, layer: packs.LayerPack, mappings: packs.MappingPack) -> int:
    """Return the instances that one level's spatial loops address, up to a limit beyond which kernels refuse
    mappings.

    With spatial skipping they may be more than the level has.
    """
    spatial = arch.tiling[:, 1] == 1
    used = mappings.factor[:, spatial, :].prod(axis=2, dtype=np.float64, initial=1.0).max(initial=1.0)
    # factors beyond the bounds are no mapping
    return int(min(used, float(layer.bound.prod()), packs.MAX_CHILDREN))


def make_scratch(
    arch: packs.ArchPack,
    layer: packs.LayerPack,
    density: packs.DensityPack,
    policy: packs.PolicyPack,
    nest: packs.NestPack,
    entries: int = 2,
) -> Scratch:
    """Make scratch arrays; `entries` is the largest number of occupancies that TABULATED densities list for a
    tile.
    """
    n_levels, n_data = len(arch.fan), len(layer.relevant)
    entries = max(entries, _list_length(layer, density, policy))
    return Scratch(nest, *make_results(n_levels, len(arch.network), n_data, policy.rank.shape[2], entries))


def make_results(
    n_levels: int, n_networks: int, n_data: int, n_ranks: int, entries: int
) -> tuple[packs.SparsePack, packs.CostPack]:
    """Make the arrays of sparse results and costs."""
    cost = packs.CostPack(
        vector=reals(n_levels, n_data, packs.N_ACTIONS), energy=reals(n_levels, n_data),
        clusters=ints(n_levels, n_data), words=reals(n_levels, n_data, 4), slowdown=reals(n_levels),
        cycles=ints(n_levels + 1), level_pj=reals(n_levels + 1), network_pj=reals(n_networks, n_data, 3),
        total=reals(2),
    )  # fmt: skip
    return _make_sparse(n_levels, n_data, n_ranks, entries), cost


def _list_length(layer: packs.LayerPack, density: packs.DensityPack, policy: packs.PolicyPack) -> int:
    """Return the length of lists with room for every hypergeometric occupancy that is not negligible, about
    14 standard deviations to each side.
    """
    if not policy.switch[packs.ACTIVE]:
        return 2
    words = layer.words[density.kind == packs.HYPERGEOMETRIC]
    return max([int(min(n, 10 * math.sqrt(n) + 400)) + 2 for n in words], default=2)


def make_nest(
    arch: packs.ArchPack, layer: packs.LayerPack, policy: packs.PolicyPack, children: int
) -> packs.NestPack:
    n_levels, n_data, n_dims = len(arch.fan), len(layer.relevant), len(layer.bound)
    n_ranks, n_loops, n_sides = policy.rank.shape[2], len(arch.tiling) * n_dims, layer.side.shape[1] - 1
    n_options = len(policy.option)
    n_leaders = int((policy.option[:, 2] - policy.option[:, 1]).max(initial=1))
    places = max(children, n_loops)
    return packs.NestPack(
        loop=ints(n_loops, 5), real=ints(n_loops), first_real=ints(len(arch.tiling) + 1),
        outside=reals(n_loops + 1), box=ints(n_loops + 1, n_data),
        space=ints(n_levels + 1, 2), tile=ints(n_levels, n_data), kept=ints(n_levels, n_data),
        kin=ints(n_levels, n_data, 2), part=ints(n_levels, n_data), flow=reals(n_levels, n_data, 4),
        bucket=reals(n_levels, n_data, packs.MAX_BUCKETS, 4), n_bucket=ints(n_levels, n_data),
        remote=reals(n_levels, n_data, 4),
        fanout=ints(n_levels, n_data), counts=ints(n_levels, n_data, 5), ops=ints(4),
        fiber=ints(n_levels, n_data, n_ranks), taken=ints(n_levels, n_data, n_ranks, 2),
        sub=ints(n_levels, n_data, n_ranks + 1),
        sub_loop=ints(n_levels, n_data, n_ranks + 1), lead=ints(n_options, 4),
        lead_words=ints(n_options, n_leaders), lead_box=ints(n_options, n_leaders, n_dims),
        lead_loop=ints(n_options, n_loops),
        base_box=ints(n_options, n_dims), ext=ints(n_dims), info=reals(4), key=ints(places),
        order=ints(places), served=ints(places), span=np.full((places, 2), -1, np.int64),
        walk=reals(3, n_loops + 1, 2 * n_loops + 3), shift=ints(n_loops + 1, n_sides + 1),
        group=reals(2, packs.MAX_BUCKETS, 3),
    )  # fmt: skip


def without_scratch(scratch: Scratch) -> Scratch:
    """Return results without the arrays that only kernels need, which are by far the largest."""
    nest, sparse, cost = scratch
    buckets = nest.bucket[:, :, : nest.n_bucket.max()].copy()
    nest = nest._replace(
        bucket=buckets, key=_NO_INTS, order=_NO_INTS, served=_NO_INTS, span=_NO_INTS, shift=_NO_INTS,
        walk=_NO_REALS,
    )  # fmt: skip
    return Scratch(nest, sparse._replace(list_k=_NO_INTS, list_p=_NO_REALS, list_lo=_NO_REALS), cost)


def widen(nest: packs.NestPack, wide: packs.NestPack) -> packs.NestPack:
    """Copy an analysed nest into the larger arrays of `wide`.

    Layers are not widened before the analysis, because loops of bound 1 can change its results (model 9.3).
    """
    wide.loop[:, packs.BOUND] = 1
    for source, target in zip(nest, wide, strict=True):
        target[tuple(slice(n) for n in source.shape)] = source
    return wide


def make_lanes(arch: packs.ArchPack, layer: packs.LayerPack, nest: packs.NestPack) -> packs.LanePack:
    """Make the arrays of mappings that are evaluated side by side."""
    n_levels, n_data, n_ranks = nest.fiber.shape
    n_tiling, n_dims = len(arch.tiling), len(layer.bound)
    return _lanes(n_tiling, n_levels, n_data, n_ranks, n_dims, nest.lead_words.shape, packs.LANES)


@cache
def no_lanes() -> packs.LanePack:
    """Make arrays without a lane, for evaluations one after the other."""
    return _lanes(1, 1, 1, 1, 1, (1, 1), 0)


def _lanes(
    n_tiling: int, n_levels: int, n_data: int, n_ranks: int, n_dims: int, leaders: tuple[int, ...], lanes: int
) -> packs.LanePack:
    tensors, loops = (n_levels, n_data), (n_tiling, n_dims)
    shapes: dict[str, tuple[int, ...]] = {
        "factor": loops, "place": loops, "split": (n_tiling,), "space": (n_levels + 1, 2),
        "steps": (n_levels + 1,), "counts": (*tensors, 3), "work": (n_levels, 3),
        "fiber": (*tensors, n_ranks), "sub": (*tensors, n_ranks), "lead_words": leaders,
        "units": (*tensors, n_ranks, 2), "actual": (*tensors, 3, 3), "format": (*tensors, 3, 3, n_ranks, 2),
        "left_out": (n_data,), "unit": (n_ranks, 2), "none": (n_ranks + 1,), "rows": (6,),
        **dict.fromkeys(("kept", "tile", "p", "avg", "rho", "ratio"), tensors),
        **dict.fromkeys(("held", "bits", "accesses", "groups", "words", "content"), (n_levels,)),
    }  # fmt: skip
    return packs.LanePack(*(reals(*shapes.get(name, ()), lanes) for name in packs.LanePack._fields))


def _make_sparse(n_levels: int, n_data: int, n_ranks: int, entries: int) -> packs.SparsePack:
    at = (n_levels, n_data)
    return packs.SparsePack(
        space=ints(n_levels + 1, n_data, 2), avg=reals(n_levels + 1, n_data), rho=reals(*at),
        occupancy=reals(*at), units=reals(*at, n_ranks, 2), capacity=ints(*at),
        capacity_units=reals(*at, n_ranks, 2), ratio=reals(*at), saf=ints(*at), saf_p=reals(*at),
        saf_option=ints(*at), counts=ints(*at, 3, 3), format=ints(*at, 3, 3, n_ranks, 2),
        reductions=ints(*at), coded=ints(*at, 2), compute=ints(3), compute_avg=ints(1),
        list_k=ints(entries), list_p=reals(entries), list_lo=reals(entries), sweep=reals(n_ranks + 1, 2),
        work=reals(*at, 3), unit=reals(n_ranks, 2), reach=reals(n_levels + 1, n_data, 4),
    )  # fmt: skip


def no_table(nest: packs.NestPack) -> packs.TablePack:
    """Return an empty table, for layers with densities that kernels compute."""
    n_levels, n_data, n_ranks = nest.fiber.shape
    return packs.TablePack(
        start=ints(n_levels, n_data, 2), k=ints(1), p=reals(1), p0=reals(1, n_ranks + 1),
        bounds=ints(n_levels, n_data, 2), expected=reals(n_data), lead=reals(*nest.lead_words.shape),
        useful=np.ones(len(nest.lead)), given=ints(n_data, 2), units=reals(1, 1, 1, 1),
        fullest=reals(1, 1, 1, 1), spread=reals(1, 1, 2), led=reals(1, 1, 2), counts=ints(1, 1, 3, 3),
        format=ints(1, 1, 3, 3, 1, 2), avg=reals(1, 1), compute=np.full(3, -1, np.int64), probe=ints(1),
    )  # fmt: skip
