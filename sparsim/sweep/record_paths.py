"""Fields of records by a path of names: `architecture.shared_glb.size_words`, `components.glb.node_nm`.

A step is a field, the name of an item of a list (a level, a component, a part, a network of a chip), a key of
a dict, or the index of an item. The first step is one of `ROOTS`, or a name that occurs below only one of
them: `PE.mesh`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from sparsim.errors import SpecError, near
from sparsim.estimate.estimator_registry import DEFAULT, find
from sparsim.records.architecture import Compute, Storage
from sparsim.records.component import COMPOUND, Component
from sparsim.records.record import Record

MOST_NEAR = 4  # most paths in a hint
ROOTS = ("architecture", "components", "policy", "energy", "mapspace", "chip", "machine")
_NAMES = ("name", "level", "role")  # the fields by which items of lists are found
_RENAMED = {
    "datawidth": "word_bits", "data_width": "word_bits", "technology": "node_nm", "entries": "depth",
    "meshx": "mesh_x", "meshy": "mesh_y", "size_kb": "size_kib", "sizekb": "size_kib",
}  # fmt: skip
Holder = Mapping[str, Any]
"""The records of a design by root; those of `components` are a tuple."""


class Field(NamedTuple):
    """A field that a path leads to, checked on one design.

    Attributes
    ----------
    path : str
        As it was given, with the root in front.
    steps : tuple of str and int
        Fields and indices from the root to the field.
    kind : type
        What values of the field are converted to.
    setter : callable, optional
        Makes the value of the field of what is given and the record that has the field.
    """

    path: str
    steps: tuple[str | int, ...]
    kind: Any
    setter: Callable[[Any, Any], Any] | None = None

    @property
    def root(self) -> str:
        return str(self.steps[0])

    def convert(self, value: Any) -> Any:
        """Return the value in the field's type. Raises SpecError for values of other types."""
        if self.setter is None and str(self.steps[-1]) == "node_nm" and isinstance(value, str):
            value = value.strip().lower().removesuffix("nm")
            value = float(value) if value.replace(".", "", 1).isdigit() else value
        try:
            return msgspec.convert(value, self.kind)
        except msgspec.ValidationError as error:
            text = str(error)
            raise SpecError(f"is {value!r}: {text[:1].lower()}{text[1:]}", path=self.path) from None


def resolve_field(path: str, holder: Holder) -> Field:
    """Find the field that `path` names.

    Raises
    ------
    SpecError
        If the path matches nothing, or things below several roots.
    """
    steps = path.replace("[", ".").replace("]", "").split(".")
    if not all(steps):
        raise SpecError(f"a path must be names with dots between them, got '{path}'")
    if steps[0] in ROOTS or steps[0] == "arch":
        root = "architecture" if steps[0] == "arch" else steps[0]
        return _below(root, steps[1:], path, holder)
    found, errors = [], []
    for root in ROOTS:
        try:
            found.append(_below(root, steps, path, holder))
        except SpecError as error:
            errors.append(error)
    if len(found) == 1:
        return found[0]
    if found:
        raise SpecError(
            f"'{path}' is found {len(found)} times", hint="write " + " or ".join(f.path for f in found)
        )
    known = [name for root in ROOTS for name in _known(holder.get(root))]
    inside = [f"{name}.{path}" for name in dict.fromkeys(known) if _leads_somewhere(f"{name}.{path}", holder)]
    hint = near(steps[0], (*ROOTS, *known))
    if inside:
        hint = f"did you mean {' or '.join(inside[:MOST_NEAR])}?"
    raise SpecError(f"path '{path}' matches nothing", hint=hint)


def _leads_somewhere(path: str, holder: Holder) -> bool:
    for root in ROOTS:
        try:
            _below(root, path.split("."), path, holder)
        except SpecError:
            continue
        return True
    return False


def _below(root: str, steps: list[str], path: str, holder: Holder) -> Field:
    value = holder.get(root)
    full = path if path.split(".")[0] == root else f"{root}.{'.'.join(steps)}"
    if not value:
        raise SpecError(f"path '{path}' matches nothing, because the base has no '{root}'")
    if not steps:
        raise SpecError(f"path '{path}' names no field", hint=near("", _known(value)))
    taken: list[str | int] = [root]
    kind: Any = None
    for i, step in enumerate(steps):
        if i == len(steps) - 1 and (virtual := _virtual(value, step)):
            name, setter, given = virtual
            return Field(full, (*taken, name), given, setter)
        following = _step(value, step)
        if following is None:
            raise SpecError(f"path '{path}' matches nothing at '{step}'", hint=near(step, _known(value)))
        names, value, kind = following
        taken += names
    return Field(full, tuple(taken), kind)


def _step(value: Any, step: str) -> tuple[tuple[str | int, ...], Any, Any] | None:
    """Return the steps, value and type that a name leads to from `value`; None if it leads nowhere."""
    if isinstance(value, Record):
        return _from_record(value, step)
    if isinstance(value, dict):
        return ((step,), value[step], Any) if step in value else None
    if isinstance(value, tuple):
        if step.isdigit():
            index = int(step)
            return ((index,), value[index], type(value[index])) if index < len(value) else None
        for index, item in enumerate(value):
            if any(getattr(item, name, None) == step for name in _NAMES):
                return (index,), item, type(item)
    return None


