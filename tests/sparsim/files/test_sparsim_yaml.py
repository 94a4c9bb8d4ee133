"""Our own YAML form: exact round trip, strictness, and messages that say where."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import strategies
from support.named import names, naming
from support.noc_patterns import nocs
from support.small_pes import pes

from sparsim.errors import SpecError
from sparsim.files.documents import Documents
from sparsim.files.sparsim_yaml import dump, load_documents, load_preset, load_text, preset_names
from sparsim.records import CONV
from sparsim.records.chip_spec import ChipSpec
from sparsim.records.noc_spec import Axis

chips = st.builds(
    ChipSpec,
    name=st.just("chip"),
    clock_mhz=st.floats(1.0, 1e4),
    pe=pes(),
    noc=nocs,
    spread=st.fixed_dictionaries(
        {axis: st.lists(st.sampled_from("GMC"), unique=True).map(tuple) for axis in get_args(Axis)}
    ),
    clock_pj_per_cycle=st.floats(0.0, 1e4),
    dram_gb_per_s=st.none() | st.floats(0.1, 1e3),
)
any_records = st.tuples(
    strategies.architectures(),
    st.lists(strategies.layers(), min_size=1, max_size=2),
    strategies.policies,
    strategies.energy_tables,
    strategies.mappings,
    strategies.workloads,
    strategies.mapspaces,
    st.lists(strategies.components, max_size=2).map(tuple),
    chips,
)


@settings(max_examples=25, deadline=None)
@given(any_records)
def test_round_trip(records):
    arch, layers, policy, energy, mapping, workload, mapspace, components, chip = records
    loaded = load_text(dump(arch, *layers, policy, energy, mapping, workload, mapspace, *components, chip))
    assert loaded == Documents(
        where="text", architecture=arch, layers=(*layers, *workload.layers), policy=policy, energy=energy,
        mapping=mapping, workload=workload, mapspace=mapspace, components=components, chip=chip,
    )  # fmt: skip
    assert loaded.architecture.digest() == arch.digest()


ARCH = """\
sparsim: 1
architecture:
  storage:
  - {name: DRAM, technology: DRAM}
  - name: buffer
    size_words: 3
    LINE
  compute: {name: MAC}
"""
LAYER = """\
sparsim: 1
layer:
  shape: {dims: [C], dataspaces: [{name: x, projection: [C], read_write: true}]}
  LINE
"""
WORKLOAD = """\
sparsim: 1
workload:
  name: net
  layers:
  - name: a
    shape: &s {dims: [C], dataspaces: [{name: x, projection: [C], read_write: true}]}
    bounds: {C: 3}
  LINE
