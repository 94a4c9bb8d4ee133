"""Records of user input: frozen and validated, with names and units. Levels are listed outer to inner."""

from sparsim.records.accelerator import Accelerator
from sparsim.records.architecture import Architecture, Compute, NamedNetwork, Network, Storage, Transfer
from sparsim.records.component import Component
from sparsim.records.convolution import CONV, conv2d, depthwise, gemm, is_depthwise
from sparsim.records.energy_table import EnergyTable
from sparsim.records.kernel_map_sizes import KernelMapSizes
from sparsim.records.layer import DENSE, Density, Layer
from sparsim.records.layer_counts import effectual_macs, macs, tensor_shape, words
from sparsim.records.mapping import LevelMapping, Mapping, Nest
from sparsim.records.mapspace import LevelConstraint, Mapspace, NestConstraint
from sparsim.records.objective import (
    OBJECTIVES,
    Objective,
    ObjectiveName,
    edp_j_cycles,
    objective_names,
    objective_value,
)
from sparsim.records.point_mapping import PointMapping
from sparsim.records.record import Record
from sparsim.records.shape import Dataspace, Shape
from sparsim.records.sparsity import Option, Rank, Saf, SparsePolicy, TensorFormat
from sparsim.records.workload import Workload

__all__ = [
    "CONV",
    "DENSE",
    "OBJECTIVES",
    "Accelerator",
    "Architecture",
    "Component",
    "Compute",
    "Dataspace",
    "Density",
    "EnergyTable",
    "KernelMapSizes",
    "Layer",
    "LevelConstraint",
    "LevelMapping",
    "Mapping",
    "Mapspace",
    "NamedNetwork",
    "Nest",
    "NestConstraint",
    "Network",
    "Objective",
    "ObjectiveName",
    "Option",
    "PointMapping",
    "Rank",
    "Record",
    "Saf",
    "Shape",
    "SparsePolicy",
    "Storage",
    "TensorFormat",
    "Transfer",
    "Workload",
    "conv2d",
    "depthwise",
    "edp_j_cycles",
    "effectual_macs",
    "gemm",
    "is_depthwise",
    "macs",
    "objective_names",
    "objective_value",
    "tensor_shape",
    "words",
]  # fmt: skip
