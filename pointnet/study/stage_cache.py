"""Results of the study's stages on disk: a stage whose inputs have not changed is not run again."""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gmp
import pointnet
import sparsim
from sparsim.cache import checked, digest_of, sources_digest, with_checksum
from sparsim.errors import SparsimWarning
from sparsim.fileio.writing import write_bytes

_PROGRAM = ("*.py", "*.yaml", "*.csv", "*.jinja")  # patterns of files that results depend on


class Stages:
    """Stages with results in `folder`, one file each; `tell` is called with a stage's name and whether it was
    done before.

    A result is plain data that JSON holds. What a stage returns has been through JSON whether it ran now or
    earlier, so that both are the same. A stage file has a checksum, and those of the files that the stage
    made; where one is wrong, there is a SparsimWarning and the stage runs again.
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
        stage = json.dumps({"key": key, "made": self._digests(makes), "result": result}).encode()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, with_checksum(stage, path.name))
        return result

    def _read(self, path: Path, key: str, makes: Sequence[Path]) -> dict[str, Any] | None:
        """Return the stage in a file; None if the file is missing, damaged, or has other inputs."""
        if not path.exists():
            return None
        content = checked(path.read_bytes(), path.name)
        if content is None:
            _warn(f"{path}: is damaged, the stage runs again")
            return None
        found: dict[str, Any] = json.loads(content)
        if found["key"] != key:
            return None
        for file, digest in self._digests(makes).items():
            if digest != found["made"].get(file):
                if digest is not None:
                    _warn(f"{file}: has changed since it was made, the stage runs again")
                return None
        return found

    def _digests(self, files: Sequence[Path]) -> dict[str, str | None]:
        """SHA-256 in hex by path from the folder of the stages; None for a file that is not there."""
        return {
            os.path.relpath(file, self.folder): (
                hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
            )
            for file in files
        }


def program_digest() -> str:
    """A digest of all sources and tables of this program, because another program may find other numbers."""
    folders = (Path(str(package.__file__)).parent for package in (sparsim, gmp, pointnet))
    return digest_of([sources_digest(folder, _PROGRAM) for folder in folders])


def _warn(sentence: str) -> None:
    warnings.warn(sentence, SparsimWarning, stacklevel=4)  # at the call that runs the stage
