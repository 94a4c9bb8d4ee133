"""Times of layers on this CPU by their numbers of input and output channels, measured once.

Each layer is run alone, with random weights and inputs of the shape that it has in the network, at several
numbers of channels. Times of small layers are noisy, so the table is made monotone along both axes; one
factor, the time of the whole network divided by the sum of its layers, accounts for operations between the
layers.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from gmp.errors import PruningError
from gmp.example_batches import Forward, run
from gmp.number_checks import whole
from gmp.parameter_names import named_modules
from sparsim.errors import near

Reals = NDArray[np.float64]
Channels = tuple[int, int]
MEASUREMENT = "the measurement of times"  # in messages
POINTS = 6  # points of a table along each axis


@dataclass(frozen=True)
class LayerTimes:
    """Times of one layer.

    Parameters
    ----------
    inputs : array of int, shape (I,)
        Numbers of input channels that were measured.
    outputs : array of int, shape (O,)
        Numbers of output channels that were measured.
    seconds : array of float, shape (I, O)
        CPU seconds of all calls in one pass of the network, monotone along both axes.
    joined : bool
        Whether inputs and outputs shrink together, as in depthwise convolutions; I is 1 then.
    """

    inputs: NDArray[np.int64]
    outputs: NDArray[np.int64]
    seconds: Reals
    joined: bool = False

    def at(self, inputs: int, outputs: int) -> float:
        """Interpolate the time of the layer.

        Parameters
        ----------
        inputs : int
            Number of input channels.
        outputs : int
            Number of output channels.

        Returns
        -------
        float
            CPU seconds, linear between the numbers that were measured and constant below the first ones.
        """
        by_outputs = [np.interp(outputs, self.outputs, row) for row in self.seconds]
        return float(np.interp(inputs, self.inputs, by_outputs))


@dataclass(frozen=True)
class LatencyTable:
    """Measured times of the layers of a network.

    Parameters
    ----------
    layers : mapping of str to LayerTimes
        Times of each layer by its name.
    factor : float
        Time of the whole network over the sum of the times of its layers.
    network_seconds : float
        CPU seconds of the whole network.
    """

    layers: Mapping[str, LayerTimes]
    factor: float
    network_seconds: float

    def seconds(self, name: str, inputs: int, outputs: int) -> float:
        """Look up the time of a layer.

        Parameters
        ----------
        name : str
            Name of the layer.
        inputs : int
            Number of its input channels.
        outputs : int
            Number of its output channels.

        Returns
        -------
        float
            CPU seconds in one pass of the network, `factor` included.

        Raises
        ------
        PruningError
            If the table has no such layer.
        """
        if name not in self.layers:
            raise PruningError(f"the table has no layer '{name}'", hint=near(name, self.layers))
        return self.factor * self.layers[name].at(inputs, outputs)

    def total(self, channels: Mapping[str, Channels] | None = None) -> float:
        """Add up the times of all layers.

        Parameters
        ----------
        channels : mapping of str to tuple of int, optional
            Input and output channels by the names of layers; other layers keep all of theirs.

        Returns
        -------
        float
            CPU seconds of the network.

        Raises
        ------
        PruningError
            If the table has no such layer.
        """
        given = dict(channels or {})
        if unknown := [name for name in given if name not in self.layers]:
            raise PruningError(f"the table has no layer '{unknown[0]}'", hint=near(unknown[0], self.layers))
        return sum(
            self.seconds(name, *given.get(name, (int(times.inputs[-1]), int(times.outputs[-1]))))
            for name, times in self.layers.items()
        )

    def error(
        self,
        network: nn.Module,
        example: Any,
        channels: Mapping[str, Channels],
        *,
        repeats: int = 20,
        forward: Forward | None = None,
    ) -> float:
        """Compare the table with the measured time of a network that has fewer channels.

        Parameters
        ----------
        network : nn.Module
            The network, such as `gmp.narrow` makes.
        example : Tensor, tuple or mapping
            The batch that the table was measured for.
        channels : mapping of str to tuple of int
            Its input and output channels by the names of layers, as for `total`.
        repeats : int, default 20
            Runs of which the median counts, after one that does not.
        forward : callable, optional
            Called as ``forward(model, batch)`` in place of the model.

        Returns
        -------
        float
            Predicted over measured seconds, minus 1.

        Raises
        ------
        PruningError
            If the table has no such layer.
        """
        predicted, training = self.total(channels), network.training
        try:
            with torch.no_grad():
                network.eval()
                measured = median_seconds(
                    lambda: run(network, example, forward, during=MEASUREMENT), whole(repeats, "repeats")
                )
        finally:
            network.train(training)
        return predicted / measured - 1


def measure_latencies(
    model: nn.Module,
    example: Any,
    *,
    step: int = 8,
    repeats: int = 20,
    forward: Forward | None = None,
    progress: Callable[[str], object] = lambda name: None,
) -> LatencyTable:
    """Measure how long linear layers and convolutions take with fewer channels.

    Parameters
    ----------
    model : nn.Module
        The network, which is run in evaluation mode and not changed.
    example : Tensor, tuple or mapping
        One batch. Times are for this batch.
    step : int, default 8
        Numbers of channels that are measured are multiples of it, or all channels.
    repeats : int, default 20
        Runs of which the median counts, after one that does not.
    forward : callable, optional
        Called as ``forward(model, batch)`` in place of the model.
    progress : callable, optional
        Called with the name of each layer when it is done.

    Returns
    -------
    LatencyTable
        The table.

    Raises
    ------
    PruningError
        If `step` or `repeats` are not positive integers, or if no linear layer or convolution runs.

    Notes
    -----
    Seconds are those of the process on all of its threads; set ``torch.set_num_threads(1)`` for latencies of
    one core.
    """
    step, repeats = whole(step, "step"), whole(repeats, "repeats")
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            shapes = _input_shapes(model, example, forward)
            if not shapes:
                raise PruningError("no linear layer or convolution ran on the example")
            layers = {}
            for name, (module, calls) in shapes.items():
                layers[name] = _times(module, calls, step, repeats)
                progress(name)
            network = median_seconds(lambda: run(model, example, forward, during=MEASUREMENT), repeats)
    finally:
        for module, training in modes:
            module.training = training
    return LatencyTable(layers, network / sum(float(t.seconds[-1, -1]) for t in layers.values()), network)


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Measure the CPU time of a call.

    Parameters
    ----------
    call : callable
        What is run.
    repeats : int
        Runs of which the median counts, after one that does not.

    Returns
    -------
    float
        CPU seconds.
    """
    samples = []
    for _ in range(repeats + 1):
        start = time.process_time()
        call()
        samples.append(time.process_time() - start)
    return statistics.median(samples[1:])


