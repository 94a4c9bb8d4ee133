"""What the study's networks cost on machines that are not among its designs."""

from collections.abc import Callable, Mapping
from typing import Any

from pointnet.study import design_costs
from pointnet.study.findings import Compared
from pointnet.study.study_networks import Traced
from sparsim.hardware import NetworkCost, load_hardware
from sparsim.report.machine_comparison import MACHINES, MachineRun, compare, run_of, two_of_four

TWO_FOUR = "2:4"
Runs = dict[str, dict[str, MachineRun]]


def machine_costs(
    compared: list[Compared],
    traces: Mapping[str, Traced],
    costs: Mapping[str, Mapping[str, NetworkCost]],
    progress: Callable[[str], object] = lambda text: None,
) -> Runs:
    """Cost the compared networks, and the unpruned one with 2:4 weights, on all machines without mappings.

    Chips among the designs come first, with the costs that they have there.
    """
    networks = {each.title: traces[each.network].layers() for each in compared}
    halved = two_of_four(networks[compared[0].title])
    found: Runs = {}
    for design, preset in design_costs.CHIPS.items():
        if design in costs:
            clock = load_hardware(preset).clock_mhz
            assert clock is not None
            progress(f"{TWO_FOUR} on {preset}")
            every = {each.title: costs[design][each.variant] for each in compared}
            every[TWO_FOUR] = design_costs.cost(design, halved)
            found[preset] = {name: run_of(cost, clock) for name, cost in every.items()}
    others = [name for name in MACHINES if not name.startswith("eyeriss")]
    return found | compare({**networks, TWO_FOUR: halved}, others, progress)


def plain(runs: Runs) -> dict[str, Any]:
    """As data that JSON holds."""
    return {
        machine: {name: run._asdict() for name, run in by_name.items()} for machine, by_name in runs.items()
    }


def runs_of(found: Mapping[str, Any]) -> Runs:
    """From what `plain` has made."""
    return {
        machine: {name: MachineRun(**run) for name, run in by_name.items()}
        for machine, by_name in found.items()
    }
