"""Answers to density queries that the kernels cannot give themselves: banded and actual data.

For such a tensor the queries of one analysed mapping are known (tiles, sub-tiles of ranks, leader tiles);
they are answered here once and handed to the kernels as a packs.TablePack.
"""

from collections.abc import Mapping as Dict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import FormatError, SpecError, near
from sparsim.fileio.array_files import load_arrays
from sparsim.model import arrays as packs
from sparsim.model.banded_density import Banded
from sparsim.model.counted_tiles import Counted
from sparsim.model.lower import ints, reals
from sparsim.model.mask_counts import MaskCounts
from sparsim.model.workspace import no_table
from sparsim.records import Layer, tensor_shape

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
        distribution = layer.density(name).distribution
        if distribution != "actual":
            raise SpecError(
                f"the density of {name} must be 'actual' for a mask, got '{distribution}'",
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
            raise SpecError("an 'actual' density needs a mask, as a file or an array", path=where)
        if mask.shape != need:
            raise SpecError(
                f"the mask must have the shape {need} of the tensor, got {mask.shape}", path=where
            )
        masks[dataspace.name] = _nonzeros(mask, where)
    return masks


def _nonzeros(mask: NDArray[Any], where: str) -> NDArray[np.bool_]:
    _check_kind(mask.dtype, where)
    if np.isnan(mask).any():
        raise SpecError("the mask contains NaN", path=where)
    return mask != 0


def _check_kind(dtype: np.dtype[Any], where: str) -> None:
    if dtype.kind not in "biuf":
        raise FormatError(f"must hold numbers or booleans, got {dtype}", path=where)


def _read_mask(path: str, name: str, need: tuple[int, ...]) -> NDArray[Any]:
    """Return the array of a .npy file, or the only array, or the one named after the dataspace, of a .npz
    file.
    """

    def chosen(names: list[str]) -> list[str]:
        if len(names) == 1 or name in names:
            return names if len(names) == 1 else [name]
        raise FormatError(f"has no array '{name}'", path=path, hint=near(name, names))

    def check(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        _check_kind(dtype, path)
        if shape != need:
            raise SpecError(f"the mask must have the shape {need} of the tensor, got {shape}", path=path)

    found = load_arrays(path, names=chosen, check=check)
    return next(iter(found.values())) if isinstance(found, dict) else found


def fill_table(
    arch: packs.ArchPack,
    layer: Layer,
    pack: packs.LayerPack,
    density: packs.DensityPack,
    policy: packs.PolicyPack,
    nest: packs.NestPack,
    masks: Masks,
) -> tuple[packs.TablePack, MaskCounts | None]:
    """Answer all queries about TABULATED tensors, and return the counters of those with masks.

    Raises SpecError for cases that these models do not cover.
    """
    table = no_table(nest)
    tabulated = [v for v in range(len(density.kind)) if density.kind[v] == packs.TABULATED]
    if not tabulated or not policy.switch[packs.ACTIVE]:
        return table, None
    models = {v: _model(layer, pack, v, masks) for v in tabulated}
    counted = {v: model for v, model in models.items() if isinstance(model, Counted)}
    banded = {v: model for v, model in models.items() if isinstance(model, Banded)}
    if policy.switch[packs.ANY_SPATIAL] and banded:
        name = layer.shape.dataspaces[min(banded)].name
        raise SpecError(
            "spatial skipping needs fixed-structured, hypergeometric or actual densities, got "
            f"'{layer.density(name).distribution}' of {name}",
            path=f"layer {layer.name}",
        )
    k, p, p0 = [reals(0)], [reals(0)], [reals(0, nest.sub.shape[2])]
    for v, model in models.items():
        table.expected[v] = model.point_density
        for s in np.flatnonzero(nest.kept[:, v]):
            start = sum(map(len, p0))
            rows = _tile_rows(model, policy, nest, int(s), v)
            table.start[s, v] = start, start + len(rows[1])
            # a banded tile always counts as possibly empty (model 8.4)
            table.bounds[s, v] = rows[0][0] if v in counted else 0, rows[3]
            k.append(np.append(rows[0], rows[3]))
            p.append(np.append(rows[1], 0.0))
            p0.append(rows[2])
    for g, option in enumerate(policy.option.tolist()):
        for q in range(option[packs.OPT_LEADER1] - option[packs.OPT_LEADER0]):
            leader = int(policy.leader[option[packs.OPT_LEADER0] + q])
            if leader in banded and nest.lead_words[g, q] > 0:
                table.lead[g, q] = _leader_empty(banded[leader], nest.lead_box[g, q])
            elif leader in counted:
                table.lead[g, q] = -1.0
    table = table._replace(k=np.concatenate(k).astype(np.int64), p=np.concatenate(p), p0=np.concatenate(p0))
    if not counted:
        return table, None
    full = {
        v
        for v, kind in enumerate(density.kind)
        if kind != packs.TABULATED and density.density[v] == 1.0  # the mask of an output would be all ones
    }
    block: list[int] = arch.width[:, packs.BLOCK].tolist()
    counts = MaskCounts(pack, policy, nest, counted, full, block)
    return _count_tiles(counts, table), counts


def _count_tiles(counts: MaskCounts, table: packs.TablePack) -> packs.TablePack:
    """Fill the statistics of tiles and leaders from masks, before rules are chosen."""
    nest, policy = counts.nest, counts.policy
    n_levels, n_data, n_ranks = nest.fiber.shape
    units, fullest = reals(n_levels, n_data, n_ranks, 2), reals(n_levels, n_data, n_ranks, 2)
    for v in counts.models:
        table.given[v, 0] = 1
        for s in np.flatnonzero(nest.kept[:, v] & policy.format[:, v, packs.HAS_FORMAT]).tolist():
            units[s, v], fullest[s, v] = counts.units(s, v)
    for f in range(len(policy.saf)):
        if policy.saf[f, packs.SAF_KIND] != packs.SPATIAL_SKIPPING:
            for g in range(*policy.saf[f, [packs.SAF_OPTION0, packs.SAF_OPTION1]]):
                table.useful[g] = counts.useful(g)
    table = table._replace(units=units, fullest=fullest)
    if policy.switch[packs.ANY_SPATIAL]:
        table = table._replace(spread=counts.spread, led=counts.led)
    return table


def count_accesses(
    counts: MaskCounts, sparse: packs.SparsePack, table: packs.TablePack, accounting: int
) -> packs.TablePack:
    """Count accesses and operations under the rules that are chosen in `sparse`, wherever masks decide."""
    nest = counts.nest
    n_levels, n_data, n_ranks = nest.fiber.shape
    table = table._replace(
        counts=ints(n_levels, n_data, 4, 3), format=ints(n_levels, n_data, 3, 3, n_ranks, 2),
        avg=reals(n_levels + 1, n_data), probe=ints(1),
    )  # fmt: skip
    for v in range(n_data):
        if not counts.decided(sparse, v):
            continue
        table.given[v, 1] = 1
        table.avg[0, v] = float(int(nest.ops[packs.UNITS]) * counts.utilised(sparse, -1, v))
        for s in np.flatnonzero(nest.kept[:, v]).tolist():
            counts.count(sparse, table, s, v, accounting)
    operands = set(counts.layer.operand.tolist())
    rules = [v for v in range(n_data) if not counts.layer.read_write[v]]
    if operands <= counts.known and table.given[rules, 1].all():
        table.compute[:] = counts.computes(sparse)
    return table


def _model(layer: Layer, pack: packs.LayerPack, v: int, masks: Masks) -> Banded | Counted:
    name = layer.shape.dataspaces[v].name
    if name in masks:
        return Counted(pack, v, masks[name])
    edges = tensor_shape(layer, name)
    if len(edges) != 2 or edges[0] != edges[1]:
        raise SpecError(
            f"'banded' needs a square matrix, but {name} has shape {edges}", path=f"layer {layer.name}"
        )
    return Banded(pack, v, edges[0], layer.density(name).band_width)


def _ext(nest: packs.NestPack, loops: int) -> list[int]:
    """Extents of the box inside the first `loops` loops of the complete nest."""
    ext = np.ones(len(nest.ext), np.int64)
    for dim, bound in nest.loop[:loops, [packs.DIM, packs.BOUND]]:
        ext[dim] *= bound
    return ext.tolist()


def _tile_rows(
    model: Banded | Counted, policy: packs.PolicyPack, nest: packs.NestPack, s: int, v: int
) -> tuple[packs.Ints, packs.Reals, packs.Reals, int]:
    """(occupancies, probabilities, chances of empty sub-tiles with a last row for the fullest, largest).

    For masks the chances are left out: their format words are counted.
    """
    inside = int((nest.loop[:, packs.LEVEL] <= s).sum())
    ext = _ext(nest, inside)
    if isinstance(model, Counted):
        k, p = model.list_of(ext)
        return k, p, reals(len(k) + 1, nest.sub.shape[2]), int(k[-1])
    k, p, most = model.list_of(model.box(ext))
    every = np.append(k, most)
    p0 = reals(len(every), nest.sub.shape[2])
    if policy.format[s, v, packs.HAS_FORMAT]:
        for r in range(policy.format[s, v, packs.N_RANKS]):
            inner = _ext(nest, int(nest.sub_loop[s, v, r]))
            p0[:, r] = [model.empty_within(model.box(ext), model.box(inner), int(n)) for n in every]
    return k, p, p0, most


def _leader_empty(model: Banded, box: packs.Ints) -> float:
    return model.occupancies(*model.box(box.tolist()))[0]
