"""Tensor cores with N:M weights: a roofline of computation and DRAM traffic with a launch overhead."""

from sparsim.machines.tensor_core.n_m_pattern import crowded_groups
from sparsim.machines.tensor_core.roofline import LayerSize, Roofline, layer_size, roofline

__all__ = ["LayerSize", "Roofline", "crowded_groups", "layer_size", "roofline"]
