"""Nonzeros are counted where tensors are: the way for devices gives what the way for the CPU gives."""

from __future__ import annotations

import pytest
import torch
from support.as_on_devices import DEVICES, as_if_on_a_device
from support.monitored import X, net, train, watch

import gmp
from gmp import nonzeros
from gmp.tracing.trace import trace


def pruned_and_watched(device: str = "cpu"):
    torch.manual_seed(0)
    model = net().to(device)
    pruner = gmp.Pruner(model, ignore="0")
    pruner.prune(0.6)
    monitor = watch(model, pruner)
    monitor.update()
    train(model, 2, pruner.apply)
    pruner.prune(0.8)
    return model, pruner, monitor.update().densities, trace(model, [X.to(device)])


def test_the_way_for_devices_counts_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    _, pruner, densities, traced = pruned_and_watched()
    as_if_on_a_device(monkeypatch)
    _, again, on_device, traced_there = pruned_and_watched()
    assert (densities == on_device).all()
    assert traced == traced_there
    assert all(torch.equal(mask, again.masks[name]) for name, mask in pruner.masks.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.bool, torch.int8])
def test_counts_of_any_type(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [(torch.arange(24) % n != 0).to(dtype).reshape(2, 3, 4) for n in (2, 3, 5)]
    tensors.append(tensors[0].transpose(0, 2))
    expected = [12, 16, 19, 12]
    assert nonzeros.count(tensors) == expected
    rows = nonzeros.count_rows(tensors[1])
    as_if_on_a_device(monkeypatch)
    assert nonzeros.count(tensors) == expected
    assert nonzeros.count_rows(tensors[1]) == rows == [8, 8]
    assert nonzeros.count([]) == []


@pytest.mark.parametrize("device", DEVICES)
def test_pruners_and_monitors_on_a_device(device: str) -> None:
    _, pruner, densities, traced = pruned_and_watched()
    model, again, on_device, traced_there = pruned_and_watched(device)
    assert {mask.device.type for mask in again.masks.values()} == {model[0].weight.device.type}
    assert again.sparsity == pruner.sparsity
    assert densities[:, 0] == pytest.approx(on_device[:, 0])
    assert densities == pytest.approx(on_device, abs=0.02)
    assert [layer.macs for layer in traced.layers] == [layer.macs for layer in traced_there.layers]
