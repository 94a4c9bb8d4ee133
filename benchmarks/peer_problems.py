"""Problems for comparing mappers: products of matrices on a memory hierarchy that all of them can describe.

Mappings of other tools become mappings of `sparsim.evaluate` here.

Words have 8 bits, every level keeps all tensors, and bandwidths are unlimited.
"""

from typing import Any, NamedTuple

from sparsim.model.evaluate import evaluate
from sparsim.model.result import Evaluation
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    Dataspace,
    EnergyTable,
    Layer,
    LevelConstraint,
    LevelMapping,
    Mapping,
    Mapspace,
    Nest,
    NestConstraint,
    Shape,
    Storage,
)
from sparsim.records.accounting import Accounting

WORDS = {"DRAM": None, "GLB": 65_536, "RF": 512}
PJ = {"DRAM": 200.0, "GLB": 6.0, "RF": 1.0, "MAC": 1.0}
FANOUT = {"X": 14, "Y": 12}  # of units with a register file RF each
PASSAGE = "array"  # a level that keeps nothing, between loops that one level cannot have
TENSORS = ("Weights", "Inputs", "Outputs")
PRODUCT = Shape(
    name="product",
    dims=("M", "K", "N"),
    dataspaces=(
        Dataspace(name="Weights", projection=("M", "K")),
        Dataspace(name="Inputs", projection=("K", "N")),
        Dataspace(name="Outputs", projection=("M", "N"), read_write=True),
    ),
)
# layers 4 and 9 of the study, a common size, and the third layer of AlexNet with its input unrolled
BOUNDS = {
    "pn4": (128, 131, 16384),
    "pn9": (1024, 512, 256),
    "gemm": (512, 512, 2048),
    "conv3": (384, 2304, 169),
}

Step = tuple[str, str, Any]
"""A node of a mapping, from the outside: ("keep", level, tensors), ("time", dim, factor), ("X" or "Y", dim,
factor).
"""


class UntranslatableError(Exception):
    """A mapping that `sparsim.evaluate` cannot express; the message says why."""


def product(name: str) -> Layer:
    return Layer(name=name, shape=PRODUCT, bounds=dict(zip(PRODUCT.dims, BOUNDS[name], strict=True)))


def _storage(name: str, mesh: tuple[int, int]) -> Storage:
    level = name.partition("-")[0]
    words = WORDS.get(level, 0)
    return Storage(
        name=name, technology="DRAM" if words is None else "SRAM", size_words=words, mesh=mesh, word_bits=8
    )


def _accelerator(storage: tuple[Storage, ...], **fields: Any) -> Accelerator:
    prices = {level.name: PJ.get(level.name.partition("-")[0], 0.0) for level in storage}
    actions = {name: {"read": pj, "write": pj} for name, pj in prices.items()}
    compute = Compute(name="MAC", word_bits=8)  # one for each register file
    return Accelerator(
        architecture=Architecture(name="common hierarchy", storage=storage, compute=compute),
        energy=EnergyTable(actions={**actions, "MAC": {"compute": PJ["MAC"]}}),
        **fields,
    )


def common_hierarchy() -> Accelerator:
    """Return the hierarchy for a search, with a level between the axes, so that a dim may lie along both."""
    x, y = FANOUT["X"], FANOUT["Y"]
    storage = (("DRAM", (1, 1)), ("GLB", (1, 1)), (PASSAGE, (x, 1)), ("RF", (1, y)))
    ones = NestConstraint(factors=dict.fromkeys(PRODUCT.dims, 1))
    levels = (
        LevelConstraint(level="GLB", keep=TENSORS),
        LevelConstraint(level=PASSAGE, bypass=TENSORS, temporal=ones, spatial=NestConstraint(split_x=0)),
        LevelConstraint(level="RF", keep=TENSORS),
    )
    return _accelerator(tuple(_storage(*level) for level in storage), mapspace=Mapspace(levels=levels))


