"""Networks on chip of published accelerators, and the larger arrays of the scaling study."""

from __future__ import annotations

from sparsim.noc.records import Noc, RouterNetwork, Wiring

_WIRE_SOURCE = (
    "wire: 0.2 x 1.627 fF/um at 1 V (Accelergy's Aladdin plug-in, 45 nm), 0.325 pJ/bit/mm;"
    " router: assumed 0.1 pJ/bit, the paper gives no number;"
)
_V1_PITCH_UM = 3500 / 14  # the 14 columns of v1's PEs fill the 3.5 mm of its core


def eyeriss_v2_noc(
    clusters: tuple[int, int] = (8, 2), pe_rows: int = 3, pe_columns: int = 4, name: str = "eyeriss_v2"
) -> Noc:
    """The hierarchical mesh of Eyeriss v2, at its own size (192 PEs) or any other.

    Routers grow with the cluster: one iact router and one weight router per PE row, one psum router per PE
    column, as in the chip (3, 3 and 4). Words are 8 bits, 12 with their count; partial sums 20.
    """
    return Noc(
        name=name,
        clusters=clusters,
        pe_rows=pe_rows,
        pe_columns=pe_columns,
        networks=(
            RouterNetwork(
                role="iact", routers_per_cluster=pe_rows, port_bits=24, raw_words=3, compressed_words=2,
                mesh="two-dimensional", pe_side="all",
            ),
            RouterNetwork(
                role="weight", routers_per_cluster=pe_rows, port_bits=24, raw_words=3, compressed_words=2,
                mesh="horizontal", pe_side="row",
            ),
            RouterNetwork(
                role="psum", routers_per_cluster=pe_columns, port_bits=40, raw_words=2,
                mesh="vertical", pe_side="column",
            ),
        ),
        wiring=Wiring(
            pe_pitch_um=_V1_PITCH_UM,
            glb_pitch_um=_V1_PITCH_UM,
            wire_pj_per_bit_mm=0.3254,
            router_pj_per_bit=0.1,
            source=f"{_WIRE_SOURCE} pitch: assumed that of Eyeriss v1, GLB and routers one PE wide",
        ),
        source="Chen, Yang, Emer, Sze: Eyeriss v2, JETCAS 9(2) 2019, section III",
    )  # fmt: skip


def eyeriss_v1_noc(
    pe_rows: int = 12, pe_columns: int = 14, word_bits: int = 16, name: str = "eyeriss_v1"
) -> Noc:
    """The flat network of Eyeriss v1: one bus per kind of word, 64 bits wide, that reaches all PEs.

    A word goes to any set of PEs and drives the whole bus. Partial sums accumulate up the PE columns and
    leave over one bus too. The v1 that Eyeriss v2 is compared with is `eyeriss_v1_noc(12, 16, 8)`: 192
    PEs, 8-bit words; partial sums stay 20 bits there, 3 to a port, and have 16 bits, 4 to a port, in the
    chip.
    """
    psums = 64 // (20 if word_bits == 8 else word_bits)
    words = 64 // word_bits
    return Noc(
        name=name,
        clusters=(1, 1),
        pe_rows=pe_rows,
        pe_columns=pe_columns,
        networks=(
            RouterNetwork(
                role="iact", routers_per_cluster=1, port_bits=64, raw_words=words, mesh="none", pe_side="all"
            ),
            RouterNetwork(
                role="weight",
                routers_per_cluster=1,
                port_bits=64,
                raw_words=words,
                mesh="none",
                pe_side="all",
            ),
            RouterNetwork(
                role="psum", routers_per_cluster=1, port_bits=64, raw_words=psums, mesh="none", pe_side="all"
            ),
        ),
        wiring=Wiring(
            pe_pitch_um=_V1_PITCH_UM,
            glb_pitch_um=_V1_PITCH_UM,
            wire_pj_per_bit_mm=0.3254,
            router_pj_per_bit=0.1,
            source=f"{_WIRE_SOURCE} pitch: 3.5 mm core over 14 PE columns (JSSC 2017)",
        ),
        source="Chen, Krishna, Emer, Sze: Eyeriss, JSSC 52(1) 2017; 64 bits for all three buses are assumed",
    )
