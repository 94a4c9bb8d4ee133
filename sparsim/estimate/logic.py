"""The default estimators of logic: Aladdin's standard cells (40 nm), scaled to the component's node.

Rules where the cells alone do not say it:
  register file  a read or write moves one word of registers, and every word compares the address; all
                 registers leak and take area
  address        an adder of ceil(log2(depth)) bits
  router         a register per port, and per port a crossbar from it to the others, in proportion to
                 Aladdin's crossbar from 1 to 4; a transfer uses one of each
  mux            a mux per output and bit, of as many gates as its inputs need, and a tenth more for the
                 handshake; a transfer uses one output, and a gate as much energy as the same area of
                 Aladdin's crossbar
  clock          energy and area of EIE's clock network per flip-flop of one PE, whose number is the area of
                 its registers over Aladdin's area of one
  wire           switched capacitance; hardly depends on the node
"""

from typing import ClassVar

from sparsim.estimate import source_data as data
from sparsim.estimate.estimator import Area, Energy, Estimate, Estimator
from sparsim.estimate.standard_cells import (
    CELL_NODE_NM,
    Logic,
    adder,
    address_bits,
    as_estimate,
    cell,
    decoder,
    multiplier,
    register,
)
from sparsim.estimate.technology_scaling import scale_area

_EIE_NODE_NM = 45.0
_NAND2_NODE_NM = 65.0


