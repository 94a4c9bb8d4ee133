"""Costs of the study's networks on its designs: every layer is mapped for each variant.

A variant determines which zeros the hardware can use. Variants have the same shapes and differ only in
densities.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

from msgspec.structs import replace

from pointnet.errors import ConfigError
from pointnet.original.published_runs import DESIGN_TITLES, DESIGNS, study_mapspace
from sparsim.errors import MappingError, near
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.hardware import Hardware, LayerCost, NetworkCost, load_hardware
from sparsim.records import Density, Layer, Mapping, Mapspace

CHIPS = {"eyeriss_v2": "eyeriss_v2"}  # design: its preset
TITLES = {**DESIGN_TITLES, "eyeriss_v2": "Eyeriss v2"}
OBJECTIVE = ("delay", "energy")  # objective of the mapper; the planner of chips minimizes delay, then energy

PLAIN, DENSE, ACTIVATIONS, WEIGHTS, BOTH = "plain", "dense", "activations", "weights", "both"
VARIANTS = {
    PLAIN: "no zeros at all: what dense runs usually count",
    DENSE: "the honest dense baseline: the unpruned network, control, with its own activations",
    ACTIVATIONS: "activation sparsity alone: the pruned network's activations, weights counted as dense",
    WEIGHTS: "weight sparsity alone: the pruned network's weights, activations counted as dense",
    BOTH: "the pruned network as it is",
}


def designs() -> tuple[str, ...]:
    return (*DESIGNS, *CHIPS)


def check_design(name: str) -> None:
    """Raise ConfigError for an unknown design."""
    if name not in designs():
        raise ConfigError(f"unknown design '{name}'", hint=near(name, designs()))


def variants(control: Sequence[Layer], pruned: Sequence[Layer]) -> dict[str, list[Layer]]:
    """Return the layers of every variant, from those of the unpruned and of the pruned network."""
    pairs = list(zip(control, pruned, strict=True))
    return {
        PLAIN: [replace(layer, densities={}) for layer in control],
        DENSE: [_seen(layer, "Inputs", "Outputs") for layer in control],
        ACTIVATIONS: [_seen(layer, "Inputs", "Outputs") for _, layer in pairs],
        WEIGHTS: [_seen(layer, "Weights") for _, layer in pairs],
        BOTH: [_seen(layer, "Weights", "Inputs", "Outputs") for _, layer in pairs],
    }


def _seen(layer: Layer, *tensors: str) -> Layer:
    """Return the layer with the densities of these tensors only; the others are dense."""
    kept = {name: Density(density=d.density) for name, d in layer.densities.items() if name in tensors}
    return replace(layer, densities=kept)


def cost(
    design: str, layers: Sequence[Layer], progress: Callable[[str], object] = lambda layer: None
) -> NetworkCost:
    """Map every layer for the least delay, and of such mappings the least energy, and evaluate it.

    Raises ConfigError for an unknown design and what the mapper and the planner raise.
    """
    check_design(design)
    if design in CHIPS:
        return _hardware(design).cost(layers, objective=OBJECTIVE, progress=progress)
    accelerator = load_accelerator(DESIGNS[design])
    found = [
        load_hardware(replace(accelerator, mapspace=mapspace_of(layer))).cost(
            [layer], objective=OBJECTIVE, progress=progress
        )
        for layer in layers
    ]
    return NetworkCost(tuple(row for each in found for row in each.layers), found[0].area_um2)


def cost_under(design: str, layer: Layer, mapping: Mapping | None) -> LayerCost:
    """Evaluate a layer under a mapping, or under a new one if it does not fit."""
    if mapping is not None:
        with suppress(MappingError):
            return _hardware(design).cost([layer], objective=OBJECTIVE, mappings=[mapping]).layers[0]
    return cost(design, [layer]).layers[0]


@cache
def _hardware(design: str) -> Hardware:
    return load_hardware(CHIPS[design] if design in CHIPS else load_accelerator(DESIGNS[design]))


def mapspace_of(layer: Layer) -> Mapspace:
    """Return the study's mapspace, with imperfect factors of C if it is a prime, which perfect factors cannot
    tile.
    """
    mapspace = study_mapspace()
    if not is_prime(layer.bounds["C"]):
        return mapspace
    return replace(mapspace, divisibility={"C": "imperfect"})


def is_prime(n: int) -> bool:
    return n > 1 and all(n % k for k in range(2, math.isqrt(n) + 1))
