"""Shares of the energy of four layers on Eyeriss v2 in the order of the text on figure 22 of its paper.

Chen et al., JETCAS 9(2), 2019, section V. "CONV3 of the sparse AlexNet: spads and MACs are large beside
control" holds only relative to the depthwise layer: in the model control takes more than both.
"""

from __future__ import annotations

from functools import cache

import pytest
from msgspec.structs import replace

from sparsim.files.sparsim_yaml import load_named
from sparsim.machines.eyeriss import load_chip, plan_layer
from sparsim.report.chip_comparison import energy_shares

CONV1, CONV3, DW13, FC8 = (
    ("alexnet", "conv1"), ("alexnet_sparse", "conv3"), ("mobilenet_v1_050_128", "dw13"),
    ("alexnet_sparse", "fc8"),
)  # fmt: skip


@cache
def shares(workload: str, name: str) -> dict[str, float]:
    """With both operands compressed as soon as either has a zero, as all published numbers are compared."""
    chip = load_chip("eyeriss_v2")
    chip = chip._replace(spec=replace(chip.spec, compression="any-zero"))
    return energy_shares(plan_layer(chip, load_named(workload).layer(name), "delay").energy_pj)


def of(group: str) -> dict[tuple[str, str], float]:
    return {layer: shares(*layer)[group] for layer in (CONV1, CONV3, DW13, FC8)}


def work_over_control(layer: tuple[str, str]) -> float:
    found = shares(*layer)
    return (found["spads"] + found["MACs"]) / found["control"]


def test_the_clock_takes_most_in_fc8_and_least_in_conv1() -> None:
    clock = of("clock")
    assert max(clock, key=clock.__getitem__) == FC8
    assert min(clock, key=clock.__getitem__) == CONV1


def test_macs_take_most_in_conv1() -> None:
    macs = of("MACs")
    assert max(macs, key=macs.__getitem__) == CONV1


def test_control_takes_more_than_spads_and_macs_in_the_depthwise_layer() -> None:
    assert work_over_control(DW13) < 1


def test_spads_and_macs_weigh_more_beside_control_in_conv3_than_in_the_depthwise_layer() -> None:
    assert work_over_control(CONV3) > work_over_control(DW13)


def test_shares_add_up() -> None:
    for layer in (CONV1, CONV3, DW13, FC8):
        assert sum(shares(*layer).values()) == pytest.approx(1)
