"""Convert YAML values to records; errors name the file, the line, the key and what is allowed."""

import re
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from sparsim.errors import SpecError, near
from sparsim.files.yaml_reading import YamlMap
from sparsim.records.record import Record

_ANY_KEY = "..."
_KINDS = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "true or false",
    "array": "a list", "object": "a mapping",
}  # fmt: skip

R = TypeVar("R", bound=Record)


def convert_at(value: Any, kind: type[R], file: str, data: YamlMap, *steps: str | int) -> R:
    """Convert a value of a document to a record.

    Parameters
    ----------
    value : object
        The value, which is a part of `data`.
    kind : type of Record
        The record.
    file : str
        Name of the document in messages.
    data : YamlMap
        The whole document.
    *steps : str or int
        Keys and indices that lead from `data` to the value.

    Returns
    -------
    Record

    Raises
    ------
    SpecError
        If the value does not fit the record.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        inner = _with_keys(value, kind, tuple(_steps(path.rstrip("`"))))
        if isinstance(error.__cause__, SpecError):
            raise error.__cause__.within(where_in(file, data, (*steps, *inner))) from None
        text, hint = _explain(message, kind, inner, _at(value, inner))
        raise SpecError(text, path=where_in(file, data, (*steps, *inner)), hint=hint) from None


def _steps(path: str) -> Iterable[str | int]:
    """Split `.storage[0].mesh` into "storage", 0, "mesh". msgspec writes "..." for any key of a dict."""
    for name, index in re.findall(r"\.(\w+)|\[(\d+|\.\.\.)\]", path):
        yield name or (index if index == _ANY_KEY else int(index))


def _with_keys(value: Any, kind: type[Record], steps: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Return `steps` with a key in place of each "...": the key that is wrong even if it is the only one."""
    if _ANY_KEY not in steps:
        return steps
    i = steps.index(_ANY_KEY)
    for key in _at(value, steps[:i]) or ():
        try:
            msgspec.convert(_with_only(value, steps[:i], key), kind)
        except msgspec.ValidationError as error:
            if str(error).endswith("`") and _ANY_KEY in str(error):
                return _with_keys(_with_only(value, steps[:i], key), kind, (*steps[:i], key, *steps[i + 1 :]))
    return steps


def _with_only(value: Any, steps: tuple[str | int, ...], key: str) -> Any:
    """Return a copy in which the dict at `steps` has only `key`."""
    if not steps:
        return {key: value[key]}
    copy = value.copy()
    copy[steps[0]] = _with_only(value[steps[0]], steps[1:], key)
    return copy


def _at(value: Any, steps: Iterable[str | int]) -> Any:
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def where_in(file: str, data: YamlMap, steps: tuple[str | int, ...]) -> str:
    """Return `file:line: key.key[0]`, with the line of the innermost known key."""
    line: int | None = None
    value: Any = data
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) or step == _ANY_KEY else f".{step}"
        if isinstance(value, YamlMap):
            line = value.lines.get(str(step), line)
        value = _at(value, (step,))
        if isinstance(step, int) and isinstance(value, YamlMap):
            line = min(value.lines.values(), default=line)
    return f"{file}:{line}: {path[1:]}" if line else f"{file}: {path[1:]}"


def _explain(message: str, kind: type[Record], steps: tuple[str | int, ...], value: Any) -> tuple[str, str]:
    """Return msgspec's message in the wording of this package, and a hint."""
    if match := re.fullmatch(r"Object contains unknown field `(.*)`", message):
        return f"unknown field '{match[1]}'", near(match[1], _field_names(kind, steps))
    if match := re.fullmatch(r"Object missing required field `(.*)`", message):
        return f"'{match[1]}' is missing", ""
    if re.match(r"Invalid enum value", message):
        return f"unknown value '{value}'", near(value, _allowed(kind, steps))
    if match := re.fullmatch(r"Expected `array` of length (\d+), got (\d+)", message):
        return f"must be a list of {match[1]} items, got {match[2]}", ""
    if match := re.fullmatch(r"Expected `([^`]*)`, got `([^`]*)`", message):
        kinds = [_KINDS.get(name, name) for name in match[1].split(" | ") if name != "null"]
        shown = {"array": "a list", "object": "a mapping", "null": "empty"}.get(match[2], repr(value))
        return f"must be {' or '.join(kinds)}, got {shown}", ""
    return message[:1].lower() + message[1:], ""


def _type_at(kind: type[Record], steps: tuple[str | int, ...]) -> Any:
    """Return msgspec's description of the field at `steps`."""
    from msgspec import inspect

    found: Any = inspect.type_info(kind)
    for step in (*steps, None):
        if isinstance(found, inspect.UnionType):
            found = next(t for t in found.types if not isinstance(t, inspect.NoneType))
        if step is None:
            break
        if isinstance(found, inspect.StructType):
            found = next(field.type for field in found.fields if field.encode_name == step)
        elif isinstance(found, inspect.DictType):
            found = found.value_type
        elif isinstance(found, inspect.VarTupleType | inspect.ListType):
            found = found.item_type
        elif isinstance(found, inspect.TupleType) and isinstance(step, int):
            found = found.item_types[step]
    return found


def _field_names(kind: type[Record], steps: tuple[str | int, ...]) -> list[str]:
    return [field.encode_name for field in getattr(_type_at(kind, steps), "fields", ())]


def _allowed(kind: type[Record], steps: tuple[str | int, ...]) -> list[str]:
    return [str(value) for value in getattr(_type_at(kind, steps), "values", ())]
