"""Components: compounds, documents, energy tables, and what users get wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.component_documents import PE
from support.examples import accelerator
from support.named import names, naming

from sparsim import EnergyTable, dump
from sparsim.errors import SpecError
from sparsim.estimate import Component, estimate, estimate_all, estimate_table
from sparsim.files.sparsim_yaml import load_text
from sparsim.records.energy_table import resolve_energy


def component(text: str) -> Component:
    """The one component of a document."""
    (found,) = load_text(f"sparsim: 1\ncomponents:\n- {text}\n", "chip.yaml").components
    return found


def test_document_there_and_back() -> None:
    components = load_text(PE).components
    assert [c.name for c in components] == ["DRAM", "GLB", "spad", "MAC", "wires"]
    assert components[2].parts[1].count == 2
    assert load_text(dump(*components)).components == components
    assert "class: compound" in dump(*components)


def test_compound_is_the_sum_of_its_parts() -> None:
    spad = load_text(PE).components[2]
    storage = estimate(
        Component(name="s", class_name="regfile", node_nm=65, attributes=spad.parts[0].attributes)
    )
    adder = estimate(Component(name="a", class_name="adder", node_nm=65, attributes={"width_bits": 6}))
    found = estimate(spad)
    assert found.area_um2 == pytest.approx(storage.area_um2 + 2 * adder.area_um2, rel=1e-12)
    add_pj = adder.actions["add"].energy_pj
    read_pj = storage.actions["read"].energy_pj + add_pj
    assert found.actions["read"].energy_pj == pytest.approx(read_pj, rel=1e-12)
    write_pj = storage.actions["write"].energy_pj + 0.5 * add_pj
    assert found.actions["write"].energy_pj == pytest.approx(write_pj, rel=1e-12)
    assert found.actions["idle"].energy_pj == 0.0
    assert storage.actions["read"].source in found.actions["read"].source
    assert adder.actions["add"].source in found.actions["read"].source


def test_nested_compound_takes_node_and_rules_from_outside() -> None:
    bank = "{name: bank, class: sram, attributes: {width_bits: 8, depth_words: 192}}"
    half = f"{{name: half, class: compound, count: 2, parts: [{bank}], actions: {{read: {{bank.read: 3}}}}}}"
    actions = "{r: {half.read: 2}}"
    text = f"{{name: glb, class: compound, RULES node_nm: 45, parts: [{half}], actions: {actions}}}"
    plain = estimate(component(text.replace("RULES", "")))
    assert plain.actions["r"].energy_pj == pytest.approx(6 * 0.331103)
    assert plain.area_um2 == pytest.approx(2 * 763.286)
    old = estimate(component(text.replace("RULES", "rules: accelergy-2022,")))
    assert old.actions["r"].energy_pj == pytest.approx(6 * 0.476779)  # CACTI is asked for 256 bytes
    own = estimate(component(text.replace("RULES", "").replace("class: sram,", "class: sram, node_nm: 65,")))
    assert own.actions["r"].energy_pj > plain.actions["r"].energy_pj


@given(
    st.dictionaries(
        st.sampled_from(["a.read", "b.read", "b.write", "c.add"]), st.just(0.0) | st.floats(1e-3, 1e6)
    )
)
def test_uncertainty_of_a_sum_lies_between_those_of_its_terms(terms: dict[str, float]) -> None:
    parts = (
        Component(name="a", class_name="sram", attributes={"width_bits": 16, "depth_words": 64}),
        Component(name="b", class_name="sram", attributes={"width_bits": 20, "depth_words": 500}),
        Component(name="c", class_name="adder", attributes={"width_bits": 8}),
    )
    whole = Component(name="x", class_name="compound", node_nm=45, parts=parts, actions={"go": terms})
    found = estimate(whole).actions["go"]
    known = {part.name: estimate(replace(part, node_nm=45)).actions for part in parts}
    each = {term: known[term[0]][term[2:]] for term in terms}
    assert found.energy_pj == pytest.approx(sum(n * each[t].energy_pj for t, n in terms.items()))
    if "c.add" in terms:
        assert found.uncertainty is None
    elif found.energy_pj:
        errors = [each[term].uncertainty for term in terms]
        assert min(errors) - 1e-12 <= found.uncertainty <= max(errors) + 1e-12
    else:
        assert found.uncertainty == 0.0


def test_table_is_what_the_model_takes() -> None:
    components = load_text(PE).components
    table = estimate_table(components, name="chip")
    estimates = estimate_all(components)
    assert table.source == "sparsim estimate, rules default"
    assert table.wire_pj_per_bit_mm == pytest.approx(0.3254)
    resolved = resolve_energy(accelerator(), table)
    assert resolved.storage[0][:2] == (512, 512)
    assert resolved.storage[1][:2] == (3.62123, 3.47191)  # CACTI's, 1024 words of 16 bits at 65 nm
    assert resolved.storage[2][3] == 0.0  # a gated read idles
    assert resolved.compute[1] == estimates["MAC"].actions["mac_gated"].energy_pj
    assert resolved.areas[2] == pytest.approx(estimates["spad"].area_um2, rel=1e-6)
    assert load_text(dump(table)).energy == table


def test_table_without_wires_and_with_two_rule_sets() -> None:
    adder = Component(name="a", class_name="adder", node_nm=45, attributes={"width_bits": 8})
    other = Component(
        name="b", class_name="adder", node_nm=45, rules="accelergy-2022", attributes={"width_bits": 8}
    )
    table = estimate_table([adder, other])
    assert table.wire_pj_per_bit_mm is None
    assert table.source == "sparsim estimate, rules accelergy-2022, default"
    assert table.actions["b"]["add"] == 0.021425
    assert isinstance(table, EnergyTable)


SRAM = "name: s, class: sram, node_nm: 45"
PARTS = "parts: [{name: a, class: adder, attributes: {width_bits: 8}}]"

# (component, message), while the document is read
UNREADABLE = [
    (f"{{{SRAM}, atributes: {{}}}}",
     "chip.yaml:3 components[0] atributes attributes"),
    ("{name: s, clas: sram}", "chip.yaml:3 components[0] clas class"),
    ("{name: s}", "chip.yaml:3 components[0] class"),
    ("{name: s, class: sram, node_nm: 65nm}",
     "chip.yaml:3 components[0].node_nm 65nm"),
    ("{name: s, class: sram, node_nm: 65e-9}",
     "chip.yaml:3 components[0] node_nm 6.5e-08 7 130 65 65e-9"),
    ("{name: s, class: sram, node_nm: 5}",
     "chip.yaml:3 components[0] node_nm 5 7 130"),
    ("{name: s, class: sram, node_nm: .nan}",
     "chip.yaml:3 components[0] node_nm 7 130"),
    (f"{{{SRAM}, attributes: {{width_bits: [8]}}}}",
     "chip.yaml:3 components[0].attributes.width_bits"),
    (f"{{{SRAM}, count: 0}}", "chip.yaml:3 components[0] count 0 1"),
    (f"{{{SRAM}, {PARTS}}}",
     "chip.yaml:3 components[0] parts"),
    ("{name: s, class: compound}", "chip.yaml:3 components[0] parts"),
    (f"{{name: s, class: compound, {PARTS}, attributes: {{width_bits: 8}}}}",
     "chip.yaml:3 components[0] compound cannot"),
    ("{name: s, class: compound, parts: [{name: a, class: adder}, {name: a, class: sram}]}",
     "chip.yaml:3 components[0] a"),
    (f"{{name: s, class: compound, {PARTS}, actions: {{read: {{a.add: -1}}}}}}",
     "chip.yaml:3 components[0] a.add read -1 0"),
    (f"{{name: s, class: compound, {PARTS}, actions: {{read: {{a.add: .nan}}}}}}",
     "chip.yaml:3 components[0] a.add read 0"),
]  # fmt: skip

# (component, message), while it is estimated
WRONG = [
    ("{name: s, class: sarm, node_nm: 45}", "sarm sram"),
    ("{name: s, class: compond, node_nm: 45}",
     "compond compound"),
    ("{name: s, class: sram, node_nm: 45, rules: accelergy-2023}",
     "accelergy-2023 accelergy-2022"),
    ("{name: s, class: sram}", "node_nm"),
    ("{name: d, class: dram, node_nm: 45, attributes: {type: HBM2, width_bits: 64}}",
     "node_nm 45"),
    ("{name: d, class: dram, attributes: {type: LPDR4, width_bits: 64}}",
     "DRAM LPDR4 LPDDR4"),
    ("{name: d, class: dram, attributes: {type: 4, width_bits: 64}}",
     "type 4"),
    (f"{{{SRAM}, attributes: {{width: 8, depth_words: 64}}}}",
     "width width_bits"),
    (f"{{{SRAM}, attributes: {{width_bits: 8}}}}", "depth_words"),
    *[(f"{{{SRAM}, attributes: {{width_bits: 8, depth_words: {value}}}}}",
       f"component s depth_words {shown}")
      for value, shown in (("0", "0"), ("-64", "-64"), ("64.5", "64.5"), ("64.0", "64.0"), ("1k", "'1k'"))],
    *[(f"{{{SRAM}, attributes: {{width_bits: 8, depth_words: 64, cycle_ns: {value}}}}}",
       f"component s cycle_ns {shown} 0")
      for value, shown in (("0", "0"), (".nan", "nan"), (".inf", "inf"), ("5ns", "'5ns'"))],
    (f"{{{SRAM}, attributes: {{width_bits: 8, depth_words: 64, ports: 3}}}}",
     "ports 3 1 2"),
    (f"{{name: s, class: compound, node_nm: 45, {PARTS}, actions: {{read: {{add: 1}}}}}}",
     "read add PART.ACTION"),
    (f"{{name: s, class: compound, node_nm: 45, {PARTS}, actions: {{read: {{b.add: 1}}}}}}",
     "read b"),
    (f"{{name: s, class: compound, node_nm: 45, {PARTS}, actions: {{read: {{a.read: 1}}}}}}",
     "read a"),
    (f"{{name: s, class: compound, {PARTS}}}", "node_nm"),
    ("{name: s, class: adder, count: 2, node_nm: 45, attributes: {width_bits: 8}}",
     "count 2"),
    ("{name: s, class: adder, rules: accelergy-2022, node_nm: 65, attributes: {width_bits: 8}}",
     "node_nm 65 accelergy-2022 45"),
    (f"{{{SRAM}, rules: accelergy-2022, attributes: {{width_bits: 4, depth_words: 999}}}}",
     "width_bits 4 8 128"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), UNREADABLE)
def test_unreadable(text: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        component(text)
    assert names(error.value, message)


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_wrong(text: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        estimate_all([component(text)])
    assert names(error.value, message)


def test_true_is_no_number() -> None:
    part = Component(name="a", class_name="adder", node_nm=45, attributes={"width_bits": True})
    with pytest.raises(SpecError, match=naming("width_bits True")):
        estimate(part)


def test_equal_names() -> None:
    adder = Component(name="a", class_name="adder", node_nm=45, attributes={"width_bits": 8})
    with pytest.raises(SpecError, match=naming("a")):
        estimate_table([adder, adder])
