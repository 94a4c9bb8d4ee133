"""What is to be run: the layers of one network with measured densities, and where these come from."""

import math

from sparsim.errors import SpecError
from sparsim.records.layer import Layer
from sparsim.records.number_limits import repeated
from sparsim.records.record import Record


class Workload(Record, frozen=True, kw_only=True):
    """Layers in the order in which they run, under names of their own.

    `provenance` holds plain facts by name (digests, sample counts, seeds); the model does not use them.
    """

    name: str = "workload"
    source: str = ""
    provenance: dict[str, str | int | float | bool] = {}
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        where = f"workload {self.name}"
        if not self.layers:
            raise SpecError("no layers given, at least one is needed", path=where)
        twice = repeated(layer.name for layer in self.layers)
        if twice is not None:
            raise SpecError(f"layer '{twice}' is listed twice", path=where)
        for key, value in self.provenance.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise SpecError(f"provenance '{key}' is {value}, a finite number is expected", path=where)
