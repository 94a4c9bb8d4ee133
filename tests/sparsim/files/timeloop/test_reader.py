"""Timeloop's documents as records."""

from __future__ import annotations

import itertools
import math
import random
import re
from dataclasses import replace

import pytest
import yaml
from support.documents import ARCH, DOCUMENTS, ERT, PROBLEM, records_of, shared_cases, write_documents
from support.named import names, naming

from sparsim.errors import SpecError
from sparsim.estimate.accelerator_energy import resolved_energy
from sparsim.files.sparsim_yaml import dump, load_text
from sparsim.files.timeloop_files import read_documents
from sparsim.files.yaml_reading import load_yaml
from sparsim.model.consistency import check
from sparsim.records import Density, Nest, Option, Saf, SparsePolicy
from sparsim.records.energy_table import STORAGE_ACTIONS

CASES = shared_cases()


@pytest.fixture
def read(tmp_path):
    """Reads the base documents with replacements (document, old, new)."""

    def read(*replacements, without=()):
        documents = {name: text for name, text in DOCUMENTS.items() if name not in without}
        for name, old, new in replacements:
            assert documents[name].count(old) >= 1, (name, old)
            documents[name] = documents[name].replace(old, new)
        return read_documents(write_documents(tmp_path, documents))

    return read


# energies that the reference's tables give in vain, or lack
REFERENCE_GAPS = (
    "'address_generation' is not read",
    "'mac_reuse' is not read",
    "no energy of 'skipped_metadata",
)


@pytest.mark.skipif(not CASES, reason="the shared reference cases are not here")
def test_reference_cases():
    for case in CASES:
        files = sorted(case.glob("*.yaml"))
        documents = read_documents(files)
        assert documents.warnings == (), case
        warnings = check(documents.accelerator, documents.layer(), documents.mapping)
        assert all(any(gap in warning for gap in REFERENCE_GAPS) for warning in warnings), (case, warnings)
        random.Random(0).shuffle(files)
        assert read_documents(files) == documents, case
        loaded = load_text(dump(*records_of(documents)))
        assert replace(loaded, is_native=False) == documents, case


@pytest.mark.parametrize("flow", [True, False])
def test_order_of_documents_and_yaml_style_do_not_matter(tmp_path, flow):
    files = write_documents(tmp_path, DOCUMENTS)
    expected = read_documents(files)
    assert expected.warnings == ()
    for order in itertools.islice(itertools.permutations(files), 0, None, 97):
        assert read_documents(order) == expected
    merged = {key: value for file in files for key, value in plain(load_yaml(file)).items()}
    one = tmp_path / "one.yaml"
    one.write_text(yaml.safe_dump(merged, default_flow_style=flow))
    assert read_documents([one]) == expected


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def test_architecture(read):
    arch = read().architecture
    assert [s.name for s in arch.storage] == ["DRAM", "GLB", "spad"]
    assert [s.technology for s in arch.storage] == ["DRAM", "SRAM", "SRAM"]
    assert [s.mesh for s in arch.storage] == [(1, 1), (1, 1), (4, 1)]
    assert (arch.compute.name, arch.compute.mesh) == ("MAC", (1, 1))
    assert arch.total_mesh(3) == (4, 1)
    glb = arch.storage[1]
    assert (glb.size_words, glb.read_bandwidth, glb.metadata_depth) == (1024, 4.0, 1024)


def test_meshes_are_nested(read):
    arch = read(
        ("arch.yaml", "name: chip", "name: chip[0..5]"),
        ("arch.yaml", "          depth: 1024", "          meshX: 2\n          depth: 1024"),
        ("arch.yaml", "meshX: 4", "meshY: 12"),
    ).architecture
    assert [s.mesh for s in arch.storage] == [(1, 1), (2, 3), (1, 4)]
    assert arch.total_mesh(2) == (2, 12)


