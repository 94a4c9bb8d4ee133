"""Which weights go together: single weights, n:m groups, blocks, kernels, channels.

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

    `scores` (U,): mean score of the weights that the unit would lose, -inf if there are none.
    `gains` (U,): how many weights that are; bool if B is 1.
    `lost` (U, B): which ones.
    """

    scores: Tensor
    gains: Tensor
    lost: Tensor


@dataclass(frozen=True)
class Pattern:
    """Boxes of `rows` outputs, `columns` inputs (None: all) and one kernel position or all; `keep` stay."""

    rows: int = 1
    columns: int | None = 1
    whole_kernel: bool = False
    keep: int = 0

    @property
    def single(self) -> bool:
        """Whether weights go one by one, whatever their axes."""
        return self == Pattern()

    @property
    def limit(self) -> float:
        """The highest sparsity: 1 - n/m for n:m."""
        return 1 - self.keep / (self.columns or 1) if self.keep else 1.0

    def prunable(self, shape: torch.Size, axes: Axes) -> int:
        """How many weights of a dense tensor can go: of n:m, a tail of fewer than m keeps n too."""
        if not self.keep:
            return shape.numel()
        groups, outputs, inputs, positions = axes.shape(shape)
        columns = self.columns or inputs
        full, tail = divmod(inputs, columns)
        return groups * outputs * positions * (full * (columns - self.keep) + max(0, tail - self.keep))

    def units(self, scores: Tensor, live: Tensor, axes: Axes) -> Units:
        """What can be pruned of a tensor with these `scores`, of which only `live` weights are left."""
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
        """`live` after the units `chosen` (U,) are gone."""
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
    """The pattern that `text` spells (see the table above). Raises PruningError."""
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
