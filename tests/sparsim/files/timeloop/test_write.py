"""Specifications as Timeloop documents: the reader gives them back."""

from __future__ import annotations

import random

import msgspec
import pytest
import yaml
from support.named import naming

from sparsim.errors import SpecError
from sparsim.files.timeloop.write_documents import to_documents, write_documents
from sparsim.files.timeloop_files import read_documents
from sparsim.records import Accelerator, Density
from validation.random_cases import GEMM, Drawn, draw_case


@pytest.mark.parametrize("seed", range(60))
def test_documents_read_back_as_the_same_specification(seed, tmp_path):
    drawn = draw_case(random.Random(seed))
    read = read_documents(write_documents(tmp_path, *drawn[1:]))
    assert read.warnings == ()
    assert Drawn(drawn.family, read.accelerator, read.layer(), read.mapping) == drawn


def test_files_hold_one_key_each(tmp_path):
    drawn = draw_case(random.Random(1))
    for path in write_documents(tmp_path / "new", *drawn[1:]):
        assert len(yaml.safe_load(path.read_text())) == 1


def test_what_is_not_given_has_no_document():
    drawn = draw_case(random.Random(1))
    bare = Accelerator(architecture=drawn.accelerator.architecture)
    documents = to_documents(bare, drawn.layer, drawn.mapping)
    assert list(documents) == ["architecture", "problem", "mapping"]


def test_what_timeloop_cannot_say():
    drawn = draw_case(random.Random(1))
    dataspace = drawn.layer.shape.dataspaces[0].name
    actual = msgspec.structs.replace(
        drawn.layer, densities={dataspace: Density(distribution="actual", mask="x.npy")}
    )
    with pytest.raises(SpecError, match="density of actual data cannot be written"):
        to_documents(drawn.accelerator, actual, drawn.mapping)
    long_names = msgspec.structs.replace(GEMM, dims=("rows", "N", "K", "M"))
    layer = msgspec.structs.replace(
        drawn.layer, shape=long_names, bounds=dict.fromkeys(long_names.dims, 1), densities={}, coefficients={}
    )
    with pytest.raises(SpecError, match=naming("rows 4 Timeloop 1")):
        to_documents(drawn.accelerator, layer, drawn.mapping)