def _from_record(value: Record, step: str) -> tuple[tuple[str | int, ...], Any, Any] | None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(value)}
    name = _spelling(step, fields)
    if name in fields:
        field = fields[name]
        return (field.name,), getattr(value, field.name), field.type
    for field in fields.values():  # the item of a list by its name, or the record by its name
        held = getattr(value, field.name)
        if isinstance(held, tuple) and (inside := _step(held, step)) and not step.isdigit():
            return (field.name, *inside[0]), inside[1], inside[2]
        if isinstance(held, Record) and getattr(held, "name", None) == step:
            return (field.name,), held, field.type
    if isinstance(value, Component) and step in _attributes(value):
        return ("attributes", step), value.attributes.get(step), int | float | str
    return None


def _attributes(component: Component) -> tuple[str, ...]:
    if component.class_name == COMPOUND:
        return ()
    estimator = find(component, component.rules or DEFAULT)
    return tuple(dict.fromkeys((*estimator.__struct_fields__, *component.attributes)))


def _spelling(step: str, known: Mapping[str, object]) -> str:
    """Return the name of a field for other spellings of it."""
    if step in known:
        return step
    name = step.replace("-", "_").lower()
    return _RENAMED.get(name, name)


def _depth(depth: int, level: Any) -> int:
    return int(depth * level.block_size)


def _size_kib(kib: float, level: Any) -> int:
    return int(kib * 8192 // level.word_bits)


def _mesh_x(x: int, level: Any) -> tuple[int, int]:
    return x, level.mesh[1]


def _mesh_y(y: int, level: Any) -> tuple[int, int]:
    return level.mesh[0], y


_VIRTUAL: dict[str, tuple[str, Callable[[Any, Any], Any], Any]] = {
    "depth": ("size_words", _depth, int),  # names in paths, by the field that stores the quantity
    "size_kib": ("size_words", _size_kib, float),
    "mesh_x": ("mesh", _mesh_x, int),
    "mesh_y": ("mesh", _mesh_y, int),
}


def _virtual(value: Any, step: str) -> tuple[str, Callable[[Any, Any], Any], Any] | None:
    """Return (field, setter, type) of a quantity that is stored in another field."""
    name = step.replace("-", "_").lower()
    found = _VIRTUAL.get(_RENAMED.get(name, name))
    if found is not None and isinstance(value, Storage | Compute) and hasattr(value, found[0]):
        return found
    return None


def _known(value: Any) -> list[str]:
    """Return the names that may follow `value` in a path."""
    if isinstance(value, Record):
        fields = [field.encode_name for field in msgspec.structs.fields(value)]
        inner = [name for f in value.__struct_fields__ for name in _item_names(getattr(value, f))]
        extra = list(_attributes(value)) if isinstance(value, Component) else []
        return [*fields, *inner, *extra]
    if isinstance(value, dict):
        return list(value)
    return _item_names(value)


def _item_names(value: Any) -> list[str]:
    items = value if isinstance(value, tuple) else (value,)
    return [
        getattr(item, name)
        for item in items
        if isinstance(item, Record)
        for name in _NAMES
        if isinstance(getattr(item, name, None), str)
    ]


def set_fields(holder: Holder, values: Iterable[tuple[Field, Any]]) -> dict[str, Any]:
    """The records with other values of fields, each record checked once, with all its new values.

    Raises
    ------
    SpecError
        For values of another type, and for those that a record refuses.
    """
    changes = [(field.steps, (field.convert(value), field.setter)) for field, value in values]
    return {**holder, **{root: _changed(holder[root], inner) for root, inner in _by_first(changes).items()}}


_Change = tuple[tuple[str | int, ...], tuple[Any, Callable[[Any, Any], Any] | None]]


def _by_first(changes: Iterable[_Change]) -> dict[Any, list[_Change]]:
    """Return changes by their first step, which is removed."""
    found: dict[Any, list[_Change]] = {}
    for steps, change in changes:
        found.setdefault(steps[0], []).append((steps[1:], change))
    return found


def _changed(at: Any, changes: list[_Change]) -> Any:
    """Return a record, dict or tuple with new values inside."""
    new = {}
    for step, inner in _by_first(changes).items():
        old = getattr(at, step) if isinstance(at, Record) else at[step] if step in _keys(at) else None
        ends = [change for steps, change in inner if not steps]
        new[step] = ends[-1] if ends else (_changed(old, inner), None)
    if isinstance(at, Record):
        plain = {step: value for step, (value, setter) in new.items() if setter is None}
        at = replace(at, **plain) if plain else at
        set_up = {step: setter(value, at) for step, (value, setter) in new.items() if setter is not None}
        return replace(at, **set_up) if set_up else at
    if isinstance(at, dict):
        return {**at, **{step: value for step, (value, _) in new.items()}}
    return tuple(new[i][0] if i in new else item for i, item in enumerate(at))


def _keys(at: Any) -> Any:
    return at if isinstance(at, dict) else range(len(at))
