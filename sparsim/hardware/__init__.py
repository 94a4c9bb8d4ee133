"""The one interface to all hardware that networks can be planned on: `load_hardware(...).plan(layers)`."""

from sparsim.hardware.accelerator_plan import AcceleratorPlan, MappedAccelerator
from sparsim.hardware.closed_form_plan import ClosedFormMachine, ClosedFormPlan, LayerEstimate
from sparsim.hardware.eie_machine import EieMachine
from sparsim.hardware.eyeriss_plan import EyerissChip, EyerissPlan
from sparsim.hardware.hardware_loading import load_hardware
from sparsim.hardware.interface import COLUMNS, Costs, Hardware, Plan, Reals, Slopes, with_densities
from sparsim.hardware.layer_costs import LayerCost, NetworkCost
from sparsim.hardware.pointacc_machine import PointAccMachine
from sparsim.hardware.spgemm_machine import ProductCost, SpgemmMachine
from sparsim.hardware.tensor_core_machine import TensorCoreMachine

__all__ = [
    "COLUMNS",
    "AcceleratorPlan",
    "ClosedFormMachine",
    "ClosedFormPlan",
    "Costs",
    "EieMachine",
    "EyerissChip",
    "EyerissPlan",
    "Hardware",
    "LayerCost",
    "LayerEstimate",
    "MappedAccelerator",
    "NetworkCost",
    "Plan",
    "PointAccMachine",
    "ProductCost",
    "Reals",
    "Slopes",
    "SpgemmMachine",
    "TensorCoreMachine",
    "load_hardware",
    "with_densities",
]  # fmt: skip
