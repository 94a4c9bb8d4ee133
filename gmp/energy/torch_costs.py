"""Costs of a plan as torch tensors with gradients."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparsim.hardware import Costs, Plan


def torch_costs(plan: Plan, densities: Tensor) -> Costs:
    """Energy in pJ and cycles of each layer, (layers,), with `plan.slopes` as gradients by `densities`.

    `torch_costs(plan, d).energy_pj.sum()` is the network's energy. Second derivatives are not available.
    Raises what a call of the plan raises.
    """
    energy, cycles = _PlanCosts.apply(plan, densities)  # type: ignore[no-untyped-call]
    return Costs(energy, cycles)


class _PlanCosts(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, plan: Plan, densities: Tensor) -> tuple[Tensor, Tensor]:
        values = densities.detach().cpu().double().numpy()
        ctx.slopes = plan.slopes(values) if densities.requires_grad else None
        ctx.like = densities
        energy, cycles = (torch.from_numpy(x).to(densities) for x in plan(values))
        return energy, cycles

    @staticmethod
    @once_differentiable  # a second derivative would lack that of the slopes
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        parts = [
            g[:, None] * torch.from_numpy(s).to(ctx.like) for g, s in zip(grads, ctx.slopes, strict=True)
        ]
        return None, parts[0] + parts[1]
