"""Banded square matrices: element (i, j) is nonzero iff |i - j| <= half width (model 8.4)."""

import math
from collections.abc import Sequence

import numpy as np

from sparsim.model.arrays import Ints, LayerPack, Reals


class Banded:
    """Tile statistics on the regular grid of an `edge` x `edge` matrix.

    Like the reference, only the first row groups are looked at, and one below the warm-up stands for the
    mirrored one at the end; tiles that do not divide the matrix have their group counts floored.
    """

    def __init__(self, layer: LayerPack, v: int, edge: int, half_width: int) -> None:
        self.edge, self.half_width = edge, half_width
        self.sides = [layer.term[layer.side[v, o] : layer.side[v, o + 1]].tolist() for o in range(2)]

    def box(self, ext: Sequence[int]) -> tuple[int, int]:
        """(rows, columns) of the projection of a box of extents `ext`, which may reach past the matrix."""
        rows, columns = (1 + sum(c * (ext[d] - 1) for d, c, _ in side) for side in self.sides)
        return min(rows, self.edge), min(columns, self.edge)

    @property
    def point_density(self) -> float:
        """Nonzero fraction. The reference's sum goes on beyond the corner of the matrix, so a band wider than
        the matrix makes it sparser, and in the end negative.
        """
        off_diagonal = self.half_width * self.edge - self.half_width * (self.half_width + 1) // 2
        return (self.edge + 2.0 * off_diagonal) / (float(self.edge) * self.edge)

    def _nonzeros(self, row: int, last_row: int, column: int, last_column: int) -> int:
        """Nonzeros of rows [row, last_row), columns [column, last_column)."""
        total = 0
        for i in range(row, last_row):
            low, high = max(column, i - self.half_width), min(last_column - 1, i + self.half_width)
            total += max(0, high - low + 1)
        return total

    def _groups(self, rows: int) -> list[tuple[int, float]]:
        """(row group, weight) of the groups that are looked at."""
        groups = self.edge // rows
        warm_up = math.ceil(self.half_width / rows)
        found = []
        for g in range(min(warm_up, groups - 1) + 1):
            weight = max(groups - 2 * warm_up, 0) if g == warm_up else (1 if warm_up == groups else 2)
            found.append((g, float(weight)))
        return found

    def occupancies(self, rows: int, columns: int) -> dict[int, float]:
        """Probability per occupancy of a tile; occupancy 0 is always listed, some may have probability 0."""
        across = self.edge // columns
        tiles = float(self.edge // rows) * across
        weight: dict[int, float] = {0: 0.0}
        for g, times in self._groups(rows):
            last_row = g * rows + rows - 1
            for c in range(across):
                if c * columns > last_row + self.half_width:
                    weight[0] += times * (across - c)
                    break
                k = self._nonzeros(g * rows, last_row + 1, c * columns, (c + 1) * columns)
                weight[k] = weight.get(k, 0.0) + times
        return {k: w / tiles for k, w in sorted(weight.items())}

    def _find(self, rows: int, columns: int, nonzeros: int) -> tuple[int, int] | None:
        """Corner of the first tile with exactly `nonzeros` nonzeros."""
        for g, _ in self._groups(rows):
            last_row = g * rows + rows - 1
            for c in range(self.edge // columns):
                past = c * columns > last_row + self.half_width
                k = 0 if past else self._nonzeros(g * rows, last_row + 1, c * columns, (c + 1) * columns)
                if k == nonzeros:
                    return g * rows, c * columns
                if past:
                    break
        return None

    def empty_within(self, tile: tuple[int, int], sub: tuple[int, int], nonzeros: int) -> float:
        """Fraction of empty sub-tiles in a tile with `nonzeros` nonzeros.

        The reference offsets the lower corner of a sub-tile twice, so sub-tiles away from the matrix's first
        tile are clipped. This is reproduced because its numbers depend on it.
        """
        corner = self._find(*tile, nonzeros)
        if corner is None:
            return 1.0 if nonzeros == 0 else 0.0
        row, column = corner
        empty = total = 0
        for i in range(tile[0] // sub[0]):
            for j in range(tile[1] // sub[1]):
                r, c = row + i * sub[0], column + j * sub[1]
                total += 1
                empty += self._nonzeros(row + r, sub[0] + r, column + c, sub[1] + c) == 0
        return empty / total

    def list_of(self, tile: tuple[int, int]) -> tuple[Ints, Reals, int]:
        """(occupancies with nonzero probability, their probabilities, largest occupancy)."""
        chances = self.occupancies(*tile)
        kept = {k: p for k, p in chances.items() if p != 0.0}
        return np.array(list(kept), np.int64), np.array(list(kept.values()), np.float64), max(chances)
