"""Networks on chip of the presets, and the larger arrays of the scaling study."""

from __future__ import annotations

from msgspec.structs import replace

from sparsim.files.sparsim_yaml import load_preset
from sparsim.records.noc_spec import Noc


def eyeriss_v2_noc(
    clusters: tuple[int, int] = (8, 2), pe_rows: int = 3, pe_columns: int = 4, name: str = "eyeriss_v2"
) -> Noc:
    """The hierarchical mesh of Eyeriss v2, at its own size (192 PEs) or any other.

    Routers grow with the cluster: one iact router and one weight router per PE row, one psum router per PE
    column, as in the chip (3, 3 and 4).
    """
    noc = _of("eyeriss_v2")
    routers = {"iact": pe_rows, "weight": pe_rows, "psum": pe_columns}
    return replace(
        noc,
        name=name,
        clusters=clusters,
        pe_rows=pe_rows,
        pe_columns=pe_columns,
        networks=tuple(replace(n, routers_per_cluster=routers[n.role]) for n in noc.networks),
    )


def eyeriss_v1_noc(pe_rows: int = 12, pe_columns: int = 16, name: str = "eyeriss_v1") -> Noc:
    """The flat network of Eyeriss v1, scaled to 8 bits and 192 PEs or any other number: one bus per kind of
    word, each word to any set of PEs, every wire driven.
    """
    return replace(_of("eyeriss_v1"), name=name, pe_rows=pe_rows, pe_columns=pe_columns)


def _of(name: str) -> Noc:
    chip = load_preset(name).chip
    assert chip is not None
    return chip.noc
