"""How long filters take to get to the PEs of a chip whose link is limited.

A memory holds filters of the next pass that arrive behind the pass before. What does not fit streams through
the link between two passes (Chen, Krishna, Emer, Sze: Eyeriss, JSSC 52(1) 2017: two banks of the global
buffer prefetch filters).
"""

from typing import Any

import numpy as np

from sparsim.records.chip_spec import ChipSpec


def link_bytes_per_cycle(spec: ChipSpec) -> float:
    """Return the bytes of filters that arrive per cycle, infinitely many without a link."""
    link = spec.filter_link
    return np.inf if link is None else 1000.0 * link.gb_per_s / spec.clock_mhz


def waiting(spec: ChipSpec, words: Any, passes: Any) -> Any:
    """Return the least cycles of passes, in each of which the next one's filters are prefetched."""
    return _prefetched(spec, words, passes) / link_bytes_per_cycle(spec)


def loading(spec: ChipSpec, words: Any, passes: Any, words_per_cycle: Any) -> Any:
    """Return the cycles between passes in which prefetched filters move to the PEs and others stream."""
    value_bytes = spec.pe.value_bits / 8
    if spec.filter_link is None:
        return words / words_per_cycle
    prefetched = _prefetched(spec, words, passes)
    streamed = words * value_bytes - prefetched
    slowest = np.minimum(link_bytes_per_cycle(spec), words_per_cycle * value_bytes)
    return prefetched / value_bytes / words_per_cycle + streamed / slowest


def _prefetched(spec: ChipSpec, words: Any, passes: Any) -> Any:
    """Return the bytes of all passes that are prefetched."""
    most = 0 if spec.filter_link is None else spec.filter_link.prefetch_bytes
    return np.minimum(words * (spec.pe.value_bits / 8), passes * float(most))
