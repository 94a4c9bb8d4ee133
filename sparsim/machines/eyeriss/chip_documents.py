"""Chips by name or from documents."""

from pathlib import Path

from sparsim.errors import SpecError, warn_of_energies
from sparsim.files.sparsim_yaml import load_named
from sparsim.machines.eyeriss.chip import Chip, check_chip, missing_energies


def load_chip(name_or_path: str | Path) -> Chip:
    """A chip of this package by name, or that of a document by its path, which ends in .yaml or .yml.

    Energies that it lacks are an EnergyWarning. Raises SpecError for an unknown name, for a document without
    a chip or an architecture, and as `load_documents` and `sparsim.estimate` do.
    """
    loaded = load_named(name_or_path)
    if loaded.chip is None:
        raise SpecError("no 'chip' given", path=str(name_or_path))
    chip = Chip(loaded.chip, loaded.accelerator)
    check_chip(chip)
    warn_of_energies(missing_energies(chip))
    return chip
