"""What the published reports of 2022, made by earlier releases, count or print in another way.

A difference is explained only if the published number follows, to the printed digits, from other numbers of
the same report by the rule that the release had; such a field then says nothing about our own number.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable

from sparsim.timeloop.stats_read import Key, Stats, Value


def old_labels(stats: Stats) -> dict[Key, Value]:
    """Our fields under the labels and in the units of 2022: energies per compute in pJ."""
    ours = {}
    for key, value in stats.fields.items():
        if key.field.startswith("fJ/") and isinstance(value, float):
            ours[key._replace(field="p" + key.field[1:])] = value / 1000
        else:
            ours[key] = value
    return ours


def explanation(key: Key, expected: Stats) -> str:
    """Why a field of a report of 2022 may differ, checked on the report itself; or "" ."""
    for field, rule, text in _RULES:
        value = expected.fields.get(key)
        if (
            key.field == field
            and isinstance(value, int | float)
            and abs(value - rule(key, expected)) <= 0.00501
        ):
            return text
    return ""


def _hops(key: Key, stats: Stats) -> float:
    """Average over the multicast factors of a closed form for a square fan-out."""
    fields = {k.field: v for k, v in stats.fields.items() if k[:4] == key[:4]}
    side = math.sqrt(_float(fields["Fanout"]))
    hops = total = 0.0
    for label, ingresses in fields.items():
        if label.startswith("Ingresses @multicast "):
            reach = math.sqrt(int(label.split()[2]))
            hops += _float(ingresses) * (side * reach + 0.5 * (side - reach) - side / reach + 0.5)
            total += _float(ingresses)
    return hops / total if total else 0.0


def _accesses(key: Key, stats: Stats) -> float:
    """Actual accesses of one instance; 3.0.3 takes the dense ones of all instances."""
    kinds = tuple(f"Actual scalar {kind} (per-instance)" for kind in ("reads", "fills", "updates"))
    return sum(_float(v) for k, v in stats.fields.items() if k.level == key.level and k.field in kinds)


def _ops_per_byte(key: Key, stats: Stats) -> float:
    ops = _float(stats.fields[Key("intensity", "", "", "", "Total ops")])
    word_bits = _float(stats.fields.get(Key("levels", key.level, "SPECS", "", "Data word bits"), math.nan))
    bytes_moved = word_bits * _accesses(key, stats) // 8
    rounded: float = struct.unpack("f", struct.pack("f", ops))[0]
    return rounded / bytes_moved if bytes_moved else math.nan


def _float(value: Value) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


_INTENSITY = (
    "the release of the Eyeriss-v2 reports counted actual accesses of one instance, 3.0.3 dense ones of all"
)
_RULES: tuple[tuple[str, Callable[[Key, Stats], float], str], ...] = (
    (
        "Average number of hops",
        _hops,
        "releases of 2022 took the average number of hops from a closed form of fan-out and multicast "
        "factor, 3.0.3 follows each multicast on the mesh",
    ),
    ("Total scalar accesses", _accesses, _INTENSITY),
    ("Op per Byte", _ops_per_byte, _INTENSITY),
)
EXPLANATIONS = tuple(dict.fromkeys(text for _, _, text in _RULES))
