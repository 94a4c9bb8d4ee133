"""Each assumption behind the comparison on and off, against all published numbers, and the counts after each
step of fitting.

An assumption is switched off by a change of the chip or of a workload.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from importlib import import_module
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from eyeriss_networks import MOBILENET, Runs, with_overhead
from eyeriss_overhead import FITTED, SCALED, SILICON, STAGES
from eyeriss_published import SECTIONS, Published
from msgspec.structs import replace

from sparsim.files.sparsim_yaml import load_workload
from sparsim.machines.eyeriss import Chip
from sparsim.machines.eyeriss.chip import IACT_GLB, PSUM_GLB
from sparsim.machines.eyeriss.row_stationary_nest import REDUCTION
from sparsim.machines.eyeriss.uncertainties import skips_zeros
from sparsim.records import Layer
from sparsim.report.tables import Table

Row = Mapping[str, Any]
USES_WORDS = ("compression", "cost_arrays", "plan_layer")  # modules that charge what a compressed word takes
UNCHANGED = ("scaling", "areas")  # sections without a number that an assumption changes
BY_GATES = {  # the overheads before: half of what silicon leaves per cycle, half per busy PE, by gates
    SILICON: (467.0, 4.05),
    **dict.fromkeys(FITTED, (535.0, 4.06)),
    SCALED: (1071.0, 8.11),
}
SCALE_BY_GATES = 2.0  # gates of v2 over those of v1.5


class Assumption(NamedTuple):
    """What is assumed, and chips and workloads without it, or else the model of PEs that skip zeros."""

    name: str
    change: Callable[[Chip], Chip] = lambda chip: chip
    instead: Callable[[], dict[str, tuple[Layer, ...]]] = dict
    model: Callable[[], AbstractContextManager[Any]] = nullcontext


def _with(chip: Chip, **fields: Any) -> Chip:
    return chip._replace(spec=replace(chip.spec, **fields))


def _no_link(chip: Chip) -> Chip:
    return _with(chip, filter_link=None)


def _no_groups(chip: Chip) -> Chip:
    """Without channel groups on different parts of a flat array."""
    if chip.spec.dataflow != "row-stationary":
        return chip
    spread = {axis: tuple(dim for dim in dims if dim != "G") for axis, dims in chip.spec.spread.items()}
    return _with(chip, spread=spread)


def _no_run_lengths(chip: Chip) -> Chip:
    return _with(chip, run_lengths=None)


def _fixed_glb(chip: Chip) -> Chip:
    """Half of the buffer for iacts and half for psums in every layer."""
    if chip.spec.glb_banks is None:
        return chip
    architecture = chip.architecture
    storage = tuple(
        replace(level, size_words=level.size_words // 2)
        if level.name in (PSUM_GLB, IACT_GLB) and level.size_words
        else level
        for level in architecture.storage
    )
    halved = replace(chip.accelerator, architecture=replace(architecture, storage=storage))
    return _with(chip._replace(accelerator=halved), glb_banks=None)


def _buses_in_bits(chip: Chip) -> Chip:
    """v1 at the size of v2 with as many bits on its buses as the original, 16 and 64, for narrower words."""
    if chip.name != FITTED[0]:
        return chip
    ports = {"iact": (16, 2), "weight": (64, 8), "psum": (64, 3)}
    networks = tuple(
        replace(each, port_bits=ports[each.role][0], raw_words=ports[each.role][1])
        for each in chip.spec.noc.networks
    )
    return _with(chip, noc=replace(chip.spec.noc, networks=networks))


def _vertical_sums(chip: Chip) -> Chip:
    """Without filter rows and channels along columns of a mesh, whose sums nothing adds sideways."""
    if chip.spec.noc.clusters == (1, 1):
        return chip
    spread = {
        axis: tuple(dim for dim in dims if dim not in REDUCTION or not axis.endswith("columns"))
        for axis, dims in chip.spec.spread.items()
    }
    return _with(chip, spread=spread)


def _nonzeros_only() -> AbstractContextManager[Any]:
    """Compressed operands take a word for each nonzero in memories and on the network."""
    stack = ExitStack()
    for module in map(import_module, (f"sparsim.machines.eyeriss.{name}" for name in USES_WORDS)):
        for name in ("pairs_per_nonzero", "words_per_nonzero"):
            if hasattr(module, name):
                stack.enter_context(
                    patch.object(module, name, lambda pe, pes, role: np.ones_like(pes.cycles))
                )
    return stack


def _not_row_stationary(chip: Chip) -> Chip:
    """Any loop nest that the spread of the chip allows, the fastest of each layer."""
    if chip.spec.dataflow != "row-stationary":
        return chip
    return _with(_fixed_glb(chip), dataflow="row-stationary-plus")


def _no_hazard(chip: Chip) -> Chip:
    return _with(chip, pe=replace(chip.spec.pe, accumulate_cycles=1))


def _router(chip: Chip) -> Chip:
    """Routers with a register and a crossbar per port."""
    if chip.spec.noc.clusters == (1, 1):
        return chip
    wiring = replace(chip.spec.noc.wiring, router_pj_per_bit=0.036)
    return _with(chip, noc=replace(chip.spec.noc, wiring=wiring))


def by_gates(chip: Chip) -> Chip:
    return with_overhead(chip, *BY_GATES[chip.name])


def _scaled_by_gates(chip: Chip) -> Chip:
    if chip.name != SCALED:
        return chip
    spec = chip.spec
    overhead = (spec.clock_pj_per_cycle, spec.control_pj_per_pe_cycle)
    return with_overhead(chip, *(SCALE_BY_GATES / STAGES * pj for pj in overhead))


def _dense_iacts() -> dict[str, tuple[Layer, ...]]:
    return {MOBILENET: tuple(replace(layer, densities={}) for layer in load_workload(MOBILENET).layers)}


def _energy_aware() -> dict[str, tuple[Layer, ...]]:
    return {"alexnet_sparse": load_workload("alexnet_sparse_energy_aware").layers}


ASSUMPTIONS = (
    Assumption("link of v1", _no_link),
    Assumption("words on v1's buses", _buses_in_bits),
    Assumption("groups on v1", _no_groups),
    Assumption("run lengths", _no_run_lengths),
    Assumption("GLB per layer", _fixed_glb),
    Assumption("row-stationary", _not_row_stationary),
    Assumption("zeros of MobileNet", instead=_dense_iacts),
    Assumption("sums of several columns", _vertical_sums),
    Assumption("psum hazard", _no_hazard),
    Assumption("CSC words", model=_nonzeros_only),
    Assumption("muxes", _router),
    Assumption("two overheads", by_gates),
    Assumption("x 7/3, not x 2", _scaled_by_gates),
    Assumption("first sparse AlexNet", instead=_energy_aware),
)
STEPS: dict[str, Callable[[Chip], Chip]] = {
    "facts only": lambda chip: by_gates(_no_hazard(chip)),
    "with the psum hazard": by_gates,
    "with the overheads of two generations": lambda chip: chip,
}


def compared(runs: Runs, sections: Mapping[str, Sequence[Published]]) -> dict[str, float]:
    """Deviations of the compared numbers of some sections by quantity."""
    found = {}
    for row in (row for rows in sections.values() for row in rows if row.set == "compared"):
        model = float(row.model(runs))
        found[row.quantity] = model / row.nearest(model) - 1.0
    return found


def changed_deviations(runs: Runs, rows: Sequence[Row], assumption: Assumption) -> dict[str, float]:
    """Deviations of all compared numbers without an assumption; `rows` are those with all of them."""
    known = {row["quantity"]: row["deviation"] for row in rows if row["set"] == "compared"}
    plans = runs.plans
    if assumption.model is not nullcontext:
        plans = {key: found for key, found in plans.items() if not skips_zeros(found.chip)}
    other = Runs(runs.step, assumption.change, assumption.instead(), plans)
    sections = {name: part for name, part in SECTIONS.items() if name not in UNCHANGED}
    with assumption.model():
        return known | compared(other, sections)


def sensitivity(runs: Runs, rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Deviations of all compared numbers, by the assumption that is switched off."""
    return {assumption.name: changed_deviations(runs, rows, assumption) for assumption in ASSUMPTIONS}


