"""Chips: presets, documents, and parts that do not belong together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.named import names, naming
from support.small_chips import conv, small_chip, with_storage

import sparsim
from sparsim.errors import SpecError
from sparsim.files.sparsim_yaml import load_documents, preset_names
from sparsim.machines.eyeriss import Chip, chip_area, load_chip, plan_layer
from sparsim.machines.eyeriss.chip import check_chip
from sparsim.records import Density

CHIPS = ("eyeriss_v1", "eyeriss_v1_168", "eyeriss_v1_5", "eyeriss_v2")
V2 = load_chip("eyeriss_v2")


def with_mesh(chip: Chip, name: str, mesh: tuple[int, int]) -> Chip:
    storage = (
        replace(level, mesh=mesh) if level.name == name else level for level in chip.architecture.storage
    )
    return with_storage(chip, storage)


def test_presets_with_a_chip_are_loaded() -> None:
    presets = Path(sparsim.__file__).parent / "files" / "presets"
    assert [n for n in preset_names() if load_documents([presets / f"{n}.yaml"]).chip] == list(CHIPS)
    assert [load_chip(name).spec.noc.pes for name in CHIPS] == [192, 168, 192, 192]
    assert load_chip(presets / "eyeriss_v2.yaml") == V2
    for name in CHIPS:
        assert load_chip(name).name == name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: load_chip("eyeris_v2"), "eyeris_v2 eyeriss_v2"),
        (lambda: load_chip("eyeriss_like_onchip"), "eyeriss_like_onchip chip"),
        (lambda: load_chip("alexnet"), "chip"),
        (
            lambda: check_chip(with_mesh(V2, "pe_row", (1, 4))),
            "eyeriss_v2 pe_row 1 4 3",
        ),
        (
            lambda: check_chip(with_mesh(V2, "weight_spad", (3, 1))),
            "eyeriss_v2 weight_spad 3 1 4",
        ),
        (
            lambda: check_chip(V2._replace(spec=small_chip().spec)),
            "eyeriss_v2 cluster_row 1 8 2",
        ),
        (
            lambda: check_chip(V2._replace(accelerator=load_chip("eyeriss_v1_5").accelerator)),
            "eyeriss_v2 1 MACs PE simd_width 2",
        ),
        (
            lambda: replace(V2.spec, clock_mhz=0.0),
            "eyeriss_v2 clock_mhz 0",
        ),
        (
            lambda: replace(V2.spec, dram_gb_per_s=float("nan")),
            "eyeriss_v2 dram_gb_per_s 0",
        ),
        (
            lambda: replace(V2.spec, clock_pj_per_cycle=-1.0),
            "eyeriss_v2 clock_pj_per_cycle -1 0",
        ),
        (
            lambda: replace(V2.spec, spread={"pe_rows": ("M",)}),
            "eyeriss_v2 cluster_rows",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SpecError) as error:
        make()
    assert names(error.value, message)


def test_unknown_level_has_a_hint() -> None:
    storage = (
        replace(level, name="psum_glbs") if level.name == "psum_glb" else level
        for level in V2.architecture.storage
    )
    with pytest.raises(SpecError, match=naming("row-stationary chip psum_glb")):
        check_chip(with_storage(V2, storage))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            replace(conv(M=2), densities={"Inputs": Density(distribution="banded", band_width=1)}),
            "Inputs banded",
        ),
    ],
)
def test_layers_of_other_kinds_are_refused(layer: Any, message: str) -> None:
    with pytest.raises(SpecError) as error:
        plan_layer(V2, layer)
    assert names(error.value, message)


SPADS = ("weight_spad", "iact_spad", "psum_spad", "iact_reg")


def test_area_is_that_of_all_instances() -> None:
    """64 psum banks of 384 words of 40 bits, 48 iact banks; 192 PEs; 16 clusters with 3, 3 and 4 routers."""
    area = chip_area(V2)
    one = V2.energy.areas  # type: ignore[union-attr]
    assert area["psum_glb"] == pytest.approx(64 * one["psum_glb"])
    assert area["iact_glb"] == pytest.approx(48 * one["iact_glb"])
    assert area["weight_spad"] == pytest.approx(192 * one["weight_spad"])
    assert area["MAC"] == pytest.approx(384 * one["MAC"])
    assert area["address spads"] == pytest.approx(
        192 * (one["iact_address_spad"] + one["weight_address_spad"])
    )
    rest = sum(area[name] for name in (*SPADS, "MAC", "address spads"))
    assert area["control"] / (rest + area["control"]) == pytest.approx(0.23, abs=5e-5)
    assert chip_area(load_chip("eyeriss_v1_5"))["control"] / area["control"] == pytest.approx(3 / 7, abs=1e-4)
    routers = 3 * one["iact_router"] + 3 * one["weight_router"] + 4 * one["psum_router"]
    assert area["NoC"] == pytest.approx(16 * routers)
    assert "DRAM" not in area
    assert "NoC" not in chip_area(load_chip("eyeriss_v1"))  # a bus has no routers
    assert chip_area(V2._replace(accelerator=replace(V2.accelerator, components=()))) == {}


def test_area_grows_with_the_array_but_not_that_of_the_buffer() -> None:
    small, large = chip_area(small_chip((2, 1), 2, 2)), chip_area(small_chip((4, 1), 2, 2))
    for name in small:
        assert large[name] == pytest.approx(small[name] * (1 if name.endswith("glb") else 2)), name
