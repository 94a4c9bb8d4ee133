"""Ways to spoil a document: its structure (keys, types, values, depth), its text, its bytes."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

VALUES = (
    None, True, False, 0, 1, -1, 2, 3, 7, 63, 64, 65, 0.5, 1.5, -0.0, 1e-300, 1e30, 1e300, 2**31 - 1, 2**31,
    2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 10**17, 10**18 - 1, 10**30, float("nan"), float("inf"),
    -float("inf"), -(2**63), "", " ", "x", "A", "yes", "1e400", "-1", "nan", "[0..2]", "PE[0..3]", "PE[3..0]",
    "PE[0..49999999]", "9" * 5000, "M=2", "M", "2:4", "\u03a9", "\u202e", "a\x07b", "\n", "../x", "/",
    "x" * 3000, "{{7*7}}", "eval(9**9**9)", [], [None], [1], [["M"]], [[[["M"]]]], {}, {"name": None},
    {"name": "x"},
)  # fmt: skip
GENTLE = 0.4  # share of the documents of which only numbers change: most others are refused
SIZES = (2, 3, 40, 70, 1500)  # how often an item is repeated
TOKENS = (
    b"", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\t", b"&a ", b"*a", b"<<: ", b"!!python/object:x ", b"-",
    b": ", b"{", b"}", b"[", b"]", b"'", b'"', b"#", b"|", b"999999999999999999", b"-1", b".nan", b".inf",
    b"1e308", b"0x10",
)  # fmt: skip


def mutated(document: Any, rng: random.Random) -> Any:
    """A copy of plain data with one to three changes: of numbers alone, or of structure."""
    document = copy.deepcopy(document)
    numbers = [(parent, key) for parent, key in places(document) if type(parent[key]) in (int, float)]
    if numbers and rng.random() < GENTLE:
        for parent, key in rng.sample(numbers, min(len(numbers), rng.choice((1, 1, 2)))):
            _scale(parent, key, rng)
        return document
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        found = list(places(document))
        if not found:
            break
        parent, key = rng.choice(found)
        rng.choice(CHANGES)(parent, key, rng)
    return document


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(parent, key or index) of everything inside."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def _replace(parent: Any, key: Any, rng: random.Random) -> None:
    parent[key] = copy.deepcopy(rng.choice(VALUES))


def _scale(parent: Any, key: Any, rng: random.Random) -> None:
    value = parent[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _replace(parent, key, rng)
    parent[key] = rng.choice((
        -value, value + 1, value - 1, value * 2, value * 1000, value * 10**9, value * 10**15, value + 0.5,
        value / 3, value * 1e-12, float(value), str(value),
    ))  # fmt: skip
    return None


def _drop(parent: Any, key: Any, rng: random.Random) -> None:
    del parent[key]


def _rename(parent: Any, key: Any, rng: random.Random) -> None:
    if isinstance(parent, dict):
        new = rng.choice(
            (f"{key}x", str(key)[:-1], str(key).upper(), "", "\u03a9", f"{key}\x1b[31m", "x" * 3000)
        )
        parent[new] = parent.pop(key)


def _repeat(parent: Any, key: Any, rng: random.Random) -> None:
    times = rng.choice(SIZES)
    if isinstance(parent, list):
        parent[key:key] = [copy.deepcopy(parent[key]) for _ in range(times)]
    else:
        parent.update({f"{key}{i}": copy.deepcopy(parent[key]) for i in range(times)})


def _swap(parent: Any, key: Any, rng: random.Random) -> None:
    other = rng.choice(list(parent) if isinstance(parent, dict) else range(len(parent)))
    parent[key], parent[other] = parent[other], parent[key]


def _nest(parent: Any, key: Any, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 90, 150))):
        parent[key] = rng.choice(([parent[key]], {"a": parent[key]}))


CHANGES = (_replace, _replace, _replace, _scale, _scale, _scale, _drop, _rename, _repeat, _swap, _nest)


def spoiled(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to four changes."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        if not data:
            break
        place = rng.randrange(len(data))
        change = rng.randrange(7)
        if change == 0:
            data = data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]
        elif change == 1:
            data = data[:place]
        elif change == 2:
            data = data[:place] + rng.choice(TOKENS) + data[place:]
        elif change == 3:
            length = rng.choice((1, 8, 200))
            data = data[:place] + data[place : place + length] * rng.choice((2, 20)) + data[place + length :]
        elif change == 4:
            data = data[:place] + data[place + rng.choice((1, 4, 60)) :]
        elif change == 5:
            lines = data.split(b"\n")
            first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
            lines[first], lines[second] = lines[second], lines[first]
            data = b"\n".join(lines)
        else:
            data = (
                data[:place] + bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 16)))) + data[place:]
            )
    return data
