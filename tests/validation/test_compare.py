"""The comparer: what counts as equal, what is tolerated, what is left out."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from sparsim.check.compare_fields import compare
from sparsim.check.recorded_case import inexact_tensors
from sparsim.check.report_fields import STAGES
from sparsim.files.timeloop.stats_reader import parse_stats
from sparsim.records import Dataspace, Density, Layer, Shape
from validation.case_folders import find_cases

REFERENCES = Path(__file__).parents[2] / "validation" / "references"
TEXT = (REFERENCES / "random/conv-11-011/stats.txt").read_text()


def changed(pattern: str, replacement: str, text: str = TEXT):
    new, count = re.subn(pattern, replacement, text, count=1)
    assert count == 1
    return parse_stats(new)


def test_equal_texts():
    result = compare(parse_stats(TEXT), parse_stats(TEXT), [])
    assert not result.differences
    assert result.fields == result.exact
    assert set(result.fields) == set(STAGES) - {"text"}
    assert result.left_out == 0


@pytest.mark.parametrize(
    ("pattern", "replacement", "stage", "message"),
    [
        (r"Data storage size            : 512", "Data storage size            : 511", "specs",
         "levels / spad / SPECS / Data storage size: expected 511, got 512"),
        (r"(Algorithmic scalar reads \(per-instance\) +: )37632", r"\g<1>37633", "dense counts",
         "Weights / Algorithmic scalar reads (per-instance): expected 37633, got 37632"),
        (r"(Actual scalar reads \(per-instance\) +: )18816", r"\g<1>18817", "sparse counts",
         "levels / spad / STATS / Weights / Actual scalar reads (per-instance): expected 18817, got 18816"),
        (r"\(37486,  0\)", "(37487,  0)", "formats",
         "expected ((0, 0), (0, 0), (0, 0), (0, 9420), (37487, 0)), got"),
        (r"18854\.34 pJ", "18854.35 pJ", "cost", "Energy (per-instance): expected 18854.35, got 18854.34"),
        (r"hops                  : 7\.50", "hops                  : 7.51", "networks",
         "networks / GLB <==> spad / STATS / Weights / Average number of hops: expected 7.51, got 7.5"),
        (r"Op per Byte                             : 1\.52", "Op per Byte : 1.53", "summary",
         "intensity / GLB / Op per Byte: expected 1.53, got 1.52"),
        (r"for C in \[0:2\)", "for C in [0:3)", "dense counts", "'for C in [0:3)'"),
        (r"(hypergeometric)", "banded-2", "formats", "expected 'banded-2', got 'hypergeometric'"),
    ],
)  # fmt: skip
def test_a_changed_number_deviates(pattern, replacement, stage, message):
    result = compare(changed(pattern, replacement), parse_stats(TEXT), [])
    (difference,) = result.differences
    assert difference.verdict == "deviating"
    assert message in str(difference)
    assert result.fields[stage] == result.exact[stage] + 1


def test_missing_and_additional_fields_deviate():
    shorter = changed(r"            @multicast 1 @scatter 1: 5376.00\n", "")
    assert "got nothing" in str(compare(parse_stats(TEXT), shorter, []).differences[0])
    assert "expected nothing" in str(compare(shorter, parse_stats(TEXT), []).differences[0])


def test_a_real_in_place_of_an_integer_is_equal_in_value():
    assert not compare(changed(r"(\(average\) : )16\n", r"\g<1>16.00\n"), parse_stats(TEXT), []).differences


def test_nan_equals_minus_nan():
    pattern = r"(Energy \(per-scalar-access\) +: )0.97"
    expected, got = changed(pattern, r"\g<1>-nan"), changed(pattern, r"\g<1>nan")
    assert not compare(expected, got, []).differences
    assert compare(expected, parse_stats(TEXT), []).differences


READS = r"(Actual scalar reads \(per-instance\) +: )18816"
ENERGY = r"18854\.34 pJ"


def test_tolerance_needs_an_inexact_tensor():
    expected = changed(READS, r"\g<1>18818")
    assert compare(expected, parse_stats(TEXT), []).by_verdict("deviating")
    (difference,) = compare(expected, parse_stats(TEXT), ["Weights"]).differences
    assert difference.verdict == "tolerated"
    assert "Weights" in difference.reason


def test_tolerance_ends_at_two():
    expected = changed(READS, r"\g<1>18819")
    assert compare(expected, parse_stats(TEXT), ["Weights"]).by_verdict("deviating")


def test_reals_follow_only_from_counts():
    energy_alone = changed(ENERGY, "18854.90 pJ")
    assert compare(energy_alone, parse_stats(TEXT), ["Weights"]).by_verdict("deviating")
    with_count = changed(READS, r"\g<1>18818", TEXT.replace("18854.34 pJ", "18856.20 pJ", 1))
    assert len(compare(with_count, parse_stats(TEXT), ["Weights"]).by_verdict("tolerated")) == 2
    too_far = changed(READS, r"\g<1>18818", TEXT.replace("18854.34 pJ", "18864.20 pJ", 1))
    assert len(compare(too_far, parse_stats(TEXT), ["Weights"]).by_verdict("deviating")) == 1


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"(Algorithmic scalar reads \(per-instance\) +: )37632", r"\g<1>37633"),
        (r"Link transfers                          : 0", "Link transfers : 1"),
        (r"Data storage size            : 512", "Data storage size            : 511"),
    ],
)
def test_specs_dense_counts_and_networks_are_never_tolerated(pattern, replacement):
    assert compare(changed(pattern, replacement), parse_stats(TEXT), ["Weights"]).by_verdict("deviating")


def old(text: str) -> str:
    """TEXT in the manner of a release of 2022."""
    text = text.replace("        Ingress energy  : - pJ\n", "")
    text = text.replace(
        "        Multicast factor", "        Fanout (distributed)  : 0\n        Multicast factor"
    )
    head, *groups = re.split(r"(?=fJ/)", text)
    groups = [
        re.sub(r"(?m)= (\d+\.\d\d)$", lambda m: f"= {float(m[1]) / 1000:.2f}", group) for group in groups
    ]
    return head + "".join(groups).replace("fJ/", "pJ/")


def test_old_layout():
    expected = parse_stats(old(TEXT))
    assert expected.old_layout
    result = compare(expected, parse_stats(TEXT), [])
    assert not result.differences
    assert result.left_out == 3 + 9  # ingress energies; distributed fan-outs
    result = compare(parse_stats(old(TEXT).replace("= 0.58\n", "= 0.59\n")), parse_stats(TEXT), [])
    assert str(result.differences[0]) == "summary / MAC / pJ/Algorithmic-Compute: expected 0.59, got 0.5787"


def layer(points: int, distribution: str) -> Layer:
    shape = Shape(
        dims=("M", "K"),
        coefficients={"stride": 1},
        dataspaces=(
            Dataspace(name="A", projection=("M*stride",)),
            Dataspace(name="B", projection=("K",)),
            Dataspace(name="Z", projection=("M",), read_write=True),
        ),
    )
    densities = {"A": Density(distribution=distribution, density=0.5)}
    return Layer(shape=shape, bounds={"M": points, "K": 200_000}, densities=densities)


@pytest.mark.parametrize(
    ("points", "distribution", "names"),
    [(104_729, "hypergeometric", []), (104_730, "hypergeometric", ["A"]), (200_000, "fixed-structured", [])],
)
def test_inexact_tensors(points, distribution, names):
    assert inexact_tensors(layer(points, distribution)) == names


def test_inexact_tensors_measure_strides():
    strided = msgspec.structs.replace(layer(60_000, "hypergeometric"), coefficients={"stride": 2})
    assert inexact_tensors(strided) == ["A"]


def test_find_cases():
    cases = find_cases(REFERENCES, "timeloop-3")
    assert len(cases) == 72
    assert cases[0].name == "random/conv-11-011"
    assert [path.name for path in cases[0].documents] == [
        "arch.yaml", "art.yaml", "ert.yaml", "mapping.yaml", "problem.yaml", "sparse.yaml",
    ]  # fmt: skip
    assert [c.name for c in find_cases(cases[0].folder, "timeloop-3")] == ["conv-11-011"]


def test_originals_answer_for_their_accounting_only(tmp_path):
    (tmp_path / "arch.yaml").touch()
    (tmp_path / "stats-original.txt").touch()
    assert find_cases(tmp_path, "timeloop-3") == []
    assert find_cases(tmp_path, "timeloop-2022")[0].answer.name == "stats-original.txt"
    (tmp_path / "stats.txt").touch()
    assert find_cases(tmp_path, "timeloop-3")[0].answer.name == "stats.txt"
    assert find_cases(tmp_path, "timeloop-2022")[0].answer.name == "stats-original.txt"


def test_what_older_reports_count_otherwise_is_checked_on_the_report():
    """A number is explained if it follows from the report by the old rule, and deviates if it does not."""
    hops = r"(Average number of hops                  : )7\.50"
    # fan-out 16, multicast 2: 4*sqrt(2) + (4 - sqrt(2))/2 - 4/sqrt(2) + 0.5 = 4.62
    old_rule = compare(changed(hops, r"\g<1>4.62", old(TEXT)), parse_stats(TEXT), [])
    assert [d.verdict for d in old_rule.differences] == ["explained"]
    assert "closed form" in old_rule.differences[0].reason
    neither = compare(changed(hops, r"\g<1>4.63", old(TEXT)), parse_stats(TEXT), [])
    assert [d.verdict for d in neither.differences] == ["deviating"]
