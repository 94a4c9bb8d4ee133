"""The matrix unit: a systolic array of multipliers along input and output channels."""

import math


def matrix_cycles(vectors: int, inputs: int, outputs: int, rows: int, columns: int) -> int:
    """Compute the cycles of products of vectors and weights.

    Parameters
    ----------
    vectors : int
        Number of vectors; of a sparse convolution the pairs of all offsets.
    inputs, outputs : int
        Input and output channels.
    rows, columns : int
        Multipliers along the input and along the output channels.

    Returns
    -------
    int
        Cycles, without those in which the array fills and runs empty.

    Examples
    --------
    >>> from sparsim.machines.pointacc import matrix_cycles
    >>> matrix_cycles(53274, 32, 32, rows=16, columns=16)
    213096
    """
    return vectors * math.ceil(inputs / rows) * math.ceil(outputs / columns)
