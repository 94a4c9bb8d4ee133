"""The networks of a sweep: their layers, with the densities and documents that a study gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from msgspec.structs import replace

from sparsim.cache import digest_of
from sparsim.errors import SpecError, near
from sparsim.files.read_any import Source, read_any
from sparsim.records import Density, Layer
from sparsim.records.mapping import Divisibility
from sparsim.sweep.study import Network

BASE = "base"  # the source of a network whose layers are in the files of the base


class LoadedNetwork(NamedTuple):
    """A network of a study.

    Attributes
    ----------
    name : str
    layers : tuple of Layer
    divisibility : dict of str to dict of str to str
        By the name of a layer what its mappings may do with dims beside tiling them evenly.
    attributes : dict of str to number or text
    digest : str
        Of layers and divisibility; not of names and attributes.
    inferences : int
        Samples that one run of the layers computes, their dim N.
    """

    name: str
    layers: tuple[Layer, ...]
    divisibility: Mapping[str, Mapping[str, Divisibility]]
    attributes: Mapping[str, float | str]
    digest: str
    inferences: int


def load_network(
    name: str, network: Network, base: Source, where: str, template_data: Mapping[str, Any] | None = None
) -> LoadedNetwork:
    """Load the layers of a network; `base` is what files of Timeloop's are read beside.

    Raises
    ------
    SpecError
        For unknown workloads, layers and dataspaces, and for what is wrong in the files.
    """
    path = f"{where}: workloads.{name}"
    documents = read_any(base if network.source == BASE else network.source, base, template_data)
    layers = documents.layers
    if not layers:
        raise SpecError(f"'{network.source}' has no layers", path=path)
    known = [layer.name for layer in layers]
    for wanted in (*network.layers, *network.divisibility):
        if wanted not in known:
            raise SpecError(f"unknown layer '{wanted}'", path=path, hint=near(wanted, known))
    if network.layers:
        layers = tuple(layer for layer in layers if layer.name in network.layers)
    layers = tuple(with_densities_of(layer, network.densities, path) for layer in layers)
    for layer in layers:
        for dim in network.divisibility.get(layer.name, {}):
            if dim not in layer.shape.dims:
                raise SpecError(f"unknown dim '{dim}'", path=path, hint=near(dim, layer.shape.dims))
    divisibility = {name: network.divisibility[name] for name in known if name in network.divisibility}
    said = [(layer.anonymous().digest(), divisibility.get(layer.name)) for layer in layers]
    inferences = min((layer.bounds.get("N", 1) for layer in layers), default=1)
    return LoadedNetwork(name, layers, divisibility, network.attributes, digest_of(said), int(inferences))


def with_densities_of(layer: Layer, densities: Mapping[str, float], path: str) -> Layer:
    known = [dataspace.name for dataspace in layer.shape.dataspaces]
    changed = dict(layer.densities)
    for name, value in densities.items():
        if name not in known:
            raise SpecError(f"unknown dataspace '{name}'", path=f"{path}.densities", hint=near(name, known))
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SpecError(f"density of {name} must be a number, got {value!r}", path=path)
        try:
            changed[name] = Density(density=float(value))
        except SpecError as error:
            raise error.within(f"{path}.densities.{name}") from None
    return replace(layer, densities=changed) if densities else layer
