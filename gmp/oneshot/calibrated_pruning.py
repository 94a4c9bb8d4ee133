"""Pruning at once with calibration data: layer by layer, each on the inputs that the layers before give."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from gmp.batch_norm_recalibration import recalibrate_batch_norm
from gmp.errors import PruningError, PruningWarning
from gmp.example_batches import Forward, check_several, run
from gmp.number_checks import above_zero, fraction
from gmp.oneshot.calibration_inputs import Moments, is_supported, matrix_of, weight_of
from gmp.oneshot.kept_weights import lowest_of_rows, lowest_removed, surgeon_mask, wanda_scores
from gmp.oneshot.least_squares import output_error, refitted
from gmp.oneshot.sparse_gpt import sparse_gpt
from gmp.patterns import Pattern, pattern_of
from gmp.sparsity_report import Report, report_of
from gmp.targets import Matcher, Target, by_name, layer_weights, select
from sparsim.errors import near

METHODS = ("least-squares", "wanda", "wanda-rows", "obs", "sparsegpt")


def prune_with_data(
    model: nn.Module,
    batches: Iterable[Any],
    sparsity: float | Mapping[str, float] | None = None,
    *,
    method: str = "least-squares",
    pattern: str = "1x1",
    targets: Matcher | Iterable[Matcher] | None = None,
    ignore: Matcher | Iterable[Matcher] = (),
    damping: float = 0.01,
    recalibrate: bool = True,
    forward: Forward | None = None,
) -> Report:
    """Prune linear layers and convolutions at once, so that their outputs on calibration data change little.

    Parameters
    ----------
    model : nn.Module
        Network to prune in place. Only weights, and statistics of batch norms, are changed.
    batches : iterable of Tensor, tuple or mapping
        Calibration data, some hundred samples; labels are not used.
    sparsity : float or mapping of str to float, optional
        Fraction of each weight that is pruned, or the fraction of each by name, as
        `gmp.sensitivity.SensitivityTable.ratios` gives it; layers that are not named stay dense. The pattern
        "n:m" takes none.
    method : {"least-squares", "wanda", "wanda-rows", "obs", "sparsegpt"}, default "least-squares"
        "least-squares" prunes by magnitude and fits what stays. "wanda" prunes by ``|w|`` times the norm of
        its input and changes no other weight; "wanda-rows" ranks within each output, as the paper does.
        "obs" is the optimal brain surgeon, one weight at a time, for small layers. "sparsegpt" is for layers
        with thousands of inputs.
    pattern : str, default "1x1"
        "1x1", or "n:m" as in "2:4": n of m input channels in a row are kept at each kernel position.
    targets : type, str, callable, or iterable of these, optional
        Weights to prune, as `gmp.select` matches them; by default those of all linear layers and
        convolutions.
    ignore : type, str, callable, or iterable of these, default ()
        Weights not to prune, likewise.
    damping : float, default 0.01
        Fraction of the mean squared input that is added to the second moments.
    recalibrate : bool, default True
        Whether statistics of batch norms are measured again after each layer.
    forward : callable, optional
        Called as ``forward(model, batch)`` in place of the model.

    Returns
    -------
    Report
        What is left of each weight. "output_error" is the squared error of the layer's outputs relative to
        these outputs, "dead_inputs" how many of its inputs are zero throughout.

    Raises
    ------
    PruningError
        If there are no batches, if options do not fit, or if a layer does not run on the batches.

    Warns
    -----
    PruningWarning
        If a layer gets fewer rows of inputs than it has inputs, so that its weights are not determined by
        the data.

    Notes
    -----
    Weights that are zero stay zero and count as pruned. Counts are exact: ``round(sparsity * size)``, of
    grouped convolutions in each group.

    With H the second moments of the inputs, "least-squares" and "obs" give each row the weights that minimise
    (w' - w) H (w' - w), "obs" on a mask that is found with them (Frantar and Alistarh 2022). Wanda is Sun et
    al. 2023; SparseGPT is Frantar and Alistarh 2023.

    Examples
    --------
    >>> import torch
    >>> from gmp.oneshot import prune_with_data
    >>> layer = torch.nn.Linear(8, 4)
    >>> prune_with_data(layer, [torch.randn(100, 8)], 0.5).sparsity
    0.5
    """
    if method not in METHODS:
        raise PruningError(f"unknown method {method!r}", hint=near(str(method), METHODS))
    shape = pattern_of(pattern)
    if not shape.single and not shape.keep:
        raise PruningError(f"the pattern '{pattern}' has no mask by calibration data; 1x1 and n:m have")
    if shape.keep and sparsity is not None:
        raise PruningError(f"the pattern '{pattern}' says what is pruned; leave out the sparsity")
    if method == "wanda-rows" and shape.keep:
        method = "wanda"  # groups lie within rows
    damping = above_zero(damping, "damping")
    check_several(batches)
    data = list(batches)
    if not data:
        raise PruningError("there are no batches to calibrate with")
    layers = _layers(model, targets, ignore)
    ratios = _ratios([layer.name for layer in layers], sparsity, shape)
    masks: dict[str, Tensor] = {}
    columns: dict[str, dict[str, object]] = {}
    short = []
    with _evaluating(model):
        for layer in _in_call_order(model, layers, data[0], forward):
            if layer.name not in ratios:
                continue
            plan = _Plan(method, ratios[layer.name], shape, damping)
            masks[layer.name], columns[layer.name], rows = _pruned(model, layer, data, forward, plan)
            if rows < layer.weight[0].numel():
                short.append(layer.name)
            if recalibrate:
                recalibrate_batch_norm(model, data, forward=forward)
    ordered = {layer.name: masks[layer.name] for layer in layers if layer.name in masks}
    if short:
        warnings.warn(
            f"the calibration data have fewer rows than {', '.join(short)} has inputs: more samples "
            "determine the weights better",
            PruningWarning,
            stacklevel=2,
        )
    return report_of(model, ordered, columns)


class _Plan(NamedTuple):
    """The way in which a layer is pruned; `ratio` is None for n:m."""

    method: str
    ratio: float | None
    pattern: Pattern
    damping: float


def _pruned(
    model: nn.Module, layer: Target, data: list[Any], forward: Forward | None, plan: _Plan
) -> tuple[Tensor, dict[str, object], int]:
    """Prune a layer. Returns its mask, its row of the report, and the number of rows of inputs."""
    weight = layer.weight
    if not bool(weight.isfinite().all()):
        raise PruningError(f"'{layer.name}' has weights that are not finite")
    holders = [m for m in model.modules() if any(p is weight for p in m._parameters.values())]
    gathered = Moments(holders)
    try:
        moments = gathered.gather(model, data, forward)
    except PruningError as error:
        raise PruningError(f"'{layer.name}': {error}") from None
    matrix = matrix_of(layer.module, weight.detach().double()).to(moments.device)
    inputs = weight.shape[1]
    done = [_group(w, h, inputs, plan) for w, h in zip(matrix, moments, strict=True)]
    new, live = (torch.stack([part[i] for part in done]) for i in (0, 1))
    changed = sum(float(output_error(*part).sum()) for part in zip(new, matrix, moments, strict=True))
    size = sum(
        float(output_error(w, torch.zeros_like(w), h).sum()) for w, h in zip(matrix, moments, strict=True)
    )
    mask = weight_of(live, weight).to(weight.device)
    with torch.no_grad():
        weight.copy_(weight_of(new, weight)).masked_fill_(~mask, 0)
    dead = int((moments.diagonal(dim1=-2, dim2=-1) == 0).sum())
    return mask, {"output_error": changed / size if size > 0 else 0.0, "dead_inputs": dead}, gathered.rows


def _group(weights: Tensor, moments: Tensor, inputs: int, plan: _Plan) -> tuple[Tensor, Tensor]:
    """Return new weights (rows, columns) of one group, and their mask."""
    count = (
        None if plan.ratio is None else max(round(plan.ratio * weights.numel()), int((weights == 0).sum()))
    )
    rest = (count, plan.pattern, inputs)
    if plan.method == "sparsegpt":
        return sparse_gpt(weights, moments, plan.damping, *rest)
    if plan.method == "obs":
        live = surgeon_mask(weights, moments, plan.damping, *rest)
    elif plan.method == "wanda-rows" and count is not None:
        live = lowest_of_rows(wanda_scores(weights, moments), count)
    else:
        scores = weights.abs() if plan.method == "least-squares" else wanda_scores(weights, moments)
        live = lowest_removed(scores, *rest)
    if plan.method.startswith("wanda"):
        return weights * live, live
    return refitted(weights, live, moments, plan.damping), live


def _layers(
    model: nn.Module, targets: Matcher | Iterable[Matcher] | None, ignore: Matcher | Iterable[Matcher]
) -> tuple[Target, ...]:
    """Return the layers to prune. Refuses named modules that are neither linear layers nor convolutions."""

    def supported(name: str, module: nn.Module) -> bool:
        return is_supported(module, "weight") and layer_weights(name, module)

    found = select(model, supported if targets is None else targets, ignore)
    for target in found:
        if not is_supported(target.module, target.key):
            raise PruningError(
                f"'{target.name}' is of a {type(target.module).__name__}; calibration data can prune the "
                "weights of linear layers and convolutions"
            )
    return found


def _ratios(
    names: list[str], sparsity: float | Mapping[str, float] | None, pattern: Pattern
) -> dict[str, float | None]:
    if pattern.keep:
        return dict.fromkeys(names)
    if sparsity is None:
        raise PruningError("no sparsity is given; the pattern '1x1' needs one")
    if isinstance(sparsity, Mapping) and not sparsity:
        raise PruningError("the sparsities by layer name no layer")
    given = (
        by_name(sparsity, names, "sparsity")
        if isinstance(sparsity, Mapping)
        else dict.fromkeys(names, sparsity)
    )
    return {name: fraction(ratio, f"the sparsity of '{name}'") for name, ratio in given.items()}


def _in_call_order(
    model: nn.Module, layers: tuple[Target, ...], batch: Any, forward: Forward | None
) -> list[Target]:
    """Return layers in the order in which they first run. Refuses layers that do not run at all."""
    first: dict[nn.Module, int] = {}

    def note(module: nn.Module, args: Any) -> None:
        first.setdefault(module, len(first))

    handles = [layer.module.register_forward_pre_hook(note) for layer in layers]
    try:
        run(model, batch, forward, during="the calibration")
    finally:
        for handle in handles:
            handle.remove()
    if silent := [layer.name for layer in layers if layer.module not in first]:
        raise PruningError(f"the layer of '{silent[0]}' does not run on the calibration data; ignore it")
    return sorted(layers, key=lambda layer: first[layer.module])


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Run in evaluation mode without gradients, and restore modes and random numbers afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module, training in modes:
            module.training = training
