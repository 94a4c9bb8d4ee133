"""Reader of single clouds: text (xyz, txt), NumPy (npy, npz), PCD, and OFF meshes, whose surface is
sampled.
"""

import io
import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointnet.data.clouds import Points, channels_wanted, check_count, normalise
from pointnet.data.pcd_header import checked_pcd
from pointnet.errors import DataError
from sparsim.errors import require
from sparsim.fileio.array_files import load_arrays
from sparsim.fileio.reading import read_text as read_whole
from sparsim.fileio.reading import reading

Array = NDArray[np.float64]
TEXT = "utf-8-sig"  # some programs begin a file with a byte order mark
NORMALS = ("normal_x", "normal_y", "normal_z")  # names of the point cloud library
NORMAL_NAMES = (NORMALS, ("nx", "ny", "nz"))
_OFF = re.compile(r"(?:ST)?(?:C?N|NC|C)?OFF(?![A-Z])", re.IGNORECASE)


def read_cloud(path: Path, *, points: int, normals: bool, key: str, seed: int) -> Points:
    """A normalised cloud (points, 3 or 6).

    A mesh is sampled, of any other file a random choice is taken, since the points of a scan come in
    its order. `seed` and `key`, a name that does not depend on where the data lies, decide the draw. Raises
    DataError, which names the file, for anything that cannot be used.
    """
    random = np.random.default_rng([seed, zlib.crc32(key.encode())])
    suffix = path.suffix.lower()
    with reading(path, suffix[1:].upper(), DataError):
        if suffix == ".off":
            array = _sample_mesh(path, points, normals, random)
        else:
            array = CLOUD_READERS[suffix](path)
            array = array[:, : channels_wanted(array.shape[1], normals, str(path))]
            check_count(len(array), points, str(path))
            array = random.permutation(array)[:points]
        return _normalised(array, path)


def read_first(path: Path, *, points: int, normals: bool) -> Points:
    """Read the first `points` lines of a text file as a normalised cloud (points, 3 or 6)."""
    with reading(path, "text", DataError):
        array = read_text(path, points)
        check_count(len(array), points, str(path))
        return _normalised(array[:, : channels_wanted(array.shape[1], normals, str(path))], path)


def _normalised(array: Array, path: Path) -> Points:
    (cloud,) = normalise(array[None], lambda _: str(path))
    return np.asarray(cloud)


def read_lines(path: Path) -> list[str]:
    """Return the lines of a text file. Raises DataError if it is missing or not text."""
    return read_whole(path, error=DataError).splitlines()


def read_names(path: Path) -> list[tuple[int, str]]:
    """Return the names in a list, one per line, with their line numbers."""
    names = [(number, line.strip()) for number, line in enumerate(read_lines(path), 1) if line.strip()]
    if not names:
        raise DataError(f"{path}: is empty")
    return names


def read_text(path: Path, rows: int | None = None) -> Array:
    """Numbers (rows, columns) between commas, semicolons or blanks.

    Empty lines and those with # are passed over. The first line may name the columns, of which x, y, z and
    normals are then taken, or be the number of points.
    """
    with path.open(encoding=TEXT) as file:
        lines = [line for _, line in islice(_data_lines(file), None if rows is None else rows + 1)]
    if not lines:
        raise DataError(f"{path}: is empty")
    columns = _header(lines)
    if columns is not None:
        declared, lines = lines[0].strip(), lines[1:]
        if rows is None and declared.isdecimal() and int(declared) != len(lines):
            raise DataError(f"{path}: holds {len(lines)} points, its first line says {declared}")
    lines = lines[:rows]
    try:
        array = np.loadtxt(lines, delimiter=_separator(lines[0]), ndmin=2, usecols=columns or None)
    except ValueError as error:
        raise DataError(_first_wrong_line(path) or f"{path}: {error}") from error
    if not np.isfinite(array).all():
        raise DataError(_first_wrong_line(path) or f"{path}: a number is not finite")
    return array


def _separator(line: str) -> str | None:
    return next((mark for mark in ",;" if mark in line), None)


def _header(lines: Sequence[str]) -> list[int] | None:
    """Return the columns that a first line asks for, or [] for all; None if the line is a point and not a
    header.
    """
    first = [field.strip(" \t\r\n\"'").lower() for field in lines[0].lstrip("/ ").split(_separator(lines[0]))]
    if len(lines) < 2:
        return None
    if len(first) == 1 and first[0].isdecimal() and len(lines[1].split(_separator(lines[1]))) > 1:
        return []
    if not all(field[:1].isalpha() and not _is_number(field) for field in first):
        return None
    if not set("xyz") <= set(first):
        return []
    names = next((n for n in NORMAL_NAMES if set(n) <= set(first)), ())
    return [first.index(name) for name in (*"xyz", *names)]


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _data_lines(file: Any) -> Iterator[tuple[int, str]]:
    """Return the lines with data, with their numbers."""
    return ((number, line) for number, line in enumerate(file, 1) if line.strip() and line.lstrip()[0] != "#")


