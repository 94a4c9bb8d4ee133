"""What makes up the cost of a layer on a chip: time of the PEs by part, contents of memories, bytes moved."""

from __future__ import annotations

from typing import Any, NamedTuple

from sparsim.machines.eyeriss.chip import IACT_GLB, PSUM_GLB, Chip
from sparsim.machines.eyeriss.cost_arrays import handing_over
from sparsim.machines.eyeriss.layer_cost import ChipEvaluation, passes_of, tile_of

GLB = (PSUM_GLB, IACT_GLB)


class Kept(NamedTuple):
    """What one instance of a memory holds of a tensor, and the accesses of all instances.

    Attributes
    ----------
    level, tensor : str
        The memory and the tensor.
    instances : int
        Instances of the memory.
    tile_words : int
        Words of the part of the tensor that is there at a time, zeros included.
    stored_words : int
        Words that it takes as it is stored, on average.
    capacity_words : int
        Words that fit.
    filled : float
        The share of the memory that the tensor takes.
    reads, fills, updates : float
        Accesses of all instances: words that leave inwards, that arrive from outside, and from inside.
    """

    level: str
    tensor: str
    instances: int
    tile_words: int
    stored_words: int
    capacity_words: int
    filled: float
    reads: float
    fills: float
    updates: float


def passes(found: ChipEvaluation) -> int:
    """Return how often the PEs get new weights."""
    return passes_of({level.level: level for level in found.mapping.levels})


def utilisation(found: ChipEvaluation) -> float:
    """Return the share of the MACs that do work in a cycle; skipped operands are none."""
    return float(found.pe.macs) / (found.cycles * found.evaluation.compute.instances)


def pe_time(chip: Chip, found: ChipEvaluation) -> dict[str, float]:
    """Return the cycles of the PEs by what they do; `loading` is what they wait for weights."""
    parts = {
        "windows": float(found.pe.cycles),
        "handing over": float(handing_over(chip, found.pe, tile_of(found.mapping)[0])),
        "filling": float(passes(found) * chip.spec.pe.fill_cycles),
    }
    return parts | {"loading": max(found.time["PE"] - sum(parts.values()), 0.0)}


def kept(found: ChipEvaluation) -> list[Kept]:
    """Return what the memories on the chip hold, from the outside to the inside."""
    rows = []
    for level in reversed(found.evaluation.storage):
        for traffic in level.tensors if level.storage.size_words else ():
            number, capacity = traffic.instances_average, level.storage.size_words or 0
            accesses = [number * each.actual for each in (traffic.reads, traffic.fills, traffic.updates)]
            rows.append(Kept(
                level.name, traffic.dataspace, level.instances, traffic.tile_words, traffic.utilized_words,
                capacity, traffic.utilized_words / capacity, *accesses,
            ))  # fmt: skip
    return rows


def network_bytes(found: ChipEvaluation) -> dict[str, float]:
    """Return the bytes of distinct words on the network, by kind."""
    return {role: flow.words * flow.delivery.bits_per_word / 8 for role, flow in found.flows.items()}


def glb_bytes(found: ChipEvaluation) -> float:
    """Return the bytes that are read from and written to the global buffer."""
    bits = {level.name: level.storage.word_bits for level in found.evaluation.storage}
    return sum(
        (row.reads + row.fills + row.updates) * bits[row.level] / 8 for row in kept(found) if row.level in GLB
    )


def explained(chip: Chip, found: ChipEvaluation) -> dict[str, Any]:
    """Return passes, utilisation, time of the PEs, contents of memories and bytes as plain data."""
    number, moved = passes(found), network_bytes(found)
    return {
        "passes": number,
        "utilisation": utilisation(found),
        "pe_cycles": pe_time(chip, found),
        "kept": [row._asdict() for row in kept(found)],
        "network_bytes": moved,
        "network_bytes_per_pass": {role: size / number for role, size in moved.items()},
        "glb_bytes": glb_bytes(found),
        "dram_bytes_by_kind": found.dram_parts,
    }
