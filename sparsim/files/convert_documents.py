"""Conversion of documents to another form: sparsim's, or Timeloop's versions 0.3 and 0.4."""

from __future__ import annotations

from typing import Literal

from sparsim.files.documents import Documents
from sparsim.files.sparsim_yaml import dump
from sparsim.files.timeloop.write_constraints import constraint_items, constraint_items_v4, mapper_options
from sparsim.files.timeloop.write_documents import FILES, document_text, to_documents
from sparsim.files.timeloop_v4.write_nodes import node_text, with_fanouts, with_nodes
from sparsim.records import Layer
from sparsim.records.record import Record

Form = Literal["0.3", "0.4", "native"]
FORMS: tuple[Form, ...] = ("0.3", "0.4", "native")


def converted(documents: Documents, layer: Layer, form: Form) -> dict[str, str]:
    """Return equivalent texts in another form by file name.

    Raises SpecError for content that the form cannot express.
    """
    if form == "native":
        return {"sparsim.yaml": _native(documents, layer)}
    accelerator, mapping, mapspace = documents.accelerator, documents.mapping, documents.mapspace
    if form == "0.4":
        accelerator, mapping, mapspace = with_fanouts(accelerator, layer, mapping, mapspace)
    found = to_documents(accelerator, layer, mapping)
    if mapspace is not None and form == "0.4":
        targets = constraint_items_v4(mapspace, layer.shape.dims)
        found["mapspace_constraints"] = {"version": 0.4, "targets": targets}
    elif mapspace is not None:
        innermost = accelerator.architecture.storage[-1].name
        found["mapspace_constraints"] = constraint_items(mapspace, innermost)
    if options := mapper_options(documents.mapper, mapspace):
        names = {key: key.replace("-", "_") if form == "0.4" else key for key in options}
        found["mapper"] = {names[key]: value for key, value in options.items()}
    if form == "0.3":
        return {FILES[key]: document_text(key, document) for key, document in found.items()}
    found = with_nodes(found, accelerator.architecture)
    return {FILES[key]: node_text(key, document) for key, document in found.items()}


def _native(documents: Documents, layer: Layer) -> str:
    records: list[Record | None] = [documents.architecture, documents.policy, documents.energy]
    records += [*documents.components, documents.mapspace, layer, documents.mapping]
    return dump(*(record for record in records if record is not None))
