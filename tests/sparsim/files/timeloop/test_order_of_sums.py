"""Energies are added up in the order of Timeloop 3.0.3, which decides the last digit at an exact half."""

from __future__ import annotations

import random
import re
from math import prod

import pytest
from support.examples import MATMUL

from sparsim.errors import SparsimError
from sparsim.files.timeloop.stats_writer import write_stats
from sparsim.model.evaluate import evaluate
from sparsim.model.result import Evaluation, NetworkResult
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    EnergyTable,
    Layer,
    LevelMapping,
    Mapping,
    Nest,
    Storage,
)
from validation.random_cases import draw_case

BOUNDS = {"M": 8, "N": 4, "K": 8}
MAPPING = Mapping(
    levels=(
        LevelMapping(level="DRAM", temporal=Nest(factors={"M": 8, "N": 2, "K": 8}, order=("M", "N", "K"))),
        LevelMapping(level="spad", temporal=Nest(factors={"N": 2})),
    )
)


def matmul(read: float, write: float, **dram: object) -> Evaluation:
    """256 operations; the DRAM takes most of the energy."""
    arch = Architecture(
        storage=(
            Storage(name="DRAM", technology="DRAM", **dram),
            Storage(name="spad", size_words=64),
        ),
        compute=Compute(name="MAC"),
    )
    actions = {
        "DRAM": {"read": read, "write": write},
        "spad": {"read": 1, "write": 1},
        "MAC": {"mac_random": 1},
    }
    layer = Layer(name="matmul", shape=MATMUL, bounds=BOUNDS)
    return evaluate(Accelerator(architecture=arch, energy=EnergyTable(actions=actions)), layer, MAPPING)


@pytest.mark.parametrize(
    ("read", "write", "printed"),
    [
        (106.118, 116.7298, "173849.47"),
        (120.88484, 132.97332, "198030.17"),
        (279.32087, 307.25296, "457469.18"),
    ],
)
def test_an_exact_half_is_printed_like_there(read: float, write: float, printed: str) -> None:
    """Of a tensor, its address generators are added to its accesses before they are added to the level."""
    result = matmul(read, write, addr_gen_energy_pj=0.05)
    dram = result.storage[-1]
    flat = 0.0
    for tensor in dram.tensors:
        flat = flat + tensor.energy_pj + tensor.addr_gen_energy_pj
    assert f"{flat * 1000 / 256:.2f}" != printed
    assert re.search(rf"\n    DRAM += {printed}\n", write_stats(result))


@pytest.mark.filterwarnings("ignore::sparsim.errors.EnergyWarning")  # tables are drawn with gaps
def test_every_sum_of_a_report_is_formed_in_its_order() -> None:
    """Levels from inside, then networks by name; in a level tensor by tensor, in a network too."""
    for seed in range(150):
        case = draw_case(random.Random(f"sums-{seed}"))
        try:
            result = evaluate(case.accelerator, case.layer, case.mapping)
        except SparsimError:
            continue
        total = result.compute.energy_pj
        for storage in result.storage:
            level = 0.0
            for tensor in storage.tensors:
                level += tensor.energy_pj + tensor.addr_gen_energy_pj
            assert storage.energy_pj == level
            total += level
        for network in sorted(result.networks, key=lambda network: network.name):
            assert network.energy_pj == network_energy(network, case.mapping)
            total += network.energy_pj
        assert result.energy_pj == total


def network_energy(network: NetworkResult, mapping: Mapping) -> float:
    instances = 1
    for level in mapping.levels:
        if level.level == network.outer:
            break
        instances *= prod(level.spatial.factors.values()) if level.spatial else 1
    energy = 0.0
    for tensor in network.tensors:
        energy += (tensor.link_energy_per_instance_pj + tensor.energy_per_instance_pj) * instances
    return energy
