"""Mappings that are evaluated side by side have the numbers that each has alone, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray
from support.examples import WINDOW
from support.small_nests import POINTWISE

from sparsim.model import arrays as packs
from sparsim.model.arrays import MappingPack
from sparsim.model.evaluate import evaluate_pack
from sparsim.model.kernel_calls import run_batch
from sparsim.model.lower import ACCOUNTING, lower_arch, lower_density, lower_layer, lower_policy
from sparsim.model.workspace import make_lanes, make_nest, make_scratch, most_children
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    Density,
    EnergyTable,
    Layer,
    Option,
    Rank,
    Saf,
    SparsePolicy,
    Storage,
    TensorFormat,
)

FORMATS = {
    "metadata_width_bits": 16, "metadata_word_bits": 4, "decompression_supported": True,
    "compression_supported": True,
}  # fmt: skip
CHIP = Accelerator(
    architecture=Architecture(
        storage=(
            Storage(name="DRAM", technology="DRAM", block_size=4, **FORMATS),
            Storage(
                name="GLB", size_words=600, read_bandwidth=4, write_bandwidth=1.5, metadata_depth=100,
                **FORMATS,
            ),
            Storage(name="row", mesh=(4, 1), size_words=90, shared_bandwidth=3, block_size=2, **FORMATS),
            Storage(
                name="spad", mesh=(1, 3), size_words=40, min_utilization=0.1, read_bandwidth=2,
                metadata_depth=20, **FORMATS,
            ),
        ),
        compute=Compute(name="MAC"),
    ),
    energy=EnergyTable(
        actions={
            "DRAM": {"read": 411.3, "write": 397.1, "metadata_read": 3.3, "metadata_write": 4.1, "idle": 0},
            "GLB": {
                "read": 6.7, "write": 8.9, "gated_read": 0.9, "metadata_read": 1.7, "metadata_write": 1.1,
                "decompression_count": 0.3, "compression_count": 0.4, "idle": 0,
            },
            "row": {"read": 2.3, "write": 2.9, "address_generation": 0.1, "idle": 0},
            "spad": {
                "read": 0.7, "write": 1.3, "gated_read": 0.2, "gated_write": 0.1, "metadata_read": 0.3,
                "metadata_write": 0.1, "idle": 0,
            },
            "MAC": {"mac_random": 1.9, "mac_gated": 0.1},
        }
    ),
)  # fmt: skip
LAYER = Layer(shape=POINTWISE, bounds={"C": 12, "M": 8, "P": 6, "Q": 5})
SPARSE = replace(LAYER, densities={"Weights": Density(density=0.4), "Inputs": Density(density=0.3)})
ALIKE = 7, 0, 7, 7  # the row keeps nothing
MANY = 20 * packs.LANES + 7


def coded(dataspace: str, level: str, *kinds: str) -> TensorFormat:
    ranks = tuple(Rank(format=kind, flattened=(tuple(POINTWISE.dims),)) for kind in kinds)
    return TensorFormat(level=level, dataspace=dataspace, ranks=ranks)


def entry(kind: str, level: str, target: str, *leaders: str) -> Saf:
    return Saf(level=level, type=kind, options=(Option(target=target, condition_on=leaders),))


RUN_LENGTHS = coded("Inputs", "DRAM", "UOP", "UOP", "RLE"), coded("Inputs", "GLB", "UOP", "RLE")
POLICIES = {
    "skipping": SparsePolicy(
        formats=(*RUN_LENGTHS, coded("Inputs", "spad", "RLE")),
        safs=(entry("skipping", "spad", "Weights", "Inputs"),),
    ),
    "gating": SparsePolicy(
        formats=(coded("Outputs", "DRAM", "UOP", "B"), coded("Weights", "GLB", "UB", "UOP")),
        safs=(
            entry("gating", "GLB", "Outputs", "Weights", "Inputs"),
            entry("gating", "spad", "Inputs", "Weights"),
        ),
        compute_gating=True,
    ),
    "points": SparsePolicy(
        formats=(
            *RUN_LENGTHS,
            coded("Weights", "DRAM", "CP", "CP", "CP"),
            coded("Weights", "GLB", "CP", "CP"),
        ),
        safs=(entry("skipping", "DRAM", "Weights", "Inputs"),), compute_skipping=True,
    ),
    "entries inside entries": SparsePolicy(
        formats=RUN_LENGTHS,
        safs=(entry("skipping", "GLB", "Weights", "Inputs"), entry("skipping", "spad", "Weights", "Inputs")),
    ),
}  # fmt: skip


def random_mappings(layer: Layer, seed: int, *, alike: bool = False) -> MappingPack:
    """Factors, orders, splits and bypasses at random; few of them fit. `alike`: with the same bypasses."""
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
    some, every = rng.integers(8, size=flags.shape[:2]), 7 * rng.integers(2, size=flags.shape[:2])
    flags[:, :, packs.KEEP] = ALIKE if alike else some | every
    order = np.argsort(rng.random(shape), axis=-1)
    return MappingPack(factor, order, rng.integers(shape[2] + 1, size=shape[:2]), flags)


def run(
    chip: Accelerator, layer: Layer, pack: MappingPack, accounting: str = "timeloop-3", *, together: bool
) -> tuple[NDArray[np.float64], bool]:
    """(mappings, pJ, cycles, status, accesses), and whether any mapping was evaluated in a lane."""
    arch, lowered, density = lower_arch(chip), lower_layer(layer), lower_density(layer)
    policy = lower_policy(chip, layer.shape)
    nest = make_nest(arch, lowered, policy, most_children(arch, lowered, pack))
    scratch = make_scratch(arch, lowered, density, policy, nest)
    out = np.full((MANY, 3 + len(arch.fan)), np.nan)
    lanes = make_lanes(arch, lowered, nest)
    given = arch, lowered, density, policy, pack, (0, MANY), ACCOUNTING[accounting]
    run_batch(*given, False, scratch, out, lanes if together else None)
    return out, bool(lanes.energy.any())


def same_numbers(chip: Accelerator, layer: Layer, pack: MappingPack, accounting: str = "timeloop-3") -> bool:
    """Whether any mapping was evaluated in a lane, after a comparison with all of them one by one."""
    alone, _ = run(chip, layer, pack, accounting, together=False)
    side_by_side, laned = run(chip, layer, pack, accounting, together=True)
    np.testing.assert_array_equal(side_by_side, alone)
    return laned


@pytest.mark.parametrize("accounting", ACCOUNTING)
def test_dense_mappings(accounting: str) -> None:
    pack = random_mappings(LAYER, seed=1)
    pack.flags[::9, 1, packs.NO_REUSE] = 1
    pack.flags[::11, 2, packs.NO_MULTICAST] = 4
    assert same_numbers(CHIP, LAYER, pack, accounting)
    status = evaluate_pack(CHIP, LAYER, pack, accounting=accounting).status
    failures = packs.BAD_CAPACITY, packs.BAD_INSTANCES, packs.BAD_UTILIZATION, packs.BAD_KEPT_NOWHERE
    assert {packs.OK, *failures} <= {*status}
    assert (status == packs.OK).sum() > 10


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("seed", [4, 5])
def test_sparse_mappings(name: str, seed: int) -> None:
    chip = replace(CHIP, policy=POLICIES[name])
    pack = random_mappings(SPARSE, seed, alike=True)
    assert same_numbers(chip, SPARSE, pack) == (name != "entries inside entries")
    assert (evaluate_pack(chip, SPARSE, pack).status == packs.OK).sum() > 10


@pytest.mark.parametrize("accounting", ACCOUNTING)
def test_sparse_mappings_by_accounting(accounting: str) -> None:
    chip = replace(CHIP, policy=POLICIES["gating"])
    pack = random_mappings(SPARSE, seed=6, alike=True)
    assert same_numbers(chip, SPARSE, pack, accounting) == (accounting != "count-drains")


def test_sparse_mappings_with_different_bypasses() -> None:
    chip = replace(CHIP, policy=POLICIES["skipping"])
    pack = random_mappings(SPARSE, seed=7)
    pack.flags[: 3 * packs.LANES, :, packs.KEEP] = ALIKE
    assert same_numbers(chip, SPARSE, pack)


def test_hypergeometric_densities_are_left_out() -> None:
    density = Density(distribution="hypergeometric", density=0.3)
    layer = replace(SPARSE, densities={"Inputs": density})
    chip = replace(CHIP, policy=POLICIES["skipping"])
    assert not same_numbers(chip, layer, random_mappings(layer, seed=8, alike=True))


@pytest.mark.parametrize(("field", "value"), [("factor", 0), ("factor", 7), ("order", 9), ("order", -1)])
@pytest.mark.parametrize("name", [None, "skipping"])
def test_rows_that_are_no_mapping(field: str, value: int, name: str | None) -> None:
    chip = replace(CHIP, policy=POLICIES[name]) if name else CHIP
    pack = random_mappings(LAYER, seed=2, alike=True)
    getattr(pack, field)[40, 1, 2] = value
    assert same_numbers(chip, LAYER, pack)
    wrong = packs.BAD_FACTORS if field == "factor" else packs.BAD_ORDER
    assert run(chip, LAYER, pack, together=True)[0][40, packs.STATUS] == wrong


def test_layers_with_overlapping_tiles_are_left_out() -> None:
    layer = Layer(shape=WINDOW, bounds={"K": 4, "P": 6, "R": 2})
    assert not same_numbers(CHIP, layer, random_mappings(layer, seed=3))
