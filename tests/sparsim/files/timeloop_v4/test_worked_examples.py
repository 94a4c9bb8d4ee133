"""Version 0.4 documents, their version 0.3 forms, and what Timeloop 4.x answers."""

from pathlib import Path

import pytest

from sparsim.files.timeloop_files import read_documents

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
