"""Clouds and packs with flipped, foreign and missing bytes are read, or refused in one sentence."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.named import naming

from pointnet.data import Dataset, load_data
from pointnet.data.cloud_files import read_cloud
from pointnet.data.cloud_packs import write_pack
from pointnet.data.shapes import shapes
from pointnet.errors import DataError

CLOUD = np.random.default_rng(4).normal(size=(40, 3)).astype(np.float32)
TETRAHEDRON = "OFF\n4 4 6\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"
COUNT = "COUNT 1 1 1\n"
HEADER = (
    f"VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\n{COUNT}WIDTH 40\nHEIGHT 1\n"
    "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 40\nDATA "
)


def pcd(form: str, **changes: str) -> bytes:
    """A file of `CLOUD`; `changes` are other values of keys in its header."""
    lines = [line.split(" ", 1) for line in (HEADER + form).splitlines()]
    head = "\n".join(f"{key} {changes.get(key, value)}" for key, value in lines)
    if form == "binary":
        return f"{head}\n".encode() + CLOUD.tobytes()
    if form == "ascii":
        return f"{head}\n".encode() + "\n".join(" ".join(map(str, row)) for row in CLOUD).encode()
    lzf = pytest.importorskip("lzf")
    data = CLOUD.T.tobytes()
    packed = lzf.compress(data, 2 * len(data))
    return f"{head}\n".encode() + np.array([len(packed), len(data)], "<u4").tobytes() + packed


def read(path: Path) -> Any:
    return read_cloud(path, points=20, normals=False, key="k", seed=0)


def spoiled(data: bytes, draw: random.Random) -> bytes:
    """A few bytes changed, most of them in the first 200, where headers are; or the file cut off."""
    result = bytearray(data)
    reach = len(data) if draw.random() < 0.4 else min(len(data), 200)
    for _ in range(draw.choice([1, 2, 6])):
        place = draw.randrange(reach)
        result[place] = draw.choice(b"0123456789- .\n") if draw.random() < 0.5 else draw.randrange(256)
    return bytes(result if draw.random() < 0.9 else result[: draw.randrange(len(result))])


def check(data: bytes, path: Path, read: Callable[[Path], Any], tries: int) -> None:
    """No spoiled file ends in anything but an array or a DataError of one line that names the file."""
    draw, refused = random.Random(9), 0
    path.write_bytes(data)
    read(path)
    for _ in range(tries):
        path.write_bytes(spoiled(data, draw))
        try:
            read(path)
        except DataError as error:
            refused += 1
            said = str(error)
            if str(path) not in said or "\n" in said:
                raise
    assert refused


@pytest.mark.parametrize(
    "suffix", ["ascii.pcd", "binary.pcd", "binary_compressed.pcd", "off", "xyz", "npy", "npz"]
)
def test_spoiled_clouds(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"cloud.{suffix.rpartition('.')[2]}"
    if path.suffix == ".pcd":
        pytest.importorskip("pypcd4")
        data = pcd(suffix.partition(".")[0])
    elif path.suffix == ".off":
        pytest.importorskip("trimesh")
        data = TETRAHEDRON.encode()
    else:
        save = {".xyz": np.savetxt, ".npy": np.save, ".npz": np.savez_compressed}[path.suffix]
        save(path, CLOUD)
        data = path.read_bytes()
    check(data, path, read, tries=60)


@pytest.mark.parametrize("suffix", ["npz", "h5"])
def test_spoiled_packs(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"pack.{suffix}"
    data = shapes(train_per_class=3, test_per_class=1, points=16, seed=1)
    if suffix == "npz":
        write_pack(data, path)
    else:
        write_h5(path, data.train.points, data.train.labels)

    def load(path: Path) -> Dataset:
        return load_data(path, points=16)

    check(path.read_bytes(), path, load, tries=100)


def write_h5(path: Path, points: Any, labels: Any, **more: Any) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, value in {"data": points, "label": labels}.items():
            file.create_dataset(name, **value) if isinstance(value, dict) else file.__setitem__(name, value)


POINTS = np.random.default_rng(2).normal(size=(8, 16, 3)).astype(np.float32)
LABELS = np.arange(8) % 2


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        ({"shape": (10**8, 64, 3), "dtype": "f4", "chunks": (100, 64, 3)}, LABELS, "76,800,000,000"),
        (POINTS, {"shape": (10**12,), "dtype": "i8", "chunks": (1000,)}, "8,000,000,000,000"),
        (POINTS, np.append(LABELS[:-1], 10**9), "label 1000000000 8"),
        ({"shape": None, "dtype": "f4"}, LABELS, "data"),
        (POINTS, {"data": ["a"] * 8}, "label object"),
    ],
)
def test_what_hdf5_declares_must_be_stored(points: Any, labels: Any, message: str, tmp_path: Path) -> None:
    write_h5(tmp_path / "a.h5", points, labels)
    with pytest.raises(DataError, match=naming(f"a.h5 {message}")):
        load_data(tmp_path / "a.h5", points=16)


def test_links_in_a_circle(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"], file["other"] = h5py.SoftLink("/other"), h5py.SoftLink("/data")
    with pytest.raises(DataError, match=naming("a.h5 HDF5")):
        load_data(tmp_path / "a.h5", points=16)


@pytest.mark.parametrize("form", ["ascii", "binary", "binary_compressed"])
def test_pcd_headers_must_fit_the_data(form: str, tmp_path: Path) -> None:
    pytest.importorskip("pypcd4")
    path = tmp_path / "a.pcd"
    for changes in (
        {"POINTS": "1000000000000", "WIDTH": "1000000000000"}, {"COUNT": "1 1 1000000000"}, {"WIDTH": "41"},
        {"SIZE": "4 4 99999999999"}, {"POINTS": "-1", "WIDTH": "-1"}, {"POINTS": "9" * 5000}, {"SIZE": "4 4"},
    ):  # fmt: skip
        path.write_bytes(pcd(form, **changes))
        with pytest.raises(DataError, match=r"^[^\n]*a\.pcd: [^\n]*$"):
            read(path)


def test_pcd_headers_may_leave_out_counts(tmp_path: Path) -> None:
    pytest.importorskip("pypcd4")
    for form in ("ascii", "binary"):
        (tmp_path / "whole.pcd").write_bytes(pcd(form))
        (tmp_path / "short.pcd").write_bytes(pcd(form).replace(COUNT.encode(), b""))
        np.testing.assert_array_equal(read(tmp_path / "short.pcd"), read(tmp_path / "whole.pcd"))


@pytest.mark.parametrize("source", ["/dev/null", "x" * 5000, "", "a\0b"])
def test_sources_that_are_none(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"^[^\n]+$"):
        load_data(source, points=16)


def test_names_of_classes_that_are_no_text(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=POINTS, y=LABELS, classes=np.array([b"\xff", b"b"]))
    with pytest.raises(DataError, match=r"a\.npz: "):
        load_data(tmp_path / "a.npz", points=16)
