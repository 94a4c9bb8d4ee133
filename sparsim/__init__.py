"""What does pruning really buy on a sparse accelerator?

An analytical model of dense and compressed-sparse DNN accelerators. Names are imported when they are first
used, so that `import sparsim` is quick and loads no compiler.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparsim.errors import (
        EmptyMapspaceError,
        EnergyTableError,
        FormatError,
        MappingError,
        SparsimError,
        SpecError,
    )
    from sparsim.estimate.load import load_documents, load_preset, load_text
    from sparsim.evaluation import Frozen, evaluate, evaluate_batch
    from sparsim.mapper.cache import MappingCache
    from sparsim.mapper.network import search_network
    from sparsim.mapper.result import Certificate, SearchResult
    from sparsim.mapper.search import search
    from sparsim.result import Evaluation
    from sparsim.spec import (
        Architecture,
        Component,
        Compute,
        Dataspace,
        Density,
        EnergyTable,
        Layer,
        LevelConstraint,
        LevelMapping,
        Mapping,
        Mapspace,
        Nest,
        NestConstraint,
        Network,
        Option,
        Rank,
        Saf,
        Shape,
        SparsePolicy,
        Storage,
        TensorFormat,
        Workload,
    )
    from sparsim.spec.load import dump, load_workload, preset_names, workload_names

__version__ = "0.1.0"

__all__ = [
    "Architecture", "Certificate", "Component", "Compute", "Dataspace", "Density", "EmptyMapspaceError",
    "EnergyTable", "EnergyTableError", "EnergyWarning", "Evaluation", "FormatError", "Frozen", "Layer",
    "LevelConstraint", "LevelMapping", "Mapping", "MappingCache", "MappingError", "Mapspace", "Nest",
    "NestConstraint", "Network", "Option", "Rank", "Saf", "SearchResult", "Shape", "SparsePolicy",
    "SparsimError", "SpecError", "Storage", "TensorFormat", "Workload", "dump", "evaluate", "evaluate_batch",
    "load_documents", "load_preset", "load_text", "load_workload", "preset_names", "search",
    "search_network", "workload_names",
]  # fmt: skip

_HOMES = {
    "sparsim.errors": (
        "EmptyMapspaceError", "EnergyTableError", "EnergyWarning", "FormatError", "MappingError",
        "SparsimError", "SpecError",
    ),
    "sparsim.estimate.load": ("load_documents", "load_preset", "load_text"),
    "sparsim.evaluation": ("Frozen", "evaluate", "evaluate_batch"),
    "sparsim.mapper.cache": ("MappingCache",),
    "sparsim.mapper.network": ("search_network",),
    "sparsim.mapper.result": ("Certificate", "SearchResult"),
    "sparsim.mapper.search": ("search",),
    "sparsim.result": ("Evaluation",),
    "sparsim.spec.load": ("dump", "load_workload", "preset_names", "workload_names"),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'sparsim' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME_OF.get(name, "sparsim.spec")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
