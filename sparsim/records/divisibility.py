"""Dims whose factors cover more than their bound: the covered bounds of a mapping, and the layer with these
bounds.

With `padded`, tensors are filled with zeros up to the covered bound, and hardware processes these like other
zeros. With `imperfect`, the last tile of a loop is smaller, and nothing is computed beyond the bound (Ruby:
Horeni et al., ISPASS 2022).
"""

import math
from collections.abc import Mapping as Dict
from collections.abc import Sequence

from msgspec.structs import replace

from sparsim.errors import MappingError, SpecError
from sparsim.records.architecture import Architecture
from sparsim.records.layer import Density, Layer
from sparsim.records.layer_counts import tensor_shape
from sparsim.records.mapping import Divisibility, Mapping, Nest
from sparsim.records.number_limits import shown
from sparsim.records.record import Record
from sparsim.records.sparsity import SparsePolicy


class Cover(Record, frozen=True, kw_only=True):
    """A dim that the factors of a mapping cover beyond its bound.

    Attributes
    ----------
    dim : str
        Name of the dim.
    policy : str
        "padded" where the tensors are padded, "imperfect" where the last tile is cut short.
    bound : int
        Bound of the dim in the layer.
    covered : int
        What the factors multiply to.
    padding : float
        Share of the operations that are padding, from 0 to 1.
    """

    dim: str
    policy: Divisibility
    bound: int
    covered: int
    padding: float

    def __str__(self) -> str:
        share = f"{self.padding:.2%} of the operations are padding"
        return f"{self.dim}: bound {self.bound}, covered {self.covered}, {self.policy}, {share}"


class CoveredLayer(Layer, frozen=True, kw_only=True):
    """A layer with covered bounds and the densities that its padded tensors have. `covers` are its dims that
    are not perfect.
    """

    covers: tuple[Cover, ...]

    @property
    def existing(self) -> dict[str, int]:
        """Return the bounds of the points that are computed, which are smaller than `bounds` for imperfect
        dims.
        """
        return self.bounds | {c.dim: c.bound for c in self.covers if c.policy == "imperfect"}


def covers_of(layer: Layer) -> tuple[Cover, ...]:
    return layer.covers if isinstance(layer, CoveredLayer) else ()


def covered(layer: Layer, mapping: Mapping) -> Layer:
    """Return the layer with the bounds that `mapping` covers: the layer itself if all dims are perfect."""
    products = {dim: math.prod(factors_of(mapping, dim)) for dim in mapping.divisibility}
    return cover(layer, mapping.divisibility, products)


def cover(layer: Layer, divisibility: Dict[str, Divisibility], bounds: Dict[str, int]) -> Layer:
    """Return the layer with the dims in `divisibility` covered up to `bounds`: the layer itself if these are
    its own bounds.
    """
    more = {dim: n for dim, n in bounds.items() if n > layer.bounds[dim]}
    if not more:
        return layer
    covers = []
    for dim, policy in divisibility.items():
        if dim in more:
            padding = 1 - layer.bounds[dim] / more[dim] if policy == "padded" else 0.0
            bound = layer.bounds[dim]
            covers.append(Cover(dim=dim, policy=policy, bound=bound, covered=more[dim], padding=padding))
    densities = dict(layer.densities)
    for name, (words, more_words) in padded_words(layer, covers).items():
        densities[name] = diluted(layer.density(name), words, more_words)
    return CoveredLayer(
        name=layer.name, shape=layer.shape, bounds=layer.bounds | more, coefficients=layer.coefficients,
        densities=densities, covers=tuple(covers),
    )  # fmt: skip


def padded_words(layer: Layer, covers: Sequence[Cover]) -> dict[str, tuple[int, int]]:
    """Return the words of the dataspaces that padding enlarges, without and with it."""
    grown = layer.bounds | {c.dim: c.covered for c in covers if c.policy == "padded"}
    padded = replace(layer, bounds=grown)
    names = [d.name for d in layer.shape.dataspaces]
    words = {n: tuple(math.prod(tensor_shape(one, n)) for one in (layer, padded)) for n in names}
    return {name: (old, new) for name, (old, new) in words.items() if new > old}


