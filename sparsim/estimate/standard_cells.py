"""Logic from standard cells: active and idle energy and area of adders, multipliers and larger units."""

from __future__ import annotations

from typing import NamedTuple

from sparsim.errors import SpecError
from sparsim.estimate import source_data as data
from sparsim.estimate.estimator import Area, Energy, Estimate
from sparsim.estimate.technology_scaling import NAME, scale_area, scale_energy

CELL_NODE_NM = 40.0  # node of Aladdin's characterisation


class Logic(NamedTuple):
    """Logic at the cells' own node. `idle_pj` is leakage per cycle."""

    active_pj: float
    idle_pj: float
    area_um2: float
    source: str

    def __add__(self, other: Logic) -> Logic:  # type: ignore[override]
        return Logic(
            self.active_pj + other.active_pj, self.idle_pj + other.idle_pj, self.area_um2 + other.area_um2,
            f"{self.source} + {other.source}",
        )  # fmt: skip

    def copies(self, count: float, active: float) -> Logic:
        """Return `count` copies, of which an action uses `active`."""
        source = f"{count:g} x ({self.source})" + ("" if active == count else f", {active:g} of them active")
        return Logic(self.active_pj * active, self.idle_pj * count, self.area_um2 * count, source)


def cell(name: str, bits: float, cycle_ns: float) -> Logic:
    """Return `bits` of a cell, in proportion to the characterised width, from the row with the longest
    latency of at most `cycle_ns`. Leakage lasts for the whole cycle. Raises SpecError if all rows are slower.
    """
    rows = data.cells()[name]
    fitting = [row for row in rows if row.latency_ns <= cycle_ns]
    if not fitting:
        raise SpecError(
            f"cycle_ns must be at least {rows[0].latency_ns:g}, the fastest {name} known, got {cycle_ns:g}"
        )
    row = fitting[-1]
    share = bits / row.bits
    return Logic(
        row.active_pj * share,
        row.idle_pj * share * (cycle_ns / row.latency_ns),
        row.area_um2 * share,
        f"Aladdin {name} {row.bits:g} b at {row.latency_ns:g} ns x {share:g}",
    )


def adder(width: float, cycle_ns: float) -> Logic:
    return cell("adder", width, cycle_ns)


def multiplier(width: float, cycle_ns: float) -> Logic:
    """Scale a multiplier with the square of the width, because it is an array of adders."""
    return cell("multiplier", width * width / 32, cycle_ns)


def register(width: float, cycle_ns: float) -> Logic:
    return cell("register", width, cycle_ns)


def address_bits(depth: int) -> int:
    """Bits of an address of `depth` words: ceil(log2(depth))."""
    return (depth - 1).bit_length()


def decoder(depth: int, cycle_ns: float) -> Logic:
    """Return a decoder with an address comparator at each word."""
    if depth == 1:
        return Logic(0.0, 0.0, 0.0, "no decoder")
    return cell("comparator", address_bits(depth), cycle_ns).copies(depth, active=depth)


def as_estimate(
    logic: Logic, from_nm: float, to_nm: float, active: tuple[str, ...], extra: dict[str, Logic] | None = None
) -> Estimate:
    """Return the estimate of `logic` at another node, with its `active` actions, `idle`, and `extra` actions
    by name.
    """
    note = "" if from_nm == to_nm else f", {from_nm:g} -> {to_nm:g} nm by {NAME}"

    def energy(energy_pj: float, source: str) -> Energy:
        return Energy(energy_pj=scale_energy(energy_pj, from_nm, to_nm), source=source + note)

    actions = {name: energy(logic.active_pj, logic.source) for name in active}
    actions["idle"] = energy(logic.idle_pj, f"leakage of {logic.source}")
    actions |= {name: energy(other.active_pj, other.source) for name, other in (extra or {}).items()}
    area_um2 = scale_area(logic.area_um2, from_nm, to_nm)
    return Estimate(actions=actions, area=Area(area_um2=area_um2, source=logic.source + note))
