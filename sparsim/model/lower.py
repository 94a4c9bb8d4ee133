"""Conversion of specifications to packs.

Only this module turns names into indices, and reverses levels: specifications list them outer to inner, packs
inner to outer (s = 0 is next to the arithmetic).
"""

import math
from collections.abc import Sequence

import numpy as np

from sparsim.errors import SpecError
from sparsim.estimate.accelerator_energy import resolved_energy
from sparsim.model import arrays as packs
from sparsim.model.arrays import ArchPack, DensityPack, Ints, LayerPack, MappingPack, PolicyPack, Reals
from sparsim.model.lower_networks import lower_networks, name_number
from sparsim.records import Accelerator, Architecture, Layer, Mapping, Nest, Saf, Shape, SparsePolicy, Storage
from sparsim.records.divisibility import CoveredLayer
from sparsim.records.sparsity import rank_word_bits

MAX_WORDS = 3_037_000_499  # floor(sqrt(2^63)): products of two tensor sizes stay exact
MAX_KEY = 2**62  # differences of coordinates are encoded as digits of one number

RANK_KINDS = {
    "U": packs.RANK_U, "UOP": packs.RANK_UOP, "UB": packs.RANK_UB,
    "RLE": packs.RANK_RLE, "CP": packs.RANK_CP, "B": packs.RANK_B,
}  # fmt: skip
SAF_KINDS = {
    "gating": packs.GATED, "skipping": packs.SKIPPED, "skipping-spatial": packs.SPATIAL_SKIPPING,
}  # fmt: skip
DENSITY_KINDS = {
    "fixed-structured": packs.FIXED, "hypergeometric": packs.HYPERGEOMETRIC,
    "banded": packs.TABULATED, "actual": packs.TABULATED,
}  # fmt: skip
ACCOUNTING = {
    "timeloop-3": packs.ELIDE_FIRST_FILL, "timeloop-4": packs.TIMELOOP_4,
    "timeloop-4-2024": packs.ELIDE_FIRST_FILL,
    "timeloop-2022": packs.ELIDE_FIRST_READ,
    "count-all": packs.COUNT_ALL,
    "count-drains": packs.COUNT_DRAINS,
}  # fmt: skip


def ints(*shape: int) -> Ints:
    return np.zeros(shape, np.int64)


def reals(*shape: int) -> Reals:
    return np.zeros(shape, np.float64)


def lower_arch(accelerator: Accelerator) -> ArchPack:
    """Return levels, meshes, limits and energies, cached with the accelerator. Raises SpecError for values
    that do not fit.
    """
    return accelerator.kept("lowered", (), lambda: _lower_arch(accelerator))


