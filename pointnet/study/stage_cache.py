"""Results of the study's stages on disk: a stage whose inputs have not changed is not run again."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gmp
import pointnet
import sparsim
from sparsim.errors import SparsimWarning
from sparsim.fileio.writing import write_text

_PROGRAM = (".py", ".yaml", ".csv")  # files that results depend on


class Stages:
    """Stages with results in `folder`, one file each; `tell` gets a stage's name and whether it was done.

    A result is plain data that JSON holds. What a stage returns has been through JSON whether it ran now or
    earlier, so that both are the same. A stage file holds checksums of its result and of the files that the
    stage made; where one is wrong, there is a SparsimWarning and the stage runs again.
    """

    def __init__(
        self, folder: Path, tell: Callable[[str, bool], object] = lambda name, is_kept: None
    ) -> None:
        self.folder, self._tell = folder, tell

    def run(self, name: str, inputs: Any, compute: Callable[[], Any], makes: Sequence[Path] = ()) -> Any:
        """The result of `compute`, called if `inputs`, the program or one of the files `makes` changed."""
        path = self.folder / f"{name}.json"
        key = digest_of([name, inputs, program_digest()])
        kept = self._read(path, key, makes)
        self._tell(name, kept is not None)
        if kept is not None:
            return kept["result"]
        result = json.loads(json.dumps(compute()))
        stage = {"key": key, "sha256": digest_of(result), "made": self._digests(makes), "result": result}
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(stage))
        return result

    def _read(self, path: Path, key: str, makes: Sequence[Path]) -> dict[str, Any] | None:
        """The stage in a file; None where there is none, or one of other inputs, or a damaged one."""
        if not path.exists():
            return None
        try:
            stage = json.loads(path.read_bytes())
            if stage["key"] != key:
                return None
            made = dict(stage["made"])
            is_whole = digest_of(stage["result"]) == stage["sha256"]
        except OSError:
            raise
        except Exception:  # whatever a damaged file makes of the reader
            is_whole, made = False, {}
        if not is_whole:
            _warn(f"{path}: is damaged, the stage runs again")
            return None
        for file, digest in self._digests(makes).items():
            if digest != made.get(file):
                if digest is not None:
                    _warn(f"{file}: has changed since it was made, the stage runs again")
                return None
        found: dict[str, Any] = stage
        return found

    def _digests(self, files: Sequence[Path]) -> dict[str, str | None]:
        """SHA-256 in hex by path from the folder of the stages; None for a file that is not there."""
        return {
            os.path.relpath(file, self.folder): (
                hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
            )
            for file in files
        }


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


def _warn(sentence: str) -> None:
    warnings.warn(sentence, SparsimWarning, stacklevel=4)  # where the stage is run
