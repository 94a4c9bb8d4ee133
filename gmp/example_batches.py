"""How a batch of a loader is given to a model, and how many samples it has.

A batch is a tensor, a tuple or list, a mapping, or anything else that the model takes as it is, say a graph
of PyTorch Geometric. What of a tuple belongs to the model is decided by the signature of its `forward`: as
many items as it needs, since loaders give (inputs, labels).

    forward(self, x)              (x, labels): x
    forward(self, x, y)           (x, y), (x, y, labels) or ((x, y), labels): x and y
    forward(self, x, mask=None)   (x, labels): x; optional inputs are given by name, in a mapping
    forward(self, *inputs)        (x, y): all
    forward(self, a, b=None)      {"a": ..., "b": ...}: by name
    forward(self, batch)          {"a": ..., "b": ...}: the mapping

A function `forward(model, batch)` takes the place of all this.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gmp.errors import PruningError, TraceError
from gmp.number_checks import is_count
from gmp.parameter_names import module_called
from sparsim.errors import SparsimError, near

Forward = Callable[[nn.Module, Any], object]
_KINDS = inspect.Parameter


def batches_of(model: nn.Module, example: Any) -> list[Any]:
    """Return one batch or several as a list.

    Parameters
    ----------
    model : nn.Module
        Model that takes the batches.
    example : Tensor, tuple, mapping, graph, or iterable of these
        One batch or several. A tuple of tensors is one batch if the model takes several inputs.

    Returns
    -------
    list
        The batches.

    Raises
    ------
    TraceError
        If the example is neither a batch nor an iterable of batches.
    """
    single = isinstance(example, Tensor | Mapping) or hasattr(example, "num_nodes")
    if isinstance(example, tuple) and len(_needed(model)) > 1:
        single = all(isinstance(item, Tensor) for item in example)
    if not single and not _iterates(example):
        raise TraceError(f"the example must be a batch or a list of batches, got {example!r}")
    return [example] if single else list(example)


def check_several(batches: Any) -> None:
    """Refuse a single batch where several are needed, since its rows would be taken for batches.

    Parameters
    ----------
    batches : iterable
        What is given as the batches.

    Raises
    ------
    PruningError
        If it is a tensor or a mapping, or no iterable.
    """
    if isinstance(batches, Tensor | Mapping) or not _iterates(batches):
        kind = "tensor" if isinstance(batches, Tensor) else type(batches).__name__
        raise PruningError(f"batches must be a list or loader of batches, got one {kind}")


def run(model: nn.Module, batch: Any, forward: Forward | None = None, *, during: str = "the pass") -> Any:
    """Return the output of a model for a batch.

    Parameters
    ----------
    model : nn.Module
        The model.
    batch : Tensor, tuple, list, mapping or any other object
        The batch.
    forward : callable, optional
        Called as ``forward(model, batch)`` in place of the model.
    during : str, default "the pass"
        What the model runs for, for the message of an error.

    Returns
    -------
    object
        Output of the model, or of `forward`.

    Raises
    ------
    TraceError
        If the batch does not fit the model, with the error of the model as its cause.
    """
    args, names = ((batch,), {}) if forward is not None else inputs_of(model, batch)
    try:
        return model(*args, **names) if forward is None else forward(model, batch)
    except SparsimError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        shapes = ", ".join(str(tuple(each.shape)) for each in _tensors((*args, *names.values())))
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise TraceError(
            f"{during}: {type(module_called(model, '')).__name__} fails on a batch with "
            f"{f'tensors of shape {shapes}' if shapes else 'no tensors'}: {first}"
        ) from error


def inputs_of(model: nn.Module, batch: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the parts of a batch that a model takes.

    Parameters
    ----------
    model : nn.Module
        The model.
    batch : Tensor, tuple, list, mapping or any other object
        The batch.

    Returns
    -------
    args : tuple
        Inputs by position.
    names : dict of str to object
        Inputs by name.

    Raises
    ------
    TraceError
        If the batch does not fit the model.
    """
    if isinstance(batch, Mapping):
        return _named(model, batch)
    if not isinstance(batch, tuple | list) or isinstance(batch, PackedSequence):
        if len(needed := _needed(model)) > 1:
            raise TraceError(
                f"a batch is a {type(batch).__name__}, but {type(model).__name__} {_takes(needed)}"
            )
        return (batch,), {}
    if not batch:
        raise TraceError("a batch must hold the inputs of the model, got an empty tuple")
    needed = _needed(model)
    if isinstance(batch[0], Mapping) and (len(batch) > 1 or len(needed) < 2):
        return _named(model, batch[0])
    if len(needed) > 1:
        items = batch[0] if isinstance(batch[0], tuple | list) else batch
        if len(items) < len(needed):
            raise TraceError(f"a batch has {len(items)} items, but {type(model).__name__} {_takes(needed)}")
        return tuple(items[: len(needed)]), {}
    if not needed and _takes_all(model, _KINDS.VAR_POSITIONAL):
        return tuple(batch), {}
    if isinstance(batch[0], tuple) and not isinstance(batch[0], PackedSequence):
        raise TraceError(
            f"a batch begins with a tuple of {len(batch[0])}, but {type(model).__name__} takes one input; "
            "pass forward=, a function of the model and a batch that runs it"
        )
    return (batch[0],), {}


