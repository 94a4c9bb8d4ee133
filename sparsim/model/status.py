"""What a kernel's status means in words."""

from sparsim.errors import MappingError
from sparsim.model import arrays as packs
from sparsim.model.arrays import Reals
from sparsim.records import Architecture, Layer

REASONS = {
    packs.OK: "valid",
    packs.BAD_FANOUT: "fan-out exceeded",
    packs.BAD_CAPACITY: "data capacity exceeded",
    packs.BAD_METADATA_CAPACITY: "metadata capacity exceeded",
    packs.BAD_UTILIZATION: "minimum utilization missed",
    packs.BAD_INSTANCES: "more instances used than there are",
    packs.BAD_RANK_COUNT: "more compression ranks needed",
    packs.BAD_RANK_ALIGNMENT: "ranks of neighbouring levels differ",
    packs.BAD_NO_DECOMPRESSION: "decompression not supported",
    packs.BAD_NO_COMPRESSION: "compression not supported",
    packs.BAD_MORE_CHILD_RANKS: "inner level has more ranks than its outer one",
    packs.BAD_UNCOMPRESSED_PARENT: "compressed below uncompressed",
    packs.BAD_TARGET_NOT_KEPT: "target of a SAF not kept",
    packs.BAD_NESTED_SAF: "inner SAF weaker than the outer one",
    packs.BAD_OPERAND_STATE: "operand density out of range",
    packs.BAD_BLOCK_SIZE: "block size without a partial-block model",
    packs.BAD_NEGATIVE_FILLS: "negative fills",
    packs.BAD_TOO_MANY_GROUPS: "too many multicast groups",
    packs.BAD_SAF_CLASH: "temporal and spatial SAF on one tensor",
    packs.BAD_SPATIAL_ZERO: "spatial skipping leaves no instance",
    packs.BAD_KEPT_NOWHERE: "dataspace kept nowhere",
    packs.BAD_FACTORS: "factors do not multiply to the bounds",
    packs.BAD_ORDER: "an order is no permutation of the dims",
    packs.BAD_DISTRIBUTION: "several multicast factors where a network distributes",
    packs.BAD_SPATIAL_LEADERS: "several leaders of a spatial SAF",
    packs.BAD_CHILDREN: "too many instances addressed by one level",
    packs.BAD_COUNT: "a count beyond 2^53",
    packs.BAD_TOTAL: "energy or cycles out of range",
}


def mapping_error(
    status: int, info: Reals, arch: Architecture, layer: Layer, *, name_layer: bool = False
) -> MappingError:
    """The error for a mapping that a kernel refused; `info` is NestPack.info."""
    s, v, need, have = int(info[0]), int(info[1]), float(info[2]), float(info[3])
    levels = [arch.compute.name, *(level.name for level in arch.storage[::-1])]
    level = levels[s + 1] if s + 1 < len(levels) else ""
    data = [d.name for d in layer.shape.dataspaces]
    tensor = data[v] if v < len(data) else ""
    at = f"{tensor} at {level}"
    texts = {
        packs.BAD_FANOUT: f"{need:g} instances needed along {'XY'[v % 2]}, {level} has a fan-out of {have:g}",
        packs.BAD_CAPACITY: f"tiles of {need:g} words do not fit {level}, which holds {have:g}",
        packs.BAD_METADATA_CAPACITY: f"{need:g} metadata bits do not fit {level}, which holds {have:g}",
        packs.BAD_UTILIZATION: f"{need:g} words fill {level} less than its min_utilization, {have:g} words",
        packs.BAD_INSTANCES: f"{v} x {need:g} instances of {level} are used, there are {_mesh(arch, s)}",
        packs.BAD_RANK_COUNT: f"the format of {at} has too few ranks for the loops there: {have:g}, "
        f"needed are {need:g}",
        packs.BAD_RANK_ALIGNMENT: f"the inner ranks of {at} differ from those of the level inside",
        packs.BAD_NO_DECOMPRESSION: f"{tensor} comes to {level} compressed, it needs decompression_supported",
        packs.BAD_NO_COMPRESSION: f"{tensor} leaves {level} compressed, it needs compression_supported",
        packs.BAD_MORE_CHILD_RANKS: f"{at} has more ranks than at the compressed level outside",
        packs.BAD_UNCOMPRESSED_PARENT: f"{tensor} is compressed at {level} but not at the level outside",
        packs.BAD_TARGET_NOT_KEPT: f"a SAF at {level} targets {tensor}, which no level there or outside has",
        packs.BAD_NESTED_SAF: f"the SAF on {at} removes {need:.3g} of the accesses, but the one outside it "
        f"removes {have:.3g} already",
        packs.BAD_OPERAND_STATE: f"gating and skipping leave an operand with density {need:.6g}",
        packs.BAD_BLOCK_SIZE: f"compressed {at} has block size {need:g}, allowed are 1, 2, 4, 8, 16, 32, "
        "and 64 for tiles of 500 blocks and more",
        packs.BAD_NEGATIVE_FILLS: f"{at} would have {need:g} accesses",
        packs.BAD_TOO_MANY_GROUPS: f"more than {packs.MAX_BUCKETS} sizes of multicast groups for {tensor}",
        packs.BAD_SAF_CLASH: f"{at} is skipped spatially and by another SAF, only one is allowed",
        packs.BAD_SPATIAL_ZERO: f"spatial skipping leaves no instance for {tensor} below {level}",
        packs.BAD_KEPT_NOWHERE: f"no level keeps dataspace {tensor}",
        packs.BAD_FACTORS: REASONS[packs.BAD_FACTORS],
        packs.BAD_ORDER: REASONS[packs.BAD_ORDER],
        packs.BAD_DISTRIBUTION: f"{tensor} has several multicast factors at {level} or outside it, an M:N "
        "network needs one",
        packs.BAD_SPATIAL_LEADERS: f"spatial skipping of {at} has several leaders with metadata",
        packs.BAD_CHILDREN: f"spatial loops of {level} address {need:g} instances, allowed are "
        f"{packs.MAX_CHILDREN}",
        packs.BAD_COUNT: f"{at} would have {need:.3g} accesses or words, allowed are {packs.MAX_COUNT:.3g}",
        packs.BAD_TOTAL: f"energy {need:.3g} pJ or cycles {have:.3g} are out of range, allowed "
        f"are finite energies of 0 and more, and {packs.MAX_COUNT:.3g} cycles",
    }
    where = f"layer {layer.name}: " if name_layer else ""
    return MappingError(where + texts[status], level=level, need=need, have=have)


def _mesh(arch: Architecture, s: int) -> str:
    x, y = arch.total_mesh(len(arch.storage) - 1 - s)
    return f"{x} x {y}"
