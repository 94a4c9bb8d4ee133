"""Memories of the rule set `accelergy`: the sweep of CACTI 7, Aladdin's registers, pJ per bit of DRAMs.

A size beyond the sweep is that of the nearest one in it, scaled as CACTI scales: energies of accesses with
the power 0.78 of the depth and 30 % of them whatever the width, leakage and area in proportion to both.
"""

import math
from typing import ClassVar, Literal

from sparsim.estimate import memory
from sparsim.estimate.estimator import Area, Energy, Estimate
from sparsim.estimate.plug_in import (
    GUESS,
    LEAK,
    READ,
    WRITE,
    PlugIn,
    PlugInMemory,
    Terms,
    address_adder,
    clocked,
    logic_estimate,
    with_access,
)
from sparsim.estimate.standard_cells import Logic

_DEPTH_POWER = 1.56 / 2  # by CACTI, twice the depth takes 1.56 times the energy of two accesses
_FIXED_SHARE = 0.3  # share of the energy of an access that does not depend on the width
_SMALLEST_SRAM = 64  # words; a component called only storage is a register file below this size
_SIZES = {
    "width": ("width", "memory_width", "data_storage_width"),
    "depth": ("depth", "memory_depth", "data_storage_depth", "entries"),
}


class _Sized(PlugInMemory, frozen=True, kw_only=True):
    aliases: ClassVar[dict[str, tuple[str, ...]]] = {
        **_SIZES,
        "n_rw_ports": ("n_rw_ports", "n_rdwr_ports", "n_ports"),
        "n_banks": ("n_banks", "num_banks"),
    }
    width: float
    depth: float


class Sram(_Sized, frozen=True, kw_only=True):
    """An SRAM. Banks are treated as one array, because in CACTI the wires between banks take at least what
    banks save.
    """

    class_name: ClassVar[str] = "SRAM"
    also: ClassVar[tuple[str, ...]] = ("sram",)
    n_rw_ports: float = 1
    n_banks: float = 1

    def estimate(self, node_nm: float) -> Estimate:
        ports: Literal[1, 2] = 1 if self.n_rw_ports <= 1 else 2
        narrow, wide = memory.reach(ports)
        columns = math.ceil(self.width / wide)
        width = math.ceil(max(self.width / columns, narrow))
        shallow, deep = memory.depth_reach(ports, width)
        depth = math.ceil(min(max(self.depth, shallow), deep))
        array = memory.Sram(
            width_bits=width,
            depth_words=depth,
            ports=ports,
            cycle_ns=self.cycle_ns,
        ).estimate(node_nm)
        narrower, deeper = self.width / columns / width, self.depth / depth
        access = columns * (1 - _FIXED_SHARE + _FIXED_SHARE / narrower) * narrower * deeper**_DEPTH_POWER
        rest = columns * narrower * deeper * max(1.0, self.n_rw_ports / ports)
        note = self._note(array, columns, math.isclose(narrower, 1.0, rel_tol=0.1), deeper == 1.0)
        return self.whole(_named(array, access, rest, note))

    def _note(self, array: Estimate, columns: int, has_width: bool, has_depth: bool) -> str:
        notes = []
        if not (has_width and has_depth and columns == 1):
            notes.append(f"{self.width:g} b x {self.depth:g} scaled from the nearest size")
        if self.n_banks != 1:
            notes.append(f"{self.n_banks:g} banks taken as one array")
        if self.n_rw_ports > 2:
            notes.append(f"{self.n_rw_ports:g} ports taken as 2 for energies")
        return f"{GUESS}{', '.join(notes)}, " if notes else ""


def _named(found: Estimate, access: float, rest: float, note: str) -> Estimate:
    """Return an array of the sweep, with factors for accesses and for leakage and area."""

    def energy(name: str, factor: float) -> Energy:
        one = found.actions[name]
        return Energy(
            energy_pj=one.energy_pj * factor,
            uncertainty=None if note else one.uncertainty,
            source=note + one.source,
        )

    return Estimate(
        actions={READ: energy("read", access), WRITE: energy("write", access), LEAK: energy("idle", rest)},
        area=Area(
            area_um2=found.area_um2 * rest,
            uncertainty=None if note else found.area.uncertainty,
            source=note + found.area.source,
        ),
    )