# ---- mappings of other tools


class _Level(NamedTuple):
    """A level of a translated mapping, with loops from the outside."""

    name: str
    tensors: tuple[str, ...]
    temporal: list[tuple[str, int]]
    spatial: list[tuple[str, int]]
    axis: list[str]  # none, or the axis of all spatial loops


def translated(steps: list[Step]) -> tuple[Accelerator, Mapping]:
    """Return a mapping of another tool, and the hierarchy with a level for each of its "keep" nodes.

    Raises UntranslatableError if a level of the hierarchy is outside of another one that should surround it.
    """
    levels: list[_Level] = []
    for kind, name, what in steps:
        if kind == "keep":
            at = sum(level.name.partition("-")[0] == name for level in levels)
            levels.append(_Level(f"{name}-{at}" if at else name, tuple(what), [], [], []))
        elif what > 1:
            _add_loop(levels, kind, name, what)
    _check_order(levels)
    mesh, storage, mapped = (1, 1), [], []
    for level in levels:
        storage.append(_storage(level.name, mesh))
        across = level.axis[0] if level.axis else ""
        mesh = (FANOUT["X"] if across == "X" else 1, FANOUT["Y"] if across == "Y" else 1)
        spatial = _nest(level.spatial, 0 if across == "Y" else None) if across else None
        bypass = tuple(tensor for tensor in TENSORS if tensor not in level.tensors)
        temporal = _nest(level.temporal, None)
        mapped.append(LevelMapping(level=level.name, temporal=temporal, spatial=spatial, bypass=bypass))
    return _accelerator(tuple(storage)), Mapping(levels=tuple(mapped))


def is_uneven(steps: list[Step]) -> bool:
    """Return whether loops lie between the tiles of different tensors in one level of the hierarchy."""
    level, loops = "", False
    for kind, name, what in steps:
        if kind == "keep":
            if name == level and loops:
                return True
            level, loops = name, False
        elif what > 1:
            loops = True
    return False


def _add_loop(levels: list[_Level], kind: str, dim: str, factor: int) -> None:
    """Add a loop to the innermost level, or to a new one that keeps nothing if that level cannot have it."""
    level = levels[-1]
    if kind == "time":
        full = bool(level.spatial) or dim in dict(level.temporal)
    else:
        full = dim in dict(level.spatial) or level.axis not in ([], [kind])
    if full:
        at = sum(level.name.startswith(PASSAGE) for level in levels)
        level = _Level(f"{PASSAGE}-{at}", (), [], [], [])
        levels.append(level)
    if kind == "time":
        level.temporal.append((dim, factor))
    else:
        level.spatial.append((dim, factor))
        level.axis[:] = [kind]


def _check_order(levels: list[_Level]) -> None:
    fanned = False
    for level in levels:
        if fanned and level.name.startswith("GLB"):
            raise UntranslatableError("a tensor is in the array outside of another one in the buffer")
        if level.name.startswith("RF") and not fanned and any(inner.spatial for inner in levels):
            raise UntranslatableError("a tensor is in a register file outside of the loops over the array")
        fanned = fanned or bool(level.spatial)


def _nest(loops: list[tuple[str, int]], split_x: int | None) -> Nest:
    return Nest(factors=dict(loops), order=tuple(dim for dim, _ in loops), split_x=split_x)


def evaluated(layer: Layer, steps: list[Step], accounting: Accounting) -> Evaluation:
    """Evaluate a mapping of another tool. Raises UntranslatableError, and MappingError if it does not fit."""
    accelerator, mapping = translated(steps)
    result = evaluate(accelerator, layer, mapping, accounting=accounting)
    for name, words in WORDS.items():
        levels = [level for level in result.storage if level.name.partition("-")[0] == name]
        used = sum(tensor.utilized_words for level in levels for tensor in level.tensors)
        if words is not None and used > words:
            raise UntranslatableError(f"tiles of {used} words exceed {name}")
    return result
