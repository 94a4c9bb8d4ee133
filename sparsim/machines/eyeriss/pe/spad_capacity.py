"""Checks of whether a PE can hold a tile, without and with zeros left out of the weights.

Tiles are chosen when a network is compiled, and the worst of them has to fit the spad of weights. Where only
a density is known, five standard deviations have to be left: of hundreds of tiles with two, some do not fit.
"""

import numpy as np
from numpy.typing import NDArray

from sparsim.machines.eyeriss.pe.conv_tiling import Conv, Tiling, segments
from sparsim.machines.eyeriss.pe.random_columns import Ints, Reals, column_words
from sparsim.records.pe_spec import SparsePE

SIGMAS = 5.0
OVERFLOW = 2.9e-7  # accepted probability that the weights of a tile do not fit, as beyond these


def fits(pe: SparsePE, conv: Conv, tiling: Tiling) -> NDArray[np.bool_]:
    """Return whether window and filters fit the spads, independent of the data. For weights with skipped
    zeros see `weight_overflow` of an estimate.
    """
    return np.asarray(np.logical_and.reduce([need <= have for _, need, have in limits(pe, conv, tiling)]))


def limits(pe: SparsePE, conv: Conv, tiling: Tiling) -> list[tuple[str, NDArray[np.int64], int]]:
    """Return (spad, words needed, words available) of everything that does not depend on data."""
    m0 = np.minimum(tiling.M0, conv.M)
    window = np.minimum(tiling.C0, conv.C) * np.asarray(conv.S)
    found = [("psum", m0, pe.psum.words), ("iact_data", window, pe.iact_data.words)]
    if pe.skips_zero_iacts:
        found.append(("iact_address", segments(conv), pe.iact_address.words))
    if pe.skips_zero_weights:
        found.append(("weight_address", window, pe.weight_address.words))
    else:
        found.append(("weight_data", window * -(-m0 // pe.simd_width), pe.weight_data.words))
    return found


def weight_overflow(pe: SparsePE, m: Ints, columns: Ints, density: Reals) -> Reals:
    """Return the probability that so many columns of `m` weights do not fit the weight spad, a convolution
    computed with the FFT.
    """
    kinds, place = np.unique([m, columns, density], axis=1, return_inverse=True)
    m, columns = kinds[:2].astype(np.int64)
    words = column_words(pe, m, kinds[2])
    most = int(columns.max(initial=0)) * (words.shape[1] - 1)
    length = 1 << most.bit_length()
    sums = np.fft.irfft(np.fft.rfft(words, length, axis=1) ** columns[:, None], length, axis=1)
    return np.asarray(np.clip(sums[:, pe.weight_data.words + 1 :].sum(axis=1), 0.0, 1.0)[place])
