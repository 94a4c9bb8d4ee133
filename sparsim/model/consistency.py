"""Consistency checks of records: names, factors, fan-outs, formats, energies. Tile sizes are not known
yet.
"""

import math
from collections.abc import Iterable

from sparsim.errors import MappingError, SpecError, near
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.model.energy_gaps import energy_gaps
from sparsim.records.accelerator import Accelerator
from sparsim.records.architecture import Architecture, Compute, Storage
from sparsim.records.divisibility import check_factors, check_policies
from sparsim.records.energy_table import require_compute_energy, require_storage_energy
from sparsim.records.layer import Layer
from sparsim.records.mapping import LevelMapping, Mapping, Nest
from sparsim.records.mapspace import LevelConstraint, Mapspace, NestConstraint
from sparsim.records.shape import Shape
from sparsim.records.sparsity import SparsePolicy, TensorFormat, rank_word_bits


def check(accelerator: Accelerator, layer: Layer, mapping: Mapping) -> tuple[str, ...]:
    """Refuse records that contradict each other; return warnings.

    Raises SpecError for unknown names and impossible formats, MappingError for a mapping that does not fit
    the layer or the fan-outs, EnergyTableError for an energy table that lacks an action which happens.
    """
    require_accelerator(accelerator)
    arch, policy = accelerator.architecture, accelerator.policy
    _check_mapping_names(arch, layer.shape, mapping)
    check_factors(layer, mapping)
    check_policies(arch, layer, policy, mapping.divisibility)
    _check_fanout(arch, mapping)
    keepers = _keepers(arch, layer.shape, mapping)

    def check_rest() -> tuple[str, ...]:
        if policy is not None:
            _check_policy(arch, layer.shape, policy)
        return check_energy(accelerator, layer.shape, keepers)

    # cases of one suite share an accelerator, and the rest does not depend on factors and densities
    return accelerator.kept("checked", (layer.shape, keepers), check_rest)


def check_mapspace(arch: Architecture, shape: Shape, mapspace: Mapspace) -> None:
    """Refuse constraints on unknown levels, dims or dataspaces, and on spatial loops without a fan-out.

    Raises SpecError.
    """
    for dim in mapspace.divisibility:
        _known(dim, shape.dims, "dim", "mapspace, divisibility")
    for level in mapspace.levels:
        _known(level.level, [s.name for s in arch.storage], "storage level", "mapspace")
        where = f"mapspace, level {level.level}"
        for nest in (level.temporal, level.spatial or NestConstraint()):
            for dim in (*nest.factors, *nest.at_most, *nest.at_least, *nest.outer, *nest.inner):
                _known(dim, shape.dims, "dim", where)
        for name in (*level.keep, *_named_dataspaces(level)):
            _known(name, _dataspaces(shape), "dataspace", where)
        child = _inner_levels(arch)[level.level]
        if level.spatial is not None and child.mesh == (1, 1):
            raise SpecError(
                f"spatial constraint without a fan-out: each instance has one '{child.name}' below it",
                path=where,
            )


def check_search(accelerator: Accelerator, layer: Layer) -> tuple[str, ...]:
    """Check what `check` checks for all mappings of the mapspace: every level that may keep a dataspace needs
    its energies. Returns warnings; raises SpecError and EnergyTableError.
    """
    arch, policy = accelerator.architecture, accelerator.policy
    mapspace = accelerator.mapspace or Mapspace()
    if policy is not None:
        _check_policy(arch, layer.shape, policy)
    check_policies(arch, layer, policy, mapspace.divisibility)
    if energy_table(accelerator) is None:
        return ()
    return check_energy(accelerator, layer.shape, _keepers(arch, layer.shape, mapspace))


def require_accelerator(accelerator: object) -> None:
    """Refuse what is no accelerator, such as hardware that plans networks. Raises SpecError."""
    if not isinstance(accelerator, Accelerator):
        text = f"the accelerator must be a sparsim.Accelerator, got a {type(accelerator).__name__}"
        raise SpecError(text, hint="load_accelerator gives one, load_hardware gives what plans networks")


def _known(name: str, names: Iterable[str], kind: str, where: str) -> None:
    names = tuple(names)
    if name not in names:
        raise SpecError(f"unknown {kind} '{name}'", path=where, hint=near(name, names))


def _dataspaces(shape: Shape) -> tuple[str, ...]:
    return tuple(d.name for d in shape.dataspaces)


