"""When masks change and to what sparsity: the formula, the steps, the ends."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.named import names, naming
from torch import nn

import gmp

RAMPS = [gmp.CubicSchedule, gmp.LinearSchedule, gmp.InverseCubicSchedule]
RECIPE = {"initial": 0.05, "final": 0.9, "begin": 1.0, "end": 10.0, "every": 0.5}


def pruner(size=100):
    torch.manual_seed(0)
    return gmp.Pruner(nn.Linear(size, 10))


def test_cubic_by_hand():
    schedule = gmp.CubicSchedule(None, **RECIPE)
    assert schedule.sparsity_at(0.999) == 0
    assert schedule.sparsity_at(1) == 0.05
    assert schedule.sparsity_at(5.5) == pytest.approx(0.9 - 0.85 / 8)
    assert schedule.sparsity_at(4) == pytest.approx(0.9 - 0.85 * 8 / 27)
    assert schedule.sparsity_at(10) == schedule.sparsity_at(1e9) == 0.9
    assert schedule.update_times() == [1 + k / 2 for k in range(18)] + [10]


def test_linear_inverse_and_constant_by_hand():
    assert gmp.LinearSchedule(None, **RECIPE).sparsity_at(4) == pytest.approx(0.05 + 0.85 / 3)
    eighth = 1 + 9 * 7 / 8  # where a cube root is left: 1 - (1/8)^(1/3) = 1/2
    assert gmp.InverseCubicSchedule(None, **RECIPE).sparsity_at(eighth) == pytest.approx(0.05 + 0.85 / 2)
    constant = gmp.ConstantSchedule(None, final=0.7, begin=2)
    assert [constant.sparsity_at(t) for t in (1.9, 2, 3)] == [0, 0.7, 0.7]
    assert constant.update_times() == [2]


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(RAMPS),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted),
    st.tuples(st.floats(0, 50), st.floats(0, 50)).map(sorted),
    st.lists(st.floats(0, 60), min_size=2).map(sorted),
)
def test_sparsity_rises_from_initial_to_final(kind, sparsities, times, looked_at):
    (initial, final), (begin, end) = sparsities, times
    schedule = kind(None, initial=initial, final=final, begin=begin, end=end, every=1.0)
    values = [schedule.sparsity_at(t) for t in looked_at]
    for t, value in zip(looked_at, values, strict=True):
        assert value == 0 if t < begin else initial <= value <= final + 1e-15
    assert all(a <= b + 1e-15 for a, b in pairwise(values))
    assert schedule.sparsity_at(end) == final
    if begin < end:
        assert schedule.sparsity_at(begin) == initial


@pytest.mark.parametrize("kind", RAMPS)
@pytest.mark.parametrize("steps_per_epoch", [4, 5, 166])
def test_masks_follow_at_the_updates_only(kind, steps_per_epoch):
    times = {"initial": 0.1, "final": 0.8, "begin": 1, "end": 3, "every": 0.5}
    schedule = kind(pruner(), **times, steps_per_epoch=steps_per_epoch)
    expected = 0.0
    for step in range(1, 4 * steps_per_epoch + 1):
        due = [t for t in (1, 1.5, 2, 2.5, 3) if step - 1 < t * steps_per_epoch <= step]
        if due:
            expected = round(schedule.sparsity_at(due[0]) * 1000) / 1000
        assert schedule.step() == bool(due)
        assert schedule.pruner.sparsity == expected
    assert expected == 0.8


def test_steps_as_unit_and_the_final_value_off_the_grid():
    schedule = gmp.LinearSchedule(pruner(), initial=0.0, final=0.5, begin=2, end=7, every=3, unit="step")
    reached = []
    for _ in range(9):
        schedule.step()
        reached.append(schedule.pruner.sparsity)
    assert reached == [0, 0, 0, 0, 0.3, 0.3, 0.5, 0.5, 0.5]


def test_what_is_due_at_time_zero_comes_with_the_first_step():
    schedule = gmp.ConstantSchedule(pruner(), final=0.4, steps_per_epoch=10)
    assert schedule.pruner.sparsity == 0
    assert schedule.step()
    assert schedule.pruner.sparsity == 0.4


def test_a_step_between_updates_clears_what_moved():
    schedule = gmp.ConstantSchedule(pruner(), final=0.4, unit="step")
    schedule.step()
    schedule.pruner.model.weight.data.add_(1)
    assert not schedule.step()
    assert int((schedule.pruner.model.weight == 0).sum()) == 400


def test_fractions_of_epochs_that_floats_cannot_hold():
    schedule = gmp.LinearSchedule(
        pruner(), initial=0.1, final=0.4, begin=0.1, end=0.4, every=0.1, steps_per_epoch=10
    )
    assert [schedule.step() for _ in range(5)] == [True, True, True, True, False]
    assert schedule.pruner.sparsity == 0.4


def test_a_failed_update_does_not_count_as_a_step():
    schedule = gmp.ConstantSchedule(pruner(), final=0.4, unit="step")
    schedule.pruner.model.weight.data[0, 0] = torch.nan
    with pytest.raises(gmp.PruningError, match=naming("weight")):
        schedule.step()
    assert schedule.steps_done == 0


def test_numbers_of_numpy_are_numbers():
    single = {
        "final": np.float32(0.5),
        "begin": np.float32(0.0),
        "end": np.int64(2),
        "every": np.float16(0.5),
    }
    given = {**single, "initial": np.int8(0), "steps_per_epoch": np.int64(4)}
    schedule = gmp.LinearSchedule(pruner(), **given)
    assert schedule.update_times() == [0.0, 0.5, 1.0, 1.5, 2.0]
    while schedule.steps_done < 8:
        schedule.step()
    assert schedule.sparsity == 0.5
    saved = io.BytesIO()
    torch.save(schedule.state_dict(), saved)
    saved.seek(0)
    assert torch.load(saved, weights_only=True)["steps_per_unit"] == 4


SETTINGS = {**RECIPE, "steps_per_epoch": 10}
MISTAKES = [
    ({"final": 1.5}, "final 1.5 0 1"),
    ({"initial": float("nan")}, "initial 0 1"),
    ({"initial": True}, "initial True 0 1"),
    ({"initial": 0.95}, "initial 0.95 final 0.9"),
    ({"begin": 11}, "begin 11 end 10"),
    ({"begin": -1}, "begin -1 0"),
    ({"end": float("inf")}, "end 0"),
    ({"every": 0}, "every 0"),
    ({"every": 1e-9}, "every 1e-09 9e+09 1000000"),
    ({"unit": "epochs"}, "epochs epoch"),
    ({"steps_per_epoch": None}, "steps_per_epoch None epoch"),
    ({"steps_per_epoch": 0}, "steps_per_epoch 0 epoch"),
    (
        {"final": 0.97},
        "0.97 min_density 0.95",
    ),
]


@pytest.mark.parametrize(("change", "sentence"), MISTAKES)
def test_mistakes(change, sentence):
    with pytest.raises(gmp.PruningError) as caught:
        gmp.CubicSchedule(gmp.Pruner(nn.Linear(100, 10), min_density=0.05), **SETTINGS | change)
    assert names(caught.value, sentence)


def test_a_schedule_to_look_at_cannot_be_stepped():
    schedule = gmp.CubicSchedule(None, **RECIPE)
    with pytest.raises(gmp.PruningError, match="pruner"):
        schedule.step()


def test_states_that_do_not_fit():
    state = gmp.CubicSchedule(pruner(), **SETTINGS).state_dict()
    other = gmp.CubicSchedule(pruner(), **SETTINGS | {"steps_per_epoch": 12})
    with pytest.raises(gmp.PruningError) as caught:
        other.load_state_dict(state)
    assert names(caught.value, "10 12")
    with pytest.raises(gmp.PruningError) as caught:
        other.load_state_dict({"step": 3})
    assert names(caught.value, "pruner steps_per_unit")


def test_a_schedule_can_be_held_back():
    model = nn.Linear(10, 10)
    pruner = gmp.Pruner(model)
    schedule = gmp.LinearSchedule(pruner, initial=0.2, final=0.8, begin=1, end=4, every=1, unit="step")
    seen = []
    for most in (0.5, 0.5, 0.5, 1.0, 1.0):
        seen.append((schedule.due, schedule.step(most), round(pruner.sparsity, 6)))
    asked = [due for due, _, _ in seen]
    assert asked[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert asked[4] is None
    assert [updated for _, updated, _ in seen] == [True] * 4 + [False]
    assert [sparsity for _, _, sparsity in seen] == [0.2, 0.4, 0.5, 0.8, 0.8]
    with pytest.raises(gmp.PruningError, match=naming("most 1.5")):
        gmp.ConstantSchedule(pruner, final=0.9, unit="step").step(most=1.5)
