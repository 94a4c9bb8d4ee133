"""Products of sparse matrices, slowly and obviously, on dense arrays of zeros and ones."""

from __future__ import annotations

from collections import Counter

import numpy as np

Dense = np.ndarray


def row_counts(a: Dense, b: Dense, block: int) -> list[tuple[int, int, int, int]]:
    """Elements, fibers, outputs and partial outputs of each row."""
    found = []
    for row in a:
        inner = [k for k in np.flatnonzero(row) if b[k].any()]
        products = [(k, n) for k in inner for n in np.flatnonzero(b[k])]
        outputs, partials = {n for _, n in products}, {(k // block, n) for k, n in products}
        found.append((len(products), len(inner), len(outputs), len(partials)))
    return found


def swaps(lists: list[int], radix: int) -> int:
    """Of merging lists of so many elements, `radix` at a time; each list and element passes each time."""
    total = 0
    while len(lists) > 1:
        together = [lists[i : i + radix] for i in range(0, len(lists), radix)]
        total += sum(len(group) + sum(group) for group in together)
        lists = [sum(group) for group in together]
    return total


def missed_lines(accesses: list[int], lines: list[int], capacity: int) -> int:
    """Of a cache of single lines that leaves out what is needed last (Belady)."""
    stream = [(row, line) for row in accesses for line in range(lines[row])]
    uses: dict[tuple[int, int], list[int]] = {}
    for at, key in enumerate(stream):
        uses.setdefault(key, []).append(at)
    cached: set[tuple[int, int]] = set()
    missed = 0
    for at, key in enumerate(stream):
        uses[key].pop(0)
        missed += key not in cached
        cached.add(key)
        cached = {each for each in cached if uses[each]}
        if len(cached) > capacity:
            cached.remove(max(cached, key=lambda each: uses[each][0]))
        assert at < len(stream)
    return missed


def sigma_passes(a: Dense, slab: int, multipliers: int) -> int:
    """How often the multipliers are filled."""
    slabs = Counter(k // slab for _, k in np.argwhere(a))
    return sum(-(-nonzeros // multipliers) for nonzeros in slabs.values())


def fiber_bytes(nonzeros: int) -> int:
    """A value of 8 bytes and an index of 4 bytes each, indices in whole lines of 8 bytes."""
    return 8 * nonzeros + 8 * ((nonzeros + 1) // 2)
