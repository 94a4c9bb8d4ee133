"""Compressed data in blocks of 64 words, for which the reference has no table (model 14.1)."""

import pytest

from sparsim.errors import MappingError
from sparsim.files.timeloop.read_documents import documents_from
from sparsim.files.yaml_reading import parse_yaml
from sparsim.model.evaluate import evaluate
from sparsim.model.result import Evaluation

DOCUMENT = """\
architecture:
  version: 0.3
  subtree:
  - name: system
    local:
    - {name: far, class: DRAM, attributes: {width: 512, word-bits: 8, block-size: 64}}
    - {name: mac, class: intmac, attributes: {word-bits: 8}}
problem:
  shape:
    name: product
    dimensions: [M]
    data-spaces:
    - {name: A, projection: [[[M]]]}
    - {name: B, projection: [[[M]]]}
    - {name: Z, projection: [[[M]]], read-write: true}
  instance: {M: %d, densities: {A: {distribution: hypergeometric, density: 0.25}}}
mapping:
- {target: far, type: temporal, factors: M=%d}
sparse_optimizations:
  targets:
  - {name: far, representation-format: {data-spaces: [{name: A, ranks: [{format: CP}]}]}}
ERT:
  version: 0.3
  tables:
  - name: system.far
    actions: [{name: read, energy: 64}, {name: write, energy: 0}, {name: metadata_read, energy: 0}]
  - {name: system.mac, actions: [{name: mac_random, energy: 0}]}
"""


def found(words: int) -> Evaluation:
    documents = documents_from([("d.yaml", parse_yaml(DOCUMENT % (words, words), "d.yaml"))])
    assert documents.mapping is not None
    return evaluate(documents.accelerator, documents.layer(), documents.mapping)


@pytest.mark.filterwarnings("ignore::sparsim.EnergyWarning")
def test_large_tiles_are_read_in_whole_blocks():
    operand = found(500 * 64).storage[0].tensors[0]
    assert operand.energy_pj == 64 * (500 * 64 // 4 // 64)


def test_small_tiles_are_refused():
    with pytest.raises(MappingError):
        found(500 * 64 - 64)
