"""Modes, bandwidth, hops and loads of deliveries, against words that hop through tables of routers."""

from __future__ import annotations

import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive.noc import naive_groups, run
from support.noc_patterns import any_pattern, coordinates, loops, loops_for, nocs, peak_bits_per_cycle
from support.published_nocs import eyeriss_v1_noc, eyeriss_v2_noc

from sparsim.machines.eyeriss.noc import (
    Delivery,
    Noc,
    SpatialLoop,
    build_graph,
    deliver,
    deliveries,
    groups,
    plan,
)
from sparsim.machines.eyeriss.noc.traffic_pattern import IDLE

V2 = eyeriss_v2_noc()
ROLES = ("iact", "weight", "psum")
quick = settings(max_examples=60, deadline=None)
# spatial dims (cluster rows, cluster columns, PE rows, PE columns), and what iacts, weights, psums depend on
LAYERS: dict[str, tuple[str, tuple[list[Any], list[Any], list[Any]]]] = {
    "CONV, weights grouped": ("MQRP", (["C", {"P": 1, "R": 1}, "Q"], ["M", "C", "R"], ["M", "P", "Q"])),
    "CONV, iacts grouped": ("PMCM", (["C", "P"], ["M", "C"], ["M", "P"])),
    "FC": ("MMMM", (["C"], ["M", "C"], ["M"])),
    "FC, C over rows": ("CMCM", (["C"], ["M", "C"], ["M"])),
    "DW": ("PPPQ", (["G", "P", "Q"], ["G"], ["G", "P", "Q"])),
}


def planned(noc: Noc, layer: str, role: str, compressed: bool = False) -> Delivery:
    dims, relevant = LAYERS[layer]
    return plan(noc, role, loops(noc, *dims), relevant[ROLES.index(role)], compressed=compressed)


@quick
@given(st.data())
def test_groups_are_those_of_the_running_loops(data: st.DataObject) -> None:
    noc = eyeriss_v2_noc(clusters=(6, 4), pe_rows=4, pe_columns=6)
    check_groups(noc, data.draw(loops_for(noc)), data.draw(coordinates))


@pytest.mark.parametrize("relevant", [["P", "R"], [{"P": 2, "R": 1}], [{"P": 1, "R": 1}, "C"], []])
def test_groups_of_nested_loops_and_diagonals(relevant: list[Any]) -> None:
    sizes = (("C", 2, 0), ("R", 3, 0), ("P", 2, 1), ("R", 2, 2), ("C", 2, 2), ("P", 4, 3))
    noc = eyeriss_v2_noc(clusters=(7, 2), pe_rows=4, pe_columns=5)
    axes = list(noc.axes)
    check_groups(noc, [SpatialLoop(dim=d, bound=n, axis=axes[a]) for d, n, a in sizes], relevant)


def check_groups(noc: Noc, nest: list[SpatialLoop], relevant: list[Any]) -> None:
    """Two PEs share a group just where they share coordinates, and groups are numbered by first PE."""
    pattern = groups(noc, nest, relevant)
    coordinate_of = naive_groups(noc, nest, relevant)
    assert set(coordinate_of) == set(zip(*map(list, np.nonzero(pattern != IDLE)), strict=True))
    number = {place: int(pattern[place]) for place in sorted(coordinate_of)}
    assert list(dict.fromkeys(number.values())) == list(range(len(set(coordinate_of.values()))))
    assert len({(coordinate_of[p], g) for p, g in number.items()}) == len(set(number.values()))


@pytest.mark.parametrize(
    ("layer", "iact", "weight", "psum"),
    [
        ("CONV, weights grouped", "interleaved multicast", "grouped multicast", "unicast"),
        ("CONV, iacts grouped", "grouped multicast", "interleaved multicast", "unicast"),
        ("FC", "broadcast", "unicast", "unicast"),
        ("FC, C over rows", "grouped multicast", "unicast", "accumulation"),
        ("DW", "unicast", "broadcast", "unicast"),
    ],
)
def test_modes_are_those_of_the_paper(layer: str, iact: str, weight: str, psum: str) -> None:
    assert [planned(V2, layer, role).mode for role in ROLES] == [iact, weight, psum]


