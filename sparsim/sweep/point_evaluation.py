"""Evaluation of a point of a sweep: its design is built, its layers are mapped, and metrics are computed."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from sparsim.errors import EmptyMapspaceError, MappingError, SpecError
from sparsim.files.read_any import read_any
from sparsim.hardware import Hardware, NetworkCost
from sparsim.hardware.accelerator_plan import MappedAccelerator
from sparsim.hardware.interface import UM2_PER_MM2
from sparsim.hardware.layer_costs import PJ_PER_UJ
from sparsim.model.frozen import Frozen, level_names
from sparsim.records import Accelerator, Layer, Mapping, Mapspace, edp_j_cycles, macs
from sparsim.sweep.design_records import build_accelerator, build_hardware
from sparsim.sweep.design_space import DesignSpace
from sparsim.sweep.networks import LoadedNetwork
from sparsim.sweep.record_paths import Holder
from sparsim.sweep.sweep_row import Point, Row

PJ_PER_J = 1e12
HZ_PER_MHZ = 1e6
_REFUSALS = (MappingError, EmptyMapspaceError, SpecError)
Part = tuple[Hardware, tuple[Layer, ...]]


class PointEvaluator:
    """Evaluates points of one design space.

    It is sent to workers, and what it learns stays there.

    Parameters
    ----------
    space : DesignSpace
        The design space.
    """

    def __init__(self, space: DesignSpace) -> None:
        self.space = space
        self._plans: dict[Any, FixedPlan] = {}
        self._mappings: dict[str, tuple[Mapping, ...]] = {}
        if space.study.search.mappings is not None:
            self._mappings = {name: find_mappings(space, each) for name, each in space.networks.items()}

    def evaluate(self, point: Point, rung: int = 0) -> Row:
        """Evaluate a point with one of the search budgets.

        Parameters
        ----------
        point : dict of str to object
            The value of each axis by name.
        rung : int, default 0
            Position of the budget in `Search.budgets`.

        Returns
        -------
        Row
            The result. Errors become a status of the row; nothing but Ctrl-C is raised.
        """
        is_last = rung + 1 >= len(self.space.study.search.budgets)  # a larger budget may find a mapping
        return self._guarded(point, lambda key: self._evaluated(key, point, rung), is_final=is_last)

    def bound(self, point: Point) -> Row:
        """Compute the area of a point's design, and lower bounds of what any mapping costs, without a search.

        Parameters
        ----------
        point : dict of str to object
            The value of each axis by name.

        Returns
        -------
        Row
            Area and bounds. Errors become a status of the row.
        """
        return self._guarded(point, lambda key: self._bounded(key, point))

    def _guarded(self, point: Point, work: Callable[[str], Row], *, is_final: bool = True) -> Row:
        key = self.space.key(point)
        try:
            return work(key)
        except _REFUSALS as error:
            return Row(key, "infeasible", str(error), is_final=is_final)
        except Exception:
            return Row(key, "failed", traceback.format_exc())

    def _bounded(self, key: str, point: Point) -> Row:
        records, network = self.space.records(point), self.space.network(point)
        hardware = build_hardware(records)
        bounds = [part.lower_bounds(layers) for part, layers in split(hardware, network)]
        energy = math.fsum(float(value) for bound in bounds for value in bound.energy_pj)
        cycles = math.fsum(float(value) for bound in bounds for value in bound.cycles)
        best = self._metrics(energy, cycles, 0.0, hardware, network, None)
        area, _ = best.pop("area_mm2"), best.pop("utilization")
        return Row(key, "bound", metrics={"area_mm2": area}, bounds=best, is_final=False)

    def _evaluated(self, key: str, point: Point, rung: int) -> Row:
        records, network = self.space.records(point), self.space.network(point)
        if self.space.study.search.mappings is not None:
            return self._fixed(key, records, network)
        hardware = build_hardware(records)
        cost = self._cost(hardware, network, rung)
        names = dict.fromkeys(name for layer in cost.layers for name in layer.energy_pj)
        components = {name: cost.component_uj(name) * PJ_PER_UJ for name in names}
        gaps = [layer.gap for layer in cost.layers]
        gap = None if any(each is None for each in gaps) else max(each or 0.0 for each in gaps)
        is_final = gap in (0.0, None) or rung + 1 >= len(self.space.study.search.budgets)
        metrics = self._metrics(cost.energy_pj, cost.cycles, cost.utilization, hardware, network, gap)
        return Row(key, "ok", metrics=metrics, components=components, is_final=is_final)

    def _cost(self, hardware: Hardware, network: LoadedNetwork, rung: int) -> NetworkCost:
        search = self.space.study.search
        options: dict[str, Any] = {}
        if isinstance(hardware, MappedAccelerator):
            options = {
                "evaluations": search.budgets[rung], "method": search.method, "seed": self.space.study.seed,
            }  # fmt: skip
        costs = [
            part.cost(layers, objective=search.objective, **options)
            for part, layers in split(hardware, network)
        ]
        return NetworkCost(tuple(layer for each in costs for layer in each.layers), hardware.area_um2)

    def final(self, point: Point) -> tuple[Row, int]:
        """Evaluate a point until its result is final, as a sweep records it.

        Parameters
        ----------
        point : dict of str to object
            The value of each axis by name.

        Returns
        -------
        row : Row
            The result.
        rung : int
            Position of the budget that it took.
        """
        for rung in range(len(self.space.study.search.budgets)):
            row = self.evaluate(point, rung)
            if row.is_final or row.status != "ok":
                break
        return row, rung

    def mappings(self, point: Point, rung: int) -> tuple[Mapping | None, ...]:
        """Return the mapping of each layer of a point.

        Parameters
        ----------
        point : dict of str to object
            The value of each axis by name.
        rung : int
            Position of the budget in `Search.budgets`.

        Returns
        -------
        tuple of Mapping or None
            One mapping per layer; None where the hardware plans without one.

        Raises
        ------
        MappingError, EmptyMapspaceError, SpecError
            If the point cannot be built or mapped.
        """
        network = self.space.network(point)
        if self._mappings:
            return self._mappings[network.name]
        cost = self._cost(self.space.hardware(point), network, rung)
        return tuple(layer.mapping for layer in cost.layers)

    def _fixed(self, key: str, records: Holder, network: LoadedNetwork) -> Row:
        accelerator = build_accelerator(records)
        said = (
            network.name,
            tuple(layer.digest() for layer in network.layers) if self.space.densities else "",
        )
        plan = self._plans.get(said)
        if plan is None:
            plan = self._plans[said] = FixedPlan(self.space, network, self._mappings[network.name])
        components, energy, cycles, utilization = plan.cost(accelerator)
        metrics = self._metrics(energy, cycles, utilization, MappedAccelerator(accelerator), network, None)
        return Row(key, "ok", metrics=metrics, components=components)

    def _metrics(
        self, energy_pj: float, cycles: float, utilization: float, hardware: Hardware, network: LoadedNetwork,
        gap: float | None,
    ) -> dict[str, float]:  # fmt: skip
        number = sum(macs(layer) for layer in network.layers)
        found = {
            "energy_pj": energy_pj,
            "cycles": cycles,
            "edp_j_cycles": float(edp_j_cycles(energy_pj, cycles)),
            "area_mm2": area_mm2(hardware),
            "pj_per_mac": energy_pj / number,
            "utilization": utilization,
            "inferences_per_j": network.inferences * PJ_PER_J / energy_pj if energy_pj else math.inf,
        }
        clock_mhz = self.space.study.clock_mhz or hardware.clock_mhz
        if clock_mhz is not None:
            found["inferences_per_s"] = (
                network.inferences * clock_mhz * HZ_PER_MHZ / cycles if cycles else math.inf
            )
        if gap is not None:
            found["gap"] = gap
        return found


class FixedPlan:
    """A network whose mappings are the same on all designs, for designs that differ in numbers.

    Parameters
    ----------
    space : DesignSpace
    network : LoadedNetwork
    mappings : tuple of Mapping
        One per layer.
    """

    def __init__(self, space: DesignSpace, network: LoadedNetwork, mappings: tuple[Mapping, ...]) -> None:
        hardware = MappedAccelerator(build_accelerator(space.base))
        self._frozen = Frozen(hardware.accelerator, network.layers, mappings)
        names = self._frozen.dataspaces
        self._densities = [[layer.density(name).density for name in names] for layer in network.layers]
        cost = hardware.cost(network.layers, mappings=mappings)
        units = _units(hardware.accelerator)
        self._busy = math.fsum(layer.utilization * layer.cycles * units for layer in cost.layers)

    def cost(self, accelerator: Accelerator) -> tuple[dict[str, float], float, float, float]:
        """Return energy by component, energy in pJ, cycles and utilization. Raises MappingError and
        SpecError.
        """
        found = self._frozen.on(accelerator)(self._densities)
        totals = found.level_energy_pj.sum(axis=0).tolist()
        components = dict(zip(reversed(level_names(accelerator)), totals, strict=True))
        energy_pj, cycles = math.fsum(found.energy_pj.tolist()), float(found.cycles.sum())
        return components, energy_pj, cycles, self._busy / (cycles * _units(accelerator))


def _units(accelerator: Accelerator) -> int:
    """Return the number of arithmetic units of all instances."""
    arch = accelerator.architecture
    return math.prod(arch.total_mesh(len(arch.storage)))


def find_mappings(space: DesignSpace, network: LoadedNetwork) -> tuple[Mapping, ...]:
    """Return the mappings that a study uses for all points, one per layer.

    Raises
    ------
    SpecError
        For layers without a mapping, and files that hold none.
    MappingError
        If the base has no mapping of a layer.
    """
    search = space.study.search
    if search.mappings == "base":
        found: list[Mapping] = []
        for part, layers in split(MappedAccelerator(build_accelerator(space.base)), network):
            cost = part.cost(
                layers, objective=search.objective, method=search.method,
                evaluations=search.budgets[-1], seed=space.study.seed,
            )  # fmt: skip
            found += [layer.mapping for layer in cost.layers if layer.mapping is not None]
        return tuple(found)
    assert isinstance(search.mappings, dict)
    return tuple(_given_mapping(search.mappings, layer, space) for layer in network.layers)


def _given_mapping(given: dict[str, str], layer: Layer, space: DesignSpace) -> Mapping:
    where = f"sweep {space.study.name}: search.mappings"
    if layer.name not in given:
        raise SpecError(f"no mapping of layer '{layer.name}'", path=where)
    text = given[layer.name]
    if Path(text).suffix in (".yaml", ".yml"):
        mapping = read_any(text, space.study.base, space.study.template_data).mapping
        if mapping is None:
            raise SpecError(f"{text} holds no mapping", path=where)
        return mapping
    try:
        return Mapping.parse(text)
    except SpecError as error:
        raise error.within(f"{where}.{layer.name}") from None


def split(hardware: Hardware, network: LoadedNetwork) -> Iterator[Part]:
    """Yield hardware and layers, in order; layers with their own divisibility have their own mapspace."""
    together: list[Layer] = []
    for layer in network.layers:
        own = network.divisibility.get(layer.name)
        if own is None or not isinstance(hardware, MappedAccelerator):
            together.append(layer)
            continue
        if together:
            yield hardware, tuple(together)
            together = []
        mapspace = replace(hardware.accelerator.mapspace or Mapspace(), divisibility=dict(own))
        yield MappedAccelerator(replace(hardware.accelerator, mapspace=mapspace)), (layer,)
    if together:
        yield hardware, tuple(together)


def area_mm2(hardware: Hardware) -> float:
    """Return the area of a design in mm2; 0 if no area is known."""
    return math.fsum(hardware.area_um2.values()) / UM2_PER_MM2
