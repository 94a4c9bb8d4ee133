"""Whole chips with a row-stationary dataflow: Eyeriss v2, and those it is compared with.

records   Chip                      load      load_chip
roles     what dims mean            spread    candidates: which dim on which axis of the array
nest      a candidate as mapping    evaluate  evaluate_chip: cycles and energy of a mapping
plan      plan_layer: the best one  network   plan_network: all layers
eyexam    where the cycles go
"""

from sparsim.chip.area import chip_area
from sparsim.chip.evaluate import ChipEvaluation, evaluate_chip
from sparsim.chip.eyexam import Bound, eyexam
from sparsim.chip.load import load_chip
from sparsim.chip.network import NetworkEvaluation, plan_network
from sparsim.chip.plan import plan_layer
from sparsim.chip.records import Chip

__all__ = [
    "Bound", "Chip", "ChipEvaluation", "NetworkEvaluation", "chip_area", "evaluate_chip", "eyexam",
    "load_chip", "plan_layer", "plan_network",
]  # fmt: skip
