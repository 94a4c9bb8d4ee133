"""Leakage energy of storage levels, by the rules of Timeloop 4.x.

A level leaks its energy per instance and cycle times the cycles of the layer times its instances in use, at
least one. Where instances share a power gate, all of a gate leak while any of it is in use.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sparsim.estimate.accelerator_energy import resolved_energy
from sparsim.model import arrays as packs
from sparsim.model.arrays import ArchPack, Ints, MappingPack, Reals
from sparsim.records import Accelerator


class Leakage(NamedTuple):
    """Leakage of the storage levels, innermost first, as in packs."""

    pj: Reals  # per instance and cycle
    gate: Ints  # the level whose instances switch this one's
    shared: Ints  # instances per gate

    def per_cycle(self, used: ArrayLike) -> Reals:
        """Return the pJ of every level per cycle, for the instances in use (..., levels)."""
        instances = np.maximum(np.asarray(used), 1)
        gated = np.where(self.shared > 1, self.shared * instances[..., self.gate], instances)
        energy: Reals = self.pj * gated
        return energy


def least_leakage(accelerator: Accelerator) -> float:
    """Return the pJ that leak per cycle under every mapping."""
    found = leakage(accelerator)
    return 0.0 if found is None else float(found.per_cycle(np.zeros(len(found.pj), np.int64)).sum())


def leakage(accelerator: Accelerator) -> Leakage | None:
    """Return the leakage of the levels; None if no level leaks."""
    return accelerator.kept("leakage", (), lambda: _leakage(accelerator))


def _leakage(accelerator: Accelerator) -> Leakage | None:
    pj = resolved_energy(accelerator).leakage
    if not any(pj):
        return None
    arch = accelerator.architecture
    names = [level.name for level in arch.storage]
    gates = [names.index(level.power_gated_at or level.name) for level in arch.storage]
    meshes = [arch.total_mesh(i) for i in range(len(names))]
    instances = [x * y for x, y in meshes]
    shared = [instances[i] // instances[gate] for i, gate in enumerate(gates)]
    last = len(names) - 1
    return Leakage(
        np.array(pj[::-1]), np.array([last - gate for gate in gates[::-1]], np.int64),
        np.array(shared[::-1], np.int64),
    )  # fmt: skip


def used_instances(arch: ArchPack, mappings: MappingPack) -> Ints:
    """(mappings, levels): the instances that loops in space use; 0 where a level, and those outside of it in
    the same memory, keep nothing.
    """
    factors = mappings.factor.prod(axis=2)
    used = np.zeros((len(factors), len(arch.fan)), np.int64)
    for s in range(used.shape[1]):
        outside = (arch.tiling[:, 0] > s) & (arch.tiling[:, 1] == 1)
        used[:, s] = factors[:, outside].prod(axis=1)
    keep = mappings.flags[:, :, packs.KEEP].copy()
    for s in np.flatnonzero(arch.support[:, packs.SHARES])[::-1]:
        keep[:, s - 1] |= keep[:, s]
    used[keep == 0] = 0
    return used
