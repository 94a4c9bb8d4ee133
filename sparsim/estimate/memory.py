"""The default estimators of memories: SRAM from a sweep of CACTI 7, DRAM from pJ per bit.

The sweep has 45 and 65 nm, 1 and 2 read-write ports, eight widths and up to 19 depths. In between, the
logarithm of a quantity is linear in the logarithm of the depth at the width below and above, then in the
logarithm of the width. Between 45 and 65 nm the two estimates are interpolated linearly, beyond them the
nearer one is scaled (`sparsim.estimate.technology_scaling`). What lies outside the sweep is
refused, not extrapolated.
"""

import bisect
import math
from collections.abc import Callable
from functools import cache
from typing import ClassVar, Literal, NamedTuple

from sparsim.errors import SpecError, near
from sparsim.estimate import source_data as data
from sparsim.estimate.estimator import Area, Energy, Estimate, Estimator
from sparsim.estimate.technology_scaling import NAME, scale_area, scale_energy

Quantity = Literal["read_pj", "write_pj", "area_um2", "leakage_mw", "cycle_ns"]
_Column = dict[int, data.SramPoint]  # by depth, ascending
_CONFIDENCE = 0.9  # share of held-back points whose error is below the stated uncertainty


class Sram(Estimator, frozen=True, kw_only=True):
    """One bank, which moves a word per access. When idle, it leaks for `cycle_ns`."""

    class_name: ClassVar[str] = "sram"
    width_bits: int
    depth_words: int
    ports: Literal[1, 2] = 1
    cycle_ns: float = 5.0

    def estimate(self, node_nm: float) -> Estimate:
        def energy(quantity: Quantity, factor: float = 1.0) -> Energy:
            value, uncertainty, source = self._at_node(quantity, node_nm, scale_energy)
            return Energy(energy_pj=value * factor, uncertainty=uncertainty, source=source)

        value, uncertainty, source = self._at_node("area_um2", node_nm, scale_area)
        return Estimate(
            actions={
                "read": energy("read_pj"),
                "write": energy("write_pj"),
                "idle": energy("leakage_mw", self.cycle_ns),
            },
            area=Area(area_um2=value, uncertainty=uncertainty, source=source),
        )

    def _at_node(
        self, quantity: Quantity, node_nm: float, scale: Callable[[float, float, float], float]
    ) -> tuple[float, float | None, str]:
        """Value, uncertainty and source of `quantity`."""
        size = (self.ports, self.width_bits, self.depth_words)
        nodes = sorted({node for node, _ in _grids()})
        native = min(max(node_nm, nodes[0]), nodes[-1])
        below, above = max(n for n in nodes if n <= native), min(n for n in nodes if n >= native)
        low, high = interpolate(quantity, below, *size), interpolate(quantity, above, *size)
        share = (native - below) / (above - below) if above > below else 0.0
        value = low.value * (1.0 - share) + high.value * share
        source = f"CACTI 7, {self.width_bits} b x {self.depth_words}, {self.ports} rw"
        if not low.is_exact:
            source += f", between {low.neighbours}"
        if share:
            return value, None, f"{source}, between {below:g} and {above:g} nm"
        if node_nm != native:
            return scale(value, native, node_nm), None, f"{source}, {native:g} -> {node_nm:g} nm by {NAME}"
        return value, 0.0 if low.is_exact else interpolation_error(quantity), f"{source}, {native:g} nm"


def reach(ports: int) -> tuple[int, int]:
    """Return the smallest and the largest width of the sweep."""
    widths = [set(grid) for (_, p), grid in _grids().items() if p == ports]
    return max(map(min, widths)), min(map(max, widths))


def depth_reach(ports: int, width_bits: int) -> tuple[int, int]:
    """Return the smallest and the largest depth of the sweep at a width within its range."""
    columns = [
        grid[width]
        for (_, p), grid in _grids().items()
        if p == ports
        for width in _around(grid, width_bits, "width_bits", "")
    ]
    return max(map(min, columns)), min(map(max, columns))


