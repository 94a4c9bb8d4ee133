"""What version 0.4 documents mean: scalars, expressions, templates, merges, constraints."""

import math

import pytest
from support.named import names, naming

from sparsim.errors import FormatError, SpecError
from sparsim.files.sparsim_yaml import load_accelerator
from sparsim.files.timeloop_files import load_files, read_documents
from sparsim.files.timeloop_v4.expression_functions import SpecObject
from sparsim.files.timeloop_v4.safe_expressions import Evaluator
from sparsim.files.timeloop_v4.tagged_yaml import Quoted, flow_text, number_of, parse_tagged
from sparsim.records.mapspace import LevelConstraint

PROBLEM = """\
problem:
  version: 0.4
  shape:
    name: mm
    dimensions: [M, K, N]
    data_spaces:
    - {name: A, projection: [[[M]], [[K]]]}
    - {name: B, projection: [[[K]], [[N]]]}
    - {name: Z, projection: [[[M]], [[N]]], read_write: true}
  instance: {M: 8, K: M // 2, N: 6}
"""
ARCH = """\
variables: {{version: 0.4, technology: "45nm", global_cycle_seconds: 1e-9, BITS: 8}}
architecture:
  version: 0.4
  nodes:
  - !Component {{name: dram, class: DRAM, attributes: {{width: 32, datawidth: BITS}}}}
  {nodes}
  - !Component {{name: mac, class: intmac}}
"""


@pytest.fixture
def read(tmp_path):
    """Reads an architecture with nodes between a DRAM and the arithmetic, for a search."""

    def read(nodes="", more="", *, files=None, **options):
        text = ARCH.format(nodes=nodes.strip().replace("\n", "\n  ")) + more + PROBLEM
        for name, content in {"v4.yaml": text, **(files or {})}.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        return read_documents([tmp_path / "v4.yaml"], **{"for_search": True, **options})

    return read


def buffer(attributes="", more="", name="buf"):
    given = ", ".join(filter(None, ("datawidth: 8, width: 8, depth: 64", attributes)))
    return f"- !Component {{name: {name}, class: SRAM, attributes: {{{given}}}{more}}}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("017", 17), ("0o17", 15), ("0x10", 16), ("1_000", 1000), ("1e-9", 1e-9), ("-3", -3), ("1.", 1.0),
        ("yes", None), ("1_000.5", 1000.5), ("45nm", None), ("e1", None), (".", None),
    ],
)  # fmt: skip
def test_numbers_of_yaml(text, value):
    assert number_of(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7 // 2 + 7 % 4", 6), ("8 / 2", 4.0), ("2 ** 10", 1024), ("1 < 2 <= 2", True), ("not 1 or 3", 3),
        ("'a' if x > 3 else 'b'", "a"), ("[i * i for i in range(4) if i % 2]", [1, 9]),
        ("sum(a * b for a, b in [(1, 2), (3, 4)])", 14), ("{'a': 1}['a']", 1), ("[1, 2, 3][-1:]", [3]),
        ("(lambda a, b=2: a * b)(3)", 6), ("ceil(log2(100))", 7), ("max([1, 5, 2])", 5), ("prod([2, 3])", 6),
        ("node.attributes.width + node.attributes['width']", 16), ("f'{x}-{x}'", "4-4"),
        ("list(map(lambda i: i + x, range(2)))", [4, 5]), ("x in (1, 4)", True), ("round(2.567, 1)", 2.6),
        ("str(x) + 'nm'", "4nm"), ("min(3, x)", 3), ("int('12') + float(1)", 13.0), ("-x", -4),
        ("pi", math.pi),
        ("list(enumerate('ab'))", [(0, "a"), (1, "b")]), ("{i: 2 * i for i in range(2)}", {0: 0, 1: 2}),
    ],
)  # fmt: skip
def test_expressions(text, value):
    scope = {"x": 4, "node": SpecObject({"attributes": SpecObject({"width": 8})})}
    assert Evaluator().evaluate(text, scope) == value


