# The public names and where they live: read by sparsim/__init__.py and by type checkers.

from .errors import (
    CacheWarning as CacheWarning,
    EmptyMapspaceError as EmptyMapspaceError,
    EnergyTableError as EnergyTableError,
    EnergyWarning as EnergyWarning,
    FormatError as FormatError,
    MappingError as MappingError,
    MissingLibraryError as MissingLibraryError,
    SparsimError as SparsimError,
    SparsimWarning as SparsimWarning,
    SpecError as SpecError,
)
from .files.sparsim_yaml import (
    dump as dump,
    load_accelerator as load_accelerator,
    load_documents as load_documents,
    load_preset as load_preset,
    load_text as load_text,
    load_workload as load_workload,
    preset_names as preset_names,
    workload_names as workload_names,
)
from .hardware import (
    load_hardware as load_hardware,
)
from .mapper.mapping_cache import (
    MappingCache as MappingCache,
)
from .mapper.network_search import (
    search_network as search_network,
)
from .mapper.search import (
    search as search,
)
from .mapper.search_result import (
    Certificate as Certificate,
    SearchResult as SearchResult,
)
from .mapper.uneven_tiles import (
    with_uneven_tiles as with_uneven_tiles,
)
from .model.evaluate import (
    evaluate as evaluate,
    evaluate_batch as evaluate_batch,
)
from .model.frozen import (
    Frozen as Frozen,
)
from .model.result import (
    Evaluation as Evaluation,
)
from .records import (
    Accelerator as Accelerator,
    Architecture as Architecture,
    Component as Component,
    Compute as Compute,
    Dataspace as Dataspace,
    Density as Density,
    EnergyTable as EnergyTable,
    Layer as Layer,
    LevelConstraint as LevelConstraint,
    LevelMapping as LevelMapping,
    Mapping as Mapping,
    Mapspace as Mapspace,
    Nest as Nest,
    NestConstraint as NestConstraint,
    Network as Network,
    Option as Option,
    Rank as Rank,
    Saf as Saf,
    Shape as Shape,
    SparsePolicy as SparsePolicy,
    Storage as Storage,
    TensorFormat as TensorFormat,
    Workload as Workload,
    conv2d as conv2d,
    depthwise as depthwise,
    effectual_macs as effectual_macs,
    gemm as gemm,
    macs as macs,
)
from .report.explain import (
    explain as explain,
)

__version__: str
