"""Chips by name or from documents."""

from __future__ import annotations

from pathlib import Path

from sparsim.chip.records import Chip, check_chip
from sparsim.errors import SpecError
from sparsim.estimate import estimate_table
from sparsim.spec.load import load_documents, load_preset


def load_chip(name_or_path: str | Path) -> Chip:
    """A chip of this package by name, or that of a document by its path, which ends in .yaml or .yml.

    Raises SpecError for an unknown name, for a document without a chip or an architecture, and as
    `load_documents` and `sparsim.estimate` do.
    """
    path = Path(name_or_path)
    loaded = load_documents([path]) if path.suffix in (".yaml", ".yml") else load_preset(str(name_or_path))
    if loaded.chip is None or loaded.architecture is None:
        missing = "chip" if loaded.chip is None else "architecture"
        raise SpecError(f"no '{missing}' given", path=str(name_or_path))
    energy = estimate_table(loaded.components) if loaded.components else loaded.energy
    chip = Chip(loaded.chip, loaded.architecture, loaded.policy, energy, loaded.components)
    check_chip(chip)
    return chip
