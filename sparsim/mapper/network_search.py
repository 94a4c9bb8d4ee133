"""Search for the best mappings of all layers of a network; equal layers are searched once."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypedDict, Unpack

from sparsim.mapper.certificate import better_of
from sparsim.mapper.engine import Progress
from sparsim.mapper.mapping_cache import MappingCache, search_key
from sparsim.mapper.search import Method, search
from sparsim.mapper.search_result import SearchResult
from sparsim.records import Accelerator, Layer, Mapping
from sparsim.records.accounting import Accounting
from sparsim.records.objective import Objective


class SearchOptions(TypedDict, total=False):
    """Keyword arguments of `search`, with its defaults."""

    objective: Objective
    method: Method
    evaluations: int | None
    seconds: float | None
    gap: float
    seed: int
    threads: int
    top: int
    accounting: Accounting
    progress: Callable[[Progress], None] | None
    start: Sequence[Mapping]


def search_network(
    accelerator: Accelerator,
    layers: Sequence[Layer],
    *,
    cache: MappingCache | None = None,
    **options: Unpack[SearchOptions],
) -> list[SearchResult]:
    """Search the best mapping of every layer of a network.

    Layers that differ in nothing but their name and note are searched once, and not at all if `cache` knows
    them. Ctrl-C ends the search of the current layer with the best mapping so far, and leaves out the layers
    after it.

    Parameters
    ----------
    accelerator : Accelerator
        Its mapspace limits the mappings.
    layers : sequence of Layer
        The layers of the network.
    cache : MappingCache, optional
        Where results are looked up and kept; by default one in memory for this call.
    **options
        Keyword arguments of `search`, which hold for every layer.

    Returns
    -------
    list of SearchResult
        One result per layer, in order.

    Raises
    ------
    SpecError, EmptyMapspaceError, MappingError
        For the same reasons as `search`.
    """
    return list(search_each(accelerator, layers, cache=cache, **options))


def search_each(
    accelerator: Accelerator,
    layers: Sequence[Layer],
    *,
    cache: MappingCache | None = None,
    **options: Unpack[SearchOptions],
) -> Iterator[SearchResult]:
    """Like `search_network`, one result after the other as they are found."""
    cache = cache or MappingCache()
    timed = options.get("seconds") is not None
    said = {**options, "start": [mapping.digest() for mapping in options.get("start", ())]}
    for layer in layers:
        key = search_key(accelerator, layer, said)
        result = cache.get(key)
        if result is None:
            # the work done in a number of seconds varies, so that more seconds could give worse results
            any_time = search_key(accelerator, layer, {**said, "seconds": "any"}) if timed else ""
            earlier = cache.get(any_time) if timed else None
            result = search(accelerator, layer, **options)
            if not result.interrupted:
                result = better_of(result, earlier) if earlier else result
                cache.put(key, result)
                if timed:
                    cache.put(any_time, result)
        yield result
        if result.interrupted:
            return
