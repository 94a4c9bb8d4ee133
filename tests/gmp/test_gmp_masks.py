"""Which weights go: against a naive twin, and by the properties that masks must have."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from naive import pruning as naive
from torch import nn

import gmp

pytestmark = pytest.mark.filterwarnings("ignore::gmp.errors.PruningWarning")  # random cases empty layers

PATTERNS = {
    "1x1": ("1x1", 1, 1),
    "2:4": ("n:m", 2, 4),
    "1:3": ("n:m", 1, 3),
    "block(2,3)": ("block", 2, 3),
    "vector(3)": ("block", 3, 1),
    "kernel": ("kernel", 1, 1),
    "channel": ("channel", 1, 1),
}
CONVOLUTIONS = {2: nn.Linear, 3: nn.Conv1d, 4: nn.Conv2d}
shapes = st.tuples(st.integers(1, 5), st.integers(1, 7)) | st.tuples(
    st.integers(1, 3), st.integers(1, 5), st.integers(1, 3), st.integers(1, 2)
)
sparsities = st.floats(0, 1) | st.sampled_from([0.25, 0.5, 0.9, 1.0])
quick = settings(max_examples=60, deadline=None)


def network(weights):
    """Modules with these weights, named "0", "1", ..."""
    modules = []
    for values in weights:
        outputs, inputs, *kernel = values.shape
        kind = CONVOLUTIONS[values.ndim]
        module = kind(inputs, outputs, *([tuple(kernel)] if kernel else []))
        module.weight.data = torch.tensor(values, dtype=torch.float32)
        modules.append(module)
    return nn.ModuleList(modules)


def arrays(masks):
    return [mask.numpy() for mask in masks.values()]


@st.composite
def integer_weights(draw, smallest=-3):
    """A few tensors of small integers, zeros among them: many ties."""
    weights = []
    for shape in draw(st.lists(shapes, min_size=1, max_size=3)):
        size = int(np.prod(shape))
        values = draw(st.lists(st.integers(smallest, 3), min_size=size, max_size=size))
        weights.append(np.array([values[0] or 1, *values[1:]]).reshape(shape))
    return weights


@quick
@given(integer_weights(), st.sampled_from(sorted(PATTERNS)), st.lists(sparsities, min_size=1, max_size=3))
@example([np.ones((4, 131), int)], "2:4", [0.3, 0.5])
@example([np.ones((2, 2), int), np.ones((1, 3), int)], "1x1", [0.5])
def test_global_pruning_step_by_step_matches_the_twin(weights, pattern, steps):
    pruner = gmp.Pruner(network(weights), pattern=pattern)
    live = [w != 0 for w in weights]
    for sparsity in steps:
        sparsity = min(sparsity, pruner.max_sparsity)
        pruner.prune(sparsity)
        live = naive.prune(weights, live, PATTERNS[pattern], sparsity)
        for mine, twin in zip(arrays(pruner.masks), live, strict=True):
            np.testing.assert_array_equal(mine, twin)


@quick
@given(integer_weights(), st.sampled_from(sorted(PATTERNS)), sparsities)
def test_pruning_by_layer_matches_the_twin(weights, pattern, sparsity):
    pruner = gmp.Pruner(network(weights), pattern=pattern, scope="layer")
    sparsity = min(sparsity, pruner.pattern.limit)
    pruner.prune(sparsity)
    twins = naive.prune(weights, [w != 0 for w in weights], PATTERNS[pattern], sparsity, "layer")
    for mine, twin in zip(arrays(pruner.masks), twins, strict=True):
        np.testing.assert_array_equal(mine, twin)


@quick
@given(
    integer_weights(),
    st.sampled_from(["1x1", "block(2,3)", "channel", "2:4"]),
    st.integers(0, 10),
    st.floats(0, 1),
)
@example([np.ones((2, 2), int), np.full((2, 4), 3)], "1x1", 5, 0.8)
@example([np.ones((3, 2), int), np.full((3, 4), 3)], "channel", 5, 1.0)
def test_pruning_with_a_minimum_density_matches_the_twin(weights, pattern, tenths, part):
    pruner = gmp.Pruner(network(weights), pattern=pattern, min_density=tenths / 10)
    sparsity = part * pruner.max_sparsity
    pruner.prune(sparsity)
    live = [w != 0 for w in weights]
    twins = naive.prune(weights, live, PATTERNS[pattern], sparsity, min_density=Fraction(tenths, 10))
    for mine, twin, before in zip(arrays(pruner.masks), twins, live, strict=True):
        np.testing.assert_array_equal(mine, twin)
        assert mine.sum() >= min(before.sum(), Fraction(tenths, 10) * mine.size)


@quick
@given(st.lists(shapes, min_size=1, max_size=4), sparsities, st.integers(0, 2**31))
def test_single_weights_are_exact(sizes, sparsity, seed):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=shape) for shape in sizes]
    total = sum(w.size for w in weights)

    model = network(weights)
    pruner = gmp.Pruner(model)
    pruner.prune(sparsity)
    assert sum(int((m.weight == 0).sum()) for m in model) == round(sparsity * total)
    assert pruner.sparsity == round(sparsity * total) / total

    model = network(weights)
    gmp.Pruner(model, scope="layer").prune(sparsity)
    assert [int((m.weight == 0).sum()) for m in model] == [round(sparsity * w.size) for w in weights]


@quick
@given(
    integer_weights(smallest=1), st.sampled_from(["block(2,3)", "vector(3)", "kernel", "channel"]), sparsities
)
def test_units_miss_the_request_by_less_than_one(weights, pattern, sparsity):
    pruner = gmp.Pruner(network(weights), pattern=pattern)
    pruner.prune(sparsity)
    total = sum(w.size for w in weights)
    largest = max(len(box) for w in weights for box in naive.boxes(w.shape, PATTERNS[pattern]))
    short = round(sparsity * total) - round(pruner.sparsity * total)
    assert 0 <= short < largest


@quick
@given(integer_weights(), st.data())
def test_masks_never_regrow(weights, data):
    pruner = gmp.Pruner(network(weights), pattern=data.draw(st.sampled_from(["1x1", "2:4", "channel"])))
    before = arrays(pruner.masks)
    for mask, w in zip(before, weights, strict=True):
        np.testing.assert_array_equal(mask, w != 0)
    for sparsity in data.draw(st.lists(st.floats(0, 0.5), min_size=2, max_size=4)):
        reached = pruner.sparsity
        for module in pruner.model:
            module.weight.data.sub_(2.5)  # pruned weights too come out of this large
        pruner.prune(min(sparsity, pruner.max_sparsity))
        after = arrays(pruner.masks)
        assert all(not (new & ~old).any() for old, new in zip(before, after, strict=True))
        assert pruner.sparsity >= reached
        for module, mask in zip(pruner.model, after, strict=True):
            assert not module.weight.detach().numpy()[~mask].any()
        before = after


@pytest.mark.parametrize(("text", "n", "m"), [("2:4", 2, 4), ("1:4", 1, 4), ("4:8", 4, 8)])
@pytest.mark.parametrize("scope", ["global", "layer"])
def test_n_of_m_at_its_limit(text, n, m, scope):
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=shape) for shape in [(8, 3), (8, 131), (6, 16, 3, 3), (4, 32)]]
    pruner = gmp.Pruner(network(weights), pattern=text, scope=scope)
    for sparsity in (0.2, 1 - n / m):
        pruner.prune(sparsity)
    for w, mask in zip(weights, arrays(pruner.masks), strict=True):
        flat_w, flat_mask = w.reshape(*w.shape[:2], -1), mask.reshape(*w.shape[:2], -1)
        for o, k in np.ndindex(w.shape[0], flat_w.shape[2]):
            for i in range(0, w.shape[1], m):
                group, kept = np.abs(flat_w[o, i : i + m, k]), flat_mask[o, i : i + m, k]
                assert kept.sum() == min(n, len(group))
                assert group[kept].min() >= group[~kept].max(initial=0)
        if w.shape[1] % m == 0:
            assert mask.mean() == n / m
    assert pruner.sparsity == pruner.max_sparsity == gmp.Pruner(network(weights), pattern=text).max_sparsity


def test_pictures_and_depthwise_convolutions_lower_the_limit_of_groups():
    """3 inputs of 4 lose one, 1 input none, 8 half: 72 + 0 + 20 of 328 weights."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 5, 1))
    pruner = gmp.Pruner(model, pattern="2:4")
    assert pruner.max_sparsity == 92 / (216 + 72 + 40)
    pruner.prune(0.5)
    assert pruner.sparsity == pruner.max_sparsity


