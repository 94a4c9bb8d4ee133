"""Parameters keep their names whatever a model is wrapped in, and all who watch it mean the same ones."""

from __future__ import annotations

import copy

import pytest
import torch
from support.linear_cost import LinearHardware
from support.named import naming
from torch import nn

import gmp
from gmp.energy import BudgetSchedule, EnergyMonitor, EnergyScore
from gmp.parameter_names import matched, named_modules, named_parameters, names_by_parameter, renamed

NAMES = ["0.weight", "0.bias", "2.weight", "2.bias"]


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 3))


class Holder(nn.Module):
    """A model of one's own that calls its parts as wrappers do."""

    def __init__(self, inner):
        super().__init__()
        self.module = inner
        self._orig_mod = nn.Linear(3, 3)

    def forward(self, x):
        return self._orig_mod(self.module(x))


def compiled(model):
    return torch.compile(model, backend="eager")


@pytest.fixture(scope="module")
def process_group(tmp_path_factory):
    store = torch.distributed.FileStore(str(tmp_path_factory.mktemp("group") / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def distributed(model):
    return nn.parallel.DistributedDataParallel(model)


WRAPPERS = [
    nn.DataParallel,
    torch.optim.swa_utils.AveragedModel,
    compiled,
    distributed,
    lambda model: compiled(nn.DataParallel(compiled(model))),
]


@pytest.mark.usefixtures("process_group")
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_wrappers_change_no_name(wrap):
    model = net()
    wrapped = wrap(model)
    assert list(named_parameters(wrapped)) == NAMES
    assert [name for name, _ in named_modules(wrapped)] == [name for name, _ in model.named_modules()]
    pruner = gmp.Pruner(wrapped)
    assert pruner.names == ("0.weight", "2.weight")
    pruner.prune(0.5)
    assert pruner.coverage.covered_parameters == 16 * 12 + 12 * 3
    assert [row.name for row in pruner.report().rows] == ["0.weight", "2.weight"]
    state = pruner.state_dict()
    pruner.finalize()
    plain = gmp.Pruner(net())
    plain.load_state_dict(state)
    assert plain.sparsity == 0.5


def test_a_wrapper_inside_the_model():
    model = nn.Sequential(nn.DataParallel(net()), nn.Linear(3, 2))
    assert gmp.Pruner(model).names == ("0.0.weight", "0.2.weight", "1.weight")


def test_modules_of_ones_own_keep_their_names():
    model = Holder(net())
    assert list(named_parameters(model)) == [name for name, _ in model.named_parameters()]
    assert gmp.Pruner(model).names == ("module.0.weight", "module.2.weight", "_orig_mod.weight")
    assert gmp.Pruner(nn.DataParallel(model)).names == gmp.Pruner(copy.deepcopy(model)).names


def test_names_of_shared_parameters():
    model = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 4, bias=False))
    model[1].weight = model[0].weight
    assert names_by_parameter(model) == {model[0].weight: ("0.weight", "1.weight")}
    assert list(named_parameters(model)) == ["0.weight", "1.weight"]


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("module.0.weight", ["0.weight", "1.weight"], "0.weight"),
        ("0.weight", ["_orig_mod.module.0.weight"], "_orig_mod.module.0.weight"),
        ("a.module.w", ["a.w", "a.module.w"], "a.module.w"),
        ("module.a.module.w", ["a._orig_mod.w", "a.module.w"], None),
        ("b.weight", ["a.weight"], None),
    ],
)
def test_names_in_states(name, known, found):
    assert matched(name, known) == found
    assert renamed({name: 1}, known) == {found or name: 1}


def test_states_and_masks_saved_with_prefixes():
    model, twin = net(), net()
    pruner = gmp.Pruner(model)
    pruner.prune(0.5)
    state, masks = pruner.state_dict(), {f"module.{name}": mask for name, mask in pruner.masks.items()}
    state["masks"] = {f"_orig_mod.module.{name}": mask for name, mask in state["masks"].items()}
    other = gmp.Pruner(twin)
    other.load_state_dict(state)
    assert torch.equal(other.masks["0.weight"], pruner.masks["0.weight"])
    third = net()
    gmp.apply_masks(third, state["masks"])
    assert torch.equal(third[2].weight, model[2].weight)
    assert gmp.report_of(third, masks).sparsity == 0.5


class Wrap(nn.Module):
    """A wrapper that nobody knows."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


@pytest.mark.parametrize("wrap", [Wrap, compiled, nn.DataParallel])
def test_pruner_monitor_budget_and_score_meet_by_identity(wrap):
    model = net()
    monitor = EnergyMonitor(wrap(model), LinearHardware(), torch.randn(4, 16))
    pruner = gmp.Pruner(model, score=EnergyScore(monitor))
    monitor.pruner = pruner
    assert monitor.prunable.tolist() == [True, True]
    monitor.target_energy_pj = 0.9 * monitor.update().energy_pj
    schedule = gmp.CubicSchedule(pruner, initial=0.1, final=0.9, begin=1, end=4, every=1, unit="step")
    budget = BudgetSchedule(schedule, monitor)
    for _ in range(4):
        budget.step()
    assert budget.reached
    zeros = [1 - float(mask.float().mean()) for mask in pruner.masks.values()]
    assert monitor.densities[:, 0] == pytest.approx([1 - share for share in zeros])


@pytest.mark.usefixtures("process_group")
def test_training_in_processes_keeps_zeros():
    model = distributed(net())
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    pruner = gmp.Pruner(model, optimizer, score="movement")
    schedule = gmp.CubicSchedule(pruner, initial=0.1, final=0.8, begin=1, end=3, every=1, unit="step")
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.randn(4, 16)).square().sum().backward()
        for name, mask in schedule.pruner.masks.items():
            assert not named_parameters(model)[name].grad[~mask].any()
        optimizer.step()
        schedule.step()
    assert schedule.steps_done == 5
    assert schedule.sparsity == pytest.approx(0.8, abs=0.003)


def test_equal_names_of_other_parameters_do_not_meet():
    model, other = net(), net()
    monitor = EnergyMonitor(model, LinearHardware(), torch.randn(4, 16), pruner=gmp.Pruner(other))
    assert not monitor.prunable.any()


@pytest.mark.usefixtures("process_group")
def test_sharded_parameters_are_refused():
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model = net()
    fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    with pytest.raises(gmp.PruningError, match=naming("0.weight DTensor")):
        gmp.Pruner(model)