def test_objects_that_templates_include_come_back_equal():
    text = "a: !Tag {b: [1, 2.5, text, 'quoted', \"1\", max(a, b), ~, true, .inf, 1e-9], c: 'it''s: #1'}\n"
    first = parse_tagged(text, "x")
    again = parse_tagged(f"{{a: {flow_text(first['a'])}}}", "x")
    assert again == first
    assert again["a"].tag == "!Tag"
    kinds = [[type(item) for item in one["a"]["b"]] for one in (first, again)]
    assert kinds[0] == kinds[1]


def test_when_text_is_an_expression(read):
    nodes = buffer('kind: "BITS", size: BITS * 2, other: (BITS + 1)', ", spatial: {meshX: BITS // 4}")
    (_, dummy, buf) = read(nodes).architecture.storage
    assert (dummy.name, buf.name, buf.mesh) == ("inter_buf_spatial", "buf", (2, 1))
    with pytest.raises(SpecError, match=naming("LPDDR4")):
        read(buffer("kind: LPDDR4"))
    assert any(names(warning, "45nm quotes") for warning in read(buffer("technology: 45nm")).warnings)


def test_names_that_expressions_see(read):
    nodes = """
- !Container {name: chip, attributes: {lanes: 4, half: lanes // 2}}
- !Component
  name: one
  class: SRAM
  attributes: {datawidth: 8, width: datawidth * half, depth: dram.attributes.width}
  spatial: {meshX: attributes.half}
- !Component
  name: two
  class: SRAM
  attributes:
    datawidth: 8
    width: 8
    depth: one.get_fanout() * spec.problem.instance["K"] + variables["BITS"]
"""
    found = {level.name: level for level in read(nodes).architecture.storage}
    assert (found["one"].block_size, found["one"].size_words) == (2, 64)
    assert found["inter_one_spatial"].mesh == (1, 1)
    assert found["one"].mesh == (2, 1)
    assert found["two"].size_words == 2 * 4 + 8
    with pytest.raises(SpecError, match=naming("later")):
        read(buffer("x: later.attributes"))


def test_attributes_of_containers_are_defaults_of_what_follows(read):
    nodes = """
- !Container {name: chip, attributes: {datawidth: 4, width: 8, depth: 2}}
- !Component {name: one, class: regfile}
- !Component {name: two, class: regfile, attributes: {depth: 5, datawidth: 8}}
- !Hierarchical
  nodes:
  - !Container {name: inner, attributes: {depth: 7}}
  - !Component {name: three, class: regfile}
- !Component {name: four, class: regfile}
"""
    levels = {level.name: (level.word_bits, level.size_words) for level in read(nodes).architecture.storage}
    assert levels["one"] == (4, 2 * 2)
    assert levels["two"] == (8, 5)
    assert levels["three"] == (4, 7 * 2)
    assert levels["four"] == (4, 2 * 2)


def test_what_is_not_enabled_is_gone_with_its_fan_out(read):
    assert read(buffer(more=", enabled: BITS > 8, spatial: {meshX: 4}")).architecture == read().architecture


def constraint(documents, level) -> LevelConstraint:
    (found,) = (one for one in documents.mapspace.levels if one.level == level)
    return found


def test_constraints_of_all_places_are_joined(read):
    nodes = buffer(more=", constraints: {temporal: {factors: [M=2, K<=4]}, dataspace: {keep: [A]}}")
    more = """
my_constraints:
  targets: [{target: buf, type: temporal, factors: "K>=2 N=3", no_reuse: [A]}]
mapping: [{target: buf, type: dataspace, bypass: [B]}, {target: buf, type: temporal, permutation: [N, M, K]}]
"""
    found = constraint(read(nodes, more), "buf")
    assert found.temporal.factors == {"M": 2, "N": 3}
    assert (found.temporal.at_most, found.temporal.at_least) == ({"K": 4}, {"K": 2})
    assert found.temporal.outer + found.temporal.inner == ("K", "M", "N")
    assert (found.keep, found.bypass, found.no_temporal_reuse) == (("A",), ("B",), ("A",))


