"""Version 0.4 documents, their version 0.3 forms, and what Timeloop 4.x answers."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from sparsim.errors import SpecError
from sparsim.files.timeloop.stats_dialect import stats_text
from sparsim.files.timeloop.stats_writer import write_stats
from sparsim.files.timeloop_files import read_documents
from sparsim.mapper.search import search
from sparsim.model.evaluate import evaluate, evaluate_batch
from sparsim.model.frozen import Frozen
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    EnergyTable,
    LevelMapping,
    Mapping,
    Nest,
    Storage,
    gemm,
)

EXAMPLES = Path(__file__).parents[4] / "validation" / "version4_examples"
NUMBERS = [f"{number:02}" for number in range(1, 11)]
WITH_MAPPING = ("01", "03", "04", "10")
DATA = {"07": {"n": 2, "big": False}}


def version4(number, *, without=(), for_search=None):
    files = [file for file in sorted((EXAMPLES / number).glob("*v4.yaml")) if file.stem not in without]
    searched = number not in WITH_MAPPING if for_search is None else for_search
    return read_documents(files, for_search=searched, template_data=DATA.get(number))


def version3(number):
    folder = EXAMPLES / number
    files = [file for file in (folder / "v3.yaml", folder / "energy-v3.yaml") if file.exists()]
    return read_documents(files, for_search=number not in WITH_MAPPING)


@pytest.mark.parametrize("number", NUMBERS)
def test_both_forms_are_the_same_records(number):
    new, old = version4(number), version3(number)
    for part in ("architecture", "policy", "layers", "mapspace", "mapper", "components", "workload"):
        assert getattr(new, part) == getattr(old, part), part


@pytest.mark.parametrize("number", WITH_MAPPING)
def test_both_forms_have_the_same_loops(number):
    new, old = version4(number).mapping, version3(number).mapping
    for one, other in zip(new.levels, old.levels, strict=True):
        assert (one.level, one.bypass, one.temporal) == (other.level, other.bypass, other.temporal)
        factors = [{} if nest is None else nest.factors for nest in (one.spatial, other.spatial)]
        ones = [{dim: n for dim, n in found.items() if n != 1} for found in factors]
        assert ones[0] == ones[1]


def test_directives_may_stand_beside_nodes_or_in_the_mapping(tmp_path):
    """Where there is no `mapping`, the constraints are it."""
    source = (EXAMPLES / "01" / "v4.yaml").read_text().partition("mapping:")
    moved = source[0] + "constraints:\n  version: 0.4\n  targets:" + source[2].replace("\n-", "\n  -")
    file = tmp_path / "v4.yaml"
    file.write_text(moved)
    others = [EXAMPLES / "01" / f"{name}-v4.yaml" for name in ("problem", "variables", "energy")]
    assert read_documents([file, *others]).mapping == version4("01").mapping


def test_containers_without_effect_are_named():
    warnings = version4("03").warnings
    assert sum("of a container has no effect" in warning for warning in warnings) == 2


def test_mapping_of_the_flat_levels(tmp_path):
    """As Timeloop writes it to map.yaml; the constraints of the nodes are no part of it then."""
    old = (EXAMPLES / "03" / "v3.yaml").read_text()
    mapping = old[old.index("mapping:") : old.index("problem:")]
    source = (EXAMPLES / "03" / "v4.yaml").read_text().partition("mapping:")[0]
    (tmp_path / "v4.yaml").write_text(source)
    (tmp_path / "map.yaml").write_text(mapping)
    files = [tmp_path / "v4.yaml", tmp_path / "map.yaml", EXAMPLES / "03" / "problem-v4.yaml"]
    assert read_documents(files).mapping == version3("03").mapping
    assert read_documents(files, for_search=True).mapping is None


@pytest.mark.filterwarnings("ignore::sparsim.EnergyWarning")
@pytest.mark.parametrize("number", WITH_MAPPING)
def test_report_is_that_of_timeloop_4(number):
    documents = version4(number)
    found = evaluate(
        documents.accelerator, documents.layer(), documents.mapping, accounting=documents.accounting
    )
    assert stats_text(found) == (EXAMPLES / number / "timeloop-4.x.stats.txt").read_text()
    assert stats_text(found, "3") == write_stats(found)


@pytest.mark.filterwarnings("ignore::sparsim.EnergyWarning")
def test_a_level_that_only_leaks_is_reported():
    """And one that neither keeps a tensor nor leaks is not."""
    documents = version4("04")
    everything = tuple(dataspace.name for dataspace in documents.layer().shape.dataspaces)
    levels = tuple(
        replace(level, bypass=everything) if level.level == "buf" else level
        for level in documents.mapping.levels
    )
    mapping = replace(documents.mapping, levels=levels)
    found = evaluate(documents.accelerator, documents.layer(), mapping, accounting=documents.accounting)
    leaking = found.level("buf")
    assert (leaking.tensors, leaking.energy_pj > 0) == ((), True)
    blocks = [block for block in stats_text(found).split("=== ") if "Technology" in block]
    (block,) = (block for block in blocks if block.startswith("buf"))
    assert f"Leakage energy (total)          : {leaking.leakage_pj:.2f} pJ" in block
    assert "Bandwidth throttling : 1.00" in block
    assert not any(block.startswith("inter_buf_spatial") for block in blocks)


@pytest.mark.filterwarnings("ignore::sparsim.EnergyWarning")
@pytest.mark.parametrize("number", ["02", "05", "06", "08", "09"])
def test_best_mapping_is_that_of_timeloop_4(number):
    documents = version4(number)
    result = search(
        documents.accelerator, documents.layer(), method="exhaustive", accounting=documents.accounting
    )
    found = evaluate(documents.accelerator, documents.layer(), result.best, accounting=documents.accounting)
    assert stats_text(found) == (EXAMPLES / number / "timeloop-4.x.stats.txt").read_text()


@pytest.mark.filterwarnings("ignore::sparsim.EnergyWarning")
def test_leakage_is_the_same_wherever_energies_come_from():
    documents = version4("04")
    accelerator, layer, mapping = documents.accelerator, documents.layer(), documents.mapping
    found = evaluate(accelerator, layer, mapping, accounting="timeloop-4")
    assert found.level("buf").leakage_pj == 96.0
    assert found.level("dram").leakage_pj == 0.0
    assert found.energy_pj == 6776.0
    assert sum(level.energy_pj for level in found.storage) + found.compute.energy_pj == 6776.0
    batch = evaluate_batch(accelerator, layer, [mapping, mapping], accounting="timeloop-4")
    assert batch.energy_pj.tolist() == [6776.0, 6776.0]
    frozen = Frozen(accelerator, [layer], [mapping], accounting="timeloop-4")([[1.0, 1.0, 1.0]])
    assert frozen.energy_pj.tolist() == [6776.0]
    assert frozen.level_energy_pj[0].sum() == 6776.0
    older = documents.accounted("timeloop-3")
    assert evaluate(older.accelerator, layer, mapping).energy_pj == 6680.0 - 12 * 10.0 + 96 * 1.0


@pytest.mark.filterwarnings("ignore::sparsim.EnergyWarning")
@pytest.mark.parametrize(("gate", "leaking"), [("", 1), ("buf", 1), ("pe", 4), ("dram", 8)])
def test_power_gates_are_shared(gate, leaking):
    """One of eight instances is used, four of which lie in one of two `pe`."""
    dram = Storage(name="dram", technology="DRAM")
    pe = Storage(name="pe", mesh=(2, 1), size_words=64)
    buf = Storage(name="buf", mesh=(4, 1), size_words=64, power_gated_at=gate)
    arch = Architecture(storage=(dram, pe, buf), compute=Compute(name="mac"))
    costs = {"read": 1.0, "write": 1.0}
    actions = {"dram": costs, "pe": costs, "buf": costs | {"leak": 0.5}, "mac": {"compute": 1.0}}
    accelerator = Accelerator(
        architecture=arch, energy=EnergyTable(actions=actions, rules="timeloop-4", areas={})
    )
    layer = gemm(m=2, n=1, k=1)
    (dim,) = (dim for dim, bound in layer.bounds.items() if bound == 2)
    mapping = Mapping(levels=(LevelMapping(level="dram", temporal=Nest(factors={dim: 2})),))
    found = evaluate(accelerator, layer, mapping)
    assert found.level("buf").leakage_pj == 0.5 * leaking * found.cycles


def test_a_gate_must_be_a_level_outside():
    levels = [Storage(name="dram", technology="DRAM"), Storage(name="buf", size_words=4, power_gated_at="x")]
    with pytest.raises(SpecError, match="power_gated_at"):
        Architecture(storage=tuple(levels), compute=Compute(name="mac"))
