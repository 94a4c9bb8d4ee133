"""What is published of the Eyeriss family, each with the model's number for the same quantity.

Source: seen in a paper's text (Eyeriss v2, JETCAS 9(2), 2019; v1 measured: JSSC 52(1), 2017); derived from
seen numbers by arithmetic; remembered of the v2 paper's table VI, which we could not look up; fitted: seen,
but in the mean ours was made to agree (clock and control, `eyeriss_overhead`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from eyeriss_networks import (
    FULL_MOBILENET,
    MOBILENET,
    NETWORKS,
    Runs,
    area_mm2,
    convolutions_mb,
    glb_mb,
    layer_gops_per_w,
    noc_share,
    pe_area_um2,
)
from eyeriss_overhead import TABLE, power_mw, processing_ms

from sparsim.machines.eyeriss import NetworkEvaluation, load_chip

V1, V1_5, V2 = "eyeriss_v1", "eyeriss_v1_5", "eyeriss_v2"
SPARSE_ALEXNET, SPARSE_MOBILENET = "alexnet_sparse", f"{MOBILENET}_sparse"
DRAM_GB_PER_S = 25.6
EXPLAINED = 0.25  # a larger deviation has an explanation
Source = Literal["seen", "derived", "remembered", "fitted"]
Model = Callable[[Runs], float]


class Published(NamedTuple):
    """`value` may be a range; then the deviation is that from its nearer end, and 0 inside."""

    quantity: str
    value: float | tuple[float, float]
    source: Source
    model: Model

    def nearest(self, model: float) -> float:
        if isinstance(self.value, tuple):
            return min(max(model, self.value[0]), self.value[1])
        return self.value


def speed(chip: str, workload: str) -> Model:
    return lambda runs: runs.network(chip, workload).inferences_per_s


def efficiency(chip: str, workload: str) -> Model:
    return lambda runs: runs.network(chip, workload).inferences_per_j


def of(value: Callable[[NetworkEvaluation], float], workload: str) -> Model:
    return lambda runs: value(runs.network(V2, workload))


def ratio(above: Model, below: Model) -> Model:
    return lambda runs: above(runs) / below(runs)


def speed_left(workload: str) -> Model:
    """Of a chip whose DRAM is limited."""
    return lambda runs: (
        runs.network(V2, workload, DRAM_GB_PER_S).inferences_per_s
        / runs.network(V2, workload).inferences_per_s
    )


def gops_per_w(workload: str, layer: str) -> Model:
    return lambda runs: layer_gops_per_w(runs.network(V2, workload), layer)


def of_linear(chip: str, network: str, pes: int) -> Model:
    return lambda runs: runs.of_linear(chip, network, pes)


def area_share(part: str) -> float:
    area = area_mm2(load_chip(V2))
    return area[part] / sum(area.values())


def macs_over_spads() -> float:
    area = pe_area_um2(load_chip(V2))
    return area["MACs"] / area["spads"]


def area_ratio(above: str, below: str) -> float:
    return sum(area_mm2(load_chip(above)).values()) / sum(area_mm2(load_chip(below)).values())


def pe_ratio(above: str, below: str) -> float:
    return sum(pe_area_um2(load_chip(above)).values()) / sum(pe_area_um2(load_chip(below)).values())


def _absolute() -> list[Published]:
    v2 = {  # inferences/s, inferences/J, GOPS/W, MB of DRAM
        "alexnet": ((102.1, "remembered"), (174.8, "remembered"), 253.2, 71.9),
        SPARSE_ALEXNET: ((277.7, "derived"), (656.5, "derived"), 962.9, 22.3),
        MOBILENET: ((1282.1, "remembered"), (1969.8, "remembered"), 193.7, 4.1),
        SPARSE_MOBILENET: ((1470.6, "seen"), (2560.3, "seen"), 251.7, 3.9),
    }  # fmt: skip
    found = []
    for workload, (per_s, per_j, gops, megabytes) in v2.items():
        name = f"v2, {NETWORKS[workload]}"
        found += [
            Published(f"{name}, inferences/s", *per_s, speed(V2, workload)),
            Published(f"{name}, inferences/J", *per_j, efficiency(V2, workload)),
            Published(f"{name}, GOPS/W", gops, "remembered", of(lambda n: n.gops_per_w, workload)),
            Published(
                f"{name}, DRAM MB", megabytes, "remembered", of(lambda n: n.dram_bytes / 1e6, workload)
            ),
        ]
    return [
        *found,
        Published("v1.5, MobileNet, inferences/s", 653.6, "derived", speed(V1_5, MOBILENET)),
        Published("v1.5, MobileNet, inferences/J", 1843.4, "derived", efficiency(V1_5, MOBILENET)),
        Published("v1, MobileNet, inferences/s", 116.7, "derived", speed(V1, MOBILENET)),
        Published("v1, MobileNet, inferences/J", 1024.1, "derived", efficiency(V1, MOBILENET)),
        Published("v1, AlexNet, inferences/s", 6.53, "derived", speed(V1, "alexnet")),
        Published("v1, AlexNet, inferences/J", 60.96, "derived", efficiency(V1, "alexnet")),
    ]


def _ratios() -> list[Published]:
    pairs = (  # chip and network above and below, speed, inferences/J
        ((V2, SPARSE_MOBILENET), (V1, MOBILENET), 12.6, 2.5),
        ((V2, SPARSE_ALEXNET), (V1, "alexnet"), 42.5, 11.3),
        ((V2, SPARSE_MOBILENET), (V1, "alexnet"), 225.1, 42.0),
        ((V1_5, MOBILENET), (V1, MOBILENET), 5.6, 1.8),
        ((V2, SPARSE_MOBILENET), (V2, MOBILENET), 1.2, 1.3),
        ((V2, MOBILENET), (V2, "alexnet"), 12.6, None),
        ((V2, SPARSE_MOBILENET), (V2, SPARSE_ALEXNET), 5.3, 3.9),
    )
    short = {V1: "v1", V1_5: "v1.5", V2: "v2"}
    found = []
    for above, below, faster, fewer in pairs:
        name = " / ".join(f"{short[chip]} {NETWORKS[workload]}" for chip, workload in (above, below))
        found.append(Published(f"{name}, speed", faster, "seen", ratio(speed(*above), speed(*below))))
        if fewer is not None:
            model = ratio(efficiency(*above), efficiency(*below))
            found.append(Published(f"{name}, inferences/J", fewer, "seen", model))
    return found


def _layers() -> list[Published]:
    rows = (
        ("AlexNet CONV1", "alexnet", "conv1", 148.1),
        ("AlexNet CONV3", "alexnet", "conv3", 392.0),
        ("sparse AlexNet CONV3", SPARSE_ALEXNET, "conv3", 1423.2),
        ("sparse AlexNet FC8", SPARSE_ALEXNET, "fc8", 465.1),
        ("MobileNet CONV13 DW", MOBILENET, "dw13", 77.7),
    )
    return [
        Published(f"v2, {name}, GOPS/W", value, "seen", gops_per_w(workload, layer))
        for name, workload, layer, value in rows
    ]


def _memory() -> list[Published]:
    megabytes = {"alexnet": 7.1, SPARSE_ALEXNET: 4.6}
    left = {SPARSE_ALEXNET: 0.84, SPARSE_MOBILENET: 0.76}
    return [
        *(
            Published(f"v2, {NETWORKS[name]}, DRAM MB of CONV layers", mb, "seen", of(convolutions_mb, name))
            for name, mb in megabytes.items()
        ),
        *(
            Published(f"v2, {NETWORKS[name]}, speed left with 25.6 GB/s", part, "seen", speed_left(name))
            for name, part in left.items()
        ),
        *(
            Published(f"v2, {NETWORKS[name]}, NoC share of energy", (0.06, 0.10), "seen", of(noc_share, name))
            for name in NETWORKS
        ),
    ]  # fmt: skip


def _areas() -> list[Published]:
    return [
        Published("v2, NoC share of area", 0.026, "seen", lambda runs: area_share("routers")),
        Published("v2, MACs over spads, area of a PE", 0.069, "derived", lambda runs: macs_over_spads()),
        Published("v2 / v1, area of a PE", 1.73, "seen", lambda runs: pe_ratio(V2, V1)),
        Published("v2 / v1.5, area", 2.0, "seen", lambda runs: area_ratio(V2, V1_5)),
    ]  # fmt: skip


def _scaling() -> list[Published]:
    found = []
    for name in ("AlexNet", FULL_MOBILENET):
        for pes, part in ((1024, 1.0), (16384, (0.85, 1.0))):
            model = of_linear(V1_5, name, pes)
            found.append(Published(f"mesh, {name}, {pes} PEs, of linear", part, "seen", model))
    return found


def _original() -> list[Published]:
    found = [
        Published(
            f"v1 measured, {row.name.upper()}, ms", row.proc_ms, "seen",
            lambda runs, name=row.name: processing_ms(runs, name),  # type: ignore[misc]
        )
        for row in TABLE
    ]  # fmt: skip
    found += [
        Published(
            f"v1 measured, {row.name.upper()}, mW", row.power_mw, "fitted",
            lambda runs, name=row.name: power_mw(runs, name),  # type: ignore[misc]
        )
        for row in TABLE
    ]  # fmt: skip
    totals: list[tuple[str, float, Model]] = [
        ("GLB", 208.5, lambda runs: sum(glb_mb(layer) for layer in runs.original().layers)),
        ("DRAM", 15.4, lambda runs: runs.original().dram_bytes / 1e6),
    ]
    return found + [Published(f"v1 measured, {at} MB", mb, "seen", model) for at, mb, model in totals]


SECTIONS: dict[str, list[Published]] = {
    "networks": _absolute(), "ratios": _ratios(), "layers": _layers(), "memory": _memory(), "areas": _areas(),
    "scaling": _scaling(), "original": _original(),
}  # fmt: skip
