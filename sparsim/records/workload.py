"""The record of a workload: the layers of one network with measured densities and their source."""

import math

from sparsim.errors import SpecError
from sparsim.records.layer import Layer
from sparsim.records.number_limits import repeated
from sparsim.records.record import Record


class Workload(Record, frozen=True, kw_only=True):
    """The layers of one network with their densities.

    Parameters
    ----------
    name : str, default "workload"
        Name of the network.
    source : str, default ""
        Where the layers and densities come from; for the reader only.
    provenance : dict of str to str, int, float or bool, default {}
        Plain facts by name, such as digests, sample counts and seeds. The model does not use them.
    layers : tuple of Layer
        The layers in the order in which they run, each with a name of its own.

    Raises
    ------
    SpecError
        If there are no layers, if two have the same name, or if a number in `provenance` is not finite.
    """

    name: str = "workload"
    source: str = ""
    provenance: dict[str, str | int | float | bool] = {}
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        where = f"workload {self.name}"
        if not self.layers:
            raise SpecError("at least one layer is needed", path=where)
        twice = repeated(layer.name for layer in self.layers)
        if twice is not None:
            raise SpecError(f"layer '{twice}' is listed twice", path=where)
        for key, value in self.provenance.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise SpecError(f"provenance '{key}' must be a finite number, got {value}", path=where)
