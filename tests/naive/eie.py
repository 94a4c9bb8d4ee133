"""EIE cycle by cycle, with queues that are lists."""

from __future__ import annotations

from collections.abc import Sequence


def cycles_of(entries: Sequence[Sequence[int]], depth: int) -> int:
    """Of columns with so many entries in each PE, which are broadcast in their order."""
    columns, pes = len(entries), len(entries[0])
    queues: list[list[int]] = [[] for _ in range(pes)]
    left: list[int | None] = [None] * pes  # cycles that the column at the head still takes
    sent = cycle = 0
    while sent < columns or any(queues):
        cycle += 1
        is_full = any(len(queue) == depth for queue in queues)
        for k, queue in enumerate(queues):
            if not queue:
                continue
            remaining = left[k]
            if remaining is None:
                remaining = max(entries[queue[0]][k], 1)
            left[k] = remaining = remaining - 1
            if remaining == 0:
                queue.pop(0)
                left[k] = None
        if not is_full and sent < columns:
            for queue in queues:
                queue.append(sent)
            sent += 1
    return cycle


def memory_reads(slices: Sequence[tuple[int, int]], per_row: int) -> int:
    """Rows that are read for slices from one entry to before another."""
    return sum(len({entry // per_row for entry in range(begin, end)}) for begin, end in slices)


def entries_of(column: Sequence[int], gap: int) -> list[tuple[int, int]]:
    """(value, zeros before it) of the part of a column that one PE stores."""
    found, zeros = [], 0
    last = max((i for i, value in enumerate(column) if value), default=-1)
    for value in column[: last + 1]:
        if value or zeros == gap - 1:
            found.append((value, zeros))
            zeros = 0
        else:
            zeros += 1
    return found
