"""Compute units, logic and wires of the rule set `accelergy`: Aladdin's standard cells."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from sparsim.errors import SpecError
from sparsim.estimate.estimator import Area, Energy, Estimate
from sparsim.estimate.logic import wire_pj_per_bit_mm
from sparsim.estimate.plug_in import (
    ACCESS,
    GUESS,
    LEAK,
    Arguments,
    PlugIn,
    PlugInLogic,
    Terms,
    clocked,
)
from sparsim.estimate.standard_cells import Logic

# relative energy of a multiplication that reuses an operand of the previous one (Aladdin plug-in)
_REUSED = 0.85
_LENGTH = re.compile(r"([0-9.eE+-]+) ?(mm|um|nm|m)?")
_MM = {"m": 1e3, "mm": 1.0, "um": 1e-3, "nm": 1e-6, None: 1e-3}


class IntAdder(PlugInLogic, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "intadder"
    also: ClassVar[tuple[str, ...]] = ("aladdin_adder", "adder")

    def logic(self) -> Logic:
        return clocked("adder", self.width, self.cycle_ns)


class IntMultiplier(PlugInLogic, frozen=True, kw_only=True):
    """An integer multiplier, in proportion to the product of the widths."""

    class_name: ClassVar[str] = "intmultiplier"
    also: ClassVar[tuple[str, ...]] = ("aladdin_multiplier", "multiplier")
    aliases: ClassVar[dict[str, tuple[str, ...]]] = {
        "width": ("width", "width_a", *PlugIn.aliases["width"]),
        "width_b": ("width_b", "datawidth_b"),
    }
    reused: ClassVar[float] = _REUSED
    width_b: float = 0  # 0: same width as the other

    def logic(self) -> Logic:
        return clocked("multiplier", self.width * (self.width_b or self.width) / 32, self.cycle_ns)


class IntMac(PlugInLogic, frozen=True, kw_only=True):
    """A multiplier, and an adder that may be wider."""

    class_name: ClassVar[str] = "intmac"
    aliases: ClassVar[dict[str, tuple[str, ...]]] = {
        "width": ("multiplier_width", *PlugIn.aliases["width"]),
    }
    is_compute: ClassVar[bool] = True
    reused: ClassVar[float] = _REUSED
    adder_width: float = 0  # 0: same width as the operands

    def logic(self) -> Logic:
        product = clocked("multiplier", self.width * self.width / 32, self.cycle_ns)
        return product + clocked("adder", self.adder_width or self.width, self.cycle_ns)


class AnyMac(IntMac, frozen=True, kw_only=True):
    """A MAC unit for which documents do not specify the type of numbers."""

    class_name: ClassVar[str] = "mac"
    also: ClassVar[tuple[str, ...]] = ("compute",)
    note: ClassVar[str] = GUESS + "taken as an integer MAC, "


class _Floating(PlugInLogic, frozen=True, kw_only=True):
    """Base of floating-point units. Widths are those of exponent and mantissa; up to 32 bits the cell of
    single precision is used, above it that of double precision.
    """

    width: float = 0  # total width, if exponent and mantissa are missing
    exponent: float = 0
    mantissa: float = 0

    def cells(self, unit: str) -> tuple[str, float, float]:
        """Return the cell, its bits, and those of the unit."""
        bits = self.exponent + self.mantissa or self.width
        if not bits:
            raise SpecError("the attributes 'exponent' and 'mantissa' are missing")
        return ("fp_single_" + unit, 32, bits) if bits <= 32 else ("fp_double_" + unit, 64, bits)

    def adder(self) -> Logic:
        name, _, bits = self.cells("adder")
        return clocked(name, bits, self.cycle_ns)

    def multiplier(self) -> Logic:
        name, of_cell, bits = self.cells("multiplier")
        return clocked(name, bits * bits / of_cell, self.cycle_ns)


class FpAdder(_Floating, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "fpadder"

    def logic(self) -> Logic:
        return self.adder()


class FpMultiplier(_Floating, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "fpmultiplier"
    reused: ClassVar[float] = _REUSED

    def logic(self) -> Logic:
        return self.multiplier()


class FpMac(_Floating, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "fpmac"
    is_compute: ClassVar[bool] = True
    reused: ClassVar[float] = _REUSED

    def logic(self) -> Logic:
        return self.multiplier() + self.adder()


class Comparator(PlugInLogic, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "comparator"
    also: ClassVar[tuple[str, ...]] = ("aladdin_comparator",)

    def logic(self) -> Logic:
        return clocked("comparator", self.width, self.cycle_ns)


class Counter(PlugInLogic, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "counter"
    also: ClassVar[tuple[str, ...]] = ("aladdin_counter",)

    def logic(self) -> Logic:
        return clocked("counter", self.width, self.cycle_ns)


class Bitwise(PlugInLogic, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "bitwise"

    def logic(self) -> Logic:
        return clocked("bitwise", self.width, self.cycle_ns)


class Register(PlugInLogic, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "reg"
    also: ClassVar[tuple[str, ...]] = ("aladdin_register", "register")
    width: float = 1

    def logic(self) -> Logic:
        return clocked("register", self.width, self.cycle_ns)


class Crossbar(PlugInLogic, frozen=True, kw_only=True):
    """A crossbar, in proportion to inputs and outputs."""

    class_name: ClassVar[str] = "crossbar"
    n_inputs: float = 1
    n_outputs: float = 4

    def logic(self) -> Logic:
        return clocked("crossbar_1to4", self.width * self.n_inputs * self.n_outputs / 4, self.cycle_ns)


class Router(PlugInLogic, frozen=True, kw_only=True):
    """A router with a register per port and a crossbar. A transfer uses one register and its share of the
    crossbar.
    """

    class_name: ClassVar[str] = "router"
    also: ClassVar[tuple[str, ...]] = ("noc_router", "XY_NoC", "NoC")
    note: ClassVar[str] = GUESS + "registers and a crossbar, "
    aliases: ClassVar[dict[str, tuple[str, ...]]] = {
        **PlugIn.aliases,
        "n_ports": ("n_ports", "n_inputs", "ports"),
    }
    n_ports: float = 5

    def logic(self) -> Logic:
        switch = clocked("crossbar_1to4", self.width * self.n_ports / 4, self.cycle_ns)
        port = clocked("register", self.width, self.cycle_ns) + switch
        return port.copies(self.n_ports, active=1)


class Wire(PlugIn, frozen=True, kw_only=True):
    """`length` in um, or text with a unit."""

    class_name: ClassVar[str] = "wire"
    needs_node: ClassVar[bool] = False
    width: float
    length_mm: float

    @classmethod
    def attributes_from(cls, given: Mapping[str, Any]) -> dict[str, int | float | str]:
        length = given.get("length")
        if length is None:
            return super().attributes_from(given)
        match = _LENGTH.fullmatch(str(length))
        try:
            number = float(match[1]) if match else None
        except ValueError:
            number = None
        if match is None or number is None:
            raise SpecError(f"length must be a number with mm, um or nm, got '{length}'")
        return super().attributes_from({**given, "length_mm": number * _MM[match[2]]})

    @classmethod
    def terms(cls, action: str, arguments: Arguments) -> Terms:
        return {ACCESS if action.startswith("transfer") or action == ACCESS else LEAK: 1.0}

    def estimate(self, node_nm: float) -> Estimate:
        energy = wire_pj_per_bit_mm() * self.width * self.length_mm
        return Estimate(
            actions={
                ACCESS: Energy(energy_pj=energy, source=f"wire rule, {wire_pj_per_bit_mm():.4g} pJ/bit/mm"),
                LEAK: Energy(energy_pj=0.0, source="wires do not leak"),
            },
            area=Area(area_um2=0.0, source="wires lie above the logic"),
        )


ESTIMATORS: tuple[type[PlugIn], ...] = (
    IntAdder, IntMultiplier, IntMac, AnyMac, FpAdder, FpMultiplier, FpMac, Comparator, Counter, Bitwise,
    Register, Crossbar, Router, Wire,
)  # fmt: skip
