"""Setting arrays: assignments to slices take numba a second each to compile."""

from sparsim.model.kernels.jit import kernel


@kernel
def fill(row, value):
    """row[:] = value."""
    for i in range(row.shape[0]):
        row[i] = value
