"""Pruning in the trainer of transformers: steps, checkpoints, monitor."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from support.linear_cost import LinearHardware
from support.model_libraries import library
from support.named import naming
from torch import nn
from torch.nn import functional as F

import gmp
from gmp.energy import EnergyMonitor

accelerate = library("accelerate")
transformers = library("transformers")
callbacks = library("gmp.integrations.transformers_callback")

pytestmark = pytest.mark.filterwarnings("ignore:'pin_memory' argument is set as true but no accelerator")

X = torch.randn(48, 8, generator=torch.Generator().manual_seed(1))
DATA = [{"x": x, "labels": x[:3].argmax()} for x in X]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Dropout(0.2), nn.Linear(12, 3))

    def forward(self, x, labels=None):
        logits = self.net(x)
        return logits if labels is None else {"loss": F.cross_entropy(logits, labels), "logits": logits}


def cubic(model, optimizers, steps_per_epoch):
    """Ends after the third epoch."""
    pruner = gmp.Pruner(model, optimizers, score="movement")
    return gmp.CubicSchedule(
        pruner, initial=0.1, final=0.8, begin=0.5, end=3, every=0.5, steps_per_epoch=steps_per_epoch
    )


def trained(folder: Path, *, resume=None, monitor=None, resume_from=None, compute_metrics=None, **options):
    """(callback, model, trainer) after four epochs of training in six batches each, shuffled."""
    callback, model = callbacks.TransformersPruning(cubic, monitor, resume_from=resume_from), Net()
    options = {"save_strategy": "no"} | options
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), num_train_epochs=4, per_device_train_batch_size=8, learning_rate=0.01,
        use_cpu=True, report_to=[], disable_tqdm=True, logging_strategy="no", seed=3, **options,
    )  # fmt: skip
    trainer = transformers.Trainer(
        model, arguments, train_dataset=DATA, eval_dataset=DATA[:8], compute_metrics=compute_metrics,
        callbacks=[callback],
    )  # fmt: skip
    trainer.train(resume_from_checkpoint=resume)
    return callback, model, trainer


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, *trained(folder, save_strategy="steps", save_steps=8)


@pytest.mark.parametrize("moved", [False, True])
def test_a_run_that_is_resumed_ends_bit_for_bit_like_one_that_went_on(whole, tmp_path: Path, moved):
    folder, first, model, _ = whole
    start = folder / "checkpoint-8"
    if moved:
        start = Path(shutil.copytree(start, tmp_path / "elsewhere"))
    output = tmp_path if moved else folder
    second, resumed, trainer = trained(output, resume=str(start), resume_from=start if moved else None)
    assert first.pruning.attached.steps_done == second.pruning.attached.steps_done == 24
    assert trainer.state.global_step == 24
    for one, other in zip(model.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)
    masks = first.pruning.pruners[0].masks
    assert first.pruning.attached.sparsity == pytest.approx(0.8, abs=0.01)
    for name, mask in second.pruning.pruners[0].masks.items():
        assert torch.equal(mask, masks[name])
        assert not model.get_parameter(name)[~mask].any()


def test_passes_that_accumulate_gradients_do_not_count(tmp_path: Path):
    callback, _, trainer = trained(
        tmp_path, gradient_accumulation_steps=2,
        monitor=lambda model, pruner: EnergyMonitor(model, LinearHardware(), X, pruner=pruner),
    )  # fmt: skip
    schedule, monitor = callback.pruning.attached, callback.pruning.monitor
    assert schedule.steps_per_unit == 3
    assert schedule.steps_done == trainer.state.global_step == 12
    logged = [row for row in trainer.state.log_history if "pruning/sparsity" in row]
    assert [row["step"] for row in logged] == [2, 3, 5, 6, 8, 9]
    assert [reading.step for reading in monitor.history] == [2, 3, 5, 6, 8, 9]
    assert logged[-1]["pruning/energy_pj"] == monitor.history[-1].energy_pj
    assert logged[-1]["pruning/sparsity"] == schedule.sparsity


def test_the_best_model_keeps_the_zeros_of_its_step(tmp_path: Path):
    worse = iter(range(9, 0, -1))
    callback, model, trainer = trained(
        tmp_path, save_strategy="epoch", eval_strategy="epoch", load_best_model_at_end=True,
        metric_for_best_model="early", greater_is_better=True,
        compute_metrics=lambda _: {"early": next(worse)},
    )  # fmt: skip
    assert trainer.state.best_model_checkpoint.endswith("checkpoint-6")
    (pruner,) = callback.pruning.pruners
    assert pruner.sparsity == pytest.approx(0.8, abs=0.01)
    zeros = sum(int((model.get_parameter(name) == 0).sum()) for name in pruner.names)
    asked = callback.pruning.attached.sparsity_at(1)
    assert zeros == round(asked * sum(model.get_parameter(name).numel() for name in pruner.names))
    assert not model.net[0].weight._post_accumulate_grad_hooks


def test_states_that_do_not_fit(whole, tmp_path: Path):
    folder, *_ = whole
    start = Path(shutil.copytree(folder / "checkpoint-8", tmp_path / "checkpoint-8"))
    with pytest.raises(gmp.PruningError, match=naming("checkpoint-16/pruning.pt step 8")):
        trained(tmp_path, resume=str(start), resume_from=folder / "checkpoint-16")
    (start / "pruning.pt").write_bytes(b"nothing")
    with pytest.raises(gmp.PruningError, match=naming("pruning.pt state")):
        trained(tmp_path, resume=str(start))
    (start / "pruning.pt").unlink()
    with pytest.raises(gmp.PruningError, match=naming("checkpoint-8/pruning.pt step 8 resume_from")):
        trained(tmp_path, resume=str(start))


def test_a_loop_of_accelerate(tmp_path: Path):
    """Gradients of two batches make a step; state saved and loaded with the accelerator's."""

    def run(epochs, folder=None, resume=None):
        torch.manual_seed(0)
        accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
        model, data = Net(), torch.utils.data.DataLoader(DATA, batch_size=8)
        model.net[2].p = 0.0
        optimizer = torch.optim.Adam(model.parameters(), 0.01)
        model, optimizer, data = accelerator.prepare(model, optimizer, data)
        schedule = cubic(model, optimizer, 3)
        accelerator.register_for_checkpointing(schedule)
        if resume is not None:
            accelerator.load_state(resume)
        for _ in range(epochs):
            for batch in data:
                with accelerator.accumulate(model):
                    accelerator.backward(model(**batch)["loss"])
                    optimizer.step()
                    schedule.step()
                    optimizer.zero_grad()
        if folder is not None:
            accelerator.save_state(folder)
        accelerator.free_memory()
        return schedule

    whole = run(4)
    assert whole.steps_done == 12
    assert whole.ended
    run(2, folder=tmp_path)
    resumed = run(2, resume=tmp_path)
    assert resumed.steps_done == 12
    pairs = zip(whole.pruner.model.parameters(), resumed.pruner.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
