"""Hardware by name, from documents, or from records."""

from pathlib import Path

from sparsim.errors import SpecError
from sparsim.files.sparsim_yaml import load_named
from sparsim.hardware.accelerator_plan import MappedAccelerator
from sparsim.hardware.closed_form_plan import ClosedFormMachine
from sparsim.hardware.eie_machine import EieMachine
from sparsim.hardware.eyeriss_plan import EyerissChip
from sparsim.hardware.interface import Hardware
from sparsim.hardware.pointacc_machine import PointAccMachine
from sparsim.hardware.spgemm_machine import SpgemmMachine
from sparsim.hardware.tensor_core_machine import TensorCoreMachine
from sparsim.machines.eyeriss import Chip, load_chip
from sparsim.records import Accelerator
from sparsim.records.machine_spec import MachineSpec

MACHINES: dict[str, type[ClosedFormMachine]] = {  # machines by the type of their record
    "eie": EieMachine, "pointacc": PointAccMachine, "tensor_core": TensorCoreMachine,
    "extensor": SpgemmMachine, "gamma": SpgemmMachine, "outerspace": SpgemmMachine, "sigma": SpgemmMachine,
}  # fmt: skip


def load_hardware(source: str | Path | Accelerator | Chip | MachineSpec | Hardware) -> Hardware:
    """Make hardware that networks can be planned on.

    Parameters
    ----------
    source : str, Path, Accelerator, Chip, MachineSpec or Hardware
        The name of a preset, the path of a document (.yaml or .yml), or a record.

    Returns
    -------
    Hardware
        An `EyerissChip` where the source describes a chip, a `ClosedFormMachine` where it describes a
        machine, otherwise a `MappedAccelerator`. Its components are estimated.

    Raises
    ------
    SpecError
        If the name is unknown, if the document has neither an architecture nor a machine, or if the source is
        another object.

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
        case MachineSpec():
            return MACHINES[source.kind](source)
        case str() | Path():
            documents = load_named(source)
            if documents.chip is not None:
                return EyerissChip(load_chip(source))
            if documents.machine is not None:
                return load_hardware(documents.machine)
            return MappedAccelerator(documents.accelerator)
    raise SpecError(
        "the hardware must be a name, a path, an Accelerator, a Chip or a machine, got a "
        f"{type(source).__name__}"
    )
