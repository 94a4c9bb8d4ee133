"""Sensitivity scan: prune each layer alone, evaluate the network, and restore the layer.

All points are evaluated on the same samples, so differences to the dense network are paired. If batches for
the statistics of batch norms are given, the statistics are measured again at every point, and once for the
dense network. Otherwise a scan measures the effect of outdated statistics rather than that of the missing
weights.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gmp.batch_norm_recalibration import recalibrate_batch_norm
from gmp.channels.channel_records import ChannelGroups
from gmp.channels.channel_scores import ChannelScore
from gmp.energy.weight_costs import WeightCosts
from gmp.errors import PruningError
from gmp.example_batches import Forward, check_several, run
from gmp.number_checks import above_zero, is_number
from gmp.patterns import pattern_of
from gmp.scores import Score
from gmp.sensitivity.replayed_modules import CallOrder, Replay
from gmp.sensitivity.scanned_parts import GroupPart, Part, WeightPart, restore, restored
from gmp.sensitivity.sensitivity_table import Point, SensitivityTable
from gmp.stored_results import StoredResults, digest_of
from gmp.targets import PRUNABLE, Matcher, Target, select
from sparsim.report.console import layers_done

Measure = Callable[[Any, Any], tuple[Tensor, Tensor]]

SCAN = "the scan"  # in messages
RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


def classified(output: Any, batch: Any) -> tuple[Tensor, Tensor]:
    """Return the cross-entropy of each sample, and whether it is classified correctly.

    Parameters
    ----------
    output : Tensor, shape (samples, classes)
        Logits of a batch.
    batch : tuple
        The batch, whose last item is the labels.

    Returns
    -------
    losses : Tensor, shape (samples,)
        Cross-entropy.
    correct : Tensor, shape (samples,)
        Whether the largest logit is that of the label.

    Raises
    ------
    PruningError
        If the batch has no labels.
    """
    if not isinstance(batch, tuple | list) or len(batch) < 2 or not isinstance(batch[-1], Tensor):
        raise PruningError(
            "a batch has no labels: pass (inputs, labels), or measure=, which says what is lost"
        )
    return functional.cross_entropy(output, batch[-1], reduction="none"), output.argmax(dim=1) == batch[-1]


def scan(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    ratios: Sequence[float] = RATIOS,
    groups: ChannelGroups | None = None,
    targets: Matcher | Iterable[Matcher] = PRUNABLE,
    ignore: Matcher | Iterable[Matcher] = (),
    score: str | Score | ChannelScore = "magnitude",
    pattern: str = "1x1",
    measure: Measure = classified,
    calibration: Iterable[Any] | None = None,
    stop: float | None = None,
    costs: WeightCosts | None = None,
    path: str | Path | None = None,
    reuse: bool = True,
    progress: Callable[[str], object] | None = None,
    forward: Forward | None = None,
) -> SensitivityTable:
    """Prune each layer alone at several sparsities, and measure loss and accuracy.

    Parameters
    ----------
    model : nn.Module
        Network to scan. Its weights, buffers, modes and gradients and the states of random number generators
        are the same afterwards.
    batches : iterable of tuple or mapping
        Samples that every point is evaluated on, with labels; kept in memory.
    ratios : sequence of float, default RATIOS
        Sparsities of a layer, above 0 and up to 1; by default 0.1, 0.2 to 0.9, 0.95, 0.98 and 0.99. They
        must go well beyond the overall sparsity that is wanted.
    groups : ChannelGroups, optional
        Groups of coupled channels, from `gmp.channel_groups`, which are scanned instead of weights: the
        channels with the lowest scores are set to zero in all layers of the group.
    targets : type, str, callable, or iterable of these, default PRUNABLE
        Weights that are scanned, as `gmp.select` matches them.
    ignore : type, str, callable, or iterable of these, default ()
        Weights that are not scanned, matched in the same way.
    score : str or callable, default "magnitude"
        Score of the weights, as in `gmp.Pruner`; those with the lowest scores are pruned first. For groups it
        is a score of channels, as in `gmp.channels.score_channels`, and "magnitude" stands for "l2".
    pattern : str, default "1x1"
        Weights that are pruned together, as in `gmp.Pruner`.
    measure : callable, default classified
        Called as ``measure(output, batch)``; returns the loss of each sample, and whether it is classified
        correctly.
    calibration : iterable of Tensor, tuple or mapping, optional
        Batches on which batch norms are measured again at every point.
    stop : float, optional
        Increase of the loss at which the scan of a layer ends; twice the threshold of interest is enough.
    costs : WeightCosts, optional
        Costs of the network, for further columns of the table and for budgets of these costs.
    path : str or Path, optional
        File that stores every point, so that an interrupted scan can be continued.
    reuse : bool, default True
        Whether outputs of modules that run before the layer are kept in memory, so that only the rest of the
        network runs at each point.
    progress : callable, optional
        Called with the name of each weight when it is done; by default progress is shown on stderr if that is
        a terminal.
    forward : callable, optional
        Called as ``forward(model, batch)`` in place of the model.

    Returns
    -------
    SensitivityTable
        The points. Sparsities that prune the same number of weights as the previous one are left out, and a
        layer in which nothing can be pruned is named in `not_prunable`.

    Raises
    ------
    PruningError
        If a ratio is outside of its range, if there are no batches, if the loss of the dense network or of a
        point is not finite, if a named layer computes the outputs of the network and the pattern would remove
        some of them, or if `path` has another scan.

    Notes
    -----
    A scan does not measure interactions between layers. The curves of the loss are smoother than those of the
    accuracy and show damage earlier.
    """
    wanted = _checked_ratios(ratios)
    if groups is not None and pattern != "1x1":
        raise PruningError(f"groups of channels are scanned whole; leave out the pattern, got '{pattern}'")
    for given in (batches, calibration):
        if given is not None:
            check_several(given)
    if stop is not None:
        stop = above_zero(stop, "stop")
    seen, norms = list(batches), None if calibration is None else list(calibration)
    if not seen or norms == []:
        what = "measure the statistics of batch norms with" if seen else "evaluate the network on"
        raise PruningError(f"there are no batches to {what}")
    with _untouched(model):
        parts, reasons = _parts(model, seen[0], groups, targets, ignore, score, pattern, forward)
        passes = _Passes(model, seen, norms, measure, forward)
        losses, correct = passes.evaluate()
        if not math.isfinite(float(losses.mean())):
            raise PruningError(f"the loss of the dense network is {float(losses.mean())}")
        kind = "channels" if groups is not None else pattern
        store = StoredResults(path, "scan", digest_of(model, [losses], wanted, (str(score), kind)))
        points, sizes = list[Point](), {}
        with _shown(progress, len(parts)) as done:
            for name, make in parts.items():
                part = make()
                if name in store.known:
                    found = [Point(*point) for point in store.known[name]]
                else:
                    found = _scanned(model, part, wanted, stop, passes, (losses, correct), reuse)
                    store.add(name, found)
                if found:
                    points += found
                    sizes[name] = part.size
                else:
                    reasons[name] = "no ratio prunes anything of it"
                done(name)
    return SensitivityTable(
        len(losses), float(losses.mean()), float(correct.mean()), sizes, tuple(points), reasons, costs,
        of_channels=groups is not None,
    )  # fmt: skip


def _parts(
    model: nn.Module, batch: Any, groups: ChannelGroups | None, targets: Matcher | Iterable[Matcher],
    ignore: Matcher | Iterable[Matcher], score: Any, pattern: str, forward: Forward | None,
) -> tuple[dict[str, Callable[[], Part]], dict[str, str]]:  # fmt: skip
    """Return functions that make the parts to scan, by name, and the reasons why others are not scanned."""
    if groups is not None:
        score = "l2" if score == "magnitude" else score
        made = {group.name: partial(GroupPart, model, group, score) for group in groups}
        return {**made}, {group.name: group.fixed for group in groups.fixed}
    weights, reasons = select(model, targets, ignore), dict[str, str]()
    shape = pattern_of(pattern)
    if shape.whole_kernel and shape.columns is None:
        reasons = _outputs(model, weights, batch, forward)
        if reasons and targets is not PRUNABLE:
            name, why = next(iter(reasons.items()))
            raise PruningError(f"'{name}' cannot be scanned: {why}")
    return {
        target.name: partial(WeightPart, model, target, score, pattern)
        for target in weights
        if target.name not in reasons
    }, reasons


class _Passes:
    """Evaluations of the whole network, or of the modules from a layer on."""

    def __init__(
        self, model: nn.Module, batches: list[Any], norms: list[Any] | None, measure: Measure,
        forward: Forward | None,
    ) -> None:  # fmt: skip
        self.model, self._batches, self._norms = model, batches, norms
        self._measure, self._forward = measure, forward
        self._replays: tuple[Replay, Replay] | None = None
        self._order: CallOrder | None = None

    @contextmanager
    def after(self, weights: Sequence[Tensor]) -> Iterator[None]:
        """Run only the modules from these weights on, and keep the outputs of the modules before them.

        The outputs are kept on entry, while the weights are not changed.
        """
        if self._order is None:
            self._order = CallOrder(
                self.model, lambda: run(self.model, self._batches[0], self._forward, during=SCAN)
            )
        modules = self._order.modules_before(weights)
        evaluating, calibrating = Replay(modules), Replay(modules)
        if modules:
            with calibrating.recording():
                self._recalibrate(calibrating)
            with evaluating.recording():
                self._measured(evaluating)
            self._replays = evaluating, calibrating
        try:
            yield
        finally:
            self._replays = None

    def evaluate(self) -> tuple[Tensor, Tensor]:
        """Return the loss of each sample, and 1 if it is classified correctly or else 0.

        The statistics of batch norms are measured again first.
        """
        if self._replays is None:
            self._recalibrate(None)
            return self._measured(None)
        evaluating, calibrating = self._replays
        with calibrating.replaying():
            self._recalibrate(calibrating)
        with evaluating.replaying():
            return self._measured(evaluating)

    def _recalibrate(self, replay: Replay | None) -> None:
        if self._norms is not None:
            recalibrate_batch_norm(self.model, self._norms, forward=self._counted(replay))

    def _measured(self, replay: Replay | None) -> tuple[Tensor, Tensor]:
        forward = self._counted(replay)
        pairs = [self._measure(forward(self.model, batch), batch) for batch in self._batches]
        losses, correct = (torch.cat([pair[i].double().flatten() for pair in pairs]) for i in (0, 1))
        return losses, correct

    def _counted(self, replay: Replay | None) -> Forward:
        def forward(model: nn.Module, batch: Any) -> object:
            if replay is not None:
                replay.begin()
            return run(model, batch, self._forward, during=SCAN)

        return forward


def _scanned(
    model: nn.Module, part: Part, ratios: list[float], stop: float | None, passes: _Passes,
    dense: tuple[Tensor, Tensor], reuse: bool,
) -> list[Point]:  # fmt: skip
    """Return the points of one part; [] if nothing in it can be pruned."""
    before, points = part.gone, list[Point]()
    around = passes.after(part.parameters) if reuse else nullcontext()
    with restored(part, model.buffers()) as buffers, around:
        for ratio in ratios:
            gone = part.prune(ratio)
            if gone is None:
                break
            if gone == before:
                continue
            before = gone
            now = passes.evaluate()
            restore(buffers)
            points.append(_point(part.name, gone / part.size, dense, now))
            if stop is not None and points[-1].loss_increase > stop:
                break
    return points


def _point(name: str, sparsity: float, dense: tuple[Tensor, Tensor], now: tuple[Tensor, Tensor]) -> Point:
    losses, correct = now
    if not math.isfinite(loss := float(losses.mean())):
        raise PruningError(f"the loss with '{name}' at sparsity {sparsity:.4g} is {loss}")
    more, fewer = losses - dense[0], dense[1] - correct
    return Point(
        name, sparsity, loss, float(more.mean()), _standard_error(more), float(correct.mean()),
        float(fewer.mean()), _standard_error(fewer),
    )  # fmt: skip


def _standard_error(values: Tensor) -> float:
    return float(values.std() / math.sqrt(len(values))) if len(values) > 1 else 0.0


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Run in evaluation mode without gradients, and restore modes, buffers and random states afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, training in modes:
            module.training = training
        restore(buffers)


def _checked_ratios(ratios: Sequence[float]) -> list[float]:
    if not isinstance(ratios, Iterable):
        raise PruningError(f"ratios must be a list of numbers, got {ratios!r}")
    for ratio in ratios:
        if not is_number(ratio) or not 0 < ratio <= 1:
            raise PruningError(f"a ratio is {ratio!r}; it must be a number above 0 and up to 1")
    if not ratios:
        raise PruningError("there are no ratios to scan")
    return sorted(set(map(float, ratios)))


def _outputs(
    model: nn.Module, weights: Iterable[Target], batch: Any, forward: Forward | None
) -> dict[str, str]:
    """Return the weights whose output channels are outputs of the network, each with the reason.

    They are found by a NaN in one channel, which does not reach all outputs of the network.
    """
    found = {}
    for target in weights:
        axis = -1 if isinstance(target.module, nn.Linear) else 1

        def spoil(module: nn.Module, args: Any, output: Tensor, axis: int = axis) -> Tensor:
            output = output.clone()
            output.select(axis, 0).fill_(math.nan)
            return output

        handle = target.module.register_forward_hook(spoil)
        try:
            output = run(model, batch, forward, during=SCAN)
        finally:
            handle.remove()
        if isinstance(output, Tensor) and output.dim() > 1:
            spoiled = output.isnan().flatten(2).any(2) if output.dim() > 2 else output.isnan()
            if bool(spoiled.any()) and not bool(spoiled.all(dim=1).any()):
                found[target.name] = "its output channels are the outputs of the network"
    return found


@contextmanager
def _shown(progress: Callable[[str], object] | None, number: int) -> Iterator[Callable[[str], object]]:
    if progress is not None:
        yield progress
        return
    with layers_done(number, "sensitivity") as show:
        yield show
