"""Files of single clouds, valid and spoiled."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypcd4 import Encoding, PointCloud
from support.named import naming

from pointnet.data import load_data
from pointnet.data.cloud_files import read_cloud
from pointnet.data.clouds import normalise
from pointnet.errors import DataError
from sparsim.errors import MissingLibraryError

Array = np.ndarray
TETRAHEDRON = "4 4 6\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3\n"


def a_cloud(points: int = 12, *, normals: bool = False, seed: int = 0) -> Array:
    random = np.random.default_rng(seed)
    xyz = random.normal(100, 30, (points, 3))
    if not normals:
        return xyz
    normal = random.normal(size=xyz.shape)
    return np.concatenate([xyz, normal / np.linalg.norm(normal, axis=1, keepdims=True)], axis=1)


def write_text(path: Path, cloud: Array, between: str = " ") -> None:
    path.write_text("\n".join(between.join(map(repr, row)) for row in cloud.tolist()) + "\n")


def write_pcd(path: Path, cloud: Array, encoding: Any = Encoding.BINARY) -> None:
    fields = ("x", "y", "z", "normal_x", "normal_y", "normal_z")[: cloud.shape[1]]
    types = (np.float32,) * len(fields)
    PointCloud.from_points(cloud.astype(np.float32), fields, types).save(path, encoding)


def write_npz(path: Path, cloud: Array) -> None:
    np.savez(path, points=cloud, other=np.arange(3))


WRITERS: dict[str, tuple[str, Callable[[Path, Array], None]]] = {
    "blanks": ("xyz", write_text),
    "commas": ("txt", lambda path, cloud: write_text(path, cloud, ",")),
    "npy": ("npy", np.save),
    "npz": ("npz", write_npz),
    "npz of one": ("npz", lambda path, cloud: np.savez(path, anything=cloud)),
    "pcd ascii": ("pcd", lambda path, cloud: write_pcd(path, cloud, Encoding.ASCII)),
    "pcd binary": ("pcd", write_pcd),
    "pcd compressed": ("pcd", lambda path, cloud: write_pcd(path, cloud, Encoding.BINARY_COMPRESSED)),
}


def read(path: Path, points: int, *, normals: bool = False, seed: int = 0) -> Array:
    return read_cloud(path, points=points, normals=normals, key=path.name, seed=seed)


def rows(cloud: Array) -> Array:
    """The points in sorted order."""
    return cloud[np.lexsort(cloud.T)]


@pytest.mark.parametrize("normals", [False, True], ids=["xyz", "normals"])
@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_gives_its_points(kind: str, normals: bool, tmp_path: Path) -> None:
    suffix, write = WRITERS[kind]
    cloud = a_cloud(normals=True)
    write(tmp_path / f"cloud.{suffix}", cloud)
    expected = normalise(cloud[None, :, : 6 if normals else 3], str)[0]
    got = read(tmp_path / f"cloud.{suffix}", 12, normals=normals)
    np.testing.assert_allclose(rows(got), rows(expected), atol=2e-6)


def numbered(points: int) -> Array:
    """A cloud whose normals tell the index of each point."""
    angle = np.arange(points) / points
    return np.c_[a_cloud(points), np.cos(angle), np.sin(angle), np.zeros(points)]


def numbers(cloud: Array, points: int) -> list[int]:
    return [round(float(angle) * points) for angle in np.arctan2(cloud[:, 4], cloud[:, 3])]


@pytest.mark.parametrize("kind", WRITERS)
def test_fewer_points_are_a_seeded_choice_of_all(kind: str, tmp_path: Path) -> None:
    suffix, write = WRITERS[kind]
    path = tmp_path / f"cloud.{suffix}"
    write(path, numbered(40))
    first, again, other = (numbers(read(path, 10, normals=True, seed=seed), 40) for seed in (0, 0, 1))
    assert first == again != other
    assert len(set(first)) == len(set(other)) == 10
    assert max(first + other) > 10  # not the first ten
    with pytest.raises(DataError, match=naming("40 41")):
        read(path, 41)


def test_files_of_other_names_are_drawn_otherwise_wherever_they_lie(tmp_path: Path) -> None:
    write_text(tmp_path / "a.xyz", numbered(40))

    def draw(key: str) -> list[int]:
        return numbers(read_cloud(tmp_path / "a.xyz", points=10, normals=True, key=key, seed=0), 40)

    assert draw("cup/a.xyz") != draw("cup/b.xyz")


def test_text_passes_over_comments_and_empty_lines(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text("# x y z\n\n0 0 0\n  # more\n2 0 0\n\n0 2 0\n")
    assert read(tmp_path / "a.xyz", 3).shape == (3, 3)
    (tmp_path / "marked.xyz").write_text("\ufeff0 0 0\n2 0 0\n0 2 0\n", encoding="utf-8")
    assert read(tmp_path / "marked.xyz", 3).shape == (3, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("# only a comment\n\n", "is empty"),
        ("0 0 0\n1 0\n0 1 0\n", "2 3"),
        ("0 0 0\n\n1 zero 0\n", "3 zero"),
        ("0,0,0\n1,,0\n", "2"),
        ("\0" * 999, "1"),
        ("# x y z\n0 0 0\n1 nan 0\n", "3 nan"),
        ("0 0 0\n1 -inf 0\n", "2 -inf"),
        ("0 0 0\n1 1e999 0\n", "2 1e999"),
        ("0 0\n1 1\n", "point 2 3 6"),
        ("0 0 0 9\n1 1 1 9\n", "point 4"),
        ("x y z\n1 2 3\n1 2 three\n", "3 three"),
        ("x y z\n1 2\n", "2 1"),
        ("3\n1 2 3\n4 5 6\n", "2 3"),
        ("1 2 3\n1 2 3\n", "points"),
        ("\xff\xfe", "0 UTF-8"),
    ],
)
def test_spoiled_text_is_refused_with_its_line(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=naming(f"a.xyz {message}")):
        read(tmp_path / "a.xyz", 2)


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(sorted(WRITERS)), at=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
def test_a_spoiled_file_is_read_or_refused_in_a_sentence(
    kind: str, at: float, byte: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever one changes: never another exception, and never a cloud that is not normalised."""
    suffix, write = WRITERS[kind]
    path = tmp_path_factory.mktemp("spoiled") / f"cloud.{suffix}"
    write(path, a_cloud())
    content = bytearray(path.read_bytes())
    position = int(at * (len(content) - 1))
    content[position:] = b"" if cut else bytes([byte]) + content[position + 1 :]
    path.write_bytes(content)
    refused = ""
    try:
        cloud = read(path, 12)
    except DataError as error:
        refused = str(error)
    if refused:
        assert str(path) in refused
        assert "\n" not in refused
    else:
        assert np.linalg.norm(cloud, axis=1).max() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("suffix", "array", "message"),
    [
        (
            "npy",
            np.zeros((2, 2, 3)),
            "float64 2 3 6",
        ),
        ("npy", np.array([["a", "b", "c"]]), "<U1"),
        ("npy", np.array([[None] * 3]), "Python"),
        ("npy", np.zeros((0, 3)), "float64 0 3"),
        ("npy", np.array([[0, 0, 0], [np.nan, 0, 0]]), "a number is not finite"),
        ("npz", {"a": np.eye(3), "b": np.eye(3)}, "points"),
        ("npz", {}, "points nothing"),
    ],
)
def test_arrays_that_are_no_cloud_are_refused(suffix: str, array: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    np.savez(path, **array) if suffix == "npz" else np.save(path, array, allow_pickle=True)
    with pytest.raises(DataError, match=naming(f"a.{suffix} {message}")):
        read(path, 2)


def test_pcd_without_xyz_and_without_all_its_points_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pcd"
    types = (np.float32,) * 3
    PointCloud.from_points(np.eye(3, dtype=np.float32), ("x", "y", "intensity"), types).save(path)
    with pytest.raises(DataError, match=naming("a.pcd")):
        read(path, 2)
    write_pcd(path, a_cloud(12), Encoding.ASCII)
    path.write_text("\n".join(path.read_text().splitlines()[:-2]) + "\n")
    with pytest.raises(DataError, match=naming("a.pcd 10 12")):
        read(path, 2)
    write_pcd(path, a_cloud())
    with pytest.raises(DataError, match=naming("a.pcd")):
        read(path, 2, normals=True)


def test_other_fields_of_a_pcd_are_left_out(tmp_path: Path) -> None:
    cloud = np.c_[np.arange(12) * 100, a_cloud()].astype(np.float32)
    fields = ("intensity", "x", "y", "z")
    PointCloud.from_points(cloud, fields, (np.float32,) * 4).save(tmp_path / "a.pcd")
    expected = normalise(cloud[None, :, 1:], str)[0]
    np.testing.assert_allclose(rows(read(tmp_path / "a.pcd", 12)), rows(expected), atol=1e-6)


PCD = (
    "VERSION 0.7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 12\nHEIGHT 1\n"
    "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 12\nDATA ascii\n"
)


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
@pytest.mark.parametrize(
    "header",
    [
        PCD,
        PCD.replace("COUNT 1 1 1\n", ""),
        PCD.upper(),
        PCD.lower(),
        PCD.replace("POINTS 12\n", ""),
        PCD.replace("FIELDS", "COLUMNS").replace("0.7", ".5").replace("HEIGHT 1\n", ""),
        PCD.replace(" ", "\t"),
    ],
    ids=["plain", "no COUNT", "upper case", "lower case", "no POINTS", "COLUMNS", "tabs"],
)
def test_headers_of_pcd_files_as_programs_write_them(header: str, encoding: str, tmp_path: Path) -> None:
    path, cloud = tmp_path / "a.pcd", a_cloud().astype(np.float32)
    if encoding == "ascii":
        write_text(path, cloud)
        body = path.read_bytes()
    else:
        body = cloud.tobytes()
        header = header.replace("ascii", "Binary").replace("ASCII", "BINARY")
    path.write_bytes(header.encode() + body)
    np.testing.assert_allclose(rows(read(path, 12)), rows(normalise(cloud[None], str)[0]), atol=1e-6)


@pytest.mark.parametrize(
    ("header", "between"),
    [
        ("x y z nx ny nz", " "),
        ("X,Y,Z,Normal_X,Normal_Y,Normal_Z", ","),
        ("//X Y Z Nx Ny Nz", " "),
        ('"x";"y";"z";"nx";"ny";"nz"', ";"),
        ("one two three four five six", "\t"),
        ("12", " "),
    ],
)
def test_a_first_line_of_a_text_cloud_may_be_a_header(header: str, between: str, tmp_path: Path) -> None:
    path, cloud = tmp_path / "a.txt", a_cloud(normals=True)
    write_text(path, cloud, between)
    path.write_text(f"{header}\n{path.read_text()}")
    expected = normalise(cloud[None], str)[0]
    np.testing.assert_allclose(rows(read(path, 12, normals=True)), rows(expected), atol=1e-6)


def test_a_header_says_which_columns_are_coordinates(tmp_path: Path) -> None:
    path, cloud = tmp_path / "a.txt", a_cloud()
    write_text(path, np.c_[cloud[:, 2], np.full((12, 3), 255.0), cloud[:, :2]])
    path.write_text(f"z r g b x y\n{path.read_text()}")
    np.testing.assert_allclose(rows(read(path, 12)), rows(normalise(cloud[None], str)[0]), atol=1e-6)
    with pytest.raises(DataError, match=naming("a.txt")):
        read(path, 12, normals=True)


@pytest.mark.parametrize(
    ("head", "vertex"),
    [
        ("COFF\n4 4 6", " 255 0 0 255"),
        ("COFF 4 4 6", " 0.5 0 0"),
        ("noff\n4 4 6", " 0 0 1"),
        ("CNOFF4 4 6", " 0 0 1 255 0 0 255"),
        ("NCOFF\n4 4", " 0 0 1 255 0 0 255"),
        ("STOFF\n4 4 6", " 0.5 0.5"),
        ("STCNOFF\n4 4 6", " 0 0 1 1 0 0 1 0.5 0.5"),
    ],
)
def test_more_than_coordinates_of_vertices_is_left_out(head: str, vertex: str, tmp_path: Path) -> None:
    lines = TETRAHEDRON.splitlines()
    (tmp_path / "plain.off").write_text("OFF\n" + TETRAHEDRON)
    more = [head, *(line + vertex for line in lines[1:5]), *lines[5:]]
    (tmp_path / "more.off").write_text("\n".join(more))
    plain, got = (
        read_cloud(tmp_path / name, points=20, normals=True, key="k", seed=0)
        for name in ("plain.off", "more.off")
    )
    assert np.array_equal(plain, got)


@pytest.mark.parametrize(
    "head", ["OFF\n", "OFF", "off\n# a comment\n\n", "OFF "], ids=["line", "none", "comment", "blank"]
)
def test_meshes_are_sampled_on_their_surface_whatever_their_first_line(head: str, tmp_path: Path) -> None:
    (tmp_path / "a.off").write_text(head + TETRAHEDRON)
    cloud = read(tmp_path / "a.off", 2000, normals=True)
    outwards = np.array([[0, 0, -1], [0, -1, 0], [-1, 0, 0], [3**-0.5] * 3])
    normal = cloud[:, 3:]
    face = np.argmax(normal @ outwards.T, axis=1)
    np.testing.assert_allclose(normal, outwards[face], atol=1e-6)
    areas = np.array([0.5, 0.5, 0.5, 0.75**0.5])
    assert np.bincount(face) / 2000 == pytest.approx(areas / areas.sum(), abs=0.04)
    for k in range(4):  # all points of a face lie in one plane
        assert np.ptp(cloud[face == k, :3] @ outwards[k]) < 1e-5
    assert np.array_equal(cloud, read(tmp_path / "a.off", 2000, normals=True))
    assert not np.array_equal(cloud, read(tmp_path / "a.off", 2000, normals=True, seed=1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("PLY\n" + TETRAHEDRON, "PLY OFF"),
        ("4OFF\n" + TETRAHEDRON, "4OFF OFF"),
        ("COFF BINARY\n", "has no numbers of vertices and faces after"),
        ("OFF\n", "OFF"),
        ("OFF\nfour 4 6\n", "has no numbers of vertices and faces"),
        ("OFF\n" + TETRAHEDRON[:-8], "7 4"),
        ("OFF\n" + TETRAHEDRON[:-3], "face 3 1 2"),
        ("OFF\n" + TETRAHEDRON.replace("3 1 2 3", "3 1 2 4"), "OFF"),
        ("OFF\n" + TETRAHEDRON.replace("0 1 0", "0 one 0"), "OFF"),
        ("OFF\n" + TETRAHEDRON.replace("0 1 0", "0 nan 0"), "a vertex is not finite"),
        ("OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n", "1"),
        ("OFF\n3 0 0\n0 0 0\n1 1 1\n2 2 2\n", "0"),
    ],
)
def test_spoiled_meshes_are_refused(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.off").write_text(content)
    with pytest.raises(DataError, match=naming(f"a.off {message}")):
        read(tmp_path / "a.off", 8)


@pytest.mark.parametrize(("name", "module"), [("a.off", "trimesh"), ("a.pcd", "pypcd4"), ("a.h5", "h5py")])
def test_a_missing_library_is_named_with_its_extra(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(wanted: str) -> Any:
        raise ModuleNotFoundError(f"No module named '{wanted}'")

    (tmp_path / name).write_text("OFF\n")
    monkeypatch.setattr(importlib, "import_module", missing)
    message = rf"{name} needs {module}, which is not installed \(pip install 'sparsim\[formats\]'\)"
    with pytest.raises(MissingLibraryError, match=message):
        load_data(tmp_path / name, points=8) if name == "a.h5" else read(tmp_path / name, 8)
