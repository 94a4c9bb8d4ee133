"""What the user says: frozen, validated records with names and units. Levels are listed outer to inner."""

from sparsim.spec.arch import Architecture, Compute, Network, Storage
from sparsim.spec.base import Record
from sparsim.spec.component import Component
from sparsim.spec.conv import CONV, is_depthwise
from sparsim.spec.counts import effectual_macs, macs, tensor_shape, words
from sparsim.spec.energy import EnergyTable
from sparsim.spec.mapping import LevelMapping, Mapping, Nest
from sparsim.spec.mapspace import LevelConstraint, Mapspace, NestConstraint
from sparsim.spec.shape import DENSE, Dataspace, Density, Layer, Shape
from sparsim.spec.sparsity import Option, Rank, Saf, SparsePolicy, TensorFormat
from sparsim.spec.workload import Workload

__all__ = [
    "CONV", "DENSE", "Architecture", "Component", "Compute", "Dataspace", "Density", "EnergyTable", "Layer",
    "LevelConstraint", "LevelMapping", "Mapping", "Mapspace", "Nest", "NestConstraint", "Network", "Option",
    "Rank", "Record", "Saf", "Shape", "SparsePolicy", "Storage", "TensorFormat", "Workload",
    "effectual_macs", "is_depthwise", "macs", "tensor_shape", "words",
]  # fmt: skip
