"""`sparsim chip --explain`: where time goes, what is kept and what is moved."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.programs import run_module
from support.small_chips import conv

from sparsim import dump
from sparsim.machines.eyeriss import NetworkEvaluation, load_chip, plan_network
from sparsim.machines.eyeriss.layer_explanation import explained, glb_bytes, kept, network_bytes, pe_time
from sparsim.records import Workload
from sparsim.report.chip_explanation import explanation
from sparsim.report.chip_rows import limit_of
from sparsim.report.tables import Table

CHIPS = ("eyeriss_v1", "eyeriss_v1_168", "eyeriss_v1_5", "eyeriss_v2")
LAYERS = (
    replace(conv(M=8, C=6, R=3, S=3, P=4, Q=4, iacts=0.5, weights=0.4), name="conv1"),
    replace(conv(M=60, C=40), name="fc"),
)


@cache
def planned(name: str) -> NetworkEvaluation:
    return plan_network(load_chip(name), LAYERS)


@pytest.fixture(params=CHIPS)
def network(request: pytest.FixtureRequest) -> NetworkEvaluation:
    return planned(request.param)


def column(table: Table, name: str) -> list[str]:
    return [str(row[list(table.head).index(name)]) for row in table.rows]


def test_parts_of_the_time_of_the_pes_add_up(network: NetworkEvaluation) -> None:
    for found in network.layers:
        parts = pe_time(network.chip, found)
        assert sum(parts.values()) == pytest.approx(found.time["PE"])
        assert parts["loading"] == pytest.approx(found.time["weight"])


def test_what_is_kept_fits(network: NetworkEvaluation) -> None:
    for found in network.layers:
        rows = kept(found)
        places = {row.level for row in rows}
        assert {"psum_glb", "iact_glb", "weight_spad", "iact_spad", "psum_spad"} <= places
        for place in places:
            assert 0 < sum(row.filled for row in rows if row.level == place) <= 1


def test_bytes_are_those_of_words(network: NetworkEvaluation) -> None:
    for found in network.layers:
        moved = network_bytes(found)
        weights = found.flows["weight"]
        assert moved["weight"] * 8 == weights.words * weights.delivery.bits_per_word
        level = found.evaluation.level("iact_glb")
        psums = found.evaluation.level("psum_glb")
        bits = sum(
            (each.reads.actual + each.fills.actual + each.updates.actual) * at.storage.word_bits
            for at in (level, psums)
            for each in at.tensors
        )
        assert glb_bytes(found) == bits / 8
        assert sum(explained(network.chip, found)["dram_bytes_by_kind"].values()) == found.dram_bytes


def test_accesses_are_those_of_all_instances(network: NetworkEvaluation) -> None:
    for found in network.layers:
        psums = next(row for row in kept(found) if row.level == "psum_spad")
        assert psums.instances == network.chip.spec.noc.pes
        computes = found.evaluation.compute
        assert 0.9 * computes.actual <= psums.updates <= 1.1 * computes.algorithmic


def test_a_new_part_of_the_time_has_a_column_and_may_limit(network: NetworkEvaluation) -> None:
    layers = tuple(found._replace(time=found.time | {"link": 3.0 * found.cycles}) for found in network.layers)
    table = explanation(network._replace(layers=layers))[0]
    assert column(table, "link") == ["300.0%", "300.0%"]
    assert column(table, "limit") == ["link", "link"]
    assert {limit_of(found) for found in network.layers} <= {"PE", "weight", "iact", "psum", "link"}


def test_one_layer_has_its_memories_and_networks() -> None:
    network = planned("eyeriss_v2")
    assert len(explanation(network)) == 3
    *_, memories, buses = explanation(network._replace(layers=network.layers[:1]))
    assert column(memories, "memory")[:2] == ["psum_glb", "iact_glb"]
    assert column(buses, "network") == ["weight", "iact", "psum"]
    assert column(explanation(network)[1], "fits by") == ["statistics", "exact"]


def test_the_command_prints_and_writes_the_same(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text(dump(Workload(name="net", layers=LAYERS)))
    words = ("chip", "eyeriss_v2", str(path), "--explain")
    printed = run_module("sparsim", *words)
    assert printed.returncode == 0, printed.stderr
    assert sum(line.startswith("conv1 ") for line in printed.stdout.splitlines()) == 4
    found = json.loads(run_module("sparsim", *words, "--json").stdout)
    for layer, planned_layer in zip(found["layers"], planned("eyeriss_v2").layers, strict=True):
        expected = json.loads(json.dumps(explained(planned("eyeriss_v2").chip, planned_layer)))
        assert {key: layer[key] for key in expected} == expected
    misspelt = run_module("sparsim", *words, "--layer", "conv")
    assert misspelt.returncode == 2
    assert "conv1" in misspelt.stderr


def test_machines_without_mappings_have_nothing_to_explain() -> None:
    refused = run_module("sparsim", "chip", "eie", "eie_fc", "--explain")
    assert refused.returncode == 2
    assert "--explain" in refused.stderr
