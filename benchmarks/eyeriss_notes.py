"""Why numbers deviate, by hand; printed where the deviation is large (`eyeriss_published.EXPLAINED`)."""

from __future__ import annotations

from typing import NamedTuple


class Note(NamedTuple):
    quantities: tuple[str, ...]
    text: str


NOTES = (
    Note(
        (
            "v2, sparse AlexNet, inferences/J",
            "v2, sparse AlexNet, GOPS/W",
        ),
        "The pruned AlexNet that was measured has no published densities; ours is put together from two "
        "others (workload `alexnet_sparse`). The power that the published numbers imply is lower than "
        "ours too: clock and control are two thirds of our energy, and both are carried over from v1 "
        "per gate, as if no part of the chip were clock-gated while PEs wait for each other or for "
        "weights.",
    ),
    Note(
        ("v2, sparse AlexNet, DRAM MB",),
        "Nearly all of it is weights of the fully connected layers: ours have the densities of EIE's "
        "pruned AlexNet (9 to 25 %). The remembered number would be right for about twice as many "
        "nonzeros.",
    ),
    Note(
        (
            "v2, MobileNet, DRAM MB",
            "v2, sparse MobileNet, DRAM MB",
        ),
        "Ours is the least that single-layer processing allows plus what does not fit; the remembered "
        "number has more.",
    ),
    Note(
        ("v1, AlexNet, inferences/s",),
        "Three quarters of our cycles are weights of the fully connected layers on v1's bus. That it "
        "moves four of them per cycle is an assumption (see the preset); with two, the network would "
        "take longer than published.",
    ),
    Note(
        ("v1, MobileNet, inferences/J",),
        "On v1 MobileNet mostly waits for iacts. We charge the clock of the whole chip while it waits: "
        "two thirds of the energy. Measured was v1 with PEs that are mostly busy, which does not tell "
        "what waiting takes.",
    ),
    Note(
        (
            "v2 sparse MobileNet / v1 MobileNet, speed",
            "v2 sparse MobileNet / v1 MobileNet, inferences/J",
            "v1.5 MobileNet / v1 MobileNet, speed",
            "v1.5 MobileNet / v1 MobileNet, inferences/J",
        ),
        "Our inferences/s and inferences/J of v1 are too low (above), which every ratio to it shows; "
        "v1.5 and v2 by themselves are close.",
    ),
    Note(
        (
            "v2 sparse AlexNet / v1 AlexNet, speed",
            "v2 sparse AlexNet / v1 AlexNet, inferences/J",
            "v2 sparse MobileNet / v1 AlexNet, speed",
            "v2 sparse MobileNet / v1 AlexNet, inferences/J",
        ),
        "Follows from the two networks above: speed from v1's AlexNet, inferences/J from both sides.",
    ),
    Note(
        (
            "v2 sparse MobileNet / v2 MobileNet, speed",
            "v2 sparse MobileNet / v2 MobileNet, inferences/J",
            "v2 sparse MobileNet / v2 sparse AlexNet, speed",
            "v2 sparse MobileNet / v2 sparse AlexNet, inferences/J",
        ),
        "Our sparse MobileNet is a sixth too fast: zeros are spread at random in the model, while "
        "channels of a real network that are dense in both operands make some PEs slow. What that costs "
        "one PE is in actual-data.md; between PEs that wait for each other it costs more. And dense "
        "MobileNet is taken to have no zero activations at all, as nothing is published: with some, "
        "ours would be faster and the ratio smaller. The ratio to sparse AlexNet has the deviations of "
        "both.",
    ),
    Note(
        ("v2, AlexNet CONV1, GOPS/W",),
        "At some 0.6 W, which is what whole networks take, the published number would be 220 MACs per "
        "cycle. Ours does 356 of 384: 11 x 11 windows of three channels spread well if any dim may lie "
        "along any axis. How the chip maps the layer is not published.",
    ),
    Note(
        ("v2, AlexNet CONV3, GOPS/W",),
        "We skip the zero iacts that v1 measured in this layer (72.5 %), which makes 980 MACs per cycle "
        "out of 384; at some 0.6 W the published number would be 590. So the network or the images had "
        "fewer zeros there, or fewer could be made use of. With sparse weights the same layer is close.",
    ),
    Note(
        ("v2, sparse AlexNet, NoC share of energy",),
        "Our plans are the fastest, not the most frugal: for conv2, psums of 16 sets of channels travel "
        "over the mesh to be added up.",
    ),
    Note(
        ("v2, sparse AlexNet, DRAM MB of CONV layers",),
        "Ours is little more than every word once, in compressed form. The densities are not those of "
        "the pruned network that was measured (above), and its mapping may have fetched some words again.",
    ),
    Note(
        ("v2, NoC share of area",),
        "Estimated routers are a register and a full crossbar per port; the chip's are muxes that are "
        "set once per layer. And the control logic of PEs (a quarter of their area) is not in our "
        "total.",
    ),
    Note(
        ("v2, MACs over spads, area of a PE",),
        "The MAC is one public synthesis, scaled from 45 nm; spads of registers are estimated as flip- "
        "flops, those of weights by CACTI. Any of them could be the difference.",
    ),
    Note(
        ("v2 / v1.5, area",),
        "The GLB is the same in both and more than a quarter of our areas. The paper counts gates "
        "without SRAM; if the factor of two is one of gates, the ratio of the PEs is the one to "
        "compare.",
    ),
    Note(
        ("v1 measured, DRAM MB",),
        "The chip compresses iacts and outputs off chip (run lengths of 5 bits), which the preset does "
        "not, and it keeps some weights in its buffer; in the model weights bypass the buffer and come "
        "again for every pass, more than half of our traffic.",
    ),
)
