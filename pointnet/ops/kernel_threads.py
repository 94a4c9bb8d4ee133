"""Execution of compiled loops on as many threads as torch uses."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch


def share(kernel: Callable[..., None], items: int, *arguments: Any) -> None:
    """Run `kernel(begin, end, *arguments)` on all of range(items), in one part for each of torch's threads.

    The kernel must release the GIL, and its parts must not write to the same place.
    """
    parts = min(torch.get_num_threads(), items)
    if parts <= 1:
        kernel(0, items, *arguments)
        return
    ends = [items * i // parts for i in range(parts + 1)]
    with ThreadPoolExecutor(parts - 1) as pool:
        others = [pool.submit(kernel, ends[i], ends[i + 1], *arguments) for i in range(1, parts)]
        kernel(ends[0], ends[1], *arguments)
        for other in others:
            other.result()
