"""Area of a chip's components. Clock trees, wires and what controls the whole chip are not estimated."""

import math

from sparsim.machines.eyeriss.chip import DRAM, IACT_GLB, PSUM_GLB, Chip
from sparsim.machines.eyeriss.cost_arrays import ADDRESSES, COMPUTE, CONTROL, NOC
from sparsim.records import Storage
from sparsim.records.chip_spec import ADDRESS_SPADS, PE_CONTROL, ROUTERS
from sparsim.records.component import Component


def chip_area(chip: Chip) -> dict[str, float]:
    """Return the area of the components of a chip.

    These are the levels with an area except DRAM, the MACs, the address spads, the control of the PEs if it
    is given, and the routers. A component that holds fewer words than its level is a bank of it.

    Parameters
    ----------
    chip : Chip
        The chip.

    Returns
    -------
    dict of str to float
        Area of all instances in um^2, by component; empty without an energy table.
    """
    if chip.energy is None:
        return {}
    areas, arch, noc = chip.energy.areas, chip.architecture, chip.spec.noc
    components = {component.name: component for component in chip.accelerator.components}
    found = {
        level.name: areas[level.name] * math.prod(arch.total_mesh(i)) * _banks(level, components)
        for i, level in enumerate(arch.storage)
        if level.name in areas and level.name != DRAM
    }
    found[COMPUTE] = areas.get(arch.compute.name, 0.0) * math.prod(arch.total_mesh(len(arch.storage)))
    found[ADDRESSES] = noc.pes * sum(areas.get(name, 0.0) for name in ADDRESS_SPADS.values())
    found[CONTROL] = noc.pes * areas.get(PE_CONTROL, 0.0)
    found[NOC] = math.prod(noc.clusters) * math.fsum(
        network.routers_per_cluster * areas.get(ROUTERS[network.role], 0.0) for network in noc.networks
    )
    if chip.spec.glb_banks is not None:  # each of the two levels may have all banks
        found |= {name: found[name] / 2 for name in (PSUM_GLB, IACT_GLB) if name in found}
    return {name: area for name, area in found.items() if area > 0}


def _banks(level: Storage, components: dict[str, Component]) -> float:
    """Return the number of memories that make up an instance of the level, with a fraction if the last one is
    not full.
    """
    component = components.get(level.name)
    if component is None or level.size_words is None:
        return 1.0
    bits = sum(
        part.count * float(part.attributes["width_bits"]) * float(part.attributes["depth_words"])
        for part in (component.parts or (component,))
        if "depth_words" in part.attributes
    )
    return level.size_words * level.word_bits / bits if bits else 1.0
