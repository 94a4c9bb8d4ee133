"""Rectangular arrays that the kernels work on, and the table of their axes.

Kernels use indices instead of names. Axis letters:

    S  storage level, 0 = innermost          A  action: READ, FILL, UPDATE
    H  hardware level: 0 = compute, s + 1 = storage s
    D  dataspace, in the shape's order       O  outcome: RANDOM (actual), GATED, SKIPPED
    R  problem dim, in the shape's order     K  rank of a tensor format, 0 = bottom
    T  tiling level, 0 = innermost           U  unit of a rank: METADATA, PAYLOAD
    M  loop of the complete nest, 0 = innermost (T * R of them)
    B  mapping in a batch                    N  layer in a frozen network
    G  option of a SAF                       Q  leader of an option
    W  bucket of multicast traffic           X  axis of a mesh: X, Y
    E  network between two levels            L  lane: one of the mappings that are evaluated side by side

All arrays are C-contiguous, with integers as int64 and reals as float64, so that each kernel has one compiled
signature.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]

# A, O, U; the 20 actions of an energy vector: data, then metadata read, fill, update, then counts
READ, FILL, UPDATE, REDUCE, DRAIN = 0, 1, 2, 3, 4
RANDOM, GATED, SKIPPED = 0, 1, 2
METADATA, PAYLOAD = 0, 1
DATA_ACTIONS, METADATA_ACTIONS, DECOMPRESS, COMPRESS, N_ACTIONS = 0, 9, 18, 19, 20
UNLIMITED = -1.0

# loop fields
DIM, BOUND, KIND, LEVEL, STRIDE = 0, 1, 2, 3, 4
TEMPORAL, SPATIAL_X, SPATIAL_Y = 0, 1, 2
X, Y, INSTANCES = 0, 1, 2  # indices of the axes of a mesh
START, STOP = 0, 1  # ends of a slice
LEAST, MOST = 0, 1  # ends of a range
# ArchPack.tiling, .width, .limit, .support, .network, .wire, .transfer fields; LayerPack.term fields
TILING_LEVEL, IS_SPATIAL = 0, 1
WORD_BITS, BLOCK, CLUSTER, METADATA_WIDTH, METADATA_WORD = 0, 1, 2, 3, 4
SIZE, METADATA_BITS, MIN_WORDS, READ_BW, WRITE_BW, SHARED_BW = 0, 1, 2, 3, 4, 5
CAN_COMPRESS, CAN_DECOMPRESS, CAN_REDUCE, DISTRIBUTES, SHARES = 0, 1, 2, 3, 4
N_LEVEL, N_KIND, N_DIRECTION = 0, 1, 2
HOP_PJ, ROUTER_PJ, INGRESS_PJ, ADDER_PJ = 0, 1, 2, 3
T_NETWORK, T_DATASPACE, T_RECEIVERS, T_PJ = 0, 1, 2, 3
TERM_DIM, TERM_SIZE, TERM_COEFFICIENT = 0, 1, 2
# kinds and directions of networks
MESH, MULTICAST, REDUCTION_TREE = 0, 1, 2
BOTH, READS, UPDATES = 0, 1, 2
# density kinds; TABULATED: the caller supplies the answers (banded, actual data)
FIXED, HYPERGEOMETRIC, TABULATED = 0, 1, 2
# rank kinds
RANK_U, RANK_UOP, RANK_UB, RANK_RLE, RANK_CP, RANK_B = 0, 1, 2, 3, 4, 5
RANK_KIND, RANK_METADATA_BITS, RANK_PAYLOAD_BITS, RANK_LISTS = 0, 1, 2, 3
HAS_FORMAT, IS_COMPRESSED, N_RANKS, INNER_FIRST = 0, 1, 2, 3
# policy switches
ACTIVE, ANY_FORMAT, COMPUTE_GATING, COMPUTE_SKIPPING, ANY_SPATIAL = 0, 1, 2, 3, 4
SAF_KIND, SAF_LEVEL, SAF_OPTION0, SAF_OPTION1 = 0, 1, 2, 3
OPT_TARGET, OPT_LEADER0, OPT_LEADER1 = 0, 1, 2
SPATIAL_SKIPPING = 3  # SAF kinds: GATED, SKIPPED, and this
# NestPack.flow, .bucket, .lead, .kin fields
CONTENT, SHARE, PEER, LINK = 0, 1, 2, 3
B_MULTICAST, B_SCATTER, B_ACCESSES, B_HOPS = 0, 1, 2, 3
LEAD_LEVEL, LEAD_CHILD, LEAD_LOOP, LEAD_SCALAR = 0, 1, 2, 3
CHILD, PARENT = 0, 1
STEPS, UNITS, OPS, N_REAL = (
    0,
    1,
    2,
    3,
)  # products of temporal, of spatial, of all bounds; loops with bound > 1
# TablePack.given, SparsePack.coded, CostPack.network_pj fields, and those of a result
GIVEN_UNITS, GIVEN_COUNTS = 0, 1
DECOMPRESSIONS, COMPRESSIONS = 0, 1
TRAFFIC_PJ, LINKS_PJ, ADDERS_PJ = 0, 1, 2
PJ, CYCLES, STATUS = 0, 1, 2
READ_WORDS, WRITE_WORDS, FORMAT_READ_BITS, FORMAT_WRITE_BITS = 0, 1, 2, 3  # of CostPack.words
ANALYSE, FINISH, STACKED, COUNTED, COSTS_ONLY = (
    1,
    2,
    4,
    8,
    16,
)  # bits of the mode of `run`, see there
# mapping flags, one bit per dataspace
KEEP, NO_LINK, NO_MULTICAST, NO_REUSE = 0, 1, 2, 3
# accounting
ELIDE_FIRST_FILL, ELIDE_FIRST_READ, COUNT_ALL, TIMELOOP_4, COUNT_DRAINS = 0, 1, 2, 3, 4
FREE_FIRST_FILL = (ELIDE_FIRST_FILL, TIMELOOP_4, COUNT_DRAINS)

# status of a mapping; status.py describes the content of `info` for each
OK = 0
BAD_FANOUT = 1
BAD_CAPACITY = 2
BAD_METADATA_CAPACITY = 3
BAD_UTILIZATION = 4
BAD_INSTANCES = 5
BAD_RANK_COUNT = 6
BAD_RANK_ALIGNMENT = 7
BAD_NO_DECOMPRESSION = 8
BAD_NO_COMPRESSION = 9
BAD_MORE_CHILD_RANKS = 10
BAD_UNCOMPRESSED_PARENT = 11
BAD_TARGET_NOT_KEPT = 12
BAD_NESTED_SAF = 13
BAD_OPERAND_STATE = 14
BAD_BLOCK_SIZE = 15
BAD_NEGATIVE_FILLS = 16
BAD_TOO_MANY_GROUPS = 17
BAD_SAF_CLASH = 18
BAD_SPATIAL_ZERO = 19
BAD_KEPT_NOWHERE = 20
BAD_DISTRIBUTION = 21
BAD_FACTORS = 22
BAD_ORDER = 23
BAD_SPATIAL_LEADERS = 24
BAD_CHILDREN = 25
BAD_COUNT = 26
BAD_TOTAL = 27

LANES = 32  # mappings side by side: enough for the processor's vectors, few enough for its nearest cache
MAX_BUCKETS = 64
MAX_CHILDREN = 2**20  # instances that the spatial loops of one level address: they are listed one by one
MAX_COUNT = 2.0**53  # intermediate counts are doubles, which are exact only up to this number


class ArchPack(NamedTuple):
    tiling: Ints  # (T, 2) level, is spatial
    first_tiling: Ints  # (S + 1,) first tiling level of each storage level
    fan: Ints  # (S, X)
    mesh: Ints  # (H, 3) X, Y, instances
    width: Ints  # (S, 5) word bits, block, cluster, metadata width, default metadata word bits
    limit: Reals  # (S, 6) words, metadata bits, least words, read/write/shared words per cycle; UNLIMITED
    support: Ints  # (S, 5) compression, decompression, reduction, distributed multicast below; shares the
    # memory of the next level inside
    energy: Reals  # (S, 20) pJ per vector access
    compute_energy: Reals  # (O,) pJ per operation
    addr_gen: Reals  # (S,) pJ
    network: Ints  # (E, 3) in alphabetical order of their names: level outside, kind, direction
    wire: Reals  # (E, 4) pJ per hop, per router, per ingress, per addition
    transfer: (
        Reals  # (prices, 4) of multicasts: network, number of the dataspace, receivers, pJ; 0 is every one
    )
    latency: Ints  # (1,) cycles of filling and draining the networks

    @property
    def has_priced_networks(self) -> bool:
        """Whether any transfer between levels costs energy."""
        return bool(self.wire.any()) or len(self.transfer) > 0


class LayerPack(NamedTuple):
    bound: Ints  # (R,)
    term: Ints  # (terms, 3) dim, |coefficient|, coefficient
    side: Ints  # (D, coordinates + 1) slices of `term`
    relevant: Ints  # (D,) bit mask of dims
    plain: (
        Ints  # (D,) every coordinate moves with one dim, coefficient 1: boxes multiply, tiles never overlap
    )
    read_write: Ints  # (D,)
    words: Ints  # (D,) size of the whole tensor
    operand: Ints  # (2,) the read-only dataspaces
    real: Ints  # (R,) part of `bound` that exists; smaller than `bound` where imperfect factors cover more
    cut: Ints  # (1,) whether any dim is imperfect
    number: Ints  # (D,) number of the dataspace's name, the same on all layers


class DensityPack(NamedTuple):
    kind: Ints  # (D,)
    density: Reals  # (D,)


class TablePack(NamedTuple):
    """Answers to density queries of one mapping for TABULATED tensors, and counts from masks.

    Arrays that no flag refers to may have a single element.
    """

    start: Ints  # (S, D, 2) slice of the lists below
    k: Ints  # (entries,) occupancies, ascending
    p: Reals  # (entries,) their probability
    p0: Reals  # (entries, K + 1) probability that sub-tile r of such a tile is empty
    bounds: Ints  # (S, D, 2) least and largest occupancy
    expected: Reals  # (D,) nonzero fraction of single points
    lead: Reals  # (G, Q) probability that a leader tile is empty; < 0: it is part of `useful`
    useful: Reals  # (G,) share of accesses that meet nonzeros in all leaders whose masks are known
    given: Ints  # (D, 2) whether `units` and `fullest`, whether `counts`, `format` and `avg` hold for v
    units: Reals  # (S, D, K, U) expected format units of a tile
    fullest: Reals  # (S, D, K, U) those of the tile that takes most metadata bits
    spread: Reals  # (M, D, 2) box inside loop m: chance that it is empty, most nonempty ones along the loop
    led: Reals  # (G, M, 2) the same for the box of the leader of spatial skipping option g
    counts: Ints  # (S, D, A + 1, O); the last row has temporal reductions
    format: Ints  # (S, D, A, O, K, U)
    avg: Reals  # (H, D) average utilised instances
    compute: Ints  # (O,) the first < 0: not counted
    probe: Ints  # (1,) 1: stop when the entries are chosen


class PolicyPack(NamedTuple):
    switch: Ints  # (5,) active, any format, compute gating, compute skipping, any spatial skipping
    format: Ints  # (S, D, 4) has format, is compressed, number of ranks, inner-to-outer
    rank: Ints  # (S, D, K, 4) kind, metadata bits, payload bits, number of flattening lists
    flat: Ints  # (S, D, K, lists) bit masks of dims
    saf: Ints  # (SAFs, 4) kind, level, slice of options; in order of evaluation
    option: Ints  # (G, 3) target, slice of leaders
    leader: Ints  # (leaders,) dataspace


class MappingPack(NamedTuple):
    factor: Ints  # (B, T, R)
    order: Ints  # (B, T, R) dims, innermost first
    split: Ints  # (B, T) that many loops of a spatial level run along X
    flags: Ints  # (B, S, 4) bit masks of dataspaces: keep, no link, no multicast, no temporal reuse


class NestPack(NamedTuple):
    """The analysis of one mapping, as far as it does not depend on densities."""

    loop: Ints  # (M, 5) dim, bound, kind, level, stride
    real: Ints  # (M,) indices of the loops with bound > 1
    first_real: Ints  # (T + 1,) slices of them
    outside: Reals  # (M + 1,) product of the bounds of the temporal ones from that one on
    box: Ints  # (M + 1, D) words of the box inside that many loops with bound > 1 (0: one point)
    space: Ints  # (H, X) spatial expansion
    tile: Ints  # (S, D) words, bypassed or not
    kept: Ints  # (S, D)
    kin: Ints  # (S, D, 2) next kept level inside, outside; -1: none
    part: Ints  # (S, D) partition words
    flow: Reals  # (S, D, 4) content, share, peer, link transfers
    bucket: Reals  # (S, D, W, 4) multicast, scatter, accesses, hops
    n_bucket: Ints  # (S, D)
    remote: Reals  # (S, D, 4) the one bucket of a distributed multicast; no accesses: none
    fanout: Ints  # (S, D) children that the level's network serves, 0 outside the outermost kept level
    counts: Ints  # (S, D, 5) reads, fills, updates, temporal reductions; drains, which are among the reads
    ops: Ints  # (4,) STEPS, UNITS, OPS, N_REAL
    fiber: Ints  # (S, D, K) fiber length
    taken: Ints  # (S, D, K, 2) slice of the tensor's loops between child and level that rank r stands for
    sub: Ints  # (S, D, K + 1) words of the tile below rank r
    sub_loop: Ints  # (S, D, K + 1) that tile is the box inside this loop + 1 (0: one point)
    lead: Ints  # (G, 4) level that holds the target, its next kept level inside, target loop, is scalar
    lead_words: Ints  # (G, Q) words of the leader tile, 0: leader without effect
    lead_box: Ints  # (G, Q, R) its extents
    lead_loop: Ints  # (G, M) whether the leaders' boxes also cover the loop, beyond the target's box
    base_box: Ints  # (G, R) extents of the target's box
    ext: Ints  # (R,) scratch
    info: Reals  # (4,) details of a failure: level, dataspace, need, have
    key: Ints  # (children,) scratch: offset of each child
    order: Ints  # (children,) scratch
    served: Ints  # (children,) scratch
    span: Ints  # (mesh, 2) scratch: rows of a multicast group
    walk: Reals  # (3, M + 1, 2 M + 3) scratch of the temporal walk
    shift: Ints  # (M + 1, coordinates) scratch: translations
    group: Reals  # (2, W, 3) scratch: size, number, hops of multicast groups


class SparsePack(NamedTuple):
    """The sparse results of a nest for given densities."""

    space: Ints  # (H, D, X) expansion after spatial skipping
    avg: Reals  # (H, D) average utilised instances
    rho: Reals  # (S, D) density of a tile that is not empty
    occupancy: Reals  # (S, D) words of it
    units: Reals  # (S, D, K, U) expected format units of a tile
    capacity: Ints  # (S, D) most words
    capacity_units: Reals  # (S, D, K, U)
    ratio: Reals  # (S, D) vector accesses per full block, >= 1
    saf: Ints  # (S, D) kind of the entry, 0 = none (GATED, SKIPPED, SPATIAL_SKIPPING)
    saf_p: Reals  # (S, D) probability that an access is ineffectual
    saf_option: Ints  # (S, D) the option taken
    counts: Ints  # (S, D, A, O)
    format: Ints  # (S, D, A, O, K, U)
    reductions: Ints  # (S, D)
    coded: Ints  # (S, D, 2) decompressions, compressions
    compute: Ints  # (O,)
    compute_avg: Ints  # (1,)
    list_k: Ints  # (entries,) scratch
    list_p: Reals  # (entries,) scratch
    list_lo: Reals  # (entries,) scratch
    sweep: Reals  # (K + 1, 2) scratch: double-double
    work: Reals  # (S, D, A) scratch
    unit: Reals  # (K, U) scratch
    reach: Reals  # (H, D, 4) scratch of spatial skipping


class CostPack(NamedTuple):
    vector: Reals  # (S, D, 20) vector accesses per instance
    energy: Reals  # (S, D) pJ per instance
    clusters: Ints  # (S, D)
    words: Reals  # (S, D, 4) words read, written per instance; format words among them
    slowdown: Reals  # (S,)
    cycles: Ints  # (H,)
    level_pj: Reals  # (H,) all instances
    network_pj: Reals  # (E, D, 3) per instance of the outer level: traffic, links, additions
    total: Reals  # (2,) energy pJ, cycles


class RunPack(NamedTuple):
    """Further output of `run`, with a row for each mapping."""

    out: Reals  # (B, 3 + S + H or less) pJ, cycles, status, accesses of storage levels, pJ of hardware levels
    counts: Ints  # (B, S, D, A) accesses that happen, with COUNTED


class LanePack(NamedTuple):
    """Scratch arrays of mappings that are evaluated side by side. Whole numbers are doubles, too."""

    factor: Reals  # (T, R, L)
    place: Reals  # (T, R, L) position of the dim in its nest, from the inside
    split: Reals  # (T, L)
    kept: Reals  # (S, D, L)
    space: Reals  # (H, X, L)
    steps: Reals  # (H, L) product of the temporal factors from storage level h outward
    held: Reals  # (S, L) words that are kept
    counts: Reals  # (S, D, A, L) reads, fills, updates
    accesses: Reals  # (S, L)
    tile: Reals  # (S, D, L)
    groups: Reals  # (S, L) children that get different words, of the present dataspace as the next three
    words: Reals  # (S, L) that one child receives
    content: Reals  # (S, L) deliveries
    work: Reals  # (S, A, L)
    fiber: Reals  # (S, D, K, L)
    sub: Reals  # (S, D, K, L)
    lead_words: Reals  # (G, Q, L)
    p: Reals  # (S, D, L) probability that an access is ineffectual
    avg: Reals  # (S, D, L)
    rho: Reals  # (S, D, L)
    ratio: Reals  # (S, D, L)
    units: Reals  # (S, D, K, U, L)
    bits: Reals  # (S, L) format bits that are kept
    actual: Reals  # (S, D, A, O, L) where the outcome occurs
    format: Reals  # (S, D, A, O, K, U, L) where it occurs
    computes: Reals  # (L,) that remain
    left_out: Reals  # (D, L)
    unit: Reals  # (K, U, L) temporaries
    none: Reals  # (K + 1, L)
    rows: Reals  # (6, L)
    status: Reals  # (L,) so far
    energy: Reals  # (L,)
    compute: Reals  # (L,) cycles of the arithmetic
    cycles: Reals  # (L,)
    times: Reals  # (L,) temporaries
    nearest: Reals  # (L,)
    row: Reals  # (L,)


class SpacePack(NamedTuple):
    """A mapspace for the kernels. The pair of one factorisation per dim and one bypass choice is a candidate,
    written as R + 1 indices: of each dim's factorisation, then of the bypass choice.
    """

    start: Ints  # (R + 1,) slices of `rows`
    rows: Ints  # (factorisations of all dims, T)
    first_class: Ints  # (R + 1,) slices of the classes: factorisations of a dim with equal spatial factors
    class_start: Ints  # (classes + 1,) slices of `member`
    member: Ints  # (factorisations of all dims,) their numbers in the dim, class by class
    left: Ints  # (classes,) product of the factors in time
    decision: Ints  # (K, 2) dim, kind; the last one is taken first
    spread_at: Ints  # (R,) the decision on the spatial factors of a dim, -1: there are none
    rows_at: Ints  # (R,) the decision on its factors in time, -1: the class decides
    n_rows: Ints  # (1,) number of the latter, and the decision on what is kept
    widest: Ints  # (K + 1,) the most instances that decisions 0 .. r - 1 can use together
    floor: Reals  # (1 + S,) pJ and accesses of every level that no mapping is below
    place: Ints  # (T, R) dims, innermost first: fixed inner, free, fixed outer part
    free: Ints  # (T, 2) slice of `place` that is free
    loops: Ints  # (T, dims) `place` without dims of bound 1
    loops_free: Ints  # (T, 2) slice of `loops` that is free
    split: Ints  # (T,) that many loops run along X, -1: any
    axis: Ints  # (T, R) where a spatial loop over the dim runs: X, Y, 2: either
    fan: Ints  # (T, X) of the spatial tiling levels, 1 x 1 of the others
    keep: Ints  # (choices, S) bit masks of dataspaces
    flags: Ints  # (S, 4) as those of a MappingPack; none are kept
    parallelism: Reals  # (1,) least share of all instances
    most_loops: Ints  # (1,) loops in time with a bound above 1, at most


class BoundPack(NamedTuple):
    """The data on layer, policy and prices that a lower bound needs besides the factors."""

    compute: Reals  # (2,) least operations that take a cycle of a unit, least pJ of all operations
    leak: Reals  # (1,) least pJ that leak in a cycle
    left: Reals  # (SAFs,) least share of accesses that an entry leaves
    distinct: Ints  # (D,) bit masks of dims along which tiles never overlap
    switch: Ints  # (3,) whether accesses can be bounded, whether counts are exact, test the fan-out
    accounting: Ints  # (1,)
    existing: Reals  # (1,) least share of what loops cover that exists
    stored: Reals  # (D, W, 2) least stored share, least chance not to be empty of tiles no smaller than W


class CandidateWork(NamedTuple):
    """Scratch arrays of the enumeration and of the bounds."""

    used: Ints  # (K + 1, T, 3) instances along X, Y, and in all, by the decisions from r on
    least: Ints  # (K + 1, S, D) words of a tile at least
    rest: Reals  # (K + 1, D + 1) what deliveries are multiplied by for open factors, see `bound_tiles`
    extent: Ints  # (S, R)
    below: Ints  # (S, R) that of the spatial factors alone
    factor: Ints  # (T, R)
    ext: Ints  # (R,)
    tile: Ints  # (S, D)
    groups: Ints  # (S, D) children that get different words, at least
    children: Ints  # (S,)
    instances: Ints  # (S + 1,) of each storage level, then of the arithmetic
    words: Reals  # (S, D) deliveries to one child
    part: Ints  # (S, D) partition words, at most
    share: Reals  # (S, A + 1)
    moved: Reals  # (S, 2) words read, written
    out: Reals  # (2 + S,) a bound: cycles, pJ, accesses of every level
    real: Ints  # (R,) free dims with a loop
    choices: Ints  # (T, 2) orders, splits
    fixed: Ints  # (T, 2) zeros: no part of an order is free


class ChainPack(NamedTuple):
    """The data of a relaxation for one bypass choice. Axes: P prime, E divisor, W tile size."""

    bound: Ints  # (R,)
    divisor: Ints  # (R, E) of the bound, ascending, then zeros
    prime: Ints  # (R, P) of the bound, then zeros
    tiled: Ints  # (S, R, E) whether the divisor may be the extent of a tile of the level
    looped: Ints  # (S, R) whether the level may have a loop in time
    distinct: Ints  # (D,) bit masks of dims along which tiles never overlap
    disjoint: Ints  # (D,) whether no tiles overlap
    window: Ints  # (D,) bit masks of dims along which they do, where that is followed; else 0
    coordinate: Ints  # (D, R) that a dim moves
    coefficient: Ints  # (D, R) words that it moves in a step
    inside: Ints  # (S, R) masks of dims whose loops in a line are always further inside, and itself; 0
    flags: Ints  # (S, 4) as those of a MappingPack; none are kept
    size: Ints  # (D, W) words of possible tiles, ascending
    sizes: Ints  # (D,) how many of them there are
    share: Reals  # (S, D, A, W + 1) least part of the dense accesses that stays; at the end the least of all
    stored: Ints  # (S, D, W) words that a tile takes at least
    bits: Reals  # (S, D, W) metadata bits that it takes at least
    allowed: Ints  # (S, D, W) whether a tile may have the size
    span: Ints  # (S, D, 2) least and most words that a tile may take
    row: Reals  # (S, D, 2, W + 1, 13 + 2 K) prices of fills by their size, of other accesses by the child's
    rule: Reals  # (S, D, 2) share of accesses that rules of outer levels, of the level leave out
    outcome: Ints  # (S, D) what becomes of the latter
    coded: Ints  # (S, D) whether tiles have a format
    rank_bits: Reals  # (S, D, K, U)
    metadata_price: Reals  # (S, A) per access to metadata
    metadata_width: Ints  # (S,) bits of such an access
    room: Ints  # (S, 2) least and most words stored; -1: unlimited
    bit_room: Reals  # (S,)
    price: Reals  # (S, O, A) per vector access
    block: Ints  # (S,) words of a vector access
    most: Ints  # (S,) instances that are paid for, at most
    exact: Ints  # (1,) whether counts are those of a dense layer
    accounting: Ints  # (1,)


class ChainWork(NamedTuple):
    """Scratch arrays of a shortest path. Axes: J delivery, C code of the waiting deliveries, X state."""

    below: Ints  # (S, R) spatial extents of a tile of the level
    left: Ints  # (R,) bounds without the spatial factors
    number: Ints  # (R,) divisors of `left`
    stride: Ints  # (R + 1,) of a state's digits; the last is the number of states
    extent: Ints  # (R, E) those divisors
    outside: Ints  # (R, E) and what they leave
    step: Ints  # (R, E, P) place of the divisor that is so many times larger, -1: none
    tiled: Ints  # (S, R, E)
    children: Ints  # (S,)
    instances: Ints  # (S,)
    groups: Ints  # (S, D) children that get different words
    part: Ints  # (S, D) partition words
    delivery: Ints  # (J, 6) child level, parent level, dataspace, whether it waits, for each loop, in queue
    copies: Ints  # (J,) children of the parent that get different words
    queue: Ints  # (D, S) deliveries that wait, in the order of their levels
    opened: Ints  # (D,) of them: levels passed
    weight: Ints  # (D,) of a code's digits
    radix: Ints  # (D,)
    span: Ints  # (D,) of a digit: its value for a delivery that waits
    open: Ints  # (C, D) the number of the latest deliveries that wait
    fresh: Ints  # (C, D) how many of these have no loop yet, where windows are followed
    shift: Ints  # (S,) added to the codes at the end of a level
    digit: Ints  # (R,)
    ext: Ints  # (R,)
    floor: Reals  # (J,) of its cost
    live: Ints  # (C,) whether a path has the code
    leave: Reals  # (X,) cost at the end of a level
    rest: Reals  # (C,) lower bound of the remaining cost
    cost: Reals  # (J, X)
    place: Ints  # (D,) first row of `run` for a dataspace
    slot: Ints  # (R + 1,) rows of a delivery, by the dim of the loop that ends it; the last is their number
    run: Reals  # (N, X) costs of deliveries of windows that a loop ends
    value: Reals  # (C, X)


class CoveringPack(NamedTuple):
    """A class of mappings that cover at least some bounds, with scratch arrays. Axes: E extent, P step,
    J delivery that waits, C code of those that do, X state.
    """

    number: Ints  # (R,) extents of a dim
    stride: Ints  # (R,) of a state's digits
    extent: Ints  # (R, E) of the temporal loops so far, at least
    step: Ints  # (R, E, P) places of the next extents, 0: none
    below: Ints  # (S, R) spatial extents of a tile of the level
    looped: Ints  # (S, R) whether the level may have a loop in time
    room: Ints  # (S,) most words stored, -1: unlimited
    child: Ints  # (J,) level that is delivered to, -1: arithmetic
    of: Ints  # (J,) dataspace
    words: Reals  # (J, 2) that arrive at a child, that leave an instance of the parent, if each moves once
    free: Reals  # (J, 2) fills and reads that are not counted
    price: Reals  # (J, 4) of fills, reads, updates and drains, of all instances
    arriving: Reals  # (J, R, E) how often they arrive by the loops outside of an extent, at least
    sent: Reals  # (J, R, E) how often they are sent
    floor: Reals  # (J,) least cost
    queue: Ints  # (D, J) deliveries of a dataspace, in the order of their levels
    weight: Ints  # (D,) of a code's digits
    radix: Ints  # (D,)
    opened: Ints  # (D,) deliveries of levels passed
    shift: Ints  # (S,) added to the codes at the end of a level
    digit: Ints  # (R,)
    ext: Ints  # (R,)
    leave: Ints  # (X,) whether tiles have room
    live: Ints  # (C,) whether a path has the code
    rest: Reals  # (C,) lower bound of the remaining cost
    cost: Reals  # (J, X)
    value: Reals  # (C, X)
