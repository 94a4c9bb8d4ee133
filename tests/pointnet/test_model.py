"""The network: shapes, names, invariances, and delayed aggregation."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from support.named import names

from gmp import recalibrate_batch_norm
from pointnet.errors import ConfigError
from pointnet.model import PointNet2, SharedMLP
from pointnet.network_config import PRESETS, Config, Scale, Stage, preset

TINY = Config(
    stages=(Stage(16, (Scale(0.4, 8, (8, 8)),)), Stage(4, (Scale(0.8, 8, (8, 16)),))),
    pooled=(16, 32),
    head=(16,),
    points=64,
    classes=3,
)
TWO_SCALES = replace(
    TINY,
    stages=(Stage(16, (Scale(0.3, 4, (8,)), Scale(0.6, 8, (8, 16)))), Stage(4, (Scale(0.8, 8, (16,)),))),
)
ALL_TOGETHER = replace(  # every neighbourhood holds all points: nothing depends on their order
    TINY, stages=(Stage(16, (Scale(4.0, 64, (8, 8)),)), Stage(4, (Scale(4.0, 16, (8, 16)),)))
)


def clouds(config: Config, count: int = 5, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(count, config.points, config.channels, generator=generator) * 2 - 1
    return points / points[..., :3].norm(dim=-1).max()


def network(config: Config, seed: int = 0) -> PointNet2:
    """With running statistics that are not those of the start."""
    torch.manual_seed(seed)
    model = PointNet2(config)
    for bn in (m for m in model.modules() if isinstance(m, torch.nn.BatchNorm1d)):
        torch.nn.init.uniform_(bn.running_mean, -0.3, 0.3)
        torch.nn.init.uniform_(bn.running_var, 0.5, 2.0)
        torch.nn.init.uniform_(bn.weight, -1.0, 1.0)
    return model


def test_study_has_the_layers_of_the_study() -> None:
    model = PointNet2(preset("study"))
    weights = {n: tuple(p.shape) for n, p in model.named_parameters() if p.dim() == 2}
    assert weights == {
        "sa1.mlp_convs.0.weight": (64, 3),
        "sa1.mlp_convs.1.weight": (64, 64),
        "sa1.mlp_convs.2.weight": (128, 64),
        "sa2.mlp_convs.0.weight": (128, 131),
        "sa2.mlp_convs.1.weight": (128, 128),
        "sa2.mlp_convs.2.weight": (256, 128),
        "sa3.mlp_convs.0.weight": (256, 259),
        "sa3.mlp_convs.1.weight": (512, 256),
        "sa3.mlp_convs.2.weight": (1024, 512),
        "fc1.weight": (512, 1024),
        "fc2.weight": (256, 512),
        "fc3.weight": (10, 256),
    }
    assert PointNet2(preset("study", classes=40)).fc3.weight.shape == (40, 256)


@pytest.mark.parametrize("normals", [False, True], ids=["xyz", "normals"])
@pytest.mark.parametrize("config", [TINY, TWO_SCALES], ids=["single-scale", "multi-scale"])
def test_logits_gradients_and_delayed_aggregation(config: Config, normals: bool) -> None:
    config = replace(config, normals=normals)
    model = network(config).eval()
    delayed = copy.deepcopy(model)
    for module in delayed.modules():
        if hasattr(module, "delayed"):
            module.delayed = True
    x = clouds(config)
    logits, others = model(x), delayed(x)
    assert logits.shape == (5, 3)
    torch.testing.assert_close(others, logits, rtol=1e-4, atol=1e-5)
    logits.square().sum().backward()
    others.square().sum().backward()
    for (name, ours), theirs in zip(model.named_parameters(), delayed.parameters(), strict=True):
        assert ours.grad is not None, name
        assert ours.grad.abs().sum() > 0, name
        torch.testing.assert_close(theirs.grad, ours.grad, rtol=1e-3, atol=1e-4)


def test_delayed_networks_share_checkpoints() -> None:
    plain, delayed = network(TINY, seed=1), network(replace(TINY, delayed=True), seed=2)
    delayed.load_state_dict(plain.state_dict())
    x = clouds(TINY)
    torch.testing.assert_close(delayed.eval()(x), plain.eval()(x), rtol=1e-4, atol=1e-5)


def test_order_of_points_does_not_matter() -> None:
    model = network(ALL_TOGETHER).eval()
    x = clouds(ALL_TOGETHER)
    order = torch.cat([torch.zeros(1, dtype=torch.int64), 1 + torch.randperm(63)])  # same first centre
    torch.testing.assert_close(model(x[:, order]), model(x), rtol=1e-5, atol=1e-6)
    moved = x.clone()
    moved[:, 7] += 0.5
    assert not torch.allclose(model(moved), model(x))


def test_clouds_do_not_see_each_other_in_eval_mode() -> None:
    model = network(TINY).eval()
    x = clouds(TINY)
    torch.testing.assert_close(model(x)[2:3], model(x[2:3]))


def test_groupings_are_those_that_forward_finds() -> None:
    model = network(TINY).eval()
    x = clouds(TINY)
    assert torch.equal(model(x, model.group(x)), model(x))
    first, second = model.group(x)
    assert first.centres.shape == (5, 16)
    assert first.neighbours[0].shape == (5, 16, 8)
    assert second.centres.max() < 16


def test_turned_clouds_keep_their_groupings() -> None:
    model, x = network(TINY), clouds(TINY)
    turned = x[..., [1, 0, 2]] * torch.tensor([1.0, -1.0, 1.0])  # a quarter turn: exact in floats
    for ours, theirs in zip(model.group(x), model.group(turned), strict=True):
        assert torch.equal(ours.centres, theirs.centres)
        assert torch.equal(ours.neighbours[0], theirs.neighbours[0])


@pytest.mark.parametrize("name", PRESETS)
def test_presets_can_be_built(name: str) -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in PointNet2(preset(name)).parameters()) > 50_000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: preset("studdy"), "studdy study"),
        (lambda: PointNet2(replace(TINY, points=8)), "1 16 8"),
        (
            lambda: PointNet2(replace(TINY, stages=(TINY.stages[1], TINY.stages[0]))),
            "2 16 1 4",
        ),
        (
            lambda: PointNet2(replace(TINY, stages=(Stage(4, (Scale(0.0, 8, (8,)),)),))),
            "1 0.0 0",
        ),
        (
            lambda: PointNet2(replace(TINY, stages=(Stage(4, (Scale(0.1, 0, (8,)),)),))),
            "1 0",
        ),
        (
            lambda: PointNet2(replace(TINY, classes=1)),
            "1 2",
        ),
        (lambda: PointNet2(replace(TINY, dropout=1.0)), "dropout 1.0 0 1"),
        (
            lambda: network(TINY)(torch.zeros(2, 64, 6)),
            "clouds 2 64 6 16 3",
        ),
    ],
)
def test_error(make, message) -> None:
    with pytest.raises(ConfigError) as error:
        make()
    assert names(error.value, message)


@pytest.mark.filterwarnings("ignore")  # what torch says of constants in a trace, and of traces as such
@pytest.mark.parametrize("training", [False, True])
def test_a_traced_classifier_is_the_classifier(training: bool) -> None:
    torch.manual_seed(0)
    model = PointNet2(preset("small", dropout=0.0)).train(training)
    clouds = torch.randn(3, 256, 3) * 0.3
    traced = torch.jit.trace(copy.deepcopy(model), clouds, check_trace=False)
    torch.testing.assert_close(traced(clouds), model(clouds), rtol=1e-4, atol=1e-4)


def shared_mlp_with_a_float64_twin() -> tuple[SharedMLP, SharedMLP]:
    torch.manual_seed(0)
    model = SharedMLP(3, (8, 8))
    return model, copy.deepcopy(model).double()


def test_batch_norm_over_many_rows_keeps_its_precision() -> None:
    """Plain operations in training: 262,144 rows, as in a stage of the study's network."""
    model, twin = shared_mlp_with_a_float64_twin()
    x = torch.randn(256, 1024, 3) + 3
    got, exact = model(x), twin(x.double())
    assert (got - exact).abs().max() < 2e-5
    (got.square().mean()).backward()
    (exact.square().mean()).backward()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-6)
    assert_same_statistics(model, twin)


def test_recalibration_over_many_rows_keeps_its_precision() -> None:
    model, twin = shared_mlp_with_a_float64_twin()
    x = torch.randn(256, 1024, 3) + 3
    for network, batch in ((model, x), (twin, x.double())):
        assert recalibrate_batch_norm(network, [batch]) == 2
    assert_same_statistics(model, twin)


def assert_same_statistics(model: SharedMLP, twin: SharedMLP) -> None:
    for ours, exact in zip(model.mlp_bns, twin.mlp_bns, strict=True):
        torch.testing.assert_close(ours.running_mean.double(), exact.running_mean, rtol=2e-6, atol=2e-6)
        torch.testing.assert_close(ours.running_var.double(), exact.running_var, rtol=2e-6, atol=0)
