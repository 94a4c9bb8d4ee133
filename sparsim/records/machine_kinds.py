"""The kinds of machines that documents may describe, by the value of the key `kind`."""

from sparsim.records.eie_spec import EieSpec
from sparsim.records.machine_spec import MachineSpec
from sparsim.records.pointacc_spec import PointAccSpec
from sparsim.records.spgemm_specs import ExtensorSpec, GammaSpec, OuterspaceSpec, SigmaSpec
from sparsim.records.tensor_core_spec import TensorCoreSpec

_SPECS: tuple[type[MachineSpec], ...] = (
    EieSpec, ExtensorSpec, GammaSpec, OuterspaceSpec, PointAccSpec, SigmaSpec, TensorCoreSpec,
)  # fmt: skip
MACHINE_KINDS: dict[str, type[MachineSpec]] = {str(spec.__struct_config__.tag): spec for spec in _SPECS}
