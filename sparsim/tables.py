"""Answers to density queries that the kernels cannot give themselves: banded and actual data.

For such a tensor the queries of one analysed mapping are known (tiles, sub-tiles of ranks, leader tiles);
they are answered here once and handed to the kernels as a TablePack.
"""

from __future__ import annotations

from collections.abc import Mapping as Dict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsim import packs
from sparsim.array_files import load_arrays
from sparsim.banded import Banded
from sparsim.counted import Counted, contract
from sparsim.errors import FormatError, SpecError, near
from sparsim.lower import reals
from sparsim.packs import DensityPack, Ints, LayerPack, NestPack, PolicyPack, Reals, TablePack
from sparsim.scratch import Scratch, no_table
from sparsim.spec import Layer, tensor_shape

Masks = dict[str, NDArray[np.bool_]]


def load_masks(layer: Layer, given: Dict[str, NDArray[np.bool_]]) -> Masks:
    """The nonzeros of every dataspace with density `actual`; `given` outranks files.

    Raises SpecError for a mask of the wrong shape or for no mask, FormatError for an unreadable file.
    """
    names = [d.name for d in layer.shape.dataspaces]
    masks = {}
    for name in given:
        if name not in names:
            raise SpecError(
                f"mask for unknown dataspace '{name}'", path=f"layer {layer.name}", hint=near(name, names)
            )
        if layer.density(name).distribution != "actual":
            raise SpecError(
                f"mask for {name}, whose density is '{layer.density(name).distribution}', needed is 'actual'",
                path=f"layer {layer.name}",
            )
    for dataspace in layer.shape.dataspaces:
        density = layer.density(dataspace.name)
        if density.distribution != "actual":
            continue
        where = f"layer {layer.name}, density of {dataspace.name}"
        need = tensor_shape(layer, dataspace.name)
        if dataspace.name in given:
            mask = np.asarray(given[dataspace.name])
        elif density.mask is not None:
            try:
                mask = _read_mask(density.mask, dataspace.name, need)
            except SpecError as error:
                raise error.within(where) from None
        else:
            raise SpecError("'actual' needs a mask, a file or an array", path=where)
        if mask.shape != need:
            raise SpecError(f"the mask has shape {mask.shape}, the tensor {need}", path=where)
        masks[dataspace.name] = mask != 0
    return masks