def diluted(density: Density, words: int, more: int) -> Density:
    """Return the density of the same nonzeros among `more` words."""
    d = density.density * words / more
    if density.distribution == "hypergeometric":  # its nonzeros are counted as ceil(density * words)
        nonzeros = math.ceil(density.density * words)
        d = nonzeros / more
        while math.ceil(d * more) > nonzeros:
            d = math.nextafter(d, 0.0)
    return replace(density, density=d, spread=density.spread * words / more)


def factors_of(mapping: Mapping, dim: str) -> list[int]:
    """Return the factors of a dim at all tiling levels."""
    nests = [nest for level in mapping.levels for nest in (level.temporal, level.spatial or Nest())]
    return [nest.factors.get(dim, 1) for nest in nests]


def is_tight(factors: Sequence[int], bound: int) -> bool:
    """Return whether the bound is no longer covered if any factor is lowered by one."""
    product = math.prod(factors)
    return all(product // f * (f - 1) < bound for f in factors if f > 1)


def check_factors(layer: Layer, mapping: Mapping) -> None:
    """Refuse factors that do not multiply to the bounds, as far as the policies of the dims require it.

    Raises MappingError.
    """
    for dim in layer.shape.dims:
        factors, bound = factors_of(mapping, dim), layer.bounds[dim]
        product, policy = math.prod(factors), mapping.divisibility.get(dim)
        if product < bound or (product > bound and policy is None):
            wanted = f"to its bound {bound}" if policy is None else f"to at least {bound}, as it is {policy}"
            raise MappingError(
                f"factors of dim '{dim}' must multiply {wanted}, got {shown(product)}",
                need=bound,
                have=product,
            )
        if policy == "imperfect" and not is_tight(factors, bound):
            raise MappingError(
                f"factors of imperfect dim '{dim}' multiply to {shown(product)}, but one of them could be "
                f"lowered and its bound {bound} still be covered",
                need=bound,
                have=product,
            )


def check_policies(
    arch: Architecture, layer: Layer, policy: SparsePolicy | None, divisibility: Dict[str, Divisibility]
) -> None:
    """Refuse features that cannot be modelled together with padded and imperfect dims. Raises SpecError."""
    where = f"divisibility, layer {layer.name}"
    for dataspace in layer.shape.dataspaces if divisibility else ():
        model = layer.density(dataspace.name).distribution
        if model in ("banded", "actual"):
            raise SpecError(
                "padded and imperfect dims take fixed-structured and hypergeometric densities, got "
                f"'{model}' of {dataspace.name}",
                path=where,
            )
    imperfect = [dim for dim, kind in divisibility.items() if kind == "imperfect"]
    if not imperfect:
        return
    for level in arch.storage:
        if level.network.type == "M:N":
            raise SpecError(
                f"dims below the M:N network of {level.name} must be padded or perfect, but dim "
                f"'{imperfect[0]}' is imperfect",
                path=where,
            )
    if policy is not None and any(saf.type == "skipping-spatial" for saf in policy.safs):
        raise SpecError(
            f"spatial skipping takes padded and perfect dims, but dim '{imperfect[0]}' is imperfect",
            path=where,
        )
    for dim in imperfect:
        _check_window(layer, dim, where)


def may_be_cut(layer: Layer, dim: str) -> bool:
    """Return whether a dim may be imperfect: its tiles neither overlap nor leave gaps."""
    try:
        _check_window(layer, dim, "")
    except SpecError:
        return False
    return True


def _check_window(layer: Layer, dim: str, where: str) -> None:
    """Refuse dims along which tiles overlap or leave gaps."""
    values = {**layer.shape.coefficients, **layer.coefficients}
    for dataspace in layer.shape.dataspaces:
        sides = [
            [(d, values[c] if c else 1) for d, c in side if layer.bounds[d] > 1 or d == dim]
            for side in dataspace.terms()
        ]
        mine = [side for side in sides if dim in [d for d, _ in side]]
        if mine and mine != [[(dim, 1)]]:
            raise SpecError(
                f"dim '{dim}' moves a window or a stride of {dataspace.name}, so it must be padded or "
                "perfect, got imperfect",
                path=where,
            )
