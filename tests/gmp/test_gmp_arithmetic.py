"""Recipes' arithmetic gives what Python gives, and is nothing but arithmetic."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.named import names, naming

from gmp.errors import RecipeError
from gmp.recipes.recipe_arithmetic import evaluate

VALUES = {"epochs": 15.0, "every": 2, "lr": 1e-4}


def number(name: str) -> int | float:
    return VALUES[name]


def unary(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds("{}({})".format, st.sampled_from(["-", "abs", "int", "float", "round", "+"]), inner)


def binary(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from(["+", "-", "*", "/", "//", "%"])
    calls = st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner)
    return st.one_of(st.builds("({} {} {})".format, inner, operators, inner), calls)


EXPRESSIONS = st.recursive(
    st.one_of(st.sampled_from(sorted(VALUES)), st.integers(0, 99).map(str), st.floats(0, 9).map(str)),
    lambda inner: st.one_of(unary(inner), binary(inner)),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_the_result_is_that_of_python(expression: str) -> None:
    try:
        expected = eval(expression, {}, dict(VALUES))
    except ZeroDivisionError:
        with pytest.raises(RecipeError, match="division by zero"):
            evaluate(expression, number)
        return
    if not math.isfinite(expected):
        with pytest.raises(RecipeError, match="finite"):
            evaluate(expression, number)
        return
    result = evaluate(expression, number)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    "expression", ["2 ** 10", "2 ** -1", "-2 ** 2", "2.5 ** 2", "4 ** 0.5", "round(2.567, 1)"]
)
def test_powers_and_digits_are_those_of_python(expression: str) -> None:
    assert evaluate(expression, number) == eval(expression)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("1 / 0", "eval(1 / 0"),
        ("9 ** 9 ** 9", "eval(9 large"),
        ("1e999", "eval(1e999"),
        ("(-8) ** 0.5", "eval((-8) real"),
        ("roun(1)", "eval(roun(1 roun round"),
        ("min()", "eval(min()) arguments"),
        ("1 +", "eval(1"),
        ("a = 1", "eval(a"),
        ("lr.real", "eval(lr.real lr.real"),
        ("True", "eval(True True"),
        ("[1, 2]", "eval([1 arithmetic"),
        ("1 if 2 else 3", "eval(1 arithmetic"),
        ("round(1, ndigits=1)", "eval(round(1 ndigits=1"),
        ("(lambda: 1)()", "eval((lambda"),
    ],
)
def test_anything_else_is_refused(expression: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        evaluate(expression, number)
    assert names(caught.value, message)


def test_code_is_not_run() -> None:
    with pytest.raises(RecipeError, match="arithmetic"):
        evaluate("__import__('os').getcwd()", number)
    with pytest.raises(RecipeError, match=naming("__import__")):
        evaluate("__import__(1)", number)


@pytest.mark.parametrize("expression", ["9 ** 9 ** 9 ** 9", "(" * 600, "1" * 2000])
def test_what_would_take_forever_is_refused(expression: str) -> None:
    with pytest.raises(RecipeError, match=r"large|nested|1000.*2000"):
        evaluate(expression, number)


def test_digits_of_integers_are_not_counted_in_powers_of_ten() -> None:
    assert evaluate("round(5, -10 ** 9)", number) == 0


@pytest.mark.parametrize("inner", ["-", "+", "abs(", "1+(", "(1)+"])
def test_depth_is_bounded(inner: str) -> None:
    deep = inner * 180 + "1" + ")" * (inner.endswith("(") * 180)
    with pytest.raises(RecipeError, match=naming("100")):
        evaluate(deep, number)
    shallow = inner * 20 + "1" + ")" * (inner.endswith("(") * 20)
    assert evaluate(shallow, number) == eval(shallow)


def test_a_variable_is_asked_for_once() -> None:
    asked: list[str] = []

    def variable(name: str) -> int:
        asked.append(name)
        return 3

    assert evaluate("min(x, y) + x * x - abs(y + min)", variable) == 6
    assert sorted(asked) == ["min", "x", "y"]
