"""How much of a network is pruned or measured, and which modules are not.

Coverage counts weights and the multiplications by them. It names the rest: modules with weights that cannot
be reached, did not run or were left out on purpose, and, for pruning, modules that multiply activations by
each other. Biases and scales, that is, parameters of fewer than two dimensions, count as not covered, but
they are not listed as gaps.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from gmp.errors import CoverageWarning
from gmp.parameter_names import named_modules

MATERIAL = 0.05  # share of parameters or MACs that is worth a warning
SHOWN = 5  # gaps in a sentence

Number = int | float


@dataclass(frozen=True)
class Gap:
    """A module that is not covered.

    Parameters
    ----------
    name : str
        Name of the module; "" is the model itself.
    kind : str
        Name of its class.
    parameters : int
        Number of its own parameters, without biases and scales.
    macs : int or float or None
        MACs per sample; None if they are unknown, 0 if the module did not run.
    on_purpose : bool
        Whether the module could be covered and was left out.
    """

    name: str
    kind: str
    parameters: int
    macs: Number | None
    on_purpose: bool

    @property
    def label(self) -> str:
        """Name and class of the module, as messages show them."""
        return f"{self.name} ({self.kind})" if self.name else self.kind


@dataclass(frozen=True)
class Coverage:
    """How much of a network is covered, and its gaps. A parameter with several names counts once.

    Parameters
    ----------
    what : str
        What is done to the covered part, such as "pruned".
    parameters : int
        Number of parameters of the network.
    covered_parameters : int
        Number of parameters that are covered.
    covered_macs : int or float or None
        MACs per sample of the covered weights; None if the network was not run.
    gaps : tuple of Gap
        Modules that are not covered.
    """

    what: str
    parameters: int
    covered_parameters: int
    covered_macs: Number | None
    gaps: tuple[Gap, ...]

    @property
    def macs(self) -> Number | None:
        """MACs per sample of covered weights and of gaps whose MACs are known; None if nothing was run."""
        if self.covered_macs is None:
            return None
        return self.covered_macs + sum(gap.macs or 0 for gap in self.gaps)

    @property
    def uncovered_parameters(self) -> int:
        """Number of parameters that are not covered, including biases and scales."""
        return self.parameters - self.covered_parameters

    @property
    def uncovered_macs(self) -> Number | None:
        """MACs per sample that are not covered; None if nothing was run."""
        return None if self.macs is None or self.covered_macs is None else self.macs - self.covered_macs

    @property
    def uncovered_parameter_share(self) -> float:
        """Fraction of the parameters that is not covered."""
        return _share(self.uncovered_parameters, self.parameters)

    @property
    def uncovered_mac_share(self) -> float | None:
        """Fraction of the known MACs that is not covered; None if nothing was run."""
        return None if self.uncovered_macs is None else _share(self.uncovered_macs, self.macs)

    @property
    def unknown(self) -> tuple[Gap, ...]:
        """Modules with weights whose MACs are not known, although the network was run."""
        return () if self.macs is None else tuple(gap for gap in self.gaps if gap.macs is None)

    @property
    def idle(self) -> tuple[Gap, ...]:
        """Modules with weights that did not run."""
        return () if self.macs is None else tuple(gap for gap in self.gaps if gap.macs == 0)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that describe what is not covered, in parameters and in MACs."""
        rest = self.uncovered_parameters - sum(gap.parameters for gap in self.gaps)
        parts = self._named(self.gaps, "parameters")
        parts += [f"biases and scales {_percent(rest, self.parameters)}"] if rest else []
        found = [self._sentence(self.uncovered_parameters, self.parameters, "parameters", parts)]
        if self.uncovered_macs is not None:
            parts = self._named(self.gaps, "macs")
            found.append(self._sentence(self.uncovered_macs, self.macs, "MACs of a sample", parts))
        if self.unknown:
            found.append(f"the MACs of {_labels(self.unknown)} are not known")
        if self.idle:
            found.append(f"{_labels(self.idle)} did not run")
        return tuple(found)

    @property
    def warning(self) -> str | None:
        """A sentence if a large part is not covered and was not left out on purpose, else None.

        The part is measured in MACs where they are known, and in parameters elsewhere.
        """
        gaps = [gap for gap in self.gaps if not gap.on_purpose]
        found = []
        if self.macs and (amount := sum(gap.macs or 0 for gap in gaps)) > MATERIAL * self.macs:
            found.append(self._sentence(amount, self.macs, "MACs", self._named(gaps, "macs")))
        unmeasured = [gap for gap in gaps if self.macs is None or gap.macs is None]
        if (amount := sum(gap.parameters for gap in unmeasured)) > MATERIAL * self.parameters:
            unknown = "" if self.macs is None else ", whose MACs are not known"
            parts = self._named(unmeasured, "parameters")
            found.append(self._sentence(amount, self.parameters, "parameters", parts) + unknown)
        return "; ".join(found) or None

    def warn(self, stacklevel: int = 2) -> None:
        """Warn with a `CoverageWarning` if a large part of the network is not covered.

        Parameters
        ----------
        stacklevel : int, default 2
            As in `warnings.warn`, counted from the caller.
        """
        if (sentence := self.warning) is not None:
            warnings.warn(sentence, CoverageWarning, stacklevel=stacklevel + 1)

    def plain(self) -> dict[str, Any]:
        """Return the coverage for JSON.

        Returns
        -------
        dict
            Counts, shares and gaps; None stands for unknown MACs.
        """
        return {
            "parameters": self.parameters,
            "uncovered_parameters": self.uncovered_parameters,
            "uncovered_parameter_share": self.uncovered_parameter_share,
            "macs": self.macs,
            "uncovered_macs": self.uncovered_macs,
            "uncovered_mac_share": self.uncovered_mac_share,
            "gaps": [
                {"name": gap.name, "kind": gap.kind, "parameters": gap.parameters, "macs": gap.macs,
                 "on_purpose": gap.on_purpose}
                for gap in self.gaps
            ],
        }  # fmt: skip

    def _sentence(self, amount: Number, total: Number | None, unit: str, parts: list[str]) -> str:
        of = f": {', '.join(parts)}" if parts else ""
        return f"{_percent(amount, total)} of all {total or 0:,.0f} {unit} are not {self.what}{of}"

    def _named(self, gaps: Iterable[Gap], key: str) -> list[str]:
        """Describe the largest gaps with their shares, and say how many more there are."""
        total = self.parameters if key == "parameters" else self.macs
        sizes = [(getattr(gap, key), gap.label) for gap in gaps if getattr(gap, key)]
        sizes.sort(key=lambda pair: -pair[0])
        more = [f"{len(sizes) - SHOWN} more"] if len(sizes) > SHOWN else []
        return [f"{label} {_percent(size, total)}" for size, label in sizes[:SHOWN]] + more


