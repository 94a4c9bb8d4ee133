"""Hardware by name or as records, and the cost of a network on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gmp.energy.chips import ChipCost
from gmp.energy.cost import NetworkCost, Objective, Progress
from gmp.energy.mapped import Accelerator, MappedCost
from gmp.errors import PruningError
from sparsim.cache import default_folder
from sparsim.errors import SpecError
from sparsim.files.load import load_named
from sparsim.machines.eyeriss import Chip, load_chip
from sparsim.records import Layer, Mapping

Hardware = str | Path | Chip | Accelerator


def load_hardware(name_or_path: str | Path) -> Chip | Accelerator:
    """A preset of `sparsim` by name, or what a document has by its path, which ends in .yaml or .yml.

    Energies of its components are estimated, like those of `sparsim model`.
    Raises SpecError for an unknown name and for a document without an architecture.
    """
    loaded = load_named(name_or_path)
    if loaded.chip is not None:
        return load_chip(name_or_path)
    if loaded.architecture is None:
        raise SpecError("no 'architecture' given", path=str(name_or_path))
    return Accelerator(loaded.architecture, loaded.policy, loaded.energy, loaded.mapspace)


def network_cost(
    layers: Sequence[Layer],
    hardware: Hardware,
    *,
    mappings: Sequence[Mapping] | None = None,
    objective: Objective = "edp",
    folder: Path | None = None,
    progress: Progress | None = None,
) -> NetworkCost:
    """`ChipCost` for a chip, `MappedCost` for an accelerator.

    mappings : one per layer, for an accelerator; None: the best ones are searched for
    objective : what mappings are chosen by
    folder : where mappings and tables are kept for later runs; None: the user's cache
    progress : called with the name of each layer when it is done
    """
    found = load_hardware(hardware) if isinstance(hardware, str | Path) else hardware
    folder = default_folder() if folder is None else folder
    if isinstance(found, Accelerator):
        return MappedCost(found, layers, mappings, objective=objective, folder=folder, progress=progress)
    if not isinstance(found, Chip):
        raise PruningError(f"the hardware is a {type(found).__name__}, not a name, Chip or Accelerator")
    if mappings is not None:
        raise PruningError(f"mappings are given, but the mappings of chip {found.name} are planned")
    return ChipCost(found, layers, objective=objective, folder=folder, progress=progress)
