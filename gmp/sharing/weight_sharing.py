"""Shared weights of a model in training: clusters that keep one value each.

The gradient of a weight is replaced by the sum over its cluster before it is accumulated, so that all weights
of a cluster take the same steps, whatever the optimizer. `apply()` after the step takes their mean, which
removes differences by rounding or other changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from gmp.errors import PruningError, check_state
from gmp.hooked_weights import HookedWeights
from gmp.number_checks import whole
from gmp.optimizer_steps import optimizers_of
from gmp.parameter_names import named_parameters, renamed
from gmp.sharing.linear_kmeans import linear_kmeans
from gmp.sharing.stored_sizes import SizeReport, size_report
from gmp.targets import PRUNABLE, Matcher, Target, by_name, select
from sparsim.errors import near

MOST_ENTRIES = 2**16


class WeightSharing(HookedWeights):
    """Weights that share the values of a codebook, one for each layer, also while they are trained.

    The weights are clustered at once. Weights that are zero now stay zero.

    Parameters
    ----------
    model : nn.Module
        Model whose weights are clustered.
    optimizer : Optimizer or sequence of Optimizer, optional
        One or several optimizers, or what wraps them. Their momentum and other averages of the weights of a
        cluster become equal.
    targets : type, str, callable, or iterable of these, default PRUNABLE
        Weights that are clustered, as `select` matches them.
    ignore : type, str, callable, or iterable of these, default ()
        Weights that are not clustered, likewise.
    entries : int or mapping of str to int, default 16
        Distinct values of each weight, zero included where there are zeros. 16 entries take 4 bits. As one
        number it holds for all weights, and those with fewer distinct values keep these. By name or ``"re:"``
        expression, weights without a number are not clustered.
    state : mapping, optional
        Result of `state_dict` of an earlier run, whose clusters are taken over. `targets`, `ignore` and
        `entries` are not used then, and averages of optimizers that are loaded already stay as they are.

    Attributes
    ----------
    model : nn.Module
        The model.

    Raises
    ------
    PruningError
        If options do not fit the model, if there are more entries than distinct values, or if a weight is
        not finite.

    Notes
    -----
    Clusters are those of k-means, with centres that are evenly spaced between the smallest and the largest
    weight at the start; the gradient of a shared value is the sum over its weights (Deep Compression, Han et
    al., ICLR 2016, section 3). Sums are larger than gradients of single weights, so plain SGD needs a smaller
    learning rate; the norm that is clipped is that of the sums, each counted as often as it is used.

    Prune before weights are shared.

    Examples
    --------
    >>> import torch
    >>> import gmp
    >>> torch.manual_seed(0)
    <torch._C.Generator object at ...>
    >>> model = torch.nn.Linear(64, 32)
    >>> _ = gmp.one_shot(model, 0.9)
    >>> sharing = gmp.WeightSharing(model, entries=16)
    >>> len(model.weight.unique())
    16
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer | Sequence[Optimizer] | None = None,
        *,
        targets: Matcher | Iterable[Matcher] = PRUNABLE,
        ignore: Matcher | Iterable[Matcher] = (),
        entries: int | Mapping[str, int] = 16,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        self.model, self._optimizers, self._finalized = model, optimizers_of(optimizer), False
        if state is not None:
            check_state(state, {"weights"}, "weight sharing")
            targets, ignore = list(renamed(state["weights"], named_parameters(model))), ()
        found = {target.name: target for target in select(model, targets, ignore)}
        numbers: Mapping[str, int] = (
            by_name(entries, found, "entries")
            if isinstance(entries, Mapping)
            else dict.fromkeys(found, entries)
        )
        self._targets = {
            name: target for name, target in found.items() if name in numbers or state is not None
        }
        if not self._targets:
            raise PruningError("entries are given for no weight, so that there is nothing to cluster")
        if state is None:
            self._shared = _clusters(self._targets.values(), numbers, exact=isinstance(entries, Mapping))
            self._equalize_averages()
        else:
            self._shared = self._loaded(state)
        self._attach()
        self._write()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the clustered weights, in the model's order."""
        return tuple(self._targets)

    @property
    def codebooks(self) -> dict[str, Tensor]:
        """Values by the names of the weights, those of the codes 0, 1, 2 and so on; code 0 is zero."""
        return {name: shared.values.clone() for name, shared in self._shared.items()}

    @property
    def codes(self) -> dict[str, Tensor]:
        """Codes by the names of the weights: int32 tensors of their shapes, 0 where a weight is zero."""
        return {name: shared.codes for name, shared in self._shared.items()}

    @torch.no_grad()
    def apply(self) -> None:
        """Give all weights of a cluster their mean; call it after each step of the optimizer.

        Raises
        ------
        PruningError
            If the sharing is finalized.
        """
        self._check_open()
        for name, shared in self._shared.items():
            weight = self._weight(name)
            if weight.requires_grad and self._hooked.get(name) is not weight:
                self._hook(name, weight)
            shared.values = shared.means(weight, shared.values)
        self._write()

    def report(self, index_bits: int = 4) -> SizeReport:
        """Report how many bytes the weights take, as Deep Compression stores them.

        Parameters
        ----------
        index_bits : int, default 4
            Bits of the number of zeros before a stored weight.

        Returns
        -------
        SizeReport
            One row for each weight, and the total.

        Raises
        ------
        PruningError
            If `index_bits` is no whole number from 1 to 32.
        """
        codes = {name: shared.codes.cpu().numpy() for name, shared in self._shared.items()}
        used = {name: len(shared.values) - (not bool((codes[name] == 0).any()))
                for name, shared in self._shared.items()}  # fmt: skip
        return size_report(codes, used, index_bits)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs besides the state of the model.

        Returns
        -------
        dict
            For each weight ("weights") its "codes" and the "values" of the codebook.
        """
        return {
            "weights": {
                name: {
                    "codes": shared.codes.to(torch.uint8 if len(shared.values) <= 256 else torch.int32),
                    "values": shared.values.clone(),
                }
                for name, shared in self._shared.items()
            }
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the clusters and values of `state_dict`.

        Parameters
        ----------
        state : mapping
            State of a sharing of the same weights.

        Raises
        ------
        PruningError
            If the state is not one of shared weights, if names or shapes differ, or if the sharing is
            finalized.
        """
        self._check_open()
        check_state(state, {"weights"}, "weight sharing")
        self._shared = self._loaded(state)
        self._remove_hooks()
        self._attach()
        self._write()

    def _loaded(self, state: Mapping[str, Any]) -> dict[str, _Shared]:
        if not isinstance(state["weights"], Mapping):
            raise PruningError("the state of the weight sharing has no clusters by the names of weights")
        saved = renamed(state["weights"], self._targets)
        for name in saved:
            if name not in self._targets:
                raise PruningError(f"the saved clusters have '{name}'", hint=near(name, self._targets))
        if missing := [name for name in self._targets if name not in saved]:
            raise PruningError(f"the saved clusters lack '{missing[0]}'")
        return {name: _loaded(name, saved[name], self._weight(name)) for name in self._targets}

    def finalize(self) -> None:
        """Leave shared values in the weights and remove all hooks; codebooks can still be read."""
        if not self._finalized:
            self.apply()
            self.detach()

    def detach(self) -> None:
        """Remove all hooks and change nothing else, for a sharing that is no longer used."""
        self._remove_hooks()
        self._finalized = True

    @torch.no_grad()
    def _write(self) -> None:
        for name, shared in self._shared.items():
            weight = self._weight(name)
            weight.copy_(shared.spread(shared.values.to(weight.device)))

    def _hook(self, name: str, weight: Tensor) -> None:
        shared = self._shared[name]

        def summed(grad: Tensor) -> Tensor:
            return shared.spread(shared.sums(grad))

        self._handles.append(weight.register_hook(summed))  # type: ignore[no-untyped-call]
        self._hooked[name] = weight

    def _equalize_averages(self) -> None:
        for name, shared in self._shared.items():
            weight = self._weight(name)
            for optimizer in self._optimizers:
                for value in optimizer.state.get(weight, {}).values():
                    if isinstance(value, Tensor) and value.shape == weight.shape:
                        value.copy_(shared.spread(shared.means(value, None)))

    def _check_open(self) -> None:
        if self._finalized:
            raise PruningError("this weight sharing is finalized; make a new one")