def coverage_of(
    model: nn.Module,
    covered: Iterable[Tensor],
    what: str,
    *,
    left_out: Set[int] = frozenset(),
    covered_macs: Number | None = None,
    macs: Mapping[str, Number | None] | None = None,
) -> Coverage:
    """Compare the covered parameters with all parameters of a model.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    covered : iterable of Tensor
        Parameters that are covered.
    what : str
        What is done to the covered part, such as "pruned".
    left_out : set of int, default frozenset()
        `id` of each parameter that is left out on purpose.
    covered_macs : int or float, default None
        MACs per sample of the covered weights; None if the model was not run.
    macs : mapping of str to int or float or None, default None
        MACs per sample of the other modules by name; None stands for unknown MACs.

    Returns
    -------
    Coverage
        The counts and the gaps.
    """
    known, seen = {id(parameter) for parameter in covered}, set[int]()
    total = inside = 0
    gaps = []
    for name, module in named_modules(model, remove_duplicate=True):
        own, meant = 0, False
        for parameter in module.parameters(recurse=False):
            if id(parameter) in seen or nn.parameter.is_lazy(parameter):
                continue
            seen.add(id(parameter))
            total += parameter.numel()
            if id(parameter) in known:
                inside += parameter.numel()
            elif parameter.dim() > 1:
                own += parameter.numel()
                meant = meant or id(parameter) not in left_out
        found = None if macs is None else macs.get(name, 0)
        if own or found or (macs is not None and found is None):
            gaps.append(Gap(name, type(module).__name__, own, found, bool(own) and not meant))
    return Coverage(what, total, inside, covered_macs, tuple(gaps))


def _labels(gaps: Sequence[Gap]) -> str:
    more = [f"{len(gaps) - SHOWN} more"] if len(gaps) > SHOWN else []
    return ", ".join([gap.label for gap in gaps[:SHOWN]] + more)


def _share(part: Number, whole: Number | None) -> float:
    return part / whole if whole else 0.0


def _percent(part: Number, whole: Number | None) -> str:
    return f"{100 * _share(part, whole):.4g} %"
