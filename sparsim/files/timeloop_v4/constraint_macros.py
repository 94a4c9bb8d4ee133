"""Expansion of the macros of version 0.4 constraints, and completion of parallel branches and
permutations.
"""

import math

from sparsim.errors import near
from sparsim.files.timeloop.document_node import Node
from sparsim.files.timeloop_v4.constraints import Constraint, Factors, add_factor
from sparsim.files.timeloop_v4.largest_factors import Allocation
from sparsim.files.timeloop_v4.node_tree import Branch, Leaf
from sparsim.records import Layer
from sparsim.records.divisibility import may_be_cut


def expand(leaves: list[Leaf], layer: Layer) -> None:
    """Replace the macros of all leaves. Raises SpecError for contradictions."""
    for leaf in leaves:
        for kind in ("temporal", "spatial"):
            if kind in leaf.constraints:
                _expand_loops(leaf.constraints[kind], layer)
        if "dataspace" in leaf.constraints:
            _expand_dataspaces(leaf.constraints["dataspace"], layer)
    _maximize(leaves, layer)


def _expand_loops(constraint: Constraint, layer: Layer) -> None:
    node, dims = constraint.node, layer.shape.dims
    for dim in (*(dim for dim, _ in constraint.factors), *constraint.permutation):
        if dim not in dims:
            raise node.error(f"unknown dim '{dim}'", hint=near(dim, dims))
    if constraint.factors_only is not None:
        for factor in constraint.factors_only.items():
            add_factor(constraint.factors, factor, node)
        _set_to_one([dim for dim in dims if not _is_said(constraint.factors, dim)], constraint)
        constraint.factors_only = None
    if names := constraint.names.pop("no_iteration_over_dataspaces", None):
        _set_to_one(_projected(names, layer), constraint)
    if names := constraint.names.pop("must_iterate_over_dataspaces", None):
        used = _projected(names, layer)
        _set_to_one([dim for dim in dims if dim not in used], constraint)


def _is_said(factors: Factors, dim: str) -> bool:
    return any(name == dim for name, _ in factors)


def _set_to_one(dims: list[str], constraint: Constraint) -> None:
    for dim in dims:
        add_factor(constraint.factors, ((dim, "="), 1), constraint.node)


def _projected(names: list[str], layer: Layer) -> list[str]:
    """The dims that dataspaces have, in the order of the shape."""
    used = {
        dim for space in layer.shape.dataspaces if space.name in names
        for side in space.terms() for dim, _ in side
    }  # fmt: skip
    return [dim for dim in layer.shape.dims if dim in used]


def _expand_dataspaces(constraint: Constraint, layer: Layer) -> None:
    every = [space.name for space in layer.shape.dataspaces]
    for macro, named, rest in (("keep_only", "keep", "bypass"), ("bypass_only", "bypass", "keep")):
        if (names := constraint.names.pop(macro, None)) is not None:
            others = [name for name in every if name not in names]
            constraint.join(Constraint(constraint.node, "dataspace", names={named: names, rest: others}))


def _maximize(leaves: list[Leaf], layer: Layer) -> None:
    """Give dims of `maximize_dims` the factors that fill a fan-out or a capacity: those of loops in space
    first, from the inside out.
    """
    left = dict(layer.bounds)
    found = [
        leaf.constraints[kind]
        for leaf in leaves
        for kind in ("temporal", "spatial")
        if kind in leaf.constraints
    ]
    for constraint in found:
        for (dim, sign), value in constraint.factors.items():
            if sign == "=":
                left[dim] = math.ceil(left[dim] / (value or layer.bounds[dim]))
    for kind in ("spatial", "temporal"):
        for leaf in reversed(leaves):
            if kind not in leaf.constraints or not leaf.constraints[kind].maximize:
                continue
            constraint = leaf.constraints[kind]
            capacity = constraint.counts.pop("maximize_dims_capacity", None)
            if capacity is None:
                if kind == "temporal":
                    raise constraint.node.error("'maximize_dims' needs a 'maximize_dims_capacity' here")
                capacity = leaf.fanout
            for dims in constraint.maximize:
                _fill(constraint, dims, capacity, left, layer)
            constraint.maximize = []


