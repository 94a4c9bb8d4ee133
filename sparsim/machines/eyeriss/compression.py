"""The choice of the operands of a layer that a chip stores compressed, with counts of zeros, or uncompressed.

The PE skips zeros according to the counts. It treats every zero of an uncompressed tensor as a value, and so
do the network and all memories. Compressed words are wider (on Eyeriss v2 12 bits for 8) and have addresses,
so that a tensor with few zeros, or with few filters in a column, is cheaper uncompressed. The chip is
configured once per layer, separately for each tensor.
"""

import itertools

import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike, NDArray

from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.conv_dims import IACTS, PSUMS, WEIGHTS, conv_dims
from sparsim.machines.eyeriss.csc_words import words_per_nonzero
from sparsim.machines.eyeriss.layer_lowering import widest_window
from sparsim.machines.eyeriss.pe.conv_tiling import Tiling
from sparsim.machines.eyeriss.pe.pe_estimate import estimate
from sparsim.machines.eyeriss.weight_masks import with_counted_words
from sparsim.records import Density, Layer

ROLES = {"weight": WEIGHTS, "iact": IACTS, "psum": PSUMS}
OPERANDS = ("weight", "iact")
SURELY = 0.75  # share of the plain bits below which a tensor is always compressed


def stored_ways(chip: Chip, layer: Layer, tile: tuple[int, int] | None = None) -> tuple[Layer, ...]:
    """Return the layer in every possible storage, beginning with the most compressed one.

    An uncompressed tensor has density 1 in these. `tile` are the filters and channels of a PE if they are
    known, by default the most that a PE holds.
    """
    if chip.spec.compression == "any-zero":
        return (layer,)
    having_zeros = [
        role for role in OPERANDS if skips_zeros(chip, role) and layer.density(ROLES[role]).density < 1.0
    ]
    if not having_zeros:
        return (layer,)
    shares = compressed_shares(chip, layer, tile or _largest_tile(chip, layer))
    free = [ROLES[role] for role in having_zeros if shares[role] > SURELY]
    chosen = itertools.chain.from_iterable(itertools.combinations(free, n) for n in range(len(free) + 1))
    return tuple(plainly(layer, names) for names in chosen)


def compressed_shares(chip: Chip, layer: Layer, tile: tuple[int, int]) -> dict[str, float]:
    """Return the bits that each operand takes compressed, of those that it takes plainly: off chip or on the
    network, where there are more. The columns of weights and segments of iacts are those of a tile.
    """
    densities = {role: layer.density(ROLES[role]).density for role in OPERANDS}
    tiling = Tiling(M0=tile[0], C0=tile[1])
    found = estimate(chip.spec.pe, conv_dims(layer).conv(), tiling, densities["iact"], densities["weight"])
    found = with_counted_words(chip, layer, found, tile)
    bits = chip.architecture.storage[0].word_bits / chip.spec.pe.value_bits
    shares = {}
    for role, density in densities.items():
        network = chip.spec.noc.network(role)
        words = network.words_per_port(compressed=False) / network.words_per_port(compressed=True)
        shares[role] = max(words, bits) * density * float(words_per_nonzero(chip.spec.pe, found, role))
    return shares


def _largest_tile(chip: Chip, layer: Layer) -> tuple[int, int]:
    bounds = conv_dims(layer).bounds
    filters = min(bounds.get("M", 1), chip.spec.pe.psum.words)
    return filters, max(1, widest_window(chip) // bounds.get("S", 1))


def plainly(layer: Layer, names: tuple[str, ...]) -> Layer:
    """Return the layer with these tensors stored uncompressed."""
    if not names:
        return layer
    return replace(layer, densities={**layer.densities, **dict.fromkeys(names, Density(density=1.0))})


def is_compressed(chip: Chip, layer: Layer, role: str) -> bool:
    """Return whether words of a layer, stored as its densities say, are sent with their counts."""
    densities = (layer.density(name).density for name in (WEIGHTS, IACTS))
    return bool(travels_compressed(chip, role, *densities))


def travels_compressed(chip: Chip, role: str, weights: ArrayLike, iacts: ArrayLike) -> NDArray[np.bool_]:
    """Return the same as `is_compressed` for densities of weights and iacts, numbers or arrays."""
    own = {"weight": weights, "iact": iacts}
    deciding = own.get(role, 1.0) if chip.spec.compression == "cheapest" else np.minimum(weights, iacts)
    return skips_zeros(chip, role) & (np.asarray(deciding) < 1.0)


def skips_zeros(chip: Chip, role: str) -> bool:
    pe = chip.spec.pe
    return {"weight": pe.skips_zero_weights, "iact": pe.skips_zero_iacts, "psum": False}[role]


def dram_bits(chip: Chip, role: str, compressed: ArrayLike, density: ArrayLike) -> NDArray[np.float64]:
    """Return the bits of a word in the DRAM: with counts where it travels so, else a value. Iacts and outputs
    take the fewer of the bits of values and of the code with run lengths, if the chip has one.
    """
    value, code = chip.spec.pe.value_bits, chip.spec.run_lengths
    plain: ArrayLike = value
    if code is not None and role != "weight":
        nonzero = np.clip(density, 1e-12, 1.0 - 1e-12)  # the ends are limits
        pairs = nonzero / -np.expm1(2.0**code.run_bits * np.log1p(-nonzero))
        plain = np.minimum(value, pairs * code.word_bits / code.pairs)
    return np.where(compressed, chip.architecture.storage[0].word_bits, plain)
