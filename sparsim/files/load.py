"""Documents and presets with their energies: those of components are estimated where a document has no table.

`sparsim.files.native` has the records as they are written. Whoever needs energies reads them here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sparsim.errors import SpecError
from sparsim.estimate.estimate_components import estimate_table
from sparsim.files import native as records
from sparsim.files.native import Loaded


def load_documents(paths: Iterable[str | Path]) -> Loaded:
    """The records of the files, split over them in any way and order; components become `energy`.

    Raises FormatError for files that cannot be read, SpecError for all that is unknown, missing or wrong, and
    where both `energy` and `components` are given.
    """
    paths = list(paths)
    return with_energy(records.load_documents(paths), ", ".join(map(str, paths)))


def load_text(text: str, name: str = "text") -> Loaded:
    """Like `load_documents`, for the text of one document; masks stay relative to the working directory."""
    return with_energy(records.load_text(text, name), name)


def load_preset(name: str) -> Loaded:
    """A preset of this package, an accelerator or a workload. Raises SpecError for an unknown name."""
    return with_energy(records.load_preset(name), name)


def load_named(name_or_path: str | Path) -> Loaded:
    """A preset by name, or what a document has by its path, which ends in .yaml or .yml."""
    if Path(name_or_path).suffix in (".yaml", ".yml"):
        return load_documents([name_or_path])
    return load_preset(str(name_or_path))


def with_energy(loaded: Loaded, where: str) -> Loaded:
    """The same with the energy table of its components, if it has some; `where` names the documents."""
    if not loaded.components:
        return loaded
    if loaded.energy is not None:
        raise SpecError("both 'energy' and 'components' given, one is expected", path=where)
    try:
        return loaded._replace(energy=estimate_table(loaded.components))
    except SpecError as error:
        raise error.within(where) from None
