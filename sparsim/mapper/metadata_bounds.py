"""Lower bounds of the metadata of tiles, for formats in which sizes determine them (model 9.2 to 9.4, 13.1).

These are ranks that take every loop of their tensor: one of them, or an offset rank above the single rank of
the level inside. There the child's tile decides: its rank is taken over if it has more than one word, and
there is nothing to store if not. Other formats count as nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sparsim.mapper.bound_constants import SearchArrays
from sparsim.model import arrays as packs
from sparsim.model.arrays import Ints, Reals
from sparsim.model.lower import reals

OCCUPIED = (packs.RANK_RLE, packs.RANK_CP, packs.RANK_B)  # formats with at least a unit for every nonzero


class Nested(NamedTuple):
    """A dataspace whose metadata at `level` depend on whether its tile at `child` has one word."""

    dataspace: int
    level: int
    child: int


def list_nested(low: SearchArrays, keep: Ints) -> list[Nested]:
    """Return the tensors of one bypass choice at levels of limited size."""
    found = []
    for v in range(len(low.layer.words)):
        kept = [s for s in range(len(keep)) if keep[s] >> v & 1]
        if len(kept) < 2 or low.arch.limit[kept[1], packs.SIZE] < 0:
            continue
        child, s = kept[:2]
        fixed = low.density.kind[v] == packs.FIXED and low.layer.plain[v]
        matching = fixed and _ranks(low, child, v) == 1 and _ranks(low, s, v) == 2
        if matching and low.policy.rank[s, v, 1, packs.RANK_KIND] == packs.RANK_UOP:
            found.append(Nested(v, s, child))
    return found


def _ranks(low: SearchArrays, s: int, v: int) -> int:
    """Return the number of ranks of a format whose ranks all take every loop, outer to inner; 0 for
    others.
    """
    has_format, compressed, ranks, inner_first = low.policy.format[s, v].tolist()
    if not (has_format and compressed) or inner_first or low.density.kind[v] == packs.TABULATED:
        return 0
    relevant = int(low.layer.relevant[v])
    lists = low.policy.rank[s, v, :ranks, packs.RANK_LISTS]
    takes_all = (lists == 1).all() and (low.policy.flat[s, v, :ranks, 0] & relevant == relevant).all()
    return int(ranks) if takes_all else 0


def least_bits(low: SearchArrays, size: Ints, most: Reals, keep: Ints, nested: Sequence[Nested]) -> Reals:
    """(S, D, W): bits of tiles of size (D, W) words with `most` (D, W) nonzeros; those of `nested` have a
    child's tile of more than one word.
    """
    bits = reals(len(keep), *size.shape)
    for v in range(len(size)):
        kept = [s for s in range(len(keep)) if keep[s] >> v & 1]
        if kept and _ranks(low, kept[0], v) == 1:
            bits[kept[0], v] = _occupied_bits(low, kept[0], v) * most[v]
    for v, s, child in nested:
        room, words = low.arch.limit[child, packs.METADATA_BITS], low.arch.limit[child, packs.SIZE]
        inside = size[v] > 1
        if words >= 0:
            inside &= (most[v] <= words) & (bits[child, v] <= room)
        offsets = int(low.policy.rank[s, v, 1, packs.RANK_PAYLOAD_BITS])
        share = most[v] / size[v]
        least = np.full(size.shape[1], np.inf)
        for c in np.unique(size[v, inside]).tolist():
            each = most[v] * np.minimum(1.0, c * share) * _occupied_bits(low, s, v)
            all_offsets = (size[v] // c + 1) * offsets * (most[v] > 0)
            least = np.where(size[v] % c == 0, np.minimum(least, each + all_offsets), least)
        bits[s, v] = least
    return bits * (1 - 1e-9)


def _occupied_bits(low: SearchArrays, s: int, v: int) -> int:
    """Return the metadata bits of a nonzero in the lowest rank."""
    kind, bits = low.policy.rank[s, v, 0, [packs.RANK_KIND, packs.RANK_METADATA_BITS]].tolist()
    return int(bits) if kind in OCCUPIED else 0
