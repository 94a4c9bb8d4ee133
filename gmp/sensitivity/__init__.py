"""Sensitivity of layers: the accuracy and the loss of a network when one layer alone is pruned.

sensitivity_scan    scan: prune one layer at a time, evaluate, restore
sensitivity_table   SensitivityTable: the results, as rows, a file and a plot
sensitivity_ratios  sparsities of layers that meet a threshold, or an overall saving
scanned_parts       weights and groups of channels, pruned alone and restored
replayed_modules    outputs of modules that run before a layer, kept and reused
"""

from gmp.sensitivity.sensitivity_ratios import LayerRatios
from gmp.sensitivity.sensitivity_scan import classified, scan
from gmp.sensitivity.sensitivity_table import Point, SensitivityTable

__all__ = ["LayerRatios", "Point", "SensitivityTable", "classified", "scan"]
