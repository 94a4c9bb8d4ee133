"""The memory unit: DRAM traffic of features, where a map says which ones meet which weights."""

MAP_BYTES = 8  # bytes of a pair: an input and an output


def gathered_bytes(pairs: int, inputs: int, outputs: int, weight_words: int, word_bytes: int) -> int:
    """Compute the traffic of gathering, multiplying and scattering.

    Features are read, written in order and read again. Results are written, read, added to what is read of
    the outputs, and written.

    Parameters
    ----------
    pairs : int
        Pairs of an input and an output.
    inputs, outputs : int
        Input and output channels.
    weight_words : int
        Words of all weights.
    word_bytes : int
        Bytes of a word.

    Returns
    -------
    int
        Bytes.

    Examples
    --------
    >>> from sparsim.machines.pointacc import gathered_bytes
    >>> gathered_bytes(53274, 32, 32, weight_words=27 * 32 * 32, word_bytes=2)
    23922048
    """
    return (pairs * (3 * inputs + 4 * outputs) + weight_words) * word_bytes


def fetched_words(points: int, pairs: int, channels: int, cached_words: float) -> float:
    """Compute the words of features that are read on demand through a cache.

    Each feature is read once, and again whenever the cache does not hold it. Of features in any order the
    cache holds as large a share as fits.

    Parameters
    ----------
    points : int
        Number of points that have features.
    pairs : int
        How often the features of a point are needed, of all points together.
    channels : int
        Words of the features of a point.
    cached_words : float
        Words that the cache holds.

    Returns
    -------
    float
        Words, from `points` to `pairs` times the channels.
    """
    hits = min(1.0, cached_words / (points * channels))
    return channels * (points + max(0, pairs - points) * (1.0 - hits))


def fetched_bytes(
    read_words: float, pairs: int, output_words: int, weight_words: int, word_bytes: int
) -> float:
    """Compute the traffic of fetching on demand.

    Parameters
    ----------
    read_words : float
        Words of features that are read.
    pairs : int
        Pairs of an input and an output, whose map is read.
    output_words : int
        Words of the outputs, which are added up on chip.
    weight_words : int
        Words of all weights.
    word_bytes : int
        Bytes of a word.

    Returns
    -------
    float
        Bytes.

    Examples
    --------
    Between all features of a sphere of 5034 voxels in the cache, and none:

    >>> from sparsim.machines.pointacc import fetched_bytes, fetched_words
    >>> for cached in (float("inf"), 0.0):
    ...     words = fetched_words(5034, 53274, 32, cached)
    ...     print(fetched_bytes(words, 53274, 5034 * 32, weight_words=27 * 32 * 32, word_bytes=2))
    1125840.0
    4213200.0
    """
    return (read_words + output_words + weight_words) * word_bytes + MAP_BYTES * pairs
