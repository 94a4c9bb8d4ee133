"""Products of sparse matrices on SIGMA, Gamma, OuterSPACE and ExTensor, from matrices or densities.

Closed forms of the work and traffic of each machine, which agree with those of TeAAL (MICRO 2023).
"""

from sparsim.machines.spgemm.extensor import (
    ExtensorCounts,
    extensor_counts,
    extensor_expected,
    extensor_times,
)
from sparsim.machines.spgemm.gamma import GammaCounts, gamma_counts, gamma_expected, gamma_times
from sparsim.machines.spgemm.outerspace import (
    OuterspaceCounts,
    outerspace_counts,
    outerspace_expected,
    outerspace_times,
)
from sparsim.machines.spgemm.sigma import SigmaCounts, sigma_counts, sigma_cycles, sigma_expected
from sparsim.machines.spgemm.sparse_matrix import SparseMatrix
from sparsim.machines.spgemm.sparse_product import SparseProduct, sparse_product

__all__ = [
    "ExtensorCounts", "GammaCounts", "OuterspaceCounts", "SigmaCounts", "SparseMatrix", "SparseProduct",
    "extensor_counts", "extensor_expected", "extensor_times", "gamma_counts", "gamma_expected", "gamma_times",
    "outerspace_counts", "outerspace_expected", "outerspace_times", "sigma_counts", "sigma_cycles",
    "sigma_expected", "sparse_product",
]  # fmt: skip
