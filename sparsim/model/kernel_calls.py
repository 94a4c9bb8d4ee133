"""Calls of the model's compiled entry for one mapping, for many, and for a network."""

from functools import cache
from typing import Any

import numpy as np

from sparsim.model import arrays as packs
from sparsim.model.lower import ints
from sparsim.model.machine_code import run
from sparsim.model.workspace import Scratch, make_results, no_lanes, no_table

_NO_COUNTS = ints(1, 1, 1, 1)


def stacked(pack: Any) -> Any:
    """Return the arrays with a leading axis of length one."""
    return pack._make([field[None] for field in pack])


@cache
def _no_mapping() -> packs.MappingPack:
    return packs.MappingPack(ints(1, 1, 1), ints(1, 1, 1), ints(1, 1), ints(1, 1, 4))


@cache
def _no_results() -> tuple[packs.SparsePack, packs.CostPack]:
    return make_results(1, 1, 1, 1, 1)


def analyse(
    arch: packs.ArchPack,
    layer: packs.LayerPack,
    policy: packs.PolicyPack,
    mapping: packs.MappingPack,
    accounting: int,
    hops: bool,
    nest: packs.NestPack,
    row: int = 0,
) -> int:
    """Analyse one mapping, as far as it does not depend on densities, into `nest`. Returns a status."""
    density = packs.DensityPack(np.zeros_like(layer.relevant), np.ones(len(layer.relevant)))
    out = np.empty((row + 1, 3))
    given = arch, stacked(layer), stacked(density), policy, no_table(nest), mapping
    results = stacked(nest), *_no_results(), packs.RunPack(out, _NO_COUNTS), no_lanes()
    run(packs.ANALYSE, (*given, *results), (row, row + 1), accounting, networks=hops)
    return int(out[row, 2])


def finish(
    arch: packs.ArchPack,
    layer: packs.LayerPack,
    density: packs.DensityPack,
    policy: packs.PolicyPack,
    table: packs.TablePack,
    scratch: Scratch,
) -> int:
    """Complete the evaluation of an analysed nest, networks included. Returns a status."""
    out = np.empty((1, 3))
    given = arch, stacked(layer), stacked(density), policy, table, _no_mapping()
    results = stacked(scratch.nest), scratch.sparse, scratch.cost, packs.RunPack(out, _NO_COUNTS), no_lanes()
    run(packs.FINISH, (*given, *results), (0, 1), packs.ELIDE_FIRST_FILL, networks=True)
    return int(out[0, 2])


def run_batch(
    arch: packs.ArchPack,
    layer: packs.LayerPack,
    density: packs.DensityPack,
    policy: packs.PolicyPack,
    mappings: packs.MappingPack,
    rows: tuple[int, int],
    accounting: int,
    networks: bool,
    scratch: Scratch,
    out: packs.Reals,
    lanes: packs.LanePack | None = None,
) -> None:
    """Evaluate some rows of many mappings; out[b] := (pJ, cycles, status, accesses of every storage
    level). With `lanes`, mappings may be evaluated side by side, which leaves nothing in `scratch`.
    """
    given = arch, stacked(layer), stacked(density), policy, no_table(scratch.nest), mappings
    written = packs.RunPack(out, _NO_COUNTS)
    results = stacked(scratch.nest), scratch.sparse, scratch.cost, written, lanes or no_lanes()
    mode = packs.ANALYSE | packs.FINISH | (packs.COSTS_ONLY if lanes else 0)
    run(mode, (*given, *results), rows, accounting, networks=networks)


def run_network(
    arch: packs.ArchPack,
    layers: packs.LayerPack,
    densities: packs.DensityPack,
    policy: packs.PolicyPack,
    table: packs.TablePack,
    networks: bool,
    nests: packs.NestPack,
    sparse: packs.SparsePack,
    cost: packs.CostPack,
    out: packs.Reals,
) -> None:
    """Evaluate the analysed nests of N layers; out[i] := (pJ, cycles, status, accesses of every storage
    level, pJ of every hardware level).
    """
    given = arch, layers, densities, policy, table, _no_mapping()
    results = nests, sparse, cost, packs.RunPack(out, _NO_COUNTS), no_lanes()
    mode = packs.FINISH | packs.STACKED
    run(mode, (*given, *results), (0, len(out)), packs.ELIDE_FIRST_FILL, networks=networks)


def run_counts(
    arch: packs.ArchPack,
    layers: packs.LayerPack,
    densities: packs.DensityPack,
    policy: packs.PolicyPack,
    mappings: packs.MappingPack,
    accounting: int,
    scratch: Scratch,
    out: packs.Reals,
    counts: packs.Ints,
) -> None:
    """Evaluate many mappings, each with its own row of `layers` and `densities`; counts[b] := accesses that
    happen, and out[b] as in `run_network`, but with the storage level in place of the pJ of what does not
    fit.
    """
    given = arch, layers, densities, policy, no_table(scratch.nest), mappings
    results = stacked(scratch.nest), scratch.sparse, scratch.cost, packs.RunPack(out, counts), no_lanes()
    mode = packs.ANALYSE | packs.FINISH | packs.COUNTED
    networks = arch.has_priced_networks
    run(mode, (*given, *results), (0, len(out)), accounting, networks=networks)
