"""The fused shared MLP against the plain operations that it stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from support.named import naming
from torch import Tensor, nn
from torch.nn import functional as F

from pointnet.errors import PointnetError
from pointnet.model import PointNet2, SharedMLP
from pointnet.network_config import Config, Scale, Stage
from pointnet.ops import fused_mlp
from pointnet.ops.sampling import gather

DOUBLE = torch.float64
TINY = Config(
    stages=(Stage(12, (Scale(0.5, 5, (6, 7, 8)),)), Stage(4, (Scale(0.9, 3, (5, 4, 6)),))),
    pooled=(8, 9),
    head=(7,),
    points=24,
    classes=3,
    dropout=0.0,
)
TWO_SCALES = replace(
    TINY, stages=(Stage(12, (Scale(0.3, 4, (5, 6)), Scale(0.6, 7, (4, 3, 5)))), TINY.stages[1]), normals=True
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class Case:
    """Random inputs and layers; gammas of both signs, neighbours that repeat."""

    def __init__(self, widths: Sequence[int], *, dtype: torch.dtype = DOUBLE, seed: int = 0) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.points = torch.randn(2, 9, widths[0], generator=draw, dtype=DOUBLE).to(dtype).requires_grad_()
        self.moved = torch.randn(2, 5, widths[0], generator=draw, dtype=DOUBLE).to(dtype).requires_grad_()
        self.index = torch.randint(9, (2, 5, 4), generator=draw)
        self.index[:, :, 3] = self.index[:, :, 0]
        self.mlp = SharedMLP(1, widths).to(dtype)
        for parameter in self.mlp.parameters():
            parameter.data = torch.randn(parameter.shape, generator=draw, dtype=DOUBLE).to(dtype)
        self.weights = [conv.weight for conv in self.mlp.mlp_convs[1:]]
        self.bns = list(self.mlp.mlp_bns)
        self.target = torch.randn(2, 5, widths[-1], generator=draw, dtype=DOUBLE).to(dtype)

    def inputs(self) -> list[Tensor]:
        affine = [p for bn in self.bns for p in (bn.weight, bn.bias)]
        return [self.points, self.moved, *self.weights, *affine]

    def fused(self) -> Tensor:
        return fused_mlp.shared_mlp_max(self.points, self.moved, self.index, self.weights, self.bns)

    def plain(self) -> Tensor:
        y = gather(self.points, self.index) - self.moved[:, :, None]
        return self.mlp.after_first(y).amax(dim=2)

    def outcome(self, result: Tensor) -> list[Tensor]:
        """The result, its gradients, and what batch-norm remembers."""
        gradients = torch.autograd.grad((result * self.target).sum(), self.inputs())
        buffers = [buffer.clone() for bn in self.bns for buffer in bn.buffers()]
        return [result, *gradients, *buffers]


def assert_close(ours: Sequence[Tensor], theirs: Sequence[Tensor], tolerance: float = 1e-10) -> None:
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert a.dtype == b.dtype
        scale = max(1.0, b.abs().max().item())
        assert torch.allclose(a, b, rtol=0, atol=tolerance * scale), i


# ---- the operation


@pytest.mark.parametrize("widths", [(3, 4), (4, 3, 5), (3, 5, 4, 6)], ids=str)
@pytest.mark.parametrize("chunk", [1, 50, fused_mlp.CHUNK])
def test_fused_equals_plain(widths: tuple[int, ...], chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In chunks of one group, of several with a smaller last one, of all."""
    monkeypatch.setattr(fused_mlp, "CHUNK", chunk)
    for momentum in (0.1, None):
        ours, theirs = Case(widths), Case(widths)
        for case in (ours, theirs):
            for bn in case.bns:
                bn.momentum = momentum
        for _ in range(2):  # the second time, running statistics have a history
            assert_close(ours.outcome(ours.fused()), theirs.outcome(theirs.plain()))
        assert ours.bns[0].num_batches_tracked == 2


def test_single_precision_is_near_double() -> None:
    ours, theirs = Case((16, 24, 32), dtype=torch.float32), Case((16, 24, 32))
    single, double = ours.outcome(ours.fused()), theirs.outcome(theirs.fused())
    assert_close(single, [t.to(s.dtype) for s, t in zip(single, double, strict=True)], 2e-5)


def test_large_means_cost_no_precision() -> None:
    """Variances are taken about a pivot: squares of 1e4 have no digits left in single precision."""
    case = Case((8, 8), dtype=torch.float32)
    case.points = case.points + 1e4
    y = (gather(case.points, case.index) - case.moved[:, :, None]).flatten(0, 2).double()
    case.fused()
    expected = 0.9 + 0.1 * y.var(dim=0)
    assert torch.allclose(case.bns[0].running_var.double(), expected, rtol=1e-4)


