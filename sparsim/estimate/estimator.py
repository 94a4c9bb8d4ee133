"""The base of estimators, and the energies and areas that they return, with uncertainties and sources."""

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from msgspec.structs import replace

from sparsim.records.record import Record


class Energy(Record, frozen=True, kw_only=True):
    """Energy of one action.

    Parameters
    ----------
    energy_pj : float
        Energy in pJ.
    uncertainty : float, default None
        Relative error that interpolation by this package adds to what the source says: nine of ten measured
        points have a smaller one. 0 stands for the source's own number, None for an error that was not
        measured. How far the source is from silicon is not part of it.
    source : str
        Where the number comes from.
    """

    energy_pj: float
    uncertainty: float | None = None
    source: str


class Area(Record, frozen=True, kw_only=True):
    """Area of one instance of a component.

    Parameters
    ----------
    area_um2 : float
        Area in um^2.
    uncertainty : float, default None
        Relative error, as in `Energy`.
    source : str
        Where the number comes from.
    """

    area_um2: float
    uncertainty: float | None = None
    source: str


class Estimate(Record, frozen=True, kw_only=True):
    """Energies and area of a component.

    Parameters
    ----------
    actions : dict of str to Energy
        The energy of each action.
    area : Area
        The area of one instance.
    """

    actions: dict[str, Energy]
    area: Area

    @property
    def area_um2(self) -> float:
        """Area of one instance in um^2."""
        return self.area.area_um2

    def scaled(self, energy: float, area: float) -> Self:
        """Return the same estimate with energies and area multiplied by factors.

        Parameters
        ----------
        energy : float
            Factor on the energy of every action.
        area : float
            Factor on the area.

        Returns
        -------
        Estimate
            A new estimate, whose sources name the factors.
        """

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
    """Base of estimators.

    The fields of a subclass are the attributes that a component gives. A field of type `int` is a positive
    whole number, `float` a positive number, `str` text, and `Literal` one of its values.

    Attributes
    ----------
    class_name : str
        The class of components that the estimator is for, `class` in documents.
    rules : str
        The rule set that the estimator belongs to, "default" if a subclass does not say otherwise.
    needs_node : bool
        Whether components of this class have a technology node, True if a subclass does not say otherwise.

    See Also
    --------
    register : Makes an estimator known.
    """

    class_name: ClassVar[str]  # the value of the key `class` of a component
    rules: ClassVar[str] = "default"  # the rule set that the estimator belongs to
    needs_node: ClassVar[bool] = True

    def estimate(self, node_nm: float) -> Estimate:
        """Estimate energies and area of one instance.

        Parameters
        ----------
        node_nm : float
            Technology node in nm; 0 if `needs_node` is False.

        Returns
        -------
        Estimate

        Raises
        ------
        SpecError
            If an attribute is outside of what the estimator knows.
        NotImplementedError
            In the base class.
        """
        raise NotImplementedError


def weighted_sum(terms: Iterable[tuple[float, float, float | None, str]]) -> dict[str, Any]:
    """Return the sum, uncertainty and source of (count, value, uncertainty, source) terms. Uncertainties add
    up linearly, because errors of the same interpolation have the same sign.
    """
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