@pytest.mark.parametrize(
    ("attributes", "block", "cluster", "words"),
    [
        ("width: 64, word-bits: 16, depth: 8", 4, 1, 32),
        ("memory_width: 64, datawidth: 16, block_size: 2, memory_depth: 8", 2, 2, 16),
        ("width: 64, cluster-size: 2, depth: 8", 2, 2, 16),
        ("width: 64, cluster-size: 2, n_words: 2, depth: 8", 2, 2, 16),
        ("n_words: 8, entries: 100", 8, 1, 100),
        ("sizeKB: 2, word_width: 8", 1, 1, 2048),
        ('width: "32", data_storage_depth: 4.0', 2, 1, 8),
        ("depth: words", 1, 1, 7),
    ],
)
def test_width_and_size(tmp_path, attributes, block, cluster, words):
    storage = f"- {{name: 'buffer[0..3]', class: SRAM, attributes: {{{attributes}}}}}"
    text = (
        f"arch: {{version: 0.3, subtree: [{{name: s, local: [\n{storage[2:]},\n"
        "{name: 'MAC[0..3]', class: mac}]}]}\n"
        "variables: {words: 7}\n"
    )
    documents = {"arch.yaml": text, "problem.yaml": PROBLEM}
    (level,) = read_documents(write_documents(tmp_path, documents)).architecture.storage
    assert (level.block_size, level.cluster_size, level.size_words) == (block, cluster, words)


def test_problem(read):
    layer = read().layer()
    assert layer.shape.dims == ("M", "N", "K")
    assert layer.shape.dataspaces[0].projection == ("M", "K")
    assert layer.bounds == {"M": 8, "N": 4, "K": 8}
    assert layer.densities == {"A": Density(density=0.375), "B": Density(density=0.5)}


def test_flat_and_windowed_projections(read):
    shape = read(
        ("problem.yaml", "projection: [[[M]], [[K]]]", "projection: [M, K]"),
        ("problem.yaml", "projection: [[[K]], [[N]]]", "projection: [[[K, stride], [N]]]"),
        (
            "problem.yaml",
            "    data-spaces:",
            "    coefficients: [{name: stride, default: 2}]\n    data-spaces:",
        ),
        ("problem.yaml", "    M: 8", "    stride: 3\n    M: 8"),
    ).layer()
    assert [d.projection for d in shape.shape.dataspaces] == [("M", "K"), ("K*stride + N",), ("M", "N")]
    assert (shape.shape.coefficients, shape.coefficients) == ({"stride": 2}, {"stride": 3})


@pytest.mark.parametrize(
    ("density", "record"),
    [
        ("1", Density(density=1.0)),
        ("1e-05", Density(density=1e-05)),
        ("{distribution: fixed, density: 0.5}", Density(density=0.5)),
        (
            "{distribution: hypergeometric, density: 0.5, workload_tensor_size: 9}",
            Density(distribution="hypergeometric", density=0.5),
        ),
        ("{distribution: diagonal}", Density(distribution="banded")),
        ("{distribution: banded, band_width: 2}", Density(distribution="banded", band_width=2)),
    ],
)
def test_densities(read, density, record):
    assert read(("problem.yaml", "B: 0.5", f"B: {density}")).layer().densities["B"] == record


def test_actual_density_names_a_file_beside_the_document(read, tmp_path):
    layer = read(("problem.yaml", "B: 0.5", "B: {distribution: actual, mask: b.npy}")).layer()
    assert layer.densities["B"] == Density(distribution="actual", mask=str(tmp_path / "b.npy"))


def test_common_density_overrides(read):
    documents = read(("problem.yaml", "    densities:", "    commonDensity: 0.25\n    densities:"))
    assert set(documents.layer().densities) == {"A", "B", "Z"}
    assert {d.density for d in documents.layer().densities.values()} == {0.25}
    assert len(documents.warnings) == 1


@pytest.mark.parametrize("shape", ["", "shape: cnn-layer", "shape: cnn_layer", "shape: cnn-layer.yaml"])
def test_predefined_shape(tmp_path, shape):
    bounds = ", ".join(f"{dim}: 2" for dim in "RSPQCKN")
    text = f"problem: {{{shape}{', ' if shape else ''}instance: {{{bounds}, Wstride: 2}}}}\n"
    documents = read_documents(write_documents(tmp_path, {"arch.yaml": ARCH, "p.yaml": text}))
    assert documents.layer().shape.dims == tuple("RSPQCKN")
    assert documents.layer().coefficients == {"Wstride": 2}
    assert bool(documents.warnings) == (not shape)


