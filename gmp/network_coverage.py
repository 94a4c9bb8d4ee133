"""How much of a network is pruned or measured, and which modules are not.

Covered are weights, and the multiplications by them. The rest is named: modules with weights that are out of
reach, did not run, or were left out on purpose, and of what is pruned, modules that multiply activations with
one another. Biases and scales, parameters of fewer than two dimensions, are counted as not covered, but are
no gap.
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
    """A module that is not covered. `name` is "" for the model itself.

    parameters : of its own, without biases and scales
    macs : per sample; None: not known; 0: it did not run
    on_purpose : it could be covered, and was left out
    """

    name: str
    kind: str
    parameters: int
    macs: Number | None
    on_purpose: bool

    @property
    def label(self) -> str:
        return f"{self.name} ({self.kind})" if self.name else self.kind


@dataclass(frozen=True)
class Coverage:
    """`what` is done to what is covered, a word. Parameters are counted once, whatever names they have.

    `macs` per sample: of covered weights and of all gaps of which they are known; None: nothing was run.
    """

    what: str
    parameters: int
    covered_parameters: int
    covered_macs: Number | None
    gaps: tuple[Gap, ...]

    @property
    def macs(self) -> Number | None:
        if self.covered_macs is None:
            return None
        return self.covered_macs + sum(gap.macs or 0 for gap in self.gaps)

    @property
    def uncovered_parameters(self) -> int:
        """Biases and scales included."""
        return self.parameters - self.covered_parameters

    @property
    def uncovered_macs(self) -> Number | None:
        return None if self.macs is None or self.covered_macs is None else self.macs - self.covered_macs

    @property
    def uncovered_parameter_share(self) -> float:
        return _share(self.uncovered_parameters, self.parameters)

    @property
    def uncovered_mac_share(self) -> float | None:
        """Of the MACs that are known."""
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
        """What is not covered, a sentence for parameters and one for MACs."""
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
        """A sentence if much is not covered that was not left out on purpose: MACs, where they are known."""
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
        """Warn of much that is not covered."""
        if (sentence := self.warning) is not None:
            warnings.warn(sentence, CoverageWarning, stacklevel=stacklevel + 1)

    def plain(self) -> dict[str, Any]:
        """For JSON; null is not known."""
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
        """The largest gaps with their shares, and how many more there are."""
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
    """What `covered` parameters leave of the model.

    left_out : identities of parameters that are not covered on purpose
    covered_macs, macs : per sample, of the former and {module name: of the rest}; None there is not known
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
