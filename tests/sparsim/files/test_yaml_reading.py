"""One YAML file: YAML 1.2 scalars, lines, and what is refused."""

from __future__ import annotations

import math

import pytest
from support.named import names, naming

from sparsim.errors import FormatError
from sparsim.files.yaml_reading import load_yaml, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-05", 1e-05),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("-3", -3),
        ("010", "010"),
        ("0x10", "0x10"),
        ("0", 0),
        ("0.50", 0.5),
        ("1.", 1.0),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("off", "off"),
        ("N", "N"),
        ("Y", "Y"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("'1e5'", "1e5"),
        ("!!str 5 apples", "5 apples"),
        ("!!str 5", "5"),
        ("! 5", "5"),
        ("!!int '5'", 5),
        ("!!float 5", 5),
        ("!!null ''", None),
        ("!!seq [!!bool true]", [True]),
        ("", None),
        ("~", None),
        ("[1, N, {a: 2}]", [1, "N", {"a": 2}]),
    ],
)
def test_scalars_follow_yaml_1_2(text, value):
    found = parse_yaml(f"key: {text}", "f")["key"]
    assert found == value
    assert type(found) is type(value) or isinstance(found, dict)


def test_infinities_and_nan():
    data = parse_yaml("{a: .inf, b: -.INF, c: .nan}", "f")
    assert (data["a"], data["b"]) == (math.inf, -math.inf)
    assert math.isnan(data["c"])


def test_anchors_and_merge_keys():
    data = parse_yaml("base: &b {p: 1, q: 2}\nmore: &m {r: 5}\nx: {<<: [*b, *m], q: 3}\ny: *b\n", "f")
    assert data["x"] == {"q": 3, "p": 1, "r": 5}
    assert data["y"] == {"p": 1, "q": 2}


def test_every_key_knows_its_line():
    data = parse_yaml("a: 1\n\nb:\n  c: 2\n", "f")
    assert data.lines == {"a": 1, "b": 3}
    assert data["b"].lines == {"c": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f empty"),
        ("# nothing\n", "f empty"),
        ("---\n", "f empty"),
        ("- 1\n", "f mapping list"),
        ("text", "f mapping text"),
        ("a: 1\nb: 2\na: 3\n", "f:3 a 1"),
        ("x: {a: 1, a: 1}", "f:1 a 1"),
        ("a: *b", "f:1 *b"),
        ("a: &a [*a]", "f:1 *a"),
        ("? [1]\n: 2", "f:1"),
        ("a: {<<: 3}", "f:1 <<"),
        ("a: 1\n---\nb: 2\n", "f:2"),
        ("a: " + "[" * 5000 + "]" * 5000, "f:1 100"),
        ("a: " + "9" * 50, "f:1 18"),
        ("a: \x00", "U+0000 3"),
        ("a: 1\nb: !pe 12", "f:2 !pe"),
        ("a: !PEs {b: 1}", "f:1 !PEs"),
        ("a: !!int 12.5", "f:1 !!int"),
        ("a: !!map [1]", "f:1 !!map"),
        ("a: !!timestamp 2020-01-01", "f:1 !!timestamp"),
    ],
)
def test_refused(text, message):
    with pytest.raises(FormatError) as error:
        parse_yaml(text, "f")
    assert names(error.value, message)


def test_broken_syntax_names_the_line():
    with pytest.raises(FormatError, match=naming("f:2 YAML")):
        parse_yaml("a: [1, 2\nb: 3", "f")


def test_aliases_cannot_describe_more_than_memory_holds():
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    with pytest.raises(FormatError, match="aliases"):
        parse_yaml("\n".join(lines), "f")


def test_files_that_are_none(tmp_path):
    (tmp_path / "binary").write_bytes(b"\x93NUMPY\xff\xfe\x00")
    for name, message in (
        ("missing", "no such file"),
        (".", "YAML folder"),
        ("binary", "0 UTF-8"),
    ):
        with pytest.raises(FormatError) as error:
            load_yaml(tmp_path / name)
        assert names(error.value, f"{tmp_path / name} {message}")


def test_byte_order_mark_and_line_ends(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert load_yaml(path) == {"a": 1, "b": 2}
