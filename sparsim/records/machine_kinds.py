"""The kinds of machines that documents may describe, by the value of the key `kind`."""

from sparsim.records.eie_spec import EieSpec
from sparsim.records.machine_spec import MachineSpec

_SPECS: tuple[type[MachineSpec], ...] = (EieSpec,)
MACHINE_KINDS: dict[str, type[MachineSpec]] = {str(spec.__struct_config__.tag): spec for spec in _SPECS}
