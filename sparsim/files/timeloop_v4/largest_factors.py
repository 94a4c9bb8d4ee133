"""The factors that `maximize_dims` takes, by the greedy rule of Timeloop's front end."""

import math
from functools import cache

MOST_CALLS = 100_000
Choice = tuple[float, tuple[tuple[int, int], ...]]  # use of the capacity, pairs of a dim and a factor


class Allocation:
    """Chooses factors of dims with a large product up to a capacity.

    A dim gets prime factors of its bound, or, once and at last, a factor that does not divide it: then the
    last tile is cut short, and what counts is how much of the capacity is used on average. `divided`: the
    dims that take divisors only.
    """

    def __init__(self, divided: tuple[bool, ...]) -> None:
        self._divided, self._calls = divided, 0
        self._known: dict[tuple[tuple[int, ...], int], Choice] = {}

    def best(self, bounds: tuple[int, ...], capacity: int) -> tuple[int, ...] | None:
        """A factor for each of the bounds; None where there are too many to choose from."""
        factors = [1] * len(bounds)
        try:
            for dim, factor in self._allocate(bounds, capacity)[1]:
                factors[dim] *= factor
        except _TooManyError:
            return None
        return tuple(factors)

    def _allocate(self, bounds: tuple[int, ...], capacity: int) -> Choice:
        """The best choice, of equals the first."""
        if capacity <= 1:
            return 1.0, ()
        key = bounds, capacity
        if key in self._known:
            return self._known[key]
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise _TooManyError
        best: Choice = 1.0, ()
        for dim, bound in enumerate(bounds):
            if bound > capacity and not self._divided[dim]:
                turns = math.ceil(bound / capacity)
                factor = math.ceil(bound / turns)
                use = (factor * (turns - 1) + bound % factor) / turns
                if use > best[0]:
                    best = use, ((dim, factor),)
            for prime in _primes(bound):
                if prime <= capacity:
                    rest = (*bounds[:dim], bound // prime, *bounds[dim + 1 :])
                    use, more = self._allocate(rest, capacity // prime)
                    if prime * use > best[0]:
                        best = prime * use, ((dim, prime), *more)
        self._known[key] = best
        return best


class _TooManyError(Exception):
    pass


@cache
def _primes(number: int) -> tuple[int, ...]:
    """Different ones that divide the number, ascending."""
    found, prime = [], 2
    while prime * prime <= number:
        if number % prime == 0:
            found.append(prime)
            while number % prime == 0:
                number //= prime
        prime += 1
    return (*found, number) if number > 1 else tuple(found)
