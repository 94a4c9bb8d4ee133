"""How Python calls the one compiled entry of the model, for one mapping, for many, and for a network."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from sparsim.model import arrays as packs
from sparsim.model.arrays import (
    ArchPack,
    CostPack,
    DensityPack,
    LayerPack,
    MappingPack,
    NestPack,
    PolicyPack,
    Reals,
    SparsePack,
    TablePack,
)
from sparsim.model.kernels.driver import ANALYSE, FINISH, STACKED, run
from sparsim.model.lower import ints
from sparsim.model.workspace import Scratch, make_results, no_table


def stacked(pack: Any) -> Any:
    """The same arrays with a leading axis of one row."""
    return pack._make([field[None] for field in pack])


@cache
def _no_mapping() -> MappingPack:
    return MappingPack(ints(1, 1, 1), ints(1, 1, 1), ints(1, 1), ints(1, 1, 4))


@cache
def _no_results() -> tuple[SparsePack, CostPack]:
    return make_results(1, 1, 1, 1)


def analyse(
    arch: ArchPack,
    layer: LayerPack,
    policy: PolicyPack,
    mapping: MappingPack,
    accounting: int,
    hops: bool,
    nest: NestPack,
    row: int = 0,
) -> int:
    """One mapping up to where densities come in, into `nest`. Returns a status."""
    density = DensityPack(np.zeros_like(layer.relevant), np.ones(len(layer.relevant)))
    out = np.empty((row + 1, 3))
    run(
        ANALYSE, arch, stacked(layer), stacked(density), policy, no_table(nest), mapping, row, row + 1,
        accounting, hops, stacked(nest), *_no_results(), out,
    )  # fmt: skip
    return int(out[row, 2])


def finish(
    arch: ArchPack,
    layer: LayerPack,
    density: DensityPack,
    policy: PolicyPack,
    table: TablePack,
    scratch: Scratch,
) -> int:
    """An analysed nest to the end, networks included. Returns a status."""
    out = np.empty((1, 3))
    run(
        FINISH, arch, stacked(layer), stacked(density), policy, table, _no_mapping(), 0, 1,
        packs.ELIDE_FIRST_FILL, True, stacked(scratch.nest), scratch.sparse, scratch.cost, out,
    )  # fmt: skip
    return int(out[0, 2])


def run_batch(
    arch: ArchPack,
    layer: LayerPack,
    density: DensityPack,
    policy: PolicyPack,
    mappings: MappingPack,
    rows: tuple[int, int],
    accounting: int,
    networks: bool,
    scratch: Scratch,
    out: Reals,
) -> None:
    """Some rows of many mappings; out[b] := (pJ, cycles, status)."""
    run(
        ANALYSE | FINISH, arch, stacked(layer), stacked(density), policy, no_table(scratch.nest), mappings,
        *rows, accounting, networks, stacked(scratch.nest), scratch.sparse, scratch.cost, out,
    )  # fmt: skip


def run_network(
    arch: ArchPack,
    layers: LayerPack,
    densities: DensityPack,
    policy: PolicyPack,
    table: TablePack,
    networks: bool,
    nests: NestPack,
    sparse: SparsePack,
    cost: CostPack,
    out: Reals,
) -> None:
    """Analysed nests of N layers; out[i] := (pJ, cycles, status, pJ of every hardware level)."""
    run(
        FINISH | STACKED, arch, layers, densities, policy, table, _no_mapping(), 0, len(out),
        packs.ELIDE_FIRST_FILL, networks, nests, sparse, cost, out,
    )  # fmt: skip
