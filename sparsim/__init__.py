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
    from sparsim.files.native import (
        dump,
        load_accelerator,
        load_documents,
        load_preset,
        load_text,
        load_workload,
        preset_names,
        workload_names,
    )
    from sparsim.mapper.mapping_cache import MappingCache
    from sparsim.mapper.network_search import search_network
    from sparsim.mapper.search import search
    from sparsim.mapper.search_result import Certificate, SearchResult
    from sparsim.model.evaluate import evaluate, evaluate_batch
    from sparsim.model.frozen import Frozen
    from sparsim.model.result import Evaluation
    from sparsim.records import (
        Accelerator,
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

__version__ = "0.1.0"

__all__ = [
    "Accelerator", "Architecture", "Certificate", "Component", "Compute", "Dataspace", "Density",
    "EmptyMapspaceError", "EnergyTable", "EnergyTableError", "EnergyWarning", "Evaluation", "FormatError",
    "Frozen", "Layer", "LevelConstraint", "LevelMapping", "Mapping", "MappingCache", "MappingError",
    "Mapspace", "Nest", "NestConstraint", "Network", "Option", "Rank", "Saf", "SearchResult", "Shape",
    "SparsePolicy", "SparsimError", "SpecError", "Storage", "TensorFormat", "Workload", "dump", "evaluate",
    "evaluate_batch", "load_accelerator", "load_documents", "load_preset", "load_text", "load_workload",
    "preset_names", "search", "search_network", "workload_names",
]  # fmt: skip

_HOMES = {
    "sparsim.errors": (
        "EmptyMapspaceError", "EnergyTableError", "EnergyWarning", "FormatError", "MappingError",
        "SparsimError", "SpecError",
    ),
    "sparsim.model.evaluate": ("evaluate", "evaluate_batch"),
    "sparsim.model.frozen": ("Frozen",),
    "sparsim.mapper.mapping_cache": ("MappingCache",),
    "sparsim.mapper.network_search": ("search_network",),
    "sparsim.mapper.search_result": ("Certificate", "SearchResult"),
    "sparsim.mapper.search": ("search",),
    "sparsim.model.result": ("Evaluation",),
    "sparsim.files.native": (
        "dump", "load_accelerator", "load_documents", "load_preset", "load_text", "load_workload",
        "preset_names", "workload_names",
    ),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'sparsim' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME_OF.get(name, "sparsim.records")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
