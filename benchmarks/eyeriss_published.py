"""The published numbers of the Eyeriss family, eyeriss_published.csv, with the model's number for each."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from eyeriss_measured import ALEXNET, VGG16, Measured
from eyeriss_measured import MODELS as MEASURES
from eyeriss_networks import (
    ORIGINAL,
    SIZES,
    Runs,
    area_mm2,
    convolutions_mb,
    layer_gops_per_w,
    logic_mm2,
    noc_share,
    pe_area_um2,
    thousand_gates,
)

from sparsim.machines.eyeriss import load_chip

V1, V1_5, V2 = "eyeriss_v1", "eyeriss_v1_5", "eyeriss_v2"
DRAM_GB_PER_S = 25.6
EXPLAINED = 0.25  # larger deviations need an explanation


Set = Literal["compared", "test", "other"]
Kind = Literal["predicted", "half fitted", "fitted"]


KINDS: tuple[Kind, ...] = get_args(Kind)


class Published(NamedTuple):
    """`value` may be a range; then the deviation is that from its nearer end, and 0 inside. The file of the
    numbers says what `source`, `set` and `kind` mean.
    """

    quantity: str
    value: float | tuple[float, float]
    source: str
    model: Callable[[Runs], float]
    set: Set = "compared"
    kind: Kind = "predicted"
    large_array: bool = False

    def nearest(self, model: float) -> float:
        if isinstance(self.value, tuple):
            return min(max(model, self.value[0]), self.value[1])
        return self.value


def _speed(runs: Runs, chip: str, workload: str) -> float:
    return runs.network(chip, workload).inferences_per_s


def _efficiency(runs: Runs, chip: str, workload: str) -> float:
    return runs.network(chip, workload).inferences_per_j


def _noc_share_of_logic() -> float:
    chip = load_chip(V2)
    return area_mm2(chip)["routers"] / (logic_mm2(chip))


def _original_area(part: str, over: str = "sum") -> float:
    area = area_mm2(load_chip(ORIGINAL))
    area |= {"GLB and spads": area["GLB"] + area["spads"], "sum": sum(area.values())}
    return area[part] / area[over]


def _macs_over_spads() -> float:
    area = pe_area_um2(load_chip(V2))
    return area["MACs"] / area["spads"]


def _pe_um2(chip: str) -> float:
    return sum(pe_area_um2(load_chip(chip)).values())


def _gates(chip: str) -> float:
    return thousand_gates(load_chip(chip))


MODELS: dict[str, Callable[..., float]] = {
    "speed": _speed,
    "efficiency": _efficiency,
    "gops_per_w": lambda runs, chip, name: runs.network(chip, name).gops_per_w,
    "dram_mb": lambda runs, chip, name: runs.network(chip, name).dram_bytes / 1e6,
    "speed_ratio": lambda runs, *two: _speed(runs, *two[:2]) / _speed(runs, *two[2:]),
    "efficiency_ratio": lambda runs, *two: _efficiency(runs, *two[:2]) / _efficiency(runs, *two[2:]),
    "layer_gops_per_w": lambda runs, name, layer: layer_gops_per_w(runs.network(V2, name), layer),
    "convolutions_mb": lambda runs, name: convolutions_mb(runs.network(V2, name)),
    "speed_left": lambda runs, name: (  # of a chip whose DRAM is limited
        runs.network(V2, name, DRAM_GB_PER_S).inferences_per_s / runs.network(V2, name).inferences_per_s
    ),
    "noc_share": lambda runs, name: noc_share(runs.network(V2, name)),
    "noc_share_of_logic": lambda runs: _noc_share_of_logic(),
    "original_area": lambda runs, *parts: _original_area(*parts),
    "thousand_gates": lambda runs, chip: _gates(chip),
    "macs_over_spads": lambda runs: _macs_over_spads(),
    "pe_ratio": lambda runs, above, below: _pe_um2(above) / _pe_um2(below),
    "logic_ratio": lambda runs, above, below: _gates(above) / _gates(below),
    "of_linear": lambda runs, chip, network, pes: runs.of_linear(chip, network, int(pes)),
    "measured": lambda runs, measure, layer: MEASURES[measure](
        runs.as_published(), next(row for row in ALEXNET if row.layer == layer)
    ),
    "measured_sum": lambda runs, measure: sum(MEASURES[measure](runs.as_published(), x) for x in ALEXNET),
    "vgg16_sum": lambda runs, measure: sum(MEASURES[measure](runs.original("vgg16"), x) for x in VGG16),
}


def _sections() -> dict[str, list[Published]]:
    text = Path(__file__).with_suffix(".csv").read_text(encoding="utf-8")
    found: dict[str, list[Published]] = {}
    for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#")):
        value = float(row["published"])
        name, *arguments = row["model"].split("; ")
        found.setdefault(row["section"], []).append(
            Published(
                row["quantity"],
                (value, float(row["most"])) if row["most"] else value,
                row["source"],
                lambda runs, model=MODELS[name], given=arguments: model(runs, *given),  # type: ignore[misc]
                row["set"],  # type: ignore[arg-type]
                row["kind"],  # type: ignore[arg-type]
                large_array=arguments[-1:] == [str(max(SIZES))],
            )
        )
    return found


def _vgg16() -> list[Published]:
    """Return the test set: nothing is fitted to it."""
    units = {"proc_ms": "ms", "power_mw": "mW", "glb_mb": "GLB MB", "dram_mb": "DRAM MB"}

    def published(row: Measured, measure: str) -> Published:
        return Published(
            f"VGG-16 {row.layer}, {units[measure]}", getattr(row, measure), "seen",
            lambda runs: MEASURES[measure](runs.original("vgg16"), row), "test",
            "half fitted" if measure == "power_mw" else "predicted",
        )  # fmt: skip

    return [published(row, measure) for row in VGG16 for measure in units]


SECTIONS = {**_sections(), "VGG-16": _vgg16()}
