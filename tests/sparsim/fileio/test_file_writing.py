"""Files appear whole or not at all, in UTF-8, with the mode and at the place that they had."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from sparsim.fileio.json_and_csv import write_json
from sparsim.fileio.writing import replacing, write_bytes, write_text


def test_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def fail(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full") as error:
        write_bytes(path, b"new")
    assert error.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_interruption_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def interrupted() -> NoReturn:
        with replacing(path) as file:
            file.write(b"half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_need_not_last_appear_whole_without_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []
    monkeypatch.setattr(os, "fsync", waits.append)
    write_text(tmp_path / "text", "new", durable=False)
    write_json(tmp_path / "json", [1], durable=False)
    assert (tmp_path / "text").read_text(encoding="utf-8") == "new"
    assert {path.name for path in tmp_path.iterdir()} == {"text", "json"}
    assert not waits
    write_text(tmp_path / "text", "newer")
    assert len(waits) == 1


def test_text_is_utf_8_as_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "GL\u03a9B\r\n\udcff\n")
    assert (tmp_path / "file").read_bytes() == b"GL\xce\xa9B\r\n\\udcff\n"


def test_mode_and_links_are_kept(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    write_bytes(link, b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    fresh = tmp_path / ("n" * 255)  # as long as a name may be
    write_bytes(fresh, b"")
    umask = os.umask(0)
    os.umask(umask)
    assert fresh.stat().st_mode & 0o777 == 0o666 & ~umask


def test_pipes_and_devices_are_written_to(tmp_path: Path) -> None:
    write_bytes(os.devnull, b"gone")
    assert not Path(os.devnull).is_file()
    reader, writer = os.pipe()
    write_bytes(f"/dev/fd/{writer}", b"through")
    os.close(writer)
    with open(reader, "rb") as file:
        assert file.read() == b"through"
    assert not list(tmp_path.iterdir())


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        write_bytes(tmp_path / "none" / "file", b"")
    assert error.value.filename == str(tmp_path / "none" / "file")


def test_json_holds_numbers_of_numpy_and_kinds_of_text(tmp_path: Path) -> None:
    class Version(str):
        pass

    content = {
        "real": np.float64(0.5),
        "nan": np.float64("nan"),
        "count": np.int64(3),
        "text": Version("2.0"),
        "range": range(2),
    }
    write_json(tmp_path / "file.json", content)
    found = json.loads((tmp_path / "file.json").read_text(encoding="utf-8"))
    assert found == {"real": 0.5, "nan": None, "count": 3, "text": "2.0", "range": [0, 1]}
    with pytest.raises(TypeError):
        write_json(tmp_path / "file.json", object())
