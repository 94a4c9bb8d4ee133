"""What scripts that read `map+stats.xml` find in it, by a reader of its own."""

from __future__ import annotations

import math
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from support.documents import ARCH, DOCUMENTS, write_documents

from sparsim.files.timeloop.map_stats_xml import map_stats_xml
from sparsim.files.timeloop.output_files import write_output_files
from sparsim.files.timeloop_files import read_documents
from sparsim.model.evaluate import evaluate
from sparsim.model.result import Evaluation
from sparsim.records import Layer

NETWORK = "          router-energy: 0.5\n          wire-energy: 2\n          energy-per-ingress: 0.25\n"
PRICED = ARCH.replace("          read_bandwidth: 4\n", NETWORK + "          addr-gen-energy: 0.125\n")


class Level(NamedTuple):
    """A level of the archive; numbers per instance, lists by dataspace."""

    name: str
    element: ElementTree.Element

    def stat(self, name: str) -> list[float]:
        items = self.element.findall(f"stats_/{name}/PerDataSpace/item")
        return [float(item.text or "") for item in items]

    def spec(self, name: str) -> float | None:
        text = self.element.findtext(f"specs_/{name}/t_")
        return None if text is None else float(text)

    def loops(self) -> list[tuple[int, int, int]]:
        names = ("dimension", "end", "spacetime_dimension")
        items = self.element.findall("subnest_/item")
        return [tuple(int(item.findtext(name) or "") for name in names) for item in items]  # type: ignore[misc]


class Archive:
    """Finds levels as scripts do: by the class of the first pointer, by names, by the count of a list."""

    def __init__(self, text: str) -> None:
        root = ElementTree.fromstring(text)
        topology = root.find("engine/topology_")
        assert topology is not None
        levels = [item.find("px") for item in topology.findall("levels_/item")]
        assert int(topology.findtext("levels_/count") or "") == len(levels)
        self.storage: list[Level] = []
        for level in levels:
            assert level is not None
            if level.get("class_name") == "model::ArithmeticUnits":
                self.compute = level
            else:
                name = level.findtext("specs_/LevelSpecs/level_name") or ""
                self.storage.append(Level(name, level))
        assert [int(px.get("object_id", "")[1:]) for px in levels if px is not None] == list(
            range(len(levels))
        )
        self.networks = {
            item.findtext("first"): Level(item.findtext("first") or "", px)
            for item in topology.findall("networks_/item")
            if (px := item.find("second/px")) is not None
        }
        self.bounds = [
            int(i.findtext("second") or "") for i in root.findall("a/workload_/factorized_bounds_/item")
        ]
        self.bits = [
            item.findtext("bits") or "" for item in root.findall("mapping/datatype_bypass_nest/item")
        ]

    def number(self, name: str) -> float:
        return float(self.compute.findtext(name) or "")


@pytest.fixture(params=["dense", "sparse"])
def case(request, tmp_path) -> tuple[Evaluation, Layer, Any]:
    files = DOCUMENTS | {"arch.yaml": PRICED}
    if request.param == "dense":
        del files["sparse.yaml"]
    documents = read_documents(write_documents(tmp_path, files))
    layer = documents.layer()
    return evaluate(documents.accelerator, layer, documents.mapping), layer, documents


def total(values: list[float]) -> float:
    """Of what is no number where nothing moves."""
    return sum(value for value in values if not math.isnan(value))


