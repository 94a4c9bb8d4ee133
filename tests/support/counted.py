"""MACs of networks by torch's own counter, to compare traces with."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from gmp.example_batches import run


def counted_macs(model: nn.Module, batch: Any) -> int:
    """Of one batch, in eval mode. Fast paths are off: the counter has no formulas for them."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    onednn = torch._C._get_mkldnn_enabled()
    torch._C._set_mkldnn_enabled(False)  # it has recurrent layers as kernels
    try:
        with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            run(model.eval(), batch)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch._C._set_mkldnn_enabled(onednn)
    return counter.get_total_flops() // 2
