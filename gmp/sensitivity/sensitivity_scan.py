"""One layer after the other is pruned alone, the network evaluated, and the layer restored.

All points see the same samples, so that differences to the dense network are paired. Where batches for the
statistics of batch norms are given, they are measured again at every point, and once for the dense network;
otherwise a scan shows what outdated statistics cost, not what the missing weights do.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gmp.batch_norm_recalibration import recalibrate_batch_norm
from gmp.energy.weight_costs import WeightCosts
from gmp.errors import PruningError, writing
from gmp.example_batches import Forward, run
from gmp.number_checks import above_zero, is_number
from gmp.patterns import pattern_of
from gmp.pruner import Pruner
from gmp.scores import Score
from gmp.sensitivity.replayed_modules import CallOrder, Replay
from gmp.sensitivity.sensitivity_table import Point, SensitivityTable
from gmp.targets import PRUNABLE, Matcher, Target, select
from sparsim.fileio.reading import read_text
from sparsim.report.console import layers_done

Measure = Callable[[Any, Any], tuple[Tensor, Tensor]]

RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


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
    targets: Matcher | Iterable[Matcher] = PRUNABLE,
    ignore: Matcher | Iterable[Matcher] = (),
    score: str | Score = "magnitude",
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
        Network to scan. Its weights, buffers, modes, gradients and random numbers are the same afterwards.
    batches : iterable of tuple or mapping
        Samples that every point is evaluated on, with labels; kept in memory.
    ratios : sequence of float, default RATIOS
        Sparsities of a layer, above 0 and up to 1; by default 0.1, 0.2 to 0.9 and 0.95.
    targets : type, str, callable, or iterable of these, default PRUNABLE
        Weights that are scanned, as `gmp.select` matches them.
    ignore : type, str, callable, or iterable of these, default ()
        Weights that are not scanned, likewise.
    score : str or callable, default "magnitude"
        What is pruned first, as in `gmp.Pruner`.
    pattern : str, default "1x1"
        What is pruned together, likewise.
    measure : callable, default classified
        Called as ``measure(output, batch)``; returns the loss of each sample, and whether it is right.
    calibration : iterable of Tensor, tuple or mapping, optional
        Batches on which batch norms are measured again at every point.
    stop : float, optional
        Increase of the loss at which the scan of a layer ends; twice the threshold of interest is enough.
    costs : WeightCosts, optional
        Costs for further columns and budgets.
    path : str or Path, optional
        File that keeps every point; a scan that was interrupted goes on from there.
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
        The points. Sparsities that prune the same number of weights as the one before are left out, and a
        layer of which nothing can be pruned is named in `not_prunable`.

    Raises
    ------
    PruningError
        If a ratio is outside of its range, if there are no batches, if the loss of the dense network or of a
        point is not finite, if a layer that is named gives the outputs of the network and the pattern would
        remove some of them, or if `path` has another scan.

    Notes
    -----
    Interactions between layers are not seen. The curves of loss are smoother than those of accuracy, and see
    damage before the accuracy does.
    """
    wanted = _checked_ratios(ratios)
    if stop is not None:
        stop = above_zero(stop, "stop")
    seen, norms = list(batches), None if calibration is None else list(calibration)
    if not seen or norms == []:
        what = "measure the statistics of batch norms with" if seen else "evaluate the network on"
        raise PruningError(f"there are no batches to {what}")
    weights = select(model, targets, ignore)
    with _untouched(model):
        passes = _Passes(model, seen, norms, measure, forward)
        reasons = {}
        if pattern_of(pattern).whole_kernel and pattern_of(pattern).columns is None:
            reasons = _outputs(model, weights, seen[0], forward)
            if reasons and targets is not PRUNABLE:
                raise PruningError(
                    f"'{next(iter(reasons))}' cannot be scanned: {next(iter(reasons.values()))}"
                )
        losses, correct = passes.evaluate()
        if not math.isfinite(float(losses.mean())):
            raise PruningError(f"the loss of the dense network is {float(losses.mean())}")
        weights = tuple(target for target in weights if target.name not in reasons)
        store = _Store(path, _digest(model, losses, wanted, str(score), pattern))
        points: list[Point] = []
        sizes = {}
        with _shown(progress, len(weights)) as done:
            for target in weights:
                found = store.points(target.name)
                if found is None:
                    found = _scanned(
                        model, target, wanted, stop, score, pattern, passes, (losses, correct), reuse
                    )
                    store.add(target.name, found)
                if found:
                    points += found
                    sizes[target.name] = target.weight.numel()
                else:
                    reasons[target.name] = "no ratio prunes anything of it"
                done(target.name)
    return SensitivityTable(
        len(losses), float(losses.mean()), float(correct.mean()), sizes, tuple(points), reasons, costs
    )


class _Passes:
    """Evaluations of the network, and of what follows a layer."""

    def __init__(
        self, model: nn.Module, batches: list[Any], norms: list[Any] | None, measure: Measure,
        forward: Forward | None,
    ) -> None:  # fmt: skip
        self.model, self._batches, self._norms = model, batches, norms
        self._measure, self._forward = measure, forward
        self._replays: tuple[Replay, Replay] | None = None
        self._order: CallOrder | None = None

    @contextmanager
    def after(self, weight: Tensor) -> Iterator[None]:
        """Run only what follows; what comes before is kept now, while the weight is as it was."""
        if self._order is None:
            self._order = CallOrder(self.model, lambda: run(self.model, self._batches[0], self._forward))
        modules = self._order.modules_before(weight)
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
        """Loss of each sample, and 1 or 0 for whether it is right, with new statistics of batch norms."""
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
            return run(model, batch, self._forward)

        return forward


