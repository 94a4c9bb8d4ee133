"""Writer of the stats text of Timeloop 4.x (4cf6d4c), which has the content of that of 3.0.3 in other
lines.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

from sparsim.files.timeloop.stats_writer import write_stats
from sparsim.model.result import Evaluation, NetworkResult, NetworkTraffic, StorageResult
from sparsim.records.accounting import OF_TIMELOOP_4

_WIDTH = 32  # width of a label in SPECS
_SPEC = re.compile(r" {8}(\S.*?) *: (.*)")
_BREAKDOWN = re.compile(r"( +)Breakdown \(Data, Format\): \(\S+%, (\S+)%\)")

_NETWORK = re.compile(r"Network \d+")


def stats_text(evaluation: Evaluation, dialect: str | None = None) -> str:
    """Return the report in the form of Timeloop 3.0.3 ("3") or 4.x ("4"), by default that of the
    accounting.
    """
    if dialect is None:
        dialect = "4" if evaluation.accounting in OF_TIMELOOP_4 else "3"
    return write_stats_4(evaluation) if dialect == "4" else write_stats(evaluation)


def write_stats_4(evaluation: Evaluation) -> str:
    """The report as Timeloop 4.x prints it.

    Levels without accesses and leakage and networks without energy are left out, but counted. Like there,
    breakdowns of bandwidths are wrong: the share of the data is 1 minus the percentage of the formats.
    """
    head, networks, tail = _parts(write_stats(evaluation))
    lines = [*_levels(head, evaluation), *_networks(networks, evaluation), *_summary(tail, evaluation)]
    return "\n".join(lines)


def _parts(text: str) -> tuple[list[str], list[str], list[str]]:
    lines = text.split("\n")
    networks, intensity = lines.index("Networks"), lines.index("Operational Intensity Stats")
    return lines[:networks], lines[networks:intensity], lines[intensity:]


def _levels(lines: list[str], evaluation: Evaluation) -> Iterator[str]:
    starts = [i for i, line in enumerate(lines) if re.fullmatch(r"Level \d+", line)]
    yield from lines[: starts[1]]
    edges = [*starts[1:], len(lines)]
    for start, end, level in zip(edges[:-1], edges[1:], evaluation.storage, strict=True):
        if level.tensors or level.energy_pj:
            yield from _level(lines[start:end], level)


def _level(lines: list[str], level: StorageResult) -> Iterator[str]:
    specs, mapping, stats = (lines.index(f"    {name}") for name in ("SPECS", "MAPPING", "STATS"))
    yield from lines[: specs + 2]
    for line in lines[specs + 2 : mapping]:
        match = _SPEC.fullmatch(line)
        if match and match[1] == "Area":
            yield from _leakage(level)
        yield f"        {match[1]:<{_WIDTH}}: {match[2]}" if match else line
    updates = ""
    kind = ""
    for line in lines[stats:]:
        if line.startswith("        Scalar updates"):  # these come after the fills in 4.x
            updates = line
            continue
        label = line.strip()
        if label.startswith(("Shared Bandwidth (per", "Average Shared Bandwidth (per")):
            yield f"{'        Bandwidth Consumption Scale':<{line.index(': ')}}: 1.00"
        if " Bandwidth (" in line:
            kind = label
        yield _tensor_line(line, kind)
        if updates:
            yield updates
            updates = ""


def _tensor_line(line: str, kind: str) -> str:
    match = _BREAKDOWN.fullmatch(line)
    if match:
        end = "" if "Shared" in kind else ")"
        return f"{match[1]}Breakdown (Data, Format): ({1 - float(match[2]):.2f}%, {match[2]}%{end}"
    return line.replace(": fixed-structured", ": fixed_structured") if "Tile density" in line else line


def _leakage(level: StorageResult) -> Iterator[str]:
    per_gate = level.instances_per_gate
    used = 1.0
    if per_gate > 1 and level.leak_pj > 0:
        used = level.leakage_pj / (level.leak_pj * level.cycles * level.instances)
    for label, value in (
        ("Per-instance-cycle leakage", f"{level.leak_pj:.2f} pJ"),
        ("Instances sharing power gating", f"{per_gate:.2f}"),
        ("Non-power-gated utilization", f"{100 * used:.2f}%"),
        ("Leakage energy (total)", f"{level.leakage_pj:.2f} pJ"),
    ):
        yield f"        {label:<{_WIDTH}}: {value}"


def _networks(lines: list[str], evaluation: Evaluation) -> Iterator[str]:
    networks = {network.name: network for network in evaluation.networks}
    starts = [i for i, line in enumerate(lines) if _NETWORK.fullmatch(line)]
    yield from lines[: starts[0]]
    edges = [*starts, len(lines) - 1]
    for start, end in pairwise(edges):
        network = networks[lines[start + 2]]
        if network.energy_pj:
            idle = {f"    {tensor.dataspace}:" for tensor in network.tensors if _is_idle(network, tensor)}
            tensor = ""
            for line in lines[start:end]:
                tensor = line if line.startswith("    ") and line[4:5] != " " else tensor if line else ""
                if tensor not in idle:
                    yield line
    yield lines[-1]


def _is_idle(network: NetworkResult, tensor: NetworkTraffic) -> bool:
    """Return whether a named network does not carry a tensor."""
    if network.named is None or network.named.kind == "mesh":
        return False
    return not (tensor.ingresses if network.named.kind == "multicast" else tensor.spatial_reductions)


def _summary(lines: list[str], evaluation: Evaluation) -> Iterator[str]:
    """Write the summary without rows of zero energy, and the utilization as a percentage."""
    energies = {evaluation.compute.name: evaluation.compute.energy_pj}
    energies |= {level.name: level.energy_pj for level in evaluation.storage}
    energies |= {network.name: network.energy_pj for network in evaluation.networks}
    silent = {name for name, energy in energies.items() if not energy}
    below = False
    for line in lines:
        below = below or line.startswith("Summary")
        if below and re.split(r" += ", line.strip())[0] in silent:
            continue
        if line.startswith("Utilization: "):
            line = f"Utilization: {100 * evaluation.utilization:.2f}%"
        yield line
