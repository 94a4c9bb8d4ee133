"""What was asked for and not reached is said: at the end, in the report, once."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from support.named import names
from torch import nn

import gmp


def network(width: int = 20) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(20, width), nn.ReLU(), nn.Linear(width, 20))


def told(act, *args, **options) -> list[str]:
    """The warnings of a call."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        act(*args, **options)
    assert all(warning.category is gmp.PruningWarning for warning in found)
    return [str(warning.message) for warning in found]


def schedule_of(pruner: gmp.Pruner, kind: type[gmp.Schedule] = gmp.CubicSchedule) -> gmp.Schedule:
    options = {"begin": 1, "unit": "epoch", "steps_per_epoch": 10, "final": 0.9}
    if kind is not gmp.ConstantSchedule:
        options |= {"initial": 0.05, "end": 4, "every": 1}
    return kind(pruner, **options)


KINDS = (gmp.CubicSchedule, gmp.LinearSchedule, gmp.InverseCubicSchedule, gmp.ConstantSchedule)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [0, 9, 20, 39, 40, 55])
def test_a_training_that_ends_before_its_schedule(kind, steps, tmp_path: Path):
    pruner = gmp.Pruner(network())
    schedule = schedule_of(pruner, kind)
    for _ in range(steps):
        schedule.step()
    ended = steps >= (10 if kind is gmp.ConstantSchedule else 40)
    assert schedule.ended == ended
    assert bool(pruner.warnings) == (not ended)
    pruner.report().to_json(tmp_path / "report.json")
    document = json.loads((tmp_path / "report.json").read_text())
    sentences = told(pruner.finalize)
    assert list(pruner.warnings) == document["warnings"] == sentences
    assert told(pruner.finalize) == []
    if not ended:
        assert f"{pruner.sparsity:.4g}" in sentences[0]
        assert "0.9" in sentences[0]
        assert names(sentences[0], f"{steps} steps")
        assert document["notes"][0] == sentences[0]
    else:
        assert sentences == []


def test_what_another_way_has_reached_is_no_shortfall():
    pruner = gmp.Pruner(network())
    schedule = schedule_of(pruner)
    schedule.step()
    pruner.prune(0.92)
    assert told(pruner.finalize) == []


def test_a_resumed_schedule_that_has_ended_is_not_short():
    pruner, other = gmp.Pruner(network()), gmp.Pruner(network())
    schedule, resumed = schedule_of(pruner), schedule_of(other)
    for _ in range(40):
        schedule.step()
    assert other.warnings
    resumed.load_state_dict(schedule.state_dict())
    assert told(other.finalize) == []


@pytest.mark.parametrize(
    ("pattern", "model", "short"),
    [
        ("block(32,32)", network(32), True),  # two units, one of which is more than was asked for
        ("2:4", nn.Conv2d(3, 64, 1), True),  # three inputs keep two
        ("channel", network(), False),
        ("1x1", network(), False),
        ("2:4", network(), False),
    ],
)
def test_units_that_stop_far_short(pattern, model, short):
    sentences = told(gmp.one_shot, model, 0.45 if pattern.startswith("block") else 0.5, pattern=pattern)
    assert len(sentences) == short
    assert all("was asked for" in sentence for sentence in sentences)


@pytest.mark.parametrize(
    ("pattern", "scope", "sparsity"),
    [("1x1", "global", 1.0), ("channel", "layer", 1.0), ("block(20,20)", "global", 0.5)],
)
def test_layers_of_which_nothing_is_left(pattern, scope, sparsity):
    pruner = gmp.Pruner(network(), pattern=pattern, scope=scope)
    (sentence,) = told(pruner.prune, sparsity)
    assert "bias" in sentence
    empty = [name for name, mask in pruner.masks.items() if not mask.any()]
    assert empty
    assert all(name in sentence for name in empty)
    assert pruner.warnings[-1] == sentence
    assert sentence in pruner.report().notes
    assert told(pruner.prune, sparsity) == []  # once


def test_recipes_say_what_they_have_not_reached(tmp_path: Path):
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "modifiers:\n"
        "  - !EpochRangeModifier {start_epoch: 0, end_epoch: 8}\n"
        "  - !GlobalMagnitudePruningModifier {init_sparsity: 0.05, final_sparsity: 0.9, start_epoch: 0,\n"
        "      end_epoch: 4, update_frequency: 1, params: ['0.weight'], leave_enabled: true}\n"
    )
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for steps, short in ((30, True), (40, False)):
        running = gmp.load_recipe(path).attach(model, optimizer, steps_per_epoch=10)
        for _ in range(steps):
            running.step()
        assert bool(running.warnings) == short
        assert bool(running.report().warnings) == short
        assert bool(told(running.finalize)) == short
