"""Reuse of the memory of large tensors, because fresh pages cost more time than the loops that fill them."""

import weakref
from contextlib import suppress

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

ALIGNMENT = 64  # bytes, a cache line
KEPT = 4  # blocks; a step of the study's network needs three

Block = npt.NDArray[np.uint8]

_spare: list[Block] = []


def empty(rows: int, columns: int, dtype: torch.dtype) -> Tensor:
    """Like `torch.empty(rows, columns, dtype=dtype)`; when it dies, its memory is kept for others."""
    size = rows * columns * dtype.itemsize
    block = _take(size + ALIGNMENT)
    first = -block.ctypes.data % ALIGNMENT
    array = block[first : first + size].view(str(dtype).removeprefix("torch.")).reshape(rows, columns)
    weakref.finalize(array, _give, block).atexit = False
    return torch.from_numpy(array)


def _take(size: int) -> Block:
    """Take the smallest spare block that fits, or a new one.

    Other threads, and tensors that are freed meanwhile, change the list, too; only a popped block belongs to
    this call.
    """
    blocks: list[Block] = []
    with suppress(IndexError):
        while True:
            blocks.append(_spare.pop(0))
    fitting = [block for block in blocks if size <= len(block) <= 2 * size]
    taken = min(fitting, key=len, default=None)
    _spare.extend(block for block in blocks if block is not taken)
    return np.empty(size, np.uint8) if taken is None else taken


def _give(block: Block) -> None:
    _spare.append(block)
    del _spare[:-KEPT]
