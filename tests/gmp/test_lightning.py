"""Pruning in the trainer of Lightning: steps, checkpoints, monitor, budget, recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.linear_cost import LinearHardware
from support.model_libraries import library
from support.named import naming
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import gmp
from gmp.energy import BudgetSchedule, EnergyMonitor, EnergyScore
from gmp.integrations.trainer_pruning import TrainerPruning

pl = library("lightning.pytorch")
callbacks = library("gmp.integrations.lightning_callback")

pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
    pytest.mark.filterwarnings("ignore:.*isinstance.treespec, LeafSpec.. is deprecated"),
]

X = torch.randn(48, 8, generator=torch.Generator().manual_seed(1))


class Module(pl.LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3))

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, index):
        return F.cross_entropy(self(batch[0]), batch[0][:, :3].argmax(1))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.01)


def cubic(model, optimizers, steps_per_epoch):
    """Ends after the third epoch."""
    pruner = gmp.Pruner(model, optimizers, score="movement", ignore="net.2")
    return gmp.CubicSchedule(
        pruner, initial=0.1, final=0.8, begin=0.5, end=3, every=0.5, steps_per_epoch=steps_per_epoch
    )


def fitted(attach, folder: Path | None = None, *, epochs=4, resume=None, monitor=None, **options):
    """What there is after training on six batches an epoch with checkpoints in `folder`."""
    callback, module = callbacks.LightningPruning(attach, monitor), Module()
    keep = [] if folder is None else [pl.callbacks.ModelCheckpoint(folder, "{epoch}", save_top_k=-1)]
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[callback, *keep], enable_checkpointing=bool(keep), **options,
    )  # fmt: skip
    trainer.fit(module, DataLoader(TensorDataset(X), batch_size=8), ckpt_path=resume)
    return callback, module, trainer


def test_a_run_that_is_resumed_ends_bit_for_bit_like_one_that_went_on(tmp_path: Path):
    first, whole, _ = fitted(cubic, tmp_path)
    second, resumed, _ = fitted(cubic, tmp_path, resume=tmp_path / "epoch=1.ckpt")
    assert first.pruning.attached.steps_done == second.pruning.attached.steps_done == 24
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
    (pruner,) = first.pruning.pruners
    assert pruner.names == ("net.0.weight",)
    assert pruner.sparsity == pytest.approx(0.8, abs=0.01)
    assert torch.equal(pruner.masks["net.0.weight"], second.pruning.pruners[0].masks["net.0.weight"])
    assert int((whole.net[0].weight == 0).sum()) == round(0.8 * 96) == round(96 * pruner.sparsity)
    assert not whole.net[0].weight._post_accumulate_grad_hooks


def test_batches_that_accumulate_gradients_do_not_count():
    def attach(model, optimizers, steps_per_epoch):
        assert steps_per_epoch == 3
        return cubic(model, optimizers, steps_per_epoch)

    callback, _, trainer = fitted(attach, accumulate_grad_batches=2)
    assert callback.pruning.attached.steps_done == trainer.global_step == 12
    assert callback.pruning.attached.ended


def test_training_that_ends_early_is_told():
    with pytest.warns(gmp.PruningWarning, match=naming("12 18")):
        fitted(cubic, epochs=2)


def test_a_monitor_is_updated_and_logged():
    callback, _, trainer = fitted(
        cubic, monitor=lambda m, pruner: EnergyMonitor(m, LinearHardware(), X, pruner=pruner)
    )
    monitor = callback.pruning.monitor
    assert [reading.step for reading in monitor.history] == [3, 6, 9, 12, 15, 18]
    logged = trainer.logged_metrics
    assert float(logged["pruning/sparsity"]) == pytest.approx(callback.pruning.attached.sparsity)
    assert float(logged["pruning/energy_pj"]) == pytest.approx(monitor.history[-1].energy_pj)


def budget(model, optimizers, steps_per_epoch):
    monitor = EnergyMonitor(model, LinearHardware(), X)
    pruner = monitor.pruner = gmp.Pruner(model, optimizers, score=EnergyScore(monitor))
    monitor.target_energy_pj = 0.8 * monitor.update(0).energy_pj
    schedule = gmp.LinearSchedule(
        pruner, initial=0.1, final=0.9, begin=1, end=4, every=0.5, steps_per_epoch=steps_per_epoch
    )
    return BudgetSchedule(schedule, monitor)


def test_a_budget_and_its_state(tmp_path: Path):
    first, whole, _ = fitted(budget, tmp_path)
    assert first.pruning.attached.reached
    second, resumed, _ = fitted(budget, tmp_path, resume=tmp_path / "epoch=1.ckpt")
    assert torch.equal(whole.net[0].weight, resumed.net[0].weight)
    readings = [[r.energy_pj for r in callback.pruning.monitor.history] for callback in (first, second)]
    assert readings[0] == readings[1]


def test_a_recipe(tmp_path: Path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "modifiers:\n- !EpochRangeModifier {start_epoch: 0, end_epoch: 4}\n"
        "- !GlobalMagnitudePruningModifier {init_sparsity: 0.05, final_sparsity: 0.75, start_epoch: 0,\n"
        "    end_epoch: 3, update_frequency: 0.5, params: ['net.0.weight']}\n"
    )

    def attach(model, optimizers, steps_per_epoch):
        return gmp.load_recipe(path).attach(model, optimizers[0], steps_per_epoch=steps_per_epoch)

    _, module, _ = fitted(attach)
    assert float((module.net[0].weight == 0).float().mean()) == 0.75


def test_mistakes():
    wrong = TrainerPruning(lambda *_: 3)
    with pytest.raises(gmp.PruningError, match=naming("attach int Schedule")):
        wrong.begin(Module(), [], 1)
    double = TrainerPruning(budget, lambda *_: None)
    module = Module()
    with pytest.raises(gmp.PruningError, match="monitor"):
        double.begin(module, [module.configure_optimizers()], 6)
    other = TrainerPruning(cubic)
    other.load_state_dict({"masks": {}})
    with pytest.raises(gmp.PruningError, match=naming("state trainer")):
        other.begin(module, [module.configure_optimizers()], 6)
