"""The reference of files has every key of every record, and its examples can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.documented_keys import FOLDER, documented_keys, page

import gmp
import sparsim
from docs.key_tables import TAG, contained, keys_of
from gmp.recipes.modifiers import MODIFIERS
from pointnet.training import settings as training_settings
from sparsim.cli.model_batch import _NUMBERS
from sparsim.files.sparsim_yaml import _KEYS, _RECORDS
from sparsim.files.traced_layers import Computation, TracedLayer
from sparsim.records import Accelerator, Component, Record
from sparsim.records.divisibility import CoveredLayer
from sparsim.records.machine_kinds import MACHINE_KINDS
from sparsim.records.machine_spec import MachineSpec
from sparsim.records.mapper_options import MapperOptions
from sparsim.records.noc_spec import SpatialLoop
from sparsim.sweep import Study, study_of
from sparsim.sweep.sweep_tables import FIXED

PAGES = sorted(path.name for path in FOLDER.glob("*-keys.md"))
SPECIFIED = ("sparsim.records.", "sparsim.sweep.study", "pointnet.training.")
NO_FILES = {Accelerator, MapperOptions, MachineSpec, CoveredLayer, SpatialLoop}  # no file holds these


def subclasses(record: type) -> Iterator[type]:
    for kind in record.__subclasses__():
        yield kind
        yield from subclasses(kind)


def examples(name: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", (FOLDER / name).read_text(encoding="utf-8"), re.M | re.S)


def test_every_key_of_a_document_has_a_section() -> None:
    sections = set(re.findall(r"^## (\w+)$", page("document-keys.md"), re.MULTILINE))
    assert sections == {*_KEYS} - {"sparsim", "layers"}
    assert {*MACHINE_KINDS} <= set(re.findall(r"^### (\w+)$", page("document-keys.md"), re.MULTILINE))


@pytest.mark.parametrize("section", [*_RECORDS, "components"])
def test_every_field_of_a_record_is_listed(section: str) -> None:
    records = {**_RECORDS, "components": Component}
    if section != "machine":  # whose kinds have sections of their own
        assert documented_keys(section, "document-keys.md") == {key.name for key in keys_of(records[section])}


def test_every_record_is_listed_with_all_fields() -> None:
    assert training_settings.Settings in set(subclasses(Record))
    text = "\n".join(map(page, PAGES))
    roots = [*_RECORDS.values(), *MACHINE_KINDS.values(), Component, Study]
    listed = {inner for root in roots for inner in (root, *contained(root))}
    specified = {kind for kind in subclasses(Record) if kind.__module__.startswith(SPECIFIED)}
    for record in {*specified, *listed, *MODIFIERS.values()} - NO_FILES:
        for key in keys_of(record):
            row = f"| `{key.name}` | "
            assert row in text, f"{record.__name__}.{key.name}"
            assert key.meaning, f"{record.__name__}.{key.name}"


@pytest.mark.parametrize("name", PAGES)
def test_tables_are_written_by_the_build(name: str) -> None:
    assert TAG.search((FOLDER / name).read_text(encoding="utf-8"))
    assert not TAG.search(page(name))


@pytest.mark.parametrize("text", examples("document-keys.md"), ids=lambda text: text.split()[2].rstrip(":"))
def test_examples_of_documents_are_read(text: str) -> None:
    documents = sparsim.load_text(text)
    if documents.components:
        assert all(sparsim.estimate.estimate(one).area_um2 for one in documents.components)


def test_examples_of_a_study_and_a_recipe_are_read(tmp_path: Path) -> None:
    (study,) = examples("study-keys.md")
    assert study_of(yaml.safe_load(study)["sweep"]).name == "buffers"
    (recipe,) = examples("recipe-keys.md")
    (tmp_path / "recipe.yaml").write_text(recipe)
    assert gmp.load_recipe(tmp_path / "recipe.yaml").epochs == 15


def test_columns_that_are_written_by_hand_are_complete() -> None:
    assert documented_keys("batch.csv") == {"case", *_NUMBERS, "warnings", "error"}
    assert documented_keys("results.parquet") == {*FIXED, "component_pj. ..."}
    shape = Computation(C=1, M=1, out=(1, 1))
    layer = TracedLayer(name="", computation=shape, calls=1, weights=1, weight_density=1.0)
    assert set(layer.row()) <= documented_keys("trace.json and trace.csv")
