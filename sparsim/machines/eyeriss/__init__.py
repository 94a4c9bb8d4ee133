"""Whole chips with a row-stationary dataflow: Eyeriss v2, and those it is compared with.

Its modules:

    chip                    Chip                     chip_documents       load_chip
    conv_dims               what dims mean           compression          what is stored with counts of zeros
    layer_lowering          layers as a chip runs    weight_masks         what tiles of a mask take
    row_stationary_spreads  which dim on which axis  row_stationary_nest  candidates as loop nests
    layer_cost              evaluate_chip            cost_arrays          costs of many cases from counts
    plan_layer              the best mapping         order_search         all orders of passes of candidates
    plan_network            all layers               cost_tables          a mapping's costs by densities
    chip_bound              what no mapping is below
    row_stationary_sets     mappings of Eyeriss v1 in closed form, row_stationary_search the best of them,
    given_parameters        given ones, and row_stationary_counts accesses under them
    filter_loading          how long filters of Eyeriss v1 take
    eyexam                  where the cycles go      chip_area            area by component
    layer_explanation       what is kept and moved
    uncertainties           what is not known        error_bars           and what that changes
"""

from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.chip_area import chip_area
from sparsim.machines.eyeriss.chip_bound import bound_on_chip
from sparsim.machines.eyeriss.chip_documents import load_chip
from sparsim.machines.eyeriss.error_bars import ErrorBar, UncertainNetwork, error_bar, uncertain_network
from sparsim.machines.eyeriss.eyexam import Bound, eyexam
from sparsim.machines.eyeriss.given_parameters import row_stationary_mapping
from sparsim.machines.eyeriss.layer_cost import ChipEvaluation, evaluate_chip
from sparsim.machines.eyeriss.plan_layer import plan_layer
from sparsim.machines.eyeriss.plan_network import NetworkEvaluation, plan_network
from sparsim.machines.eyeriss.uncertainties import assumed_tensors

__all__ = [
    "Bound", "Chip", "ChipEvaluation", "ErrorBar", "NetworkEvaluation", "UncertainNetwork", "assumed_tensors",
    "bound_on_chip", "chip_area", "error_bar", "evaluate_chip", "eyexam", "load_chip", "plan_layer",
    "plan_network", "row_stationary_mapping", "uncertain_network",
]  # fmt: skip