def _scanned(
    model: nn.Module, target: Target, ratios: list[float], stop: float | None, score: str | Score,
    pattern: str, passes: _Passes, dense: tuple[Tensor, Tensor], reuse: bool,
) -> list[Point]:  # fmt: skip
    """The points of one layer; [] where nothing of it can be pruned."""
    original, size = target.weight.detach().clone(), target.weight.numel()
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    pruner = Pruner(model, targets=target.name, scope="layer", score=score, pattern=pattern)
    zeros = round(pruner.sparsity * size)
    points: list[Point] = []
    try:
        with passes.after(target.weight) if reuse else nullcontext():
            for ratio in ratios:
                if ratio > pruner.max_sparsity + 1e-9:
                    break
                pruner.prune(max(ratio, pruner.sparsity))
                if round(pruner.sparsity * size) == zeros:
                    continue
                zeros = round(pruner.sparsity * size)
                losses, correct = passes.evaluate()
                _restore(buffers)
                points.append(_point(target.name, zeros / size, dense, (losses, correct)))
                if stop is not None and points[-1].loss_increase > stop:
                    break
    finally:
        pruner.detach()
        with torch.no_grad():
            target.weight.copy_(original)
        _restore(buffers)
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
    """Evaluation mode without gradients; modes, buffers and random numbers are given back."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, training in modes:
            module.training = training
        _restore(buffers)


@torch.no_grad()
def _restore(buffers: list[tuple[Tensor, Tensor]]) -> None:
    for buffer, value in buffers:
        buffer.copy_(value)


def _checked_ratios(ratios: Sequence[float]) -> list[float]:
    for ratio in ratios:
        if not is_number(ratio) or not 0 < ratio <= 1:
            raise PruningError(f"a ratio is {ratio!r}; it must be a number above 0 and up to 1")
    if not ratios:
        raise PruningError("there are no ratios to scan")
    return sorted(set(map(float, ratios)))


def _outputs(
    model: nn.Module, weights: Iterable[Target], batch: Any, forward: Forward | None
) -> dict[str, str]:
    """Weights whose output channels are the network's: a nan in one of them does not reach all others."""
    found = {}
    for target in weights:
        axis = -1 if isinstance(target.module, nn.Linear) else 1

        def spoil(module: nn.Module, args: Any, output: Tensor, axis: int = axis) -> Tensor:
            output = output.clone()
            output.select(axis, 0).fill_(math.nan)
            return output

        handle = target.module.register_forward_hook(spoil)
        try:
            output = run(model, batch, forward)
        finally:
            handle.remove()
        if isinstance(output, Tensor) and output.dim() > 1:
            spoiled = output.isnan().flatten(2).any(2) if output.dim() > 2 else output.isnan()
            if bool(spoiled.any()) and not bool(spoiled.all(dim=1).any()):
                found[target.name] = "its output channels are the outputs of the network"
    return found


def _digest(model: nn.Module, losses: Tensor, ratios: list[float], *options: str) -> str:
    """A digest of everything that the points depend on."""
    digest = hashlib.sha256(repr((ratios, options)).encode())
    digest.update(losses.cpu().numpy().tobytes())
    for parameter in model.parameters():
        digest.update(parameter.detach().cpu().double().numpy().tobytes())
    return digest.hexdigest()


class _Store:
    """Points in a file, a line for each layer, below a line that says of which scan they are."""

    def __init__(self, path: str | Path | None, digest: str) -> None:
        self._path = None if path is None else Path(path)
        self._known: dict[str, list[Point]] = {}
        if self._path is None:
            return
        if not self._path.exists():
            self._write(json.dumps({"scan": digest}), "x")
            return
        text = read_text(self._path, what="the points of a scan", error=PruningError)
        head, *lines = text[: text.rfind("\n") + 1].splitlines() or [""]  # without a line that was cut off
        try:
            written = json.loads(head)["scan"]
            self._known = {name: [Point(*p) for p in points] for name, points in map(json.loads, lines)}
        except (ValueError, KeyError, TypeError):
            raise PruningError(f"{self._path} has no points of a scan") from None
        if written != digest:
            raise PruningError(f"{self._path} has another scan: of other weights, samples or options")
        if not text.endswith("\n"):
            with writing(self._path, "points"):
                self._path.write_text("\n".join([head, *lines, ""]), encoding="utf-8")

    def points(self, name: str) -> list[Point] | None:
        return self._known.get(name)

    def add(self, name: str, points: list[Point]) -> None:
        if self._path is not None:
            self._write(json.dumps([name, points]), "a")

    def _write(self, line: str, mode: str) -> None:
        assert self._path is not None
        with writing(self._path, "points"), self._path.open(mode, encoding="utf-8") as file:
            file.write(line + "\n")


@contextmanager
def _shown(progress: Callable[[str], object] | None, number: int) -> Iterator[Callable[[str], object]]:
    if progress is not None:
        yield progress
        return
    with layers_done(number, "sensitivity") as show:
        yield show