def test_tables(read):
    energy = read().energy
    assert energy.actions["spad"]["write"] == 1.5
    assert energy.areas == {"GLB": 1000.1, "spad": 10.0, "MAC": 5.0}
    assert energy.wire_pj_per_bit_mm is None


def test_the_largest_entry_of_an_action_counts(read):
    row = "- {name: read, arguments: null, energy: 6}"
    more = "- {name: read, arguments: {x: 1}, energy: 9}\n    - {name: read, energy: 7}"
    wire = "  - {name: system.wire, actions: [{name: transfer_random, energy: 0.25}]}\n"
    energy = read(("ert.yaml", row, more), ("ert.yaml", "  tables:\n", "  tables:\n" + wire)).energy
    assert energy.actions["GLB"]["read"] == 9
    assert energy.wire_pj_per_bit_mm == 0.25


def test_tables_of_version_0_2(tmp_path):
    ert = (
        "ERT:\n  version: 0.2\n  tables:\n"
        "    system.GLB: {read: {energy: 2}, write: [{arguments: {}, energy: 3}, {energy: 4}]}\n"
    )
    documents = {"arch.yaml": ARCH, "problem.yaml": PROBLEM, "ert.yaml": ert}
    energy = read_documents(write_documents(tmp_path, documents)).energy
    assert energy.actions == {"GLB": {"read": 2.0, "write": 4.0}}


def test_entries_of_one_component_under_two_paths(read):
    more = "  - {name: system.other.GLB, actions: [{name: read, energy: 99}]}\n"
    documents = read(("ert.yaml", "  - name: system.chip.GLB", more + "  - name: system.chip.GLB"))
    assert documents.energy.actions["GLB"]["read"] == 6
    documents = read(
        ("ert.yaml", "  - name: system.chip.PE[0..3].spad", more + "  - name: system.chip.PE[0..3].spad")
    )
    resolved = dict(zip(STORAGE_ACTIONS, resolved_energy(documents.accelerator).storage[1], strict=True))
    assert (resolved["random_read"], resolved["gated_read"], resolved["random_fill"]) == (99, 99, 8)
    assert len(documents.warnings) == 1


@pytest.mark.parametrize(
    ("variables", "value"), [("{fast: 2.5}", 2.5), ("{fast: other, other: '1e1'}", 10), ("{fast: 010}", 10)]
)
def test_variables_count_for_reals_too(read, variables, value):
    documents = read(
        ("arch.yaml", "read_bandwidth: 4", "read_bandwidth: fast"),
        ("problem.yaml", "problem:", f"variables: {variables}\nproblem:"),
    )
    assert documents.architecture.storage[1].read_bandwidth == value
    (warning,) = documents.warnings
    assert names(warning, "fast 0 Timeloop")


