"""Memory is used again, and never by two tensors at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from pointnet.ops import reused_memory as reuse


@pytest.fixture(autouse=True)
def _no_spare_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(reuse, "_spare", [])
    return


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_shape_type_and_alignment(dtype: torch.dtype) -> None:
    x = reuse.empty(5, 3, dtype)
    assert x.shape == (5, 3)
    assert x.dtype == dtype
    assert x.is_contiguous()
    assert x.data_ptr() % reuse.ALIGNMENT == 0


def test_memory_of_a_dead_tensor_is_used_again() -> None:
    x = reuse.empty(100, 10, torch.float32)
    place = x.data_ptr()
    del x
    assert reuse.empty(80, 9, torch.float32).data_ptr() == place
    assert reuse.empty(50, 10, torch.float64).data_ptr() == place


def test_memory_of_a_view_is_not_used_again() -> None:
    x = reuse.empty(100, 10, torch.float32)
    x.fill_(7)
    row = x[3].detach()
    del x
    assert reuse.empty(100, 10, torch.float32).fill_(0).sum() == 0
    assert torch.all(row == 7)


def test_living_tensors_share_nothing() -> None:
    for _ in range(2):
        tensors = [reuse.empty(100, 10, torch.float32).fill_(i) for i in range(3)]
        assert [t.unique().tolist() for t in tensors] == [[0], [1], [2]]


def test_a_large_block_is_not_spent_on_a_small_tensor() -> None:
    x = reuse.empty(1000, 10, torch.float32)
    place = x.data_ptr()
    del x
    assert reuse.empty(10, 10, torch.float32).data_ptr() != place


def test_few_blocks_are_kept() -> None:
    tensors = [reuse.empty(100, 10, torch.float32) for _ in range(2 * reuse.KEPT)]
    tensors.clear()
    assert len(reuse._spare) == reuse.KEPT
