"""Counts without a report: the numbers of whole evaluations, and the same plans and tables as with these."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from msgspec.structs import replace
from naive import chip_plan
from support.small_chips import conv, dense_chip, small_chip

from sparsim.errors import MappingError
from sparsim.machines.eyeriss import Chip, cost_tables, plan_layer
from sparsim.machines.eyeriss.chip import DRAM, IACT_GLB, LEVELS, PSUM_GLB
from sparsim.machines.eyeriss.conv_dims import conv_dims
from sparsim.machines.eyeriss.cost_tables import tabulate
from sparsim.machines.eyeriss.layer_cost import evaluate_stored
from sparsim.machines.eyeriss.order_search import fitting_orders
from sparsim.machines.eyeriss.row_stationary_nest import Nests, Order, divisibility, make_nests
from sparsim.machines.eyeriss.row_stationary_spreads import spreads
from sparsim.model.batch_counts import count_batch
from sparsim.model.lower import lower_mappings
from sparsim.records import CONV, Layer

SMALL = small_chip()
ANY_ZERO = SMALL._replace(spec=replace(SMALL.spec, compression="any-zero"))
BUS = dense_chip()
LIMITED = SMALL._replace(spec=replace(SMALL.spec, dram_gb_per_s=1.0))
CASES = [
    (SMALL, conv(M=24, C=16, R=3, S=3, P=9, Q=7, iacts=0.3, weights=0.6)),
    (SMALL, conv(M=300, C=40, P=60, Q=50, weights=0.2)),  # more outputs than the GLB holds
    (ANY_ZERO, conv(G=5, R=3, S=3, P=7, Q=4, stride=2, iacts=0.9)),
    (BUS, conv(N=2, M=10, C=7, R=5, S=3, P=13, Q=6, iacts=0.6, weights=0.4)),
    (LIMITED, conv(M=60, C=100, iacts=0.5, weights=0.0)),
]


def some_spreads(chip: Chip, layer: Layer, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Random spreads, and tiles of which some are too large."""
    rng = np.random.default_rng(7)
    factor = spreads(conv_dims(layer), chip.spec.noc.axes, chip.spec.spread).factor
    tiles = rng.integers(1, [12, 20], (number, 2))
    return factor[rng.choice(len(factor), number)], np.minimum(tiles, [layer.bounds["M"], layer.bounds["C"]])


def some_nests(chip: Chip, layer: Layer, number: int) -> Nests:
    spread, tiles = some_spreads(chip, layer, number)
    places = itertools.cycle(itertools.product((DRAM, PSUM_GLB), (IACT_GLB, PSUM_GLB), (1, 4)))
    orders = [Order(*next(places)) for _ in range(number)]
    return make_nests(conv_dims(layer), spread, tiles, chip.spec.pe.simd_width, orders)


@pytest.mark.parametrize(("chip", "layer"), CASES)
def test_nests_are_lowered_like_their_records(chip: Chip, layer: Layer) -> None:
    nests = some_nests(chip, layer, 40)
    records = [nests.mapping(i) for i in range(40)]
    pack, lowered = nests.pack(chip.accelerator), lower_mappings(chip.accelerator, CONV, records)
    for array, other in zip(pack, lowered, strict=True):
        assert (array == other).all()


@pytest.mark.parametrize(("chip", "layer"), CASES)
def test_counts_are_those_of_evaluations(chip: Chip, layer: Layer) -> None:
    """Also that a nest is refused, and where it does not fit."""
    nests = some_nests(chip, layer, 16)
    densities = np.array([[layer.density(d.name).density for d in CONV.dataspaces]])
    pack = nests.pack(chip.accelerator)
    counts = count_batch(chip.accelerator, layer, pack, divisibility(nests.dims), densities)
    for i in range(16):
        if counts.status[i] != 0:
            with pytest.raises(MappingError) as error:
                evaluate_stored(chip, layer, nests.mapping(i))
            assert error.value.level == LEVELS[::-1][counts.level[i]]
            continue
        found = evaluate_stored(chip, layer, nests.mapping(i)).evaluation
        assert counts.level_pj[i].tolist() == [
            found.compute.energy_pj, *(level.energy_pj for level in found.storage)
        ]  # fmt: skip
        for s, level in enumerate(found.storage):
            names = [d.name for d in CONV.dataspaces]
            for tensor in level.tensors:
                accesses = [tensor.reads.actual, tensor.fills.actual, tensor.updates.actual]
                assert counts.actual[i, s, names.index(tensor.dataspace)].tolist() == accesses


