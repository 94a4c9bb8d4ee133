"""Chips by name or from documents."""

from pathlib import Path

from sparsim.errors import SpecError, warn_of_energies
from sparsim.files.sparsim_yaml import load_named
from sparsim.machines.eyeriss.chip import Chip, check_chip, missing_energies


def load_chip(name_or_path: str | Path) -> Chip:
    """Load a chip by the name of a preset or from a file.

    Parameters
    ----------
    name_or_path : str or Path
        The name of a preset, or the path of a document, which ends in .yaml or .yml.

    Returns
    -------
    Chip

    Raises
    ------
    SpecError
        If the name is unknown, if the document has no chip or no architecture, if its parts do not belong to
        one chip, or if its components cannot be estimated.
    FormatError
        If the file cannot be read.

    Warns
    -----
    EnergyWarning
        If energies are missing.

    Examples
    --------
    >>> from sparsim.machines.eyeriss import load_chip
    >>> load_chip("eyeriss_v2").spec.clock_mhz
    200.0
    """
    loaded = load_named(name_or_path)
    if loaded.chip is None:
        hint = "an accelerator without one has no planner; sparsim mapper searches its mappings"
        raise SpecError("'chip' is missing", path=str(name_or_path), hint=hint)
    chip = Chip(loaded.chip, loaded.accelerator)
    check_chip(chip)
    warn_of_energies(missing_energies(chip))
    return chip
