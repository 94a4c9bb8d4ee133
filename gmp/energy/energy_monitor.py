"""Energy and cycles of a model while it is trained: masks and activations as they are now, on given hardware.

Weights are counted whenever they have changed: zeros of the pruner's masks, else of the parameters. Densities
of activations are those of the network as it will run: measured in eval mode on an example, since in training
dropout adds zeros, and fused operations hide tensors. Neither touches the model or its random numbers.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gmp.energy import monitor_readings as readings
from gmp.energy.layer_weights import LayerWeights, weight_called
from gmp.energy.monitor_readings import Reading
from gmp.errors import PruningError, check_state
from gmp.example_batches import Forward, batches_of
from gmp.network_coverage import coverage_of
from gmp.number_checks import above_zero, whole
from gmp.parameter_names import matched
from gmp.tracing.trace import Trace, one_trace_at_a_time, trace
from gmp.tracing.traced_workload import workload_of
from gmp.tracing.weight_views import WeightView
from sparsim.hardware import COLUMNS, Hardware, Plan, Reals, load_hardware
from sparsim.records import Accelerator, Workload
from sparsim.report.console import layers_done
from sparsim.report.tables import Table

WEIGHTS, INPUTS, OUTPUTS = (COLUMNS.index(name) for name in ("Weights", "Inputs", "Outputs"))
_appending = threading.Lock()  # one lock for all monitors, because an object with a lock cannot be copied


class HasMasks(Protocol):
    """A `Pruner` or `RunningRecipe`."""

    @property
    def masks_by_parameter(self) -> Mapping[Tensor, Tensor]: ...

    @property
    def sparsity(self) -> float: ...


class EnergyMonitor:
    """Watches what a model costs on hardware while it is trained and pruned.

    Parameters
    ----------
    model : nn.Module
        Model to watch; neither it nor the random numbers are changed.
    hardware : str or Path or Chip or Accelerator or Hardware or Plan
        Name of a preset, path of a document, a chip, an accelerator, other hardware, or a plan of these
        layers.
    example : Tensor, tuple, mapping, iterable of these, or Workload
        A batch, or batches, from which layers, shapes and densities of activations are measured; or a
        workload that names layers of the model, whose densities of activations are then kept.
    names : sequence of str, optional
        Layers to measure on the example, as in `gmp.tracing.trace.trace`; by default all that run.
    pruner : Pruner or RunningRecipe, optional
        Object whose masks are counted as zeros of the weights; by default zeros of the parameters are
        counted.
    batch : int, default 1
        Samples that the hardware runs at a time. All energies and cycles are for these together. A workload
        has its own.
    forward : callable, optional
        Called as ``forward(model, batch)`` in place of the model, for batches of any other kind.
    samples : int, optional
        Samples of a batch, where the first axis of its first tensor does not tell it.
    measure_every : int, optional
        Updates after which activations are measured again on the example; by default only `measure` does so.
    target_energy_pj : float, optional
        Energy in pJ that is to be reached.
    target_cycles : float, optional
        Cycles that are to be reached. If both targets are given, both have to be met.
    log : callable, optional
        Called with each `Reading`.
    **options
        Options of `Hardware.plan`, as `objective` and `folder`, `mappings` on an accelerator, and `progress`;
        without the last one progress is shown on stderr if that is a terminal.

    Attributes
    ----------
    model : nn.Module
        The model.
    pruner : Pruner or RunningRecipe or None
        The pruner.
    plan : Plan
        Plan of the layers on the hardware.
    workload : Workload
        The layers, with the densities at the start.
    coverage : Coverage
        How much of the network is measured.
    history : list of Reading
        All readings, the oldest first.
    log : callable or None
        Called with each reading.

    Raises
    ------
    PruningError
        If options do not fit.
    TraceError
        If the example cannot be measured.
    SpecError
        If the hardware is unknown or a document is invalid.
    MappingError
        If a layer does not fit the hardware.

    Warns
    -----
    CoverageWarning
        If a large part of the network is not measured.

    Notes
    -----
    Densities of weights are counted at every update. Densities of activations are measured in evaluation
    mode, as the network will run: in training dropout adds zeros, and fused operations hide tensors.

    Several threads may update one monitor. None of them may train the model while another one measures it.
    """

    def __init__(
        self,
        model: nn.Module,
        hardware: str | Path | Accelerator | Hardware | Plan | Any,
        example: Any,
        *,
        names: Sequence[str] | None = None,
        pruner: HasMasks | None = None,
        batch: int = 1,
        forward: Forward | None = None,
        samples: int | None = None,
        measure_every: int | None = None,
        target_energy_pj: float | None = None,
        target_cycles: float | None = None,
        log: Callable[[Reading], object] | None = None,
        **options: Any,
    ) -> None:
        self.model, self.pruner, self.log = model, pruner, log
        self._forward, self._samples, self._named = forward, samples, names
        energy_pj = _target(target_energy_pj, "target_energy_pj")
        self.target_cycles = target_cycles
        self.history: list[Reading] = []
        self._example: list[Any] | None = None
        if isinstance(example, str | Path):
            raise PruningError(
                f"the example must be tensors, got {str(example)!r}; pass the hardware before the example"
            )
        if isinstance(example, Workload):
            if names is not None:
                raise PruningError("names cannot be given with a workload, which names its own layers")
            workload = example
            views = [weight_called(model, layer.name) for layer in workload.layers]
            coverage = None
        else:
            self._example = batches_of(model, example)
            traced = self._trace(self._example, names, coverage=True)
            workload = workload_of(traced, name=type(model).__name__, batch=whole(batch, "batch"))
            views = [row.view for row in traced.layers]
            coverage = traced.coverage
        if measure_every is not None and self._example is None:
            raise PruningError(
                "measure_every needs an example, because the activations of a workload are fixed"
            )
        self._every = None if measure_every is None else whole(measure_every, "measure_every")
        if isinstance(hardware, Plan):
            if options:
                raise PruningError(f"{', '.join(options)} cannot be given with a plan, which is already made")
            _check_layers(hardware, workload)
            self.plan = hardware
        else:
            self.plan = _planned(load_hardware(hardware), workload, options)
        self.target_energy_pj = energy_pj
        self.workload = workload
        self._weights = LayerWeights(model, views)
        if coverage is None:
            weights = [weight for weight in self._weights if weight is not None]
            left_out = {
                id(parameter) for parameter in model.parameters()
            }  # the workload leaves them out on purpose
            coverage = coverage_of(model, weights, "measured", left_out=left_out)
        self.coverage = coverage
        self._densities = np.array([[x.density(name).density for name in COLUMNS] for x in workload.layers])

    @property
    def target_energy_pj(self) -> float | None:
        """Target of the energy in pJ."""
        return self._target_energy_pj

    @target_energy_pj.setter
    def target_energy_pj(self, value: float | None) -> None:
        target = _target(value, "target_energy_pj")
        if target is not None and not readings.knows_energy(self.plan):
            raise PruningError(
                "no energy of the hardware is known, so that target_energy_pj would be met at once"
            )
        self._target_energy_pj = target

    @property
    def target_cycles(self) -> float | None:
        """Target of the cycles."""
        return self._target_cycles

    @target_cycles.setter
    def target_cycles(self, value: float | None) -> None:
        self._target_cycles = _target(value, "target_cycles")

    @property
    def densities(self) -> Reals:
        """Nonzero fractions (layers, 3): weights as they are now, inputs and outputs as last measured.

        The second operands of layers without weights, and weights that are computed from several parameters,
        are also those that were last measured.
        """
        found = self._densities.copy()  # threads may ask at the same time
        for i, density in self._weights.densities(self._masks()).items():
            found[i, WEIGHTS] = density
        return found

    @property
    def prunable(self) -> NDArray[np.bool_]:
        """Bool array (layers,) that says whether the pruner has a mask of the weights."""
        masks = self._masks()
        masked = np.array([weight is not None and weight in masks for weight in self._weights])
        return masked & self._weights.are_parameters

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of weights of each layer; 0 for layers without weights."""
        return self._weights.sizes

    def uses(self, name: str, parameter: Tensor | None = None) -> list[tuple[int, WeightView]]:
        """Find the layers that use a parameter.

        Parameters
        ----------
        name : str
            Name of the parameter in the model.
        parameter : Tensor, optional
            The parameter. One that is not of this model, as of a copy, is looked up by `name`.

        Returns
        -------
        list of tuple of int and WeightView
            Index of each layer, and the part of the parameter that it uses.

        Raises
        ------
        PruningError
            If no layer uses it.
        """
        return self._weights.uses(name, parameter)

    @property
    def reached(self) -> bool:
        """Whether the targets were met at the latest update."""
        return bool(self.history) and self.history[-1].reached

    def update(self, step: int | None = None) -> Reading:
        """Read energy and cycles now, and append them to `history`.

        Parameters
        ----------
        step : int, optional
            Step of the training; by default the one after that of the latest reading, or 0.

        Returns
        -------
        Reading
            The reading.

        Raises
        ------
        MappingError
            If a layer does not fit the hardware with its densities, which can happen with mappings that were
            given or found by `replan`. Another call of `replan` finds new ones.
        """
        count = len(self.history)
        if self._every is not None and count and count % self._every == 0:
            self.measure()
        densities = self.densities
        energy, cycles = self.plan(densities)
        reached = self.meets(float(energy.sum()), float(cycles.sum()))
        with _appending:
            if step is None:
                step = self.history[-1].step + 1 if self.history else 0
            found = Reading(step, self.plan.names, densities, energy, cycles, reached)
            self.history.append(found)
        if self.log is not None:
            self.log(found)
        return found

    def meets(self, energy_pj: float, cycles: float) -> bool:
        """Check totals against the targets.

        Parameters
        ----------
        energy_pj : float
            Energy of the network in pJ.
        cycles : float
            Cycles of the network.

        Returns
        -------
        bool
            Whether they are within all targets; False if there is no target.
        """
        pairs = ((energy_pj, self.target_energy_pj), (cycles, self.target_cycles))
        given = [(value, target) for value, target in pairs if target is not None]
        return bool(given) and all(value <= target for value, target in given)

    def missed(self) -> str:
        """Name the targets that the latest reading exceeds.

        Returns
        -------
        str
            Words for a message; "" if no target is exceeded or nothing was read.
        """
        if not self.history:
            return ""
        found = self.history[-1]
        triples = (
            ("pJ", found.energy_pj, self.target_energy_pj),
            ("cycles", found.cycles, self.target_cycles),
        )
        return " and ".join(
            f"{self.plan.hardware.name} needs {value:.4g} {unit}, but the target is {target:.4g}"
            for unit, value, target in triples
            if target is not None and value > target
        )

    def measure(self, batches: Any = None) -> None:
        """Measure the densities of activations in evaluation mode.

        Parameters
        ----------
        batches : Tensor, tuple, mapping, or iterable of these, optional
            One or several batches; by default the example.

        Raises
        ------
        PruningError
            If there are neither batches nor an example, or if no layer ran.

        Notes
        -----
        Layers that do not run on the batches, such as experts to which no token is sent, keep their
        densities.
        """
        if batches is None and self._example is None:
            raise PruningError("the monitor has no example to measure; pass batches")
        given = batches_of(self.model, batches) if batches is not None else self._example or []
        rows = {row.name: row for row in self._trace(given, self._named, coverage=False).layers}
        densities, ran = self._densities.copy(), False
        for i, name in enumerate(self.plan.names):
            if (row := rows.get(name)) is not None:
                ran = True
                densities[i, [WEIGHTS, INPUTS, OUTPUTS]] = (
                    row.weight_density, row.inputs.mean, row.outputs.mean,
                )  # fmt: skip
        if not ran:
            raise PruningError(
                f"other layers ran than before: {', '.join(rows)} in place of {', '.join(self.plan.names)}"
            )
        self._densities = densities  # other threads see either all old or all new densities

    def replan(self, progress: Callable[[str], object] | None = None) -> None:
        """Find mappings for the densities as they are now; earlier readings stay as they are.

        Parameters
        ----------
        progress : callable, optional
            Called with the name of each layer when it is done.
        """
        self.plan = self.plan.replanned(self.densities, progress)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs.

        Returns
        -------
        dict
            Names of the layers ("layers"), densities as last measured ("activations") and all readings
            ("readings"), as lists and numbers. Mappings that `replan` found are not included: call it again.
        """
        return {
            "layers": list(self.plan.names),
            "activations": self._densities.tolist(),
            "readings": [reading.plain() for reading in self.history],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the result of `state_dict`.

        Parameters
        ----------
        state : mapping
            State of a monitor of the same layers.

        Raises
        ------
        PruningError
            If the state is not one of a monitor, or one of other layers.
        """
        check_state(state, {"layers", "activations", "readings"}, "monitor")
        names = tuple(matched(name, self.plan.names) or name for name in state["layers"])
        if names != self.plan.names:
            raise PruningError(
                f"the state has layers {', '.join(names)}, but the model has {', '.join(self.plan.names)}"
            )
        densities = np.array(state["activations"], np.float64)
        if densities.shape == self._densities[:, INPUTS:].shape:  # states of version 0.1 have no weights
            densities = np.column_stack([self._densities[:, :INPUTS], densities])
        if densities.shape != self._densities.shape:
            raise PruningError(
                f"the densities of the state must have shape {self._densities.shape}, got {densities.shape}; "
                "was the state saved by an older version?"
            )
        self._densities = densities
        self.history = [readings.reading_of(names, plain) for plain in state["readings"]]

    def to_csv(self, path: str | Path) -> None:
        """Write all readings as CSV, one line for each layer and one for the total of each reading.

        Parameters
        ----------
        path : str or Path
            File to write.

        Raises
        ------
        PruningError
            If nothing was read yet, or if the file cannot be written.
        """
        readings.write_readings(self._read(), path)

    def table(self) -> Table:
        """Return the latest reading as a table for a terminal.

        Returns
        -------
        Table
            Table to be printed with ``rich.print(monitor.table())``. Its notes name what of the network is
            not measured, and what is costed in place of layers that the hardware cannot run.

        Raises
        ------
        PruningError
            If nothing was read yet.
        """
        lowered = (f"{name}: {note}" for name, note in self.plan.notes.items())
        return self._read()[-1].table((*self.coverage.notes, *lowered))

    def plot(self, path: str | Path) -> None:
        """Draw energy and cycles of all readings, stacked by layer, with the targets as lines.

        Parameters
        ----------
        path : str or Path
            Image to write; its suffix determines the format.

        Raises
        ------
        PruningError
            If nothing was read yet, or if the file cannot be written.
        """
        readings.plot(self._read(), path, self.target_energy_pj, self.target_cycles)

    def _read(self) -> list[Reading]:
        if not self.history:
            raise PruningError("there is no reading yet; call update() first")
        return self.history

    def _trace(self, batches: Iterable[Any], names: Sequence[str] | None, *, coverage: bool) -> Trace:
        devices = {p.device for p in self.model.parameters() if p.device.type == "cuda"}
        with one_trace_at_a_time, torch.random.fork_rng(devices=list(devices)):
            return trace(
                self.model, batches, names=names, coverage=coverage, forward=self._forward,
                samples=self._samples,
            )  # fmt: skip

    def _masks(self) -> Mapping[Tensor, Tensor]:
        return self.pruner.masks_by_parameter if self.pruner is not None else {}


def _planned(hardware: Hardware, workload: Workload, options: Mapping[str, Any]) -> Plan:
    """Make the plan, and show progress on stderr if it is a terminal and `options` have no other callback."""
    if "progress" in options:
        return hardware.plan(workload.layers, **options)
    with layers_done(len(workload.layers), f"planning {workload.name} on {hardware.name}") as progress:
        return hardware.plan(workload.layers, progress=progress, **options)


def _check_layers(plan: Plan, workload: Workload) -> None:
    names = tuple(layer.name for layer in workload.layers)
    if names != plan.names:
        raise PruningError(
            f"the plan has layers {', '.join(plan.names)}, but the model has {', '.join(names)}"
        )
    for there, here in zip(plan.layers, workload.layers, strict=True):
        for dim in here.bounds if there.shape == here.shape else ():
            if here.bounds[dim] != there.bounds[dim]:
                seen, known = f"{dim} {here.bounds[dim]}", f"{dim} {there.bounds[dim]}"
                raise PruningError(f"layer {here.name} has {seen}, in the plan it has {known}")


def _target(value: float | None, what: str) -> float | None:
    return None if value is None else above_zero(value, what)
