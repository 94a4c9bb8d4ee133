"""Density models with exact fractions, rounded once (model 8.2, 8.3)."""

from __future__ import annotations

import math
from fractions import Fraction
from math import comb

from sparsim.records import Density


def hypergeometric(total: int, nonzeros: int, points: int) -> dict[int, Fraction]:
    """Chance of every possible number of nonzeros among `points` of `total` points."""
    least, most = max(0, points + nonzeros - total), min(points, nonzeros)
    return {
        k: Fraction(comb(nonzeros, k) * comb(total - nonzeros, points - k), comb(total, points))
        for k in range(least, most + 1)
    }


def none_of(total: int, nonzeros: int, points: int) -> Fraction:
    """Chance that `points` of `total` points hold no nonzero; leader tiles may be larger than the tensor."""
    if points + nonzeros > total:
        return Fraction(0)
    return Fraction(comb(total - points, nonzeros), comb(total, nonzeros))


class Fixed:
    """Fixed-structured (model 8.2)."""

    def __init__(self, density: float, total: int) -> None:
        self.density = density

    def chances(self, points: int) -> dict[int, float]:
        x = points * self.density
        p = x - math.floor(x)
        return {k: q for k, q in ((math.floor(x), 1 - p), (math.ceil(x), p)) if q != 0}

    def least(self, points: int) -> int:
        return math.floor(math.floor(points * self.density) / points * points)

    def most(self, points: int) -> int:
        x = points * self.density
        return math.floor(x) if 1 - (x - math.floor(x)) >= 1 else math.ceil(x)

    def empty(self, points: int) -> float:
        x = points * self.density
        return 1 - x if x < 1 else 0.0

    def empty_within(self, points: int, nonzeros: int, sub: int) -> float:
        x = sub * (nonzeros / points)
        return 1 - x if x < 1 else 0.0

    def of_one_point(self) -> float:
        return self.density


class Uniform:
    """Hypergeometric (model 8.3), with the reference's least occupancy, an unsigned difference."""

    def __init__(self, density: float, total: int) -> None:
        self.total, self.nonzeros = total, math.ceil(density * total)

    def chances(self, points: int) -> dict[int, float]:
        found = hypergeometric(self.total, self.nonzeros, points)
        least = self.least(points)
        return {k: float(p) for k, p in found.items() if k >= least}

    def least(self, points: int) -> int:
        if points <= self.total - self.nonzeros:
            return 0
        z = float((points - self.total) % 2**64) + float(self.nonzeros)
        y = math.floor(z / points * points)
        return 0 if y >= 2**64 else y

    def most(self, points: int) -> int:
        return min(points, self.nonzeros)

    def empty(self, points: int) -> float:
        return float(none_of(self.total, self.nonzeros, points))

    def empty_within(self, points: int, nonzeros: int, sub: int) -> float:
        return float(none_of(points, nonzeros, sub))

    def of_one_point(self) -> float:
        return float(Fraction(self.nonzeros, self.total))


Model = Fixed | Uniform


def model(density: Density, total: int) -> Model:
    kind = {"fixed-structured": Fixed, "hypergeometric": Uniform}[density.distribution]
    return kind(density.density, total)
