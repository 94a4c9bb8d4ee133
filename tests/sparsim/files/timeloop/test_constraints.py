"""Constraints and mapper options in Timeloop's documents: every form, and what is refused."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from support.documents import DOCUMENTS
from support.named import names

from sparsim.errors import SpecError
from sparsim.files.documents import Documents
from sparsim.files.sparsim_yaml import dump, load_text
from sparsim.files.timeloop.read_documents import documents_from
from sparsim.files.yaml_reading import parse_yaml
from sparsim.mapper.covered_parts import list_parts
from sparsim.mapper.indexed_mapspace import lower_mapspace, sizes
from sparsim.records import LevelConstraint, Mapspace, NestConstraint
from sparsim.records.mapper_options import MapperOptions

BASE = [(name, parse_yaml(DOCUMENTS[name], name)) for name in ("arch.yaml", "problem.yaml")]


def read(text: str, base=BASE) -> Documents:
    return documents_from([*base, ("c.yaml", parse_yaml(text, "c.yaml"))], for_search=True)


def mapspace(items: str) -> Mapspace:
    return read(f"mapspace:\n{items}").mapspace


FORMS = {
    "list": """\
mapspace:
- {target: GLB, type: spatial, factors: N=4, permutation: NMK}
- {target: spad, type: temporal, factors: 'M<=2 N=1'}
""",
    "constraints": """\
mapspace_constraints:
  version: 0.3
  template: uber
  constraints:
  - {name: GLB, type: spatial, factors: N4, permutation: N M K}
  - {name: spad, type: temporal, factors: 'M <= 2, N = 1 # few'}
""",
    "named list": """\
mapspace:
  constraints: mine
  constraints_mine:
  - {target: 1, type: spatial, factors: N=0, permutation: NMK_}
  - {target: spad, type: temporal, factors: M<=2 N1}
""",
    "targets": """\
mapspace:
  targets:
  - {target: GLB, type: spatial, attributes: {factors: N=4, permutation: NMK}}
  - {target: spad, constraints: [{type: temporal, attributes: {factors: N=1 M<=2}}]}
""",
    "architecture": """\
architecture_constraints:
- {target: GLB, type: spatial, factors: N=4, permutation: NMK}
mapspace:
- {target: spad, type: temporal, factors: 'M<=2 N=1'}
""",
    "short name": """\
arch_constraints:
  targets:
  - {target: GLB, constraints: [{type: spatial, factors: N=4}, {type: spatial, permutation: NMK}]}
mapspace:
- {target: spad, type: temporal, factors: 'M<=2'}
- {target: spad, type: temporal, factors: 'N=1'}
""",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_every_form_says_the_same(text):
    found = read(text)
    assert found.warnings == ()
    levels = {level.level: level for level in found.mapspace.levels}
    assert set(levels) == {"GLB", "spad"}
    spread = levels["GLB"].spatial
    assert (spread.inner, spread.outer) == (("K", "M", "N"), ())
    assert spread.factors["N"] in (0, 4)  # 0 is the whole bound, which is 4
    assert levels["spad"].temporal == NestConstraint(at_most={"M": 2}, factors={"N": 1})
    assert sizes(lower_mapspace(found.accelerator, found.layer())).factorisations == 16 * 20


def test_constraints_inside_the_architecture_come_first():
    arch = DOCUMENTS["arch.yaml"] + "  constraints:\n  - {target: spad, type: temporal, factors: K=8}\n"
    base = [("arch.yaml", parse_yaml(arch, "arch.yaml")), BASE[1]]
    found = read("arch_constraints:\n- {target: spad, type: temporal, factors: K=2}\n", base)
    assert found.mapspace.levels == (
        LevelConstraint(level="spad", temporal=NestConstraint(factors={"K": 8})),
    )
    (warning,) = found.warnings
    assert names(warning, "c.yaml:1 arch_constraints constraints")


def test_all_fields():
    found = mapspace(
        """\
- {target: DRAM, type: temporal, permutation: K_M, default_max_factor: 4, no_temporal_reuse: [Z]}
- {target: GLB, type: spatial, factors: 'M>=2 N = 4 M<=4', split: 1, default_min_factor: 1,
   no_link_transfer: [A], no_multicast_no_reduction: [B, Z]}
