"""Records of networks on chip: published sizes, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.named import names, naming
from support.noc_patterns import peak_bits_per_cycle
from support.published_nocs import eyeriss_v1_noc, eyeriss_v2_noc

from sparsim.errors import MappingError, SparsimError, SpecError
from sparsim.machines.eyeriss.noc import Noc, RouterNetwork, SpatialLoop, Wiring, deliver, groups, plan

V2 = eyeriss_v2_noc()


def changed(record: Any, **fields: Any) -> Any:
    return type(record)(**{**{f: getattr(record, f) for f in record.__struct_fields__}, **fields})


@pytest.mark.parametrize(
    ("role", "ports", "bits", "raw", "compressed"),
    [("iact", 4, 1152, 144, 96), ("weight", 2, 1152, 144, 96), ("psum", 3, 2560, 128, None)],
)
def test_ports_and_peaks_of_eyeriss_v2(
    role: str, ports: int, bits: int, raw: int, compressed: int | None
) -> None:
    """JETCAS 2019: 4, 2 and 3 ports per router; 16 clusters x 3 x 24 bits, and 16 x 4 x 40 of psums."""
    network = V2.network(role)
    assert V2.pes == 192
    assert V2.ports(role) == ports
    assert peak_bits_per_cycle(V2, role) == bits
    assert network.words_per_port(False) * bits / network.port_bits == raw
    if compressed is not None:
        assert network.words_per_port(True) * bits / network.port_bits == compressed


def test_inner_routers_of_a_large_mesh_have_four_neighbours() -> None:
    large = eyeriss_v2_noc(clusters=(32, 32), pe_rows=4)
    assert (large.pes, large.ports("iact"), large.ports("weight"), large.ports("psum")) == (16384, 5, 3, 3)
    assert (eyeriss_v1_noc().ports("iact"), eyeriss_v1_noc().ports("psum")) == (1, 2)


@pytest.mark.parametrize("noc", [V2, eyeriss_v1_noc(), eyeriss_v1_noc(3, 4)], ids=lambda n: n.digest()[:4])
def test_records_survive_a_round_trip(noc: Noc) -> None:
    assert msgspec.convert(noc.to_dict(), Noc) == noc


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: changed(V2, clusters=(0, 2)),
            "eyeriss_v2 cluster_rows 0 1",
        ),
        (
            lambda: changed(V2, pe_rows=4),
            "eyeriss_v2 3 4 PE",
        ),
        (
            lambda: changed(V2, networks=(V2.networks[0],) * 2),
            "eyeriss_v2",
        ),
        (
            lambda: changed(V2.networks[0], raw_words=25),
            "raw_words 25 1 24",
        ),
        (
            lambda: changed(V2.networks[0], compressed_words=4),
            "compressed_words 4 1 3",
        ),
        (
            lambda: changed(V2.networks[2], mesh="horizontal"),
            "mesh",
        ),
        (
            lambda: changed(V2.networks[2], pe_side="row"),
            "pe_side",
        ),
        (
            lambda: changed(V2.wiring, pe_pitch_um=float("nan")),
            "pe_pitch_um 0",
        ),
        (
            lambda: SpatialLoop(dim="M", bound=0, axis="pe_rows"),
            "M bound 0 1",
        ),
        (
            lambda: V2.network("iacts"),
            "eyeriss_v2 iacts iact",
        ),
        (
            lambda: plan(V2, "psum", [], [], compressed=True),
            "noc network psum: no compressed words on this network",
        ),
        (lambda: groups(V2, [], [{"P": 0}]), "P 0 1"),
    ],
)
def test_wrong_values_are_refused(make: Any, message: str) -> None:
    with pytest.raises(SpecError) as error:
        make()
    assert names(error.value, message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: groups(V2, [SpatialLoop(dim=d, bound=3, axis="pe_columns") for d in "MC"], []),
            "9 eyeriss_v2 4",
        ),
        (
            lambda: deliver(V2, "iact", groups(eyeriss_v1_noc(), [], [])),
            "groups 1 12 16 eyeriss_v2 8 2 3 4",
        ),
        (
            lambda: deliver(V2, "iact", groups(V2, [], []) * 0 - 1),
            "0 1 2 PEs -1",
        ),
        (
            lambda: deliver(V2, "iact", groups(V2, [], []) * 0 + 1),
            "0 1 2 PEs -1",
        ),
    ],
)
def test_patterns_that_do_not_fit_are_refused(make: Any, message: str) -> None:
    with pytest.raises(MappingError) as error:
        make()
    assert names(error.value, message)
    assert isinstance(error.value, SparsimError)


def test_unknown_fields_and_words_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match=naming("Invalid ring")):
        msgspec.convert({**V2.networks[0].to_dict(), "mesh": "ring"}, RouterNetwork)
    with pytest.raises(msgspec.ValidationError, match="unknown field `pitch`"):
        msgspec.convert({**V2.wiring.to_dict(), "pitch": 1}, Wiring)
