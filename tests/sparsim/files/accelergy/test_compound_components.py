"""Compound and primitive components of Accelergy's documents: energies, areas, and mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from support.named import names, naming

from sparsim.errors import SpecError
from sparsim.estimate import Estimate, estimate, estimate_all
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.files.accelergy.reference_tables import area_reference_table, energy_reference_table
from sparsim.files.timeloop_files import components_of, load_files, read_documents
from sparsim.records.energy_table import ESTIMATED, energy_sources
from sparsim.sweep.record_paths import resolve_field, set_fields

FOLDER = Path(__file__).parents[4] / "validation" / "estimates" / "compound"
ARCH, COMPONENTS = ((FOLDER / name).read_text() for name in ("arch.yaml", "components.yaml"))
PROBLEM = """\
problem:
  version: 0.3
  shape:
    name: mm
    dimensions: [M, K, N]
    data-spaces:
    - {name: A, projection: [[[M]], [[K]]]}
    - {name: B, projection: [[[K]], [[N]]]}
    - {name: Z, projection: [[[M]], [[N]]], read-write: true}
  instance: {M: 8, K: 4, N: 6}
"""
NODES = """\
variables: {version: 0.4, technology: "45nm", global_cycle_seconds: 1e-9}
architecture:
  version: 0.4
  nodes:
  - !Container {name: chip}
  - !Component {name: Far, class: DRAM, attributes: {width: 64, datawidth: 8}}
  - !Component {name: Near, class: SRAM, subclass: mine, area_scale: 2,
                attributes: {depth: 1024, width: 32, datawidth: 8}}
  - !Container {name: pe, spatial: {meshX: 4}}
  - !Component {name: Mac, class: intmac, energy_scale: 3,
                attributes: {datawidth: 8, multiplier_width: 8, adder_width: 16}}