def _read_mask(path: str, name: str, need: tuple[int, ...]) -> NDArray[Any]:
    """The array of a .npy file; of a .npz file the only one, or that of the dataspace's name."""

    def chosen(names: list[str]) -> list[str]:
        if len(names) == 1 or name in names:
            return names if len(names) == 1 else [name]
        raise FormatError(f"has no array '{name}'", path=path, hint=near(name, names))

    def check(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        if dtype.kind not in "biuf":
            raise FormatError(f"holds {dtype}, numbers or booleans are needed", path=path)
        if shape != need:
            raise SpecError(f"the mask has shape {shape}, the tensor {need}", path=path)

    found = load_arrays(path, names=chosen, check=check)
    return next(iter(found.values())) if isinstance(found, dict) else found


def fill_table(
    layer: Layer, pack: LayerPack, density: DensityPack, policy: PolicyPack, nest: NestPack, masks: Masks
) -> TablePack:
    """Answer all queries about TABULATED tensors. Raises SpecError for what these models cannot do."""
    empty = no_table(nest)
    tabulated = [v for v in range(len(density.kind)) if density.kind[v] == packs.TABULATED]
    if not tabulated or not policy.switch[packs.ACTIVE]:
        return empty
    if policy.switch[packs.ANY_SPATIAL]:
        name = layer.shape.dataspaces[tabulated[0]].name
        raise SpecError(
            f"spatial skipping needs fixed-structured or hypergeometric densities, {name} is "
            f"'{layer.density(name).distribution}'",
            path=f"layer {layer.name}",
        )
    models = {v: _model(layer, pack, v, masks) for v in tabulated}
    if all(isinstance(models.get(int(v)), Counted) for v in pack.operand):
        empty.joint[:] = 0.0  # until `count_joint` knows which operations are left
    k, p, p0 = [reals(0)], [reals(0)], [reals(0, nest.sub.shape[2])]
    for v, model in models.items():
        empty.expected[v] = model.point_density
        for s in np.flatnonzero(nest.kept[:, v]):
            start = sum(map(len, p0))
            rows = _tile_rows(model, policy, nest, int(s), v)
            empty.start[s, v] = start, start + len(rows[1])
            # a banded tile always counts as possibly empty (8.4)
            empty.bounds[s, v] = rows[0][0] if isinstance(model, Counted) else 0, rows[3]
            k.append(np.append(rows[0], rows[3]))
            p.append(np.append(rows[1], 0.0))
            p0.append(rows[2])
    for g, option in enumerate(policy.option.tolist()):
        for q in range(option[packs.OPT_LEADER1] - option[packs.OPT_LEADER0]):
            leader = int(policy.leader[option[packs.OPT_LEADER0] + q])
            if leader in models and nest.lead_words[g, q] > 0:
                empty.lead[g, q] = _leader_empty(models[leader], nest.lead_box[g, q])
        empty.follow[g] = _joint_chance(policy, nest, models, g)
    return empty._replace(k=np.concatenate(k).astype(np.int64), p=np.concatenate(p), p0=np.concatenate(p0))


def _model(layer: Layer, pack: LayerPack, v: int, masks: Masks) -> Banded | Counted:
    name = layer.shape.dataspaces[v].name
    if name in masks:
        return Counted(pack, v, masks[name])
    edges = tensor_shape(layer, name)
    if len(edges) != 2 or edges[0] != edges[1]:
        raise SpecError(
            f"'banded' needs a square matrix, {name} has shape {edges}", path=f"layer {layer.name}"
        )
    return Banded(pack, v, edges[0], layer.density(name).band_width)


def _ext(nest: NestPack, loops: int) -> list[int]:
    """Extents of the box inside the first `loops` loops of the complete nest."""
    ext = np.ones(len(nest.ext), np.int64)
    for dim, bound in nest.loop[:loops, [packs.DIM, packs.BOUND]]:
        ext[dim] *= bound
    return ext.tolist()


def _tile_rows(
    model: Banded | Counted, policy: PolicyPack, nest: NestPack, s: int, v: int
) -> tuple[Ints, Reals, Reals, int]:
    """(occupancies, probabilities, chances of empty sub-tiles with a last row for the fullest, largest)."""
    inside = int((nest.loop[:, packs.LEVEL] <= s).sum())
    ext = _ext(nest, inside)
    if isinstance(model, Counted):
        k, p = model.list_of(ext)
        most = int(k[-1])
    else:
        k, p, most = model.list_of(model.box(ext))
    every = np.append(k, most)
    p0 = reals(len(every), nest.sub.shape[2])
    if policy.format[s, v, packs.HAS_FORMAT]:
        for r in range(policy.format[s, v, packs.N_RANKS]):
            inner = _ext(nest, int(nest.sub_loop[s, v, r]))
            if isinstance(model, Counted):
                row = model.empty_within(ext, inner, k)
                p0[:, r] = np.append(row, row[-1])
            else:
                p0[:, r] = [model.empty_within(model.box(ext), model.box(inner), int(n)) for n in every]
    return k, p, p0, most


def _leader_empty(model: Banded | Counted, box: Ints) -> float:
    if isinstance(model, Counted):
        return model.empty_fraction(_clip(model, box))
    return model.occupancies(*model.box(box.tolist()))[0]


def _clip(model: Counted, box: Ints) -> list[int]:
    return [min(int(e), b) for e, b in zip(box, model.bound, strict=True)]


def _kept_cells(model: Counted, box: Ints, bound: list[int]) -> tuple[Reals, list[int]]:
    """1 at every operation whose leader box `box` holds a nonzero, as (array, dims of its axes)."""
    ext = _clip(model, box)
    alive = (model.counts(ext) > 0).astype(np.float64)
    for axis, dim in enumerate(model.dims):
        alive = alive.repeat(ext[dim], axis).take(range(bound[dim]), axis)
    return alive, model.dims


def _joint_chance(policy: PolicyPack, nest: NestPack, models: Dict[int, Banded | Counted], g: int) -> float:
    """Fraction of the target's accesses that meet an empty leader tile; -1: not all tensors are counted.

    Accesses of a target stored with metadata touch its nonzeros only, so they are weighted by them.
    """
    option = policy.option[g].tolist()
    target = option[packs.OPT_TARGET]
    leaders = policy.leader[option[packs.OPT_LEADER0] : option[packs.OPT_LEADER1]].tolist()
    involved = [models.get(v) for v in [target, *leaders]]
    if not all(isinstance(m, Counted) for m in involved):
        return -1.0
    model: Counted = involved[0]  # type: ignore[assignment]
    level = nest.lead[g, packs.LEAD_LEVEL]
    if not policy.format[level, target, packs.HAS_FORMAT]:
        return -1.0
    ones = [1] * len(model.bound)
    reads = (model.counts(ones).astype(np.float64), model.dims)
    alive = [
        _kept_cells(m, nest.lead_box[g, q], model.bound)  # type: ignore[arg-type]
        for q, m in enumerate(involved[1:])
        if nest.lead_words[g, q] > 0
    ]
    total = contract(model.bound, reads)
    return 1.0 - contract(model.bound, reads, *alive) / total if total else 0.0


def count_joint(
    layer: Layer, pack: LayerPack, policy: PolicyPack, scratch: Scratch, masks: Masks, table: TablePack
) -> bool:
    """Count operations by the state of both operands where both are actual data, into table.joint.

    Needs the entries that a first pass chose. Returns whether a second pass is needed.
    """
    a, b = (int(v) for v in pack.operand)
    names = [d.name for d in layer.shape.dataspaces]
    if not policy.switch[packs.ACTIVE] or names[a] not in masks or names[b] not in masks:
        return False
    models = {v: Counted(pack, v, masks[names[v]]) for v in (a, b)}
    bound = pack.bound.tolist()
    alive = []
    for v in (a, b):
        entries = np.flatnonzero(scratch.sparse.saf[:, v])
        if len(entries):
            g = int(scratch.sparse.saf_option[entries[0], v])
            option = policy.option[g].tolist()
            for q, leader in enumerate(policy.leader[option[packs.OPT_LEADER0] : option[packs.OPT_LEADER1]]):
                if int(leader) in models and scratch.nest.lead_words[g, q] > 0:
                    alive.append(_kept_cells(models[int(leader)], scratch.nest.lead_box[g, q], bound))
    ones = [1] * len(bound)
    on = {v: (m.counts(ones).astype(np.float64), m.dims) for v, m in models.items()}
    table.joint[:] = (
        contract(bound, *alive) if alive else float(np.prod(pack.bound)),
        contract(bound, on[a], on[b]),
        contract(bound, on[a], *alive),
        contract(bound, on[b], *alive),
    )
    return True
