"""Whole chips with a row-stationary dataflow: Eyeriss v2, and those it is compared with.

records   Chip                      load      load_chip
roles     what dims mean            spread    candidates: which dim on which axis of the array
nest      a candidate as mapping    evaluate  evaluate_chip: cycles and energy of a mapping
plan      plan_layer: the best one  network   plan_network: all layers
eyexam    where the cycles go
"""

from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.chip_area import chip_area
from sparsim.machines.eyeriss.chip_documents import load_chip
from sparsim.machines.eyeriss.eyexam import Bound, eyexam
from sparsim.machines.eyeriss.layer_cost import ChipEvaluation, evaluate_chip
from sparsim.machines.eyeriss.plan_layer import plan_layer
from sparsim.machines.eyeriss.plan_network import NetworkEvaluation, plan_network

__all__ = [
    "Bound", "Chip", "ChipEvaluation", "NetworkEvaluation", "chip_area", "evaluate_chip", "eyexam",
    "load_chip", "plan_layer", "plan_network",
]  # fmt: skip
