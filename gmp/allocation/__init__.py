"""Levels of layers, such as their sparsities, that cost no more than a budget.

budget_allocation   allocate: the levels with the least sum of errors
knapsack            the dynamic program behind it
coupled_costs       greedy and Lagrange searches for costs that are no sums over layers
latency_table       LatencyTable: measured times of layers by their numbers of channels
"""

from gmp.allocation.budget_allocation import Allocation, allocate
from gmp.allocation.latency_table import LatencyTable, measure_latencies

__all__ = ["Allocation", "LatencyTable", "allocate", "measure_latencies"]