class Adder(Estimator, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "adder"
    width_bits: int
    cycle_ns: float = 5.0

    def estimate(self, node_nm: float) -> Estimate:
        return as_estimate(adder(self.width_bits, self.cycle_ns), CELL_NODE_NM, node_nm, ("add",))


class Multiplier(Estimator, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "multiplier"
    width_bits: int
    cycle_ns: float = 5.0

    def estimate(self, node_nm: float) -> Estimate:
        return as_estimate(multiplier(self.width_bits, self.cycle_ns), CELL_NODE_NM, node_nm, ("multiply",))


class Mac(Estimator, frozen=True, kw_only=True):
    """A unit that multiplies operands of `operand_bits`, adds the product to `accumulator_bits`, and leaks
    when gated.
    """

    class_name: ClassVar[str] = "mac"
    operand_bits: int
    accumulator_bits: int
    cycle_ns: float = 5.0

    def estimate(self, node_nm: float) -> Estimate:
        both = multiplier(self.operand_bits, self.cycle_ns) + adder(self.accumulator_bits, self.cycle_ns)
        gated = Logic(both.idle_pj, 0.0, 0.0, f"leakage of {both.source}")
        return as_estimate(both, CELL_NODE_NM, node_nm, ("mac_random",), {"mac_gated": gated})


class Comparator(Estimator, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "comparator"
    width_bits: int
    cycle_ns: float = 5.0

    def estimate(self, node_nm: float) -> Estimate:
        logic = cell("comparator", self.width_bits, self.cycle_ns)
        return as_estimate(logic, CELL_NODE_NM, node_nm, ("compare",))


class Counter(Estimator, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "counter"
    width_bits: int
    cycle_ns: float = 5.0

    def estimate(self, node_nm: float) -> Estimate:
        logic = cell("counter", self.width_bits, self.cycle_ns)
        return as_estimate(logic, CELL_NODE_NM, node_nm, ("count",))


class Register(Estimator, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "register"
    width_bits: int
    cycle_ns: float = 5.0

    def estimate(self, node_nm: float) -> Estimate:
        logic = register(self.width_bits, self.cycle_ns)
        return as_estimate(logic, CELL_NODE_NM, node_nm, ("read", "write"))


class RegisterFile(Estimator, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "regfile"
    width_bits: int
    depth_words: int
    cycle_ns: float = 5.0

    def estimate(self, node_nm: float) -> Estimate:
        words = register(self.width_bits, self.cycle_ns).copies(self.depth_words, active=1)
        logic = words + decoder(self.depth_words, self.cycle_ns)
        return as_estimate(logic, CELL_NODE_NM, node_nm, ("read", "write"))


class AddressGenerator(Estimator, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "address_generator"
    depth_words: int
    cycle_ns: float = 5.0

    def estimate(self, node_nm: float) -> Estimate:
        logic = adder(address_bits(self.depth_words), self.cycle_ns)
        return as_estimate(logic, CELL_NODE_NM, node_nm, ("generate",))


class Router(Estimator, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "router"
    width_bits: int
    ports: int
    cycle_ns: float = 5.0

    def estimate(self, node_nm: float) -> Estimate:
        switch = cell("crossbar_1to4", self.width_bits * self.ports / 4, self.cycle_ns)
        port = register(self.width_bits, self.cycle_ns) + switch
        return as_estimate(port.copies(self.ports, active=1), CELL_NODE_NM, node_nm, ("transfer",))


class Mux(Estimator, frozen=True, kw_only=True):
    """Outputs that each pass on one of the inputs, as configured, without registers."""

    class_name: ClassVar[str] = "mux"
    width_bits: int
    inputs: int
    outputs: int = 1
    cycle_ns: float = 5.0

    def estimate(self, node_nm: float) -> Estimate:
        known = data.constants()
        fours, twos = divmod(self.inputs - 1, 3)  # 3:1 is two muxes 2:1
        per_bit = (fours * known["mux4_gates"] + twos * known["mux2_gates"]) * known["handshake"]
        gates = per_bit * self.width_bits
        gate_um2 = known["nand2_area"] / scale_area(1.0, CELL_NODE_NM, _NAND2_NODE_NM)
        bits = gates * gate_um2 / cell("crossbar_1to4", 1, self.cycle_ns).area_um2
        output = cell("crossbar_1to4", bits, self.cycle_ns)
        output = output._replace(source=f"{gates:.1f} NAND2, as much area as {output.source}")
        logic = output.copies(self.outputs, active=1)
        return as_estimate(logic, CELL_NODE_NM, node_nm, ("transfer",))


class Clock(Estimator, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "clock"
    flip_flops: int

    def estimate(self, node_nm: float) -> Estimate:
        known = data.constants()
        flip_flop_um2 = scale_area(register(1, 5.0).area_um2, CELL_NODE_NM, _EIE_NODE_NM)
        flip_flops = known["eie_register_area"] / flip_flop_um2
        share = self.flip_flops / flip_flops
        network = Logic(
            known["eie_clock_power"] / known["eie_clock_frequency"] * 1e3 * share,  # mW / MHz = nJ
            0.0,
            known["eie_clock_area"] * share,
            f"EIE clock network of a PE x {self.flip_flops} of {flip_flops:.0f} flip-flops",
        )
        found = as_estimate(network, _EIE_NODE_NM, node_nm, ("cycle",))
        # EIE's number includes its leakage
        return Estimate(actions={"cycle": found.actions["cycle"]}, area=found.area)


class Wire(Estimator, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "wire"
    needs_node: ClassVar[bool] = False
    width_bits: int
    length_mm: float

    def estimate(self, node_nm: float) -> Estimate:
        per_bit = wire_pj_per_bit_mm()
        source = f"Accelergy's wire rule, {per_bit:.4g} pJ/bit/mm"
        return Estimate(
            actions={"transfer": Energy(energy_pj=per_bit * self.width_bits * self.length_mm, source=source)},
            area=Area(area_um2=0.0, source="wires lie above the logic"),
        )


def wire_pj_per_bit_mm() -> float:
    """Return the energy of a transfer [pJ] per bit and mm: capacitance x supply^2 x switching bits."""
    known = data.constants()
    farad_per_mm = known["wire_capacitance"] * 1e3
    return float(farad_per_mm * known["wire_supply"] ** 2 * known["wire_switching"] * 1e12)


ESTIMATORS: tuple[type[Estimator], ...] = (
    Adder, Multiplier, Mac, Comparator, Counter, Register, RegisterFile, AddressGenerator, Router, Mux,
    Clock, Wire,
)  # fmt: skip
