"""Points of a scan in a file, so that an interrupted scan can be continued."""

import hashlib
import json
from pathlib import Path

from torch import Tensor, nn

from gmp.errors import PruningError, writing
from gmp.sensitivity.sensitivity_table import Point
from sparsim.fileio.reading import read_text


def digest_of(model: nn.Module, losses: Tensor, ratios: list[float], *options: str) -> str:
    """Return a digest of everything that the points depend on."""
    digest = hashlib.sha256(repr((ratios, options)).encode())
    digest.update(losses.cpu().numpy().tobytes())
    for parameter in model.parameters():
        digest.update(parameter.detach().cpu().double().numpy().tobytes())
    return digest.hexdigest()


class StoredPoints:
    """Points in a file, with a line for each layer below a line that identifies the scan."""

    def __init__(self, path: str | Path | None, digest: str) -> None:
        self._path = None if path is None else Path(path)
        self._known: dict[str, list[Point]] = {}
        if self._path is None:
            return
        if not self._path.exists():
            self._write(json.dumps({"scan": digest}), "x")
            return
        text = read_text(self._path, what="the points of a scan", error=PruningError)
        head, *lines = text[: text.rfind("\n") + 1].splitlines() or [""]  # without a line that was cut off
        try:
            written = json.loads(head)["scan"]
            self._known = {name: [Point(*p) for p in points] for name, points in map(json.loads, lines)}
        except (ValueError, KeyError, TypeError):
            raise PruningError(f"{self._path} has no points of a scan") from None
        if written != digest:
            raise PruningError(f"{self._path} has another scan: of other weights, samples or options")
        if not text.endswith("\n"):
            with writing(self._path, "points"):
                self._path.write_text("\n".join([head, *lines, ""]), encoding="utf-8")

    def points(self, name: str) -> list[Point] | None:
        return self._known.get(name)

    def add(self, name: str, points: list[Point]) -> None:
        if self._path is not None:
            self._write(json.dumps([name, points]), "a")

    def _write(self, line: str, mode: str) -> None:
        assert self._path is not None
        with writing(self._path, "points"), self._path.open(mode, encoding="utf-8") as file:
            file.write(line + "\n")
