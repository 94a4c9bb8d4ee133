"""The parts that a scan prunes alone: weights, or groups of coupled channels. Each is restored at the end."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gmp.channels.channel_records import ChannelGroup
from gmp.channels.channel_scores import ChannelScore, channel_score
from gmp.channels.removed_channels import masks_of
from gmp.parameter_names import named_parameters
from gmp.pruner import Pruner
from gmp.scores import Score
from gmp.targets import Target


class WeightPart:
    """One weight, which a pruner prunes.

    The weight has `size` elements, of which `gone` are zero at the start. Pruning changes `parameters`.
    """

    def __init__(self, model: nn.Module, target: Target, score: str | Score, pattern: str) -> None:
        self.name, self.size = target.name, target.weight.numel()
        self.parameters: list[Tensor] = [target.weight]
        self._pruner = Pruner(model, targets=target.name, scope="layer", score=score, pattern=pattern)
        self.gone = round(self._pruner.sparsity * self.size)

    def prune(self, ratio: float) -> int | None:
        """Prune to a ratio, or leave a higher one. Returns the number of zeros; None if it is impossible."""
        if (
            ratio > self._pruner.max_sparsity + 1e-9
            or round(ratio * self.size) == self.size > ratio * self.size
        ):
            return None
        self._pruner.prune(max(ratio, self._pruner.sparsity))
        return round(self._pruner.sparsity * self.size)

    def close(self) -> None:
        """Remove the hooks."""
        self._pruner.detach()


class GroupPart:
    """One group of channels; those with the lowest scores are set to zero in all layers of the group."""

    gone = 0

    def __init__(self, model: nn.Module, group: ChannelGroup, score: str | ChannelScore) -> None:
        self.name, self.size = group.name, group.channels
        self._model, self._group, known = model, group, named_parameters(model)
        everything = masks_of(model, [group], {group.name: torch.ones(self.size, dtype=torch.bool)})
        self._known = {name: known[name] for name in everything}
        self.parameters: list[Tensor] = list(self._known.values())
        self._order = channel_score(score)(model, group).detach().cpu().argsort(stable=True)

    @torch.no_grad()
    def prune(self, ratio: float) -> int | None:
        """Set channels to zero, as `WeightPart.prune` does with elements; at least one channel stays."""
        count = round(ratio * self.size)
        if count == self.size:
            return None
        gone = torch.zeros(self.size, dtype=torch.bool)
        gone[self._order[:count]] = True
        for name, live in masks_of(self._model, [self._group], {self.name: gone}).items():
            self._known[name].masked_fill_(~live, 0)
        return count

    def close(self) -> None:
        """Do nothing, because nothing is attached to the model."""


Part = WeightPart | GroupPart


@contextmanager
def restored(part: Part, buffers: Iterable[Tensor]) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Restore parameters and buffers at the end. Yields the buffers with their values."""
    kept = [(parameter, parameter.detach().clone()) for parameter in part.parameters]
    others = [(buffer, buffer.clone()) for buffer in buffers]
    try:
        yield others
    finally:
        part.close()
        restore([*kept, *others])


@torch.no_grad()
def restore(values: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Copy the values of pairs (tensor, value) into the tensors."""
    for tensor, value in values:
        tensor.copy_(value)
