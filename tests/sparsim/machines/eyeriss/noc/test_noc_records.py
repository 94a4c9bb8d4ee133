"""Records of networks on chip: published sizes, and what is refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
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
            "noc eyeriss_v2: cluster_rows is 0, allowed is 1 and more",
        ),
        (
            lambda: changed(V2, pe_rows=4),
            "noc eyeriss_v2, network weight: 3 routers per cluster for 4 PE rows, allowed is one each",
        ),
        (
            lambda: changed(V2, networks=(V2.networks[0],) * 2),
            "noc eyeriss_v2: two networks carry iact words",
        ),
        (
            lambda: changed(V2.networks[0], raw_words=25),
            "noc network iact: raw_words is 25, allowed is 1 to 24",
        ),
        (
            lambda: changed(V2.networks[0], compressed_words=4),
            "noc network iact: compressed_words is 4, allowed is 1 to 3",
        ),
        (
            lambda: changed(V2.networks[2], mesh="horizontal"),
            "noc network psum: mesh is horizontal, partial sums allow vertical and none",
        ),
        (
            lambda: changed(V2.networks[2], pe_side="row"),
            "noc network psum: pe_side is row, partial sums allow column and all",
        ),
        (
            lambda: changed(V2.wiring, pe_pitch_um=float("nan")),
            "noc wiring: pe_pitch_um is nan, allowed is 0 and more",
        ),
        (
            lambda: SpatialLoop(dim="M", bound=0, axis="pe_rows"),
            "spatial loop over M: bound is 0, allowed is 1 and more",
        ),
        (
            lambda: V2.network("iacts"),
            "noc eyeriss_v2: no network for 'iacts' (did you mean 'iact'?)",
        ),
        (
            lambda: plan(V2, "psum", [], [], compressed=True),
            "noc network psum: no compressed words on this network",
        ),
        (lambda: groups(V2, [], [{"P": 0}]), "factor of dim 'P' is 0, allowed is 1 and more"),
    ],
)
def test_wrong_values_are_refused(make: Any, message: str) -> None:
    with pytest.raises(SpecError) as error:
        make()
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: groups(V2, [SpatialLoop(dim=d, bound=3, axis="pe_columns") for d in "MC"], []),
            "spatial loops need 9 pe columns, noc eyeriss_v2 has 4",
        ),
        (
            lambda: deliver(V2, "iact", groups(eyeriss_v1_noc(), [], [])),
            "groups have shape (1, 1, 12, 16), noc eyeriss_v2 has (8, 2, 3, 4)",
        ),
        (
            lambda: deliver(V2, "iact", groups(V2, [], []) * 0 - 1),
            "groups are not numbered 0, 1, 2, ... without gaps, idle PEs with -1",
        ),
        (
            lambda: deliver(V2, "iact", groups(V2, [], []) * 0 + 1),
            "groups are not numbered 0, 1, 2, ... without gaps, idle PEs with -1",
        ),
    ],
)
def test_patterns_that_do_not_fit_are_refused(make: Any, message: str) -> None:
    with pytest.raises(MappingError) as error:
        make()
    assert str(error.value) == message
    assert isinstance(error.value, SparsimError)


def test_unknown_fields_and_words_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="Invalid enum value 'ring'"):
        msgspec.convert({**V2.networks[0].to_dict(), "mesh": "ring"}, RouterNetwork)
    with pytest.raises(msgspec.ValidationError, match="unknown field `pitch`"):
        msgspec.convert({**V2.wiring.to_dict(), "pitch": 1}, Wiring)