- {target: GLB, type: datatype, keep: [A], bypass: [Z]}
- {target: spad, type: bypassing, keep: [Z]}
- {target: spad, type: utilization, min: 0.5}
"""
    )
    assert found == Mapspace(
        min_parallelism=0.5,
        levels=(
            LevelConstraint(
                level="DRAM",
                temporal=NestConstraint(inner=("K",), outer=("M",), default_at_most=4),
                no_temporal_reuse=("Z",),
            ),
            LevelConstraint(
                level="GLB",
                spatial=NestConstraint(
                    factors={"N": 4}, at_least={"M": 2}, at_most={"M": 4}, split_x=1, default_at_least=1
                ),
                keep=("A",),
                bypass=("Z",),
                no_link_transfer=("A",),
                no_multicast_no_reduction=("B", "Z"),
            ),
            LevelConstraint(level="spad", keep=("Z",)),
        ),
    )
    assert load_text(dump(found)).mapspace == found


@pytest.mark.parametrize(
    ("text", "outer", "inner"),
    [("MN_K", ("K",), ("N", "M")), ("K_MN", ("N", "M"), ("K",)), ("_N M", ("M", "N"), ())],
)
def test_permutations_list_the_innermost_dim_first(text, outer, inner):
    nest = mapspace(f"- {{target: DRAM, type: temporal, permutation: {text}}}").levels[0].temporal
    assert (nest.outer, nest.inner) == (outer, inner)


def test_no_constraints_are_the_free_mapspace():
    assert read("mapspace: {template: uber}").mapspace == Mapspace()
    assert documents_from(BASE, for_search=True).mapspace == Mapspace()


def test_factor_beyond_the_bound_is_ignored_with_a_warning():
    found = read("mapspace:\n- {target: spad, type: temporal, factors: N=5 K=2}\n")
    assert found.mapspace.levels[0].temporal.factors == {"K": 2}
    (warning,) = found.warnings
    assert names(warning, "c.yaml:2 mapspace[0].factors N=5 N 4")


def test_at_the_outermost_level_the_later_bypass_counts():
    found = read(
        "mapspace:\n- {target: DRAM, type: bypass, bypass: [A, B]}\n"
        "architecture_constraints:\n- {target: DRAM, type: bypass, keep: [A]}\n"
    )
    assert found.mapspace.levels == (LevelConstraint(level="DRAM", keep=("A",), bypass=("B",)),)


TWICE = {
    "factor": ("factors: K=2", "factors: K=4", "'K=' at spad, temporal"),
    "upper limit": ("factors: K<=2", "factors: K<=2", "'K<=' at spad, temporal"),
    "permutation": ("permutation: K", "permutation: M", "permutation at spad, temporal"),
    "default": ("default_max_factor: 2", "default_max_factor: 2", "'default_max_factor' at spad, temporal"),
    "flag": ("no_temporal_reuse: [A]", "no_temporal_reuse: []", "'no_temporal_reuse' at spad, temporal"),
}


@pytest.mark.parametrize(("first", "second", "what"), TWICE.values(), ids=TWICE)
def test_nothing_is_constrained_twice(first, second, what):
    head = "- {target: spad, type: temporal, "
    text = f"mapspace:\n{head}{first}}}\narchitecture_constraints:\n{head}{second}}}\n"
    key = first.partition(":")[0]
    with pytest.raises(SpecError) as error:
        read(text)
    assert names(error.value, f"c.yaml:4 architecture_constraints[0].{key} {what} c.yaml:2 mapspace[0].{key}")


def test_a_limit_and_a_factor_of_one_dim_are_two_things():
    nest = mapspace("- {target: spad, type: temporal, factors: K=2 K<=4 K>=2}").levels[0].temporal
    assert nest == NestConstraint(factors={"K": 2}, at_most={"K": 4}, at_least={"K": 2})


WRONG = {
    "{target: spda, type: temporal}": "target spda spad",
    "{target: 3, type: temporal}": "target 3 0 2",
    "{type: temporal}": "target",
    "{target: spad}": "type",
    "{target: spad, type: temporl}": "type temporl temporal",
    "{target: spad, type: max_overbooked_proportion, proportion: 0.1}": "type overbooking",
    "{target: spad, type: temporal, factors: Q=2}": "factors Q M N K",
    "{target: spad, type: temporal, factors: K<4}": "factors K<4 D=f D<=f D>=f",
    "{target: spad, type: temporal, factors: K<=0}": "factors 0 1",
    "{target: spad, type: temporal, factors: 'K=3,4'}": "factors K=3,4 D=f,r",
    "{target: spad, type: temporal, remainders: 2}": "remainders ruby",
    "{target: spad, type: temporal, permutation: KQ}": "permutation Q M N K",
    "{target: spad, type: temporal, permutation: K_K}": "permutation K K_K",
    "{target: GLB, type: spatial, split: -1}": "split -1 0",
    "{target: GLB, type: temporal, default_max_factor: 0}": "default_max_factor 0 1",
    "{target: GLB, type: bypass, keep: [C]}": "keep C A B Z",
    "{target: GLB, type: bypass, keep: [A], bypass: [A]}": "bypass A keep",
    "{target: GLB, type: parallelism, min: 1}": "parallelism GLB spad",
    "{target: spad, type: parallelism, min: 1.5}": "min 1.5 0 1",
    "{target: spad, type: spatial}": "spad spatial fan-out MAC",
}


@pytest.mark.parametrize(("item", "words"), WRONG.items(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_place(item, words):
    with pytest.raises(SpecError) as error:
        mapspace(f"- {item}")
    assert error.value.path.startswith("c.yaml:2: mapspace[0]")
    assert names(error.value, words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{template: rubi}", "mapspace.template rubi ruby"),
        (
            "{constraints: mine}",
            "mapspace.constraints constraints_mine",
        ),
        ("3", "3"),
        (".nan", "mapspace nan mapping"),
    ],
)
def test_wrong_documents(text, message):
    with pytest.raises(SpecError) as error:
        read(f"mapspace: {text}")
    assert names(error.value, f"c.yaml:1 {message}")


def test_the_template_ruby_makes_dims_imperfect_and_says_so():
    items = "  targets: [{target: spad, type: temporal, factors: M<=2, remainders: 4}]\n"
    found = read(f"mapspace:\n  template: ruby\n{items}")
    assert found.mapspace.divisibility == dict.fromkeys("MNK", "imperfect")
    assert found.mapspace.most_padding > 0
    (warning,) = found.warnings
    assert "imperfect factors of M, N, K" in warning
    part = list_parts(replace(found.accelerator, mapspace=found.mapspace), found.layer())
    assert len(part) > 1


def test_ruby_leaves_dims_that_move_a_window_perfect():
    problem = """\
