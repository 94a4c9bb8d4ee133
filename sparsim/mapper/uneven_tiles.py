"""Uneven tiles: levels as several levels of one memory, so that each tensor has its own place in the nest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from sparsim.errors import SpecError, near
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.records import (
    Accelerator,
    Architecture,
    LevelConstraint,
    Mapspace,
    NestConstraint,
    Network,
    Shape,
    SparsePolicy,
    Storage,
)


def with_uneven_tiles(
    accelerator: Accelerator, shape: Shape, levels: Iterable[str] | None = None
) -> Accelerator:
    """Return the accelerator with several levels in place of each of some levels, one for each tensor.

    The levels of one memory share its size, its bandwidth, its area and its leakage. Mappings of the result
    may therefore have uneven tiles: every tensor that the memory holds has a place of its own in the loop
    nest. The innermost of the levels has the name of the memory, and a mapping that uses it alone has even
    tiles.

    Parameters
    ----------
    accelerator : Accelerator
        The accelerator. Its mapspace may say which tensors these levels keep, and how they are spread over
        what is inside, but not constrain their loops in time.
    shape : Shape
        The shape of the layers, whose tensors the levels keep.
    levels : iterable of str, optional
        Names of the levels; by default all but the outermost that may keep two tensors or more, and whose
        loops in time are free.

    Returns
    -------
    Accelerator
        The accelerator for `search` and `evaluate`. A level "GLB" that may keep three tensors has become
        "GLB-3", "GLB-2" and "GLB", from the outside.

    Raises
    ------
    SpecError
        If a level is unknown or the outermost one, or has constrained loops in time.

    Examples
    --------
    >>> import sparsim
    >>> layer = sparsim.gemm(16, 8, 32)
    >>> accelerator = sparsim.load_accelerator("eyeriss_like_onchip")
    >>> uneven = sparsim.with_uneven_tiles(accelerator, layer.shape, ["shared_glb"])
    >>> [level.name for level in uneven.architecture.storage[:4]]
    ['DRAM', 'shared_glb-3', 'shared_glb-2', 'shared_glb']
    """
    arch, mapspace = accelerator.architecture, accelerator.mapspace or Mapspace()
    given = {level.level: level for level in mapspace.levels}
    names = [dataspace.name for dataspace in shape.dataspaces]
    kept = {
        level.name: [
            name for name in names if level.name not in given or name not in given[level.name].bypass
        ]
        for level in arch.storage
    }
    if levels is None:
        chosen = [
            level.name for level in arch.storage[1:]
            if len(kept[level.name]) > 1 and level.size_words and not _is_constrained(given.get(level.name))
        ]  # fmt: skip
    else:
        chosen = list(dict.fromkeys(levels))
    parts = {name: _parts(arch, given.get(name), name, len(kept.get(name, ()))) for name in chosen}
    storage = [one for level in arch.storage for one in _split(level, parts.get(level.name, []))]
    constraints = list(mapspace.levels)
    for name, more in parts.items():
        own = given.get(name, LevelConstraint(level=name))
        constraints += [replace(own, level=part, spatial=None, keep=()) for part in more]
    energy = energy_table(accelerator)
    if energy is not None:
        actions = dict(energy.actions)
        for name, more in parts.items():
            actions |= {part: energy.actions[name] for part in more if name in energy.actions}
        energy = replace(energy, actions=actions)
    return Accelerator(
        architecture=replace(arch, storage=tuple(storage)),
        policy=_with_formats(accelerator.policy, parts),
        energy=energy,
        mapspace=replace(mapspace, levels=tuple(constraints)),
    )


def even_tiles(accelerator: Accelerator, shape: Shape) -> Accelerator:
    """Return the accelerator with the mappings of its mapspace that have even tiles only."""
    names = tuple(dataspace.name for dataspace in shape.dataspaces)
    arch, mapspace = accelerator.architecture, accelerator.mapspace or Mapspace()
    given = {level.level: level for level in mapspace.levels}
    for level in arch.storage:
        if level.memory:
            own = given.get(level.name, LevelConstraint(level=level.name))
            one = NestConstraint(default_at_most=1)
            given[level.name] = replace(own, temporal=one, keep=(), bypass=names)
    return replace(accelerator, mapspace=replace(mapspace, levels=tuple(given.values())))


def _is_constrained(level: LevelConstraint | None) -> bool:
    return level is not None and level.temporal != NestConstraint()


def _parts(arch: Architecture, given: LevelConstraint | None, name: str, number: int) -> list[str]:
    """Return the names of the levels that are added outside of a level, from the outside."""
    known = [level.name for level in arch.storage[1:]]
    if name not in known:
        where = "the outermost level" if name == arch.storage[0].name else "not a storage level"
        raise SpecError(f"tiles of '{name}' cannot be uneven, because it is {where}", hint=near(name, known))
    if _is_constrained(given):
        raise SpecError(
            f"tiles of '{name}' cannot be uneven, because its loops in time are constrained", path="mapspace"
        )
    return [f"{name}-{i}" for i in range(number, 1, -1)]


def _split(level: Storage, parts: Sequence[str]) -> Iterator[Storage]:
    """Yield the levels of a memory from the outside; the last has the name and the network."""
    if parts and level.power_gated_at == level.name:
        level = replace(level, power_gated_at="")  # means the same, and is possible for all levels
    mesh = level.mesh
    for name in parts:
        network = Network(energy_per_hop_pj=0.0)
        yield replace(level, name=name, mesh=mesh, network=network, memory=level.name)
        mesh = (1, 1)
    yield replace(level, mesh=mesh)


def _with_formats(policy: SparsePolicy | None, parts: dict[str, list[str]]) -> SparsePolicy | None:
    """Return the policy with the formats of a memory at all of its levels."""
    if policy is None:
        return None
    formats = [
        replace(one, level=level)
        for one in policy.formats
        for level in (*parts.get(one.level, ()), one.level)
    ]  # fmt: skip
    return replace(policy, formats=tuple(formats))
