"""Where the time of a layer on a chip goes, what each memory holds in a pass, and what is moved."""

from __future__ import annotations

from collections.abc import Sequence

from sparsim.machines.eyeriss.chip import DRAM
from sparsim.machines.eyeriss.layer_cost import ChipEvaluation, tile_of
from sparsim.machines.eyeriss.layer_explanation import (
    glb_bytes,
    kept,
    network_bytes,
    passes,
    pe_time,
    utilisation,
)
from sparsim.machines.eyeriss.plan_network import NetworkEvaluation
from sparsim.report.chip_rows import active_pes, limit_of, stored_of
from sparsim.report.tables import Table


def explanation(network: NetworkEvaluation) -> list[Table]:
    """Return the tables of `sparsim chip --explain`, with those of a single layer if there is only one."""
    tables = [_times(network), _held(network), _moved(network)]
    if len(network.layers) == 1:
        tables += [_memories(network.layers[0]), _buses(network.layers[0])]
    return tables


def _times(network: NetworkEvaluation) -> Table:
    """Parts that overlap with the PEs come after them; what a chip adds to the time has its own column."""
    chip, first = network.chip, network.layers[0]
    inner = list(pe_time(chip, first))
    outer = [part for part in first.time if part not in ("PE", "weight")]
    rows = []
    for found in network.layers:
        parts = pe_time(chip, found) | {part: found.time[part] for part in outer}
        rows.append((
            found.layer.name, f"{found.cycles:,}", limit_of(found), f"{passes(found):,}", active_pes(found),
            f"{utilisation(found):.0%}", *(_share(parts[name], found.cycles) for name in (*inner, *outer)),
        ))  # fmt: skip
    head = ("layer", "cycles", "limit", "passes", "PEs", "busy MACs", *inner, *outer)
    title = "where the time goes: cycles of the PEs by part, and of what overlaps with them"
    return Table(head, rows, title=title)


def _held(network: NetworkEvaluation) -> Table:
    places = list(dict.fromkeys(row.level for found in network.layers for row in kept(found)))
    rows = []
    for found in network.layers:
        filled: dict[str, float] = {}
        for row in kept(found):
            filled[row.level] = filled.get(row.level, 0.0) + row.filled
        number = passes(found)
        rows.append((
            found.layer.name, stored_of(found), found.weight_capacity,
            *(_share(filled.get(place, 0.0), 1.0) for place in places),
            *(f"{size / number:,.0f}" for size in network_bytes(found).values()),
        ))  # fmt: skip
    head = ("layer", "stored", "fits by", *places, *(f"{role} B/pass" for role in network.layers[0].flows))
    return Table(head, rows, title="what is kept: how full each memory is, and bytes on the network per pass")


def _moved(network: NetworkEvaluation) -> Table:
    def cells(layers: Sequence[ChipEvaluation]) -> list[str]:
        parts = [
            [*network_bytes(found).values(), glb_bytes(found), *found.dram_parts.values(), found.dram_bytes]
            for found in layers
        ]
        return [_kb(sum(column)) for column in zip(*parts, strict=True)]

    rows = [(found.layer.name, *cells([found])) for found in network.layers]
    roles = network.layers[0].flows
    head = (
        "layer",
        *(f"{role} on NoC" for role in roles),
        "GLB",
        *(f"{role} in {DRAM}" for role in roles),
        DRAM,
    )
    return Table(head, rows, title="what is moved, in kB", total=("total", *cells(network.layers)))


def _memories(found: ChipEvaluation) -> Table:
    rows = [
        (
            row.level, row.tensor, f"{row.instances:,}", f"{row.tile_words:,}", f"{row.stored_words:,}",
            f"{row.capacity_words:,}", _share(row.filled, 1.0),
            *(f"{accesses:,.0f}" for accesses in (row.reads, row.fills, row.updates)),
        )
        for row in kept(found)
    ]  # fmt: skip
    head = "memory|tensor|instances|tile words|as stored|capacity|filled|reads|fills|updates"
    return Table(head.split("|"), rows, title="memories: words of one instance, accesses of all", text=(0, 1))


def _buses(found: ChipEvaluation) -> Table:
    rows = []
    for role, flow in found.flows.items():
        at = flow.delivery
        way = "compressed" if at.compressed else "plain"
        rows.append((
            role, at.mode, way, f"{at.bits_per_word:g}", at.groups, at.source_ports, f"{flow.words:,.0f}",
            f"{at.words_per_cycle:.3g}", f"{flow.cycles:,.0f}", _share(flow.cycles, found.cycles),
        ))  # fmt: skip
    head = "network|mode|words|bits|groups|ports|distinct words|words/cycle|cycles|of layer"
    filters, channels = tile_of(found.mapping)
    spread = " ".join(f"{dim}{pes}" for dim, pes in found.spread.items() if pes > 1)
    array = f"{active_pes(found)} PEs ({spread or 'no dim is spread'})"
    note = f"{array}, {filters} filters and {channels} channels in each"
    return Table(head.split("|"), rows, title="network on chip", text=(0, 1, 2), notes=[note])


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}"


def _kb(size: float) -> str:
    return f"{size / 1e3:,.1f}"
