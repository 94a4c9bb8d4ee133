"""Compiled loops of sparse convolution: packed coordinates, hashing, kernel maps, gathering and scattering.

A coordinate (b, x, y, z) is packed into a key of 63 bits. Keys are equal exactly if the coordinates are
equal, and their order is the lexicographic order of the coordinates. Neighbours are computed and checked as
four numbers before they are packed, so that no offset carries into another axis or sample. Callers must pass
C-contiguous arguments that have been checked.
"""

from __future__ import annotations

import numpy as np

from sparsim.model.kernels.jit import compiled

BATCH_BITS, AXIS_BITS = 12, 17
SIDE = 1 << AXIS_BITS
HALF = SIDE >> 1  # coordinates are from -HALF to HALF - 1
EMPTY = np.int64(-1)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio (Knuth, volume 3, section 6.4)


@compiled
def packed(b, x, y, z):
    """Return the key of a coordinate; EMPTY if an axis is out of range."""
    x, y, z = x + HALF, y + HALF, z + HALF
    if x < 0 or x >= SIDE or y < 0 or y >= SIDE or z < 0 or z >= SIDE:
        return EMPTY
    return (((b * SIDE + x) * SIDE) + y) * SIDE + z


@compiled
def pack(coordinates, keys):
    """Pack coordinates (N, 4) into keys (N,)."""
    for i in range(len(keys)):
        c = coordinates[i]
        keys[i] = packed(np.int64(c[0]), np.int64(c[1]), np.int64(c[2]), np.int64(c[3]))


@compiled
def unpack(keys, coordinates):
    """Unpack keys (N,) into coordinates (N, 4)."""
    for i in range(len(keys)):
        rest = keys[i]
        for axis in range(3, 0, -1):
            coordinates[i, axis] = rest % SIDE - HALF
            rest //= SIDE
        coordinates[i, 0] = rest


@compiled
def _slot(key, shift):
    return np.int64((np.uint64(key) * _MULTIPLIER) >> np.uint64(shift))


@compiled
def insert(keys, table, rows, shift):
    """Fill a table of 2^(64 - shift) EMPTY slots. Returns the row of a duplicate, or -1."""
    last = len(table) - 1
    for i in range(len(keys)):
        slot = _slot(keys[i], shift)
        while table[slot] != EMPTY:
            if table[slot] == keys[i]:
                return i
            slot = (slot + 1) & last
        table[slot] = keys[i]
        rows[slot] = i
    return -1


@compiled
def _row_of(key, table, rows, shift):
    last = len(table) - 1
    slot = _slot(key, shift)
    while table[slot] != EMPTY:
        if table[slot] == key:
            return rows[slot]
        slot = (slot + 1) & last
    return np.int32(-1)


@compiled
def neighbours(begin, end, outputs, stride, offsets, table, rows, shift, mirrored, found):
    """Fill `found` (K, outputs) with the rows of the inputs at stride * output + offset, or -1 for none.

    `mirrored` is for kernels of stride 1 in which offset K - 1 - k is the negative of offset k: the second
    half is filled from the first half.
    """
    K, n = found.shape
    for k in range(begin, end):
        dx, dy, dz = offsets[k, 0], offsets[k, 1], offsets[k, 2]
        if mirrored and dx == 0 and dy == 0 and dz == 0:
            for i in range(n):
                found[k, i] = i
            continue
        if mirrored:
            found[K - 1 - k, :] = -1
        for i in range(n):
            key = packed(
                np.int64(outputs[i, 0]), outputs[i, 1] * stride[0] + dx, outputs[i, 2] * stride[1] + dy,
                outputs[i, 3] * stride[2] + dz,
            )  # fmt: skip
            row = np.int32(-1) if key == EMPTY else _row_of(key, table, rows, shift)
            found[k, i] = row
            if mirrored and row >= 0:
                found[K - 1 - k, row] = i


@compiled
def count_pairs(begin, end, found, counts):
    """Count the neighbours of each offset."""
    for k in range(begin, end):
        total = 0
        for i in range(found.shape[1]):
            total += found[k, i] >= 0
        counts[k] = total


@compiled
def list_pairs(begin, end, found, ends, inputs, outputs):
    """List the pairs by offset and then by output; those of offset k begin at ends[k]."""
    for k in range(begin, end):
        place = ends[k]
        for i in range(found.shape[1]):
            if found[k, i] >= 0:
                inputs[place] = found[k, i]
                outputs[place] = i
                place += 1


@compiled
def by_other_side(begin, end, ends, inputs, rows, found):
    """Fill `found` (K, inputs), which is -1 everywhere, with the output of each pair by its input."""
    for k in range(begin, end):
        for place in range(ends[k], ends[k + 1]):
            found[k, inputs[place]] = rows[place]


@compiled
def floor_keys(coordinates, stride, keys):
    """Compute the keys of floor(coordinate / stride)."""
    for i in range(len(keys)):
        c = coordinates[i]
        keys[i] = packed(
            np.int64(c[0]),
            np.int64(c[1]) // stride[0],
            np.int64(c[2]) // stride[1],
            np.int64(c[3]) // stride[2],
        )


@compiled
def reached_keys(coordinates, stride, offsets, limits, generative, keys):
    """Fill `keys` with the q that a kernel reaches, 0 <= q < limit (0: no limit), and return their number.

    With `generative` q = stride * coordinate + offset, otherwise stride * q + offset = coordinate. Keys of
    coordinates out of range are EMPTY.
    """
    n = 0
    q = np.zeros(3, np.int64)
    for i in range(len(coordinates)):
        for k in range(len(offsets)):
            met = True
            for axis in range(3):
                c = np.int64(coordinates[i, axis + 1])
                if generative:
                    q[axis] = c * stride[axis] + offsets[k, axis]
                else:
                    q[axis] = (c - offsets[k, axis]) // stride[axis]
                    met &= q[axis] * stride[axis] == c - offsets[k, axis]
                met &= limits[axis] == 0 or 0 <= q[axis] < limits[axis]
            if met:
                keys[n] = packed(np.int64(coordinates[i, 0]), q[0], q[1], q[2])
                n += 1
    return n


@compiled
def scatter_add(begin, end, rows, index, into):
    """Compute into[index[i]] += rows[i] in columns begin to end."""
    for i in range(len(index)):
        source, target = rows[i, begin:end], into[index[i], begin:end]
        for c in range(len(source)):  # loops that do not start at 0 are not vectorized
            target[c] += source[c]


@compiled
def fetch_on_demand(begin, end, features, weights, ends, inputs, outputs, result):
    """Compute result[out] += features[in] @ weights[k] for all pairs with begin <= out < end, unbuffered."""
    C, M = weights.shape[1:]
    for k in range(len(weights)):
        first = ends[k] + np.searchsorted(outputs[ends[k] : ends[k + 1]], begin)
        for place in range(first, ends[k + 1]):
            out = outputs[place]
            if out >= end:
                break
            row, target = features[inputs[place]], result[out]
            for c in range(C):
                x = row[c]
                if x != 0:
                    weight = weights[k, c]
                    for m in range(M):
                        target[m] += x * weight[m]