class RegisterFile(_Sized, frozen=True, kw_only=True):
    """A register file, in which an access moves one word and compares the address at every word."""

    class_name: ClassVar[str] = "regfile"
    also: ClassVar[tuple[str, ...]] = ("rf",)

    @classmethod
    def access(cls, kind: str, data_changes: bool, address_changes: bool) -> Terms:
        parts: Terms = {}
        if data_changes:
            parts["word"] = 1.0
        if address_changes:
            parts["address"] = 1.0
        return {kind: 1.0} if len(parts) == 2 else parts or {LEAK: 1.0}

    def estimate(self, node_nm: float) -> Estimate:
        word = clocked("register", self.width, self.cycle_ns).copies(self.depth, active=1)
        address = self.address()
        found = logic_estimate(word + address, node_nm, (READ, WRITE))
        parts = {
            name: logic_estimate(logic, node_nm, (name,)).actions[name]
            for name, logic in (("word", word), ("address", address))
        }
        return self.whole(Estimate(actions={**found.actions, **parts}, area=found.area))

    def address(self) -> Logic:
        """Return the logic that selects a word."""
        if self.depth <= 1:
            return Logic(0.0, 0.0, 0.0, "no decoder")
        bits = math.ceil(math.log2(self.depth))
        return clocked("comparator", bits, self.cycle_ns).copies(self.depth, active=self.depth)


class Fifo(RegisterFile, frozen=True, kw_only=True):
    """A register file with a pointer in place of the comparisons."""

    class_name: ClassVar[str] = "FIFO"
    also: ClassVar[tuple[str, ...]] = ("fifo",)
    aliases: ClassVar[dict[str, tuple[str, ...]]] = {
        **_Sized.aliases,
        "width": ("width", "datawidth"),
    }

    def address(self) -> Logic:
        return address_adder(self.depth, self.cycle_ns)


class Storage(Sram, frozen=True, kw_only=True):
    """A storage for which documents do not specify the kind of memory."""

    class_name: ClassVar[str] = "storage"

    def estimate(self, node_nm: float) -> Estimate:
        if self.depth >= _SMALLEST_SRAM:
            found, kind = super().estimate(node_nm), "an SRAM"
        else:
            found, kind = _registers(self).estimate(node_nm), "a register file"
        note = f"{GUESS}taken as {kind}, "
        actions = {name: found.actions[name] for name in (READ, WRITE, LEAK)}
        return _noted(Estimate(actions=actions, area=found.area), note)


def _registers(of: Sram) -> RegisterFile:
    return RegisterFile(
        width=of.width, depth=of.depth, global_cycle_seconds=of.global_cycle_seconds,
        n_instances=of.n_instances,
    )  # fmt: skip


def _noted(found: Estimate, note: str) -> Estimate:
    return Estimate(
        actions={
            name: Energy(energy_pj=one.energy_pj, uncertainty=None, source=note + one.source)
            for name, one in found.actions.items()
        },
        area=Area(area_um2=found.area_um2, source=note + found.area.source),
    )


class SmartBufferSram(Sram, frozen=True, kw_only=True):
    """An SRAM with two address generators, one of which an access uses."""

    class_name: ClassVar[str] = "smartbuffer_SRAM"
    also: ClassVar[tuple[str, ...]] = ("smartbuffer_sram", "smartbuffer")

    def estimate(self, node_nm: float) -> Estimate:
        adder = logic_estimate(address_adder(self.depth, self.cycle_ns), node_nm)
        return with_access(super().estimate(node_nm), adder, 2)


class SmartBufferRegisterFile(Sram, frozen=True, kw_only=True):
    """A register file with two address generators, one of which an access uses."""

    class_name: ClassVar[str] = "smartbuffer_RF"
    also: ClassVar[tuple[str, ...]] = ("smartbuffer_rf",)

    def estimate(self, node_nm: float) -> Estimate:
        found = _registers(self).estimate(node_nm)
        actions = {name: found.actions[name] for name in (READ, WRITE, LEAK)}
        adder = logic_estimate(address_adder(self.depth, self.cycle_ns), node_nm)
        return with_access(Estimate(actions=actions, area=found.area), adder, 2)


class Dram(PlugInMemory, frozen=True, kw_only=True):
    class_name: ClassVar[str] = "DRAM"
    also: ClassVar[tuple[str, ...]] = ("dram",)
    aliases: ClassVar[dict[str, tuple[str, ...]]] = {"width": ("width", "memory_width", "datawidth")}
    needs_node: ClassVar[bool] = False
    width: float
    type: str = "LPDDR4"

    def estimate(self, node_nm: float) -> Estimate:
        found = memory.Dram(type=self.type, width_bits=math.ceil(self.width)).estimate(node_nm)
        actions = {READ: found.actions["read"], WRITE: found.actions["write"], LEAK: found.actions["idle"]}
        return Estimate(actions=actions, area=found.area)


ESTIMATORS: tuple[type[PlugIn], ...] = (
    Sram, RegisterFile, Fifo, Storage, SmartBufferSram, SmartBufferRegisterFile, Dram,
)  # fmt: skip
