"""Check of weights for an N:M pattern."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def crowded_groups(mask: NDArray[Any], kept: int, group: int, axis: int) -> float:
    """Return the share of groups with more nonzeros than an N:M pattern allows.

    Parameters
    ----------
    mask : array
        Nonzero where weights are.
    kept, group : int
        The N and M of the pattern. The last group may be smaller; it may have as many nonzeros as the others.
    axis : int
        The axis of the input channels, along which groups lie.

    Returns
    -------
    float
        0.0 for weights that have the pattern.

    Examples
    --------
    >>> import numpy as np
    >>> from sparsim.machines.tensor_core import crowded_groups
    >>> crowded_groups(np.array([[1, 0, 1, 0, 1, 1, 1, 0]]), kept=2, group=4, axis=1)
    0.5
    """
    found = np.add.reduceat(mask != 0, np.arange(0, mask.shape[axis], group), axis=axis, dtype=np.int64)
    return float((found > kept).mean())
