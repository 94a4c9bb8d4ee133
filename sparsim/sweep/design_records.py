"""Records of one design: read from files, chosen, and made into hardware."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from warnings import warn

from sparsim.errors import SparsimWarning
from sparsim.estimate.accelerator_energy import energy_table
from sparsim.files.documents import Documents
from sparsim.files.read_any import Source, is_preset, read_any
from sparsim.hardware import Hardware, load_hardware
from sparsim.machines.eyeriss import Chip
from sparsim.machines.eyeriss.chip import check_chip
from sparsim.records import Accelerator
from sparsim.records.mapper_options import MapperOptions
from sparsim.sweep.record_paths import ROOTS, Holder


def build_hardware(records: Holder) -> Hardware:
    """Return hardware from records. Raises SpecError for records that do not fit together."""
    if records.get("machine") is not None:
        return load_hardware(records["machine"])
    accelerator = build_accelerator(records)
    if records.get("chip") is None:
        return load_hardware(accelerator)
    chip = Chip(records["chip"], accelerator)
    check_chip(chip)
    return load_hardware(chip)


def build_accelerator(records: Holder) -> Accelerator:
    """Return the accelerator of a design, with estimated components. Raises SpecError."""
    components = records.get("components", ())
    accelerator = Accelerator(
        architecture=records["architecture"], policy=records.get("policy"), mapspace=records.get("mapspace"),
        energy=None if components else records.get("energy"), components=components,
    )  # fmt: skip
    energy_table(accelerator)
    return accelerator


def chosen_records(base: Holder, overlays: dict[str, dict[str, Holder]], choices: Sequence[str]) -> Holder:
    """Return the base with the records of one choice per axis; choices of axes without a value are left
    out.
    """
    holder = base
    left = list(choices)
    for options in overlays.values():
        if left and left[0] in options:
            holder = {**holder, **options[left.pop(0)]}
    return holder


def read_records(
    source: Source, beside: Source = (), template_data: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the records of presets and files by root; later ones replace earlier ones.

    Files without a preset between them are read together. Records that are not mentioned are left out.
    Energies replace components, and the other way round.
    """
    names = [source] if isinstance(source, str | Path) else list(source)
    found: dict[str, Any] = {}
    for alone, group in itertools.groupby(names, is_preset):
        for each in group if alone else [list(group)]:
            found |= _records_of(read_any(each, beside, template_data))
    return found


def _records_of(documents: Documents) -> dict[str, Any]:
    """Return the records by root. Warns of records that a sweep does not use."""
    unused = [
        f"{documents.where}: the {name} is not used, because the study says how a sweep searches"
        for name, is_there in (
            ("mapping", documents.mapping is not None),
            ("section 'mapper'", documents.mapper not in (None, MapperOptions())),
        )
        if is_there
    ]
    for warning in (*documents.warnings, *unused):
        warn(warning, SparsimWarning, stacklevel=4)
    return _exclusive({root: getattr(documents, root) for root in ROOTS if getattr(documents, root)})


def _exclusive(records: dict[str, Any]) -> dict[str, Any]:
    """Return the records, with None for records of a base that they exclude.

    A machine replaces everything, an architecture a machine, and an energy table components.
    """
    if "machine" in records:
        return {**dict.fromkeys(ROOTS), "components": (), **records}
    if "architecture" in records:
        records = {"machine": None, **records}
    if "energy" in records:
        return {"components": (), **records}
    return {"energy": None, **records} if "components" in records else records


def plain_records(records: Holder) -> list[tuple[str, Any]]:
    """Return records as plain data, in the order of roots."""
    return [
        (root, [c.digest() for c in value] if isinstance(value, tuple) else value and value.digest())
        for root, value in sorted(records.items())
    ]