class _Shared:
    """Clusters of one weight. It does not know its weight, so that hooks of the weight can hold it."""

    def __init__(self, codes: Tensor, values: Tensor) -> None:
        self.codes, self.values = codes, values

    def sums(self, tensor: Tensor) -> Tensor:
        """Return the sum of each cluster; that of zeros is zero."""
        codes = self._codes_on(tensor.device).flatten()
        found = torch.bincount(codes, tensor.detach().flatten().double(), minlength=len(self.values))
        found[0] = 0.0
        return found.to(tensor.dtype)

    def means(self, tensor: Tensor, empty: Tensor | None) -> Tensor:
        """Return the mean of each cluster; one without weights has the value in `empty`, or zero."""
        codes = self._codes_on(tensor.device).flatten()
        sums = torch.bincount(codes, tensor.detach().flatten().double(), minlength=len(self.values))
        number = torch.bincount(codes, minlength=len(self.values))
        found = (sums / number.clamp(min=1)).to(tensor.dtype)
        if empty is not None:
            found = torch.where(number > 0, found, empty.to(tensor.device))
        found[0] = 0.0
        return found

    def spread(self, values: Tensor) -> Tensor:
        """Return the value of its cluster for each weight."""
        codes = self._codes_on(values.device)
        return values.index_select(0, codes.flatten()).reshape(codes.shape)

    def _codes_on(self, device: torch.device) -> Tensor:
        if self.codes.device != device:
            self.codes = self.codes.to(device)
        return self.codes


