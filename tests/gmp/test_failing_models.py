"""A batch that does not fit a model is one of our errors: it names the call, the shapes and torch's error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import gmp
from gmp.errors import SparsimError, TraceError
from gmp.oneshot import prune_with_data
from gmp.sensitivity import scan
from gmp.tracing.trace import trace

GOOD, BAD = torch.zeros(4, 6), torch.zeros(4, 5)
LABELS = torch.zeros(4, dtype=torch.int64)


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def failing(model: nn.Module, batch: Tensor) -> Tensor:
    raise IndexError("no such thing")


@pytest.mark.parametrize(
    "call",
    [
        lambda m: scan(m, [(GOOD, LABELS), (BAD, LABELS)]),
        lambda m: scan(m, [(GOOD, LABELS)], calibration=[BAD]),
        lambda m: prune_with_data(m, [GOOD, BAD], 0.5),
        lambda m: prune_with_data(m, [BAD], 0.5),
        lambda m: gmp.channel_groups(m, BAD),
        lambda m: gmp.recalibrate_batch_norm(m, [BAD]),
        lambda m: trace(m, [BAD]),
    ],
)
def test_shapes_that_do_not_fit(call: Callable[[nn.Module], object]) -> None:
    tried = model()
    before = {name: value.clone() for name, value in tried.state_dict().items()}
    hooks = sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in tried.modules())
    with pytest.raises(TraceError, match=r"Sequential.*\(\d+, 5\): .*(multiplied|match)") as caught:
        call(tried)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert str(caught.value).count("\n") == 0
    assert sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in tried.modules()) == hooks
    assert all(
        torch.equal(value, before[name]) for name, value in tried.state_dict().items() if "running" in name
    )


def test_other_errors_of_the_model_keep_their_cause() -> None:
    with pytest.raises(TraceError, match="no such thing") as caught:
        gmp.channel_groups(model(), GOOD, forward=failing)
    assert isinstance(caught.value.__cause__, IndexError)


def test_our_own_errors_are_not_wrapped() -> None:
    def refuse(model: nn.Module, batch: Tensor) -> Tensor:
        raise SparsimError("not so")

    with pytest.raises(SparsimError, match=r"^not so$"):
        gmp.channel_groups(model(), GOOD, forward=refuse)