@pytest.mark.parametrize(
    ("layer", "role", "compressed", "bits", "words"),
    [
        ("DW", "iact", False, 1152, 144),
        ("DW", "iact", True, 1152, 96),
        ("FC", "weight", False, 1152, 144),
        ("FC", "weight", True, 1152, 96),
        ("FC", "psum", False, 2560, 128),
        ("CONV, iacts grouped", "psum", False, 2560, 128),
    ],
)
def test_unicast_reaches_the_peak_bandwidth(
    layer: str, role: str, compressed: bool, bits: int, words: int
) -> None:
    delivery = planned(V2, layer, role, compressed)
    assert (delivery.bits_per_cycle, delivery.words_per_cycle) == (bits, words)
    assert bits == peak_bits_per_cycle(V2, role)
    assert delivery.bits_per_port == V2.network(role).port_bits
    assert max(delivery.loads.values()) == pytest.approx(delivery.bits_per_port)


GUIDE = (Path(__file__).parents[5] / "docs" / "background" / "noc.md").read_text(encoding="utf-8")


def test_example_of_the_guide_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", GUIDE, re.S | re.M)
    exec(example, {})
    said = re.findall(r"# > (.*)", example)
    assert capsys.readouterr().out.splitlines() == said != []


def test_table_of_the_guide_is_true() -> None:
    for layer, (dims, _) in LAYERS.items():
        for role in ROLES:
            d = planned(V2, layer, role)
            numbers = f"{d.source_ports} | {d.words_per_cycle:g} | {d.hops:g} | {d.energy_pj_per_word:.1f}"
            assert f"| {layer}: {', '.join(dims)} | {role} | {d.mode} | {numbers} |\n" in GUIDE


def test_numbers_of_a_broadcast_by_hand() -> None:
    """FC: one port feeds all PEs. 15 links join 16 clusters: 14 down the two columns and one across."""
    delivery = planned(V2, "FC", "iact")
    pitch = V2.wiring.pe_pitch_um
    assert (delivery.groups, delivery.source_ports, delivery.copies) == (1, 1, 1)
    assert (delivery.words_per_cycle, delivery.receipts_per_cycle) == (3, 3 * 192)
    assert (delivery.hops, delivery.routers) == (15, 16)
    bus = (12 + 2) * pitch  # 12 segments, and two steps down between the three rows
    down, across = 14 * 3 * pitch, 5 * pitch  # clusters are 3 PEs high and 4 PEs and a GLB wide
    assert delivery.wire_um == pytest.approx(0.5 * pitch + 16 * bus + down + across)
    energy = delivery.wire_um / 1000 * V2.wiring.wire_pj_per_bit_mm + 16 * V2.wiring.router_pj_per_bit
    assert delivery.energy_pj_per_word == pytest.approx(8 * energy)


def test_weights_cross_the_array_in_rows_only() -> None:
    """Without vertical links a weight that all PEs want enters each of 8 cluster rows, for each PE row."""
    delivery = planned(V2, "DW", "weight")
    assert (delivery.copies, delivery.hops, delivery.words_per_cycle) == (24, 24, 3)
    assert all(start[0] == end[0] for route in delivery.routes for start, end in route.links)


def test_partial_sums_go_down_through_all_clusters() -> None:
    delivery = planned(V2, "FC, C over rows", "psum")
    assert (delivery.groups, delivery.copies, delivery.hops) == (8, 1, 7)
    assert {route.root for route in delivery.routes} == {(7, 0), (7, 1)}


