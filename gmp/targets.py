"""Which weights are pruned: by module type, exact name, regular expression or predicate.

A weight is the parameter called `weight` of a module. A matcher is one of
  a module type              `nn.Linear`, subclasses included
  an exact name              `"fc1"` or `"fc1.weight"`
  `"re:" + expression`       fully matches the module's or the weight's name
  a predicate                `(name, module) -> bool`, called with the module's name
The last two meet weights of two or more dimensions only, which keeps the scale of a normalisation out of
`"re:block1.*"`; its exact name works.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from torch import Tensor, nn

from gmp.errors import PruningError
from gmp.parameter_names import check_whole, named_modules, named_parameters
from sparsim.errors import near

Matcher = type[nn.Module] | str | Callable[[str, nn.Module], bool]
T = TypeVar("T")


PRUNABLE = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)  # what is pruned if nothing is asked for


class Target(NamedTuple):
    """One prunable weight: its first name in the model, the module that holds it, the parameter."""

    name: str
    module: nn.Module
    weight: Tensor


def select(
    model: nn.Module, targets: Matcher | Iterable[Matcher], ignore: Matcher | Iterable[Matcher] = ()
) -> tuple[Target, ...]:
    """The weights that some matcher of `targets` meets and none of `ignore`, in the model's order.

    A weight that is shared under several names appears once, under the first name that `targets` meets, and
    is ignored if any of its names is.

    Raises PruningError if a name or expression meets no weight, if a type or predicate among `targets` meets
    none, if a type in `ignore` only holds modules of which some are pruned, or if nothing is left to prune.
    """
    check_whole(model)
    modules = [
        Target(_weight_name(name), module, weight)
        for name, module in named_modules(model)
        if isinstance(weight := getattr(module, "weight", None), Tensor)
    ]
    wanted = _matched(model, modules, _listed(targets), "targets", may_miss=targets is PRUNABLE)
    ignored = {id(modules[i].weight) for i in _matched(model, modules, _listed(ignore), "ignore")}
    chosen: dict[int, Target] = {}
    for i, target in enumerate(modules):
        if i in wanted and id(target.weight) not in ignored:
            chosen.setdefault(id(target.weight), _checked(target))
    if not chosen:
        raise PruningError("nothing to prune: no weight of the model is met by targets and not by ignore")
    _check_holders(model, _listed(ignore), chosen.values())
    return tuple(chosen.values())


def left_out(
    model: nn.Module, targets: Matcher | Iterable[Matcher], ignore: Matcher | Iterable[Matcher] = ()
) -> set[int]:
    """Identities of all parameters that `targets` do not mean or `ignore` means, also of those out of reach.

    With a type among them `targets` mean all of the model, an expression means whatever it matches; names and
    predicates mean only what they meet.
    """
    wanted, unwanted = _listed(targets), _listed(ignore)
    everything = any(isinstance(matcher, type) for matcher in wanted)
    found = set()
    for name, module in named_modules(model):
        for key, parameter in module.named_parameters(name, recurse=False):
            meant = everything or any(_means(m, name, key, module) for m in wanted)
            if not meant or any(_means(m, name, key, module) for m in unwanted):
                found.add(id(parameter))
    return found


def by_name(values: Mapping[str, T], names: Iterable[str], what: str) -> dict[str, T]:
    """{weight name: value} of a mapping from exact names or `"re:"` expressions.

    An exact name wins over expressions, an earlier expression over a later one. Raises PruningError for a key
    that meets none of the weights called `names`; `what` says in the message whose keys they are.
    """
    names = list(names)
    result: dict[str, T] = {}
    for exact in (True, False):
        for key, value in values.items():
            if not isinstance(key, str):
                raise PruningError(f"{what}: keys are names of weights, not {key!r}")
            if key.startswith("re:") == exact:
                continue
            met = [name for name in names if _name_matches(key, name)]
            if not met:
                text = f"{what}: '{key}' meets no prunable weight"
                raise PruningError(text, hint=_near(key, _all_names(names)))
            for name in met:
                result.setdefault(name, value)
    return result


def _weight_name(module_name: str) -> str:
    return f"{module_name}.weight" if module_name else "weight"


def _module_name(weight_name: str) -> str:
    return weight_name.removesuffix("weight").removesuffix(".")


def _all_names(weight_names: Iterable[str]) -> list[str]:
    """Also those of the modules."""
    return [name for weight in weight_names for name in (_module_name(weight), weight) if name]


def _listed(matchers: Matcher | Iterable[Matcher]) -> list[Matcher]:
    if isinstance(matchers, str | type) or not isinstance(matchers, Iterable):
        return [matchers]  # a wrong one is refused where it is used
    return list(matchers)


def _matched(
    model: nn.Module, modules: list[Target], matchers: list[Matcher], what: str, *, may_miss: bool = False
) -> set[int]:
    """Indices of the `modules` that any matcher meets.

    To ignore a type that is not there is no mistake, nor is it that a predicate ignores nothing.
    """
    met: set[int] = set()
    for matcher in matchers:
        found = {i for i, target in enumerate(modules) if _meets(matcher, target, what)}
        if not found and isinstance(matcher, str):
            if seen := _what_is(model, matcher):
                raise PruningError(f"{what}: '{matcher}' {seen}")
            names = _all_names(target.name for target in modules)
            text = f"{what}: '{matcher}' meets no module with a weight"
            raise PruningError(text, hint=_near(matcher, names))
        if not found and what == "targets" and len(modules) and not may_miss:
            raise _unmet(model, matcher)
        met |= found
    return met


def _what_is(model: nn.Module, name: str) -> str:
    """Why what is called `name` in the model cannot be pruned; '' if there is nothing."""
    if name in named_parameters(model):
        return "is a parameter, but only those that a module calls 'weight' can be pruned"
    module = dict(named_modules(model)).get(name) if name else None
    if module is None:
        return ""
    inside = (
        " of its own: 're:" + re.escape(name) + r"\..*' meets the modules inside" if _holds(module) else ""
    )
    return f"is a {type(module).__name__}, which has no weight{inside}"


def _unmet(model: nn.Module, matcher: Matcher) -> PruningError:
    """That a type or predicate among the targets meets no weight."""
    if not isinstance(matcher, type):
        name = getattr(matcher, "__name__", matcher)
        return PruningError(f"targets: the function {name!r} meets no module with a weight")
    held = [name for name, module in named_modules(model) if isinstance(module, matcher)]
    if held:
        return PruningError(
            f"targets: '{held[0]}' is a {matcher.__name__}, which has no parameter called weight that could "
            "be pruned"
        )
    kinds = dict.fromkeys(type(module).__name__ for module in model.modules())
    return PruningError(f"targets: the model has no {matcher.__name__}", hint=_near(matcher.__name__, kinds))


def _holds(module: nn.Module) -> bool:
    """Whether other modules with a weight lie inside."""
    inner = (other for other in module.modules() if other is not module)
    return any(isinstance(getattr(other, "weight", None), Tensor) for other in inner)


def _check_holders(model: nn.Module, ignore: list[Matcher], chosen: Iterable[Target]) -> None:
    """Refuse an ignored type without a weight that holds modules which are pruned all the same."""
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
                    f"inside is pruned; 're:{re.escape(name)}\\..*' meets what is inside"
                )


def _meets(matcher: Matcher, target: Target, what: str) -> bool:
    if isinstance(matcher, str):
        if matcher.startswith("re:") and target.weight.dim() < 2:
            return False
        return _name_matches(matcher, target.name)
    if isinstance(matcher, type) and issubclass(matcher, nn.Module):
        return isinstance(target.module, matcher)
    if callable(matcher) and not isinstance(matcher, type | nn.Module):
        return target.weight.dim() >= 2 and bool(matcher(_module_name(target.name), target.module))
    seen = f"a {type(matcher).__name__}" if isinstance(matcher, Tensor | nn.Module) else repr(matcher)
    raise PruningError(
        f"{what}: {seen} is not a module type, a name, 're:' with an expression, or a predicate"
    )


def _means(matcher: Matcher, module_name: str, parameter_name: str, module: nn.Module) -> bool:
    if isinstance(matcher, type):
        return isinstance(module, matcher)
    if not isinstance(matcher, str):
        return isinstance(getattr(module, "weight", None), Tensor) and bool(matcher(module_name, module))
    if matcher.startswith("re:"):
        return any(re.fullmatch(matcher[3:], name) for name in (module_name, parameter_name))
    return matcher in (module_name, parameter_name)


def _name_matches(matcher: str, weight_name: str) -> bool:
    names = (weight_name, _module_name(weight_name))
    if not matcher.startswith("re:"):
        return matcher in names
    try:
        return any(re.fullmatch(matcher[3:], name) for name in names)
    except re.error as error:
        raise PruningError(f"'{matcher}' is not a regular expression: {error}") from None


def _near(key: str, names: Iterable[str]) -> str:
    return near(key.removeprefix("re:"), names)


def _checked(target: Target) -> Target:
    name, _, weight = target
    if nn.parameter.is_lazy(weight):
        raise PruningError(f"'{name}' has no shape yet; run one batch through the model first")
    if not isinstance(weight, nn.Parameter):
        raise PruningError(
            f"'{name}' is not a parameter but computed from others; remove the parametrization of "
            f"'{_module_name(name)}' first"
        )
    if not weight.is_floating_point() or weight.is_sparse or not weight.dim() or not weight.numel():
        raise PruningError(
            f"'{name}' is {str(weight.dtype).removeprefix('torch.')} of shape {tuple(weight.shape)}, "
            f"{str(weight.layout).removeprefix('torch.')}; only strided floating-point weights with elements "
            "can be pruned"
        )
    return target
