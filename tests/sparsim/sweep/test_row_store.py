"""Rows on disk: kept at once, found again, and damage noticed."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sparsim.errors import CacheWarning, SpecError
from sparsim.sweep.row_store import BOUND, RowStore, decode_row, encode_row, keys_of
from sparsim.sweep.sweep_row import Row


def key(i: int) -> str:
    return f"{i * 0x9E3779B97F4A7C15 % 2**128:032x}"


def row(i: int, **fields: object) -> Row:
    return Row(**{"key": key(i), "status": "ok", "metrics": {"cycles": float(i)}, **fields})


def fill(folder: Path, numbers: range, kind: int = 0) -> None:
    with RowStore(folder) as store:
        for i in numbers:
            store.append([encode_row(key(i), kind, row(i))])


def read(store: RowStore, i: int, kind: int = 0) -> Row | None:
    (number,) = store.find(keys_of([key(i)]), kind).tolist()
    return decode_row(next(store.lines([number]))) if number >= 0 else None


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [
        row(1, components={"DRAM": 0.1}, bounds={"energy_pj": math.inf}, is_final=False),
        row(2, status="failed", reason="Ü\n\udcff" + "\x00 '\""),
        row(3, status="infeasible", reason="no mapping"),
        row(4, status="bound", metrics={"area_mm2": 0.1}),
    ]
    with RowStore(tmp_path) as store:
        store.append([encode_row(each.key, 3, each) for each in rows])
        before = [read(store, i, 3) for i in range(1, 5)]
    with RowStore(tmp_path) as store:
        assert [read(store, i, 3) for i in range(1, 5)] == before
        assert read(store, 1, 0) is None
    assert before[0] == rows[0]
    assert before[2:] == rows[2:]
    assert before[1].reason == "Ü\n\\udcff\x00 '\""


def test_a_metric_that_is_no_number_fails() -> None:
    assert decode_row(encode_row(key(1), 0, row(1, metrics={"cycles": math.nan}))).status == "failed"


def test_many_rows_in_blocks_of_all_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparsim.sweep.row_store.BLOCK_BYTES", 1000)
    monkeypatch.setattr("sparsim.sweep.row_store.FRESH", 50)
    fill(tmp_path, range(300))
    fill(tmp_path, range(300, 500), kind=BOUND)
    with RowStore(tmp_path) as store:
        found = store.find(keys_of(map(key, range(500))), 0)
        assert (found >= 0).tolist() == [True] * 300 + [False] * 200
        lines = list(store.lines(found[:300].tolist()))
        assert [decode_row(line).metrics["cycles"] for line in lines] == list(range(300))
        assert len(store) == 500


def test_equal_hashes_are_told_apart(tmp_path: Path) -> None:
    """Keys with the same first half, which the index is sorted by."""
    keys = [f"{7:016x}{i:016x}" for i in range(20)]
    with RowStore(tmp_path) as store:
        store.append([encode_row(k, i % 2, Row(k, "ok", str(i))) for i, k in enumerate(keys)])
    with RowStore(tmp_path) as store:
        for kind in (0, 1):
            found = store.find(keys_of(keys), kind)
            assert (found >= 0).tolist() == [i % 2 == kind for i in range(20)]
            reasons = [decode_row(line).reason for line in store.lines(found[found >= 0].tolist())]
            assert reasons == [str(i) for i in range(kind, 20, 2)]


def test_a_torn_end_is_dropped_and_damage_is_told(tmp_path: Path) -> None:
    fill(tmp_path, range(10))
    (part,) = tmp_path.glob("*.rows")
    data = part.read_bytes()
    part.write_bytes(data[:-5])
    with RowStore(tmp_path) as store:  # no warning
        assert [read(store, i) is not None for i in range(10)] == [True] * 9 + [False]
    lines = data.splitlines(keepends=True)
    lines[3] = lines[3].replace(b"cycles", b"circus")
    lines[5] = lines[5][:40] + b"\n"
    lines[7] = b"\xff" + lines[7][1:]
    part.write_bytes(b"".join(lines))
    with pytest.warns(CacheWarning):
        store = RowStore(tmp_path)
    with store:
        assert [i for i in range(10) if read(store, i) is None] == [3, 5, 7]
        store.append([encode_row(key(3), 0, row(3))])
        assert read(store, 3) == row(3)


@pytest.mark.parametrize("at", range(0, 150, 7))
def test_every_changed_byte_is_noticed(tmp_path: Path, at: int) -> None:
    fill(tmp_path, range(2))
    (part,) = tmp_path.glob("*.rows")
    data = bytearray(part.read_bytes())
    data[at] ^= 1
    part.write_bytes(data)
    found = []
    with RowStore(tmp_path, warn=found.append) as store:
        left = [i for i in range(2) if read(store, i) is not None]
        assert all(read(store, i) == row(i) for i in left)
    assert found
    assert len(left) < 2


def test_later_rows_replace_failed_ones_and_no_others(tmp_path: Path) -> None:
    failed = encode_row(key(1), 0, row(1, status="failed", reason="first"))
    with RowStore(tmp_path) as store:
        store.append([failed])
    with RowStore(tmp_path, forget_failed=True) as store:
        assert read(store, 1) is None
        store.append([encode_row(key(1), 0, row(1))])
        assert read(store, 1) == row(1)
    with RowStore(tmp_path) as store:
        store.append([failed])
    with RowStore(tmp_path) as store:
        assert read(store, 1) == row(1)


def test_rows_of_other_folders(tmp_path: Path) -> None:
    fill(tmp_path / "a", range(5))
    fill(tmp_path / "b", range(3, 8))
    with RowStore(tmp_path / "c", others=[tmp_path / "a", tmp_path / "b"]) as store:
        assert all(read(store, i) == row(i) for i in range(8))
        store.copy_from_others()
    with RowStore(tmp_path / "c") as store:
        assert all(read(store, i) == row(i) for i in range(8))


def test_one_writer(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from sparsim.sweep.row_store import RowStore\n"
        "store = RowStore(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdin is not None
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(SpecError):
            RowStore(tmp_path)
        RowStore(tmp_path, "1-of-2").close()
    finally:
        other.kill()
        other.communicate()
    RowStore(tmp_path).close()


def test_keys_are_128_bits() -> None:
    assert keys_of([f"{2**64 + 5:032x}"]).tolist() == [[1, 5]]
    assert keys_of([]).shape == (0, 2)
    assert keys_of([key(3)]).dtype == np.uint64
