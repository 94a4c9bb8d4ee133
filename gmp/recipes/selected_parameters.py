"""Selection of parameters by the `params` of a recipe, as in sparseml.

An entry of `params` is the full name of a parameter, `re:` with an expression that matches from the start of
such a name, `__ALL__`, or `__ALL_PRUNABLE__`: the weights of linear, convolution and embedding layers. Other
entries beside the last two have no effect. Expressions and `__ALL__` mean biases and the scales of
normalisations too where they match.
"""

import re
from collections.abc import Iterable

from torch import nn
from torch.nn.modules.conv import _ConvNd

from gmp.errors import RecipeError
from gmp.parameter_names import joined, named_modules, named_parameters
from gmp.recipes.modifier_fields import ALL, ALL_PRUNABLE
from sparsim.errors import near


def selected(model: nn.Module, params: Iterable[str], place: str, *, strict: bool = True) -> tuple[str, ...]:
    """Names of the parameters that `params` mean, in the model's order.

    Raises RecipeError for an entry that means none, if `strict`.
    """
    known = list(named_parameters(model))
    params = list(params)
    alone = next((param for param in (ALL, ALL_PRUNABLE) if param in params), None)
    chosen: set[str] = set()
    for param in params if alone is None else [alone]:
        met = _prunable(model) if param == ALL_PRUNABLE else [n for n in known if _meets(param, n)]
        if not met and strict:
            hint = near(param.removeprefix("re:"), known)
            raise RecipeError(f"{place}: the model has no parameter '{param}'", hint=hint)
        chosen.update(met)
    return tuple(name for name in known if name in chosen)


def _prunable(model: nn.Module) -> list[str]:
    return [
        joined(name, "weight")
        for name, module in named_modules(model)
        if isinstance(module, nn.Linear | nn.Embedding | _ConvNd) or _is_conv1d_of_transformers(module)
    ]


def _is_conv1d_of_transformers(module: nn.Module) -> bool:
    kind = type(module)
    return kind.__name__ == "Conv1D" and kind.__module__ == "transformers.pytorch_utils"


def _meets(param: str, name: str) -> bool:
    if param.startswith("re:"):
        return bool(re.match(param[3:], name))
    return param in (ALL, name)