def _input_shapes(
    model: nn.Module, example: Any, forward: Forward | None
) -> dict[str, tuple[nn.Module, list[torch.Size]]]:
    """Return layers with the shape of their input in each call."""
    names = {m: n for n, m in named_modules(model, remove_duplicate=True) if _is_layer(m)}
    found: dict[str, tuple[nn.Module, list[torch.Size]]] = {}

    def note(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        found.setdefault(names[module], (module, []))[1].append(args[0].shape)

    handles = [module.register_forward_pre_hook(note) for module in names]
    try:
        run(model, example, forward, during=MEASUREMENT)
    finally:
        for handle in handles:
            handle.remove()
    return found


def _is_layer(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | _ConvNd) and not isinstance(module, _ConvTransposeNd)


def _times(module: nn.Module, calls: list[torch.Size], step: int, repeats: int) -> LayerTimes:
    if isinstance(module, nn.Linear):
        groups, all_inputs, all_outputs = 1, module.in_features, module.out_features
    else:
        assert isinstance(module, _ConvNd)
        groups, all_inputs, all_outputs = module.groups, module.in_channels, module.out_channels
    joined = groups > 1
    outputs = _grid(all_outputs, step if groups == 1 else groups if groups < all_inputs else step)
    inputs = np.array([all_inputs]) if joined else _grid(all_inputs, step)
    seconds = np.zeros((len(inputs), len(outputs)))
    for i, n_in in enumerate(inputs.tolist()):
        for j, n_out in enumerate(outputs.tolist()):
            into = all_inputs * n_out // all_outputs if joined else n_in
            bare = _bare(module, into, n_out)
            for shape in calls:
                x = torch.randn(_with_channels(module, shape, into))
                seconds[i, j] += median_seconds(lambda bare=bare, x=x: bare(x), repeats)  # type: ignore[misc]
    return LayerTimes(inputs, outputs, _monotone(seconds), joined)


def _grid(count: int, step: int) -> NDArray[np.int64]:
    """Return the multiples of `step` below `count`, at most POINTS of them, and `count` itself."""
    wanted = np.linspace(0, count, POINTS + 1)[1:]
    rounded: Iterable[int] = (max(step, int(round(x / step)) * step) for x in wanted)
    return np.unique([min(count, n) for n in rounded] + [count])


def _bare(module: nn.Module, inputs: int, outputs: int) -> nn.Module:
    if isinstance(module, nn.Linear):
        return nn.Linear(inputs, outputs, bias=module.bias is not None)
    assert isinstance(module, _ConvNd)
    depthwise = module.groups == module.in_channels
    kind: Any = type(module)
    return kind(
        inputs, outputs, module.kernel_size, module.stride, module.padding, module.dilation,
        inputs if depthwise and inputs > 1 else module.groups, module.bias is not None,
    )  # fmt: skip


def _with_channels(module: nn.Module, shape: torch.Size, inputs: int) -> list[int]:
    sizes = list(shape)
    axis = -1 if isinstance(module, nn.Linear) else 1 - (len(shape) == len(module.kernel_size) + 1)  # type: ignore[arg-type]
    sizes[axis] = inputs
    return sizes


def _monotone(seconds: Reals) -> Reals:
    """Make times monotone along both axes: average the running maximum and the minimum of the following
    values.
    """
    for axis in (0, 1):
        least = np.flip(np.minimum.accumulate(np.flip(seconds, axis), axis), axis)
        seconds = (np.maximum.accumulate(seconds, axis) + least) / 2
    return seconds
