"""Augmentation: seeded, rigid where it says so, normals that stay normal to their surface."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.named import naming
from torch import Tensor

from pointnet.data import Augmentation, augment, shapes
from pointnet.errors import ConfigError

UPS = st.sampled_from(["x", "y", "z"])
RANGES = st.tuples(st.floats(0.5, 1.0), st.floats(1.0, 2.0))
RIGID = st.builds(Augmentation, mirror=st.booleans(), rotate=st.booleans(), shift=st.floats(0, 1), up=UPS)
ANY = st.builds(
    Augmentation,
    mirror=st.booleans(),
    stretch=RANGES,
    rotate=st.booleans(),
    scale=RANGES,
    jitter=st.floats(0, 0.1),
    shift=st.floats(0, 1),
    drop=st.floats(0, 1),
    up=UPS,
)
CLOUDS = torch.from_numpy(shapes(1, 1, 32, normals=True).train.points).double()  # (10, 32, 6)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distances(clouds: Tensor) -> Tensor:
    return torch.linalg.norm(clouds[:, :, None, :3] - clouds[:, None, :, :3], dim=-1)


@settings(max_examples=40, deadline=None)
@given(config=RIGID, seed=st.integers(0, 9))
def test_rigid_keeps_distances_and_angles_to_normals(config: Augmentation, seed: int) -> None:
    assert config.rigid
    moved = augment(CLOUDS, config, seeded(seed))
    torch.testing.assert_close(distances(moved), distances(CLOUDS))

    def across(clouds: Tensor) -> Tensor:
        return torch.einsum("bijc,bic->bij", clouds[:, :, None, :3] - clouds[:, None, :, :3], clouds[..., 3:])

    torch.testing.assert_close(across(moved), across(CLOUDS), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "config",
    [
        Augmentation(stretch=(0.9, 1.0)),
        Augmentation(scale=(1.0, 1.1)),
        Augmentation(jitter=0.01),
        Augmentation(drop=0.5),
    ],
    ids=["stretch", "scale", "jitter", "drop"],
)
def test_what_is_not_rigid_changes_distances(config: Augmentation) -> None:
    assert not config.rigid
    moved = distances(augment(CLOUDS, config, seeded()))
    assert not torch.allclose(moved, distances(CLOUDS), atol=1e-3)


@settings(max_examples=40, deadline=None)
@given(config=ANY, seed=st.integers(0, 9))
def test_equal_generators_give_equal_clouds_and_the_input_stays(config: Augmentation, seed: int) -> None:
    before = CLOUDS.clone()
    first, again = (augment(CLOUDS, config, seeded(seed)) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(CLOUDS, before)
    assert first.shape == CLOUDS.shape
    assert torch.isfinite(first).all()


def test_other_seeds_and_other_clouds_of_a_batch_are_changed_differently() -> None:
    same = CLOUDS[:1].expand(4, -1, -1)
    config = Augmentation(rotate=True)
    moved = torch.cat([augment(same, config, seeded(seed)) for seed in (0, 1)])
    assert len(torch.unique(moved, dim=0)) == 8


def test_nothing_to_do_gives_a_copy() -> None:
    copy = augment(CLOUDS, Augmentation(), seeded())
    assert torch.equal(copy, CLOUDS)
    assert copy.data_ptr() != CLOUDS.data_ptr()


@pytest.mark.parametrize(("up", "axis"), [("x", 0), ("y", 1), ("z", 2)])
def test_rotation_keeps_heights_and_turns_by_every_angle(up: str, axis: int) -> None:
    point = torch.ones(4000, 1, 3).double()
    moved = augment(point, Augmentation(rotate=True, up=up), seeded())[:, 0]
    torch.testing.assert_close(moved[:, axis], torch.ones(4000).double())
    first, second = (moved[:, k] for k in range(3) if k != axis)
    torch.testing.assert_close(torch.hypot(first, second), torch.full((4000,), math.sqrt(2)).double())
    counts = np.histogram(torch.atan2(second, first), bins=8, range=(-math.pi, math.pi))[0]
    assert counts.min() > 400  # 500 expected, standard deviation 21


@pytest.mark.parametrize(("up", "flipped"), [("x", 1), ("y", 0), ("z", 0)])
def test_a_mirror_flips_one_horizontal_axis_in_half_of_the_clouds(up: str, flipped: int) -> None:
    signs = augment(torch.ones(1000, 1, 3), Augmentation(mirror=True, up=up), seeded())[:, 0]
    assert (signs.abs() == 1).all()
    others = [axis for axis in range(3) if axis != flipped]
    assert (signs[:, others] == 1).all()
    assert 0.4 < (signs[:, flipped] < 0).double().mean() < 0.6


def test_scale_is_one_factor_stretch_three_both_within_their_ranges() -> None:
    ones = torch.ones(500, 1, 3).double()
    scaled = augment(ones, Augmentation(scale=(0.5, 2.0)), seeded())[:, 0]
    assert torch.equal(scaled, scaled[:, :1].expand(-1, 3))
    stretched = augment(ones, Augmentation(stretch=(0.5, 2.0)), seeded())[:, 0]
    assert abs(np.corrcoef(stretched.T)[0, 1]) < 0.2
    for factors in (scaled, stretched):
        assert 0.5 <= factors.min() < 0.52
        assert 1.97 < factors.max() <= 2.0


def test_shift_moves_whole_clouds_within_its_range() -> None:
    moved = augment(torch.zeros(500, 2, 3), Augmentation(shift=0.1), seeded())
    assert torch.equal(moved[:, 0], moved[:, 1])
    assert 0.095 < moved.abs().max() <= 0.1
    assert abs(float(moved.mean())) < 0.01


def test_jitter_is_normal_and_cut() -> None:
    noise = augment(torch.zeros(50, 100, 3), Augmentation(jitter=0.01, jitter_clip=0.02), seeded())
    assert noise.abs().max() == pytest.approx(0.02)
    assert (noise.abs() < 0.01).double().mean() == pytest.approx(0.683, abs=0.02)


def test_drop_repeats_the_first_point_up_to_its_share() -> None:
    clouds = torch.arange(1, 401).reshape(1, 400, 1).expand(200, 400, 6) / 400
    xyz, normal = clouds[..., :3], clouds[..., 3:] / clouds[..., 3:].norm(dim=2, keepdim=True)
    dropped = augment(torch.cat([xyz, normal], dim=2), Augmentation(drop=0.8), seeded())
    gone = (dropped[..., :3] != xyz).any(dim=2)
    assert torch.equal(dropped[gone][:, :3], xyz[0, :1].expand(int(gone.sum()), 3))
    shares = gone.double().mean(dim=1)
    assert shares.max() < 0.88
    assert shares.mean() == pytest.approx(0.4, abs=0.05)


def test_normals_stay_normal_to_a_stretched_surface() -> None:
    """Of a plane through three points, for each of many random planes."""
    random = torch.Generator().manual_seed(1)
    corners = torch.randn(200, 3, 3, generator=random).double()

    def plane(points: Tensor) -> Tensor:
        normal = torch.linalg.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
        return torch.nn.functional.normalize(normal, dim=1)

    clouds = torch.cat([corners, plane(corners)[:, None].expand(-1, 3, -1)], dim=2)
    config = Augmentation(mirror=True, stretch=(0.5, 2), rotate=True, scale=(0.5, 2), shift=1.0)
    moved = augment(clouds, config, seeded())
    along = (moved[:, 0, 3:] * plane(moved[..., :3])).sum(dim=1)
    torch.testing.assert_close(along.abs(), torch.ones(200).double())


def test_float32_stays_float32() -> None:
    config = Augmentation(rotate=True, scale=(0.8, 1.2), jitter=0.1, shift=0.1, drop=0.5, mirror=True)
    assert augment(CLOUDS.float(), config, seeded()).dtype == torch.float32


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"jitter": -0.1}, "jitter -0.1 0"),
        ({"jitter_clip": 0.0}, "jitter_clip 0.0 0"),
        ({"shift": math.nan}, "shift 0"),
        ({"drop": 1.5}, "drop 1.5 0 1"),
        (
            {"scale": (1.2, 0.8)},
            "scale 1.2 0.8 0 < <=",
        ),
        ({"stretch": (0.0, 1.0)}, "stretch"),
        ({"stretch": 1.1}, "stretch 1.1"),
        ({"scale": (1.0, math.inf)}, "scale"),
        ({"rotate": 3.14}, "rotate 3.14"),
        ({"mirror": "yes"}, "mirror yes"),
        ({"up": "w"}, "up w"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=naming(message)):
        Augmentation(**setting)


def test_clouds_of_another_shape_are_refused() -> None:
    with pytest.raises(ConfigError, match=naming("clouds 4 5 B N 3 6")):
        augment(torch.zeros(4, 5), Augmentation(), seeded())
