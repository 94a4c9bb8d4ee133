"""Names of modules and parameters, the same whether a model is wrapped or not.

`DistributedDataParallel` calls the model inside it `module`, `torch.compile` calls it `_orig_mod`: names of
parameters get such a prefix, at any depth. Here a wrapper and the model inside it have one name.

Wrappers are recognised by their class: a user's module that is called `module` keeps its name. Parameters of
two models are compared by identity, and by name only in saved states.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from torch import Tensor, nn

from gmp.errors import PruningError
from sparsim.errors import near

T = TypeVar("T")

# (Python module, class, names under which it holds the model)
_WRAPPERS = (
    ("torch.nn.parallel", "DataParallel", ("module",)),
    ("torch.nn.parallel", "DistributedDataParallel", ("module",)),
    ("torch.optim.swa_utils", "AveragedModel", ("module",)),
    ("torch._dynamo.eval_frame", "OptimizedModule", ("_orig_mod",)),
    (
        "torch.distributed.algorithms._checkpoint.checkpoint_wrapper",
        "ActivationWrapper",
        ("_checkpoint_wrapped_module",),
    ),
    ("lightning.fabric.wrappers", "_FabricModule", ("_forward_module", "_original_module")),
)
_SHARDED = (("torch.distributed.tensor", "DTensor"), ("torch.distributed.fsdp", "FullyShardedDataParallel"))
_PREFIXES = frozenset(name for _, _, names in _WRAPPERS for name in names)


def named_modules(model: nn.Module, *, remove_duplicate: bool = False) -> Iterator[tuple[str, nn.Module]]:
    """Yield all modules except wrappers in the model's order, shared ones under each of their names, or with
    `remove_duplicate` only under the first one.
    """
    if not isinstance(model, nn.Module):
        raise PruningError(f"the model must be a torch.nn.Module, got a {type(model).__name__}")
    seen = set[nn.Module]()
    for name, module in _walk(model, ""):
        if not (remove_duplicate and module in seen):
            seen.add(module)
            yield name, module


def named_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """{name: parameter} in the model's order, shared ones under each of their names."""
    return {
        joined(name, key): parameter
        for name, module in named_modules(model)
        for key, parameter in module._parameters.items()
        if parameter is not None
    }


def names_by_parameter(model: nn.Module) -> dict[Tensor, tuple[str, ...]]:
    """{parameter: all of its names}; tensors are compared by identity."""
    found: dict[Tensor, tuple[str, ...]] = {}
    for name, parameter in named_parameters(model).items():
        found[parameter] = (*found.get(parameter, ()), name)
    return found


def module_called(model: nn.Module, name: str) -> nn.Module:
    """Return the module `name` inside any wrappers. Raises PruningError if there is none."""
    modules = dict(named_modules(model))
    found = matched(name, modules)
    if found is None:
        raise PruningError(f"the model has no module '{name}'", hint=near(name, modules))
    return modules[found]


def matched(name: str, known: Iterable[str]) -> str | None:
    """Return the name in `known` that is the same as `name` inside any wrappers; None if there is none.

    For names in saved states, whose model is not at hand: prefixes are told by their text. An equal name
    comes first; of several that differ in prefixes only, none is meant.
    """
    known = dict.fromkeys(known)
    if name in known:
        return name
    plain = _without_prefixes(name)
    found = [other for other in known if _without_prefixes(other) == plain]
    return found[0] if len(found) == 1 else None


def renamed(saved: Mapping[str, T], known: Iterable[str]) -> dict[str, T]:
    """Return `saved` with the equivalent names in `known`; names without an equivalent are kept."""
    known = dict.fromkeys(known)
    return {matched(name, known) or name: value for name, value in saved.items()}


def check_whole(model: nn.Module) -> None:
    """Raise PruningError for a model whose parameters are spread over processes."""
    for name, part in (*named_parameters(model).items(), *model.named_modules()):
        if any(_is_a(part, *kind) for kind in _SHARDED):
            raise PruningError(
                f"'{name}' is a {type(part).__name__}, which is spread over processes and cannot be pruned; "
                "prune before the model is sharded, or train with DistributedDataParallel"
            )


def joined(module_name: str, key: str) -> str:
    """Return the full name of the attribute `key` of a module."""
    return f"{module_name}.{key}" if module_name else key


def _walk(module: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    held = _held_as(module)
    if not held:
        yield name, module
    for key, inner in module._modules.items():
        if inner is not None:
            yield from _walk(inner, name if key in held else joined(name, key))


def _held_as(module: nn.Module) -> tuple[str, ...]:
    """Return the names under which a wrapper holds the model; () for other modules."""
    return next((names for place, kind, names in _WRAPPERS if _is_a(module, place, kind)), ())


def _is_a(thing: object, place: str, kind: str) -> bool:
    """Check the class by its name, because a library that nobody imported has no instances here."""
    found = getattr(sys.modules.get(place), kind, None)
    return found is not None and isinstance(thing, found)


def _without_prefixes(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _PREFIXES)
