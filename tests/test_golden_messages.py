"""A few messages in full, as examples of how they are written; other tests pin the names and numbers in them.

A message gives the place, what must hold and what was seen, and ends with a hint in parentheses.
"""

from __future__ import annotations

import pytest
from support.documents import DOCUMENTS

from sparsim.errors import SparsimError
from sparsim.files.timeloop.read_documents import documents_from
from sparsim.files.yaml_reading import parse_yaml
from sparsim.records import Density, NestConstraint, conv2d

CHANGES = [
    ("problem.yaml", "B: 0.5", "B: 1.7",
     "problem.yaml:19: problem.instance.densities.B: density must be between 0 and 1, got 1.7"),
    ("problem.yaml", "    K: 8\n", "    K: eight\n",
     "problem.yaml:16: problem.instance.K: must be a whole number of 64 bits, got 'eight'"),
    ("problem.yaml", "dimensions: [M", "dimesions: [M",
     "problem.yaml:3: problem.shape: 'dimensions' is missing "
     "(there is 'dimesions'; did you mean 'dimensions'?)"),
    ("mapping.yaml", "target: GLB, type: temporal", "target: GBL, type: temporal",
     "mapping.yaml:3: mapping[1].target: unknown level 'GBL' (did you mean 'GLB'?)"),
    ("mapping.yaml", "M8 N1 K1", "M8 N1 L1",
     "mapping.yaml:3: mapping[1].factors: unknown dim 'L' (choose one of M, N, K)"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "old", "new", "message"), CHANGES)
def test_documents(document: str, old: str, new: str, message: str) -> None:
    changed = {**DOCUMENTS, document: DOCUMENTS[document].replace(old, new, 1)}
    with pytest.raises(SparsimError) as error:
        documents_from([(name, parse_yaml(text, name)) for name, text in changed.items()])
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Density(density=1.5), "density must be between 0 and 1, got 1.5"),
        (lambda: NestConstraint(at_most={"M": 0}), "mapspace: at_most of dim 'M' must be at least 1, got 0"),
        (lambda: conv2d(3, 4, 3, groups=2, height=8, width=8),
         "layer conv2d: in_channels must be a multiple of groups (2), got 3"),
    ],
)  # fmt: skip
def test_records(make, message: str) -> None:
    with pytest.raises(SparsimError) as error:
        make()
    assert str(error.value) == message


def test_pruning() -> None:
    gmp = pytest.importorskip("gmp")
    nn = pytest.importorskip("torch.nn")
    pruner = gmp.Pruner(nn.Linear(4, 4))
    with pytest.raises(SparsimError, match=r"^the sparsity must be a number between 0 and 1, got 1\.5$"):
        pruner.prune(1.5)
    with pytest.raises(SparsimError, match=r"^unknown score 'magnitud' \(did you mean 'magnitude'\?\)$"):
        gmp.Pruner(nn.Linear(4, 4), score="magnitud")
