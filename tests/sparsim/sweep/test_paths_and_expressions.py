"""Fields that are set by a path are read back, and expressions do arithmetic and nothing else."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import to_builtins

from sparsim.errors import SpecError
from sparsim.sweep.design_records import read_records
from sparsim.sweep.expressions import compile_expression
from sparsim.sweep.record_paths import resolve_field, set_fields

BASE = read_records("eyeriss_like_onchip")
LEVELS = [level.name for level in BASE["architecture"].storage]
NUMBERS = {
    "architecture.{}.size_words": st.integers(1, 10**6),
    "architecture.{}.read_bandwidth": st.integers(1, 100).map(float),
    "architecture.{}.write_bandwidth": st.integers(1, 100).map(float),
    "architecture.{}.mesh": st.tuples(st.integers(1, 64), st.integers(1, 64)).map(list),
    "architecture.{}.multiple_buffering": st.integers(1, 4).map(float),
    "energy.actions.{}.read": st.floats(0, 1e6),
}
assignments = st.dictionaries(
    st.tuples(st.sampled_from(list(NUMBERS)), st.sampled_from(LEVELS)), st.integers(0), min_size=1, max_size=6
).flatmap(lambda keys: st.fixed_dictionaries({
    form.format(level): NUMBERS[form] for form, level in keys if not form.startswith("energy") or
    "read" in BASE["energy"].actions.get(level, ())
}))  # fmt: skip


def at(holder: Any, steps: tuple[str | int, ...]) -> Any:
    for step in steps:
        holder = holder[step] if isinstance(holder, dict | list | tuple) else getattr(holder, str(step))
    return holder


def plain(holder: Any) -> Any:
    return {root: to_builtins(value) for root, value in holder.items() if value is not None}


@given(assignments)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_what_is_set_is_read_back_and_all_else_stays(values: dict[str, Any]) -> None:
    fields = {path: resolve_field(path, BASE) for path in values}
    found = set_fields(BASE, [(fields[path], value) for path, value in values.items()])
    for path, value in values.items():
        there = at(found, fields[path].steps)
        assert (list(there) if isinstance(there, tuple) else there) == value
    back = set_fields(found, [(field, at(BASE, field.steps)) for field in fields.values()])
    assert plain(back) == plain(BASE)


@given(st.text(alphabet="abcdefgz._[]0123 -", max_size=20))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_any_text_is_a_path_or_refused(text: str) -> None:
    with suppress(SpecError):
        assert resolve_field(text, BASE).steps


ESCAPES = [
    "().__class__", "rows.__class__.__mro__", "__import__('os')", "__builtins__", "eval('1')", "open('x')",
    "[x for x in (1, 2)]", "{x: 1 for x in (1, 2)}", "lambda: 1", "(lambda: 1)()", "rows := 3", "f'{rows}'",
    "rows[0]", "rows.real", "max(*[1, 2])", "max(rows, key=abs)", "{1: 2}", "{1}", "b'x'", "1j", "...",
    "'a' * 10**9", "[0] * 10**9", "'%099999999d' % 1", "yield 1", "await rows", "rows; 1", "import os",
    "getattr(rows, 'real')", "_power(2, 3)", "globals()", "print(1)", "rows if rows", "",
]  # fmt: skip


@pytest.mark.parametrize("text", ESCAPES)
def test_expressions_that_are_no_arithmetic_are_refused(text: str) -> None:
    with pytest.raises(SpecError):
        compile_expression(text, ["rows"])


@pytest.mark.parametrize(
    "text", ["9 ** 9 ** 9", "rows ** 100", "2 ** 64 ** 2", "(2 ** 64 * 3) ** 2", "1 / 0", "1e308 * 10"]
)
def test_values_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(SpecError):
        compile_expression(text, ["rows"])({"rows": 3})


NAMES = {"a": 3, "b": 0.5, "c": 8}
leaves = st.one_of(st.sampled_from(list(NAMES)), st.integers(0, 20).map(str))
arithmetic = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "<", "=="]), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda p: f"{p[0]}({p[1]}, {p[2]})"),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})"),
    ),
    max_leaves=8,
)


@given(arithmetic)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_arithmetic_has_the_value_that_python_gives_it(text: str) -> None:
    expression = compile_expression(text, list(NAMES))
    try:
        found = expression(NAMES)
    except SpecError:
        return
    assert found == eval(text, {}, dict(NAMES))


@given(st.text(max_size=40))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    with suppress(SpecError):
        compile_expression(text, list(NAMES))(NAMES)
