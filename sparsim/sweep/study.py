"""The record of a study: a base, axes, networks, objectives, and how points are chosen and evaluated."""

from __future__ import annotations

from typing import Any, Literal

from sparsim.errors import SpecError, near
from sparsim.records.mapping import Divisibility
from sparsim.records.number_limits import check_real, check_whole
from sparsim.records.objective import objective_names
from sparsim.records.record import Record

WORKLOAD = "workload"  # name of the axis of networks
METRICS = {  # metrics of an evaluated point, and the direction of improvement
    "energy_pj": "min", "cycles": "min", "edp_j_cycles": "min", "area_mm2": "min", "pj_per_mac": "min",
    "utilization": "max", "inferences_per_s": "max", "inferences_per_j": "max", "gap": "min",
}  # fmt: skip
SHORT_NAMES = {
    "energy": "energy_pj", "delay": "cycles", "latency": "cycles", "edp": "edp_j_cycles", "area": "area_mm2",
    "energy_per_mac": "pj_per_mac", "utilisation": "utilization", "throughput": "inferences_per_s",
}  # fmt: skip
MOST_VALUES = 1_000_000  # most values of one axis

Direction = Literal["min", "max"]
SamplerName = Literal["grid", "random", "sobol", "halton", "latin-hypercube", "nsga2", "tpe"]