"""


@pytest.mark.parametrize(
    ("document", "line", "message"),
    [
        (ARCH, "mehs: [1, 2]", "f:5 architecture.storage[1] mehs mesh"),
        (ARCH, "mesh: [1, 2, 3]", "f:7 architecture.storage[1].mesh 3 2"),
        (ARCH, "mesh: [1, x]", "f:7 architecture.storage[1].mesh[1] x"),
        (
            ARCH,
            "word_bits: 3.5",
            "f:7 architecture.storage[1].word_bits 3.5",
        ),
        (
            ARCH,
            "technology: SRUM",
            "f:7 architecture.storage[1].technology SRUM SRAM",
        ),
        (
            ARCH,
            "network: {wordbits: 3}",
            "f:7 architecture.storage[1].network wordbits word_bits",
        ),
        (
            ARCH,
            "read_bandwidth: .nan",
            "f:5 architecture.storage[1] read_bandwidth 0",
        ),
        (LAYER, "bounds: {}", "f:2 C"),
        (LAYER, "name: l", "f:2 bounds"),
        (
            LAYER,
            "bounds: {C: 3}\n  densities: {x: {density: 1.7}}",
            "f:5 layer.densities.x density 1.7 0 1",
        ),
        (
            LAYER,
            "bounds: {C: 3}\n  densities: {x: {distribution: hypergeometrc}}",
            "f:5 layer.densities.x.distribution hypergeometrc hypergeometric",
        ),
        ("sparsim: 3", "", "f:1 sparsim 3 1 2"),
        ("sparsim: 1\nlayr: 3", "", "f:2 layr layer"),
        ("sparsim: 1\nlayers: [3]", "", "f:2 layers[0] 3"),
        ("policy: {}", "", "sparsim 2"),
        (
            LAYER,
            "bounds: {C: 3}\n  densities: {x: {spread: -1}}",
            "f:5 layer.densities.x spread -1 0 1",
        ),
        (WORKLOAD, "- {name: b, shape: *s}", "f:8 workload.layers[1] bounds"),
        (
            WORKLOAD,
            "- {name: a, shape: *s, bounds: {C: 3}}",
            "f:2 a",
        ),
        (
            WORKLOAD,
            "provenance: {samples: .inf}",
            "f:2 samples",
        ),
        (
            WORKLOAD,
            "provenance: {samples: [3]}",
            "f:8 workload.provenance.samples",
        ),
        (WORKLOAD, "sorce: x", "f:2 sorce source"),
        (
            "sparsim: 1\nworkload: {layers: []}",
            "",
            "f:2",
        ),
        (
            "sparsim: 1\nenergy: {actions: {a: {read: 1, write: x}}}",
            "",
            "f:2 energy.actions.a.write x",
        ),
    ],
)
def test_refused(document, line, message):
    with pytest.raises(SpecError) as error:
        load_text(document.replace("LINE", line), "f")
    assert names(error.value, message)


def test_documents_may_be_split_and_repeated_but_not_contradict(tmp_path):
    a, b, c = (tmp_path / name for name in "abc")
    a.write_text("sparsim: 1\npolicy: {name: p}\n")
    b.write_text("sparsim: 1\npolicy: {name: p}\nenergy: {name: e}\n")
    c.write_text("sparsim: 1\npolicy: {name: other}\n")
    assert load_documents([a, b]) == load_documents([b, a])
    with pytest.raises(SpecError) as error:
        load_documents([a, c])
    assert names(error.value, f"{c} policy {a}")


def test_masks_lie_beside_the_document_that_names_them(tmp_path):
    document = tmp_path / "layer.yaml"
    line = "bounds: {C: 3}\n  densities: {x: {distribution: actual, mask: m.npy}}"
    document.write_text(LAYER.replace("LINE", line))
    (layer,) = load_documents([document]).layers
    assert layer.density("x").mask == str(tmp_path / "m.npy")


def test_layers_of_a_workload_are_layers_and_their_masks_lie_beside_it(tmp_path):
    document = tmp_path / "workload.yaml"
    line = "- {name: b, shape: *s, bounds: {C: 3}, densities: {x: {distribution: actual, mask: m.npy}}}"
    document.write_text(WORKLOAD.replace("LINE", line))
    other = tmp_path / "layer.yaml"
    other.write_text(LAYER.replace("LINE", "bounds: {C: 3}"))
    loaded = load_documents([document, other, document])
    assert [layer.name for layer in loaded.layers] == ["layer", "a", "b"]
    assert loaded.layers[1:] == loaded.workload.layers
    assert loaded.layers[2].density("x").mask == str(tmp_path / "m.npy")


def test_the_workload_of_the_documentation():
    page = (Path(__file__).parents[3] / "docs/reference/workload.md").read_text()
    workload = load_text(page.split("```yaml\n")[1].split("```")[0]).workload
    assert [layer.name for layer in workload.layers] == ["fc1"]
    assert workload.layers[0].shape == CONV


def test_presets():
    for name in preset_names():
        found = load_preset(name)
        assert (found.machine or found.architecture).name == name
    with pytest.raises(SpecError, match=naming("eyeris")):
        load_preset("eyeris")
