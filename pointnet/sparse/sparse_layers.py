"""Layers of sparse convolution: submanifold, strided, transposed and generative."""

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import nn

from gmp.number_checks import is_count
from gmp.tracing.declared_products import DeclaredProduct
from pointnet.errors import ConfigError, PointnetError
from pointnet.ops.coordinates import Coordinates, triple
from pointnet.ops.kernel_maps import Anchor, Kernel, KernelMap, Order, Rule, Triple
from pointnet.ops.sparse_convolution import ALONE, Dataflow, Grouping, check_grouping, sparse_convolution
from pointnet.sparse.sparse_tensor import SparseTensor
from sparsim.files.traced_layers import KernelMapCounts

Size = int | tuple[int, int, int]


class SparseConvolution(nn.Module):
    """Base of all sparse convolutions.

    Parameters
    ----------
    in_channels : int
        Channels C of the inputs.
    out_channels : int
        Channels M of the outputs.
    kernel_size : int or tuple of int, default 3
        Positions of the kernel along each axis.
    stride : int or tuple of int, default 1
        Stride along each axis.
    dilation : int or tuple of int, default 1
        Distance of neighbouring positions along each axis.
    bias : bool, default False
        Whether a bias is added to the outputs.
    anchor : str, default "centred"
        Offsets of the kernel: "centred", "even_corner" or "corner" as in `Kernel`.
    order : str, default "last_fastest"
        Order of the offsets in the weights, "last_fastest" or "first_fastest".
    dataflow : str, default "gather_scatter"
        "gather_scatter" or "fetch_on_demand", with equal results up to rounding.
    grouping : Grouping, default ALONE
        Which offsets "gather_scatter" multiplies together.

    Attributes
    ----------
    weight : Parameter, shape (K, C, M)
        A matrix for each offset of the kernel.
    bias : Parameter, shape (M,), or None
        The bias.
    kernel : Kernel
        The kernel.

    Raises
    ------
    ConfigError
        If there are no channels.
    PointnetError
        If a size is not positive or an option is unknown.
    """

    weight_axes: ClassVar[dict[str, str]] = {"weight": "kio"}

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 3,
        stride: Size = 1,
        dilation: Size = 1,
        *,
        bias: bool = False,
        anchor: Anchor = "centred",
        order: Order = "last_fastest",
        dataflow: Dataflow = "gather_scatter",
        grouping: Grouping = ALONE,
    ) -> None:
        super().__init__()
        if not is_count(in_channels) or not is_count(out_channels):
            raise ConfigError(
                f"channels must be whole numbers of at least 1, got {in_channels} and {out_channels}"
            )
        sizes = triple(kernel_size, "kernel size"), triple(stride, "stride"), triple(dilation, "dilation")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel = Kernel(*sizes, anchor, order)
        self.dataflow: Dataflow = dataflow
        check_grouping(grouping)
        self.grouping = grouping
        self.weight = nn.Parameter(torch.empty(self.kernel.volume, in_channels, out_channels))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        nn.init.normal_(self.weight, std=math.sqrt(2 / (self.kernel.volume * in_channels)))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Convolve features.

        Parameters
        ----------
        x : SparseTensor
            Inputs with `in_channels` channels.

        Returns
        -------
        SparseTensor
            Outputs with `out_channels` channels.

        Raises
        ------
        PointnetError
            If the inputs have another number of channels, or if a transposed layer finds no strided layer.
        """
        if not isinstance(x, SparseTensor):
            raise PointnetError(f"inputs must be a SparseTensor, got a {type(x).__name__}")
        if x.features.shape[1] != self.in_channels:
            raise PointnetError(
                f"inputs have {x.features.shape[1]} channels, the layer takes {self.in_channels}"
            )
        coordinates, stride, found = self.mapped(x)
        features = sparse_convolution(
            x.features, self.weight, found, dataflow=self.dataflow, grouping=self.grouping
        )
        if self.bias is not None:
            features = features + self.bias
        return SparseTensor(features, coordinates, stride, x.cache)

    def mapped(self, x: SparseTensor) -> tuple[Coordinates, Triple, KernelMap]:
        """Find the outputs of the layer.

        Parameters
        ----------
        x : SparseTensor
            The inputs.

        Returns
        -------
        Coordinates
            Coordinates of the outputs.
        tuple of int
            Their stride.
        KernelMap
            The kernel map.
        """
        raise NotImplementedError

    def declared_products(
        self, arguments: tuple[SparseTensor, ...], output: SparseTensor
    ) -> Iterable[DeclaredProduct]:
        """Declare the product of a call for a trace: a row for each pair of the kernel map.

        Parameters
        ----------
        arguments : tuple of SparseTensor
            Inputs of the call.
        output : SparseTensor
            Result of the call.

        Returns
        -------
        iterable of DeclaredProduct
            The product.
        """
        (x,) = arguments
        found = self.mapped(x)[2]
        finer = "x".join(str(min(pair)) for pair in zip(x.stride, output.stride, strict=True))
        size, stride = ("x".join(map(str, part)) for part in (self.kernel.size, self.kernel.stride))
        sizes = KernelMapCounts(
            f"level {finer}, kernel {size}, stride {stride}", self.kernel.size, self.kernel.stride,
            found.input_count, found.output_count, found.pairs,
        )  # fmt: skip
        yield DeclaredProduct(
            found.total, self.in_channels, self.out_channels, x.features, self.weight, output.features, sizes
        )

    def extra_repr(self) -> str:
        """Return sizes for the representation of the module.

        Returns
        -------
        str
            Channels, kernel size and stride.
        """
        size, stride = self.kernel.size, self.kernel.stride
        return f"{self.in_channels}, {self.out_channels}, kernel_size={size}, stride={stride}"


class SubmanifoldConvolution(SparseConvolution):
    """Convolution whose outputs are at the coordinates of its inputs, so that no coordinates are added.

    Parameters
    ----------
    in_channels : int
        Channels of the inputs.
    out_channels : int
        Channels of the outputs.
    kernel_size : int or tuple of int, default 3
        Positions of the kernel along each axis.
    dilation : int or tuple of int, default 1
        Distance of neighbouring positions along each axis.
    **options
        Further options of `SparseConvolution`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Size = 3, dilation: Size = 1, **options: Any
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, 1, dilation, **options)

    def mapped(self, x: SparseTensor) -> tuple[Coordinates, Triple, KernelMap]:
        return x.coordinates, x.stride, x.cache.submanifold(x.coordinates, self.kernel)


