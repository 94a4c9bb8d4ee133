"""The options of `sparsim chip` for a batch and for given row-stationary mappings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sparsim.errors import SpecError, near

if TYPE_CHECKING:
    from sparsim.machines.eyeriss import Chip
    from sparsim.records import Layer
    from sparsim.records.row_stationary import RowStationary


def in_batches(layers: Iterable[Layer], batch: int | None) -> tuple[Layer, ...]:
    """Return the layers with this batch size. Raises SpecError if theirs is not 1."""
    from msgspec.structs import replace

    layers = tuple(layers)
    if batch is None:
        return layers
    for layer in layers:
        if layer.bounds.get("N") != 1:
            text = f"--batch is for workloads with N of 1, got {layer.bounds.get('N', 'no dim N')}"
            raise SpecError(text, path=f"layer {layer.name}")
    return tuple(replace(layer, bounds=layer.bounds | {"N": batch}) for layer in layers)


def parameters_of(
    name: str | None, chip: Chip, layers: Sequence[Layer], all_layers: Sequence[Layer]
) -> dict[str, RowStationary] | None:
    """Return the given parameters of layers, and refuse those of layers that a workload does not have."""
    from sparsim.files.sparsim_yaml import load_row_stationary

    if name is None:
        return None
    if chip.spec.dataflow != "row-stationary":
        raise SpecError("--mapping is for chips with the dataflow row-stationary", path=f"chip {chip.name}")
    given, names = load_row_stationary(name).layers, [layer.name for layer in all_layers]
    for layer in given:
        if layer not in names:
            raise SpecError(f"unknown layer '{layer}'", path=f"{name}, layers", hint=near(layer, names))
    wanted = {layer.name for layer in layers}
    return {layer: parameters for layer, parameters in given.items() if layer in wanted}


def mapping_line(given: dict[str, RowStationary], layers: Sequence[Layer], source: str) -> str:
    """Return a line that says which mappings were given, and which were found."""
    found = [layer.name for layer in layers if layer.name not in given]
    line = f"mappings of {', '.join(given) or 'no layer'} from {source}"
    return line + (f"; found: {', '.join(found)}" if found else "")
