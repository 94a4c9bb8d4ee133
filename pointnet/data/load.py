"""One entry for every source of clouds; the layout is recognised by what lies there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pointnet.data.clouds import Dataset
from pointnet.data.packs import read_pack
from pointnet.data.shapes import shapes
from pointnet.errors import DataError
from sparsim.errors import near

SHAPES = "shapes"


def load_data(
    source: str | Path,
    *,
    points: int = 1024,
    normals: bool = False,
    classes: int | None = None,
    seed: int = 0,
    test_fraction: float = 0.3,
    progress: Callable[[int, int], None] | None = None,
) -> Dataset:
    """Clouds of `points` points from the procedural set ("shapes") or from a path."""
    if isinstance(points, bool) or not isinstance(points, int) or points < 2:
        raise DataError(f"{points} points a cloud: needed is a whole number, at least 2")
    if source == SHAPES:
        return shapes(points=points, seed=seed, normals=normals)
    path = Path(source)
    if not path.exists():
        hint = near(str(source), [SHAPES])
        raise DataError(f"there is no file or folder '{source}' ({hint})" if hint else f"no '{source}'")
    return read_pack(path, points=points, normals=normals, seed=seed, test_fraction=test_fraction)
