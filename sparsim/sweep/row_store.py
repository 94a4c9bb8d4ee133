"""Rows of sweeps on disk: append-only files of lines with checksums, and an index of them in memory.

A line is `KEY KIND STATUS CRC JSON`: the key of the point, the budget of the search or `ff` for bounds, a
letter for the status, the checksum of the rest of the line, and the row. Every run writes its own file, chunk
by chunk.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from sparsim.cache import warn_of_cache
from sparsim.errors import SpecError
from sparsim.sweep.sweep_row import Row, Status

# the kind of rows that have only bounds; the kind of others is the number of their search budget
BOUND = 0xFF
SUFFIX = ".rows"
LOCK_SUFFIX = ".lock"
SYNC_BYTES = 1 << 22
BLOCK_BYTES = 1 << 24
FRESH = 1 << 16  # number of new rows in a dict before they are merged into the sorted index
_HEAD = 47  # bytes of a line before its JSON
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
LETTERS: dict[tuple[Status, bool], str] = {
    ("ok", True): "o", ("ok", False): "p", ("infeasible", True): "i", ("infeasible", False): "j",
    ("failed", True): "f", ("failed", False): "g", ("bound", False): "b", ("bound", True): "c",
}  # fmt: skip
FINAL = frozenset(b"oif")  # the letters of rows that larger budgets do not change
FAILED = frozenset(b"fg")
_RECORD = np.dtype([
    ("high", "u8"), ("low", "u8"), ("kind", "u1"), ("letter", "u1"), ("part", "u4"), ("offset", "u8"),
    ("length", "u4"),
])  # fmt: skip
_DIGITS = np.full(256, 255, np.uint8)
_DIGITS[list(b"0123456789abcdef")] = np.arange(16)
Keys = NDArray[np.uint64]
Numbers = NDArray[np.int64]


class _Stored(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row as stored in a line; infinite numbers are null."""

    status: Status
    reason: str = ""
    metrics: dict[str, float | None] = {}
    components: dict[str, float | None] = {}
    bounds: dict[str, float | None] = {}
    is_final: bool = True


_decode = msgspec.json.Decoder(_Stored).decode
_encode = msgspec.json.Encoder().encode


def encode_row(key: str, kind: int, row: Row) -> bytes:
    """Return the line of a row. A row with a metric that is nan becomes a failed one."""
    for name, value in (*row.metrics.items(), *row.bounds.items()):
        if value != value or value == -np.inf:
            row = Row(key, "failed", f"{name} must be a number, got {value}")
    reason = row.reason.encode("utf-8", "backslashreplace").decode()
    stored = _Stored(row.status, reason, row.metrics, row.components, row.bounds, row.is_final)  # type: ignore[arg-type]
    head = f"{key} {kind:02x} {LETTERS[row.status, row.is_final]} ".encode()
    body = _encode(stored)
    return b"%s%08x %s\n" % (head, zlib.crc32(body, zlib.crc32(head)), body)


def decode_row(line: bytes) -> Row:
    """The row of a line."""
    stored = _decode(memoryview(line)[_HEAD:])
    return Row(
        line[:32].decode(), stored.status, stored.reason, _numbers(stored.metrics),
        _numbers(stored.components), _numbers(stored.bounds), stored.is_final,
    )  # fmt: skip


def _numbers(found: dict[str, float | None]) -> dict[str, float]:
    if None in found.values():
        return {name: np.inf if value is None else value for name, value in found.items()}
    return found  # type: ignore[return-value]


def keys_of(keys: Iterable[str]) -> Keys:
    """Return keys in hex as two numbers each, (n, 2)."""
    return np.frombuffer(bytes.fromhex("".join(keys)), ">u8").astype(np.uint64).reshape(-1, 2)