@pytest.mark.parametrize(("ways", "rate"), [(2, 3.0), (3, 1.0)])
def test_interleaved_regions_get_out_of_each_others_way_or_are_merged(ways: int, rate: float) -> None:
    """Every second cluster of a column wants the same words: one region is fed from above, one from below.
    Of three regions one finds no free link, so that all share the ports at a third of the rate.
    """
    noc = eyeriss_v2_noc(clusters=(6, 1))
    nest = [
        SpatialLoop(dim="M", bound=6 // ways, axis="cluster_rows"),
        SpatialLoop(dim="P", bound=ways, axis="cluster_rows"),
        SpatialLoop(dim="C", bound=3, axis="pe_rows"),
    ]
    delivery = plan(noc, "iact", nest, ["P", "C"])
    assert (delivery.words_per_pe_cycle, delivery.copies) == (rate, 1)
    assert delivery.mode == ("interleaved multicast" if ways == 2 else "broadcast")


@quick
@given(st.data())
def test_words_hop_as_the_delivery_says(data: st.DataObject) -> None:
    noc = data.draw(nocs)
    role = data.draw(st.sampled_from(ROLES))
    pattern = data.draw(any_pattern(noc))
    network = noc.network(role)
    port, n = network.words_per_port(False), data.draw(st.integers(1, 5))
    for delivery in deliveries(noc, role, pattern):
        result = run(noc, network, pattern, delivery.routes, port, n)
        assert result.cycles == math.ceil(n / delivery.words_per_pe_cycle * (1 - 1e-12))
        assert result.busiest <= port
        scale = n / delivery.words_per_pe_cycle / network.port_bits * port
        assert result.traffic == pytest.approx({e: bits * scale for e, bits in delivery.loads.items()})
        between = sum(w for (a, b), w in result.traffic.items() if a[0] == b[0] == "router")
        assert between == pytest.approx(delivery.hops * delivery.groups * n)
        sizes = Counter(pattern[pattern != IDLE].tolist())
        if role == "psum":
            assert result.sums == {(g, k): size for g, size in sizes.items() for k in range(n)}
        else:
            assert set(result.taken) == set(zip(*map(list, np.nonzero(pattern != IDLE)), strict=True))
            assert all(sorted(words) == list(range(n)) for words in result.taken.values())


@quick
@given(st.data())
def test_no_wire_carries_more_than_it_can(data: st.DataObject) -> None:
    noc = data.draw(nocs)
    role = data.draw(st.sampled_from(ROLES))
    compressed = noc.network(role).compressed_words is not None and data.draw(st.booleans())
    nest, relevant = data.draw(loops_for(noc)), data.draw(coordinates)
    delivery = plan(noc, role, nest, relevant, compressed=compressed)
    graph = build_graph(noc, delivery.network)
    loads = delivery.loads
    assert set(loads) <= set(graph.edges)
    assert all(bits <= graph.edges[edge]["capacity"] * (1 + 1e-12) for edge, bits in loads.items())
    at_glb = math.fsum(bits for (a, b), bits in loads.items() if "glb" in (a[0], b[0]))
    assert delivery.bits_per_cycle == pytest.approx(at_glb)
    assert delivery.bits_per_cycle <= peak_bits_per_cycle(noc, role) * (1 + 1e-12)
    wire = math.fsum(graph.edges[edge]["length_um"] * bits for edge, bits in loads.items())
    assert delivery.wire_um == pytest.approx(wire / delivery.bits_per_word / delivery.words_per_cycle)


@quick
@given(st.data())
def test_unicast_is_the_fastest_and_broadcast_the_slowest_way(data: st.DataObject) -> None:
    noc, role = data.draw(nocs), data.draw(st.sampled_from(("iact", "weight")))
    ways = {d.mode: d for d in deliveries(noc, role, data.draw(any_pattern(noc)))}
    for fast, slow in (("unicast", "broadcast"), ("unicast", "grouped multicast")):
        if fast in ways and slow in ways:
            assert ways[fast].words_per_pe_cycle >= ways[slow].words_per_pe_cycle
            assert ways[fast].copies >= ways[slow].copies


def partitions(items: list[Any]) -> list[list[list[Any]]]:
    """All partitions of a list into sets."""
    if not items:
        return [[]]
    found = []
    for rest in partitions(items[1:]):
        found.append([[items[0]], *rest])
        found += [[*rest[:k], [items[0], *rest[k]], *rest[k + 1 :]] for k in range(len(rest))]
    return found


@quick
@given(st.data())
def test_no_other_partition_of_the_clusters_delivers_more(data: st.DataObject) -> None:
    """Up to four clusters, all partitions, links that cost nothing: none sends words less often, and none
    that sends them as often is faster.
    """
    clusters = data.draw(st.sampled_from([(1, 1), (2, 1), (1, 3), (2, 2), (4, 1)]))
    noc = eyeriss_v2_noc(clusters=clusters, pe_rows=data.draw(st.integers(1, 3)), pe_columns=2)
    pattern = data.draw(any_pattern(noc))
    routers = noc.network("iact").routers_per_cluster
    wanted = {
        (r, c): set(pattern[r, c].ravel().tolist()) - {IDLE}
        for r in range(clusters[0])
        for c in range(clusters[1])
    }
    best = min(
        (sum(map(len, carried)), max(math.ceil(len(words) / routers) for words in carried))
        for partition in partitions([cluster for cluster, words in wanted.items() if words])
        if (carried := [set().union(*(wanted[c] for c in region)) for region in partition])
    )
    delivery = deliver(noc, "iact", pattern)
    assert (delivery.copies * delivery.groups, 3 / delivery.words_per_pe_cycle) == pytest.approx(best)


def test_bandwidth_grows_with_the_array_where_a_bus_stays() -> None:
    sizes = {192: V2, 1024: eyeriss_v2_noc((16, 4), 4), 16384: eyeriss_v2_noc((32, 32), 4)}
    for pes, noc in sizes.items():
        ports = math.prod(noc.clusters) * noc.pe_rows
        assert noc.pes == pes
        assert planned(noc, "FC", "weight").words_per_cycle == 3 * ports
        assert planned(noc, "FC", "iact").words_per_cycle == 3
        assert planned(noc, "CONV, weights grouped", "weight").source_ports == noc.clusters[0] * noc.pe_rows
        bus = eyeriss_v1_noc(noc.clusters[0] * noc.pe_rows, noc.clusters[1] * noc.pe_columns)
        assert planned(bus, "FC", "weight").words_per_cycle == 4


def test_a_bus_gives_every_word_at_once_to_the_rows_that_want_it() -> None:
    """All 12 rows have a first segment, 11 of them a step down; a word for one PE takes 15 more segments."""
    bus = eyeriss_v1_noc()
    pitch = bus.wiring.pe_pitch_um
    shared, private = planned(bus, "FC", "iact"), planned(bus, "FC", "weight")
    assert (shared.mode, shared.receipts_per_cycle, private.receipts_per_cycle) == ("bus", 192, 4)
    assert shared.wire_um == pytest.approx(0.5 * pitch + (192 + 11) * pitch)
    assert private.wire_um == pytest.approx(0.5 * pitch + (12 + 11 + 15) * pitch)
    mesh = planned(V2, "FC", "weight")
    assert mesh.words_per_cycle == 36 * private.words_per_cycle
    assert mesh.energy_pj_per_word < private.energy_pj_per_word / 2


def test_partial_sums_of_a_bus_leave_once_per_column_and_group() -> None:
    """M over the 2 columns: two sums; C over columns: one sum in two parts that nothing adds on the way."""
    bus = eyeriss_v1_noc(2, 2)
    for dim, distinct, copies in (("M", 2, 1), ("C", 1, 2)):
        nest = [SpatialLoop(dim=d, bound=2, axis=a) for d, a in (("C", "pe_rows"), (dim, "pe_columns"))]
        delivery = plan(bus, "psum", nest, ["M"])
        assert (delivery.groups, delivery.copies, delivery.words_per_cycle * copies) == (distinct, copies, 4)


def test_graph_has_the_published_parts() -> None:
    graph = build_graph(V2, V2.network("iact"))
    kinds = Counter(nx.get_node_attributes(graph, "kind").values())
    assert kinds == {"pe": 192, "router": 48, "glb": 48}
    degrees = [
        sum(graph.nodes[n]["kind"] == "router" for n in graph.successors(node)) + 1
        for node, kind in graph.nodes(data="kind")
        if kind == "router"
    ]
    assert max(degrees) == V2.ports("iact")
    assert set(nx.get_edge_attributes(graph, "capacity").values()) == {24}
    assert not any(
        a[0] == b[0] == "router" and a[2] == b[2] for a, b in build_graph(V2, V2.networks[1]).edges
    )


def test_equal_patterns_share_one_delivery() -> None:
    one = plan(V2, "iact", loops(V2, "M", "M", "M", "M"), ["C"])
    other = plan(V2, "iact", loops(V2, "P", "P", "P", "P"), ["N"])
    assert one is other
