"""Cache of results of searches on disk, by a digest of everything that they depend on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sparsim.cache import ResultCache, key_of, warn_of_cache
from sparsim.mapper.search import search
from sparsim.mapper.search_result import SearchResult
from sparsim.records import Accelerator, Layer
from sparsim.records.objective import objective_names

_NO_MATTER = ("threads", "progress")  # options on which results do not depend


class MappingCache(ResultCache[SearchResult]):
    """Results of searches, by a digest of everything that they depend on.

    Parameters
    ----------
    folder : Path, optional
        Where results are kept for later runs; by default they are kept in memory only.
    warn : callable, optional
        Called with a sentence when the folder cannot be used; by default a `CacheWarning` is issued.
    """

    def __init__(self, folder: Path | None = None, warn: Callable[[str], object] = warn_of_cache) -> None:
        super().__init__(SearchResult, folder, warn)


def search_key(accelerator: Accelerator, layer: Layer, options: dict[str, Any]) -> str:
    """Return a digest of everything that `search` with these arguments depends on, without the layer's
    name.
    """
    records = (accelerator, layer.anonymous())
    given = {**(search.__kwdefaults__ or {}), **options}
    levels = [level.name for level in accelerator.architecture.storage]
    given["objective"] = objective_names(given["objective"], levels)
    said = {name: value for name, value in given.items() if name not in _NO_MATTER}
    return key_of(records, said)
