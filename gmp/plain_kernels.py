"""Context in which a network runs without fused kernels that hide its computations."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Compute attention by matrix products and a softmax, which fast kernels would hide, and run no compiled
    code.
    """
    backends = torch.backends.cuda
    kinds = ("flash", "mem_efficient", "cudnn", "math")
    before = [getattr(backends, f"{kind}_sdp_enabled")() for kind in kinds]
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        for kind in kinds:
            getattr(backends, f"enable_{kind}_sdp")(kind == "math")
        with ExitStack() as stack:
            if "torch._dynamo" in sys.modules:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for kind, enabled in zip(kinds, before, strict=True):
            getattr(backends, f"enable_{kind}_sdp")(enabled)