class RowStore:
    """Rows by key and kind in the files of one folder, which this process alone adds to.

    Later rows take the place of earlier ones, but rows that failed never that of others.

    Parameters
    ----------
    folder : Path
    shard : str, default "all"
        What this process writes; processes that write other shards may use the folder, too.
    others : sequence of Path
        Further folders, which are only read.
    forget_failed : bool
        Whether rows that failed before count as missing.
    warn : callable
        Told what is damaged.

    Raises
    ------
    SpecError
        If another process writes the same shard.
    """

    def __init__(
        self, folder: Path, shard: str = "all", others: Sequence[Path] = (), *, forget_failed: bool = False,
        warn: Callable[[str], object] = warn_of_cache,
    ) -> None:  # fmt: skip
        self._folder, self._warn, self._forgets = folder, warn, forget_failed
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder, shard)
        self._records = np.empty(1024, _RECORD)
        self._size = 0
        self._hashes = np.empty(0, np.uint64)
        self._order = np.empty(0, np.int64)
        self._fresh: dict[tuple[int, int, int], int] = {}
        self._paths: list[Path] = []
        self._files: dict[int, BinaryIO] = {}
        self._out: BinaryIO | None = None
        self._unsynced = 0
        try:
            for each in (*others, folder):
                for path in sorted(each.glob(f"*{SUFFIX}")):
                    self._read_part(path)
            self._sort()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RowStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._order) + len(self._fresh)

    def close(self) -> None:
        if self._out is not None:
            os.fsync(self._out.fileno())
            self._out.close()
        for file in self._files.values():
            file.close()
        self._out, self._files = None, {}
        self._lock.release()

    def append(self, lines: Sequence[bytes]) -> None:
        """Store the lines of `encode_row`; they are in the file when the method returns."""
        if self._out is None:
            self._out = self._new_part()
        part = len(self._paths) - 1
        offset = self._out.tell()
        data = b"".join(lines)
        self._out.write(data)
        self._out.flush()
        self._unsynced += len(data)
        if self._unsynced > SYNC_BYTES:
            os.fsync(self._out.fileno())
            self._unsynced = 0
        records: list[tuple[int, ...]] = []
        for line in lines:
            high, low, kind = int(line[:16], 16), int(line[16:32], 16), int(line[33:35], 16)
            self._fresh[high, low, kind] = self._size + len(records)
            records.append((high, low, kind, line[36], part, offset, len(line)))
            offset += len(line)
        self._add(np.array(records, _RECORD))
        if len(self._fresh) > max(FRESH, self._size // 4):
            self._sort()

    def find(self, keys: Keys, kind: int) -> Numbers:
        """Return the numbers of the rows with these keys, -1 where there is none."""
        found = np.full(len(keys), -1, np.int64)
        hashes = _hashes(keys[:, 0], kind)
        at = np.searchsorted(self._hashes, hashes)
        left = np.flatnonzero(at < len(self._hashes))
        while len(left):  # rows with equal hashes are adjacent
            left = left[self._hashes[at[left]] == hashes[left]]
            records = self._records[self._order[at[left]]]
            same = (records["high"] == keys[left, 0]) & (records["low"] == keys[left, 1])
            same &= records["kind"] == kind
            found[left[same]] = self._order[at[left[same]]]
            left = left[~same]
            at[left] += 1
            left = left[at[left] < len(self._hashes)]
        if self._fresh:
            for i, (high, low) in enumerate(keys.tolist()):
                found[i] = self._fresh.get((high, low, kind), found[i])
        return found

    def letters(self, numbers: Numbers) -> NDArray[np.uint8]:
        """Return the letters of rows (`LETTERS`); 0 where a number is -1."""
        found = self._records["letter"][np.maximum(numbers, 0)]
        return np.where(numbers < 0, np.uint8(0), found)

    def lines(self, numbers: Iterable[int]) -> Iterator[bytes]:
        """The lines of rows."""
        for part, offset, length in self._records[["part", "offset", "length"]][list(numbers)].tolist():
            if part not in self._files:
                self._files[part] = open(self._paths[part], "rb")  # noqa: SIM115
            yield os.pread(self._files[part].fileno(), length, offset)

    def copy_from_others(self) -> None:
        """Copy the rows that are only in other folders to this one."""
        parts = [i for i, path in enumerate(self._paths) if path.parent != self._folder]
        numbers = self._order[np.isin(self._records["part"][self._order], parts)]
        for start in range(0, len(numbers), 4096):
            self.append(list(self.lines(numbers[start : start + 4096].tolist())))

    def _add(self, records: NDArray[Any]) -> None:
        needed = self._size + len(records)
        if needed > len(self._records):
            grown = np.empty(max(needed, 2 * len(self._records)), _RECORD)
            grown[: self._size] = self._records[: self._size]
            self._records = grown
        self._records[self._size : needed] = records
        self._size = needed

    def _sort(self) -> None:
        """Index all records; only one record of each key and kind is kept."""
        records = self._records[: self._size]
        hashes = _hashes(records["high"], records["kind"])
        is_good = ~np.isin(records["letter"], list(FAILED))
        order = np.lexsort((is_good, records["low"], records["kind"], records["high"], hashes))
        ordered = records[order]
        is_last = np.ones(len(order), np.bool_)
        is_last[:-1] = (ordered["high"][1:] != ordered["high"][:-1]) | (
            ordered["low"][1:] != ordered["low"][:-1]
        )
        is_last[:-1] |= ordered["kind"][1:] != ordered["kind"][:-1]
        self._order = order[is_last]
        self._hashes = hashes[self._order]
        self._fresh = {}

    def _read_part(self, path: Path) -> None:
        part, offset, damaged = len(self._paths), 0, 0
        self._paths.append(path)
        rest = b""
        with open(path, "rb") as file:
            while block := file.read(BLOCK_BYTES):
                data = rest + block
                end = data.rfind(b"\n") + 1
                records, bad = _scan(data[:end])
                records["offset"] += np.uint64(offset)
                records["part"] = part
                self._add(records[~np.isin(records["letter"], list(FAILED))] if self._forgets else records)
                offset, rest, damaged = offset + end, data[end:], damaged + bad
        if damaged:  # a line without an end was left by a killed process, and does not count as damage
            self._warn(f"{path}: {damaged} damaged rows are ignored and will be computed again")

    def _new_part(self) -> BinaryIO:
        numbers = [path.stem for path in self._folder.glob(f"*{SUFFIX}") if path.stem.isdigit()]
        number = max(map(int, numbers), default=0) + 1
        while True:
            path = self._folder / f"{number:06}{SUFFIX}"
            try:
                file = open(path, "xb")  # noqa: SIM115
            except FileExistsError:  # another shard has created the file meanwhile
                number += 1
                continue
            self._paths.append(path)
            return file


def _hashes(high: Keys, kind: int | NDArray[np.uint8]) -> Keys:
    return high ^ (np.asarray(kind, np.uint64) * _SPREAD)


def _scan(data: bytes) -> tuple[NDArray[Any], int]:
    """Return the records of complete lines, their offsets from the beginning, and the number of damaged
    lines.
    """
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw == 10)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64) if len(ends) else ends
    long = ends - starts >= _HEAD
    damaged = int((~long).sum())
    starts, ends = starts[long], ends[long]
    head = raw[starts[:, None] + np.arange(_HEAD)] if len(starts) else np.empty((0, _HEAD), np.uint8)
    key, kind, crc = _DIGITS[head[:, :32]], _DIGITS[head[:, 33:35]], _DIGITS[head[:, 38:46]]
    sums = _number(crc).tolist()
    view = memoryview(data)
    good = np.fromiter(
        (
            zlib.crc32(view[start + _HEAD : end], zlib.crc32(view[start : start + 38])) == said
            for start, end, said in zip(starts.tolist(), ends.tolist(), sums, strict=True)
        ),
        np.bool_, len(starts),
    )  # fmt: skip
    good &= (key < 16).all(axis=1) & (kind < 16).all(axis=1)
    records = np.zeros(int(good.sum()), _RECORD)
    records["high"], records["low"] = _number(key[good, :16]), _number(key[good, 16:])
    records["kind"], records["letter"] = _number(kind[good]), head[good, 36]
    records["offset"], records["length"] = starts[good], (ends - starts)[good] + 1
    return records, damaged + int((~good).sum())


def _number(digits: NDArray[np.uint8]) -> Keys:
    found = np.zeros(len(digits), np.uint64)
    for column in digits.T:
        found = found * np.uint64(16) + column
    return found


def _lock(folder: Path, shard: str) -> Any:
    import filelock

    lock = filelock.FileLock(folder / f"{shard}{LOCK_SUFFIX}")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        text = f"another process is writing rows to {folder}"
        raise SpecError(text, hint="wait for it, or choose another folder") from None
    return lock