class StridedConvolution(SparseConvolution):
    """Convolution to fewer coordinates.

    Parameters
    ----------
    in_channels : int
        Channels of the inputs.
    out_channels : int
        Channels of the outputs.
    kernel_size : int or tuple of int, default 2
        Positions of the kernel along each axis.
    stride : int or tuple of int, default 2
        Stride along each axis.
    dilation : int or tuple of int, default 1
        Distance of neighbouring positions along each axis.
    rule : str, default "floor"
        Outputs: "floor" or "full" as in `pointnet.ops.kernel_maps.strided_coordinates`.
    **options
        Further options of `SparseConvolution`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 2,
        stride: Size = 2,
        dilation: Size = 1,
        rule: Rule = "floor",
        **options: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, **options)
        self.rule: Rule = rule

    def mapped(self, x: SparseTensor) -> tuple[Coordinates, Triple, KernelMap]:
        coordinates, found = x.cache.strided(x.coordinates, self.kernel, self.rule)
        return coordinates, _times(x.stride, self.kernel.stride), found


class TransposedConvolution(SparseConvolution):
    """Convolution back to the coordinates before a strided layer with the same kernel, whose map it uses.

    Parameters
    ----------
    in_channels : int
        Channels of the inputs.
    out_channels : int
        Channels of the outputs.
    kernel_size : int or tuple of int, default 2
        Positions of the kernel along each axis.
    stride : int or tuple of int, default 2
        Stride along each axis.
    dilation : int or tuple of int, default 1
        Distance of neighbouring positions along each axis.
    **options
        Further options of `SparseConvolution`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 2,
        stride: Size = 2,
        dilation: Size = 1,
        **options: Any,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, **options)

    def mapped(self, x: SparseTensor) -> tuple[Coordinates, Triple, KernelMap]:
        coordinates, found = x.cache.transposed(x.coordinates, self.kernel)
        return coordinates, _divided(x.stride, self.kernel.stride), found


class GenerativeConvolution(TransposedConvolution):
    """Transposed convolution to all coordinates that its kernel reaches, so that new voxels appear.

    It has the parameters of `TransposedConvolution`, and needs no strided layer.
    """

    def mapped(self, x: SparseTensor) -> tuple[Coordinates, Triple, KernelMap]:
        coordinates, found = x.cache.generated(x.coordinates, self.kernel)
        return coordinates, _divided(x.stride, self.kernel.stride), found


def _times(stride: Triple, factor: Triple) -> Triple:
    x, y, z = (a * b for a, b in zip(stride, factor, strict=True))
    return x, y, z


def _divided(stride: Triple, factor: Triple) -> Triple:
    """Divide a stride. Raises PointnetError if the finer level would be finer than voxels."""
    if any(a % b for a, b in zip(stride, factor, strict=True)):
        raise PointnetError(f"inputs of stride {stride} have no finer level by a stride of {factor}")
    x, y, z = (a // b for a, b in zip(stride, factor, strict=True))
    return x, y, z
