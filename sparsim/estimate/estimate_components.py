"""From components to estimates, and from estimates to the energy table of the model."""

from collections.abc import Iterable

from sparsim.errors import SpecError, near
from sparsim.estimate import accelergy2022
from sparsim.estimate.estimator import Area, Energy, Estimate, weighted_sum
from sparsim.estimate.estimator_registry import DEFAULT, find, prepared
from sparsim.estimate.logic import Wire, wire_pj_per_bit_mm
from sparsim.records.component import COMPOUND, TABLE, check_names
from sparsim.records.component import Component as Component  # a name of the package sparsim.estimate
from sparsim.records.energy_table import EnergyTable
from sparsim.records.number_limits import check_real


def estimate(component: Component) -> Estimate:
    """Estimate the energy of every action of a component, and its area.

    Parameters
    ----------
    component : Component
        The component.

    Returns
    -------
    Estimate
        Energies in pJ and the area of one instance in um^2, each with its source.

    Raises
    ------
    SpecError
        If a class, attribute or action is unknown, if a value is missing or wrong, or if a value is outside
        of the data behind the estimators.

    Examples
    --------
    >>> from sparsim.estimate import Component, estimate
    >>> glb = Component(
    ...     name="GLB", class_name="sram", node_nm=65, attributes={"width_bits": 64, "depth_words": 12800}
    ... )
    >>> found = estimate(glb)
    >>> found.actions["read"].energy_pj, found.actions["read"].source
    (52.327, 'CACTI 7, 64 b x 12800, 1 rw, 65 nm')
    """
    return _estimate(component, component.node_nm, component.rules or DEFAULT)


def _estimate(component: Component, node_nm: float | None, rules: str) -> Estimate:
    """Estimate a component with its own actions and scales."""
    if component.class_name == COMPOUND:
        found = _compound(component, node_nm, rules)
    else:
        found = _table(component) if component.class_name == TABLE else _plain(component, node_nm, rules)
        if component.actions:
            found = Estimate(actions=_actions(component, {"": found}), area=found.area)
    if (component.energy_scale, component.area_scale) != (1.0, 1.0):
        found = found.scaled(component.energy_scale, component.area_scale)
    try:
        _check(found)
    except SpecError as error:
        raise error.within(f"component {component.name}") from None
    return found


def _table(component: Component) -> Estimate:
    """Estimate a component of class `table` from the numbers among its attributes."""
    where = f"component {component.name}"
    given = dict(component.attributes)
    source = str(given.pop("source", "given"))
    for name, value in given.items():
        check_real(where, name, value)  # type: ignore[arg-type]
    area = float(given.pop("area_um2", 0.0))
    return Estimate(
        actions={
            action: Energy(energy_pj=float(energy), uncertainty=0.0, source=source)
            for action, energy in given.items()
        },
        area=Area(area_um2=area, uncertainty=0.0, source=source),
    )


def _plain(component: Component, node_nm: float | None, rules: str) -> Estimate:
    """Estimate a component with the estimator of its class."""
    estimator = find(component, rules)
    where = f"component {component.name}"
    if estimator.needs_node and node_nm is None:
        raise SpecError("'node_nm' is missing", path=where)
    if not estimator.needs_node and component.node_nm is not None:
        raise SpecError(f"a {component.class_name} takes no node_nm, got {component.node_nm:g}", path=where)
    known = prepared(estimator, component)
    try:
        return known.estimate(node_nm if estimator.needs_node and node_nm is not None else 0.0)
    except SpecError as error:
        raise error.within(where) from None


def _check(found: Estimate) -> None:
    """Refuse energies and areas that are too large for a table, as sums of large counts or products of large
    sizes can be.
    """
    for action, energy in found.actions.items():
        check_real("", f"energy of action '{action}'", energy.energy_pj, unit=" pJ")
    check_real("", "area", found.area_um2, unit=" um^2")


