"""Networks that documents define and levels name (model 15.3)."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace
from support.documents import ARCH, DOCUMENTS, ERT, MAPPING, write_documents

from sparsim.errors import SpecError
from sparsim.files.sparsim_yaml import dump, load_text
from sparsim.files.timeloop.output_files import write_output_files
from sparsim.files.timeloop.stats_dialect import stats_text
from sparsim.files.timeloop.stats_writer import write_stats
from sparsim.files.timeloop.write_documents import to_documents
from sparsim.files.timeloop.write_documents import write_documents as write_output
from sparsim.files.timeloop_files import read_documents
from sparsim.model.evaluate import evaluate, evaluate_batch
from sparsim.records import Transfer

COMPONENT = """\
      - name: down
        class: SimpleMulticast
        attributes: {datawidth: 8, action_name: move, multicast_factor_argument: n, fill_latency: 3}
"""
_READ, _SIZE = "          read_bandwidth: 4\n", "            meshX: 4\n"
NAMED = (
    ARCH.replace(_READ, _READ + "          network_read: down\n")
    .replace(_SIZE, _SIZE + "            network_fill: down\n")
    .replace("      subtree:\n      - name: PE", COMPONENT + "      subtree:\n      - name: PE")
)
PRICES = """\
  - name: system.chip.down
    actions:
    - {name: move, arguments: {n: 1}, energy: 2}
    - {name: move, arguments: {n: 2}, energy: 3}
    - {name: move, arguments: {n: 4}, energy: 5}
