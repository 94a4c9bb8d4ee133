"""Mappings that are evaluated side by side have the numbers that each has alone, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from support.examples import WINDOW
from support.small_nests import POINTWISE

from sparsim.model import arrays as packs
from sparsim.model.arrays import LanePack, MappingPack
from sparsim.model.evaluate import evaluate_pack
from sparsim.model.kernel_calls import run_batch
from sparsim.model.lower import ACCOUNTING, lower_arch, lower_density, lower_layer, lower_policy
from sparsim.model.workspace import make_lanes, make_nest, make_scratch, most_children
from sparsim.records import Accelerator, Architecture, Compute, EnergyTable, Layer, Shape, Storage

CHIP = Accelerator(
    architecture=Architecture(
        storage=(
            Storage(name="DRAM", technology="DRAM", block_size=4),
            Storage(name="GLB", size_words=600, read_bandwidth=4, write_bandwidth=1.5),
            Storage(name="row", mesh=(4, 1), size_words=90, shared_bandwidth=3, block_size=3),
            Storage(name="spad", mesh=(1, 3), size_words=40, min_utilization=0.1),
        ),
        compute=Compute(name="MAC"),
    ),
    energy=EnergyTable(
        actions={
            "DRAM": {"read": 411.3, "write": 397.1}, "GLB": {"read": 6.7, "write": 8.9},
            "row": {"read": 2.3, "write": 2.9, "address_generation": 0.1},
            "spad": {"read": 0.7, "write": 1.3}, "MAC": {"compute": 1.9},
        }
    ),
)  # fmt: skip
BOUNDS = {"C": 12, "M": 8, "P": 6, "Q": 5}
MANY = 20 * packs.LANES + 7


def random_mappings(layer: Layer, seed: int) -> MappingPack:
    """Factors, orders, splits and bypasses at random; few of them fit."""
    rng = np.random.default_rng(seed)
    arch, bounds = lower_arch(CHIP), list(layer.bounds.values())
    shape = MANY, len(arch.tiling), len(bounds)
    factor = np.ones(shape, np.int64)
    for d, bound in enumerate(bounds):
        for prime in (2, 3, 5):
            while bound % prime == 0:
                factor[np.arange(MANY), rng.integers(shape[1], size=MANY), d] *= prime
                bound //= prime
    flags = np.zeros((MANY, len(arch.fan), 4), np.int64)
    flags[:, :, packs.KEEP] = rng.integers(8, size=flags.shape[:2]) | 7 * rng.integers(
        2, size=flags.shape[:2]
    )
    order = np.argsort(rng.random(shape), axis=-1)
    return MappingPack(factor, order, rng.integers(shape[2] + 1, size=shape[:2]), flags)


def run(
    layer: Layer, pack: MappingPack, accounting: str = "timeloop-3", lanes: LanePack | None = None
) -> NDArray[np.float64]:
    """(mappings, pJ, cycles, status, accesses): one mapping after the other without `lanes`."""
    arch, lowered, density = lower_arch(CHIP), lower_layer(layer), lower_density(layer)
    policy = lower_policy(CHIP, layer.shape)
    nest = make_nest(arch, lowered, policy, most_children(arch, lowered, pack))
    scratch = make_scratch(arch, lowered, density, policy, nest)
    out = np.full((MANY, 3 + len(arch.fan)), np.nan)
    given = arch, lowered, density, policy, pack, (0, MANY), ACCOUNTING[accounting]
    run_batch(*given, False, scratch, out, lanes)
    return out


@pytest.mark.parametrize("accounting", ACCOUNTING)
def test_mappings_side_by_side(accounting: str) -> None:
    layer = Layer(shape=POINTWISE, bounds=BOUNDS)
    pack = random_mappings(layer, seed=1)
    pack.flags[::9, 1, packs.NO_REUSE] = 1
    pack.flags[::11, 2, packs.NO_MULTICAST] = 4
    found = evaluate_pack(CHIP, layer, pack, accounting=accounting)
    expected = run(layer, pack, accounting)
    columns = np.column_stack([found.energy_pj, found.cycles, found.status, found.accesses])
    np.testing.assert_array_equal(columns, expected)
    seen = np.unique(found.status)
    assert {packs.OK, packs.BAD_CAPACITY, packs.BAD_INSTANCES, packs.BAD_UTILIZATION} <= {*seen}
    assert packs.BAD_KEPT_NOWHERE in seen
    assert (found.status == packs.OK).sum() > 10


@pytest.mark.parametrize(("field", "value"), [("factor", 0), ("factor", 7), ("order", 9), ("order", -1)])
def test_rows_that_are_no_mapping(field: str, value: int) -> None:
    layer = Layer(shape=POINTWISE, bounds=BOUNDS)
    pack = random_mappings(layer, seed=2)
    getattr(pack, field)[40, 1, 2] = value
    wrong = packs.BAD_FACTORS if field == "factor" else packs.BAD_ORDER
    for lanes in (None, make_lanes(lower_arch(CHIP), lower_layer(layer))):
        assert run(layer, pack, lanes=lanes)[40, packs.STATUS] == wrong


@pytest.mark.parametrize(
    ("shape", "bounds", "side_by_side"),
    [(POINTWISE, BOUNDS, True), (WINDOW, {"K": 4, "P": 6, "R": 2}, False)],
)
def test_only_layers_without_overlapping_tiles(
    shape: Shape, bounds: dict[str, int], side_by_side: bool
) -> None:
    layer = Layer(shape=shape, bounds=bounds)
    pack = random_mappings(layer, seed=3)
    lanes = make_lanes(lower_arch(CHIP), lower_layer(layer))
    np.testing.assert_array_equal(run(layer, pack, lanes=lanes), run(layer, pack))
    assert lanes.energy.any() == side_by_side
