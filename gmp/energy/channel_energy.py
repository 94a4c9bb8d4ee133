"""Energy or cycles of a network with fewer channels, as a cost for the searches of `gmp.channels`."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from torch import nn

from gmp.channels.channel_costs import ChannelCost, narrowed_rows
from gmp.channels.channel_records import ChannelGroups
from gmp.energy.monitor_readings import knows_energy
from gmp.errors import PruningError
from gmp.number_checks import whole
from gmp.tracing.trace import LayerTrace, Trace
from gmp.tracing.traced_workload import workload_of
from sparsim.hardware import Hardware, load_hardware
from sparsim.records import Accelerator

QUANTITIES = ("energy_pj", "cycles")


def hardware_cost(
    model: nn.Module,
    groups: ChannelGroups,
    hardware: str | Path | Accelerator | Hardware | Any,
    quantity: Literal["energy_pj", "cycles"] = "energy_pj",
    *,
    batch: int = 1,
    **options: Any,
) -> ChannelCost:
    """Make a function that costs a network with fewer channels on hardware.

    Parameters
    ----------
    model : nn.Module
        The network.
    groups : ChannelGroups
        Its groups, whose example is traced.
    hardware : str or Path or Chip or Accelerator or Hardware
        Name of a preset, path of a document, a chip, an accelerator or other hardware.
    quantity : {"energy_pj", "cycles"}, default "energy_pj"
        What is counted.
    batch : int, default 1
        Samples that the hardware runs at a time.
    **options
        Options of `Hardware.plan`.

    Returns
    -------
    callable
        Energy in pJ, or cycles, by the number of channels that are left in each group.

    Raises
    ------
    PruningError
        If the quantity is unknown, if `batch` is not a positive integer, or if no energy of the hardware is
        known.
    SpecError
        If the hardware is unknown or a document is invalid.

    Notes
    -----
    Each layer is planned once for each number of its channels; plans are kept in the user's cache. On Eyeriss
    v2 a plan takes half a CPU second. Densities of activations are those of the whole network.
    """
    if quantity not in QUANTITIES:
        raise PruningError(f"the quantity is {quantity!r}; it must be energy_pj or cycles")
    samples, found = whole(batch, "batch"), load_hardware(hardware)
    rows = narrowed_rows(model, groups)

    @cache
    def of_layer(row: LayerTrace) -> float:
        layers = workload_of(Trace((row,), 1), name="channels", batch=samples).layers
        plan = found.plan(layers, **options)
        if quantity == "energy_pj" and not knows_energy(plan):
            raise PruningError("no energy of the hardware is known; the quantity must be cycles")
        return float(getattr(plan(plan.densities), quantity).sum())

    def cost(counts: Mapping[str, int]) -> float:
        return sum(of_layer(row) for row in rows(counts).layers)

    return cost
