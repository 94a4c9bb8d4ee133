"""A product of sparse matrices on a machine as lines for a terminal and as plain data."""

from __future__ import annotations

from typing import Any

from sparsim.hardware import ProductCost, SpgemmMachine
from sparsim.hardware.layer_costs import PJ_PER_UJ

US_PER_NS = 1e-3


def product_document(machine: SpgemmMachine, cost: ProductCost) -> dict[str, Any]:
    """All that is known, with sources."""
    return {
        "machine": machine.spec.to_dict(),
        "energy_source": machine.energy_source,
        "left_out": machine.left_out,
        **cost._asdict(),
    }


def product_lines(machine: SpgemmMachine, cost: ProductCost) -> list[tuple[str, str]]:
    """Names and values."""
    nonzeros = ", ".join(
        f"{name} {number:,}" for name, number in zip(("A", "B", "Z"), cost.nonzeros, strict=True)
    )
    cycles = f"{cost.cycles:,.12g} cycles at {machine.spec.clock_mhz:g} MHz"
    return [
        ("sizes", f"A {cost.rows:,} x {cost.inner:,}, B {cost.inner:,} x {cost.columns:,}"),
        ("nonzeros", nonzeros),
        *((name.replace("_", " "), f"{value:,.12g}") for name, value in cost.counts.items()),
        ("time", f"{cost.ns * US_PER_NS:,.8g} us, {cycles}, limit: {cost.limit}"),
        *((f"{name} energy", f"{pj / PJ_PER_UJ:,.5g} uJ") for name, pj in cost.energy_pj.items()),
        *(("left out", text) for text in machine.left_out),
    ]
