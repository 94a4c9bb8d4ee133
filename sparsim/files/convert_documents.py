"""Documents of any form in another: of ours, or of Timeloop's versions 0.3 and 0.4."""

from __future__ import annotations

from typing import Literal

from sparsim.errors import SpecError
from sparsim.files.documents import Documents
from sparsim.files.sparsim_yaml import dump
from sparsim.files.timeloop.write_constraints import constraint_items, mapper_options
from sparsim.files.timeloop.write_documents import FILES, document_text, to_documents
from sparsim.files.timeloop_v4.write_nodes import node_text, with_fanouts, with_nodes
from sparsim.records import Layer
from sparsim.records.record import Record

Form = Literal["0.3", "0.4", "native"]
FORMS: tuple[Form, ...] = ("0.3", "0.4", "native")


def converted(documents: Documents, layer: Layer, form: Form) -> dict[str, str]:
    """The texts by file name that say the same in another form.

    Raises SpecError for what the form cannot say.
    """
    if form == "native":
        return {"sparsim.yaml": _native(documents, layer)}
    accelerator, mapping = documents.accelerator, documents.mapping
    if form == "0.4":
        if documents.mapspace is not None and documents.mapspace.levels:
            text = "constraints of a search cannot be converted to version 0.4"
            raise SpecError(text, path=documents.where)
        accelerator, mapping = with_fanouts(accelerator, layer, mapping)
    found = to_documents(accelerator, layer, mapping)
    if documents.mapspace is not None:
        innermost = accelerator.architecture.storage[-1].name
        found["mapspace_constraints"] = constraint_items(documents.mapspace, innermost)
    if documents.mapper is not None:
        found["mapper"] = mapper_options(documents.mapper)
    if form == "0.3":
        return {FILES[key]: document_text(key, document) for key, document in found.items()}
    found = with_nodes(found, accelerator.architecture)
    return {FILES[key]: node_text(key, document) for key, document in found.items()}


def _native(documents: Documents, layer: Layer) -> str:
    records: list[Record | None] = [documents.architecture, documents.policy, documents.energy]
    records += [*documents.components, documents.mapspace, layer, documents.mapping]
    return dump(*(record for record in records if record is not None))