@pytest.mark.parametrize(
    ("constraints", "factors"),
    [
        ("factors_only: [M=4]", {"M": 4, "K": 1, "N": 1}),
        ("factors_only: []", {"M": 1, "K": 1, "N": 1}),
        ("no_iteration_over_dataspaces: [B]", {"K": 1, "N": 1}),
        ("must_iterate_over_dataspaces: [B]", {"M": 1}),
        ("maximize_dims: [[M, N]], maximize_dims_capacity: 12", {"M": 4, "N": 3}),
        ("maximize_dims: [[K], [M]], maximize_dims_capacity: 16", {"K": 4, "M": 4}),
        ("factors: [M=2], maximize_dims: [K], maximize_dims_capacity: 7", {"M": 2, "K": 2}),
    ],
)
def test_macros_of_loops(read, constraints, factors):
    nodes = buffer(more=f", constraints: {{temporal: {{{constraints}}}}}")
    assert constraint(read(nodes), "buf").temporal.factors == factors


@pytest.mark.parametrize(
    ("constraints", "keep", "bypass"),
    [
        ("keep_only: [B]", ("B",), ("A", "Z")),
        ("keep_only: []", (), ("A", "B", "Z")),
        ("bypass_only: [B]", ("A", "Z"), ("B",)),
        ('keep: ["*"]', ("A", "B", "Z"), ()),
    ],
)
def test_macros_of_dataspaces(read, constraints, keep, bypass):
    found = constraint(read(buffer(more=f", constraints: {{dataspace: {{{constraints}}}}}")), "buf")
    assert (found.keep, found.bypass) == (keep, bypass)


def test_maximize_dims_fills_a_fan_out(read):
    nodes = "- !Container {name: pe, spatial: {meshX: 4}, constraints: {spatial: {maximize_dims: [[N, M]]}}}"
    documents = read(nodes)
    assert constraint(documents, "inter_pe_spatial").spatial.factors == {"N": 2, "M": 2}


def test_maximize_dims_takes_factors_that_divide_nothing(read):
    """The last tile is cut short; a smaller factor is taken if it is enough for as many rounds."""
    container = (
        "- !Container {name: pe, spatial: {meshX: %s}, constraints: {spatial: {maximize_dims: [[%s]]}}}"
    )
    found = read(container % (5, "M"), for_search=True)  # 8 in 2 rounds
    assert constraint(found, "inter_pe_spatial").spatial.factors == {"M": 4}
    assert found.mapspace.divisibility == {}
    found = read(container % (3, "M"), for_search=True)  # 8 in 3 rounds
    assert constraint(found, "inter_pe_spatial").spatial.factors == {"M": 3}
    assert found.mapspace.divisibility == {"M": "imperfect"}
    assert any("does not divide 8" in warning for warning in found.warnings)


def test_the_most_temporal_loops_of_the_mapper_bound_the_mapspace(read):
    key = "max_temporal_loops_in_a_mapping"
    assert read("", f"mapper: {{{key}: 4}}\n", for_search=True).mapspace.most_temporal_loops == 4
    assert read("", f"mapper: {{{key}: -1}}\n", for_search=True).mapspace.most_temporal_loops is None


def test_sparse_options_of_all_places_are_joined(read):
    saf = "{type: gating, options: [{target: %s, condition_on: [%s]}]}"
    nodes = buffer(more=f", sparse_optimizations: {{action_optimization: [{saf % ('A', 'B')}]}}")
    more = (
        f"sparse_optimizations: {{targets: [{{target: buf, action_optimization: [{saf % ('B', 'A')}]}}]}}\n"
    )
    policy = read(nodes, more).policy
    assert [[option.target for option in saf.options] for saf in policy.safs] == [["A"], ["B"]]


