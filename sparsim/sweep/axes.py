"""Values of axes, and points of their grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sparsim.errors import SpecError
from sparsim.sweep.expressions import Expression, compile_expression
from sparsim.sweep.record_paths import Field, Holder, resolve_field
from sparsim.sweep.study import MOST_VALUES, WORKLOAD, Axis, Study
from sparsim.sweep.sweep_row import Point

Fields = Mapping[Any, Mapping[str, Field]]  # by path, for each combination of choices


class AxisValues(NamedTuple):
    """An axis with its values and its condition.

    Attributes
    ----------
    name : str
    values : tuple
        Numbers, texts or lists; names of choices and networks.
    when : Expression, optional
    """

    name: str
    values: tuple[Any, ...]
    when: Expression | None = None


def list_axes(study: Study) -> tuple[AxisValues, ...]:
    """The axes of a study in their order, the networks last.

    Raises
    ------
    SpecError
        For axes without values, with values twice, and for conditions on later axes.
    """
    found: list[AxisValues] = []
    for name, axis in study.axes.items():
        path = f"sweep {study.name}: axes.{name}"
        values = _values(axis, path)
        _check_values(values, path)
        when = None
        if axis.when:
            earlier = [other.name for other in found]
            later = [other for other in study.axes if other not in earlier]
            when = compile_expression(axis.when, (*earlier, *later), path)
            for used in sorted(when.names & set(later)):
                raise SpecError(
                    f"the condition uses axis '{used}', which must be listed before this axis", path=path
                )
        found.append(AxisValues(name, values, when))
    return (*found, AxisValues(WORKLOAD, tuple(study.workloads)))


def fixed_mapspaces(study: Study, fields: Fields, overlays: Mapping[str, Any]) -> list[str]:
    """Return warnings of axes that change the mapspace while the mappings are fixed."""
    if study.search.mappings is None:
        return []
    roots = {path: field.root for found in fields.values() for path, field in found.items()}
    mapped = [
        name
        for name, axis in study.axes.items()
        if any(roots.get(path) == "mapspace" for path in axis.paths)
        or any("mapspace" in records for records in overlays.get(name, {}).values())
    ]
    return [
        f"sweep {study.name}: axes.{name}: its mapspaces have no effect, as the study's mappings are fixed"
        for name in mapped
    ]


def unused_axes(study: Study, expressions: Iterable[Expression], base: Holder) -> list[str]:
    """Return warnings of axes without a path that no expression uses and whose name is, or resembles, a
    path.
    """
    used = {name for expression in expressions for name in expression.names}
    found = []
    for name, axis in study.axes.items():
        if axis.paths or axis.choices is not None or name in used:
            continue
        try:
            hint = f"give it 'path: {resolve_field(name, base).path}'"
        except SpecError as error:
            hint = error.hint
        text = f"sweep {study.name}: axes.{name}: it has no path and no expression uses it"
        if hint:
            found.append(f"{text}, so its values change nothing ({hint})")
    return found


def _values(axis: Axis, path: str) -> tuple[Any, ...]:
    kinds = [name for name in ("values", "range", "log2", "choices") if getattr(axis, name) is not None]
    if len(kinds) != 1:
        given = " and ".join(kinds) or "none"
        raise SpecError(f"exactly one of values, range, log2 and choices is needed, got {given}", path=path)
    if axis.values is not None:
        return axis.values
    if axis.choices is not None:
        if axis.paths:
            raise SpecError("choices replace whole records and have no path", path=path)
        return tuple(axis.choices)
    if axis.log2 is not None:
        low, high = axis.log2
        for end in axis.log2:
            if end < 1 or end & (end - 1):
                raise SpecError(f"log2 must have powers of two, got {end}", path=path)
        return tuple(2**i for i in range(low.bit_length() - 1, high.bit_length()))
    assert axis.range is not None
    return _range(axis.range, path)


def _range(given: Sequence[float], path: str) -> tuple[float, ...]:
    if len(given) not in (2, 3):
        raise SpecError(
            f"range must be [first, last] or [first, last, step], got {len(given)} numbers", path=path
        )
    first, last, step = (*given, 1.0)[:3]
    if not all(map(math.isfinite, given)) or step <= 0:
        raise SpecError("range must have finite numbers and a step above 0", path=path)
    number = math.floor((last - first) / step + 1e-9) + 1
    if number > MOST_VALUES:
        raise SpecError(f"there must be at most {MOST_VALUES} values, got {number:.3g}", path=path)
    values = [first + i * step for i in range(max(number, 0))]
    return tuple(int(v) if float(v).is_integer() else v for v in values)


def _check_values(values: Sequence[Any], path: str) -> None:
    if not values:
        raise SpecError("must have at least one value", path=path)
    seen: set[str] = set()
    for value in values:
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            raise SpecError(f"must have numbers, texts and lists as values, got {value}", path=path)
        if repr(value) in seen:
            raise SpecError(f"has the value {value!r} twice", path=path)
        seen.add(repr(value))


def grid_size(axes: Sequence[AxisValues]) -> int:
    """Return the number of points of the grid, which is an upper bound if axes have conditions."""
    return math.prod(len(axis.values) for axis in axes)


def grid(axes: Sequence[AxisValues]) -> Iterator[Point]:
    """Yield all points, with the last axis running fastest; each once, even if conditions leave out axes."""
    point: Point = {}

    def below(i: int) -> Iterator[Point]:
        if i == len(axes):
            yield dict(point)
            return
        axis = axes[i]
        values = axis.values if axis.when is None or axis.when(point) else (None,)
        for value in values:
            point[axis.name] = value
            yield from below(i + 1)

    return below(0)


def apply_conditions(axes: Sequence[AxisValues], values: Mapping[str, Any]) -> Point:
    """Return a point with None for the axes whose condition does not hold."""
    point: Point = {}
    for axis in axes:
        holds = axis.when is None or axis.when(point)
        point[axis.name] = values[axis.name] if holds else None
    return point
