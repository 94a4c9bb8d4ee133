"""What an estimator returns: energies and an area, each with its uncertainty and its source."""

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from msgspec.structs import replace

from sparsim.records.record import Record


class Energy(Record, frozen=True, kw_only=True):
    """Energy of one action.

    `uncertainty` is the relative error that our own arithmetic (interpolation) adds to what the source says:
    nine of ten measured points err less. 0: the source's own number. None: not measured. How far the source
    is from silicon is not in it.
    """

    energy_pj: float
    uncertainty: float | None = None
    source: str


class Area(Record, frozen=True, kw_only=True):
    """Area of one instance; `uncertainty` as in Energy."""

    area_um2: float
    uncertainty: float | None = None
    source: str


class Estimate(Record, frozen=True, kw_only=True):
    """Energies of a component by action, and the area of one instance."""

    actions: dict[str, Energy]
    area: Area

    @property
    def area_um2(self) -> float:
        return self.area.area_um2

    def scaled(self, energy: float, area: float) -> Self:
        """The same with all energies and the area times a factor."""

        def note(factor: float, source: str) -> str:
            return source if factor == 1.0 else f"{factor:g} x ({source})"

        return replace(
            self,
            actions={
                action: replace(one, energy_pj=one.energy_pj * energy, source=note(energy, one.source))
                for action, one in self.actions.items()
            },
            area=replace(self.area, area_um2=self.area.area_um2 * area, source=note(area, self.area.source)),
        )


class Estimator(Record, frozen=True, kw_only=True):
    """Base of estimators. The fields of a subclass are the attributes that a component gives: `int` is a
    positive whole number, `float` a positive number, `str` text, `Literal` one of its values."""

    class_name: ClassVar[str]  # what `class:` of a component says
    rules: ClassVar[str] = "default"  # the rule set that this belongs to
    needs_node: ClassVar[bool] = True

    def estimate(self, node_nm: float) -> Estimate:
        """Energies and area at a node in nm, 0 if `needs_node` is False. Raises SpecError for attributes
        outside of what the estimator knows."""
        raise NotImplementedError


def weighted_sum(terms: Iterable[tuple[float, float, float | None, str]]) -> dict[str, Any]:
    """Sum, uncertainty and source of (count, value, uncertainty, source) terms. Uncertainties add up, as
    errors of the same interpolation go the same way."""
    terms = list(terms)
    total = sum(count * value for count, value, _, _ in terms)
    known = [u * count * value for count, value, u, _ in terms if u is not None]
    uncertainty = sum(known) / total if total else 0.0
    return {
        "total": total,
        "uncertainty": uncertainty if len(known) == len(terms) else None,
        "source": "; ".join(
            source if count == 1 else f"{count:g} x ({source})" for count, _, _, source in terms
        ),
    }
