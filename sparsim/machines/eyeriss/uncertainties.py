"""Known uncertainties of an estimate on a chip: what may be off, by how much, and how that is known.

Components of one class are estimated by the same rules, so their errors are taken to be the same. Those of
different classes are taken to be independent.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.cost_arrays import ADDRESSES, CLOCK, COMPUTE, CONTROL, NOC
from sparsim.records import Workload
from sparsim.records.chip_spec import ADDRESS_SPADS
from sparsim.records.component import Component


class Uncertainty(NamedTuple):
    """Something that an estimate depends on and that is not known exactly.

    Attributes
    ----------
    name : str
        What it is.
    relative : float
        How far the true value may be from the one in use, as a fraction of it.
    source : str
        How that is known.
    components : tuple of str
        The components whose energy it scales; empty for uncertainties of cycles and densities.
    """

    name: str
    relative: float
    source: str
    components: tuple[str, ...] = ()


_ESTIMATES = "docs/results/estimate-results.md"
CLASSES = {  # of components: (name, relative, source)
    "sram": (
        "SRAM", 0.10,
        f"{_ESTIMATES}: nine of ten interpolated reads are within 9.4 % of CACTI; hwcomponents differs by up "
        "to 9 % in the SRAMs of Eyeriss v2",
    ),
    "regfile": (
        "register files", 0.55,
        f"{_ESTIMATES}: root mean square of the deviations of hwcomponents for the four register files of "
        "Eyeriss v2 (34, 48, 43 and 82 %)",
    ),
    "register": ("registers", 0.15, f"{_ESTIMATES}: numbers of public designs are 1.15 times apart"),
    "mac": (
        "MACs", 0.60,
        f"{_ESTIMATES}: 1 ns cells take 56 % more, and Horowitz's adders and multipliers 62 % less",
    ),
}  # fmt: skip
NETWORK = Uncertainty(
    "network on chip", 0.25,
    "published share of the network in the energy of Eyeriss v2: 6 to 10 % (JETCAS 9(2) 2019), 8 % +- 25 %",
    (NOC,),
)  # fmt: skip
WINDOWS = Uncertainty(
    "time of PEs that skip zeros", 0.05,
    "docs/how-to/chip.md: the estimate of the slowest PE against the cycle-level PE, at most 5 % in a layer",
)  # fmt: skip
ASSUMED = 0.5  # an assumed density may be half or twice as large
DENSITIES = {
    tensor: Uncertainty(
        f"assumed densities of {tensor.lower()}", ASSUMED,
        "half to twice the density, at most 1: a ReLU of values that are symmetric about 0 leaves half, and "
        "the inputs of AlexNet's convolutions have 0.2 to 0.6 (JSSC 52(1) 2017)",
    )
    for tensor in ("Inputs", "Weights")
}  # fmt: skip


def energy_uncertainties(chip: Chip) -> tuple[Uncertainty, ...]:
    """Return the uncertainties of the energies of a chip's components.

    Energies that a document gives as numbers have none, and neither has that of DRAM.
    """
    by_class: dict[str, list[str]] = {}
    for component in chip.accelerator.components:
        class_name = _class_of(component)
        name = ADDRESSES if component.name in ADDRESS_SPADS.values() else component.name
        name = COMPUTE if component.name == chip.architecture.compute.name else name
        if class_name in CLASSES and name not in by_class.setdefault(class_name, []):
            by_class[class_name].append(name)
    found = [
        Uncertainty(*CLASSES[class_name], components=tuple(names))
        for class_name, names in by_class.items()
        if names
    ]
    spec = chip.spec
    if spec.overhead_uncertainty:
        source = f"overhead_uncertainty of chip {spec.name}"
        found.append(Uncertainty("clock and control", spec.overhead_uncertainty, source, (CLOCK, CONTROL)))
    return (*found, NETWORK)


def skips_zeros(chip: Chip) -> bool:
    """Return whether the time of the PEs depends on where zeros are."""
    return chip.spec.pe.skips_zero_iacts or chip.spec.pe.skips_zero_weights


def assumed_tensors(workload: Workload) -> dict[str, frozenset[str]]:
    """Return for each layer the tensors whose density the provenance of the workload calls assumed.

    Parameters
    ----------
    workload : Workload
        A network whose provenance has an entry for each layer, such as "Weights seen, Inputs assumed".

    Returns
    -------
    dict of str to frozenset of str
        The tensors by layer; none for a layer without an entry.
    """
    return {
        layer.name: frozenset(re.findall(r"(\w+) assumed", str(workload.provenance.get(layer.name, ""))))
        for layer in workload.layers
    }


def _class_of(component: Component) -> str:
    """The class of the estimator of a component, or of the first part of a compound."""
    return component.parts[0].class_name if component.parts else component.class_name