class Interpolated(NamedTuple):
    """An interpolated value; `neighbours` are the sizes that it lies between, if the sweep does not contain
    it.
    """

    value: float
    is_exact: bool
    neighbours: str


def interpolate(
    quantity: Quantity, node_nm: float, ports: int, width_bits: int, depth_words: int
) -> Interpolated:
    """Interpolate `quantity` of a memory of `depth_words` words of `width_bits`, at a node of the sweep.

    Raises SpecError outside the sweep.
    """
    grid = _grids()[node_nm, ports]
    widths = _around(grid, width_bits, "width_bits", "")
    depths = [_around(grid[width], depth_words, "depth_words", f" at {width_bits} bits") for width in widths]
    values = [
        _log_log(depth_words, [(depth, getattr(grid[width][depth], quantity)) for depth in column])
        for width, column in zip(widths, depths, strict=True)
    ]
    return Interpolated(
        _log_log(width_bits, list(zip(widths, values, strict=True))),
        len(widths) == len(depths[0]) == 1,
        f"{'/'.join(map(str, widths))} b x {'/'.join(map(str, sorted({d for ds in depths for d in ds})))}",
    )


def _around(
    known: dict[int, object] | _Column | dict[int, _Column], value: int, name: str, where: str
) -> list[int]:
    """Return the known numbers next to `value`, or only `value` if it is known."""
    ordered = sorted(known)
    if not ordered[0] <= value <= ordered[-1]:
        raise SpecError(
            f"{name} must be in the CACTI sweep, between {ordered[0]} and {ordered[-1]}{where}, got {value}",
            hint="use class regfile for a small memory" if value < ordered[0] else "use several banks",
        )
    if value in known:
        return [value]
    place = bisect.bisect(ordered, value)
    return ordered[place - 1 : place + 1]


def _log_log(x: float, points: list[tuple[int, float]]) -> float:
    """Return the value at `x` of the power law through one or two points (x, y)."""
    if len(points) == 1:
        return points[0][1]
    (x0, y0), (x1, y1) = points
    return y0 * math.exp(math.log(y1 / y0) * math.log(x / x0) / math.log(x1 / x0))


@cache
def _grids() -> dict[tuple[float, int], dict[int, _Column]]:
    """The sweep by (node, ports), width and depth."""
    grids: dict[tuple[float, int], dict[int, _Column]] = {}
    for point in data.sram_sweep():
        grid = grids.setdefault((point.node_nm, point.ports), {})
        grid.setdefault(point.width_bits, {})[point.depth_words] = point
    return grids


def held_back_errors(quantity: Quantity) -> list[float]:
    """Relative errors of interpolation at the points that CACTI answered and the sweep lacks, ascending."""
    return sorted(
        abs(interpolate(quantity, *point[:4]).value / getattr(point, quantity) - 1.0)
        for point in data.sram_held_back()
    )


@cache
def interpolation_error(quantity: Quantity) -> float:
    """Relative error of interpolation that nine of ten held-back points stay below."""
    errors = held_back_errors(quantity)
    return errors[math.ceil(_CONFIDENCE * len(errors)) - 1]


class Dram(Estimator, frozen=True, kw_only=True):
    """Energy of an access of `width_bits`, array and interface; nothing when idle, no area on the chip."""

    class_name: ClassVar[str] = "dram"
    needs_node: ClassVar[bool] = False
    type: str
    width_bits: int

    def estimate(self, node_nm: float) -> Estimate:
        types = data.dram_types()
        if self.type not in types:
            raise SpecError(f"unknown type of DRAM '{self.type}'", hint=near(self.type, types))
        pj_per_bit, origin = types[self.type]
        source = f"{self.type}, {pj_per_bit:g} pJ/bit: {origin}"
        access = Energy(energy_pj=pj_per_bit * self.width_bits, source=source)
        idle = Energy(energy_pj=0.0, source="background power of the DRAM is left out")
        return Estimate(
            actions={"read": access, "write": access, "idle": idle},
            area=Area(area_um2=0.0, source="off chip"),
        )


ESTIMATORS: tuple[type[Estimator], ...] = (Sram, Dram)