def _fill(constraint: Constraint, dims: list[str], capacity: int, left: dict[str, int], layer: Layer) -> None:
    node = constraint.node
    for (dim, sign), value in constraint.factors.items():
        if sign in ("=", ">="):
            capacity //= value or layer.bounds[dim]
    for dim in dims:
        if dim not in left:
            raise node.error(f"unknown dim '{dim}'", "maximize_dims", near(dim, left))
        if _is_said(constraint.factors, dim):
            raise node.error(f"dim '{dim}' has a factor already", "maximize_dims")
    # tiles are cut short at one level: beside other fixed factors one of them could be lowered
    divided = tuple(left[dim] < layer.bounds[dim] or not may_be_cut(layer, dim) for dim in dims)
    chosen = Allocation(divided).best(tuple(left[dim] for dim in dims), capacity)
    if chosen is None:
        raise node.error("there are too many factors to choose from", "maximize_dims")
    for dim, factor in zip(dims, chosen, strict=True):
        rounds = math.ceil(left[dim] / factor)
        even = math.ceil(left[dim] / rounds)
        if left[dim] % factor:
            text = f"{dim}={factor} does not divide {left[dim]}"
            text += f": {dim}={even} is enough for {rounds} rounds" if even < factor else ""
            text += ", the last tile is cut short" if left[dim] % even else ""
            node.warn(text, "maximize_dims")
        add_factor(constraint.factors, ((dim, "="), even), node)
        if left[dim] % even:
            constraint.remainders[dim] = left[dim] % even
        left[dim] = rounds


def attach_dataspaces(branch: Branch, layer: Layer) -> None:
    """Bypass in each branch of a parallel what another branch keeps. Raises SpecError.

    A dataspace must be kept in exactly one branch.
    """
    every = [space.name for space in layer.shape.dataspaces]
    _attach(branch, every, every)


def _attach(branch: Branch, remaining: list[str], every: list[str]) -> None:
    if branch.tag != "!Parallel":
        for node in branch.nodes:
            if isinstance(node, Branch):
                _attach(node, remaining, every)
        return
    owner: dict[str, Node] = {}
    for node in branch.nodes:
        if isinstance(node, Leaf) and (node.tag == "!Container" or node.fanout > 1):
            raise node.node.error("a fan-out in a !Parallel must be inside a !Hierarchical")
        for name in _kept(node):
            if name in owner:
                raise node.node.error(f"'{name}' is also kept in another branch, at {owner[name].where()}")
        owner |= dict.fromkeys(_kept(node), node.node)
    if missing := [name for name in remaining if name not in owner]:
        hint = "a branch '!Nothing' may take what no other keeps"
        raise branch.node.error(f"no branch of the !Parallel keeps {', '.join(missing)}", hint=hint)
    for node in branch.nodes:
        kept = _kept(node)
        others = [name for name in every if name not in kept]
        for leaf in node.leaves() if isinstance(node, Branch) else [node]:
            if leaf.tag == "!Component":
                own = leaf.constraints.setdefault("dataspace", Constraint(leaf.node, "dataspace"))
                own.join(Constraint(own.node, "dataspace", names={"bypass": others}))
        if isinstance(node, Branch):
            _attach(node, kept, every)


def _kept(node: Leaf | Branch) -> list[str]:
    found: list[str] = []
    for leaf in node.leaves() if isinstance(node, Branch) else [node]:
        if "dataspace" in leaf.constraints:
            found += [
                name for name in leaf.constraints["dataspace"].names.get("keep", ()) if name not in found
            ]
    return found


def complete_permutation(constraint: Constraint, layer: Layer) -> None:
    """Put dims whose loop has one round in front, which makes the mapspace smaller and no mapping worse."""
    order = list(constraint.permutation)
    ones = [dim for (dim, _), value in constraint.factors.items() if value == 1]
    ones += [dim for dim in layer.shape.dims if layer.bounds[dim] == 1]
    for dim in ones:
        if dim not in order:
            order.insert(0, dim)
    constraint.permutation = order
