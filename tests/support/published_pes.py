"""The PEs of Eyeriss v1, v1.5 and v2: those of the presets, which name the source of each value."""

from sparsim.files.sparsim_yaml import load_preset
from sparsim.records.pe_spec import SparsePE


def _of(name: str) -> SparsePE:
    chip = load_preset(name).chip
    assert chip is not None
    return chip.pe


EYERISS_V1_PE, EYERISS_V1_5_PE, EYERISS_V2_PE = _of("eyeriss_v1"), _of("eyeriss_v1_5"), _of("eyeriss_v2")
