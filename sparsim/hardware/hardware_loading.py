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
    """Make hardware that networks can be planned on.

    Parameters
    ----------
    source : str, Path, Accelerator, Chip or Hardware
        The name of a preset, the path of a document (.yaml or .yml), or a record.

    Returns
    -------
    Hardware
        An `EyerissChip` where the source describes a chip, otherwise a `MappedAccelerator`. Its components
        are estimated.

    Raises
    ------
    SpecError
        If the name is unknown, if the document has no architecture, or if the source is another object.

    Examples
    --------
    >>> import sparsim
    >>> hardware = sparsim.load_hardware("eyeriss_v2")
    >>> hardware.name
    'eyeriss_v2'
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