def test_templates_include_files_below_their_folders(read, tmp_path):
    files = {
        "parts/one.yaml": "a: {b: !Component {name: one, class: SRAM, attributes: "
        "{datawidth: 8, width: 8, depth: '{{ depth }}'}}}\n",
        "parts/all/x.yaml": "targets: {target: one, type: temporal, factors: [M=2]}\n",
        "parts/all/y.yaml": "targets: {target: one, type: temporal, factors: [K=2]}\n",
    }
    nodes = "{{ add_to_path('parts') }}\n- {{ include('one.yaml', 'a.b') }}"
    more = "constraints: {targets: {{ include_all('all/*.yaml', 'targets') }}}\n"
    (tmp_path / "v4.yaml").write_text(
        ARCH.format(nodes="@").replace("@", nodes.replace("\n", "\n  ")) + more + PROBLEM
    )
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    documents = read_documents([tmp_path / "v4.yaml"], for_search=True, template_data={"depth": 32})
    assert documents.architecture.storage[1].size_words == 32
    assert constraint(documents, "one").temporal.factors == {"M": 2, "K": 2}


def test_names_that_nobody_gave_have_defaults_in_templates(tmp_path):
    (tmp_path / "v4.yaml").write_text(
        "{% set bits = bits | default(8) %}a: {{ bits }}\nb: {{ 1 if c is defined else d | default(2) }}\n"
    )
    (_, data), *_ = load_files([tmp_path / "v4.yaml"])
    assert data == {"a": 8, "b": 2}


def test_keys_of_several_files_are_combined(tmp_path):
    whole = ARCH.format(nodes=buffer())
    (tmp_path / "a.yaml").write_text(whole)
    (tmp_path / "b.yaml").write_text(PROBLEM + "variables: {EXTRA: 1}\n")
    assert len(read_documents([tmp_path / "a.yaml", tmp_path / "b.yaml"]).architecture.storage) == 2
    (tmp_path / "c.yaml").write_text("variables: {BITS: 9}\n")
    with pytest.raises(SpecError, match="another value"):
        read_documents([tmp_path / name for name in ("a.yaml", "b.yaml", "c.yaml")])


def test_an_accelerator_may_stand_without_a_problem(tmp_path):
    (tmp_path / "arch.yaml").write_text(ARCH.format(nodes=buffer()))
    accelerator = load_accelerator(tmp_path / "arch.yaml")
    assert [level.name for level in accelerator.architecture.storage] == ["dram", "buf"]


@pytest.mark.parametrize(
    "nodes",
    [
        "- !Component {name: mac2, class: intmac}",
        "- !Component {name: odd, class: thing}",
        "- !Component {name: none}",
        buffer("per_dataspace_bandwidth_consumption_scale: {A: 0.5}"),
        "- !Parallel\n  nodes:\n  - !Container {name: c, spatial: {meshX: 2}}",
    ],
)
def test_nodes_that_make_no_architecture(read, nodes):
    with pytest.raises(SpecError):
        read(nodes)


def test_functions_of_files_are_run_only_when_they_are_trusted(read):
    nodes, more = buffer("size: double(BITS)"), "globals: {expression_custom_functions: [f.py]}\n"
    files = {"f.py": "def double(x):\n    return 2 * x\n"}
    with pytest.raises(SpecError, match="--trust"):
        read(nodes, more, files=files)
    assert len(read(nodes, more, files=files, trust=True).architecture.storage) == 2
    with pytest.raises(SpecError, match=r"f\.py"):
        read(nodes, more, files={"f.py": "def"}, trust=True)


@pytest.mark.parametrize("value", ["!Container 3", "!PEs [1]", "!!int x"])
def test_tags_of_values_that_have_no_meaning_are_refused(value: str) -> None:
    with pytest.raises(FormatError, match=naming(value.split()[0])):
        parse_tagged(f"a: {value}", "x")


def test_a_value_with_the_tag_of_text_is_never_an_expression() -> None:
    assert parse_tagged("a: !!str 5", "x") == {"a": "5"}
    assert isinstance(parse_tagged("a: !!str 5", "x")["a"], Quoted)