def test_ramped_groups_are_dense_or_done():
    rng = np.random.default_rng(2)
    pruner = gmp.Pruner(network([rng.normal(size=(16, 16))]), pattern="2:4")
    pruner.prune(0.25)
    kept = arrays(pruner.masks)[0].reshape(-1, 4).sum(1)
    assert sorted(kept) == [2] * 32 + [4] * 32


def test_a_limit_is_reached_though_many_zeros_were_there():
    """A layer that is far sparser than the request elsewhere still gets its groups."""
    rng = np.random.default_rng(3)
    sparse = rng.normal(size=(4, 16)) * np.repeat([1, 0, 0, 0], 4)
    pruner = gmp.Pruner(network([sparse, rng.normal(size=(4, 4))]), pattern="2:4")
    pruner.prune(0.5)
    assert [int(mask.sum()) for mask in pruner.masks.values()] == [8, 8]


def test_equal_weights_go_by_order():
    model = network([np.ones((2, 2)), -np.ones((2, 3))])
    pruner = gmp.Pruner(model)
    pruner.prune(0.5)
    assert arrays(pruner.masks)[0].tolist() == [[False, False], [False, False]]
    assert arrays(pruner.masks)[1].tolist() == [[False, True, True], [True, True, True]]


@quick
@given(st.lists(shapes, min_size=2, max_size=4), st.floats(0, 1), st.data())
def test_what_a_minimum_density_forbids_goes_to_the_other_layers(sizes, part, data):
    weights = [np.random.default_rng(4).normal(size=shape) for shape in sizes]
    kept = {str(k): data.draw(st.sampled_from([0.0, 0.2, 0.7])) for k in range(len(sizes))}
    pruner = gmp.Pruner(network(weights), scope="layer", min_density=kept)
    sparsity = part * pruner.max_sparsity
    pruner.prune(sparsity)
    zeros = [int((~mask).sum()) for mask in arrays(pruner.masks)]
    caps = [w.size - int(np.ceil(Fraction(str(kept[str(k)])) * w.size)) for k, w in enumerate(weights)]
    assert all(z <= cap for z, cap in zip(zeros, caps, strict=True))
    assert abs(sum(zeros) - sparsity * sum(w.size for w in weights)) <= len(weights) / 2 + 1e-6
    free = [z / w.size for z, cap, w in zip(zeros, caps, weights, strict=True) if z < cap]
    if free:  # all layers with room have the same sparsity, up to rounding
        assert max(free) - min(free) <= 1 / min(w.size for w in weights) + 1e-9


