"""Messages for the statuses that kernels return."""

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
    packs.BAD_ORDER: "an order is not a permutation of the dims",
    packs.BAD_DISTRIBUTION: "several multicast factors where a network distributes",
    packs.BAD_SPATIAL_LEADERS: "several leaders of a spatial SAF",
    packs.BAD_CHILDREN: "too many instances addressed by one level",
    packs.BAD_COUNT: "a count beyond 2^53",
    packs.BAD_TOTAL: "energy or cycles out of range",
}


def mapping_error(
    status: int, info: Reals, arch: Architecture, layer: Layer, *, name_layer: bool = False
) -> MappingError:
    """Return the error for a mapping that a kernel refused; `info` is NestPack.info."""
    s, v, need, have = int(info[0]), int(info[1]), float(info[2]), float(info[3])
    levels = [arch.compute.name, *(level.name for level in arch.storage[::-1])]
    level = levels[s + 1] if s + 1 < len(levels) else ""
    data = [d.name for d in layer.shape.dataspaces]
    tensor = data[v] if v < len(data) else ""
    at = f"{tensor} at {level}"
    texts = {
        packs.BAD_FANOUT: f"{need:g} instances are needed along {'XY'[v % 2]}, but {level} has a fan-out of "
        f"{have:g}",
        packs.BAD_CAPACITY: f"tiles of {need:g} words do not fit {level}, which holds {have:g}",
        packs.BAD_METADATA_CAPACITY: f"{need:g} metadata bits do not fit {level}, which holds {have:g}",
        packs.BAD_UTILIZATION: f"{need:g} words fill {level} less than its min_utilization of {have:g} words",
        packs.BAD_INSTANCES: f"{v} x {need:g} instances of {level} are used, but it has {_mesh(arch, s)}",
        packs.BAD_RANK_COUNT: f"the format of {at} has {have:g} ranks, but the loops there need {need:g}",
        packs.BAD_RANK_ALIGNMENT: f"the inner ranks of {at} differ from those of the level inside",
        packs.BAD_NO_DECOMPRESSION: f"{tensor} comes to {level} compressed, which needs "
        "decompression_supported",
        packs.BAD_NO_COMPRESSION: f"{tensor} leaves {level} compressed, which needs compression_supported",
        packs.BAD_MORE_CHILD_RANKS: f"{at} has more ranks than at the compressed level outside",
        packs.BAD_UNCOMPRESSED_PARENT: f"{tensor} is compressed at {level} but not at the level outside",
        packs.BAD_TARGET_NOT_KEPT: f"a SAF at {level} targets {tensor}, which neither that level nor one "
        "outside it has",
        packs.BAD_NESTED_SAF: f"the SAF on {at} removes {need:.3g} of the accesses, but the one outside it "
        f"removes {have:.3g} already",
        packs.BAD_OPERAND_STATE: f"gating and skipping leave an operand with density {need:.6g}",
        packs.BAD_BLOCK_SIZE: f"the block size of compressed {at} must be 1, 2, 4, 8, 16 or 32, or "
        f"64 for tiles of at least 500 blocks, got {need:g}",
        packs.BAD_NEGATIVE_FILLS: f"{at} would have {need:g} accesses",
        packs.BAD_TOO_MANY_GROUPS: f"more than {packs.MAX_BUCKETS} sizes of multicast groups for {tensor}",
        packs.BAD_SAF_CLASH: f"{at} is skipped spatially and by another SAF, but only one may skip it",
        packs.BAD_SPATIAL_ZERO: f"spatial skipping leaves no instance for {tensor} below {level}",
        packs.BAD_KEPT_NOWHERE: f"no level keeps dataspace {tensor}",
        packs.BAD_FACTORS: REASONS[packs.BAD_FACTORS],
        packs.BAD_ORDER: REASONS[packs.BAD_ORDER],
        packs.BAD_DISTRIBUTION: f"{tensor} has several multicast factors at {level} or outside it, but an "
        "M:N network needs one",
        packs.BAD_SPATIAL_LEADERS: f"spatial skipping of {at} has several leaders with metadata",
        packs.BAD_CHILDREN: f"spatial loops of {level} address {need:g} instances, at most "
        f"{packs.MAX_CHILDREN} are allowed",
        packs.BAD_COUNT: f"accesses and words of {at} must be at most {packs.MAX_COUNT:.3g}, got {need:.3g}",
        packs.BAD_TOTAL: "energy must be finite and at least 0 pJ and cycles at most "
        f"{packs.MAX_COUNT:.3g}, got {need:.3g} pJ and {have:.3g} cycles",
    }
    where = f"layer {layer.name}: " if name_layer else ""
    return MappingError(where + texts[status], level=level, need=need, have=have)


def _mesh(arch: Architecture, s: int) -> str:
    x, y = arch.total_mesh(len(arch.storage) - 1 - s)
    return f"{x} x {y}"