class Axis(Record, frozen=True, kw_only=True):
    """One axis of a design space.

    Exactly one of `values`, `range`, `log2` and `choices` is given.

    Parameters
    ----------
    path : str or tuple of str, default ()
        Paths of the fields that take the value of the axis; none for an axis that only derived values use.
    values : tuple, default None
        The values themselves.
    range : tuple of two or three numbers, default None
        First and last value, and the step between values, which is 1 by default.
    log2 : tuple of two int, default None
        All powers of two from the first to the second number.
    choices : dict of str to str or tuple of str, default None
        For each name of a choice the preset or the files whose records replace those of the base.
    when : str, default ""
        A condition on earlier axes. Where it does not hold, the axis has no value and the base is kept.
    """

    path: str | tuple[str, ...] = ()
    values: tuple[Any, ...] | None = None
    range: tuple[float, ...] | None = None
    log2: tuple[int, int] | None = None
    choices: dict[str, str | tuple[str, ...]] | None = None
    when: str = ""

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the fields that take the value of the axis."""
        return (self.path,) if isinstance(self.path, str) else self.path


class Network(Record, frozen=True, kw_only=True):
    """A network that a study runs.

    Parameters
    ----------
    source : str
        Name of a workload that comes with the package, or the file of one.
    layers : tuple of str, default ()
        Names of the layers to take; all of them by default.
    densities : dict of str to float, default {}
        Densities by dataspace, which replace those of all layers.
    attributes : dict of str to float or str, default {}
        What else is known of the network, such as its accuracy. Objectives and limits may use it.
    divisibility : dict of str to dict of str to {"padded", "imperfect"}, default {}
        For each name of a layer the dims that mappings may pad, or tile with a shorter last tile.
    """

    source: str
    layers: tuple[str, ...] = ()
    densities: dict[str, float] = {}
    attributes: dict[str, float | str] = {}
    divisibility: dict[str, dict[str, Divisibility]] = {}


class Search(Record, frozen=True, kw_only=True):
    """How a study finds mappings.

    Budgets are counts, so that results do not depend on the machine.

    Parameters
    ----------
    objective : str or tuple of str, default "edp"
        What the mapping of a layer minimises.
    method : {"auto", "exhaustive", "random", "local"}, default "auto"
        The method of `sparsim.search`.
    evaluations : int or tuple of int, default None
        Mappings that each method may evaluate; no limit by default. Several numbers are budgets that a point
        gets one after the other, as long as it may still enter the front.
    mappings : str or dict of str to str, default None
        Mappings that are kept for all points, in place of a search: "base" for those that are best on the
        base, or for each name of a layer a file or a mapping in the loop notation.

    Raises
    ------
    SpecError
        If an objective is unknown, if the budgets do not grow, or if `mappings` is another text.
    """

    objective: str | tuple[str, ...] = "edp"
    method: Literal["auto", "exhaustive", "random", "local"] = "auto"
    evaluations: int | tuple[int, ...] | None = None
    mappings: Literal["base"] | dict[str, str] | None = None

    def __post_init__(self) -> None:
        objective_names(self.objective)
        for number in self.budgets:
            check_whole("sweep.search", "evaluations", number, 1)
        if list(self.budgets) != sorted(set(self.budgets), key=lambda n: n or 0):
            raise SpecError("each number of evaluations must exceed the one before", path="sweep.search")
        if isinstance(self.mappings, str) and self.mappings != "base":
            raise SpecError(
                f"mappings must be 'base' or mappings by layer, got '{self.mappings}'", path="sweep.search"
            )

    @property
    def budgets(self) -> tuple[int | None, ...]:
        """The numbers of evaluations, one after the other; None stands for no limit."""
        if isinstance(self.evaluations, tuple):
            return self.evaluations or (None,)
        return (self.evaluations,)


class Sampler(Record, frozen=True, kw_only=True):
    """Which points of the design space a study evaluates.

    Parameters
    ----------
    kind : {"grid", "random", "sobol", "halton", "latin-hypercube", "nsga2", "tpe"}, default "grid"
        The method that chooses points.
    points : int, default None
        Number of points, for all samplers but the grid.
    population : int, default None
        Number of points that "nsga2" and "tpe" ask for at once, 50 by default. It belongs to the study
        because results of a generation must not depend on the number of workers.

    Raises
    ------
    SpecError
        If a number is missing, out of range, or given to a sampler that does not use it.
    """

    kind: SamplerName = "grid"
    points: int | None = None
    population: int | None = None

    def __post_init__(self) -> None:
        where = "sweep.sampler"
        check_whole(where, "points", self.points, 1)
        check_whole(where, "population", self.population, 1)
        if self.kind == "grid" and self.points is not None:
            raise SpecError("a grid has all points; give 'points' to other samplers only", path=where)
        if self.kind != "grid" and self.points is None:
            raise SpecError(f"'points' is missing; {self.kind} needs a number of points", path=where)
        if self.population is not None and self.kind not in ("nsga2", "tpe"):
            raise SpecError(
                f"only nsga2 and tpe have a 'population', but the sampler is {self.kind}", path=where
            )
        if self.population == 1 and self.kind == "nsga2":
            raise SpecError("population must be at least 2 for nsga2, got 1", path=where)


class Study(Record, frozen=True, kw_only=True):
    """A sweep over a design space.

    Parameters
    ----------
    name : str, default "sweep"
        Name for messages and reports.
    base : str or tuple of str
        A preset, or the files of a design; records of later ones replace those of earlier ones.
    template_data : dict of str to object, default {}
        Values by name for the Jinja templates among Timeloop's documents.
    workloads : dict of str to Network
        The networks by name. They form an axis of their own, called `workload`.
    axes : dict of str to Axis
        The axes by name.
    derive : dict of str to str, default {}
        Values that are computed from those of axes: by the path of the field that takes the value, or by a
        new name that other expressions may use.
    filters : tuple of str, default ()
        Expressions of values of axes that must hold for a point to be evaluated.
    limits : tuple of str, default ()
        Expressions of metrics, attributes and values of axes that must hold of an evaluated point.
    objectives : dict of str to {"min", "max"}
        Metrics and attributes that the front is made of, and whether they are minimised or maximised.
    search : Search, default Search()
        How mappings are found.
    sampler : Sampler, default Sampler()
        Which points are evaluated; all of them by default.
    seed : int, default 0
        Seed of samplers and searches.
    constant_energies : bool or tuple of str, default False
        Whether sizes may be swept although the energies of a level are constants. A tuple names the levels
        for which they may: those that consist of more or fewer equal banks.
    skip_dominated : bool, default True
        Whether points are not evaluated whose lower bounds are dominated by an evaluated point.
    clock_mhz : float, default None
        Clock of the designs in MHz, for inferences per second; a chip has its own.
    seconds_per_point : float, default 3600.0
        Seconds after which a worker is considered to hang.

    Raises
    ------
    SpecError
        If there are no axes, networks or objectives, if a name is unknown or used twice, or if a number is
        out of range.
    """

    name: str = "sweep"
    base: str | tuple[str, ...]
    template_data: dict[str, Any] = {}
    workloads: dict[str, Network]
    axes: dict[str, Axis]
    derive: dict[str, str] = {}
    filters: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    objectives: dict[str, Direction]
    search: Search = Search()
    sampler: Sampler = Sampler()
    seed: int = 0
    constant_energies: bool | tuple[str, ...] = False
    skip_dominated: bool = True
    clock_mhz: float | None = None
    seconds_per_point: float = 3600.0

    def __post_init__(self) -> None:
        where = f"sweep {self.name}"
        if not self.axes:
            raise SpecError("at least one axis is needed", path=where)
        if not self.workloads:
            raise SpecError("at least one workload is needed", path=where)
        if not self.objectives:
            raise SpecError("at least one objective is needed", path=where)
        if WORKLOAD in self.axes:
            raise SpecError(
                f"an axis cannot have the name '{WORKLOAD}', which is the axis of the networks", path=where
            )
        check_whole(where, "seed", self.seed)
        for name in ("clock_mhz", "seconds_per_point"):
            value = getattr(self, name)
            check_real(where, name, value)
            if value is not None and not value > 0:
                raise SpecError(f"{name} must be greater than 0, got {value:g}", path=where)
        known = (*METRICS, *self.attributes)
        for name in self.objectives:
            if name not in known:
                raise SpecError(
                    f"unknown objective '{name}'", path=f"{where}: objectives",
                    hint=near(name, (*known, *SHORT_NAMES)),
                )  # fmt: skip
        for name in self.attributes:
            if name in METRICS or name in self.axes:
                raise SpecError(f"attribute '{name}' has the name of a metric or an axis", path=where)

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names of all attributes that a network has."""
        return tuple(dict.fromkeys(name for n in self.workloads.values() for name in n.attributes))