def _compound(component: Component, node_nm: float | None, rules: str) -> Estimate:
    parts = {}
    for part in component.parts:
        try:
            found = _estimate(part, part.node_nm or node_nm, part.rules or rules)
        except SpecError as error:
            raise error.within(f"component {component.name}") from None
        parts[part.name] = found
    digits = accelergy2022.PRINTED_DECIMALS if rules == accelergy2022.NAME else None
    total = weighted_sum(
        (
            part.count,
            area.area_um2 if digits is None else round(area.area_um2, digits),
            area.uncertainty,
            f"{part.name}: {area.source}",
        )
        for part in component.parts
        for area in [parts[part.name].area]
    )
    return Estimate(actions=_actions(component, parts), area=Area(area_um2=total.pop("total"), **total))


def _actions(component: Component, parts: dict[str, Estimate]) -> dict[str, Energy]:
    """Estimate the component's own actions. A component that is not a compound is its own only part, without
    a name.
    """
    return {action: _action(component, action, terms, parts) for action, terms in component.actions.items()}


def _action(component: Component, action: str, terms: dict[str, float], parts: dict[str, Estimate]) -> Energy:
    where = f"component {component.name}, action '{action}'"
    found = []
    for term, count in terms.items():
        name, dot, part_action = term.rpartition(".")
        if not dot and "" not in parts:
            raise SpecError(f"an action of a part must be 'PART.ACTION', got '{term}'", path=where)
        if name not in parts:
            raise SpecError(f"unknown part '{name}'", path=where, hint=near(name, parts))
        actions = parts[name].actions
        if part_action not in actions:
            hint = near(part_action, actions)
            owner = f"part '{name}' has" if name else f"class {component.class_name} has"
            raise SpecError(f"{owner} no action '{part_action}'", path=where, hint=hint)
        energy = actions[part_action]
        source = f"{term}: {energy.source}" if name else energy.source
        found.append((count, energy.energy_pj, energy.uncertainty, source))
    total = weighted_sum(found)
    return Energy(energy_pj=total.pop("total"), **total)


def estimate_all(components: Iterable[Component]) -> dict[str, Estimate]:
    """Estimate several components.

    Parameters
    ----------
    components : iterable of Component
        Components with different names.

    Returns
    -------
    dict of str to Estimate
        The estimates by the names of the components.

    Raises
    ------
    SpecError
        If two components have the same name, if one has a `count`, or for the same reasons as `estimate`.
    """
    components = tuple(components)
    check_names(components, "components")
    for component in components:
        if component.count != 1:
            raise SpecError(
                f"count must be 1 outside a compound, got {component.count}",
                path=f"component {component.name}",
            )
    return {component.name: estimate(component) for component in components}


def estimate_table(components: Iterable[Component], name: str = "energy") -> EnergyTable:
    """Make the energy table of an architecture from components.

    The table has numbers only; `estimate` says where each one comes from.

    Parameters
    ----------
    components : iterable of Component
        Components with the names of the levels and of the compute units. One of class "wire" gives the energy
        of all wires per bit and mm.
    name : str, default "energy"
        Name of the table.

    Returns
    -------
    EnergyTable
        Energies in pJ and areas in um^2.

    Raises
    ------
    SpecError
        For the same reasons as `estimate_all`.
    """
    components = tuple(components)
    return table_of(components, estimate_all(components), name)


def table_of(components: tuple[Component, ...], estimates: dict[str, Estimate], name: str) -> EnergyTable:
    """Return the table of components that are already estimated."""
    rules = sorted({component.rules or DEFAULT for component in components})
    wires = {
        component.name
        for component in components
        if component.class_name == Wire.class_name and (component.rules or DEFAULT) == DEFAULT
    }
    parts = {component: found for component, found in estimates.items() if component not in wires}
    return EnergyTable(
        name=name,
        actions={component: _largest(found) for component, found in parts.items()},
        areas={component: found.area_um2 for component, found in parts.items()},
        wire_pj_per_bit_mm=wire_pj_per_bit_mm() if wires else None,
        source=f"sparsim estimate, rules {', '.join(rules)}",
        estimated=True,
        rules=max((component.energy_rules for component in components), default="timeloop-3"),
    )


def _largest(found: Estimate) -> dict[str, float]:
    """Return pJ by action. For an action with several arguments, such as `read(data_delta=0)`, it is the
    largest.
    """
    energies: dict[str, float] = {}
    for action, energy in found.actions.items():
        name = action.partition("(")[0]
        energies[name] = max(energy.energy_pj, energies.get(name, 0.0))
    return energies
