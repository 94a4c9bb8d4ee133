"""Mappings as text and back."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.named import naming

from pointnet.original.published_runs import runs
from sparsim.errors import SpecError
from sparsim.records import LevelMapping, Mapping, Nest

names = (
    st.sampled_from("CMPQXY")
    | st.sampled_from(["M8", "k_out", "MX", "", 'a "b" | {c}', "line\nend"])
    | st.text(max_size=3)
)
several = st.lists(names, max_size=3).map(tuple)


@st.composite
def nests(draw: st.DrawFn, *, spatial: bool) -> Nest:
    return Nest(
        factors=draw(st.dictionaries(names, st.integers(1, 200), max_size=4)),
        order=draw(st.lists(names, unique=True, max_size=5).map(tuple)),
        split_x=draw(st.none() | st.integers(-2, 7)) if spatial else None,
    )


levels = st.builds(
    LevelMapping,
    level=names,
    temporal=nests(spatial=False),
    spatial=st.none() | nests(spatial=True),
    bypass=several,
    no_link_transfer=several,
    no_multicast_no_reduction=several,
    no_temporal_reuse=several,
)
mappings = st.builds(
    Mapping,
    levels=st.lists(levels, unique_by=lambda level: level.level, max_size=4).map(tuple),
    divisibility=st.dictionaries(names, st.sampled_from(["padded", "imperfect"]), max_size=3),
)


@given(mappings)
@example(Mapping(levels=(LevelMapping(level="GLB", spatial=Nest()),)))
@example(Mapping(levels=(LevelMapping(level="GLB", spatial=Nest(order=("C", "M"), split_x=2)),)))
def test_every_mapping_comes_back(mapping: Mapping) -> None:
    assert Mapping.parse(str(mapping)) == mapping


def test_the_mappings_of_the_study_come_back() -> None:
    for run in runs():
        assert Mapping.parse(run.mapping.to_text()) == run.mapping


def test_a_mapping_as_one_would_write_it() -> None:
    mapping = Mapping.parse(
        """
        [imperfect C]
        DRAM: Q64 C2
        GLB [bypass Weights; no_temporal_reuse Inputs]: M2 (N R) P128 C4Y M8X
        array [bypass Weights Inputs Outputs]: {C3}Y (S)X
        spad: c1=4 M=2
        """
    )
    glb, array, spad = mapping.levels[1:]
    assert mapping.divisibility == {"C": "imperfect"}
    assert mapping.levels[0] == LevelMapping(
        level="DRAM", temporal=Nest(factors={"Q": 64, "C": 2}, order=("Q", "C"))
    )
    assert glb.temporal == Nest(factors={"M": 2, "P": 128}, order=("M", "N", "R", "P"))
    assert glb.spatial == Nest(factors={"C": 4, "M": 8}, order=("C", "M"), split_x=1)
    assert (glb.bypass, glb.no_temporal_reuse) == (("Weights",), ("Inputs",))
    assert array.spatial == Nest(factors={"C": 3}, order=("S",), split_x=1)
    assert spad.temporal == Nest(factors={"c1": 4, "M": 2}, order=("c1", "M"))
    assert str(mapping) == (
        "[imperfect C] | DRAM: Q64 C2"
        " | GLB [bypass Weights; no_temporal_reuse Inputs]: M2 (N R) P128 C4Y M8X"
        " | array [bypass Weights Inputs Outputs]: {C3}Y (S)X | spad: c1=4 M2"
    )


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("DRAM Q64", "line 1, column 6", ""),
        ("DRAM: Q64 | GLB: m8x", "line 1, column 18", "did you mean 'M8X'?"),
        ("DRAM: Q64\nGLB [bypas W]: M2", "line 2, column 6", "did you mean 'bypass'?"),
        ("[paded C] | DRAM: C2", "line 1, column 2", "did you mean 'padded'?"),
        ("[padded C; imperfect C]", "line 1, column 1", ""),
        ("GLB [bypass W; bypass I]:", "line 1, column 16", ""),
        ("GLB [split_x two]:", "line 1, column 1", ""),
        ("GLB: M2 M4", "line 1, column 9", ""),
        ("GLB: M2X C4", "line 1, column 10", ""),
        ("GLB: M2X C4Y", "line 1, column 10", ""),
        ("GLB: M2 {C4}", "line 1, column 9", ""),
        ("GLB: M0", "line 1, column 1", ""),
        ("GLB: M=", "line 1, column 8", ""),
        ("GLB: (M2", "line 1, column 9", ""),
        ("GLB: 8", "line 1, column 6", ""),
        ('"GLB: M2', "line 1, column 1", ""),
        ('"\\q": M2', "line 1, column 1", ""),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, place: str, hint: str) -> None:
    with pytest.raises(SpecError) as error:
        Mapping.parse(text)
    assert error.value.path == f"mapping, {place}"
    assert error.value.hint == hint


def test_a_level_may_not_be_mapped_twice() -> None:
    with pytest.raises(SpecError, match=naming("GLB")):
        Mapping.parse("GLB: M2 | GLB: C2")
