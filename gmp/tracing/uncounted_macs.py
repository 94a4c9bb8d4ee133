"""Counts the multiplications of a network that belong to no measured layer.

The formulas of `torch.utils.flop_counter` count them, operation by operation, with a few more. They belong to
the module whose weights are an operand, else to the module that runs. Weights that are used in a way that is
not counted, or that nobody was seen to use, leave their module's number unknown.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

# Functions by name, as in `nonzero_recorder`, that move, look up or combine values without products.
_NO_PRODUCTS = {
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "amax", "amin", "argmax", "argsort",
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "broadcast_to", "cat", "chunk", "concat", "cumsum", "dim",
    "embedding", "embedding_bag", "eq", "full", "gather", "ge", "get", "group_norm", "gt", "index_select",
    "instance_norm", "interpolate", "is_floating_point", "item", "layer_norm", "le", "log_softmax",
    "logsumexp", "lt", "max_pool1d", "max_pool2d", "max_pool3d", "mean", "ne", "norm", "numel", "ones", "pad",
    "rand", "randn", "repeat", "repeat_interleave", "rms_norm", "roll", "scatter", "set", "size", "softmax",
    "sort", "split", "stack", "std", "stride", "sum", "take", "tile", "topk", "tolist", "unbind", "unfold",
    "var", "zeros",
}  # fmt: skip


def _recurrent(inputs: Tensor, *weights: Tensor) -> int:
    """FLOPs of a recurrent layer: each step multiplies by all its matrices."""
    steps = inputs.numel() // inputs.shape[-1]
    return 2 * steps * sum(weight.numel() for weight in weights if weight.dim() == 2)


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query.shape, key.shape, value.shape))


_FORMULAS: dict[Any, Callable[..., int]] = {
    **flop_registry,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten.mkldnn_rnn_layer: lambda x, first, second, *_, **__: _recurrent(x, first, second),
    torch.ops.aten._cudnn_rnn: lambda x, weights, *_, **__: _recurrent(x, *weights),
    torch.ops.aten.mv: lambda matrix, *_, **__: 2 * matrix.numel(),
    torch.ops.aten.dot: lambda vector, *_, **__: 2 * vector.numel(),
}


class _Flops(TorchDispatchMode):
    """Adds up the `flops` of operations. torch's own mode would import the compiler, for two seconds."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # to skip it is what imports it
        return False

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = _FORMULAS.get(getattr(func, "overloadpacket", None))
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=result))
        return result


class Uncounted:
    """`macs` of modules by name, and modules of which they are `unknown`.

    `harmless`: further names of functions that make no products.
    """

    def __init__(self, model: nn.Module, measured: Iterable[nn.Module], harmless: Iterable[str]) -> None:
        self.macs: dict[str, int] = {}
        self.running: list[str] = []
        self._harmless = _NO_PRODUCTS | set(harmless)
        covered = {id(parameter) for module in measured for parameter in module.parameters()}
        self._owners: dict[int, str] = {}
        for name, module in model.named_modules():
            for parameter in module.parameters(recurse=False):
                if parameter.dim() > 1 and id(parameter) not in covered:
                    self._owners.setdefault(parameter.untyped_storage().data_ptr(), name)
        self._unseen, self._unclear = set(self._owners.values()), set[str]()

    @property
    def unknown(self) -> set[str]:
        return (self._unseen | self._unclear) - set(self.macs)

    def hooks(self, model: nn.Module) -> Iterable[Any]:
        for name, module in model.named_modules():
            yield module.register_forward_pre_hook(lambda *_, name=name: self.running.append(name))
            yield module.register_forward_hook(self._leave, always_call=True)

    def _leave(self, *_: Any) -> None:
        self.running.pop()

    def run(self, name: str, func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Call `func`, and count it."""
        operands = [t for t in tensors_of([*args, *kwargs.values()]) if t.is_floating_point()]
        owners = [o for o in (self._owners.get(_place(t)) for t in operands) if o is not None]
        if name in self._harmless or name.endswith("_like") or name.startswith("new_") or not operands:
            if name != "get":  # of an attribute, such as the shape
                self._unseen.difference_update(owners)
            return func(*args, **kwargs)
        with _Flops() as counter:
            result = func(*args, **kwargs)
        self._unseen.difference_update(owners)
        if macs := counter.flops // 2:
            owner = owners[0] if owners else self.running[-1] if self.running else ""
            self.macs[owner] = self.macs.get(owner, 0) + macs
        elif isinstance(result, Tensor) and result.is_floating_point():
            places = {_place(t) for t in operands}
            self._unclear.update(owners if _place(result) not in places else [])
        return result


def _place(tensor: Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # sparse tensors and wrappers have none
        return 0


def tensors_of(values: Iterable[Any]) -> Iterable[Tensor]:
    """Those among arguments, in lists too."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_of(value)
