"""Whatever goes wrong in a reader is one sentence that names the file; headers are checked against sizes."""

from __future__ import annotations

import io
import resource
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.named import naming

from sparsim.errors import FormatError, MappingError, SparsimError
from sparsim.fileio.array_files import load_arrays
from sparsim.fileio.reading import check_size, read_text, reading


class _OwnError(SparsimError):
    pass


@pytest.mark.parametrize(
    "raised",
    [
        ValueError("several\nlines"), KeyError("key"), RuntimeError(), MemoryError(), RecursionError(),
        OSError(13, "Permission denied"), AttributeError("x"), Warning("w"),
        UnicodeDecodeError("a", b"b", 0, 1, "r"),
    ],
    ids=repr,
)  # fmt: skip
def test_every_exception_is_one_sentence(raised: Exception) -> None:
    for kind in (FormatError, _OwnError):
        with pytest.raises(kind, match=r"^some.file: [^\n]+$"), reading("some.file", "text", kind):
            raise raised


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit(3), MappingError("ours")], ids=repr)
def test_what_is_ours_and_interruptions_pass(raised: BaseException) -> None:
    with pytest.raises(type(raised)) as caught, reading("some.file", "text"):
        raise raised
    assert caught.value is raised


def test_sizes() -> None:
    check_size("f", "it", 100, 100)
    with pytest.raises(FormatError, match=naming("101 100")):
        check_size("f", "it", 101, 100)
    with pytest.raises(FormatError, match="this machine has"):
        check_size("f", "it", 1 << 60, 1 << 61)


def test_text_ends(tmp_path: Path) -> None:
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfa\r\nb\rc\n")
    assert read_text(tmp_path / "bom") == "a\nb\nc\n"
    with pytest.raises(FormatError, match=naming("2")):
        read_text(tmp_path / "bom", limit=2)
    with pytest.raises(FormatError, match=naming("1,000")):
        read_text("/dev/zero", limit=1000)


def _npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def _npz(members: dict[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_read(save: Any, tmp_path: Path) -> None:
    arrays = {"a": np.arange(6).reshape(2, 3), "b": np.zeros((0, 4)), "c": np.array(["x", "yz"])}
    save(tmp_path / "all.npz", **arrays)
    found = load_arrays(tmp_path / "all.npz")
    assert isinstance(found, dict)
    assert list(found) == list(arrays)
    np.save(tmp_path / "f.npy", np.asfortranarray(arrays["a"]))
    for name, array in (*arrays.items(), ("f", arrays["a"])):
        one = load_arrays(tmp_path / "f.npy") if name == "f" else found[name]
        assert isinstance(one, np.ndarray)
        np.testing.assert_array_equal(one, array)


HEADER = _npy(np.zeros(0)).replace(b"(0,), }" + b" " * 12, b"(1000000000000,), }")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        HEADER, HEADER + bytes(64), _npy(np.zeros(8))[:-1], _npy(np.zeros(8)) + b"0", b"",
        b"text", b"\x93NUMPY",
        _npy(np.array([None])), _npy(np.zeros(2, [("x", "O")])), _npy(np.zeros(4)).replace(b"f8", b"Q("),
        b"\x93NUMPY\x03" + _npy(np.zeros(2))[7:], _npy(np.zeros(1)).replace(b"(1,)", b"(-1,"),
    ],
)  # fmt: skip
def test_headers_must_agree_with_what_is_there(content: bytes, compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.file"
    path.write_bytes(content)
    if compressed:
        _npz({"a.npy": content}, path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FormatError, match=r"a\.file: ") as error:
        load_arrays(path)
    assert error.value.path == str(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 18  # KiB


def test_flips_and_cuts_of_numpy_files(tmp_path: Path) -> None:
    """Every damaged file is refused, or a flip in what is no data has left the array as it was."""
    draw = np.random.default_rng(7)
    good = draw.random((30, 20)) < 0.3
    np.savez_compressed(tmp_path / "z.npz", good)
    np.savez(tmp_path / "s.npz", good)
    refused = 0
    for name in ("z.npz", "s.npz"):
        data = (tmp_path / name).read_bytes()
        for _ in range(150):
            spoiled = bytearray(data)
            for place in draw.integers(0, len(data), draw.integers(1, 4)):
                spoiled[place] ^= 1 << draw.integers(8)
            if draw.random() < 0.2:
                spoiled = spoiled[: draw.integers(len(data))]
            (tmp_path / "spoiled").write_bytes(spoiled)
            try:
                found = load_arrays(tmp_path / "spoiled")
            except FormatError:
                refused += 1
            else:
                assert isinstance(found, dict)
                assert all(np.array_equal(array, good) for array in found.values())
    assert refused > 200