def _entries(number: Any, name: str) -> int:
    found = whole(number, f"the number of entries of '{name}'")
    if found > MOST_ENTRIES:
        raise PruningError(f"the number of entries of '{name}' must be at most {MOST_ENTRIES}, got {found}")
    return found


def _clusters(targets: Iterable[Target], numbers: Mapping[str, int], *, exact: bool) -> dict[str, _Shared]:
    """By the names of weights. `exact`: each has as many entries as `numbers` says, not fewer."""
    values = {target.name: _values(target) for target in targets}
    found = {name: len(np.unique(each)) for name, each in values.items()}
    for name, distinct in found.items():
        most = distinct if exact else max(found.values())
        if _entries(numbers[name], name) > most:
            text = f"'{name}' has {distinct}" if exact else f"no weight has more than {most}"
            raise PruningError(
                f"a codebook of {numbers[name]} entries is asked for, and {text} distinct values"
            )
        if numbers[name] == 1 < distinct and 0 in values[name]:
            raise PruningError(f"'{name}' has zeros, so that a codebook needs 2 entries and more")
    return {
        target.name: _clustered(target, values[target.name], min(numbers[target.name], found[target.name]))
        for target in targets
    }


def _values(target: Target) -> NDArray[np.float64]:
    weight = target.weight.detach()
    if not bool(torch.isfinite(weight).all()):
        raise PruningError(f"'{target.name}' has weights that are not finite")
    return weight.flatten().double().cpu().numpy()


def _clustered(target: Target, flat: NDArray[np.float64], entries: int) -> _Shared:
    weight, nonzero = target.weight, flat != 0
    codes, values = np.zeros(flat.shape, np.int32), np.zeros(1)
    if nonzero.any():
        centres, index = linear_kmeans(flat[nonzero], entries - int(not nonzero.all()))
        codes[nonzero], values = index + 1, np.concatenate([[0.0], centres])
    return _Shared(
        torch.from_numpy(codes).reshape(weight.shape).to(weight.device),
        torch.from_numpy(values).to(weight.device, weight.dtype),
    )


def _loaded(name: str, saved: Any, weight: Tensor) -> _Shared:
    if not isinstance(saved, Mapping) or set(saved) != {"codes", "values"}:
        raise PruningError(f"the saved clusters of '{name}' are no codes and values")
    codes, values = saved["codes"], saved["values"]
    if not isinstance(codes, Tensor) or not isinstance(values, Tensor):
        raise PruningError(f"the saved clusters of '{name}' must be tensors of codes and values")
    if codes.shape != weight.shape:
        raise PruningError(
            f"the saved clusters of '{name}' have shape {tuple(codes.shape)}, "
            f"the weight {tuple(weight.shape)}"
        )
    if values.dim() != 1 or not len(values) or int(codes.max()) >= len(values) or int(codes.min()) < 0:
        raise PruningError(f"the saved clusters of '{name}' have codes without a value")
    if codes.is_floating_point():
        raise PruningError(f"the saved codes of '{name}' must be whole numbers, got {codes.dtype}")
    if not bool(values.isfinite().all()) or float(values[0]) != 0:
        raise PruningError(
            f"the saved values of '{name}' must be finite, the first one 0, got {values[:3].tolist()}"
        )
    return _Shared(codes.to(weight.device, torch.int32), values.to(weight.device, weight.dtype))
