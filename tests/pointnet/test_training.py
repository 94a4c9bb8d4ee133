"""Training: resumed equals unbroken, cached neighbours equal fresh ones, scores, and what is refused."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import msgspec
import pytest
import torch
from support.named import naming

from pointnet.data import Augmentation, Clouds, Dataset, shapes
from pointnet.errors import CheckpointError, ConfigError
from pointnet.model import PointNet2
from pointnet.training import checkpoint
from pointnet.training import train as training_module
from pointnet.training.accuracy import Score, score
from pointnet.training.batches import Batches
from pointnet.training.settings import Pruning, Settings
from pointnet.training.stored_weights import load_model
from pointnet.training.train import Training, train

SETTINGS = Settings(points=64, epochs=2, batch=16, augmentation="strong", threads=1)
PRUNED = msgspec.structs.replace(SETTINGS, pruning=Pruning(sparsity=0.8, end=1.5, every=0.25))


@pytest.fixture(scope="module")
def data() -> Dataset:
    return shapes(train_per_class=8, test_per_class=4, points=80, seed=3)


def outcome(training: Training) -> tuple[str, list[dict[str, object]]]:
    """All that two equal runs share: the weights, and the log without its times."""
    log = [{key: value for key, value in row.items() if key != "cpu_s"} for row in training.history]
    return checkpoint.digest(training.model.state_dict()), log


@pytest.fixture(scope="module")
def pruned_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pruned")


@pytest.fixture(scope="module")
def pruned(data: Dataset, pruned_folder: Path) -> Training:
    """An unbroken run of `PRUNED`, which no test changes."""
    return train(PRUNED, data, pruned_folder)


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plain")


@pytest.fixture(scope="module")
def plain(data: Dataset, plain_folder: Path) -> Training:
    """A run of `SETTINGS`, which no test changes."""
    return train(SETTINGS, data, plain_folder)


def test_pruned_run_reaches_its_sparsity_and_repeats(data: Dataset, pruned: Training, tmp_path: Path) -> None:
    first = pruned
    second = train(PRUNED, data, tmp_path / "b")
    assert outcome(first) == outcome(second)
    weights = [p for n, p in first.model.named_parameters() if p.dim() == 2]
    zeros = sum(int((w == 0).sum()) for w in weights)
    assert zeros == round(0.8 * sum(w.numel() for w in weights))
    assert first.history[-1]["sparsity"] == pytest.approx(0.8, abs=1e-4)
    other = msgspec.structs.replace(PRUNED, seed=1)
    assert outcome(train(other, data, tmp_path / "c"))[0] != outcome(first)[0]


@pytest.mark.parametrize("stop", [1, 5, 7])  # first step, end of an epoch, within the second one
def test_interrupted_and_resumed_equals_unbroken(
    data: Dataset, pruned: Training, tmp_path: Path, stop: int
) -> None:
    def interrupt(training: Training) -> None:
        if training.step == stop:
            os.kill(os.getpid(), signal.SIGINT)

    broken = train(PRUNED, data, tmp_path / "broken", watch=interrupt)
    assert broken.step == stop
    resumed = train(PRUNED, data, tmp_path / "broken", resume=True)
    assert outcome(resumed) == outcome(pruned)
    log = (tmp_path / "broken" / "metrics.csv").read_text().splitlines()
    assert len(log) == 1 + PRUNED.epochs


def test_an_interrupt_at_the_end_ends_what_was_to_follow(
    data: Dataset, pruned: Training, tmp_path: Path
) -> None:
    """Several runs may stand in a row."""

    def interrupt(training: Training) -> None:
        if training.step == training.steps:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(PRUNED, data, tmp_path / "broken", watch=interrupt)
    broken = train(PRUNED, data, tmp_path / "broken", resume=True)
    assert outcome(broken) == outcome(pruned)


def test_killed_run_goes_on_from_its_last_checkpoint(
    data: Dataset, pruned: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(training: Training) -> None:
        if training.step == 3:
            monkeypatch.setattr(training_module, "SAVE_EVERY_S", 1e9)  # steps 4 to 6 are lost
        if training.step == 6:
            raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(training_module, "SAVE_EVERY_S", 0.0)
        with pytest.raises(RuntimeError, match="killed"):
            train(PRUNED, data, tmp_path / "broken", watch=kill)
    assert checkpoint.load(tmp_path / "broken")["step"] == 3
    resumed = train(PRUNED, data, tmp_path / "broken", resume=True)
    assert outcome(resumed) == outcome(pruned)


def test_finished_run_is_not_run_again(data: Dataset, plain: Training, plain_folder: Path) -> None:
    steps: list[int] = []
    again = train(
        SETTINGS, data, plain_folder, resume=True, watch=lambda training: steps.append(training.step)
    )
    assert not steps
    assert outcome(again) == outcome(plain)
    assert again.score == plain.score


def test_the_callers_random_numbers_go_on(data: Dataset, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(msgspec.structs.replace(SETTINGS, epochs=1), data, tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_training_learns(data: Dataset, tmp_path: Path) -> None:
    splits = [
        Clouds(c.points[c.labels < 2], c.labels[c.labels < 2], c.classes[:2], "two")
        for c in (data.train, data.test)
    ]
    settings = msgspec.structs.replace(SETTINGS, epochs=25, batch=8, label_smoothing=0.0, augmentation="none")
    run = train(settings, Dataset(*splits, name="two classes"), tmp_path)
    assert run.history[-1]["train_loss"] < 0.5 * run.history[0]["train_loss"]
    assert run.history[-1]["train_accuracy"] > 0.9


@pytest.mark.filterwarnings("ignore::gmp.errors.PruningWarning")  # few steps empty layers
@pytest.mark.usefixtures("pruned")
def test_start_takes_weights_and_zeros(data: Dataset, pruned_folder: Path) -> None:
    start = str(pruned_folder / checkpoint.NAME)
    plan = Pruning(sparsity=0.9, end=1.0)
    again = Training(msgspec.structs.replace(PRUNED, start=start, pruning=plan), data)
    zeros = again.model.fc1.weight == 0
    assert zeros.any()
    for _ in range(3):
        again.advance()
    assert (again.model.fc1.weight[zeros] == 0).all()


def test_stored_network_scores_as_it_did(data: Dataset, plain: Training, plain_folder: Path) -> None:
    stored = load_model(plain_folder / checkpoint.NAME)
    assert stored.classes == data.train.classes
    assert stored.settings == SETTINGS
    assert stored.digest == outcome(plain)[0]
    assert score(stored.model, data.test, 64) == plain.score


def test_a_run_that_diverges_ends_in_an_error(data: Dataset, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, optimizer="sgd", schedule="constant", lr=1e30)
    with pytest.raises(ConfigError, match=r"the loss of step \d is nan \(try a lower learning rate\)"):
        train(settings, data, tmp_path)
    assert not (tmp_path / "metrics.csv").exists()
    model = PointNet2(SETTINGS.network(10))
    model.fc3.bias.data[3] = float("nan")  # the greatest of all logits, says argmax
    with pytest.raises(ConfigError, match="the outputs of the network are not finite"):
        score(model, data.test, 64)


# ---- batches


def test_kept_groupings_are_those_of_the_turned_batch(data: Dataset) -> None:
    clouds = Clouds(data.train.points[:, :64].copy(), data.train.labels, data.train.classes, "64 points")
    model = PointNet2(SETTINGS.network(10))
    batches = Batches(clouds, model, Augmentation(mirror=True), 16, seed=0)  # exact in floats
    for step in (0, 3, 5, 9):  # the second epoch uses what the first one kept
        batch = batches[step]
        assert batch.groupings is not None
        for ours, fresh in zip(batch.groupings, model.group(batch.clouds), strict=True):
            assert torch.equal(ours.centres, fresh.centres)
            assert all(torch.equal(a, b) for a, b in zip(ours.neighbours, fresh.neighbours, strict=True))


def test_neighbours_are_not_kept_where_points_or_distances_change(data: Dataset) -> None:
    model = PointNet2(SETTINGS.network(10))
    exact = Clouds(data.train.points[:, :64].copy(), data.train.labels, data.train.classes, "64 points")
    assert Batches(data.train, model, Augmentation(), 16, 0)[0].groupings is None  # 64 of 80 points
    assert Batches(exact, model, Augmentation(jitter=0.01), 16, 0)[0].groupings is None
    assert Batches(exact, model, Augmentation(), 16, 0)[0].groupings is not None


def test_an_epoch_sees_every_cloud_once(data: Dataset) -> None:
    batches = Batches(data.train, PointNet2(SETTINGS.network(10)), Augmentation(), 16, seed=0)
    assert len(batches) == 5
    for epoch in (0, 1):
        labels = torch.cat([batches[5 * epoch + i].labels for i in range(5)])
        assert labels.bincount().tolist() == [8] * 10
    assert not torch.equal(batches[0].labels, batches[5].labels)
    assert torch.equal(batches[2].clouds, batches[2].clouds)


# ---- scores


def test_wilson_interval() -> None:
    low, high = Score((90,), (100,)).interval()
    assert (round(low, 4), round(high, 4)) == (0.8256, 0.9448)  # Newcombe 1998's method 3, by hand
    assert Score((5,), (5,)).interval()[1] == 1.0
    assert Score((0,), (5,)).interval()[0] == pytest.approx(0.0, abs=1e-12)


def test_score_counts_by_class(data: Dataset) -> None:
    class Guess(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(torch.full((len(x),), 2), 10).float()

    found = score(Guess(), data.test, 64, batch=7)
    assert found.correct == tuple(4 if c == 2 else 0 for c in range(10))
    assert found.accuracy == found.class_accuracy == 0.1
    assert Score((3, 0), (3, 1)).class_accuracy == 0.5


# ---- refused


def test_folder_with_a_run_is_not_overwritten(data: Dataset, tmp_path: Path) -> None:
    train(msgspec.structs.replace(SETTINGS, epochs=1), data, tmp_path)
    with pytest.raises(CheckpointError, match=naming("--resume")):
        train(SETTINGS, data, tmp_path)
    with pytest.raises(CheckpointError, match=naming("run epochs 1 2")):
        train(msgspec.structs.replace(SETTINGS, epochs=2), data, tmp_path, resume=True)
    with pytest.raises(CheckpointError, match=naming("run threads 1 2")):
        train(msgspec.structs.replace(SETTINGS, epochs=1, threads=2), data, tmp_path, resume=True)
    train(msgspec.structs.replace(SETTINGS, epochs=1, data="moved.npz"), data, tmp_path, resume=True)
    other = shapes(train_per_class=8, test_per_class=4, points=80, seed=4)
    with pytest.raises(CheckpointError, match="the run in it saw other data"):
        train(msgspec.structs.replace(SETTINGS, epochs=1), other, tmp_path, resume=True)


def test_the_start_may_move_but_not_change(data: Dataset, tmp_path: Path) -> None:
    first = msgspec.structs.replace(SETTINGS, epochs=1)
    train(first, data, tmp_path / "old" / "dense")
    begun = msgspec.structs.replace(first, start=str(tmp_path / "old" / "dense"))
    train(begun, data, tmp_path / "old" / "again")
    (tmp_path / "old").rename(tmp_path / "new")
    moved = msgspec.structs.replace(begun, start=str(tmp_path / "new" / "dense"))
    assert train(moved, data, tmp_path / "new" / "again", resume=True).step == 5
    train(msgspec.structs.replace(first, seed=1), data, tmp_path / "other")
    other = msgspec.structs.replace(begun, start=str(tmp_path / "other"))
    for changed in (other, first):
        with pytest.raises(CheckpointError, match="the run in it began with other weights"):
            train(changed, data, tmp_path / "new" / "again", resume=True)


def test_two_runs_do_not_share_a_folder(data: Dataset, tmp_path: Path) -> None:
    refused: list[str] = []

    def intrude(training: Training) -> None:
        if training.step == 2:
            with pytest.raises(CheckpointError) as error:
                train(SETTINGS, data, tmp_path / "run", resume=True)
            refused.append(str(error.value))

    train(SETTINGS, data, tmp_path / "run", watch=intrude)
    assert [sentence.split(": ")[0] for sentence in refused] == [str(tmp_path / "run")]
    train(SETTINGS, data, tmp_path / "run", resume=True)  # now it may


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"epoch,lr\n1,0.1\n", "cut"])
def test_spoiled_checkpoint(data: Dataset, tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / checkpoint.NAME
    if content == "cut":
        checkpoint.save(path, {"model": {"w": torch.zeros(100)}})
        content = path.read_bytes()[:-200]
    assert isinstance(content, bytes)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=naming("checkpoint.pt")):
        load_model(path)


@pytest.mark.usefixtures("plain")
def test_missing_and_foreign_checkpoints(data: Dataset, plain_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=naming("none.pt")):
        load_model(tmp_path / "none.pt")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=naming("other.pt None 2")):
        load_model(tmp_path / "other.pt")
    state = checkpoint.load(plain_folder)
    checkpoint.save(tmp_path / "newer.pt", state | {"settings": {"warmth": 3}})
    with pytest.raises(CheckpointError, match=naming("newer.pt")):
        load_model(tmp_path / "newer.pt")
    wider = msgspec.structs.replace(SETTINGS, preset="half", start=str(plain_folder))
    with pytest.raises(CheckpointError, match=naming("sa1.mlp_convs.0.weight 16 3")):
        Training(wider, data)


@pytest.mark.parametrize(
    "field", ["seed", "data_seed", "threads", "epochs", "batch", "points", "pool"]
)  # fmt: skip
def test_settings_that_no_machine_can_hold(field: str) -> None:
    with pytest.raises(ConfigError, match=naming(f"{field}")):
        Settings(**{field: 10**30})
