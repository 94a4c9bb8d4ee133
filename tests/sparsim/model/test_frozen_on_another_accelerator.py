"""A frozen network on another accelerator costs what one costs that was made for it."""

import numpy as np
import pytest
from msgspec.structs import replace

from pointnet.original.published_runs import runs
from sparsim import Accelerator, Frozen, MappingError, load_accelerator

CHIP = load_accelerator("eyeriss_like_onchip")
STUDY = [run for run in runs() if run.design == "onchip" and run.variant == "sparse"][-3:]
DENSITIES = np.full((3, 3), 0.4)


def _storage(name: str, **changes: object) -> Accelerator:
    arch = CHIP.architecture
    storage = tuple(replace(s, **changes) if s.name == name else s for s in arch.storage)
    return replace(CHIP, architecture=replace(arch, storage=storage))


def _other_energies() -> Accelerator:
    assert CHIP.energy is not None
    actions = {
        name: {action: 2 * pj + 1 for action, pj in entry.items()}
        for name, entry in CHIP.energy.actions.items()
    }
    return replace(CHIP, energy=replace(CHIP.energy, actions=actions))


@pytest.mark.parametrize(
    "accelerator",
    [
        _storage("shared_glb", read_bandwidth=1.0),
        _storage("shared_glb", size_words=60000),
        _storage("DRAM", block_size=2),
        _storage("DummyBuffer", mesh=(16, 1)),
        _other_energies(),
        replace(CHIP, energy=None),
        replace(CHIP, policy=None),
    ],
    ids=["bandwidth", "size", "block", "mesh", "energies", "built in", "dense"],
)
def test_costs_are_those_of_a_new_one(accelerator: Accelerator) -> None:
    layers, mappings = [run.layer for run in STUDY], [run.mapping for run in STUDY]
    first = Frozen(CHIP, layers, mappings)
    before = first(DENSITIES)
    moved, made = first.on(accelerator)(DENSITIES), Frozen(accelerator, layers, mappings)(DENSITIES)
    for ours, theirs in zip(moved, made, strict=True):
        assert np.array_equal(ours, theirs)
    for ours, theirs in zip(first(DENSITIES), before, strict=True):
        assert np.array_equal(ours, theirs)


def test_what_does_not_fit_is_refused() -> None:
    first = Frozen(CHIP, [run.layer for run in STUDY], [run.mapping for run in STUDY])
    with pytest.raises(MappingError):
        first.on(_storage("psum_spad", size_words=1))(DENSITIES)
    with pytest.raises(MappingError):
        first.on(_storage("DummyBuffer", mesh=(1, 1)))(DENSITIES)
