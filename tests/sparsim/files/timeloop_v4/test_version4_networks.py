"""Networks that levels of version 0.4 documents name, also across a fan-out."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.named import naming

from sparsim.errors import SpecError
from sparsim.files.timeloop_files import read_documents
from sparsim.model.evaluate import evaluate
from sparsim.records import LevelMapping, Mapping, Nest

NETWORKS = """\
    - {name: down, class: Legacy, attributes: {energy_per_hop: HOP / 2, router_energy: 0.5, fill_latency: 2}}
    - {name: up, class: ReductionTree, attributes: {adder_energy: 0.25}}
"""
NODES = """\
  - !Container
    name: cluster
    networks:
{networks}
"""
DOCUMENT = """\
variables: {{version: 0.4, HOP: 3}}
architecture:
  version: 0.4
  nodes:
  - !Component
    name: dram
    class: DRAM
    attributes: {{width: 32, datawidth: 8, network_read: "down", network_update: "up"}}
{nodes}
  - !Component
    name: buf
    class: SRAM
    spatial: {{meshX: 4}}
    attributes: {{datawidth: 8, width: 8, depth: 64, network_fill: "down", network_drain: "up"}}
  - !Component {{name: mac, class: intmac}}
problem:
  version: 0.4
  shape:
    name: mm
    dimensions: [M, K, N]
    data_spaces:
    - {{name: A, projection: [[[M]], [[K]]]}}
    - {{name: B, projection: [[[K]], [[N]]]}}
    - {{name: Z, projection: [[[M]], [[N]]], read_write: true}}
  instance: {{M: 8, K: 4, N: 6}}
"""
IN_CONTAINER = NODES.format(networks=NETWORKS.rstrip("\n"))
AS_NODES = NETWORKS.replace("    - {", "  - !Component {")
PASSED_ON = {"A", "B", "Z"}


@pytest.fixture
def read(tmp_path):
    def read(nodes=IN_CONTAINER, change=("", "")):
        (tmp_path / "v4.yaml").write_text(DOCUMENT.format(nodes=nodes.rstrip("\n")).replace(*change))
        return read_documents([tmp_path / "v4.yaml"], for_search=True)

    return read


@pytest.mark.parametrize("nodes", [IN_CONTAINER, AS_NODES], ids=["in a container", "as nodes"])
def test_the_fan_out_between_two_levels_is_where_their_networks_are(read, nodes):
    """They cost what they cost where one level has the fan-out itself, as in version 0.3."""
    documents = read(nodes)
    assert not any("network" in warning for warning in documents.warnings)
    dram, fanout, buffer = documents.architecture.storage
    assert (dram.network.named, buffer.network.named) == ((), ())
    assert [network.kind for network in fanout.network.named] == ["mesh", "reduction_tree"]
    assert fanout.network.read.energy_per_hop_pj == 1.5
    spread = Nest(factors={"K": 4}, order=("M", "N", "K"))
    outer = LevelMapping(level="dram", temporal=Nest(factors={"M": 8, "N": 6}))
    between = LevelMapping(level=fanout.name, spatial=spread, bypass=tuple(PASSED_ON))
    found = evaluate(documents.accelerator, documents.layer(), Mapping(levels=(outer, between)))
    arch = replace(documents.architecture, storage=(replace(dram, network=fanout.network), buffer))
    flat = evaluate(
        replace(documents.accelerator, architecture=arch), documents.layer(),
        Mapping(levels=(replace(outer, spatial=spread),)),
    )  # fmt: skip
    names = ("down", "up")
    energies = {network.name: network.energy_pj for network in found.networks if network.name in names}
    assert energies == {network.name: network.energy_pj for network in flat.networks if network.name in names}
    assert min(energies.values()) > 0.0
    assert found.energy_pj == flat.energy_pj
    assert found.cycles == flat.cycles


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"change": ("class: Legacy", "class: SRAM")}, "SRAM SimpleMulticast"),
        ({"change": ("class: Legacy", "class: LegacyMesh")}, "LegacyMesh"),
        ({"change": ("name: down, class", "name: dawn, class")}, "down"),
        ({"change": ('network_fill: "down", ', "")}, "network_fill"),
        ({"change": ("name: up, class", "name: down, class")}, "down"),
        ({"change": ("fill_latency: 2", "fill_latency: -2")}, "latency_cycles -2 0"),
        ({"nodes": IN_CONTAINER.replace("    networks:", "    spatial: {meshX: 2}\n    networks:")}, "span"),
        ({"nodes": AS_NODES.replace("class: Legacy", "spatial: {meshX: 2}, class: Legacy")}, "no fan-out"),
    ],
)
def test_what_cannot_be_meant_is_refused(read, given, said):
    with pytest.raises(SpecError, match=naming(f"v4.yaml {said}")):
        read(**given)
