"""Hardware by name, from documents, or from records."""

from pathlib import Path

from sparsim.errors import SpecError
from sparsim.files.sparsim_yaml import load_named
from sparsim.hardware.accelerator_plan import MappedAccelerator
from sparsim.hardware.eyeriss_plan import EyerissChip
from sparsim.hardware.interface import Hardware
from sparsim.machines.eyeriss import Chip, load_chip
from sparsim.records import Accelerator


def load_hardware(source: str | Path | Accelerator | Chip | Hardware) -> Hardware:
    """Make anything that describes hardware into what networks can be planned on.

    Parameters
    ----------
    source : str, Path, Accelerator, Chip or Hardware
        The name of a preset, the path of a document (.yaml or .yml), or a record.

    Returns
    -------
    Hardware
        Its components are estimated, like those of `sparsim model`.

    Raises
    ------
    SpecError
        For an unknown name, a document without an architecture, and other objects.
    """
    match source:
        case Hardware():
            return source
        case Accelerator():
            return MappedAccelerator(source)
        case Chip():
            return EyerissChip(source)
        case str() | Path():
            documents = load_named(source)
            if documents.chip is not None:
                return EyerissChip(load_chip(source))
            return MappedAccelerator(documents.accelerator)
    raise SpecError(
        f"the hardware is a {type(source).__name__}, allowed are a name, a path, an Accelerator and a Chip"
    )
