"""Costs of a plan as torch tensors with gradients."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparsim.hardware import Costs, Plan


def torch_costs(plan: Plan, densities: Tensor) -> Costs:
    """Compute the costs of a plan as torch tensors with gradients.

    Parameters
    ----------
    plan : Plan
        Plan of a network on hardware.
    densities : Tensor, shape (layers, 3)
        Nonzero fractions of weights, inputs and outputs of each layer, 0 to 1.

    Returns
    -------
    Costs
        Energy in pJ and cycles as tensors of shape (layers,). Their gradients with respect to `densities` are
        ``plan.slopes``; second derivatives are not available.

    Raises
    ------
    SpecError
        If the densities do not fit the plan, as in a call of the plan.

    Notes
    -----
    ``torch_costs(plan, densities).energy_pj.sum()`` is the energy of the network, which can be a term of a
    loss.
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
    @once_differentiable  # a second derivative would not include the derivative of the slopes
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor]:
        parts = [
            g[:, None] * torch.from_numpy(s).to(ctx.like) for g, s in zip(grads, ctx.slopes, strict=True)
        ]
        return None, parts[0] + parts[1]
