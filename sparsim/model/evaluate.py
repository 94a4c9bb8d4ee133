"""Evaluate one mapping in full, or many mappings at once."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sparsim.errors import MappingError, SpecError, near, warn_of_energies
from sparsim.model import arrays as packs
from sparsim.model.consistency import check
from sparsim.model.decode import Decoder
from sparsim.model.kernel_calls import analyse, finish, run_batch
from sparsim.model.leakage import leakage, used_instances
from sparsim.model.lower import (
    ACCOUNTING,
    lower_arch,
    lower_density,
    lower_layer,
    lower_mapping,
    lower_mappings,
    lower_policy,
)
from sparsim.model.result import Evaluation
from sparsim.model.status import REASONS, mapping_error
from sparsim.model.workspace import Scratch, make_lanes, make_nest, make_scratch, most_children
from sparsim.records import Accelerator, Layer, Mapping
from sparsim.records.accounting import Accounting
from sparsim.records.divisibility import Cover, covered, covers_of

if TYPE_CHECKING:
    from sparsim.model.density_tables import Masks


def accounting_code(name: str) -> int:
    """Return the number of an accounting convention in the kernels. Raises SpecError for an unknown one."""
    if name not in ACCOUNTING:
        raise SpecError(f"unknown accounting '{name}'", hint=near(name, ACCOUNTING))
    return ACCOUNTING[name]


def checked_once(accelerator: Accelerator, layer: Layer, mapping: Mapping) -> tuple[str, ...]:
    """Run `check`, and cache its warnings with the mapping."""
    return mapping.kept("checked", (accelerator, layer), lambda: check(accelerator, layer, mapping))


def covered_once(layer: Layer, mapping: Mapping) -> Layer:
    """Call `covered`, and cache the result with the mapping, so that equal calls return the same layer."""
    return mapping.kept("covered", (layer,), lambda: covered(layer, mapping))


def evaluate(
    accelerator: Accelerator,
    layer: Layer,
    mapping: Mapping,
    *,
    accounting: Accounting = "timeloop-3",
    masks: Dict[str, NDArray[np.bool_]] | None = None,
) -> Evaluation:
    """Evaluate one mapping of a layer in full detail.

    Parameters
    ----------
    accelerator : Accelerator
        Where the layer runs. Its mapspace does not matter.
    layer : Layer
        What is computed.
    mapping : Mapping
        How it is computed. If it pads dims, the numbers are those of the padded layer; `Evaluation.covers`
        names the dims.
    accounting : str, default "timeloop-3"
        The convention by which accesses are counted and energies charged: "timeloop-3", "timeloop-4",
        "timeloop-4-2024", "timeloop-2022", "count-all" or "count-drains" (see the glossary).
    masks : dict of str to array of bool, optional
        The nonzeros of dataspaces whose density is "actual", in the coordinates of the shape. They take the
        place of the files that the layer names.

    Returns
    -------
    Evaluation
        Every number of a Timeloop report, by name and with its unit.

    Raises
    ------
    SpecError
        If the accounting is unknown, or if the records do not fit together.
    EnergyTableError
        If the energy table lacks an action that happens.
    MappingError
        If the mapping is invalid.

    Warns
    -----
    EnergyWarning
        If energies are given that are not used, or are missing.

    Notes
    -----
    Model 1.3 says in which order the numbers are computed.

    Examples
    --------
    >>> import sparsim
    >>> accelerator = sparsim.load_accelerator("eyeriss_like_onchip")
    >>> layer = sparsim.conv2d(
    ...     128, 128, 1, height=64, width=128, batch=2, densities={"Inputs": 0.59, "Weights": 0.37}
    ... )
    >>> mapping = sparsim.Mapping.parse(
    ...     "DRAM: P64 C2 | shared_glb [bypass Weights]: M2 N2 Q128 M8X"
    ...     "| DummyBuffer [bypass Weights Inputs Outputs]: C8Y | ifmap_spad [bypass Weights Outputs]:"
    ...     "| weights_spad [bypass Inputs Outputs]: C8 | psum_spad [bypass Weights Inputs]: M8"
    ... )
    >>> result = sparsim.evaluate(accelerator, layer, mapping)
    >>> f"{result.energy_pj / 1e6:.1f} uJ in {result.cycles} cycles"
    '1671.2 uJ in 2474640 cycles'
    """
    convention = accounting_code(accounting)
    warnings = checked_once(accelerator, layer, mapping)
    layer = covered_once(layer, mapping)
    arch_pack, layer_pack = lower_arch(accelerator), lower_layer(layer)
    density = lower_density(layer)
    policy_pack = lower_policy(accelerator, layer.shape)
    mappings = lower_mapping(accelerator, layer.shape, mapping)
    tabulated = packs.TABULATED in density.kind
    tensors: Masks = {}
    if tabulated or masks:
        from sparsim.model.density_tables import load_masks  # few layers need this

        tensors = load_masks(layer, masks or {})
    children = most_children(arch_pack, layer_pack, mappings)
    nest = make_nest(arch_pack, layer_pack, policy_pack, children)
    lowered = arch_pack, layer_pack, policy_pack
    scratch: Scratch | None
    if tabulated:
        status, scratch = _finish_with_tables(layer, lowered, density, mappings, convention, nest, tensors)
    else:
        scratch = make_scratch(arch_pack, layer_pack, density, policy_pack, nest)
        out = np.empty((1, 3))
        run_batch(
            arch_pack, layer_pack, density, policy_pack, mappings, (0, 1), convention, True, scratch, out
        )
        status = int(out[0, 2])
    if status != packs.OK or scratch is None:
        raise mapping_error(status, nest.info, accelerator.architecture, layer)
    decoder = Decoder(accelerator, layer, lowered, scratch, accounting)
    warn_of_energies(warnings)
    return decoder.evaluation(warnings)


def _finish_with_tables(
    layer: Layer,
    lowered: tuple[packs.ArchPack, packs.LayerPack, packs.PolicyPack],
    density: packs.DensityPack,
    mapping: packs.MappingPack,
    accounting: int,
    nest: packs.NestPack,
    masks: Masks,
) -> tuple[int, Scratch | None]:
    """Return status and results of one mapping of a layer with densities that need tables."""
    from sparsim.model.density_tables import count_accesses, fill_table

    arch_pack, layer_pack, policy_pack = lowered
    status = analyse(arch_pack, layer_pack, policy_pack, mapping, accounting, True, nest)
    if status != packs.OK:
        return status, None
    table, counts = fill_table(arch_pack, layer, layer_pack, density, policy_pack, nest, masks)
    scratch = make_scratch(arch_pack, layer_pack, density, policy_pack, nest, entries=len(table.k))
    if counts is not None:  # accesses can be counted only when the rules are chosen
        table.probe[0] = 1
        status = finish(arch_pack, layer_pack, density, policy_pack, table, scratch)
        if status != packs.OK:
            return status, None
        table = count_accesses(counts, scratch.sparse, table, accounting)
    return finish(arch_pack, layer_pack, density, policy_pack, table, scratch), scratch


class BatchResult(NamedTuple):
    """Results of `evaluate_batch`, with one row per mapping.

    Attributes
    ----------
    energy_pj : array of float, shape (mappings,)
        Energy in pJ, nan where the mapping is invalid.
    cycles : array of float, shape (mappings,)
        Cycles, nan where the mapping is invalid.
    status : array of int, shape (mappings,)
        0 for a valid mapping, otherwise a key of `sparsim.model.status.REASONS`.
    accesses : array of float, shape (mappings, storage levels)
        Dense words read, filled and updated at each level, from inside to outside.
    """

    energy_pj: packs.Reals
    cycles: packs.Reals
    status: packs.Ints
    accesses: packs.Reals


def evaluate_batch(
    accelerator: Accelerator,
    layer: Layer,
    mappings: Sequence[Mapping],
    *,
    accounting: Accounting = "timeloop-3",
    threads: int = 1,
) -> BatchResult:
    """Evaluate many mappings of one layer at once, for energy and cycles only.

    Parameters
    ----------
    accelerator : Accelerator
        Where the layer runs.
    layer : Layer
        What is computed.
    mappings : sequence of Mapping
        The mappings; those that do not fit the accelerator are allowed.
    accounting : str, default "timeloop-3"
        The convention by which accesses are counted and energies charged: "timeloop-3", "timeloop-4",
        "timeloop-4-2024", "timeloop-2022", "count-all" or "count-drains" (see the glossary).
    threads : int, default 1
        Number of threads. The numbers do not depend on it.

    Returns
    -------
    BatchResult
        Energy, cycles and status of each mapping, the same numbers as those of `evaluate`.

    Raises
    ------
    SpecError
        If the records do not fit together, or if a density is "banded" or "actual", which needs tables per
        mapping.
    EnergyTableError
        If the energy table lacks an action that happens.
    MappingError
        If the factors of a mapping do not multiply to the bounds. A mapping that is invalid otherwise is no
        error here.

    Warns
    -----
    EnergyWarning
        If energies are given that are not used, or are missing.
    """
    warnings: dict[str, None] = {}
    for mapping in mappings:
        warnings |= dict.fromkeys(checked_once(accelerator, layer, mapping))
    warn_of_energies(warnings)
    layers = [covered_once(layer, mapping) for mapping in mappings]
    groups: dict[tuple[Cover, ...], list[int]] = {}
    for i, one in enumerate(layers):
        groups.setdefault(covers_of(one), []).append(i)
    number = len(mappings)
    levels = len(accelerator.architecture.storage)
    result = BatchResult(
        np.empty(number), np.empty(number), np.empty(number, np.int64), np.empty((number, levels))
    )
    for rows in groups.values():
        pack = lower_mappings(accelerator, layer.shape, [mappings[i] for i in rows])
        some = evaluate_pack(accelerator, layers[rows[0]], pack, accounting=accounting, threads=threads)
        for whole, part in zip(result, some, strict=True):
            whole[rows] = part
    return result


def evaluate_pack(
    accelerator: Accelerator,
    layer: Layer,
    mappings: packs.MappingPack,
    *,
    accounting: Accounting = "timeloop-3",
    threads: int = 1,
) -> BatchResult:
    """Run `evaluate_batch` on lowered mappings whose energies are already checked; `search` checks them only
    once.
    """
    convention = accounting_code(accounting)
    arch_pack, layer_pack = lower_arch(accelerator), lower_layer(layer)
    density, policy_pack = lower_density(layer), lower_policy(accelerator, layer.shape)
    refuse_tabulated(layer, density, "evaluate_batch")
    mappings = _as_pack(layer_pack, arch_pack, mappings)
    total = len(mappings.factor)
    out = np.full((total, 3 + len(arch_pack.fan)), np.nan)
    networks = arch_pack.has_priced_networks
    children = most_children(arch_pack, layer_pack, mappings)

    def run(bounds: tuple[int, int]) -> None:
        nest = make_nest(arch_pack, layer_pack, policy_pack, children)
        scratch = make_scratch(arch_pack, layer_pack, density, policy_pack, nest)
        lanes = make_lanes(arch_pack, layer_pack, nest)
        run_batch(
            arch_pack, layer_pack, density, policy_pack, mappings, bounds, convention, networks, scratch, out,
            lanes,
        )  # fmt: skip

    edges = np.linspace(0, total, max(min(threads, total), 1) + 1).astype(int).tolist()
    chunks = list(pairwise(edges))
    if len(chunks) == 1:
        run(chunks[0])
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(len(chunks)) as pool:
            list(pool.map(run, chunks))
    status = out[:, 2].astype(np.int64)
    _refuse_nonsense(status, layer)
    leaks = leakage(accelerator)
    if leaks is not None:
        per_cycle = leaks.per_cycle(used_instances(arch_pack, mappings)).sum(axis=1)
        out[:, 0] += per_cycle * (out[:, 1] - arch_pack.latency[0])
    return BatchResult(out[:, 0], out[:, 1], status, out[:, 3:])


def refuse_tabulated(layer: Layer, density: packs.DensityPack, where: str) -> None:
    """Raise SpecError for densities that need tables per mapping."""
    for dataspace, kind in zip(layer.shape.dataspaces, density.kind, strict=True):
        if kind == packs.TABULATED:
            model = layer.density(dataspace.name).distribution
            raise SpecError(
                f"{where} takes fixed-structured and hypergeometric densities, got '{model}' of "
                f"{dataspace.name}",
                path=f"layer {layer.name}",
            )


def _as_pack(layer: packs.LayerPack, arch: packs.ArchPack, mappings: packs.MappingPack) -> packs.MappingPack:
    """Return the pack with the types that kernels are compiled for. Raises MappingError for wrong shapes."""
    pack = packs.MappingPack(*(np.ascontiguousarray(field, np.int64) for field in mappings))
    number, n_tiling = len(pack.factor), len(arch.tiling)
    need = (number, n_tiling, len(layer.bound)), (number, n_tiling), (number, len(arch.fan), 4)
    seen = tuple(field.shape for field in pack)
    if seen != (need[0], *need):
        raise MappingError(f"the arrays of the pack must have shapes {(need[0], *need)}, got {seen}")
    return pack


def _refuse_nonsense(status: packs.Ints, layer: Layer) -> None:
    """Refuse rows of a pack that do not describe a mapping of the layer, as opposed to invalid mappings."""
    wrong = np.flatnonzero(np.isin(status, (packs.BAD_FACTORS, packs.BAD_ORDER)))
    if len(wrong):
        reason = REASONS[int(status[wrong[0]])]
        raise MappingError(f"mapping {wrong[0]} does not belong to layer {layer.name}: {reason}")
