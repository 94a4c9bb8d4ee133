"""What public document sets of version 0.4 need: folders of templates, custom functions, CiMLoop's arrays."""

from pathlib import Path

import pytest
from support.named import naming

from sparsim.errors import FormatError, SpecError
from sparsim.files.timeloop_files import components_of, load_files, read_documents

PROBLEM = """\
problem:
  version: 0.4
  shape:
    name: mm
    dimensions: [M, K]
    data_spaces:
    - {name: A, projection: [[[M]], [[K]]]}
    - {name: Z, projection: [[[M]]], read_write: true}
  instance: {M: 8, K: 4}
"""
ARCHITECTURE = """\
variables: {version: 0.4, TECHNOLOGY: "45nm", GLOBAL_CYCLE_SECONDS: 1e-9}
architecture:
  version: 0.4
  nodes:
  - !Component {name: dram, class: DRAM, attributes: {width: 32, datawidth: 8}}
  - !Component {name: buf, class: SRAM, subclass: %s, attributes: {width: 8, datawidth: 8, depth: %s}}
  - !Container {name: pe, spatial: {meshX: 4, meshY: 2}}
  - !Component {name: mac, class: intmac, subclass: free}
"""
COMPONENTS = """\
components:
  version: 0.4
  classes:
  - - [{name: free, attributes: {}, subcomponents: [], actions: [{name: compute, subcomponents: []}]}]
  - - - name: mine
        attributes: {technology: must_specify, words: times(depth)}
        subcomponents:
        - {name: store, class: SRAM, attributes: {width: 8, depth: words, datawidth: 8}}
        actions:
        - {name: read, subcomponents: [{name: store, actions: [{name: read}]}]}
        - {name: write, subcomponents: [{name: store, actions: [{name: write}]}]}
        - {name: update, subcomponents: [{name: store, actions: [{name: write}]}]}
        - {name: leak, subcomponents: [{name: store, actions: [{name: leak}]}]}
"""
FUNCTIONS = "globals: {expression_custom_functions: [f.py]}\n"
TIMES = "def times(x):\n    return 8 * x\n"
CIMLOOP = """\
variables:
- {version: 0.4, technology: "45nm", global_cycle_seconds: 1e-9}
- ARRAY_WORDLINES: Set by the program.
  TWICE: 2 * ARRAY_WORDLINES + LATER
  ARRAY_BITLINES: Set by the program.
  CIM_ARCHITECTURE: true
  CIM_UNIT_DEPTH_CELLS: 3
  CIM_UNIT_WIDTH_CELLS: LATER + 1
  ROWS: 2
  LATER: 1
  OFTEN: sum(INPUTS_HIST)
architecture:
  version: 0.4
  nodes:
  - !Component {name: dram, class: DRAM, attributes: {width: 32, datawidth: 8}}
  - !ArrayContainer {name: column, spatial: {meshX: 4}, max_utilization: {spatial: {factors: [M=4]}},
                     constraints: {spatial: {no_reuse: [A], factors: [M=4]}}}
  - !Hierarchical
    nodes: [!ArrayContainer {name: row, spatial: {meshY: ROWS}}]
  - !Component {name: buf, class: SRAM, attributes: {datawidth: TWICE * ARRAY_BITLINES, width: datawidth,
                depth: ARRAY_PARALLEL_A * OFTEN}}
  - !Component {name: mac, class: intmac}
"""
HISTOGRAMS = "  notes: of CiMLoop\n  histograms: {Inputs: [1, 2, 2]}\n"


@pytest.fixture
def write(tmp_path):
    def write(**texts: str) -> Path:
        for name, text in texts.items():
            path = tmp_path / name.replace("__", "/").replace("_yaml", ".yaml").replace("_py", ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def test_templates_read_other_folders_only_where_they_are_allowed(write):
    folder = write(
        base_yaml=PROBLEM, layers__one_yaml="{{ include_text('../base.yaml') }}", empty_yaml="a: 1"
    )
    layer = folder / "layers" / "one.yaml"
    with pytest.raises(FormatError, match="--include"):
        load_files([layer])
    ((_, data),) = load_files([layer], include=[folder])
    assert data["problem"]["instance"]["M"] == 8
    write(layers__two_yaml="{{ include_text('base.yaml') }}")
    ((_, found),) = load_files([folder / "layers" / "two.yaml"], include=[folder])
    assert found == data


@pytest.mark.parametrize("place", ["beside", "searched", "included"])
def test_functions_are_found_where_templates_search(write, place):
    top = {
        "beside": "{# a template #}" + FUNCTIONS,
        "searched": "{{ add_to_path('parts') }}\n" + FUNCTIONS,
        "included": "added_ignore: {{ include('parts/with.yaml', 'it') }}\n",
    }[place]
    where = {"f_py": TIMES} if place == "beside" else {"parts__f_py": TIMES}
    folder = write(
        top_yaml=top + ARCHITECTURE % ("mine", 32) + COMPONENTS,
        parts__with_yaml=FUNCTIONS + "it: 1\n",
        **where,
    )
    files = load_files([folder / "top.yaml"])
    with pytest.raises(SpecError, match="--trust"):
        components_of(files)
    described, estimates = components_of(files, trust=True)
    assert described.components[1].parts[0].attributes["depth"] == 256
    assert estimates["mac"].actions["compute"].energy_pj == 0


def test_expressions_see_the_fanout_of_later_nodes_and_optional_variables(write):
    depth = "pe.get_fanout() * pe.spatial.meshX + (variables.get('NONE') or 1)"
    folder = write(top_yaml=ARCHITECTURE % ("smartbuffer_SRAM", depth) + PROBLEM)
    documents = read_documents([folder / "top.yaml"], for_search=True)
    assert documents.architecture.storage[1].size_words == 8 * 4 + 1


def test_arrays_of_cimloop_are_variables(write):
    folder = write(top_yaml=CIMLOOP + PROBLEM + HISTOGRAMS)
    documents = read_documents([folder / "top.yaml"], for_search=True)
    column, row, buffer = documents.architecture.storage[1:4]
    assert (column.name, row.name) == ("inter_column_spatial", "inter_row_spatial")
    words, lines = 2 * (2 * 3) + 1, 4 * (1 + 1)
    assert buffer.size_words == 4 * (1 + 2 + 2)
    assert buffer.word_bits == words * lines
    splits = {level.level: level.spatial.split_x for level in documents.mapspace.levels if level.spatial}
    assert splits["inter_column_spatial"] >= 2
    assert splits["inter_row_spatial"] == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("meshX: 4", "meshX: 4, meshY: 2"),
        ("meshX: 4", "meshX: ROWS + 1"),
        ("  CIM_ARCHITECTURE: true\n", ""),
        ("  CIM_UNIT_DEPTH_CELLS: 3\n", ""),
    ],
)
def test_what_is_no_array_is_refused(write, old, new):
    folder = write(top_yaml=CIMLOOP.replace(old, new) + PROBLEM)
    with pytest.raises(SpecError):
        read_documents([folder / "top.yaml"], for_search=True)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("arch: {nodes: [!Memory {name: far}]}\n" + PROBLEM, "AccelForge"),
        (ARCHITECTURE % ("regfile", 1) + PROBLEM + "mapping: {type: fused, nodes: []}\n", "LoopTree"),
    ],
)
def test_documents_of_other_programs_are_refused_by_name(write, text, name):
    folder = write(top_yaml=text)
    with pytest.raises(SpecError, match=naming(name)):
        read_documents([folder / "top.yaml"])