def test_a_reader_gets_the_energies_of_levels_and_tensors(case):
    evaluation, layer, _ = case
    archive = Archive(map_stats_xml(evaluation, layer))
    assert [level.name for level in archive.storage] == [storage.name for storage in evaluation.storage]
    energies = [archive.number("energy_")]
    for level, storage in zip(archive.storage, evaluation.storage, strict=True):
        used, clusters = level.stat("utilized_instances"), level.stat("utilized_clusters")
        accesses = [
            sum(n)
            for n in zip(*(level.stat(f"random_{k}") for k in ("reads", "fills", "updates")), strict=True)
        ]
        of_tensors = [
            pj * n * u for pj, n, u in zip(level.stat("energy_per_access"), accesses, used, strict=True)
        ]
        kept = [of for of, keeps in zip(of_tensors, level.stat("keep"), strict=True) if keeps]
        assert kept == pytest.approx([tensor.energy_pj for tensor in storage.tensors])
        parts = [pj * u for pj, u in zip(level.stat("energy"), used, strict=True)]
        parts += [pj * u for pj, u in zip(level.stat("temporal_reduction_energy"), used, strict=True)]
        parts += [pj * c for pj, c in zip(level.stat("addr_gen_energy"), clusters, strict=True)]
        assert total(parts) == pytest.approx(storage.energy_pj)
        energies.append(total(parts))
        network = next(one for name, one in archive.networks.items() if name.split()[0] == level.name)
        energies += [pj * u for pj, u in zip(network.stat("energy"), used, strict=True)]
        energies += [pj * u for pj, u in zip(network.stat("link_transfer_energy"), used, strict=True)]
    assert sum(energies) == pytest.approx(evaluation.energy_pj)
    assert sum(one.energy_pj for one in evaluation.networks) > 0.0


def test_a_reader_gets_counts_cycles_areas_and_utilization(case):
    evaluation, layer, _ = case
    archive = Archive(map_stats_xml(evaluation, layer))
    assert (
        math.prod(archive.bounds)
        == evaluation.algorithmic_computes
        == archive.number("algorithmic_computes_")
    )
    assert archive.number("random_computes_") == evaluation.actual_computes
    cycles = [
        archive.number("cycles_"),
        *(float(level.element.findtext("stats_/cycles") or "") for level in archive.storage),
    ]
    assert max(cycles) == evaluation.cycles
    instances = float(archive.compute.findtext("specs_/instances/t_") or "")
    busy = archive.number("random_computes_") + archive.number("gated_computes_")
    assert busy / instances / max(cycles) == pytest.approx(evaluation.utilization)
    assert archive.number("area_") * instances == evaluation.compute.area_um2
    for level, storage in zip(archive.storage, evaluation.storage, strict=True):
        assert (level.spec("instances"), level.spec("size")) == (
            storage.instances,
            storage.storage.size_words,
        )
        reads = [n for n, keeps in zip(level.stat("reads"), level.stat("keep"), strict=True) if keeps]
        assert reads == [tensor.reads.algorithmic for tensor in storage.tensors]
        assert len(level.stat("reads")) == len(layer.shape.dataspaces)


def test_a_reader_gets_the_mapping(case):
    evaluation, layer, documents = case
    archive = Archive(map_stats_xml(evaluation, layer))
    for level in documents.mapping.levels:
        found = next(one for one in archive.storage if one.name == level.level)
        loops = [loop for loop in found.loops() if loop[1] > 1]
        temporal = {layer.shape.dims[dim]: bound for dim, bound, kind in loops if kind == 0}
        spatial = {layer.shape.dims[dim]: bound for dim, bound, kind in loops if kind > 0}
        assert temporal == {dim: n for dim, n in level.temporal.factors.items() if n > 1}
        assert spatial == {
            dim: n for dim, n in (level.spatial.factors if level.spatial else {}).items() if n > 1
        }
    assert [bits[::-1][:3] for bits in archive.bits] == ["111"] * 3  # every level keeps every tensor


def test_the_file_stands_beside_the_others(case, tmp_path):
    evaluation, layer, documents = case
    paths = write_output_files(tmp_path / "out", "timeloop-mapper", evaluation, documents.accelerator, layer)
    (path,) = (path for path in paths if path.suffix == ".xml")
    assert path.name == "timeloop-mapper.map+stats.xml"
    assert Archive(path.read_text()).number("cycles_") == evaluation.compute.cycles
