"""Headers of PCD files, checked against the bytes that follow before a library allocates memory."""

import math
from pathlib import Path

from pointnet.errors import DataError
from sparsim.fileio.reading import check_size

LZF_RATIO = 88  # most bytes that LZF, which compresses PCD files, expands one byte to
MAX_HEADER_LINES = 64
_KEYS = ("FIELDS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "POINTS", "DATA")


def checked_pcd(path: Path) -> bytes:
    """The bytes of a PCD file whose header fits its data, with the header that the library wants.

    That has COUNT, which is 1 for each field where it is left out, POINTS, which are WIDTH x HEIGHT, names of
    fields in lower case, and the key FIELDS, which was COLUMNS once.
    """
    data = path.read_bytes()
    if not data:
        raise DataError(f"{path}: is empty")
    fields, end = _fields(data, path)
    counts = [int(count) for count in fields.setdefault("COUNT", ["1"] * len(fields["FIELDS"]))]
    sizes = [int(size) for size in fields["SIZE"]]
    grid = [int(fields[key][0]) for key in ("WIDTH", "HEIGHT") if key in fields]
    points = int(fields.setdefault("POINTS", [str(math.prod(grid))])[0])
    if min(points, *counts, *sizes) < 0:
        raise DataError(f"{path}: its header has a negative number")
    if "WIDTH" in fields and points != math.prod(grid):
        raise DataError(f"{path}: its header says {points} points, and another WIDTH x HEIGHT")
    declared = max(points, 1) * sum(size * count for size, count in zip(sizes, counts, strict=True))
    form, body = fields["DATA"][0].lower(), data[end:]
    if form == "ascii":  # a character and a blank per value
        check_size(path, "its data", 2 * max(points, 1) * sum(counts) - 1, len(body) + 1, DataError)
    elif form == "binary":
        check_size(path, "its data", declared, len(body), DataError)
    else:
        compressed, unpacked = (int.from_bytes(body[i : i + 4], "little") for i in (0, 4))
        check_size(path, "its compressed data", compressed, len(body) - 8, DataError)
        check_size(path, "its data", max(declared, unpacked), compressed * LZF_RATIO, DataError)
    fields["FIELDS"] = [name.lower() for name in fields["FIELDS"]]
    fields["TYPE"] = [kind.upper() for kind in fields.get("TYPE", [])]
    fields["DATA"] = [form]
    lines = (" ".join([key, *fields[key]]) for key in _KEYS if key in fields)
    return "".join(f"{line}\n" for line in lines).encode() + body


def _fields(data: bytes, path: Path) -> tuple[dict[str, list[str]], int]:
    """Return the entries of the header, by upper-case keys, and the offset of the data."""
    fields: dict[str, list[str]] = {}
    start = 0
    for _ in range(MAX_HEADER_LINES):
        end = data.find(b"\n", start) + 1
        if not end:
            break
        key, *values = data[start:end].partition(b"#")[0].decode("utf-8", "replace").split() or [""]
        start = end
        key = key.upper()
        if values:
            fields["FIELDS" if key == "COLUMNS" else key] = values
        if key == "DATA" and {"FIELDS", "SIZE"} <= set(fields) and {"POINTS", "WIDTH"} & set(fields):
            return fields, end
    raise DataError(f"{path}: has no PCD header with FIELDS, SIZE, POINTS and DATA")
