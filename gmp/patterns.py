"""Patterns of pruning: single weights, n:m groups, blocks, kernels, channels.

A weight tensor is seen as (groups, outputs, inputs, kernel positions), as `gmp.weight_axes` says: `nn.Linear`
has one position, a convolution kh*kw of them. A pattern cuts it into boxes, the units of pruning. Boxes at
the edges may be smaller.

  pattern       box (outputs x inputs x positions)      when the box is pruned
  "1x1"         1 x 1 x 1                               it goes
  "block(r,c)"  r x c x 1                               it goes
  "vector(n)"   n x 1 x 1, that is block(n,1)           it goes
  "kernel"      1 x 1 x all                             it goes
  "channel"     1 x all x all                           it goes
  "n:m"         1 x m x 1, along the input channels     its n highest scores stay
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gmp.errors import PruningError
from gmp.weight_axes import Axes
from sparsim.errors import near

NAMES = ("1x1", "2:4", "block(4,1)", "vector(4)", "kernel", "channel")


class Units(NamedTuple):
    """The units of one weight tensor: U of them, with boxes of B weights.

    Attributes
    ----------
    scores : Tensor
        Mean score of the weights that each unit would lose, shape (U,); -inf if there are none.
    gains : Tensor
        Number of weights that each unit would lose, shape (U,); bool if B is 1.
    lost : Tensor
        The weights that each unit would lose, bool of shape (U, B).
    """

    scores: Tensor
    gains: Tensor
    lost: Tensor


@dataclass(frozen=True)
class Pattern:
    """A pattern that divides weights into boxes, the units of pruning.

    Parameters
    ----------
    rows : int, default 1
        Outputs in a box.
    columns : int or None, default 1
        Inputs in a box; None stands for all.
    whole_kernel : bool, default False
        Whether a box has all kernel positions, instead of one.
    keep : int, default 0
        Number of weights that stay in a pruned box: the n of n:m.
    """

    rows: int = 1
    columns: int | None = 1
    whole_kernel: bool = False
    keep: int = 0

    @property
    def single(self) -> bool:
        """Return whether weights are pruned one by one, independent of their axes."""
        return self == Pattern()

    @property
    def limit(self) -> float:
        """The highest sparsity: 1 - n/m for n:m."""
        return 1 - self.keep / (self.columns or 1) if self.keep else 1.0

    def prunable(self, shape: torch.Size, axes: Axes) -> int:
        """Count the weights of a dense tensor that can be pruned.

        Parameters
        ----------
        shape : torch.Size
            Shape of the weight.
        axes : Axes
            Axes of the weight.

        Returns
        -------
        int
            Number of weights. With n:m, a last group of fewer than m weights also keeps n.
        """
        if not self.keep:
            return shape.numel()
        groups, outputs, inputs, positions = axes.shape(shape)
        columns = self.columns or inputs
        full, tail = divmod(inputs, columns)
        return groups * outputs * positions * (full * (columns - self.keep) + max(0, tail - self.keep))

    def units(self, scores: Tensor, live: Tensor, axes: Axes) -> Units:
        """Find the units of a tensor that can be pruned.

        Parameters
        ----------
        scores : Tensor
            Score of each weight.
        live : Tensor
            Bool mask of the weights that are not pruned yet.
        axes : Axes
            Axes of the weight.

        Returns
        -------
        Units
            Scores, numbers and positions of the weights that each unit would lose.
        """
        if self.single:
            boxed, lost = scores.reshape(-1, 1), live.reshape(-1, 1)
        else:
            boxed, lost = self._boxes(axes.arranged(scores)), self._boxes(axes.arranged(live))
        if self.keep:
            ranked = boxed.masked_fill(~lost, -torch.inf).sort(dim=1, descending=True, stable=True).indices
            lost = lost.scatter(1, ranked[:, : self.keep], False)
        if lost.shape[1] == 1:
            return Units(boxed[:, 0].masked_fill(~lost[:, 0], -torch.inf), lost[:, 0], lost)
        gains = lost.sum(dim=1)
        means = boxed.mul(lost).sum(dim=1) / gains
        return Units(means.masked_fill(gains == 0, -torch.inf), gains, lost)

    def pruned(self, live: Tensor, units: Units, chosen: Tensor, axes: Axes) -> Tensor:
        """Prune units of a tensor.

        Parameters
        ----------
        live : Tensor
            Bool mask of the weights that are not pruned yet.
        units : Units
            The result of `units` for this mask.
        chosen : Tensor
            Units to prune, bool of shape (U,).
        axes : Axes
            Axes of the weight.

        Returns
        -------
        Tensor
            The mask without the weights of the chosen units.
        """
        gone = units.lost & chosen[:, None]
        if self.single:
            return live & ~gone.reshape(live.shape)
        return live & ~axes.restored(self._restored(gone, axes.shape(live.shape)), live.shape)

    def _box(self, inputs: int, positions: int) -> tuple[int, int, int]:
        """Outputs, inputs and positions of a box."""
        columns = inputs if self.columns is None else self.columns
        return self.rows, columns, positions if self.whole_kernel else 1

    def _boxes(self, values: Tensor) -> Tensor:
        """(units, weights per box), with zeros where a box reaches past the edge."""
        groups, outputs, inputs, positions = values.shape
        r, c, p = self._box(inputs, positions)
        if outputs % r or inputs % c:
            values = functional.pad(values, (0, 0, 0, -inputs % c, 0, -outputs % r))
        grid = values.reshape(groups, -(-outputs // r), r, -(-inputs // c), c, positions // p, p)
        return grid.permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, r * c * p)

    def _restored(self, boxes: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
        """The inverse of `_boxes`."""
        groups, outputs, inputs, positions = shape
        r, c, p = self._box(inputs, positions)
        rows, columns = -(-outputs // r), -(-inputs // c)
        grid = boxes.reshape(groups, rows, columns, positions // p, r, c, p).permute(0, 1, 4, 2, 5, 3, 6)
        return grid.reshape(groups, rows * r, columns * c, positions)[:, :outputs, :inputs]


def pattern_of(text: str) -> Pattern:
    """Read the name of a pattern.

    Parameters
    ----------
    text : str
        A name as in the table of this module, such as "2:4" or "block(4,1)".

    Returns
    -------
    Pattern
        The pattern.

    Raises
    ------
    PruningError
        If the name is unknown or has impossible sizes.
    """
    fixed = {"1x1": Pattern(), "kernel": Pattern(whole_kernel=True), "channel": Pattern(1, None, True)}
    spelling = str(text).replace(" ", "")
    if spelling in fixed:
        return fixed[spelling]
    if match := re.fullmatch(r"(\d+):(\d+)", spelling):
        n, m = map(int, match.groups())
        if not 0 < n < m:
            raise PruningError(f"the pattern n:m needs 0 < n < m, got '{text}'")
        return Pattern(columns=m, keep=n)
    if match := re.fullmatch(r"block\((\d+),(\d+)\)|vector\((\d+)\)", spelling):
        rows, columns = (int(size) for size in (match[1] or match[3], match[2] or 1))
        if not rows or not columns:
            raise PruningError(f"the sizes of a pattern must be at least 1, got '{text}'")
        return Pattern(rows, columns)
    raise PruningError(f"unknown pattern {text!r}", hint=near(text, NAMES))
