"""The choice of the operands of a layer that a chip stores compressed, with counts of zeros, or uncompressed.

The PE skips zeros according to the counts. It treats every zero of an uncompressed tensor as a value, and so
do the network and all memories. Compressed words are wider (on Eyeriss v2 12 bits for 8), so that a tensor
with few zeros is cheaper uncompressed. The chip is configured once per layer, separately for each tensor.
"""

import itertools

import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike, NDArray

from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.conv_dims import IACTS, PSUMS, WEIGHTS
from sparsim.records import Density, Layer

ROLES = {"weight": WEIGHTS, "iact": IACTS, "psum": PSUMS}
OPERANDS = ("weight", "iact")
SURELY = 0.75  # share of the plain bits below which a tensor is always compressed


def stored_ways(chip: Chip, layer: Layer) -> tuple[Layer, ...]:
    """Return the layer in every possible storage, beginning with the most compressed one.

    An uncompressed tensor has density 1 in these.
    """
    if chip.spec.compression == "any-zero":
        return (layer,)
    having_zeros = [role for role in OPERANDS if layer.density(ROLES[role]).density < 1.0]
    free = [
        ROLES[role]
        for role in having_zeros
        if skips_zeros(chip, role) and layer.density(ROLES[role]).density > surely_below(chip, role)
    ]
    chosen = itertools.chain.from_iterable(itertools.combinations(free, n) for n in range(len(free) + 1))
    return tuple(plainly(layer, names) for names in chosen)


def surely_below(chip: Chip, role: str) -> float:
    """Return the density up to which compressed words are certainly cheaper, off chip and on the network."""
    network = chip.spec.noc.network(role)
    words = network.words_per_port(compressed=False) / network.words_per_port(compressed=True)
    bits = chip.architecture.storage[0].word_bits / chip.spec.pe.value_bits
    return SURELY / max(words, bits)


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