def _check_mapping_names(arch: Architecture, shape: Shape, mapping: Mapping) -> None:
    levels, dataspaces = [s.name for s in arch.storage], _dataspaces(shape)
    for level in mapping.levels:
        _known(level.level, levels, "storage level", "mapping")
        where = f"mapping, level {level.level}"
        for nest in (level.temporal, level.spatial or Nest()):
            for dim in (*nest.factors, *nest.order):
                _known(dim, shape.dims, "dim", where)
            if nest.split_x is not None and nest.split_x < 0:
                raise SpecError(f"split_x must be at least 0, got {nest.split_x}", path=where)
        for name in _named_dataspaces(level):
            _known(name, dataspaces, "dataspace", where)
    for dim in mapping.divisibility:
        _known(dim, shape.dims, "dim", "mapping, divisibility")


def _named_dataspaces(level: LevelMapping | LevelConstraint) -> tuple[str, ...]:
    return (
        *level.bypass, *level.no_link_transfer, *level.no_multicast_no_reduction, *level.no_temporal_reuse,
    )  # fmt: skip


def _inner_levels(arch: Architecture) -> dict[str, Storage | Compute]:
    """Return the next inner level of each storage level."""
    below: list[Storage | Compute] = [*arch.storage[1:], arch.compute]
    return {outer.name: level for outer, level in zip(arch.storage, below, strict=True)}


def _check_fanout(arch: Architecture, mapping: Mapping) -> None:
    inner = _inner_levels(arch)
    for level in mapping.levels:
        child = inner[level.level]
        if level.spatial is not None and child.mesh == (1, 1):
            raise MappingError(
                f"spatial loops at level '{level.level}', which has no fan-out: "
                f"each instance has one '{child.name}' below it",
                level=level.level,
                need=math.prod(level.spatial.factors.values()),
                have=1,
            )


def _keepers(arch: Architecture, shape: Shape, mapping: Mapping | Mapspace) -> dict[str, list[int]]:
    """Per dataspace the indices of the storage levels that keep it, outer to inner."""
    bypass = {level.level: level.bypass for level in mapping.levels}
    keepers = {}
    for name in _dataspaces(shape):
        keepers[name] = [i for i, s in enumerate(arch.storage) if name not in bypass.get(s.name, ())]
        if not keepers[name]:
            raise MappingError(f"dataspace '{name}' is bypassed at all levels, but at least one must keep it")
    return keepers


def _check_policy(arch: Architecture, shape: Shape, policy: SparsePolicy) -> None:
    where = f"policy {policy.name}"
    operands = [d.name for d in shape.dataspaces if not d.read_write]
    if policy.active and len(operands) != 2:
        names = f": {', '.join(operands)}" if operands else ""
        raise SpecError(
            f"sparse processing needs exactly two read-only dataspaces, got {len(operands)}{names}",
            path=where,
        )
    levels, dataspaces = [s.name for s in arch.storage], _dataspaces(shape)
    for tensor_format in policy.formats:
        _known(tensor_format.level, levels, "storage level", f"{where}, formats")
        _known(tensor_format.dataspace, dataspaces, "dataspace", f"{where}, formats")
        _check_ranks(arch, shape, tensor_format, where)
    for saf in policy.safs:
        _known(saf.level, levels, "storage level", f"{where}, {saf.type}")
        for option in saf.options:
            for name in (option.target, *option.condition_on):
                _known(name, dataspaces, "dataspace", f"{where}, {saf.type} at {saf.level}")


def _check_ranks(arch: Architecture, shape: Shape, tensor_format: TensorFormat, where: str) -> None:
    level = next(s for s in arch.storage if s.name == tensor_format.level)
    here = f"{where}, format of {tensor_format.dataspace} at {level.name}"
    for rank in tensor_format.ranks:
        for dim in (dim for group in rank.flattened for dim in group):
            _known(dim, shape.dims, "dim", here)
        for kind, bits in zip(("metadata", "payload"), rank_word_bits(rank, level), strict=True):
            if bits > level.metadata_width_bits:
                raise SpecError(
                    f"{kind} words of rank {rank.format} have {bits} bits, "
                    f"the metadata storage is {level.metadata_width_bits} bits wide",
                    path=here,
                )


def check_energy(accelerator: Accelerator, shape: Shape, keepers: dict[str, list[int]]) -> tuple[str, ...]:
    """Check that the table has energies for all actions that happen: reads where a tensor is kept, fills
    where it comes from an outer level, updates of results.

    Returns warnings of unused and missing entries; none without a table. Raises EnergyTableError.
    """
    energy, arch = energy_table(accelerator), accelerator.architecture
    if energy is None:
        return ()
    for dataspace in shape.dataspaces:
        for i in keepers[dataspace.name]:
            require_storage_energy(arch.storage[i], energy, "random_read")
            if i != keepers[dataspace.name][0]:
                require_storage_energy(arch.storage[i], energy, "random_fill")
            if dataspace.read_write:
                require_storage_energy(arch.storage[i], energy, "random_update")
    require_compute_energy(arch.compute, energy)
    return energy_gaps(accelerator, shape, energy, keepers)
