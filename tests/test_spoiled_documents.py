"""Documents with random values replaced, dropped or renamed are read or refused; nothing else happens."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from support.documents import DOCUMENTS, records_of

from sparsim.errors import SparsimError
from sparsim.files.sparsim_yaml import dump, load_text
from sparsim.files.timeloop.read_documents import documents_from
from sparsim.files.yaml_reading import parse_yaml
from sparsim.mapper.indexed_mapspace import lower_mapspace
from sparsim.model.consistency import check, check_mapspace

CONSTRAINTS = """\
mapspace:
  template: uber
  targets:
  - {target: GLB, type: spatial, factors: N=4 M<=2, permutation: NM_K, split: 1, no_link_transfer: [A]}
  - {target: GLB, constraints: [{type: bypass, attributes: {keep: [A], bypass: [Z]}}]}
architecture_constraints:
- {target: spad, type: temporal, factors: N=1, default_max_factor: 4}
- {target: spad, type: utilization, min: 0.5}
mapper: {algorithm: random-pruned, optimization-metrics: [delay, energy], num-threads: 2, timeout: 100}
"""
FILES = [(name, parse_yaml(text, name)) for name, text in DOCUMENTS.items()]
MERGED = {key: value for text in DOCUMENTS.values() for key, value in parse_yaml(text, "f").items()}
READ = documents_from([*FILES, ("f", parse_yaml(CONSTRAINTS, "f"))], for_search=True)
NATIVE = dict(parse_yaml(dump(*records_of(READ)), "f"))
VALUES = [
    None, 0, -1, 3, 1.5, 10**12, 10**30, 1e300, float("nan"), float("inf"), True, "", "x", "yes", "A", "M",
    "GLB", "M=2", "PE[0..3]", "PE[3..0]", "[0..2]", "1e400", "DRAM", [], [None], [1], [["M"]], [[[["M"]]]],
    {}, {"name": None},
]  # fmt: skip


def places(value, path=()):
    """Paths of everything inside."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))


@st.composite
def spoiled(draw, document):
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(document))
        if not found:
            break
        *path, key = draw(st.sampled_from(found))
        parent = document
        for step in path:
            parent = parent[step]
        action = draw(st.sampled_from(["replace", "replace", "drop", "rename"]))
        if action == "replace":
            parent[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
        elif action == "drop":
            del parent[key]
        elif isinstance(parent, dict):
            parent[f"{key}x"] = parent.pop(key)
    return yaml.safe_dump(plain(document))


def plain(value):
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@contextmanager
def read_or_refused():
    try:
        yield
    except SparsimError as error:
        message = str(error)
        if "\n" in message or len(message) > 500:
            pytest.fail(f"not one sentence: {message}")


@settings(max_examples=80, deadline=None)
@given(spoiled(MERGED))
def test_timeloop_documents(text):
    with read_or_refused():
        documents = documents_from([("f", parse_yaml(text, "f"))])
        if documents.mapping is not None:
            check(documents.accelerator, documents.layer(), documents.mapping)


@settings(max_examples=40, deadline=None)
@given(spoiled(parse_yaml(CONSTRAINTS, "f")))
def test_constraints_and_options(text):
    with read_or_refused():
        found = documents_from([("f", parse_yaml(text, "f")), *FILES], for_search=True)
        lower_mapspace(found.accelerator, found.layer())


@settings(max_examples=80, deadline=None)
@given(spoiled(NATIVE))
def test_native_documents(text):
    with read_or_refused():
        found = load_text(text)
        if found.architecture and found.layers and found.mapping:
            check(found.accelerator, found.layers[0], found.mapping)
        if found.architecture and found.layers and found.mapspace:
            check_mapspace(found.architecture, found.layers[0].shape, found.mapspace)
