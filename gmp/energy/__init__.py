"""Energy and cycles of a network on hardware, while it is trained and pruned.

energy_monitor    EnergyMonitor: densities of a model in training, and what it costs with them
monitor_readings  Reading: what a monitor gives
torch_costs       torch_costs: the costs of a plan, with gradients
energy_budget     sparsity_for, BudgetSchedule: prune until energy or cycles are reached
energy_score      EnergyScore: weights by magnitude and by what they cost
netadapt          netadapt: layers pruned one at a time to an energy
weight_costs      WeightCosts: weights, MACs, energy and cycles for any sparsity of each weight
channel_energy    hardware_cost: energy or cycles by the channels that are left
"""

from gmp.energy.channel_energy import hardware_cost
from gmp.energy.energy_budget import BudgetSchedule, sparsity_for
from gmp.energy.energy_monitor import EnergyMonitor
from gmp.energy.energy_score import EnergyScore
from gmp.energy.monitor_readings import Reading
from gmp.energy.netadapt import Adaptation, netadapt
from gmp.energy.torch_costs import torch_costs
from gmp.energy.weight_costs import WeightCosts

__all__ = [
    "Adaptation", "BudgetSchedule", "EnergyMonitor", "EnergyScore", "Reading", "WeightCosts",
    "hardware_cost", "netadapt", "sparsity_for", "torch_costs",
]  # fmt: skip
