"""The problem shape of the networks that come with the package, and of every traced one."""

from __future__ import annotations

from sparsim.records.shape import Dataspace, Layer, Shape

# G groups, each with C input and M output channels; N samples; outputs P high and Q wide, windows R high and
# S wide. A fully connected layer has G = R = S = P = Q = 1, a depthwise one C = 1 in each of its groups. Of
# dims without a place in an order the first is innermost, so that the width stands before the height.
CONV = Shape(
    name="conv",
    dims=("G", "N", "M", "C", "S", "R", "Q", "P"),
    coefficients={"Wstride": 1, "Hstride": 1, "Wdilation": 1, "Hdilation": 1},
    dataspaces=(
        Dataspace(name="Weights", projection=("G", "C", "M", "S", "R")),
        Dataspace(
            name="Inputs", projection=("N", "G", "C", "S*Wdilation + Q*Wstride", "R*Hdilation + P*Hstride")
        ),
        Dataspace(name="Outputs", projection=("N", "G", "M", "P", "Q"), read_write=True),
    ),
)


def is_depthwise(layer: Layer) -> bool:
    """Whether several groups have one input channel each. A shape without a dim G has one group."""
    return layer.bounds.get("G", 1) > 1 and layer.bounds.get("C") == 1