"""

Estimates = dict[str, Estimate]


@pytest.fixture
def estimated(tmp_path: Path) -> Callable[..., Estimates]:
    def run(*texts: str) -> Estimates:
        return components_of(load_files(written(tmp_path, *texts)))[1]

    return run


def written(folder: Path, *texts: str) -> list[Path]:
    paths = [folder / f"{i}.yaml" for i, _ in enumerate(texts)]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def pj(found: Estimate, action: str) -> float:
    return found.actions[action].energy_pj


def compound(body: str, attributes: str = "{}") -> str:
    """Documents whose level Near is a compound of its own, with attributes of the class."""
    return (
        "compound_components:\n  version: 0.4\n  classes:\n  - name: smartbuffer_mine\n"
        f"    attributes: {attributes}\n" + body
    )


def adders(actions: str, sub: str = "name: add, class: intadder, attributes: {width: 32}") -> str:
    return f"    subcomponents: [{{{sub}}}]\n    actions: {actions}\n"


def test_a_compound_is_the_sum_of_its_parts(estimated):
    near = estimated(ARCH, COMPONENTS)["Near"]
    cells = compound(
        "    subcomponents: [{name: c, class: SRAM, attributes: {width: 32, depth: 4096}}]\n"
        "    actions: [{name: read, subcomponents: [{name: c, actions: [{name: read}]}]}]\n"
    )
    adder = compound(
        adders("[{name: read, subcomponents: [{name: add, actions: [{name: add}]}]}]",
               "name: add, class: intadder, attributes: {width: 12}"))  # fmt: skip
    parts = [estimated(ARCH, text)["Near"] for text in (cells, adder)]
    assert pj(near, "read") == pytest.approx(sum(pj(part, "read") for part in parts))
    assert near.area_um2 == pytest.approx(parts[0].area_um2 + 2 * parts[1].area_um2)
    assert "CACTI" in near.actions["read"].source
    assert "Aladdin" in near.actions["read"].source


def test_a_level_costs_what_its_components_do(tmp_path):
    documents = read_documents(written(tmp_path, ARCH, COMPONENTS, PROBLEM), for_search=True)
    table = estimate_all(documents.components)
    assert list(table) == ["Far", "Near", "Reg", "Mac"]
    sources = energy_sources(documents.architecture, _table(documents))
    assert sources["Near"]["random_read"] == ESTIMATED
    assert not any("built in" in warning for warning in documents.warnings)


def _table(documents):
    return energy_table(documents.accelerator)


def test_a_table_beside_wins(tmp_path):
    ert = "ERT: {version: 0.3, tables: [{name: a.Far, actions: [{name: read, energy: 1}]}]}\n"
    documents = read_documents(written(tmp_path, ARCH, COMPONENTS, PROBLEM, ert), for_search=True)
    assert documents.components == ()
    assert documents.energy.actions == {"Far": {"read": 1.0}}


def test_version_4_leaks_and_scales(tmp_path, estimated):
    classes = compound(
        "    subcomponents: [{name: c, class: SRAM, attributes: {width: width, depth: depth}}]\n"
        "    actions:\n    - &a {name: read, subcomponents: [{name: c, actions: [{name: read}]}]}\n"
        "    - {<<: *a, name: write}\n"
        "    - {name: leak, subcomponents: [{name: c, actions: [{name: leak}]}]}\n",
        '{technology: "must_specify", width: "must_specify"}',
    ).replace("smartbuffer_mine", "mine").replace("compound_components", "components")  # fmt: skip
    documents = read_documents(
        written(tmp_path, NODES, classes, PROBLEM),
        for_search=True,
    )
    table = _table(documents)
    assert table.rules == documents.accounting == "timeloop-4"
    assert set(table.actions["Far"]) == {"read", "write", "update", "leak"}
    assert set(table.actions["Mac"]) == {"compute", "leak"}
    assert table.actions["Near"]["leak"] > 0
    assert documents.accounted("timeloop-3").components[0].energy_rules == "timeloop-3"
    once = estimated(NODES.replace(" area_scale: 2,", "").replace(" energy_scale: 3,", ""), classes)
    assert table.areas["Near"] == pytest.approx(2 * once["Near"].area_um2)
    assert table.actions["Mac"]["compute"] == pytest.approx(3 * pj(once["Mac"], "compute"))


@pytest.mark.parametrize(
    ("action", "times"),
    [
        ("{name: add, energy_scale: 3}", 3),
        ("{name: add, repeat: 2 * two}", 4),
        ("{name: add}, {name: add}", 2),
        ("{name: idle}", None),
    ],
)
def test_scales_of_actions(estimated, action, times):
    one = "[{name: read, subcomponents: [{name: add, actions: [%s]}]}]"
    found = [
        estimated(ARCH, compound(adders(one % text), "{two: 2}"))["Near"] for text in ("{name: add}", action)
    ]
    if times is None:
        assert 0 < pj(found[1], "read") < 0.1 * pj(found[0], "read")
    else:
        assert pj(found[1], "read") == pytest.approx(times * pj(found[0], "read"))


def test_scales_and_ranges_of_subcomponents(estimated):
    one = "[{name: read, subcomponents: [{name: %s, actions: [{name: add}]}]}]"
    plain = estimated(ARCH, compound(adders(one % "add")))["Near"]
    sub = 'name: "add[0..n-1]", class: intadder, energy_scale: 2, area_scale: 1/4, attributes: {width: 32}'
    many = estimated(ARCH, compound(adders(one % '"add[0..2]"', sub), "{n: 8}"))["Near"]
    assert pj(many, "read") == pytest.approx(3 * 2 * pj(plain, "read"))
    assert many.area_um2 == pytest.approx(8 * plain.area_um2 / 4)


def test_every_combination_of_arguments_is_an_action(tmp_path, estimated):
    actions = (
        '[{name: read, arguments: {rows: 1..n, odd: 0..1}, subcomponents: [{name: "add[0..rows-1]", '
        "actions: [{name: add, repeat: 1 + odd}]}]}]"
    )
    sub = 'name: "add[0..n-1]", class: intadder, attributes: {width: 32}'
    near = estimated(ARCH, compound(adders(actions, sub), "{n: 3}"))["Near"]
    assert len(near.actions) == 6
    one = pj(near, "read(odd=0, rows=1)")
    assert pj(near, "read(odd=1, rows=3)") == pytest.approx(6 * one)
    documents = read_documents(
        written(tmp_path, ARCH, compound(adders(actions, sub), "{n: 3}"), PROBLEM), for_search=True
    )
    assert _table(documents).actions["Near"] == {"read": pytest.approx(6 * one)}


def test_accesses_of_which_a_part_changes(estimated):
    text = (
        "    subcomponents: [{name: c, class: SRAM, attributes: {width: 32, depth: 512}}]\n    actions:\n"
        + "".join(
            f"    - {{name: a{d}{a}, subcomponents: [{{name: c, actions: [{{name: read, arguments: "
            f"{{data_delta: {d}, address_delta: {a}}}}}]}}]}}\n"
            for d in (0, 1)
            for a in (0, 1)
        )
    )
    near = estimated(ARCH, compound(text))["Near"]
    assert pj(near, "a10") == pytest.approx(0.7 * pj(near, "a11"))
    assert pj(near, "a01") == pytest.approx(0.3 * pj(near, "a11"))
    assert pj(near, "a00") < 0.01 * pj(near, "a11")


def test_a_component_whose_width_is_0_costs_nothing(estimated):
    actions = "[{name: read, subcomponents: [{name: add, actions: [{name: add}]}]}]"
    near = estimated(
        ARCH, compound(adders(actions, "name: add, class: intadder, attributes: {width: n}"), "{n: 0}")
    )
    assert pj(near["Near"], "read") == near["Near"].area_um2 == 0


def test_compounds_of_compounds(estimated):
    outer = compound(
        "    subcomponents: [{name: in, class: inner, attributes: {bits: 2 * width}}]\n"
        "    actions: [{name: read, subcomponents: [{name: in, actions: [{name: go, repeat: 2}]}]}]\n"
        "  - name: inner\n    attributes: {bits: must_specify}\n"
        + adders("[{name: go, subcomponents: [{name: add, actions: [{name: add}]}]}]",
                 "name: add, class: intadder, attributes: {width: bits}"),
        "{width: 16}",
    )  # fmt: skip
    flat = compound(adders("[{name: read, subcomponents: [{name: add, actions: [{name: add, repeat: 2}]}]}]"))
    found, wanted = estimated(ARCH, outer)["Near"], estimated(ARCH, flat)["Near"]
    assert pj(found, "read") == pytest.approx(pj(wanted, "read"))
    assert found.area_um2 == pytest.approx(wanted.area_um2)


@pytest.mark.parametrize("technology", ["45nm", '"45"', "45", "4.5e-8", '"45nm"'])
def test_spellings_of_a_technology(estimated, technology):
    arch = ARCH.replace("technology: 45nm", f"technology: {technology}")
    assert estimated(arch, COMPONENTS) == estimated(ARCH, COMPONENTS)


def test_arguments_choose_the_action_of_a_compound_part(estimated):
    outer = compound(
        "    subcomponents: [{name: in, class: inner}]\n"
        "    actions: [{name: read, subcomponents: [{name: in, actions: "
        "[{name: go, arguments: {n: %s}}]}]}]\n"
        "  - name: inner\n"
        + adders("[{name: go, arguments: {n: 1..12}, subcomponents: [{name: add, actions: [{name: add, "
                 "repeat: n}]}]}]")
    )  # fmt: skip
    found = {n: pj(estimated(ARCH, outer % n)["Near"], "read") for n in (1, 2, 12)}
    assert found == {n: pytest.approx(n * found[1]) for n in found}


def test_placeholders_mean_nothing(estimated):
    arch = ARCH.replace("class: regfile, attributes: {", "class: regfile, attributes: {technology: -1, ")
    found = estimated(arch, COMPONENTS)["Reg"]
    assert (pj(found, "read"), pj(found, "idle"), found.area_um2) == (1, 0, 1)


def test_a_guess_is_named(tmp_path):
    arch = ARCH.replace("class: regfile", "class: storage").replace("class: intmac", "class: compute")
    documents = read_documents(written(tmp_path, arch, COMPONENTS, PROBLEM), for_search=True)
    (text,) = [warning for warning in documents.warnings if "guess" in warning]
    assert "Reg (taken as a register file)" in text
    assert "Mac (taken as an integer MAC)" in text
    assert "Near" not in text


NEAR_SUB = "[{name: read, subcomponents: [{name: add, actions: [{name: add}]}]}]"


@pytest.mark.parametrize(
    ("components", "words"),
    [
        (COMPONENTS.replace("class: SRAM", "class: SRAN"), "SRAN SRAM"),
        (COMPONENTS.replace("smartbuffer_mine", "smartbuffer_other"), "smartbuffer_mine"),
        (COMPONENTS.replace("width: memory_width, ", ""), "width memory_width"),
        (COMPONENTS.replace("memory_width: must", "banks: must"), "banks"),
        (COMPONENTS.replace("class: intadder", "class: smartbuffer_mine"), "smartbuffer_mine itself"),
        (COMPONENTS.replace("log2(memory_depth)", "log2(memory_dept)"), "memory_dept memory_depth"),
        (COMPONENTS.replace('"addr[0]"', "adr"), "adr addr"),
        (COMPONENTS.replace("[{name: write}]", "[{name: wirte}]"), "wirte write"),
        (COMPONENTS.replace("[0..1]", "[3..1]"), "addr[3..1]"),
        (COMPONENTS.replace("[0..1]", "[0..9**9**9]"), "refused"),
        (compound(adders(NEAR_SUB, "name: add, class: intadder, energy_scale: -1, attributes: {width: 8}")),
         "energy_scale -1 0"),
        (compound(adders("[{name: read, arguments: {n: 1..10**6}, subcomponents: []}]")), "combinations"),
        (compound(adders(NEAR_SUB, "name: add, class: wire, attributes: {width: 8, length: 2 miles}")),
         "length miles mm"),
        (compound(adders(NEAR_SUB, "name: add, class: intadder, attributes: {width: add.__class__}")),
         "add"),
        (compound(adders(NEAR_SUB, "name: add, class: intadder, attributes: {width: 8, "
                         "global_cycle_seconds: 0}")), "global_cycle_seconds 0"),
        (compound(adders(NEAR_SUB.replace("name: read", 'name: "read("'))), "actions[0].name read("),
        (compound(adders(NEAR_SUB, "name: add, class: intadder, attributes: {width: 10**40}")),
         "0.yaml width 1e+40"),
        ("compound_components: {version: 0.4, classes: [{name: x}, {name: x, attributes: {a: 1}}]}\n",
         "x defined"),
    ],
)  # fmt: skip
def test_mistakes_are_named(estimated, components, words):
    with pytest.raises(SpecError) as error:
        estimated(ARCH, components)
    assert "\n" not in str(error.value)
    assert names(error.value, words)


def test_classes_that_use_each_other_many_times_are_bounded(estimated):
    classes = "".join(
        dedent(f"""\
          - name: c{i}
            subcomponents:
        """) + "".join(f"    - {{name: s{k}, class: c{i + 1}}}\n" for k in range(10)) + "    actions: []\n"
        for i in range(9)
    )  # fmt: skip
    text = "compound_components:\n  version: 0.4\n  classes:\n" + classes.replace(
        "\n  subcomponents", "\n    subcomponents"
    ).replace("- name: c", "  - name: c")
    text = text.replace("name: c0", "name: smartbuffer_mine")
    with pytest.raises(SpecError, match=naming("5000")):
        estimated(
            ARCH,
            text + "  - {name: c9, subcomponents: [{name: a, class: intadder, attributes: {width: 1}}]}\n",
        )


def test_sweeps_reach_the_sizes_of_parts(tmp_path, estimated):
    documents = read_documents(written(tmp_path, ARCH, COMPONENTS, PROBLEM), for_search=True)
    holder = {"architecture": documents.architecture, "components": documents.components}
    field = resolve_field("components.Near.parts.cells.attributes.depth", holder)
    halved = set_fields(holder, [(field, 2048)])["components"]
    cells = next(part for part in halved[1].parts if part.name == "cells")
    assert estimate(cells).area_um2 == pytest.approx(
        0.5 * estimate(documents.components[1].parts[0]).area_um2, rel=0.1
    )
    assert estimate_all(halved)["Near"].area_um2 < estimated(ARCH, COMPONENTS)["Near"].area_um2


def test_written_tables_give_the_same_energies(tmp_path, estimated):
    described, estimates = components_of(load_files(written(tmp_path, ARCH, COMPONENTS)))
    assert described.paths["Reg"] == "system.chip.pe[0..3].Reg"
    tables = [
        yaml.safe_dump(make(estimates, described.paths))
        for make in (energy_reference_table, area_reference_table)
    ]
    documents = read_documents(written(tmp_path, ARCH, PROBLEM, *tables), for_search=True)
    for name, found in estimates.items():
        assert documents.energy.areas[name] == pytest.approx(found.area_um2)
        for action, energy in found.actions.items():
            assert documents.energy.actions[name][action] == pytest.approx(energy.energy_pj)
