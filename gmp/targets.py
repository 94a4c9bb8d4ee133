"""Selection of the weights to prune, by module type, name, regular expression or predicate.

Every parameter can be pruned. A matcher is one of
  a module type              `nn.Linear`, subclasses included: the weights of such modules
  the name of a module       `"fc1"`: its weights
  the name of a parameter    `"fc1.weight"`, `"lstm.weight_hh_l0"`, `"experts.w1"`
  `"re:" + expression`       fully matches the name of a module or of a parameter
  a predicate                `(name, module) -> bool`, called with the module's name: its weights
  `layer_weights`            the default, below

The weights of a module are what it calls `weight`, and its other matrices: parameters that are longer than 1
along two dimensions or more, but for those that it calls a bias. The matrix of `out_proj` is among those of
`nn.MultiheadAttention`. Expressions and predicates meet matrices only, and what is called `weight` if it has
two or more dimensions, which keeps the scale of a normalisation out of `"re:block1.*"`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from gmp.errors import PruningError
from gmp.parameter_names import check_whole, joined, named_modules
from gmp.weight_axes import Axes, axes_of, given_axes, is_of_experts
from sparsim.errors import near

Matcher = type[nn.Module] | str | Callable[[str, nn.Module], bool]
T = TypeVar("T")


class Target(NamedTuple):
    """One prunable weight.

    Parameters
    ----------
    name : str
        First name of the parameter in the model, as "fc1.weight".
    module : nn.Module
        Module that holds the parameter.
    weight : Tensor
        The parameter.
    key : str
        Name of the parameter in its module, as "weight".
    """

    name: str
    module: nn.Module
    weight: Tensor
    key: str


def layer_weights(name: str, module: nn.Module) -> bool:
    """What is pruned if nothing is asked for: the weights of layers, which are multiplied by activations.

    These are the parameters of two or more dimensions that a module calls a weight (`weight`,
    `weight_hh_l0`, `in_proj_weight`), and the matrices of experts of transformers, but for embeddings and
    normalisations. A parameter that is an embedding too counts by its other name.
    """
    kind = type(module).__name__.lower()
    return not (isinstance(module, nn.Embedding | nn.EmbeddingBag) or "embedding" in kind or "norm" in kind)


PRUNABLE = layer_weights


class _Candidate(NamedTuple):
    """A parameter under one of its names; `part_of`: a module of which its module is a part."""

    name: str
    module_name: str
    module: nn.Module
    weight: Tensor
    key: str
    part_of: tuple[str, nn.Module] | None

    @property
    def modules(self) -> tuple[tuple[str, nn.Module], ...]:
        own = (self.module_name, self.module)
        return (own,) if self.part_of is None else (own, self.part_of)

    @property
    def is_matrix(self) -> bool:
        if self.key.startswith("bias"):
            return False
        if self.key == "weight" or nn.parameter.is_lazy(self.weight):
            return self.weight.dim() > 1 or nn.parameter.is_lazy(self.weight)
        return sum(n > 1 for n in self.weight.shape) > 1

    @property
    def is_weight(self) -> bool:
        return self.key == "weight" or self.is_matrix


def select(
    model: nn.Module, targets: Matcher | Iterable[Matcher], ignore: Matcher | Iterable[Matcher] = ()
) -> tuple[Target, ...]:
    """Return the weights that are matched by `targets` and not by `ignore`.

    Parameters
    ----------
    model : nn.Module
        Model with the weights.
    targets : type, str, callable, or iterable of these
        What is pruned: module types, names of modules or parameters, ``"re:"`` with a regular expression, or
        predicates ``(name, module) -> bool``.
    ignore : type, str, callable, or iterable of these, default ()
        What is not pruned, likewise.

    Returns
    -------
    tuple of Target
        Weights in the order of the model. A weight that is shared under several names appears once, under the
        first name that `targets` matches, and is ignored if any of its names is.

    Raises
    ------
    PruningError
        If a name or expression matches no weight, if a type or predicate among `targets` matches none, if an
        ignored module contains others that are pruned, or if nothing is left to prune.

    Examples
    --------
    >>> from torch import nn
    >>> from gmp import select
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> [target.name for target in select(model, nn.Linear, ignore="2")]
    ['0.weight']
    """
    check_whole(model)
    candidates = list(_candidates(model))
    wanted = _matched(model, candidates, _listed(targets), "targets")
    ignored = {id(candidates[i].weight) for i in _matched(model, candidates, _listed(ignore), "ignore")}
    chosen: dict[int, Target] = {}
    for i, found in enumerate(candidates):
        if i in wanted and id(found.weight) not in ignored:
            target = Target(found.name, found.module, found.weight, found.key)
            chosen.setdefault(id(found.weight), _checked(target))
    if not chosen:
        raise PruningError(
            "there is nothing to prune: no weight of the model matches targets without matching ignore"
        )
    _check_holders(model, _listed(ignore), chosen.values())
    return tuple(chosen.values())


def left_out(
    model: nn.Module, targets: Matcher | Iterable[Matcher], ignore: Matcher | Iterable[Matcher] = ()
) -> set[str]:
    """Return the names of the parameters that `targets` do not select or `ignore` excludes.

    With a type or the default among them `targets` mean all of the model, else only what they meet.
    """
    candidates = list(_candidates(model))
    everything = any(isinstance(m, type) or m is layer_weights for m in _listed(targets))
    meant = range(len(candidates)) if everything else _matched(model, candidates, _listed(targets), "targets")
    unwanted = _matched(model, candidates, _listed(ignore), "ignore")
    return {found.name for i, found in enumerate(candidates) if i not in meant or i in unwanted}


def by_name(values: Mapping[str, T], names: Iterable[str], what: str) -> dict[str, T]:
    """{weight name: value} of a mapping from exact names or `"re:"` expressions, of weights or modules.

    An exact name wins over expressions, an earlier expression over a later one. Raises PruningError for a key
    that meets none of the weights called `names`; `what` says in the message whose keys they are.
    """
    names = list(names)
    result: dict[str, T] = {}
    for exact in (True, False):
        for key, value in values.items():
            if not isinstance(key, str):
                raise PruningError(f"{what}: keys must be names of weights, got {key!r}")
            if key.startswith("re:") == exact:
                continue
            met = [name for name in names if _name_matches(key, (name, name.rpartition(".")[0]))]
            if not met:
                text = f"{what}: '{key}' matches no prunable weight"
                raise PruningError(text, hint=_near(key, _with_modules(names)))
            for name in met:
                result.setdefault(name, value)
    return result


def axes_by_name(
    targets: Iterable[Target], given: Mapping[str, str | Axes | None], *, needed: bool
) -> dict[str, Axes]:
    """{weight name: axes}: those that are `given` by name or `"re:"` expression, else what the module tells.

    Raises PruningError where they are not known but `needed`.
    """
    targets = list(targets)
    by_hand = by_name(given, [target.name for target in targets], "axes")
    found = {}
    for name, module, weight, key in targets:
        if (by_user := by_hand.get(name)) is not None:
            axes: Axes | None = given_axes(by_user, name, weight)
        elif (axes := axes_of(module, key, weight)) is None and needed:
            raise PruningError(
                f"the pattern needs to know which axes of '{name}', of shape {tuple(weight.shape)}, are "
                f"outputs and inputs: pass axes={{'{name}': ...}}, a letter for each dimension (o outputs, "
                "i inputs, g groups, k kernel positions)"
            )
        found[name] = axes or Axes("o" * weight.dim())
    return found


def _candidates(model: nn.Module) -> Iterable[_Candidate]:
    """Yield all parameters under all of their names, and substitutes for one called `weight`."""
    parts: dict[int, tuple[str, nn.Module]] = {}
    for name, module in named_modules(model):
        # attention does not call this layer, but uses its weights
        if isinstance(module, nn.MultiheadAttention):
            parts[id(module.out_proj)] = (name, module)
        held: dict[str, Tensor | None] = dict(module._parameters)
        computed = ["weight", *getattr(module, "parametrizations", ())]
        for key in computed:
            if key not in held and isinstance(value := getattr(module, key, None), Tensor):
                held[key] = value
        for key, weight in held.items():
            if weight is not None:
                yield _Candidate(joined(name, key), name, module, weight, key, parts.get(id(module)))


def _with_modules(weight_names: Iterable[str]) -> list[str]:
    """Add the names of the modules of the weights."""
    found = (name for weight in weight_names for name in (weight.rpartition(".")[0], weight) if name)
    return list(dict.fromkeys(found))


def _listed(matchers: Matcher | Iterable[Matcher]) -> list[Matcher]:
    if isinstance(matchers, str | type) or not isinstance(matchers, Iterable):
        return [matchers]  # an invalid matcher is refused where it is used
    return list(matchers)


def _matched(model: nn.Module, candidates: list[_Candidate], matchers: list[Matcher], what: str) -> set[int]:
    """Indices of the `candidates` that any matcher meets.

    To ignore a type that is not there is no mistake, nor is it that a predicate ignores nothing.
    """
    met: set[int] = set()
    for matcher in matchers:
        meets = _meeting(matcher, what)
        found = {i for i, candidate in enumerate(candidates) if meets(candidate)}
        if not found and isinstance(matcher, str):
            if seen := _what_is(model, matcher):
                raise PruningError(f"{what}: '{matcher}' {seen}")
            names = _with_modules(candidate.name for candidate in candidates if candidate.is_weight)
            text = f"{what}: '{matcher}' matches no module or parameter"
            raise PruningError(text, hint=_near(matcher, names))
        if not found and what == "targets" and candidates and matcher is not layer_weights:
            raise _unmet(model, matcher)
        met |= found
    return met


def _meeting(matcher: Matcher, what: str) -> Callable[[_Candidate], bool]:
    """Return a function that tells whether `matcher` matches a candidate."""
    if isinstance(matcher, str):
        return lambda candidate: _is_named(matcher, candidate)
    if isinstance(matcher, type) and issubclass(matcher, nn.Module):
        return lambda candidate: (
            candidate.is_weight and any(isinstance(module, matcher) for _, module in candidate.modules)
        )
    if matcher is layer_weights:
        return _is_of_a_layer
    if callable(matcher) and not isinstance(matcher, type | nn.Module):
        answers: dict[str, bool] = {}  # predicates are called once per module

        def meets(candidate: _Candidate) -> bool:
            name = candidate.module_name
            if candidate.is_matrix and name not in answers:
                answers[name] = bool(matcher(name, candidate.module))
            return candidate.is_matrix and answers[name]

        return meets
    seen = f"a {type(matcher).__name__}" if isinstance(matcher, Tensor | nn.Module) else repr(matcher)
    raise PruningError(
        f"{what}: {seen} must be a module type, a name, 're:' with an expression or a predicate"
    )


def _is_named(matcher: str, candidate: _Candidate) -> bool:
    modules = [name for name, _ in candidate.modules]
    if matcher.startswith("re:"):
        return candidate.is_matrix and _name_matches(matcher, (candidate.name, *modules))
    return matcher == candidate.name or (candidate.is_weight and matcher in modules)


def _is_of_a_layer(candidate: _Candidate) -> bool:
    module, key = candidate.module, candidate.key
    if isinstance(module, nn.Linear | _ConvNd) and key == "weight":
        return True
    if not isinstance(candidate.weight, nn.Parameter) or not candidate.is_matrix:
        return False
    called_so = re.search(r"(^|_)weight(_|$)", key) or is_of_experts(module, key)
    return bool(called_so) and layer_weights(candidate.module_name, module)


def _what_is(model: nn.Module, name: str) -> str:
    """Return why the object called `name` in the model cannot be pruned; '' if there is no such object."""
    module = dict(named_modules(model)).get(name) if name else None
    if module is None:
        return ""
    inside = (
        " of its own: 're:" + re.escape(name) + r"\..*' matches the modules inside" if _holds(module) else ""
    )
    return f"is a {type(module).__name__}, which has no weight{inside}"


def _unmet(model: nn.Module, matcher: Matcher) -> PruningError:
    """Return the error for a type or predicate among the targets that matches no weight."""
    if not isinstance(matcher, type):
        name = getattr(matcher, "__name__", matcher)
        return PruningError(f"targets: the function {name!r} matches no module with a weight")
    held = [name for name, module in named_modules(model) if isinstance(module, matcher)]
    if held:
        return PruningError(f"targets: '{held[0]}' is a {matcher.__name__}, which has no weight of its own")
    kinds = dict.fromkeys(type(module).__name__ for module in model.modules())
    return PruningError(f"targets: the model has no {matcher.__name__}", hint=_near(matcher.__name__, kinds))


def _holds(module: nn.Module) -> bool:
    """Return whether a module contains other modules with a weight."""
    return any(candidate.is_weight for candidate in _candidates(module))


def _check_holders(model: nn.Module, ignore: list[Matcher], chosen: Iterable[Target]) -> None:
    """Refuse an ignored type that has no weight itself but contains modules that would still be pruned."""
    pruned = {id(target.module): target.name for target in chosen}
    kinds: list[type[nn.Module]] = [kind for kind in ignore if isinstance(kind, type)]
    for kind in kinds:
        for name, module in named_modules(model):
            if not isinstance(module, kind) or hasattr(module, "weight"):
                continue
            inside = [pruned[id(other)] for other in module.modules() if id(other) in pruned]
            if inside:
                raise PruningError(
                    f"ignore: '{name}' is a {kind.__name__} without a weight of its own, and '{inside[0]}' "
                    f"inside is pruned; 're:{re.escape(name)}\\..*' matches what is inside"
                )


def _name_matches(matcher: str, names: Iterable[str]) -> bool:
    if not matcher.startswith("re:"):
        return matcher in names
    try:
        return any(re.fullmatch(matcher[3:], name) for name in names)
    except re.error as error:
        raise PruningError(f"'{matcher}' is not a regular expression: {error}") from None


def _near(key: str, names: Iterable[str]) -> str:
    return near(key.removeprefix("re:"), names)


def _checked(target: Target) -> Target:
    name, weight = target.name, target.weight
    if nn.parameter.is_lazy(weight):
        raise PruningError(f"'{name}' has no shape yet; run one batch through the model first")
    if not isinstance(weight, nn.Parameter):
        raise PruningError(
            f"'{name}' is computed from other parameters; remove the parametrization of "
            f"'{name.rpartition('.')[0]}' first"
        )
    if not weight.is_floating_point() or weight.is_sparse or not weight.dim() or not weight.numel():
        raise PruningError(
            f"'{name}' is {str(weight.dtype).removeprefix('torch.')} of shape {tuple(weight.shape)}, "
            f"{str(weight.layout).removeprefix('torch.')}; only strided floating-point weights with elements "
            "can be pruned"
        )
    return target