def test_the_same_architecture_is_read_once_and_its_warnings_name_each_file(tmp_path):
    texts = DOCUMENTS | {"arch.yaml": ARCH.replace("block-size: 4", "block-size: 4\n        wdith: 8")}
    found = []
    for name in ("first", "second", "first"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        found.append(read_documents(write_documents(folder, texts)))
        (warning,) = found[-1].warnings
        assert names(warning, "wdith width")
        assert str(folder) in warning
    assert found[0].architecture is found[2].architecture
    assert found[0].architecture == found[1].architecture
    assert found[0].energy is found[1].energy
    wrong = texts | {"ert.yaml": ERT.replace("version: 0.3", "version: 7")}
    for _ in range(2):
        with pytest.raises(SpecError, match="version"):
            read_documents(write_documents(tmp_path / "first", wrong))


def test_an_infinite_bandwidth_is_unlimited(read):
    assert (
        read(("arch.yaml", "read_bandwidth: 4", "read_bandwidth: .inf"))
        .architecture.storage[1]
        .read_bandwidth
        == math.inf
    )


def test_hexadecimal_numbers_are_whole_numbers(read):
    assert read(("arch.yaml", "depth: 64", "depth: 0x40")).architecture.storage[2].size_words == 64


def test_areas_count_only_beside_energies(read):
    documents = read(without=("ert.yaml",))
    assert documents.energy is None
    assert "art.yaml:1: ART: is ignored" in documents.warnings[0]


def test_mapping(read):
    levels = {m.level: m for m in read().mapping.levels}
    assert list(levels) == ["DRAM", "GLB", "spad"]
    assert levels["DRAM"].temporal == Nest(factors={"M": 1, "N": 1, "K": 2}, order=("N", "M", "K"))
    assert levels["GLB"].spatial == Nest(factors={"M": 1, "N": 4, "K": 1}, order=("K", "M", "N"), split_x=3)


@pytest.mark.parametrize(
    "factors", ["M=8 N1 K 1", "M = 8, N=1,K=1", "'M8 # N7'", "M0", "M==8;", "N1 M8,8", "M8 M8"]
)
def test_factor_spellings(read, factors):
    documents = read(("mapping.yaml", "factors: M8 N1 K1", f"factors: '{factors}'".replace("''", "'")))
    found = documents.mapping.levels[1].temporal.factors
    assert {dim: factor for dim, factor in found.items() if factor > 1} == {"M": 8}
    assert documents.warnings == ()


def test_lenient_mapping(read):
    documents = read(
        ("mapping.yaml", "target: GLB", "target: 1"),
        (
            "mapping.yaml",
            ", permutation: NMK, split: 3",
            ", no_link_transfer: [A], no_multicast_no_reduction: [Z]",
        ),
        ("mapping.yaml", "permutation: MNK", "permutation: 'N K', no_temporal_reuse: [B]"),
        ("mapping.yaml", "keep: [A, B, Z], bypass: []", "keep: [B], bypass: [A, B]"),
    )
    dram, glb, spad = documents.mapping.levels
    assert dram.level == "DRAM"
    assert glb.temporal.order == ("K", "N")
    assert glb.spatial.split_x is None
    assert (glb.no_link_transfer, glb.no_multicast_no_reduction) == (("A",), ("Z",))
    assert glb.no_temporal_reuse == ("B",)
    assert spad.bypass == ("A", "B")


def test_later_directives(read):
    more = (
        "- {target: spad, type: datatype, keep: [Z], bypass: [A]}\n"
        "- {target: spad, type: bypass, keep: [A]}\n"
    )
    repeat = "- {target: spad, type: temporal, factors: M1 N1 K4, permutation: KMN}\n"
    documents = read(("mapping.yaml", "mapping:\n", "mapping:\n" + more + repeat))
    assert documents.mapping.levels[2].bypass == ()
    assert len(documents.warnings) == 1
    assert "mapping[6]: a second temporal directive for 'spad' replaces the one at " in documents.warnings[0]


def test_sparse_directives(read):
    policy = read().policy
    assert [(f.level, f.dataspace, [r.format for r in f.ranks]) for f in policy.formats] == [
        ("DRAM", "A", ["UOP", "UOP", "CP"]),
        ("GLB", "A", ["UOP", "CP"]),
        ("spad", "A", ["CP"]),
    ]
    assert policy.safs == (
        Saf(level="spad", type="skipping", options=(Option(target="B", condition_on=("A",)),)),
    )
    assert (policy.compute_gating, policy.compute_skipping) == (True, False)


def test_sparse_spellings(read):
    policy = read(
        (
            "sparse.yaml",
            "{format: CP, metadata-word-bits: 4}",
            "{format: cp, flattened-rankIDs: [[M, K], [N]]}",
        ),
        ("sparse.yaml", "type: gating", "type: skip_on_not_aligned_operands"),
        (
            "sparse.yaml",
            "{type: skipping, target: B, condition-on: [A]}",
            "{type: gating, options: [{target: B, condition-on: [A]}, {target: A, condition-on: [B]}]}",
        ),
    ).policy
    assert policy.formats[2].ranks[0].flattened == (("M", "K"), ("N",))
    assert (policy.compute_gating, policy.compute_skipping) == (False, True)
    assert policy.safs[0].type == "gating"
    assert [o.target for o in policy.safs[0].options] == ["B", "A"]


def test_later_actions_replace_those_of_the_same_type(read):
    item = (
        "  - name: spad\n    action-optimization:\n"
        "    - {type: skipping, target: A, condition-on: [B]}\n"
        "    - {type: gating, target: Z, condition-on: [A]}\n"
    )
    documents = read(("sparse.yaml", "  - name: MAC", item + "  - name: MAC"))
    assert [(s.type, s.options[0].target) for s in documents.policy.safs] == [
        ("skipping", "A"),
        ("gating", "Z"),
    ]
    assert [w.split(": ")[-1] for w in documents.warnings] == ["replaces the earlier skipping of 'spad'"]


def test_an_action_without_a_type_takes_that_of_the_one_before(read):
    item = "\n    - {target: Z, condition-on: [A]}\n  - name: MAC"
    documents = read(("sparse.yaml", "\n  - name: MAC", item))
    assert [(s.type, s.options[0].target) for s in documents.policy.safs] == [
        ("skipping", "B"),
        ("skipping", "Z"),
    ]
    assert len(documents.warnings) == 1


def test_later_formats_of_a_level_replace_earlier_ones(read):
    item = "  - name: spad\n    representation-format: {data-spaces: [{name: A, ranks: [{format: RLE}]}]}\n"
    documents = read(("sparse.yaml", "  - name: MAC", item + "  - name: MAC"))
    assert documents.policy.formats[2].ranks[0].format == "RLE"
    assert [w.split(": ")[-1] for w in documents.warnings] == ["replaces the earlier formats of 'spad'"]


@pytest.mark.parametrize("part", ["compute-optimization", "action-optimization"])
def test_optimizations_that_say_nothing_switch_sparse_processing_on(tmp_path, part):
    target = "MAC" if part == "compute-optimization" else "GLB"
    text = f"sparse_optimizations: {{targets: [{{name: {target}, {part}: []}}]}}\n"
    documents = {"arch.yaml": ARCH, "problem.yaml": PROBLEM, "s.yaml": text}
    policy = read_documents(write_documents(tmp_path, documents)).policy
    assert policy == SparsePolicy(always_active=True)
    assert load_text(dump(policy)).policy == policy


@pytest.mark.parametrize("text", ["", " {}", "\n  targets: []"])
def test_an_empty_sparse_document_is_an_empty_policy(tmp_path, text):
    documents = {"arch.yaml": ARCH, "problem.yaml": PROBLEM, "s.yaml": f"sparse_optimizations:{text}\n"}
    policy = read_documents(write_documents(tmp_path, documents)).policy
    assert policy is not None
    assert not policy.active


def test_documents_that_are_not_there(read):
    documents = read(without=("mapping.yaml", "sparse.yaml", "ert.yaml", "art.yaml"))
    assert records_of(documents) == [documents.architecture, documents.layer()]
    assert documents.warnings == ()


@pytest.mark.parametrize(
    ("name", "old", "new", "warning"),
    [
        ("arch.yaml", "          read_bandwidth: 4", "          read_bandwith: 4", "read_bandwidth"),
        ("arch.yaml", "block-size: 4", "block-size: 4\n        clusters_size: 1", "cluster-size"),
        ("arch.yaml", "block-size: 4", "block-size: 4\n        multiple_bufferings: 2", "multiple-buffering"),
        ("sparse.yaml", "metadata-word-bits: 4", "metadata_words_bits: 4", "metadata-word-bits"),
        ("sparse.yaml", "{format: CP}", "{format: CP, flattened_ranksIDs: [[M]]}", "flattened-rankIDs"),
        ("mapping.yaml", "permutation: MNK", "permutations: MNK", "permutation"),
        ("problem.yaml", "read-write: true", "read-write: true\n      read_writes: 1", "read-write"),
    ],
)
def test_misspelt_keys_that_the_reference_ignores_are_reported(read, name, old, new, warning):
    warnings = read((name, old, new)).warnings
    assert warnings
    assert all(f"unknown key is ignored (did you mean '{warning}'?)" in w for w in warnings)


@pytest.mark.parametrize(
    "attributes",
    ["technology: 45nm", "n_banks: 2", "metadata_counter_width: 3", "ag_datawidth: 3", "sign: 1"],
)
def test_attributes_for_an_estimator_are_not(read, attributes):
    assert read(("arch.yaml", "block-size: 4", f"block-size: 4\n        {attributes}")).warnings == ()


def test_keys_in_two_files(tmp_path):
    files = write_documents(tmp_path, {**DOCUMENTS, "again.yaml": ERT + "compound_components: 1\n"})
    assert read_documents(files).warnings == ()
    other = write_documents(tmp_path, {"other.yaml": ERT.replace("energy: 6", "energy: 7")})
    with pytest.raises(SpecError) as error:
        read_documents(files + other)
    assert names(error.value, f"{other[0]} ERT {files[4]}")


def test_density_of_a_misspelt_dataspace(tmp_path):
    bounds = ", ".join(f"{dim}: 2" for dim in "RSPQCKN")
    text = f"problem: {{shape: cnn-layer, instance: {{{bounds}, densities: {{Weigths: 0.5}}}}}}\n"
    files = write_documents(tmp_path, {"arch.yaml": ARCH, "p.yaml": text})
    with pytest.raises(SpecError, match=naming("Weigths Weights")):
        read_documents(files)


def test_hyphens_and_underscores_are_equal(tmp_path):
    """In every key that is known, and in the words that options choose from."""
    expected = read_documents(write_documents(tmp_path, DOCUMENTS))
    for old, new in (("-", "_"), ("_", "-")):
        other = {}
        for name, text in DOCUMENTS.items():
            lines = [swap_in_keys(line, old, new) for line in text.splitlines()]
            other[name] = "\n".join(lines) + "\n"
        assert other != DOCUMENTS
        found = read_documents(write_documents(tmp_path, other))
        assert found == expected


def swap_in_keys(line, old, new):
    words = r"[A-Za-z]+(?:[-_][A-Za-z]+)+(?=:)|(?<=distribution: )[a-z_-]+|(?<=type: )[a-z_-]+"
    return re.sub(words, lambda match: match[0].replace(old, new), line)


def test_one_key_in_two_spellings_is_refused(read):
    with pytest.raises(SpecError, match=naming("block-size")):
        read(("arch.yaml", "block-size: 4", "block-size: 4\n        block_size: 2"))


OLDEST = """\
arch:
  arithmetic: {name: MAC, instances: 16, word-bits: 8, meshX: 16}
  storage:
  - {name: spad, entries: 64, instances: 16, meshX: 16, word-bits: 8}
  - {name: GLB, sizeKB: 32, instances: 1, word-bits: 8, block-size: 4}
  - {name: DRAM, technology: DRAM, instances: 1, word-bits: 8}
"""
OLDEST_AS_TREE = """\
arch:
  version: 0.3
  subtree:
  - name: all
    local:
    - {name: DRAM, class: DRAM, attributes: {word-bits: 8}}
    - {name: GLB, class: SRAM, attributes: {sizeKB: 32, word-bits: 8, block-size: 4}}
    - {name: "spad[1..16]", class: regfile, attributes: {entries: 64, meshX: 16, word-bits: 8}}
    - {name: "MAC[1..16]", class: mac, attributes: {meshX: 16, word-bits: 8}}
"""


def test_lists_of_storage_and_arithmetic(tmp_path):
    read = [
        read_documents(write_documents(tmp_path, {"arch.yaml": arch, "problem.yaml": PROBLEM})).architecture
        for arch in (OLDEST, OLDEST_AS_TREE)
    ]
    assert read[0] == read[1]
