"""A checkpoint is loaded as it was written or refused in one sentence: flips, cuts, parts that do not fit."""

from __future__ import annotations

import copy
import io
import pickle
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pointnet.data import Dataset
from pointnet.data.shapes import shapes
from pointnet.errors import CheckpointError
from pointnet.training import checkpoint
from pointnet.training.settings import Settings
from pointnet.training.stored_weights import load_model, load_weights
from pointnet.training.train import Training

SETTINGS = Settings(points=64, batch=20, epochs=2, lr=0.01)
State = dict[str, Any]


@pytest.fixture(scope="module")
def data() -> Dataset:
    return shapes(train_per_class=4, test_per_class=1, points=64, seed=1)


@pytest.fixture(scope="module")
def trained(data: Dataset) -> Training:
    """A run after its first epoch."""
    training = Training(SETTINGS, data)
    while not training.history:
        training.advance()
    return training


@pytest.fixture(scope="module")
def written(trained: Training, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / checkpoint.NAME
    checkpoint.save(path, trained.state_dict())
    return path


def test_a_whole_checkpoint_goes_on(trained: Training, written: Path, data: Dataset) -> None:
    resumed = Training(SETTINGS, data)
    resumed.load_state_dict(checkpoint.load(written), written)
    for training in (trained, resumed):
        assert load_model(written).digest == checkpoint.digest(training.model.state_dict())
    assert resumed.history == trained.history


def test_flips_and_cuts_never_give_other_weights(written: Path, tmp_path: Path) -> None:
    data, good = written.read_bytes(), load_model(written).digest
    draw, path, refused = random.Random(11), tmp_path / checkpoint.NAME, 0
    for _ in range(40):
        spoiled = bytearray(data)
        for _ in range(draw.choice([1, 1, 3, 20])):
            spoiled[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(spoiled if draw.random() < 0.9 else spoiled[: draw.randrange(len(data))])
        try:
            assert load_model(path).digest == good
        except CheckpointError:
            refused += 1
    assert refused > 20


class _Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_files_that_are_something_else(tmp_path: Path, trained: Training) -> None:
    path, ran = tmp_path / "a.pt", tmp_path / "ran"
    contents: list[Callable[[], Any]] = [
        lambda: path.write_bytes(pickle.dumps(_Hostile(ran))),
        lambda: torch.save(_Hostile(ran), path),
        lambda: torch.save(trained.state_dict(), path, _use_new_zipfile_serialization=False),
        lambda: path.write_bytes(_compressed(trained)),
    ]
    for write in contents:
        write()
        with pytest.raises(CheckpointError, match=r"a\.pt: "):
            load_model(path)
    assert not ran.exists()


def _compressed(trained: Training) -> bytes:
    """The same archive, deflated: it could hold a thousand times what lies on disk."""
    plain, packed = io.BytesIO(), io.BytesIO()
    torch.save({"format": checkpoint.FORMAT, **trained.state_dict()}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return packed.getvalue()


WRONG: list[Any] = [None, -5, "x", [], {}, torch.zeros(3), float("nan"), True]
FREE = {  # by `repr`, what a checkpoint may hold there as far as that can be told without the run
    "data": ["'x'"], "began": ["None", "'x'"], "score": ["None"], "history": ["[]"], "model": ["{}"],
    "optimizer": ["{}"], **{key: ["None", "{}"] for key in ("schedule", "pruning", "monitor")},
}  # fmt: skip


def test_every_part_must_be_there_and_of_its_type(trained: Training, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    state = {"format": checkpoint.FORMAT, **trained.state_dict(), "model": {}, "optimizer": {}}
    for key in state:
        for wrong in WRONG:
            if repr(wrong) in FREE.get(key, []):
                continue
            torch.save({**state, key: wrong}, path)
            with pytest.raises(CheckpointError, match=r"^[^\n]+a\.pt: "):
                checkpoint.load(path)
        torch.save({name: part for name, part in state.items() if name != key}, path)
        with pytest.raises(CheckpointError, match=r"^[^\n]+a\.pt: "):
            checkpoint.load(path)
    torch.save({**state, "unknown": 1}, path)
    with pytest.raises(CheckpointError, match="unknown"):
        checkpoint.load(path)


def _tensors(change: Callable[[torch.Tensor], Any]) -> Callable[[State], None]:
    def spoil(state: State) -> None:
        name = "sa1.mlp_convs.0.weight"
        state["model"][name] = change(state["model"][name])

    return spoil


def _set(*place: Any, to: Any) -> Callable[[State], None]:
    def spoil(state: State) -> None:
        inner = state
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = to

    return spoil


MODEL_SPOILED: dict[str, Callable[[State], None]] = {
    "extra weight": _set("model", "evil.weight", to=torch.zeros(3)),
    "missing weight": lambda state: state["model"].pop("sa1.mlp_convs.0.weight"),
    "list": _tensors(lambda t: t.tolist()),
    "transposed": _tensors(lambda t: t.T.contiguous()),
    "float64": _tensors(lambda t: t.double()),
    "integers": _tensors(lambda t: t.int()),
    "complex": _tensors(lambda t: t.to(torch.complex64)),
    "sparse": _tensors(lambda t: t.to_sparse()),
    "meta": _tensors(lambda t: torch.empty(t.shape, device="meta")),
    "expanded": _tensors(lambda t: torch.zeros(1).expand(t.shape)),
    "nan": _tensors(lambda t: t * float("nan")),
    "fewer classes": lambda state: state["classes"].pop(),
    "class twice": lambda state: state["classes"].__setitem__(0, state["classes"][1]),
    "class no text": _set("classes", 0, to=7),
    "settings": lambda state: state["settings"].pop("epochs"),
    "unknown setting": _set("settings", "warmth", to=1),
    "score": lambda state: state["score"][0].pop(),
    "more right than there are": _set("score", 0, 0, to=10**6),
    "history": _set("history", 0, "train_loss", to=float("inf")),
}
RUN_SPOILED: dict[str, Callable[[State], None]] = {
    "step": _set("step", to=10**12),
    "a step of another epoch": _set("step", to=0),
    "no history": _set("history", to=[]),
    "no score": _set("score", to=None),
    "sums": _set("sums", "seen", to="many"),
    "no schedule": _set("schedule", to=None),
    "empty schedule": _set("schedule", to={}),
    "schedule of texts": _set("schedule", "last_epoch", to="one"),
    "pruning of nothing": _set("pruning", to={"step": 1}),
    "no moments": _set("optimizer", "state", to={}),
    "no groups": _set("optimizer", "param_groups", to=[]),
    "moments of nobody": lambda state: state["optimizer"]["state"].__setitem__(999, {}),
    "moment missing": lambda state: state["optimizer"]["state"][0].pop("exp_avg"),
    "moment of another shape": _set("optimizer", "state", 0, "exp_avg", to=torch.zeros(2)),
    "rate": _set("optimizer", "param_groups", 0, "lr", to="fast"),
    "other parameters": _set("optimizer", "param_groups", 0, "params", to=[1, 2]),
}


@pytest.mark.parametrize("name", [*MODEL_SPOILED, *RUN_SPOILED])
def test_states_that_do_not_fit_are_refused(
    name: str, trained: Training, data: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "a.pt"
    state = copy.deepcopy(trained.state_dict())
    (MODEL_SPOILED | RUN_SPOILED)[name](state)
    checkpoint.save(path, state)
    fresh = Training(SETTINGS, data)
    before = checkpoint.digest(fresh.model.state_dict())
    with pytest.raises(CheckpointError, match=r"^[^\n]+a\.pt: "):
        fresh.load_state_dict(checkpoint.load(path), path)
    assert checkpoint.digest(fresh.model.state_dict()) == before
    assert fresh.step == 0
    if name in MODEL_SPOILED:
        for read in (load_model, lambda path: load_weights(fresh.model, path)):
            with pytest.raises(CheckpointError, match=r"^[^\n]+a\.pt: "):
                read(path)
        assert checkpoint.digest(fresh.model.state_dict()) == before