def samples_of(model: nn.Module, batch: Any, forward: Forward | None, samples: int | None) -> tuple[int, int]:
    """Return how many samples a batch has, and along which axis of its tensors they lie.

    Parameters
    ----------
    model : nn.Module
        The model.
    batch : Tensor, tuple, list, mapping or any other object
        The batch.
    forward : callable or None
        Function that is called in place of the model, if there is one.
    samples : int or None
        Number of samples; None if it has to be found.

    Returns
    -------
    count : int
        Number of samples: the length of the first axis of the first tensor that the model is given, or of a
        list of tensors; of graphs, their number.
    axis : int
        Axis of the samples, 0 or 1.

    Raises
    ------
    TraceError
        If `samples` is not a positive integer, if the batch does not fit the model, or if it has no tensor of
        samples.
    """
    if samples is not None and not is_count(samples):
        raise TraceError(f"samples must be a positive whole number, got {samples!r}")
    args, names = ((batch,), {}) if forward is not None else inputs_of(model, batch)
    given = (*args, *names.values())
    first = next(_tensors(given), None)
    if samples is not None:
        others = first is not None and first.dim() > 1 and first.shape[0] % samples
        return samples, 1 if others and first is not None and first.shape[1] == samples else 0
    for item in given:
        if isinstance(item, list) and all(isinstance(part, Tensor) for part in item):
            return len(item), 0
        if hasattr(item, "num_nodes"):
            return int(getattr(item, "num_graphs", 1)), 0
        if isinstance(item, PackedSequence):
            return int(item.batch_sizes[0]), 0
    if first is None or not first.dim():
        seen = type(batch).__name__
        raise TraceError(
            f"a batch, a {seen}, has no tensor with a batch axis; pass samples=, the number of samples"
        )
    axis = 1 if first.dim() == 3 and _sequence_first(model) else 0
    return first.shape[axis], axis


def _iterates(value: Any) -> bool:
    """Return whether `list(value)` can be called; data sets may have `__getitem__` only."""
    try:
        iter(value)
    except TypeError:
        return False
    return True


def _takes(needed: list[str]) -> str:
    names = ", ".join(needed)
    return f"takes {names}; pass forward=, a function of the model and a batch that runs it"


def _named(model: nn.Module, batch: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    known = _parameters(model)
    unknown = [key for key in batch if key not in known]
    if not unknown or _takes_all(model, _KINDS.VAR_KEYWORD):
        return (), dict(batch)
    if len(unknown) == len(batch) and len(_needed(model)) == 1:
        return (batch,), {}
    raise TraceError(
        f"a batch has '{unknown[0]}', which {type(model).__name__} does not take; leave it out, or pass "
        "forward=, a function of the model and a batch",
        hint=near(str(unknown[0]), known),
    )


def _parameters(model: nn.Module) -> dict[str, inspect.Parameter]:
    """The parameters of `forward` of the model without its wrappers; those of the schema for a scripted
    model.
    """
    forward = module_called(model, "").forward
    try:
        found = dict(inspect.signature(forward).parameters)
    except (TypeError, ValueError):
        return {"input": inspect.Parameter("input", _KINDS.POSITIONAL_OR_KEYWORD)}
    if (schema := getattr(forward, "schema", None)) is None:
        return found
    names = [argument for argument in schema.arguments if argument.name != "self"]
    return {
        each.name: inspect.Parameter(
            each.name,
            _KINDS.POSITIONAL_OR_KEYWORD,
            default=each.default_value if each.has_default_value() else _KINDS.empty,
        )
        for each in names
    }


def _needed(model: nn.Module) -> list[str]:
    """Names of inputs without a default."""
    positional = (_KINDS.POSITIONAL_ONLY, _KINDS.POSITIONAL_OR_KEYWORD)
    return [
        name
        for name, each in _parameters(model).items()
        if each.kind in positional and each.default is _KINDS.empty
    ]


def _takes_all(model: nn.Module, kind: Any) -> bool:
    return any(each.kind is kind for each in _parameters(model).values())


def _sequence_first(model: nn.Module) -> bool:
    """Whether the model is a recurrent network or transformer that takes (sequence, samples, ...)."""
    model = module_called(model, "")
    kinds = (
        nn.RNNBase, nn.Transformer, nn.TransformerEncoder, nn.TransformerDecoder, nn.TransformerEncoderLayer,
        nn.TransformerDecoderLayer, nn.MultiheadAttention,
    )  # fmt: skip
    inner = (m for m in model.modules() if isinstance(m, nn.RNNBase | nn.MultiheadAttention))
    return isinstance(model, kinds) and not all(module.batch_first for module in inner)


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, Mapping):
            yield from _tensors(value.values())
        elif isinstance(value, tuple | list):
            yield from _tensors(value)
        elif hasattr(value, "__dict__"):  # a data class, say
            yield from _tensors(vars(value).values())