def _first_wrong_line(path: Path) -> str:
    """Describe the first wrong line, which is searched only after the fast reader has failed."""
    columns = 0
    with path.open(encoding=TEXT) as file:
        lines = list(_data_lines(file))
        header = _header([line for _, line in lines[:2]]) is not None
        for number, line in lines[header:]:
            fields = line.split(_separator(line))
            for field in fields:
                if not _is_number(field):
                    return f"{path}: line {number}: '{field.strip()[:20]}' is not a number"
                if not math.isfinite(float(field)):
                    return f"{path}: line {number}: '{field.strip()}' is not finite"
            columns = columns or len(fields)
            if len(fields) != columns:
                return f"{path}: line {number}: has {len(fields)} columns, the lines before have {columns}"
    return ""


def _read_numpy(path: Path) -> Array:
    loaded = load_arrays(path, DataError)
    if isinstance(loaded, dict):
        if len(loaded) != 1 and "points" not in loaded:
            raise DataError(
                f"{path}: must hold one array or 'points', holds {', '.join(loaded) or 'nothing'}"
            )
        loaded = loaded["points" if "points" in loaded else next(iter(loaded))]
    if loaded.ndim != 2 or loaded.dtype.kind not in "fiu" or not loaded.size:
        raise DataError(
            f"{path}: must be numbers of shape (points, 3 or 6), got {loaded.dtype} of shape {loaded.shape}"
        )
    return np.asarray(loaded, dtype=np.float64)


def _read_pcd(path: Path) -> Array:
    pypcd4 = require("pypcd4", f"reading {path}", "formats")
    cloud = pypcd4.PointCloud.from_fileobj(io.BytesIO(checked_pcd(path)))
    fields = tuple(cloud.fields)
    if not {"x", "y", "z"} <= set(fields):
        raise DataError(f"{path}: must have the fields x, y and z, has {', '.join(fields)}")
    wanted = ("x", "y", "z", *NORMALS) if set(NORMALS) <= set(fields) else ("x", "y", "z")
    array = np.asarray(cloud.numpy(wanted), dtype=np.float64)
    if len(array) != cloud.metadata.points:
        raise DataError(f"{path}: holds {len(array)} points, its header says {cloud.metadata.points}")
    return array


def _sample_mesh(path: Path, points: int, normals: bool, random: np.random.Generator) -> Array:
    """Return points uniform on the surface (points, 3), with the normals of their faces (points, 6) if
    wanted.
    """
    trimesh = require("trimesh", f"reading {path}", "formats")
    text = _off_text(path)
    loaded = trimesh.exchange.off.load_off(trimesh.util.wrap_as_stream(text))
    mesh = trimesh.Trimesh(loaded["vertices"], loaded["faces"], process=False)
    if not np.isfinite(mesh.vertices).all():
        raise DataError(f"{path}: a vertex is not finite")
    if not (len(mesh.faces) and mesh.area > 0):
        raise DataError(f"{path}: its {len(mesh.faces)} faces have no area")
    xyz, faces = trimesh.sample.sample_surface(mesh, points, seed=random)
    return np.concatenate([xyz, mesh.face_normals[faces]], axis=1) if normals else np.asarray(xyz)


def _off_text(path: Path) -> str:
    """Return the text of a complete OFF file, with counts on their own line, and coordinates on the others.

    Many files of ModelNet begin with `OFF490 518 0`; the library takes a file that was cut off; and in COFF,
    NOFF or STCNOFF files colours, normals and texture coordinates follow the coordinates of a vertex.
    """
    lines = [line for line in (line.partition("#")[0].strip() for line in read_lines(path)) if line]
    if not lines:
        raise DataError(f"{path}: is empty")
    head = _OFF.match(lines[0])
    if not head:
        raise DataError(
            f"{path}: begins with '{lines[0][:20]}', an OFF file begins with 'OFF', 'COFF', 'NOFF' or 'STOFF'"
        )
    lines = [line for line in (lines[0][head.end() :].strip(), *lines[1:]) if line]
    counts = lines[0].split() if lines else []
    if len(counts) < 2 or not all(count.isdecimal() for count in counts):
        raise DataError(f"{path}: has no numbers of vertices and faces after 'OFF'")
    vertices, faces = int(counts[0]), int(counts[1])
    if len(lines) - 1 < vertices + faces:
        raise DataError(
            f"{path}: is cut off: {len(lines) - 1} lines for {vertices} vertices and {faces} faces"
        )
    for line in lines[1 + vertices : 1 + vertices + faces]:
        corners = line.split()
        if not corners[0].isdecimal() or len(corners) - 1 < int(corners[0]):
            raise DataError(f"{path}: a face must be a count and its corners, got '{line[:40]}'")
    lines[1 : 1 + vertices] = [" ".join(line.split()[:3]) for line in lines[1 : 1 + vertices]]
    return "\n".join(["OFF", *lines])


CLOUD_READERS: dict[str, Callable[[Path], Array]] = {
    ".npy": _read_numpy,
    ".npz": _read_numpy,
    ".pcd": _read_pcd,
    ".txt": read_text,
    ".xyz": read_text,
}
SUFFIXES = (*CLOUD_READERS, ".off")
