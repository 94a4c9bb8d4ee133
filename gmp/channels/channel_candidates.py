"""Networks with given numbers of channels in each group, for searches that evaluate many of them.

The channels with the highest scores are kept, so the number of channels determines which ones stay. The
weights of a layer are therefore fitted only once for each number of remaining inputs. The fit is by least
squares from second moments of the inputs in the whole network, W' = W H_:S (H_SS + damping)^-1.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gmp.channels.channel_probe import evaluating, runner
from gmp.channels.channel_records import ChannelGroups
from gmp.channels.channel_scores import ChannelScore, score_channels
from gmp.channels.removed_channels import masks_of, remove
from gmp.errors import PruningError
from gmp.example_batches import Forward
from gmp.masks import apply_masks
from gmp.number_checks import returned, whole
from gmp.oneshot.calibration_inputs import Moments, is_supported, matrix_of, weight_of
from gmp.oneshot.least_squares import damped
from gmp.parameter_names import module_called
from gmp.stored_results import StoredResults, digest_of

DAMPING = 1e-4  # damping, as a share of the mean diagonal of the moments


class ChannelCandidates:
    """Networks with fewer channels, made from one network, and their losses.

    Parameters
    ----------
    model : nn.Module
        The network, which is not changed.
    groups : ChannelGroups
        Its groups.
    loss : callable
        Called as ``loss(model)`` with each network in evaluation mode; lower is better.
    score : str or callable, default "l2"
        Score of the channels, as in `score_channels`; those with the highest scores stay.
    calibration : iterable, optional
        Batches with which layers are fitted to the remaining channels; by default weights are not changed.
    multiple : int, default 8
        Numbers of channels that are tried are multiples of this, or all channels.
    least : int, default 1
        Smallest number of channels of each group.
    forward : callable, optional
        Called as ``forward(model, batch)`` in place of the model with `calibration`.
    path : str or Path, optional
        File that stores every loss, so that an interrupted search can be continued.

    Attributes
    ----------
    levels : dict of str to list of int
        Numbers of channels that are tried, in rising order, by the group's name.
    evaluations : int
        Number of networks whose loss was computed; each counts once.

    Raises
    ------
    PruningError
        If options do not fit, if the loss of the network itself is not finite, or if `path` has the losses
        of another search.
    """

    def __init__(
        self,
        model: nn.Module,
        groups: ChannelGroups,
        loss: Callable[[nn.Module], float],
        *,
        score: str | ChannelScore = "l2",
        calibration: Iterable[Any] | None = None,
        multiple: int = 8,
        least: int = 1,
        forward: Forward | None = None,
        path: str | Path | None = None,
    ) -> None:
        if not len(groups):
            raise PruningError("there is no group of which channels can be removed")
        self.model, self.groups, self._loss = model, groups, loss
        scores = score_channels(model, groups, score)
        self._order = {name: each.argsort(descending=True, stable=True) for name, each in scores.items()}
        step, fewest = whole(multiple, "multiple"), whole(least, "least")
        self.levels = {group.name: _levels(group.channels, step, fewest) for group in groups}
        self._run = runner(model, groups.example, groups.forward)
        self._moments = {} if calibration is None else self._measured(list(calibration), forward)
        self._fitted: dict[tuple[str, tuple[int, ...]], Tensor] = {}
        dense = self._evaluated({})
        facts = [(group.name, group.channels) for group in groups], dense
        digest = digest_of(model, (*self._order.values(), *self._moments.values()), *facts)
        self._stored = StoredResults(path, "search", digest)
        self._losses = {tuple(group.channels for group in groups): dense}
        self.evaluations = 0

    def kept(self, counts: Mapping[str, int]) -> dict[str, list[int]]:
        """Return the channels that are left.

        Parameters
        ----------
        counts : mapping of str to int
            Number of channels by the group's name; other groups are whole.

        Returns
        -------
        dict of str to list of int
            Indices of channels, by the group's name.
        """
        return {
            group.name: sorted(self._order[group.name][: counts.get(group.name, group.channels)].tolist())
            for group in self.groups
        }

    @torch.no_grad()
    def network(self, counts: Mapping[str, int]) -> nn.Module:
        """Make the network with so many channels.

        Parameters
        ----------
        counts : mapping of str to int
            Number of channels by the group's name; other groups are whole.

        Returns
        -------
        nn.Module
            A narrowed network, fitted to calibration data if there are any.
        """
        gone = {}
        for name, kept in self.kept(counts).items():
            gone[name] = torch.ones(self.groups[name].channels, dtype=torch.bool)
            gone[name][kept] = False
        new = copy.deepcopy(self.model)
        for layer in self._moments:
            weight = module_called(new, layer).weight
            assert isinstance(weight, Tensor)
            weight.copy_(self._weights(layer, counts, gone))
        apply_masks(new, masks_of(new, self.groups, gone))
        remove(new, self.groups, gone, self._run)
        return new.eval()

    def loss(self, counts: Mapping[str, int]) -> float:
        """Return the loss of the network with so many channels, computed once.

        Parameters
        ----------
        counts : mapping of str to int
            Number of channels by the group's name; other groups are whole.

        Returns
        -------
        float
            The loss.

        Raises
        ------
        PruningError
            If the loss is not finite.
        """
        key = tuple(counts.get(group.name, group.channels) for group in self.groups)
        if key not in self._losses:
            name = " ".join(map(str, key))
            if name not in self._stored.known:
                self._stored.add(name, self._evaluated(counts))
            self._losses[key] = self._stored.known[name]
            self.evaluations += 1
        return self._losses[key]

    def _evaluated(self, counts: Mapping[str, int]) -> float:
        with torch.no_grad():
            value = self._loss(self.network(counts))
        return returned(value, f"the loss with {dict(counts) or 'all channels'}")

    def _measured(self, batches: list[Any], forward: Forward | None) -> dict[str, Tensor]:
        """Measure second moments of the inputs of layers that use removable channels."""
        found = {}
        if not batches:
            raise PruningError("there are no calibration batches")
        names = dict.fromkeys(name for group in self.groups for name in group.layers("inputs"))
        with evaluating(self.model):
            for name in names:
                module = module_called(self.model, name)
                if is_supported(module, "weight") and getattr(module, "groups", 1) == 1:
                    found[name] = Moments([module]).gather(self.model, batches, forward)[0]
        return found

    def _weights(self, layer: str, counts: Mapping[str, int], gone: Mapping[str, Tensor]) -> Tensor:
        """Return the weights of a layer, fitted to the remaining inputs."""
        feeding = [group for group in self.groups if layer in group.layers("inputs")]
        key = layer, tuple(counts.get(group.name, group.channels) for group in feeding)
        if key not in self._fitted:
            module = module_called(self.model, layer)
            weight = module.weight
            assert isinstance(weight, Tensor)
            left = torch.ones(weight.shape[1], dtype=torch.bool)
            for group in feeding:
                for member in group.members:
                    if (member.module, member.role) == (layer, "inputs"):
                        left[member.indices[gone[group.name]].flatten()] = False
            self._fitted[key] = _fitted(module, weight, left, self._moments[layer])
        return self._fitted[key]


def _fitted(module: nn.Module, weight: Tensor, left: Tensor, moments: Tensor) -> Tensor:
    """Return the weights with which the layer's outputs are approximated best from the inputs `left`."""
    matrix = matrix_of(module, weight.detach())[0].double()
    columns = left.repeat(matrix.shape[1] // len(left)).nonzero().flatten()
    if len(columns) == matrix.shape[1]:
        return weight.detach()
    h = damped(moments, DAMPING)
    wanted = (matrix @ h)[:, columns]
    solved = torch.cholesky_solve(wanted.t(), torch.linalg.cholesky(h[columns][:, columns])).t()
    found = torch.zeros_like(matrix)
    found[:, columns] = solved
    return weight_of(found[None], weight).to(weight.dtype)


def _levels(channels: int, multiple: int, least: int) -> list[int]:
    """Return the multiples from `least` on, and all channels."""
    first = -(-least // multiple) * multiple
    return sorted({min(count, channels) for count in (*range(first, channels, multiple), channels)})
