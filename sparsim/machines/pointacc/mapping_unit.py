"""The mapping unit: operations on coordinates as distances, sorting and merging of `lanes` a cycle."""

import math
from collections.abc import Sequence


def sampling_cycles(points: int, samples: int, lanes: int) -> int:
    """Compute the cycles of farthest-point sampling.

    Parameters
    ----------
    points : int
        Number of points.
    samples : int
        Number of points that are sampled; the first one is given.
    lanes : int
        Distances per cycle.

    Returns
    -------
    int
        Cycles.

    Examples
    --------
    >>> from sparsim.machines.pointacc import sampling_cycles
    >>> sampling_cycles(1024, 512, lanes=64)
    8176
    """
    return (samples - 1) * math.ceil(points / lanes)


def neighbour_cycles(points: int, queries: int, neighbours: int, lanes: int) -> int:
    """Compute the cycles of looking for neighbours, the nearest ones or those within a radius.

    Blocks of `lanes` points are sorted and merged with the neighbours so far.

    Parameters
    ----------
    points : int
        Number of points.
    queries : int
        Number of points whose neighbours are looked for.
    neighbours : int
        Number of neighbours of each.
    lanes : int
        Elements that the sorter and the merger take per cycle.

    Returns
    -------
    int
        Cycles.

    Examples
    --------
    >>> from sparsim.machines.pointacc import neighbour_cycles
    >>> neighbour_cycles(1024, 512, 32, lanes=64)
    16384
    """
    merged = math.ceil((neighbours + min(lanes, points)) / lanes)
    return queries * math.ceil(points / lanes) * merged


def sort_cycles(points: int, lanes: int) -> int:
    """Compute the cycles of sorting coordinates: blocks, and then merges of ever longer runs.

    Parameters
    ----------
    points : int
        Number of coordinates.
    lanes : int
        Elements that the sorter and the merger take per cycle.

    Returns
    -------
    int
        Cycles.
    """
    blocks = math.ceil(points / lanes)
    return blocks + math.ceil(math.log2(blocks)) * math.ceil(2 * points / lanes)


def kernel_map_cycles(
    inputs: int, outputs: int, kernel_size: Sequence[int], stride: Sequence[int], lanes: int
) -> int:
    """Compute the cycles of building a kernel map from sorted coordinates.

    For each offset of the kernel the shifted inputs are merged with the outputs; equal neighbours are pairs.
    Of an odd kernel with stride 1 the second half of the offsets mirrors the first, and the centre is known.

    Parameters
    ----------
    inputs, outputs : int
        Number of coordinates.
    kernel_size, stride : sequence of int
        Positions of the kernel and stride along each axis.
    lanes : int
        Elements that the merger takes per cycle.

    Returns
    -------
    int
        Cycles.

    Examples
    --------
    A submanifold layer on a sphere of 5034 voxels:

    >>> from sparsim.machines.pointacc import kernel_map_cycles
    >>> kernel_map_cycles(5034, 5034, (3, 3, 3), (1, 1, 1), lanes=64)
    4095
    """
    offsets = math.prod(kernel_size)
    if set(stride) == {1} and all(size % 2 for size in kernel_size):
        offsets = (offsets - 1) // 2
    return offsets * math.ceil(2 * (inputs + outputs) / lanes)
