"""Results of the study's stages on disk: a stage whose inputs have not changed is not run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gmp
import pointnet
import sparsim
from sparsim.file_writing import write_text

_PROGRAM = (".py", ".yaml", ".csv")  # files that results depend on


class Stages:
    """Stages with results in `folder`, one file each; `tell` gets a stage's name and whether it was done.

    A result is plain data that JSON holds. What a stage returns has been through JSON whether it ran now or
    earlier, so that both are the same.
    """

    def __init__(
        self, folder: Path, tell: Callable[[str, bool], object] = lambda name, is_kept: None
    ) -> None:
        self.folder, self._tell = folder, tell

    def run(self, name: str, inputs: Any, compute: Callable[[], Any], makes: Sequence[Path] = ()) -> Any:
        """The result of `compute`, called if `inputs` or the program changed, or one of `makes` is gone."""
        path = self.folder / f"{name}.json"
        key = digest_of([name, inputs, program_digest()])
        kept = _read(path)
        is_kept = kept is not None and kept.get("key") == key and all(file.exists() for file in makes)
        self._tell(name, is_kept)
        if kept is not None and is_kept:
            return kept["result"]
        text = json.dumps({"key": key, "result": compute()})
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
        return json.loads(text)["result"]


def digest_of(data: Any) -> str:
    """SHA-256 of plain data, in hex."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


@cache
def program_digest() -> str:
    """Of all sources and tables of this program: another program may find other numbers."""
    found = hashlib.sha256()
    for package in (sparsim.__file__, gmp.__file__, pointnet.__file__):
        folder = Path(str(package)).parent
        for path in sorted(p for p in folder.rglob("*") if p.suffix in _PROGRAM):
            found.update(path.relative_to(folder).as_posix().encode())
            found.update(path.read_bytes())
    return found.hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """None where there is no file, or one that is no result of ours."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None