def test_gradients_by_finite_differences() -> None:
    case = Case((3, 4, 3))
    inputs = [t.detach().requires_grad_() for t in case.inputs()]

    def call(points: Tensor, moved: Tensor, *parameters: Tensor) -> Tensor:
        index = case.index + 9 * torch.arange(2)[:, None, None]
        weights, affine = parameters[:2], parameters[2:]
        flat = points.flatten(0, 1), moved.flatten(0, 1), index.flatten(0, 1), (1e-5,) * 3
        pooled, *_ = fused_mlp._SharedMLPMax.apply(*flat, *weights, *affine[::2], *affine[1::2])
        return pooled

    assert torch.autograd.gradcheck(call, inputs)


def test_backward_can_run_twice() -> None:
    case = Case((3, 4, 5))
    loss = case.fused().square().sum()
    first = torch.autograd.grad(loss, case.inputs(), retain_graph=True)
    assert_close(torch.autograd.grad(loss, case.inputs()), first, 0)


def test_a_weight_changed_before_backward_is_refused() -> None:
    case = Case((3, 4, 5))
    loss = case.fused().sum()
    with torch.no_grad():
        case.weights[0].mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, case.inputs())


def test_statistics_are_kept_without_gradients_too() -> None:
    ours, theirs = Case((3, 4, 5)), Case((3, 4, 5))
    with torch.no_grad():
        assert_close([ours.fused(), *ours.mlp.buffers()], [theirs.plain(), *theirs.mlp.buffers()])


def test_not_a_number_stays_one() -> None:
    case = Case((3, 4, 5))
    case.points.data[0, 0, 0] = torch.nan
    case.index[0, 0, 0] = 0
    assert case.fused().isnan().all()


def test_bad_neighbours() -> None:
    case = Case((3, 4))
    case.index[1, 2, 3] = 9
    with pytest.raises(PointnetError, match=naming("neighbours 9 0 8")):
        case.fused()
    case.index = torch.zeros(2, 4, 4, dtype=torch.int64)
    with pytest.raises(PointnetError, match=naming("neighbours 2 4 5")):
        case.fused()


# ---- where it is used


def train_step(config: Config, dtype: torch.dtype = DOUBLE) -> tuple[list[Tensor], PointNet2]:
    torch.manual_seed(5)
    net = PointNet2(config).to(dtype).train()
    clouds = torch.rand(4, config.points, config.channels, dtype=DOUBLE).to(dtype)
    logits = net(clouds)
    F.cross_entropy(logits, torch.arange(4) % config.classes).backward()
    return [logits.detach(), *(p.grad for p in net.parameters()), *net.buffers()], net


@pytest.mark.parametrize("config", [TINY, TWO_SCALES], ids=["one scale", "two scales"])
def test_a_train_step_is_that_of_plain_layers(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    fast = fused_mlp.shared_mlp_max
    monkeypatch.setattr(fused_mlp, "shared_mlp_max", lambda *a: calls.append(1) or fast(*a))
    ours, _ = train_step(config)
    assert len(calls) == sum(len(stage.scales) for stage in config.stages) + 1
    monkeypatch.setattr(fused_mlp, "usable", lambda *_: False)
    plain, _ = train_step(config)
    delayed, _ = train_step(replace(config, delayed=True))
    assert len(calls) == sum(len(stage.scales) for stage in config.stages) + 1
    assert_close(ours, plain, 1e-8)
    assert_close(delayed, plain, 1e-8)


def test_evaluation_calls_every_layer() -> None:
    _, net = train_step(TINY)
    seen = []
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear | nn.BatchNorm1d):
            module.register_forward_hook(lambda *_, name=name: seen.append(name))
    layers = [n for n, m in net.named_modules() if isinstance(m, nn.Linear | nn.BatchNorm1d)]
    net.eval()(torch.rand(2, 24, 3, dtype=DOUBLE))
    assert sorted(seen) == sorted(layers)


def test_where_it_cannot_be_used() -> None:
    case = Case((3, 4, 5))
    known = (case.points, 40, case.weights, case.bns)
    assert fused_mlp.usable(*known)
    assert not fused_mlp.usable(case.points, 1, case.weights, case.bns)
    assert not fused_mlp.usable(case.points, 40, [], case.bns[:1])
    assert not fused_mlp.usable(case.points.float(), *known[1:])
    assert not fused_mlp.usable(case.points.to("meta"), *known[1:])
    assert not fused_mlp.usable(*known[:3], [*case.bns[:2], nn.BatchNorm1d(5, affine=False, dtype=DOUBLE)])
    case.bns[1].eval()
    assert not fused_mlp.usable(*known)


def test_frozen_batch_norms_keep_their_statistics() -> None:
    _, net = train_step(TINY)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.eval()
    before = [buffer.clone() for buffer in net.buffers()]
    clouds = torch.rand(2, 24, 3, dtype=DOUBLE)
    trained = net(clouds)
    assert_close(list(net.buffers()), before, 0)
    assert torch.equal(trained, net.eval()(clouds))
