"""A network on a chip as rows and plain data, for files and tables."""

from collections.abc import Sequence
from typing import Any

from sparsim.estimate import estimate_all
from sparsim.machines.eyeriss.chip import Chip, chip_energy_sources
from sparsim.machines.eyeriss.chip_area import chip_area
from sparsim.machines.eyeriss.cost_arrays import LINK, NOC, together
from sparsim.machines.eyeriss.eyexam import Bound
from sparsim.machines.eyeriss.layer_cost import ChipEvaluation, tile_of
from sparsim.machines.eyeriss.layer_explanation import explained
from sparsim.machines.eyeriss.plan_network import NetworkEvaluation
from sparsim.records import Workload, edp_j_cycles
from sparsim.records.layer_counts import macs
from sparsim.records.objective import ObjectiveName
from sparsim.report.chip_error_bars import error_bars_document


def limit_of(found: ChipEvaluation) -> str:
    """Return the part that takes longest; `weight` if it spends more than half of its time waiting for
    weights.
    """
    parts = {part: cycles for part, cycles in found.time.items() if part != "weight"} | together(found.time)
    limit = max(("PE", *parts), key=lambda part: parts[part])
    waits = limit == "PE" or LINK in found.time
    return "weight" if waits and found.time["weight"] > parts[limit] / 2 else limit


def stored_of(found: ChipEvaluation) -> str:
    """Return W and I for weights and iacts that are stored compressed, in lower case for uncompressed
    ones.
    """
    letters = {"weight": "W", "iact": "I"}
    return "".join(
        letters[role] if storage == "compressed" else letters[role].lower()
        for role, storage in found.storage.items()
    )


def active_pes(found: ChipEvaluation) -> int:
    return found.flows["weight"].delivery.active_pes


def edp(found: ChipEvaluation) -> float:
    """Return the energy-delay product with DRAM, in J x cycles."""
    return float(edp_j_cycles(found.chip_pj + found.dram_pj, found.cycles))


def layer_row(found: ChipEvaluation) -> dict[str, str | float]:
    """Return the row of one layer, as in `chip.layers.csv`: times in cycles, energies in pJ."""
    filters, channels = tile_of(found.mapping)
    return {
        "layer": found.layer.name,
        "cycles": found.cycles,
        "limit": limit_of(found),
        "pes": active_pes(found),
        "macs": macs(found.layer),
        "macs_per_cycle": macs(found.layer) / found.cycles,
        "chip_pj": found.chip_pj,
        "dram_pj": found.dram_pj,
        "chip_pj_per_mac": found.chip_pj / macs(found.layer),
        "edp_j_cycles": edp(found),
        "dram_bytes": found.dram_bytes,
        "spread": " ".join(f"{dim}{n}" for dim, n in found.spread.items() if n > 1),
        "filters_per_pe": filters,
        "channels_per_pe": channels,
        **{f"{role}s": storage for role, storage in found.storage.items()},
        "weight_capacity": found.weight_capacity,
        **{f"cycles {part}": cycles for part, cycles in found.time.items()},
        **{f"pj {name}": energy for name, energy in found.energy_pj.items()},
        "note": found.layer.note,
    }


def totals(network: NetworkEvaluation) -> dict[str, float]:
    """Return the totals of an inference, which is all layers once with all their samples.

    They exclude DRAM unless the name includes it. `area_um2` and `noc_area_share` are left out if there is no
    estimate.
    """
    area = chip_area(network.chip)
    seconds = network.cycles / (network.chip.spec.clock_mhz * 1e6)
    found = {
        "cycles": network.cycles,
        "inferences_per_s": network.inferences_per_s,
        "inferences_per_j": network.inferences_per_j,
        "gops_per_w": network.gops_per_w,
        "watts": network.chip_pj * 1e-12 / seconds,
        "chip_pj": network.chip_pj,
        "dram_pj": network.dram_pj,
        "dram_bytes": network.dram_bytes,
    }
    if area:
        found["area_um2"] = sum(area.values())
    if NOC in area:
        found["noc_area_share"] = area[NOC] / sum(area.values())
    return found


def document(
    network: NetworkEvaluation,
    bounds: Sequence[tuple[Bound, ...]],
    workload: Workload,
    objective: ObjectiveName,
) -> dict[str, Any]:
    """Return all results, with sources; `bounds` are those of `eyexam`, layer by layer."""
    chip, bars = network.chip, error_bars_document(network, workload, objective)
    of_layers = bars.pop("layers")
    return {
        "chip": chip.spec.to_dict(),
        "architecture_source": chip.architecture.source,
        "components": estimate_all(chip.accelerator.components),
        "energy_source": chip_energy_sources(chip),
        "workload": {"name": workload.name, "source": workload.source, "provenance": workload.provenance},
        "objective": objective,
        "totals": totals(network),
        "energy_pj": network.energy_pj,
        "area_um2": chip_area(chip),
        "error_bars": bars,
        "layers": [
            _layer(chip, found, steps) | {"error_bars": of_layers[found.layer.name]}
            for found, steps in zip(network.layers, bounds, strict=True)
        ],
    }


def _layer(chip: Chip, found: ChipEvaluation, bounds: tuple[Bound, ...]) -> dict[str, Any]:
    pe = found.pe
    return layer_row(found) | {
        "bounds": found.layer.bounds,
        "densities": {name: density.density for name, density in found.layer.densities.items()},
        "stored_densities": {name: density.density for name, density in found.stored.densities.items()},
        "spread": found.spread,
        "load_balance": float(pe.load_balance),
        "simd_efficiency": float(pe.simd_efficiency),
        "noc": {role: _flow(found, role) for role in found.flows},
        "words": {
            level.name: {
                traffic.dataspace: {
                    "reads": traffic.reads.actual,
                    "fills": traffic.fills.actual,
                    "updates": traffic.updates.actual,
                }
                for traffic in level.tensors
            }
            for level in found.evaluation.storage
        },
        **explained(chip, found),
        "eyexam": [bound._asdict() for bound in bounds],
        "mapping": found.mapping.to_dict(),
    }


def _flow(found: ChipEvaluation, role: str) -> dict[str, Any]:
    flow = found.flows[role]
    delivery = flow.delivery
    return {
        "mode": delivery.mode,
        "compressed": delivery.compressed,
        "words": flow.words,
        "cycles": flow.cycles,
        "energy_pj": flow.energy_pj,
        "words_per_cycle": delivery.words_per_cycle,
        "groups": delivery.groups,
        "copies": delivery.copies,
        "hops": delivery.hops,
        "wire_um": delivery.wire_um,
    }
