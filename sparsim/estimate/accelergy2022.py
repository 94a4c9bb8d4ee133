"""The rule set `accelergy-2022`: what Accelergy and its plug-ins of 2022 computed, with their quirks.

The energy and area tables of the original PointNet++ study and of Sparseloop's artifact follow from it. It
differs from the default rules where those programs did something unusual by today's standards:
  * cells are those of 5 ns latency, taken as 45 nm without scaling, so 45 nm is the only node;
  * the registers of a register file leak and take area for one word, not for all of them;
  * a register file wider than 16 bits has an area of 1 um2, because no plug-in knew its area;
  * an SRAM of at most 128 words of at most 32 bits costs the energy of a register file, and its area if it is
    at most 16 bits wide;
  * CACTI is asked for whole bytes per word, and for 64 words of 4 bytes or more;
  * an idle SRAM leaks for CACTI's own cycle time;
  * the adder of an address generator has ln(depth) bits;
  * the area of a compound is the sum of areas rounded to the 5 decimals that Accelergy prints.
"""

import math
from typing import ClassVar, Literal

from sparsim.errors import SpecError
from sparsim.estimate import memory
from sparsim.estimate.estimator import Area, Energy, Estimate, Estimator
from sparsim.estimate.standard_cells import Logic, adder, as_estimate, decoder, multiplier, register

NAME = "accelergy-2022"
PRINTED_DECIMALS = 5
_NODE_NM = 45.0
_CYCLE_NS = 5.0
_REUSED = 0.85  # relative energy of a multiplication that reuses an operand of the previous one


class _Rule(Estimator, frozen=True, kw_only=True):
    rules: ClassVar[str] = NAME


def _at_45_nm(
    node_nm: float, logic: Logic, active: tuple[str, ...], extra: dict[str, Logic] | None = None
) -> Estimate:
    _check_node(node_nm)
    return as_estimate(logic, _NODE_NM, _NODE_NM, active, extra)


def _check_node(node_nm: float) -> None:
    if node_nm != _NODE_NM:
        raise SpecError(f"rules {NAME} need node_nm {_NODE_NM:g}, got {node_nm:g}")


class Adder(_Rule, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "adder"
    width_bits: int

    def estimate(self, node_nm: float) -> Estimate:
        return _at_45_nm(node_nm, adder(self.width_bits, _CYCLE_NS), ("add",))


class Multiplier(_Rule, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "multiplier"
    width_bits: int

    def estimate(self, node_nm: float) -> Estimate:
        logic = multiplier(self.width_bits, _CYCLE_NS)
        return _at_45_nm(node_nm, logic, ("multiply",), {"multiply_reused": logic.copies(1, active=_REUSED)})


class Mac(_Rule, frozen=True, kw_only=True):
    """Multiplier and adder of one width."""

    class_name: ClassVar[str] = "mac"
    width_bits: int

    def estimate(self, node_nm: float) -> Estimate:
        logic = adder(self.width_bits, _CYCLE_NS) + multiplier(self.width_bits, _CYCLE_NS)
        gated = Logic(logic.idle_pj, 0.0, 0.0, f"leakage of {logic.source}")
        return _at_45_nm(node_nm, logic, ("mac_random",), {"mac_gated": gated})


class Register(_Rule, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "register"
    width_bits: int

    def estimate(self, node_nm: float) -> Estimate:
        return _at_45_nm(node_nm, register(self.width_bits, _CYCLE_NS), ("read", "write"))


class RegisterFile(_Rule, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "regfile"
    width_bits: int
    depth_words: int

    def estimate(self, node_nm: float) -> Estimate:
        logic = register(self.width_bits, _CYCLE_NS) + decoder(self.depth_words, _CYCLE_NS)
        estimate = _at_45_nm(node_nm, logic, ("read", "write"))
        if self.width_bits <= 16:
            return estimate
        unknown = Area(area_um2=1.0, source="Accelergy's area of what no plug-in knows")
        return Estimate(actions=estimate.actions, area=unknown)


class AddressGenerator(_Rule, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "address_generator"
    depth_words: int

    def estimate(self, node_nm: float) -> Estimate:
        return _at_45_nm(node_nm, adder(math.log(self.depth_words), _CYCLE_NS), ("generate",))


class Sram(_Rule, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "sram"
    width_bits: int
    depth_words: int
    ports: Literal[1, 2] = 1

    def estimate(self, node_nm: float) -> Estimate:
        _check_node(node_nm)
        is_small = self.depth_words <= 128 and self.width_bits <= 32
        if not is_small:
            return self._cacti()
        file = RegisterFile(width_bits=self.width_bits, depth_words=self.depth_words).estimate(node_nm)
        area = file.area if self.width_bits <= 16 else self._cacti().area
        return Estimate(actions=file.actions, area=area)

    def _cacti(self) -> Estimate:
        word_bytes = self.width_bits // 8
        if not word_bytes:
            raise SpecError(f"width_bits must be at least 8 beyond 128 words, got {self.width_bits}")
        size_bytes = max(self.width_bits * self.depth_words // 8, 64 * max(4, word_bytes))
        size = (self.ports, 8 * word_bytes, size_bytes // word_bytes)

        def number(quantity: memory.Quantity) -> tuple[float, float]:
            found = memory.interpolate(quantity, _NODE_NM, *size)
            return found.value, 0.0 if found.is_exact else memory.interpolation_error(quantity)

        def energy(quantity: memory.Quantity) -> Energy:
            value, uncertainty = number(quantity)
            return Energy(energy_pj=value, uncertainty=uncertainty, source=source)

        source = f"CACTI 7, {size[1]} b x {size[2]}, {self.ports} rw, 45 nm"
        (leakage_mw, leakage_error), (cycle_ns, cycle_error) = number("leakage_mw"), number("cycle_ns")
        idle = Energy(
            energy_pj=leakage_mw * cycle_ns,
            uncertainty=leakage_error + cycle_error,
            source=f"leakage x cycle time of {source}",
        )
        area_um2, uncertainty = number("area_um2")
        return Estimate(
            actions={"read": energy("read_pj"), "write": energy("write_pj"), "idle": idle},
            area=Area(area_um2=area_um2, uncertainty=uncertainty, source=source),
        )


class Dram(_Rule, memory.Dram, frozen=True, kw_only=True):
    """A DRAM, as in the default rules."""


ESTIMATORS: tuple[type[Estimator], ...] = (
    Adder, Multiplier, Mac, Register, RegisterFile, AddressGenerator, Sram, Dram,
)  # fmt: skip