@pytest.mark.parametrize(("chip", "layer"), CASES)
def test_costs_of_orders_are_those_of_evaluations_and_bounded_from_below(chip: Chip, layer: Layer) -> None:
    orders = fitting_orders(chip, layer, *some_spreads(chip, layer, 6))
    assert orders is not None
    for i in range(len(orders.candidate)):
        cost, found = orders.cost(i), evaluate_stored(chip, layer, orders.nests.mapping(i))
        assert {name: energy.item() for name, energy in cost.energy_pj.items()} == found.energy_pj
        assert {part: time.item() for part, time in cost.time.items()} == found.time
        exact = (found.cycles, found.dram_pj, found.dram_parts)
        parts = {role: size[0] for role, size in cost.dram_parts.items()}
        assert (cost.cycles[0], cost.dram_pj[0], parts) == exact
        for objective in ("delay", "energy", "edp"):
            least = orders.least.values(objective)[i]
            assert cost.values(objective) == [found.value(objective)]
            assert least <= found.value(objective)
            assert least[0] >= found.value(objective)[0] * (1 - 1e-8) - 1


@pytest.mark.parametrize(
    ("chip", "layer", "objective"),
    [
        (SMALL, conv(M=12, C=8, P=5, Q=3, iacts=0.3, weights=0.8), "edp"),
        (SMALL, conv(M=7, C=5, R=2, S=2, P=3, Q=3, iacts=0.9, weights=0.2), "energy"),
        (ANY_ZERO, conv(G=4, R=3, S=3, P=5, Q=2, stride=2, iacts=0.7), "delay"),
    ],
)
def test_plans_are_the_best_of_all_evaluations(chip: Chip, layer: Layer, objective) -> None:
    found, naive = plan_layer(chip, layer, objective), chip_plan.plan(chip, layer, objective)
    assert found.mapping == naive.mapping
    assert found.stored == naive.stored
    assert found.evaluation == naive.evaluation
    assert (found.cycles, found.energy_pj, found.dram_pj) == (naive.cycles, naive.energy_pj, naive.dram_pj)


@pytest.mark.parametrize(
    ("chip", "planned_for"),
    [
        (SMALL, conv(M=12, C=9, P=4, iacts=0.5)),
        (SMALL, conv(M=512, C=64, P=4, weights=0.05, iacts=0.5)),  # its weights fit up to some density
        (ANY_ZERO, conv(M=12, C=9, P=4, iacts=0.5)),
        (BUS, conv(M=5, C=3, R=3, S=3, P=4, Q=4)),
    ],
    ids=["fits", "fits partly", "any zero", "bus"],
)
def test_tables_have_the_costs_of_evaluations(chip: Chip, planned_for: Layer, monkeypatch) -> None:
    nodes = (0.0, 0.4, 1.0)
    for name in ("WEIGHT_NODES", "INPUT_NODES"):
        monkeypatch.setattr(cost_tables, name, nodes)
    mapping = plan_layer(chip, planned_for, "energy").mapping
    compressible = {"eyeriss_v2": ("Weights", "Inputs"), "eyeriss_v1": ()}[chip.name]

    def cost(weights: float, inputs: float, plain: tuple[str, ...] = ()) -> tuple[float, float] | None:
        return chip_plan.costs(chip, planned_for, mapping, plain, compressible, weights, inputs)

    table = tabulate(chip, planned_for, mapping)
    assert table.mapping == mapping
    assert table.limits == (
        chip_plan.limit(lambda d: cost(d, 0.0) is not None),
        chip_plan.limit(lambda d: cost(0.0, d) is not None),
    )
    assert table.surfaces[0].plain == ()
    for surface in table.surfaces:
        along = [
            [1.0 if name in surface.plain else node * limit for node in nodes]
            for name, limit in zip(("Weights", "Inputs"), table.limits, strict=True)
        ]
        found = np.array([[cost(w, i, surface.plain) for i in along[1]] for w in along[0]])
        for axis in (0, 1):  # no sparser tensor costs more
            found = np.flip(np.minimum.accumulate(np.flip(found, axis), axis), axis)
        assert np.array(surface.costs) == pytest.approx(found.transpose(2, 0, 1), rel=1e-12)
