"""Results of a long measurement in a file, so that an interrupted one can be continued."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gmp.errors import PruningError, writing
from sparsim.fileio.reading import read_text


def digest_of(model: nn.Module, tensors: Iterable[Tensor], *facts: object) -> str:
    """Return a digest of everything that the results depend on."""
    digest = hashlib.sha256(repr(facts).encode())
    for tensor in tensors:
        digest.update(tensor.cpu().numpy().tobytes())
    for parameter in model.parameters():
        digest.update(parameter.detach().cpu().double().numpy().tobytes())
    return digest.hexdigest()


class StoredResults:
    """Results by name in a file, with a line for each below a line that identifies the `kind` of
    measurement.

    Parameters
    ----------
    path : str or Path, optional
        The file; nothing is stored without one.
    kind : str
        What is measured, such as "scan".
    digest : str
        Digest of everything that the results depend on.

    Raises
    ------
    PruningError
        If the file has something else.
    """

    def __init__(self, path: str | Path | None, kind: str, digest: str) -> None:
        self._path = None if path is None else Path(path)
        self.known: dict[str, Any] = {}
        if self._path is None:
            return
        if not self._path.exists():
            self._write(json.dumps({kind: digest}), "x")
            return
        text = read_text(self._path, what=f"the results of a {kind}", error=PruningError)
        head, *lines = text[: text.rfind("\n") + 1].splitlines() or [""]  # without a line that was cut off
        try:
            written = json.loads(head)[kind]
            self.known = dict(map(json.loads, lines))
        except (ValueError, KeyError, TypeError):
            raise PruningError(f"{self._path} has no results of a {kind}") from None
        if written != digest:
            raise PruningError(f"{self._path} has another {kind}: of other weights, samples or options")
        if not text.endswith("\n"):
            with writing(self._path, "results"):
                self._path.write_text("\n".join([head, *lines, ""]), encoding="utf-8")

    def add(self, name: str, result: Any) -> None:
        self.known[name] = result
        if self._path is not None:
            self._write(json.dumps([name, result]), "a")

    def _write(self, line: str, mode: str) -> None:
        assert self._path is not None
        with writing(self._path, "results"), self._path.open(mode, encoding="utf-8") as file:
            file.write(line + "\n")
