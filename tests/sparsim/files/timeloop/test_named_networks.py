"""Networks that documents define and levels name (model 15.3)."""

from __future__ import annotations

import numpy as np
import pytest
from support.documents import ARCH, DOCUMENTS, ERT, write_documents

from sparsim.errors import SpecError
from sparsim.files.sparsim_yaml import dump, load_text
from sparsim.files.timeloop.stats_writer import write_stats
from sparsim.files.timeloop.write_documents import to_documents
from sparsim.files.timeloop_files import read_documents
from sparsim.model.evaluate import evaluate, evaluate_batch

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
    with pytest.raises(SpecError, match="'GLB' names"):
        to_documents(documents.accelerator, layer, None)


def test_prices_by_dataspace(read):
    dataspaces = [d.name for d in read(ARCH, ERT).layer().shape.dataspaces]
    prices = PRICES.replace("name: move", f"name: move_{dataspaces[0]}")
    documents = read(NAMED.replace("{datawidth: 8, ", "{" + DATASPACES), ERT.rstrip("\n") + "\n" + prices)
    network = next(network for network in _result(documents).networks if network.outer == "GLB")
    assert network.tensors[0].energy_pj > 0
    assert [tensor.energy_pj for tensor in network.tensors[1:]] == [0.0, 0.0]


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
        (NAMED.replace("network_fill", "network_drain").replace("network_read", "network_update"), PRICED),
        (NAMED.replace("name: down", "name: dawn"), PRICED),
        (NAMED.replace("SimpleMulticast", "ReductionTree"), PRICED),
        (NAMED.replace("SimpleMulticast", "XY_NoC"), PRICED),
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