def sensitivity_table(rows: Sequence[Row], found: Mapping[str, Mapping[str, float]]) -> Table:
    """Deviations with all assumptions, and where they differ, without each."""
    cells = []
    known = {row["quantity"]: row["deviation"] for row in rows if row["set"] == "compared"}
    for quantity, deviation in known.items():
        others = (part[quantity] for part in found.values())
        shown = (f"{x:+.0%}" if abs(x - deviation) >= 0.005 else "" for x in others)
        cells.append((quantity, f"{deviation:+.0%}", *shown))
    total = ["within 15 %, 25 %", *(_counts(part.values()) for part in (known, *found.values()))]
    return Table(["quantity", "all", *found], [*cells, total])


def bracket_table(runs: Runs) -> Table:
    """Everything published of the sparse AlexNet, beside the two networks that may have been it."""
    other = Runs(runs.step, instead=_energy_aware(), plans=runs.plans)
    cells = []
    for row in (row for part in SECTIONS.values() for row in part if "sparse AlexNet" in row.quantity):
        shipped, energy_aware = (float(row.model(each)) for each in (runs, other))
        values = (row.nearest(shipped), shipped, energy_aware)
        cells.append((row.quantity, row.source, *(f"{value:.4g}" for value in values)))
    return Table(["quantity", "source", "published", "alexnet_sparse", "energy-aware"], cells)


def steps(runs: Runs, rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    return {name: changed_deviations(runs, rows, Assumption(name, change)) for name, change in STEPS.items()}


def steps_table(found: Mapping[str, Mapping[str, float]]) -> Table:
    cells = [
        (name, len(part), *(sum(abs(x) <= most for x in part.values()) for most in (0.15, 0.25)))
        for name, part in found.items()
    ]
    return Table(["step", "seen numbers", "within 15 %", "within 25 %"], cells)


def _counts(deviations: Any) -> str:
    found = list(deviations)
    return ", ".join(str(sum(abs(x) <= most for x in found)) for most in (0.15, 0.25))
