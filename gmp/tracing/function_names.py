"""Classes of torch functions, by name.

Names are without leading and trailing underscores: F.relu, torch.relu and x.relu_() are all "relu".
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

ELEMENTWISE = {
    "abs", "add", "addcdiv", "addcmul", "alpha_dropout", "batch_norm", "bfloat16", "ceil", "celu",
    "clamp", "clamp_max", "clamp_min", "clip", "div", "double", "dropout", "dropout1d", "dropout2d",
    "dropout3d", "elu", "erf", "exp", "feature_alpha_dropout", "feature_dropout", "float", "floor",
    "gelu", "half", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "iadd", "imul", "isub",
    "itruediv", "leaky_relu", "lerp", "log_sigmoid", "masked_fill", "max", "maximum", "min", "minimum",
    "mish", "mul", "nan_to_num", "neg", "pow", "prelu", "radd", "rdiv", "relu", "relu6", "rmul",
    "round", "rpow", "rrelu", "rsub", "selu", "setitem", "sigmoid", "sign", "silu", "softplus",
    "softshrink", "softsign", "sqrt", "square", "sub", "tanh", "tanhshrink", "threshold", "to",
    "truediv", "trunc", "type", "type_as", "where",
}  # fmt: skip
CHOICES = ("masked_fill", "setitem", "where")  # not followed if they insert infinities, which softmax reads
SAME_VALUES = {
    "clone", "contiguous", "cpu", "cuda", "detach", "expand", "expand_as", "flatten", "getitem",
    "movedim", "permute", "requires_grad", "reshape", "reshape_as", "squeeze", "swapaxes", "transpose",
    "unflatten", "unsqueeze", "view", "view_as",
}  # fmt: skip
QUIET = {"get", "dim", "size", "stride", "numel", "is_floating_point", "is_complex"}  # these read no elements
RECURRENT = {"gru", "lstm", "rnn_relu", "rnn_tanh"}
TIME_FIRST = RECURRENT | {"multi_head_attention_forward"}  # these put sequences before samples internally


def plain_name(func: Any) -> str:
    """Return the plain name of a function; `relu.default`, for example, is an overload that scripted modules
    call.
    """
    return getattr(func, "__name__", "").strip("_").partition(".")[0]


def _bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(..., A), (..., B) and (M, A, B) to (..., M) as two products of matrices, not as one kernel."""
    partial = torch.tensordot(input1, weight, dims=([-1], [1]))  # (..., M, B)
    result = torch.matmul(partial, input2[..., None])[..., 0]
    return result if bias is None else result + bias


REWRITTEN: dict[str, Callable[..., Tensor]] = {"bilinear": _bilinear}