problem:
  shape: cnn-layer
  instance: {R: 3, S: 3, P: 7, Q: 7, C: 5, K: 6, N: 1}
"""
    base = [BASE[0], ("problem.yaml", parse_yaml(problem, "problem.yaml"))]
    found = read("mapspace: {template: ruby}", base)
    assert set(found.mapspace.divisibility) == {"C", "K"}
    assert "moves a window" in found.warnings[0]


def test_an_imperfect_factor_is_an_imperfect_dim_with_room_for_it():
    found = read("mapspace: [{target: spad, type: temporal, factors: 'K=3,2'}]")
    space = found.mapspace
    assert (space.divisibility, space.levels[0].temporal.factors) == ({"K": "imperfect"}, {"K": 3})
    assert space.most_padding == pytest.approx(9 / 8 - 1)
    assert {part.layer.bounds["K"] for part in list_parts(found.accelerator, found.layer())} == {9}


def test_unknown_keys_are_warned_of():
    found = read("mapspace:\n- {target: spad, type: temporal, factor: K=2}\n")
    assert found.warnings == (
        "c.yaml:2: mapspace[0].factor: unknown key is ignored (did you mean 'factors'?)",
    )


def test_mapper_options():
    found = read(
        """\
mapper:
  algorithm: random-pruned
  optimization-metrics: [delay, accesses-GLB]
  num-threads: 3
  search_size: 10
  heartbeat: 200
  victory-condition: 600
  max-permutations-per-if-visit: 4
  filter-revisits: true
  penalize-consecutive-bypass-fails: yes
  sync-interval: 5
  live-status: false
"""
    )
    assert found.warnings == ()
    assert found.mapper == MapperOptions(metrics=("delay", "accesses-GLB"), threads=3)


def test_mapper_options_have_timeloops_defaults():
    assert read("mapper: {optimization-metric: energy}").mapper == MapperOptions(metrics=("energy",))
    assert read("mapper: {}").mapper == documents_from(BASE, for_search=True).mapper == MapperOptions()
    assert documents_from(BASE).mapper is None


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("algorithm: hybird", "hybird hybrid"),
        (
            "optimization-metric: dealy",
            "dealy delay",
        ),
        (
            "optimization-metrics: [edp, accesses-GBL]",
            "accesses-GBL accesses-GLB",
        ),
        ("num-threads: 0", "0 1"),
        ("search_size: -1", "search_size -1 0"),
        ("timeout: soon", "soon 64"),
    ],
)
def test_wrong_mapper_options(option, message):
    with pytest.raises(SpecError) as error:
        read(f"mapper:\n  {option}\n")
    assert names(error.value, f"c.yaml:2 mapper.{option.split(':')[0]} {message}")
