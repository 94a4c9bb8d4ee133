"""Energy and cycles of a network on an accelerator or chip, while it is trained and pruned.

cost              NetworkCost: densities -> energy and cycles of each layer, with gradients
mapped            MappedCost: on an accelerator, by its mappings
chips             ChipCost: on a chip, from tables
hardware          network_cost: the right one of the two
energy_monitor    EnergyMonitor: energy and cycles of a model in training
monitor_readings  Reading: what the monitor gives
energy_budget     sparsity_for, BudgetSchedule: prune until energy or cycles are reached
energy_score      EnergyScore: weights by magnitude and by what they cost
netadapt          netadapt: layers pruned one at a time to an energy
"""

from gmp.energy.chips import ChipCost
from gmp.energy.cost import COLUMNS, Costs, NetworkCost, Slopes
from gmp.energy.energy_budget import BudgetSchedule, sparsity_for
from gmp.energy.energy_monitor import EnergyMonitor
from gmp.energy.energy_score import EnergyScore
from gmp.energy.hardware import load_hardware, network_cost
from gmp.energy.mapped import Accelerator, MappedCost
from gmp.energy.monitor_readings import Reading
from gmp.energy.netadapt import Adaptation, netadapt

__all__ = [
    "COLUMNS",
    "Accelerator",
    "Adaptation",
    "BudgetSchedule",
    "ChipCost",
    "Costs",
    "EnergyMonitor",
    "EnergyScore",
    "MappedCost",
    "NetworkCost",
    "Reading",
    "Slopes",
    "load_hardware",
    "netadapt",
    "network_cost",
    "sparsity_for",
]