def _lower_arch(accelerator: Accelerator) -> ArchPack:
    arch = accelerator.architecture
    levels = arch.storage[::-1]
    n = len(levels)
    resolved = resolved_energy(accelerator)
    mesh = [arch.total_mesh(len(arch.storage) - h) for h in range(n + 1)]
    fan = [(mesh[s][0] // mesh[s + 1][0], mesh[s][1] // mesh[s + 1][1]) for s in range(n)]
    tiling: list[tuple[int, int]] = []
    first = []
    for s in range(n):
        first.append(len(tiling))
        tiling += [(s, 1), (s, 0)] if fan[s][0] * fan[s][1] > 1 else [(s, 0)]
    return ArchPack(
        tiling=np.array(tiling, np.int64),
        first_tiling=np.array([*first, len(tiling)], np.int64),
        fan=np.array(fan, np.int64),
        mesh=np.array([(x, y, x * y) for x, y in mesh], np.int64),
        width=np.array([_widths(level) for level in levels], np.int64),
        limit=np.array([_limits(level) for level in levels], np.float64),
        support=np.array([_support(level) for level in levels], np.int64),
        energy=np.array(resolved.storage[::-1], np.float64),
        compute_energy=np.array(resolved.compute, np.float64),
        addr_gen=np.array([max(level.addr_gen_energy_pj or 0.0, 0.0) for level in levels], np.float64),
        **lower_networks(arch, resolved),
        latency=np.array([sum(level.network.latency_cycles for level in levels)]),
    )


def _widths(level: Storage) -> tuple[int, ...]:
    return (
        level.word_bits, level.block_size, level.cluster_size, level.metadata_width_bits,
        level.metadata_word_bits,
    )  # fmt: skip


def _limits(level: Storage) -> tuple[float, ...]:
    size = level.effective_size_words
    bandwidths = (level.read_bandwidth, level.write_bandwidth, level.shared_bandwidth)
    return (
        packs.UNLIMITED if size is None else size,
        level.metadata_capacity_bits,
        (size or 0) * level.min_utilization,
        *(packs.UNLIMITED if b is None else b for b in bandwidths),
    )


def _support(level: Storage) -> tuple[bool, bool, bool, bool, bool]:
    reduces = level.technology != "DRAM" if level.reduction_supported is None else level.reduction_supported
    coded = bool(level.compression_supported), bool(level.decompression_supported)
    return *coded, bool(reduces), level.network.distributes, bool(level.memory)


Sizes = tuple[int, int, int]  # dims, coordinates per dataspace, terms: what lowered layers are padded to


def layer_sizes(layer: Layer) -> Sizes:
    sides = [d.terms() for d in layer.shape.dataspaces]
    return len(layer.shape.dims), max(map(len, sides)), sum(len(t) for d in sides for t in d)


def lower_layer(layer: Layer) -> LayerPack:
    """Return bounds and projections, cached with the layer.

    Raises SpecError if a tensor is too large for exact counts.
    """
    return layer.kept("lowered", (), lambda: lower_padded(layer, layer_sizes(layer)))


def lower_padded(layer: Layer, sizes: Sizes) -> LayerPack:
    """Lower a layer with room for further dims, which have bound 1 and belong to no tensor."""
    n_dims, n_sides, n_terms = sizes
    shape = layer.shape
    coefficient = {**shape.coefficients, **layer.coefficients}
    further = [1] * (n_dims - len(shape.dims))
    bound = [layer.bounds[d] for d in shape.dims] + further
    real = bound
    if isinstance(layer, CoveredLayer):
        real = [layer.existing[d] for d in shape.dims] + further
    n_data = len(shape.dataspaces)
    # lists are ten times as fast as arrays for writing small arrays element by element
    term: list[tuple[int, int, int]] = []
    side: list[list[int]] = []
    relevant, plain = [0] * n_data, [1] * n_data
    for v, dataspace in enumerate(shape.dataspaces):
        seen: set[int] = set()
        first = [len(term)]
        for terms in dataspace.terms():
            here = []
            for dim, name in terms:
                d, c = shape.dims.index(dim), 1 if name is None else coefficient[name]
                here.append((d, abs(c), c))
                relevant[v] |= 1 << d
            term += here
            first.append(len(term))
            moving = [d for d, _, _ in here if bound[d] > 1]
            weights = [c for d, _, c in here if bound[d] > 1]
            if len(moving) > 1 or any(c != 1 for c in weights) or seen & set(moving):
                plain[v] = 0
            seen |= set(moving)
        side.append(first + [len(term)] * (n_sides + 1 - len(first)))
    term += [(0, 0, 0)] * (n_terms - len(term))
    operands = [v for v, d in enumerate(shape.dataspaces) if not d.read_write]
    return LayerPack(
        bound=np.array(bound, np.int64), term=np.array(term, np.int64).reshape(n_terms, 3),
        side=np.array(side, np.int64).reshape(n_data, n_sides + 1),
        relevant=np.array(relevant, np.int64), plain=np.array(plain, np.int64),
        read_write=np.array([d.read_write for d in shape.dataspaces], np.int64),
        words=_tensor_words(layer),
        operand=np.array([*operands, 0, 0][:2], np.int64),  # only used where there are exactly two
        real=np.array(real, np.int64), cut=np.array([real != bound], np.int64),
        number=np.array([name_number(d.name) for d in shape.dataspaces], np.int64),
    )  # fmt: skip


def _tensor_words(layer: Layer) -> Ints:
    words = []
    for dataspace in layer.shape.dataspaces:
        sides = layer.sides(dataspace)
        total = math.prod(sides)
        if total > MAX_WORDS:
            raise SpecError(
                f"dataspace {dataspace.name} must have at most {MAX_WORDS:.3g} words, has {total:.3g}",
                path=f"layer {layer.name}",
            )
        if math.prod(2 * side + 1 for side in sides) > MAX_KEY:
            raise SpecError(
                f"dataspace {dataspace.name} has too many coordinates to tell its {total} words apart",
                path=f"layer {layer.name}",
            )
        words.append(total)
    return np.array(words, np.int64)


def lower_density(layer: Layer) -> DensityPack:
    """Return the kind and the nonzero fraction of every dataspace."""
    densities = [layer.density(d.name) for d in layer.shape.dataspaces]
    return DensityPack(
        kind=np.array([DENSITY_KINDS[d.distribution] for d in densities], np.int64),
        density=np.array([d.density for d in densities], np.float64),
    )


def level_index(arch: Architecture, name: str) -> int:
    """Return the index of the storage level called `name`."""
    return [level.name for level in arch.storage[::-1]].index(name)


def lower_policy(accelerator: Accelerator, shape: Shape) -> PolicyPack:
    """Return formats and SAFs, the latter in their order of evaluation (model 10.1), cached with the
    accelerator.
    """
    return accelerator.kept("lowered policy", (shape,), lambda: _lower_policy(accelerator, shape))


def _lower_policy(accelerator: Accelerator, shape: Shape) -> PolicyPack:
    arch, policy = accelerator.architecture, accelerator.policy or SparsePolicy()
    data = [d.name for d in shape.dataspaces]
    n_levels = len(arch.storage)
    n_ranks = max([len(f.ranks) for f in policy.formats], default=1)
    n_lists = max([len(r.flattened) for f in policy.formats for r in f.ranks], default=0) or 1
    form, rank = ints(n_levels, len(data), 4), ints(n_levels, len(data), n_ranks, 4)
    flat = ints(n_levels, len(data), n_ranks, n_lists)
    for tensor in policy.formats:
        s, v = level_index(arch, tensor.level), data.index(tensor.dataspace)
        form[s, v] = 1, tensor.compressed, len(tensor.ranks), tensor.order == "inner-to-outer"
        for r, one in enumerate(tensor.ranks[::-1]):
            bits = rank_word_bits(one, arch.storage[n_levels - 1 - s])
            rank[s, v, r] = RANK_KINDS[one.format], *bits, len(one.flattened)
            for i, dims in enumerate(one.flattened):
                flat[s, v, r, i] = sum(1 << shape.dims.index(d) for d in set(dims))
    saf, option, leader = _lower_safs(policy, arch, data)
    kinds = {s.type for s in policy.safs}
    return PolicyPack(
        switch=np.array(
            [
                policy.active, bool(policy.formats), policy.compute_gating, policy.compute_skipping,
                "skipping-spatial" in kinds,
            ],
            np.int64,
        ),
        format=form, rank=rank, flat=flat, saf=saf, option=option, leader=leader,
    )  # fmt: skip


def _lower_safs(policy: SparsePolicy, arch: Architecture, data: list[str]) -> tuple[Ints, Ints, Ints]:
    def order(saf: Saf) -> tuple[int, int]:
        return SAF_KINDS[saf.type], level_index(arch, saf.level)

    safs: list[tuple[int, ...]] = []
    options: list[tuple[int, ...]] = []
    leaders: list[int] = []
    for saf in sorted(policy.safs, key=order):
        first = len(options)
        for option in saf.options:
            start = len(leaders)
            leaders += [data.index(name) for name in option.condition_on]
            options.append((data.index(option.target), start, len(leaders)))
        safs.append((SAF_KINDS[saf.type], level_index(arch, saf.level), first, len(options)))
    return (
        np.array(safs, np.int64).reshape(-1, 4),
        np.array(options, np.int64).reshape(-1, 3),
        np.array(leaders, np.int64),
    )


def lower_mapping(accelerator: Accelerator, shape: Shape, mapping: Mapping) -> MappingPack:
    """Lower one mapping to a pack of one row, cached with the mapping."""
    return mapping.kept(
        "lowered", (accelerator, shape), lambda: lower_mappings(accelerator, shape, [mapping])
    )


def lower_mappings(accelerator: Accelerator, shape: Shape, mappings: Sequence[Mapping]) -> MappingPack:
    """Lower mappings to a pack with one row for each; dims that a nest leaves out have factor 1."""
    n_dims, n_levels = len(shape.dims), len(accelerator.architecture.storage)
    first_tiling = lower_arch(accelerator).first_tiling.tolist()
    n_tiling = first_tiling[-1]
    levels = {level.name: s for s, level in enumerate(accelerator.architecture.storage[::-1])}
    bits = {dataspace.name: 1 << v for v, dataspace in enumerate(shape.dataspaces)}
    everything, in_order = sum(bits.values()), list(range(n_dims))
    factors, orders, splits, all_flags = [], [], [], []
    for mapping in mappings:
        factor, order = [[1] * n_dims for _ in range(n_tiling)], [in_order] * n_tiling
        split, flags = [n_dims] * n_tiling, [[everything, 0, 0, 0]] * n_levels
        for level in mapping.levels:
            s = levels[level.level]
            t = first_tiling[s + 1] - 1
            for nest, row in ((level.temporal, t), (level.spatial, t - 1)):
                if nest is not None:
                    order[row] = _lower_nest(nest, shape, factor[row])
            if level.spatial is not None and level.spatial.split_x is not None:
                split[t - 1] = level.spatial.split_x
            flags[s] = [
                flags[s][packs.KEEP] & ~_mask(level.bypass, bits), _mask(level.no_link_transfer, bits),
                _mask(level.no_multicast_no_reduction, bits), _mask(level.no_temporal_reuse, bits),
            ]  # fmt: skip
        factors.append(factor)
        orders.append(order)
        splits.append(split)
        all_flags.append(flags)
    number = len(mappings)
    return MappingPack(
        np.array(factors, np.int64).reshape(number, n_tiling, n_dims),
        np.array(orders, np.int64).reshape(number, n_tiling, n_dims),
        np.array(splits, np.int64).reshape(number, n_tiling),
        np.array(all_flags, np.int64).reshape(number, n_levels, 4),
    )


def _mask(names: Sequence[str], bits: dict[str, int]) -> int:
    mask = 0
    for name in names:
        mask |= bits[name]
    return mask


def _lower_nest(nest: Nest, shape: Shape, factor: list[int]) -> list[int]:
    """Enter the factors of a nest, and return its order, innermost dim first."""
    for dim, f in nest.factors.items():
        factor[shape.dims.index(dim)] = f
    inner = [shape.dims.index(dim) for dim in nest.order[::-1]]
    return inner + [d for d in range(len(factor)) if d not in inner]