"""
PRICED = ERT.rstrip("\n") + "\n" + PRICES
DATASPACES = "per_datatype_ERT: True, "


@pytest.fixture
def read(tmp_path):
    def read(arch=NAMED, ert=PRICED):
        return read_documents(write_documents(tmp_path, DOCUMENTS | {"arch.yaml": arch, "ert.yaml": ert}))

    return read


def _result(documents):
    return evaluate(documents.accelerator, documents.layer(), documents.mapping)


def test_transfers_cost_by_how_many_receive_them(read):
    plain, named = _result(read(ARCH, ERT)), _result(read())
    automatic = next(network for network in plain.networks if network.outer == "GLB")
    (network,) = [network for network in named.networks if network.outer == "GLB"]
    prices, spent = {0: 0.0, 1: 2.0, 2: 3.0, 4: 5.0}, 0.0
    assert len({tensor.multicast for tensor in automatic.tensors}) > 1
    for before, after in zip(automatic.tensors, network.tensors, strict=True):
        most = max((bucket for bucket in after.buckets if bucket.ingresses), default=None)
        assert after.multicast == before.multicast
        assert after.energy_pj == (most.ingresses * prices[most.multicast] if most else 0.0)
        spent += after.energy_pj
    assert spent > 0.0
    assert network.energy_pj == spent
    assert named.energy_pj == plain.energy_pj + spent
    assert named.cycles == plain.cycles + 3
    assert (network.name, network.word_bits, network.fill_latency_cycles) == ("down", 8, 3)
    text = write_stats(named)
    assert "        Type            : SimpleMulticast\n        ConnectionType  : 3\n" in text
    assert "GLB <==> spad" not in text


def test_batches_and_records_know_them(read):
    documents = read()
    layer, result = documents.layer(), _result(documents)
    batch = evaluate_batch(documents.accelerator, layer, [documents.mapping])
    assert np.asarray(batch.energy_pj).tolist() == [result.energy_pj]
    again = load_text(dump(documents.architecture)).architecture
    assert again == documents.architecture


def test_prices_by_dataspace(read):
    dataspaces = [d.name for d in read(ARCH, ERT).layer().shape.dataspaces]
    prices = PRICES.replace("name: move", f"name: move_{dataspaces[0]}")
    documents = read(NAMED.replace("{datawidth: 8, ", "{" + DATASPACES), ERT.rstrip("\n") + "\n" + prices)
    network = next(network for network in _result(documents).networks if network.outer == "GLB")
    assert network.tensors[0].energy_pj > 0
    assert [tensor.energy_pj for tensor in network.tensors[1:]] == [0.0, 0.0]


BACKWARDS = NAMED.replace("network_fill", "network_drain").replace("network_read", "network_update")
ATTRIBUTES = COMPONENT[COMPONENT.index("{datawidth") :].rstrip("\n")


def _networks_of_glb(documents):
    return [network for network in _result(documents).networks if network.outer == "GLB"]


def test_updates_may_have_a_network_of_their_own(read):
    """The automatic one then carries words inwards alone; each counts all words, like in the reference."""
    (before,) = _networks_of_glb(read(ARCH, ERT))
    automatic, back = _networks_of_glb(read(BACKWARDS))
    assert (automatic.name, automatic.direction) == ("GLB <==> spad", "read")
    assert (back.name, back.direction) == ("down", "update")
    assert (back.fill_latency_cycles, back.drain_latency_cycles) == (0, 3)
    assert [tensor.ingresses for tensor in back.tensors] == [tensor.ingresses for tensor in before.tensors]
    assert back.energy_pj > 0.0


@pytest.mark.parametrize("name", ["XY_NoC", "Legacy"])
def test_a_mesh_with_a_name_is_what_the_automatic_one_is(read, name):
    prices = "router-energy: 0.5, wire_energy: 2, tile-width: 100, network-word-bits: 8"
    own = "".join(f"          {price}\n" for price in prices.split(", "))
    (before,) = _networks_of_glb(read(ARCH.replace(_READ, _READ + own), ERT))
    documents = read(NAMED.replace("SimpleMulticast", name).replace(ATTRIBUTES, "{" + prices + "}"), ERT)
    (after,) = _networks_of_glb(documents)
    assert after.energy_pj == before.energy_pj > 0.0
    assert after.tensors == before.tensors
    text = write_stats(_result(documents))
    assert "down\n\n    SPECS\n    -----\n        Type            : Legacy\n" in text
    assert "        Wire energy     : 2.00 pJ/b/mm\n" in text


def test_a_reduction_tree_adds_results_in_pairs(tmp_path):
    """A sum of four passes two levels of the tree, half a hop each; a hop is the side of what hangs below."""
    arch = BACKWARDS.replace("SimpleMulticast", "ReductionTree").replace(
        ATTRIBUTES, "{wire_energy: 2, adder_energy: 0.5, datawidth: 8}"
    )
    files = DOCUMENTS | {
        "arch.yaml": arch,
        "art.yaml": DOCUMENTS["art.yaml"].replace("area: 5}", "area: 3.99999e6}"),
        "mapping.yaml": MAPPING.replace("N1 K4", "here").replace("N4 K1", "N1 K4").replace("here", "N4 K1"),
    }
    documents = read_documents(write_documents(tmp_path, files))
    automatic, back = _networks_of_glb(documents)
    weights, inputs, results = back.tensors
    assert weights.energy_pj == inputs.energy_pj == weights.ingresses == 0.0
    (bucket,) = results.buckets
    assert bucket.multicast == 4
    words = bucket.ingresses
    assert (results.spatial_reductions, results.average_hops) == (3 * words, 1.0)
    assert automatic.tensors[2].spatial_reductions == 0
    assert results.energy_per_hop_pj == pytest.approx(8 * 2 * 2.0)  # bits, mm, pJ
    assert results.energy_pj == words * results.energy_per_hop_pj
    assert back.energy_pj == results.energy_pj + 0.5 * 3 * words
    text = write_stats(_result(documents))
    assert "        Type            : ReductionTree\n        ConnectionType  : 2\n" in text
    assert "        Adder energy    : 0.50 pJ\n        Wire energy     : 2.00 pJ/b/mm\n" in text
    newer = stats_text(_result(documents), "4")
    block = newer[newer.index("\ndown\n") : newer.index("Operational Intensity")]
    assert "    Z:\n" in block
    assert "    A:\n" not in block


def test_of_several_reduction_trees_one_counts_and_a_warning_says_so(read):
    """Below each of the four scratchpads is one."""
    of_spad, of_mac = "            meshX: 4\n", "datawidth: 16, meshX: 4}"
    tree = COMPONENT.replace("down", "tree").replace("SimpleMulticast", "ReductionTree")
    arch = (
        ARCH.replace(of_spad, of_spad + "            network_update: tree\n")
        .replace(of_mac, "datawidth: 16, meshX: 4, network_result: tree}")
        .replace("      subtree:\n      - name: PE", tree + "      subtree:\n      - name: PE")
    )
    documents = read(arch.replace(ATTRIBUTES, "{adder-energy: 1}"), ERT)
    assert any("4 trees 'tree'" in warning for warning in documents.warnings)
    network = next(one for one in _result(documents).networks if one.name == "tree")
    assert network.energy_pj == sum(one.reduction_energy_per_instance_pj for one in network.tensors)


TREE = COMPONENT.replace("down", "up").replace("SimpleMulticast", "ReductionTree")
BOTH = (
    NAMED.replace("network_read: down\n", "network_read: down\n          network_update: up\n")
    .replace("network_fill: down\n", "network_fill: down\n            network_drain: up\n")
    .replace(COMPONENT, COMPONENT + TREE.replace(ATTRIBUTES, "{adder-energy: 1, wire-energy: 2}"))
)
MESH = NAMED.replace("SimpleMulticast", "Legacy").replace(
    ATTRIBUTES, "{network-type: '1:N', router-energy: 2}"
)
BY_TENSOR = NAMED.replace("{datawidth: 8, ", "{" + DATASPACES)


@pytest.mark.parametrize(
    ("arch", "prices"),
    [(BOTH, PRICED), (BY_TENSOR, PRICED.replace("name: move", "name: move_A")), (MESH, ERT)],
)
def test_documents_with_networks_come_back_equal(read, tmp_path, arch, prices):
    documents = read(arch, prices)
    written = write_output(tmp_path / "out", documents.accelerator, documents.layer(), documents.mapping)
    again = read_documents(written)
    named = [level.network.named for level in documents.architecture.storage]
    assert any(named)
    assert [level.network.named for level in again.architecture.storage] == named
    assert _result(again).energy_pj == _result(documents).energy_pj


@pytest.mark.parametrize(
    "transfers",
    [
        (Transfer(energy_pj=1.0), Transfer(multicast=2, energy_pj=1.0)),
        (Transfer(energy_pj=1.0), Transfer(dataspace="A", energy_pj=1.0)),
        (Transfer(multicast=2, energy_pj=1.0),),
    ],
)
def test_prices_that_no_ert_can_say_are_refused(read, transfers):
    documents = read()
    levels = list(documents.architecture.storage)
    network = replace(levels[1].network.read, transfers=transfers)
    levels[1] = replace(levels[1], network=replace(levels[1].network, read=network))
    arch = replace(documents.architecture, storage=tuple(levels))
    with pytest.raises(SpecError, match="network down"):
        to_documents(replace(documents.accelerator, architecture=arch), documents.layer(), None)


def test_written_tables_keep_the_prices_by_receivers(read, tmp_path):
    documents = read()
    write_output_files(tmp_path / "out", "t", _result(documents), documents.accelerator, documents.layer())
    again = read(ert=(tmp_path / "out" / "t.ERT.yaml").read_text())
    assert again.architecture == documents.architecture


def test_without_energies_a_warning_says_so(tmp_path):
    files = {key: text for key, text in DOCUMENTS.items() if key not in ("ert.yaml", "art.yaml")} | {
        "arch.yaml": NAMED
    }
    documents = read_documents(write_documents(tmp_path, files))
    assert any("'down'" in warning for warning in documents.warnings)
    assert documents.architecture.storage[1].network.read.transfers == ()


@pytest.mark.parametrize(
    ("arch", "ert"),
    [
        (NAMED.replace("            network_fill: down\n", ""), PRICED),
        (NAMED.replace("          network_read: down\n", ""), PRICED),
        (NAMED.replace("network_fill: down", "network_fill: up"), PRICED),
        (NAMED.replace("name: down", "name: dawn"), PRICED),
        (NAMED.replace("SimpleMulticast", "ReductionTree"), PRICED),
        (NAMED.replace("SimpleMulticast", "SimpleMulticastNet"), PRICED),
        (NAMED.replace("action_name: move, ", ""), PRICED),
        (NAMED.replace("multicast_factor_argument: n, ", ""), PRICED),
        (NAMED, ERT),
        (NAMED, PRICED.replace("name: move", "name: push")),
        (NAMED, PRICED.replace("{n: 2}", "{m: 2}")),
        (NAMED, PRICED.replace("{n: 2}, energy: 3", "{n: 2}, energy: -3")),
    ],
)
def test_what_cannot_be_meant_is_refused(read, arch, ert):
    with pytest.raises(SpecError):
        _ = read(arch, ert).accelerator
