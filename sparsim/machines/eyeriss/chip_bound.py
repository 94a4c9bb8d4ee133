"""Lower bounds of the costs of a layer on a chip for all mappings and storage: the operations, and one
transfer of each word.
"""

import math

from sparsim.machines.eyeriss.chip import DRAM, Chip
from sparsim.machines.eyeriss.compression import ROLES, skips_zeros
from sparsim.machines.eyeriss.layer_cost import mean_densities, worked_share
from sparsim.machines.eyeriss.layer_lowering import lowered
from sparsim.mapper.bound_constants import ROUNDED
from sparsim.model.arrays import BLOCK, DATA_ACTIONS, RANDOM
from sparsim.model.lower import lower_arch, lower_layer
from sparsim.records import Layer, macs

SURELY = 1.0 - 1e-6  # tolerance, because expectations of the PE estimate are sums in another order
ROUNDED_AWAY = 3.0  # tolerance in words, or operations, of a sparse count


def bound_on_chip(chip: Chip, layer: Layer) -> tuple[float, float]:
    """Compute what a layer costs at least, whatever its mapping and storage.

    Parameters
    ----------
    chip : Chip
        The chip.
    layer : Layer
        A convolution.

    Returns
    -------
    energy_pj : float
        Lower bound of the energy in pJ, DRAM included.
    cycles : float
        Lower bound of the cycles.

    Raises
    ------
    SpecError
        If the layer is no convolution.

    Notes
    -----
    The bound assumes that all PEs work all the time on the operations that zeros do not spare, and that the
    words of weights and outputs pass the interface of the DRAM once.
    """
    layer = mean_densities(lowered(chip, layer))
    spec, arch = chip.spec, lower_arch(chip.accelerator)
    operands = [layer.density(ROLES[role]).density for role in ("weight", "iact")]
    worked = macs(layer) * math.prod(worked_share(chip, layer, role) for role in ("weight", "iact"))
    units = math.prod(chip.architecture.total_mesh(len(chip.architecture.storage)))
    dram_bits, dram_pj = _dram(chip, layer)
    cycles = worked / units * SURELY
    if spec.dram_gb_per_s is not None:
        cycles += dram_bits / 8 / (1000.0 * spec.dram_gb_per_s / spec.clock_mhz)
    cycles = math.ceil(cycles)
    energy = dram_pj + cycles * spec.clock_pj_per_cycle
    energy += worked / spec.pe.simd_width * SURELY * spec.control_pj_per_pe_cycle
    energy += _both_nonzero(macs(layer), *operands) * float(arch.compute_energy[RANDOM])
    return energy, float(cycles)


def _both_nonzero(total: int, weights: float, iacts: float) -> float:
    """Return a lower bound of the operations that no policy leaves out."""
    least = min(weights, iacts)
    if least <= 4 * ROUNDED:
        return 0.0
    return max(total * weights * iacts * (1 - 4 * ROUNDED / least) - ROUNDED_AWAY, 0.0)


def _dram(chip: Chip, layer: Layer) -> tuple[float, float]:
    """Return (bits, pJ) of the words that pass the DRAM's interface once; none if a policy may leave some
    out.
    """
    policy = chip.accelerator.policy
    if policy is not None and any(saf.level == DRAM for saf in policy.safs):
        return 0.0, 0.0
    arch, lowered = lower_arch(chip.accelerator), lower_layer(layer)
    word_bits, value_bits = chip.architecture.storage[0].word_bits, chip.spec.pe.value_bits
    names, bits = [d.name for d in layer.shape.dataspaces], 0.0
    for role, name in ROLES.items():
        v = names.index(name)
        if not lowered.plain[v]:  # its tiles overlap, or do not cover all words
            continue
        words = float(lowered.words[v])
        nonzero = max(words * layer.density(name).density - ROUNDED_AWAY, 0.0)
        plain = words if skips_zeros(chip, role) else nonzero
        bits += min(plain * value_bits, nonzero * word_bits)
    per_word = arch.energy[-1, DATA_ACTIONS : DATA_ACTIONS + 3].min() / arch.width[-1, BLOCK]
    return bits, bits * float(per_word) / word_bits