def test_ratios_are_scaled_on_the_way_and_exact_at_the_end():
    rng = np.random.default_rng(5)
    model = network([rng.normal(size=shape) for shape in [(10, 10), (10, 20), (5, 10)]])
    pruner = gmp.Pruner(model, scope={"0": 0.5, "re:[01]": 0.9})
    assert pruner.max_sparsity == pytest.approx(230 / 350)
    pruner.prune(pruner.max_sparsity / 2)
    assert [int((m.weight == 0).sum()) for m in model] == [25, 90, 0]
    pruner.prune(pruner.max_sparsity)
    assert [int((m.weight == 0).sum()) for m in model] == [50, 180, 0]


def test_zeros_can_be_given_up():
    weights = [np.array([[0, 5], [6, 7]])]
    assert gmp.Pruner(network(weights)).sparsity == 0.25
    assert gmp.Pruner(network(weights), keep_zeros=False).sparsity == 0


def test_apply_masks_alone():
    rng = np.random.default_rng(6)
    weights = [rng.normal(size=(3, 5)), rng.normal(size=(2, 2, 1, 3))]
    pruner = gmp.Pruner(network(weights))
    pruner.prune(0.6)
    for masks in (pruner.masks, pruner.state_dict()["masks"]):
        other = network(weights)
        gmp.apply_masks(other, masks)
        for mine, pruned in zip(other.parameters(), pruner.model.parameters(), strict=True):
            if mine.dim() > 1:
                assert torch.equal(mine, pruned)
