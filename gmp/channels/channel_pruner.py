"""Gradual pruning of whole channels in all layers of a group, so that they can be removed later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gmp.channels.channel_costs import ChannelCost, checked_cost
from gmp.channels.channel_records import ChannelGroups
from gmp.channels.channel_scores import ChannelScore, channel_score, score_channels
from gmp.channels.narrow_layers import output_axis
from gmp.channels.removed_channels import masks_of
from gmp.errors import PruningError
from gmp.number_checks import fraction, whole
from gmp.parameter_names import joined, module_called
from gmp.pruner import Pruner


class ChannelPruner(Pruner):
    """Prunes whole channels of a model in training, with masks that only ever grow.

    Parameters
    ----------
    model : nn.Module
        Model to prune.
    groups : ChannelGroups
        Its groups of coupled channels.
    optimizer : Optimizer or sequence of Optimizer, optional
        One or several optimizers, as in `gmp.Pruner`.
    score : str or callable, default "l2"
        Score of the channels, as in `score_channels`. Those with the lowest scores are pruned first.
    scope : {"global", "group"}, default "global"
        Whether all channels are ranked in one pool, or each group loses the same share of its channels.
    cost : callable, optional
        Function from the number of channels left in each group to a cost, such as those of
        `gmp.channels.channel_costs`. Scores are divided by the cost that the removal of one more channel of
        the group saves.
    multiple : int, default 1
        The number of remaining channels of a group is a multiple of this, if any are pruned.
    least : int, default 1
        Smallest number of channels of each group.

    Attributes
    ----------
    groups : ChannelGroups
        The groups.

    Raises
    ------
    PruningError
        If options do not fit the model.

    Notes
    -----
    All numbers that belong to a pruned channel are zero: weights that make and use it, biases, and scales and
    shifts of norms. A `gmp.Schedule` works with it as with a `gmp.Pruner`; its sparsities are fractions of
    channels.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from gmp.channels import ChannelPruner, channel_groups, narrow
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> pruner = ChannelPruner(model, channel_groups(model, torch.zeros(1, 4)))
    >>> pruner.prune(0.5)
    >>> narrow(model, pruner.groups).model[0]
    Linear(in_features=4, out_features=4, bias=True)
    """

    def __init__(
        self,
        model: nn.Module,
        groups: ChannelGroups,
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        *,
        score: str | ChannelScore = "l2",
        scope: str = "global",
        cost: ChannelCost | None = None,
        multiple: int = 1,
        least: int = 1,
    ) -> None:
        if not len(groups):
            raise PruningError("no group has channels that can be removed")
        if scope not in ("global", "group"):
            raise PruningError(f"scope must be 'global' or 'group', got {scope!r}")
        self.groups = groups
        self._channel_score, self._scope = channel_score(score), scope
        self._cost = None if cost is None else checked_cost(cost)
        self._multiple, self._least = whole(multiple, "multiple"), whole(least, "least")
        everything = {group.name: torch.ones(group.channels, dtype=torch.bool) for group in groups}
        names = list(masks_of(model, groups, everything))
        super().__init__(model, optimizer, targets=names, keep_zeros=False)

    @property
    def kept(self) -> Mapping[str, Tensor]:
        """Which channels are left, bool tensors of shape (channels,) by the group's name."""
        masks, found = self.masks, {}
        for group in self.groups:
            member = next(m for m in group.members if m.role == "outputs")
            module = module_called(self.model, member.module)
            live = masks[joined(member.module, "weight")]
            rows = live.movedim(output_axis(module), 0).flatten(1).any(dim=1).cpu()
            found[group.name] = rows[member.indices].all(dim=1)
        return MappingProxyType(found)

    @property
    def sparsity(self) -> float:
        """Fraction of the channels that is pruned."""
        kept = self.kept.values()
        return 1 - sum(int(each.sum()) for each in kept) / sum(len(each) for each in kept)

    @property
    def max_sparsity(self) -> float:
        """Highest fraction of the channels that `least` and `multiple` allow."""
        total = sum(group.channels for group in self.groups)
        return 1 - sum(self._fewest(group.channels) for group in self.groups) / total

    def check(self, sparsity: float) -> None:
        """Check that a fraction of the channels can be pruned.

        Parameters
        ----------
        sparsity : float
            Fraction of the channels, 0 to 1.

        Raises
        ------
        PruningError
            If it cannot be reached.
        """
        if fraction(sparsity, "the sparsity") > self.max_sparsity + 1e-9:
            raise PruningError(
                f"{sparsity:g} of the channels cannot be pruned: each group keeps at least {self._least}, "
                f"which allows at most {self.max_sparsity:.6g}"
            )

    @torch.no_grad()
    def prune(self, sparsity: float) -> None:
        """Raise the pruned fraction of the channels; it is never lowered.

        Parameters
        ----------
        sparsity : float
            Fraction of the channels that is pruned after the call, 0 to `max_sparsity`; with `multiple` less
            than one such step below.

        Raises
        ------
        PruningError
            If `sparsity` is above `max_sparsity`, if a score is not finite, or if the pruner is finalized.
        """
        self._check_open()
        self.check(sparsity)
        total = sum(group.channels for group in self.groups)
        self._asked = max(self._asked, round(sparsity * total) / total)
        kept = {name: each.clone() for name, each in self.kept.items()}
        scores = self._priced(kept)
        if self._scope == "global":
            self._prune_lowest(kept, scores, sparsity, list(kept))
        else:
            for name in kept:
                self._prune_lowest(kept, scores, sparsity, [name])
        self.keep({name: each.nonzero().flatten().tolist() for name, each in kept.items()})

    def keep(self, kept: Mapping[str, Sequence[int]]) -> None:
        """Prune all channels of groups except those given.

        Parameters
        ----------
        kept : mapping of str to sequence of int
            Indices of channels that stay, by the group's name. Groups that are not named stay as they are,
            and pruned channels stay pruned.

        Raises
        ------
        PruningError
            If a group is unknown, if none of its channels would be left, or if the pruner is finalized.
        """
        self._check_open()
        gone = {name: ~each for name, each in self.kept.items()}
        for name, indices in kept.items():
            stay = torch.zeros(self.groups[name].channels, dtype=torch.bool)
            stay[torch.as_tensor(indices, dtype=torch.int64)] = True
            gone[name] = gone[name] | ~stay
            if bool(gone[name].all()):
                raise PruningError(f"no channel of '{name}' would be left; keep at least one")
        self._install(masks_of(self.model, self.groups, gone))
        self.apply()

    def _fewest(self, channels: int) -> int:
        """Return the least number of channels of a group that are left."""
        return min(channels, -(-self._least // self._multiple) * self._multiple)

    def _priced(self, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return scores, divided by the saving of one more channel of the group."""
        scores = score_channels(self.model, self.groups, self._channel_score)
        if self._cost is None:
            return scores
        counts = {name: int(each.sum()) for name, each in kept.items()}
        now = self._cost(counts)
        for name in scores:
            step = min(self._multiple, counts[name] - 1)
            saved = (now - self._cost({**counts, name: counts[name] - step})) / step if step else 1.0
            scores[name] = scores[name] / max(saved, 1e-9 * abs(now))
        return scores

    def _prune_lowest(
        self, kept: dict[str, Tensor], scores: Mapping[str, Tensor], sparsity: float, names: list[str]
    ) -> None:
        """Prune the channels with the lowest scores of some groups, in numbers that leave a multiple."""
        total = sum(len(kept[name]) for name in names)
        spare = round(sparsity * total) - sum(int((~kept[name]).sum()) for name in names)
        blocks: list[tuple[float, int, str, Tensor]] = []
        for name in names:
            left = kept[name].nonzero().flatten()
            order = left[scores[name][left].argsort(stable=True)]
            count = len(order)
            while count > self._fewest(len(kept[name])):
                size = (count % self._multiple) or self._multiple
                block = order[len(order) - count : len(order) - count + size]
                blocks.append((float(scores[name][block].mean()), len(blocks), name, block))
                count -= size
        for _, _, name, block in sorted(blocks, key=lambda each: each[:2]):
            if len(block) > spare:
                break
            kept[name][block] = False
            spare -= len(block)
