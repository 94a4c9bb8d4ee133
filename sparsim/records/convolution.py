"""The problem shape of convolutions, which all traced and shipped networks use, and functions that make its
layers.
"""

from collections.abc import Mapping as Dict

from sparsim.errors import SpecError
from sparsim.records.layer import Density, Layer
from sparsim.records.number_limits import check_whole
from sparsim.records.shape import Dataspace, Shape

Pair = int | tuple[int, int]  # one number for both, or (height, width)

# G groups, each with C input and M output channels; N samples; outputs P high and Q wide, windows R high and
# S wide. A fully connected layer has G = R = S = P = Q = 1, a depthwise one C = 1 in each of its groups. The
# width is listed before the height, because the first of several dims without a place in an order is
# innermost.
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
    """Return whether a layer is depthwise: it has several groups with one input channel each.

    Parameters
    ----------
    layer : Layer
        The layer. A shape without a dim G has one group.

    Returns
    -------
    bool
    """
    return layer.bounds.get("G", 1) > 1 and layer.bounds.get("C") == 1


def conv2d(
    in_channels: int,
    out_channels: int,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    *,
    height: int,
    width: int,
    batch: int = 1,
    densities: Dict[str, float | Density] | None = None,
    name: str = "conv2d",
) -> Layer:
    """Make a convolution over two axes from the arguments of `torch.nn.Conv2d` and the size of its input.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the whole input and output, all groups together.
    kernel_size : int or pair of int
        Size of the window in elements: one number, or (height, width).
    stride, dilation : int or pair of int, default 1
        Of the window, in elements: one number, or (height, width).
    padding : int or pair of int, default 0
        Zeros on each side of the input. They only add to the number of outputs: the model has no padding and
        assumes an input as large as its windows reach, as for traced layers.
    groups : int, default 1
        Groups of channels; the channels are divided evenly.
    height, width : int
        Size of the input in elements, without padding.
    batch : int, default 1
        Samples that are computed together.
    densities : dict, optional
        Fractions of nonzeros, from 0 to 1, or `Density` records, of "Weights", "Inputs" and "Outputs".
        Tensors that are left out are dense.
    name : str, default "conv2d"
        Name of the layer.

    Returns
    -------
    Layer
        A layer of the shape `CONV`, with the bounds G (groups), N (batch), M and C (output and input channels
        of a group), R and S (height and width of the window), P and Q (height and width of the output).

    Raises
    ------
    SpecError
        If a size is no whole number or less than 1, if the groups do not divide the channels, if the window
        is larger than the padded input, or if a density is outside of 0 to 1 or of another tensor.

    Examples
    --------
    >>> from sparsim import conv2d
    >>> layer = conv2d(3, 96, 11, stride=4, height=227, width=227, densities={"Weights": 0.84})
    >>> layer.bounds
    {'G': 1, 'N': 1, 'M': 96, 'C': 3, 'R': 11, 'S': 11, 'P': 55, 'Q': 55}
    """
    where = f"layer {name}"
    for field, value in (("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)):
        check_whole(where, field, value, 1)
    for field, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
        if channels % groups:
            raise SpecError(f"{field} must be a multiple of groups ({groups}), got {channels}", path=where)
    window, step, gap = (
        _pair(where, field, value, 1)
        for field, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation))
    )
    zeros = _pair(where, "padding", padding, 0)
    outputs = []
    for i, (axis, size) in enumerate((("height", height), ("width", width))):
        check_whole(where, axis, size, 1)
        padded, reach = size + 2 * zeros[i], gap[i] * (window[i] - 1) + 1
        if reach > padded:
            raise SpecError(
                f"the {axis} of the window must be at most that of the padded input, {padded}, got {reach}",
                path=where,
            )
        outputs.append((padded - reach) // step[i] + 1)
    coefficients = {"Wstride": step[1], "Hstride": step[0], "Wdilation": gap[1], "Hdilation": gap[0]}
    return Layer(
        name=name,
        shape=CONV,
        bounds={
            "G": groups, "N": batch, "M": out_channels // groups, "C": in_channels // groups,
            "R": window[0], "S": window[1], "P": outputs[0], "Q": outputs[1],
        },
        coefficients={key: value for key, value in coefficients.items() if value != 1},
        densities={
            tensor: density if isinstance(density, Density) else Density(density=density)
            for tensor, density in (densities or {}).items()
        },
    )  # fmt: skip


def depthwise(
    channels: int,
    kernel_size: Pair,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    *,
    height: int,
    width: int,
    multiplier: int = 1,
    batch: int = 1,
    densities: Dict[str, float | Density] | None = None,
    name: str = "depthwise",
) -> Layer:
    """Make a depthwise convolution, in which every channel is a group with `multiplier` outputs.

    Parameters
    ----------
    channels : int
        Channels of the input.
    kernel_size : int or pair of int
        As for `conv2d`.
    stride, dilation : int or pair of int, default 1
        As for `conv2d`.
    padding : int or pair of int, default 0
        As for `conv2d`.
    height, width : int
        As for `conv2d`.
    multiplier : int, default 1
        Outputs of each channel.
    batch : int, default 1
        As for `conv2d`.
    densities : dict, optional
        As for `conv2d`.
    name : str, default "depthwise"
        Name of the layer.

    Returns
    -------
    Layer
        A layer of the shape `CONV`, with C = 1 in each of G groups.

    Raises
    ------
    SpecError
        For the same reasons as `conv2d`.

    Examples
    --------
    >>> from sparsim import depthwise
    >>> depthwise(32, 3, padding=1, height=112, width=112).bounds
    {'G': 32, 'N': 1, 'M': 1, 'C': 1, 'R': 3, 'S': 3, 'P': 112, 'Q': 112}
    """
    check_whole(f"layer {name}", "multiplier", multiplier, 1)
    check_whole(f"layer {name}", "channels", channels, 1)
    return conv2d(
        channels, channels * multiplier, kernel_size, stride, padding, dilation, channels,
        height=height, width=width, batch=batch, densities=densities, name=name,
    )  # fmt: skip


def gemm(
    m: int,
    n: int,
    k: int,
    *,
    densities: Dict[str, float | Density] | None = None,
    name: str = "gemm",
) -> Layer:
    """Make a matrix product of weights (m, k) and inputs (k, n), as of a fully connected layer.

    Parameters
    ----------
    m : int
        Rows of the weights and of the outputs: output features.
    n : int
        Columns of the inputs and of the outputs: samples or tokens.
    k : int
        Columns of the weights and rows of the inputs: input features.
    densities : dict, optional
        As for `conv2d`.
    name : str, default "gemm"
        Name of the layer.

    Returns
    -------
    Layer
        A layer of the shape `CONV`, with M = m, N = n, C = k, and all other bounds 1.

    Raises
    ------
    SpecError
        If a size is no whole number or less than 1, or if a density is outside of 0 to 1 or of another
        tensor.

    Examples
    --------
    >>> from sparsim import gemm
    >>> gemm(1000, 1, 4096, densities={"Weights": 0.1, "Inputs": 0.4}).bounds
    {'G': 1, 'N': 1, 'M': 1000, 'C': 4096, 'R': 1, 'S': 1, 'P': 1, 'Q': 1}
    """
    for field, value in (("m", m), ("n", n), ("k", k)):
        check_whole(f"layer {name}", field, value, 1)
    return conv2d(k, m, 1, height=1, width=1, batch=n, densities=densities, name=name)


def _pair(where: str, field: str, value: Pair, least: int) -> tuple[int, int]:
    both = value if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2:
        raise SpecError(f"{field} must have one or two numbers, got {len(both)}", path=where)
    for one in both:
        check_whole(where, field, one, least)
    return both[0], both[1]
