"""Setting of arrays by a function, because every assignment to a slice takes numba a second to compile."""

from sparsim.model.kernels.jit import kernel


@kernel
def fill(row, value):
    """row[:] = value."""
    for i in range(row.shape[0]):
        row[i] = value


@kernel
def fill_rows(rows, value):
    """rows[:, :] = value."""
    for i in range(rows.shape[0]):
        fill(rows[i], value)
