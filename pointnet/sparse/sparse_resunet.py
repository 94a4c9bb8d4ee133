"""Residual U-Net of sparse convolutions for the segmentation of point clouds.

The network is SparseResUNet42 of TorchSparse's benchmarks, a MinkUNet (Choy et al. 2019, arXiv:1904.08755).
It has a stem, four levels down and four levels up with skip connections. Each convolution has no bias and is
followed by a batch norm.
"""

from typing import cast

from torch import nn
from torch.nn import functional as F

from pointnet.errors import ConfigError
from pointnet.sparse.sparse_layers import StridedConvolution, SubmanifoldConvolution, TransposedConvolution
from pointnet.sparse.sparse_tensor import SparseTensor

STEM = 32
ENCODER = (32, 64, 128, 256)
DECODER = (256, 128, 96, 96)


class ConvolutionBlock(nn.Module):
    """Sparse convolutions that are each followed by a batch norm and ReLU.

    Parameters
    ----------
    **convolutions : nn.Module
        The convolutions by their names. The batch norm of convolution NAME is called NAME_bn.
    """

    def __init__(self, **convolutions: nn.Module) -> None:
        super().__init__()
        self._names = tuple(convolutions)
        for name, convolution in convolutions.items():
            self.add_module(name, convolution)
            self.add_module(f"{name}_bn", nn.BatchNorm1d(cast(int, convolution.out_channels)))

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Apply all convolutions.

        Parameters
        ----------
        x : SparseTensor
            Inputs.

        Returns
        -------
        SparseTensor
            Outputs of the last one.
        """
        for name in self._names:
            x = self.activated(name, x)
        return x

    def activated(self, name: str, x: SparseTensor) -> SparseTensor:
        """Apply one convolution with its batch norm and ReLU.

        Parameters
        ----------
        name : str
            Name of the convolution.
        x : SparseTensor
            Inputs.

        Returns
        -------
        SparseTensor
            Outputs.
        """
        x = self.normalised(name, x)
        return x.with_features(F.relu(x.features))

    def normalised(self, name: str, x: SparseTensor) -> SparseTensor:
        """Apply one convolution with its batch norm.

        Parameters
        ----------
        name : str
            Name of the convolution.
        x : SparseTensor
            Inputs.

        Returns
        -------
        SparseTensor
            Outputs.
        """
        x = self.get_submodule(name)(x)
        return x.with_features(self.get_submodule(f"{name}_bn")(x.features))


class ResidualBlock(ConvolutionBlock):
    """Two submanifold convolutions, and a pointwise shortcut if the number of channels changes.

    Parameters
    ----------
    in_channels : int
        Channels of the inputs.
    out_channels : int
        Channels of the outputs.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            **{
                "1": SubmanifoldConvolution(in_channels, out_channels),
                "2": SubmanifoldConvolution(out_channels, out_channels),
            }
        )
        if in_channels != out_channels:
            self.shortcut = nn.Linear(in_channels, out_channels, bias=False)
            self.shortcut_bn = nn.BatchNorm1d(out_channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Apply the block.

        Parameters
        ----------
        x : SparseTensor
            Inputs.

        Returns
        -------
        SparseTensor
            Outputs at the same coordinates.
        """
        changed = self.normalised("2", self.activated("1", x))
        kept = x.features if not hasattr(self, "shortcut") else self.shortcut_bn(self.shortcut(x.features))
        return changed.with_features(F.relu(changed.features + kept))


class DownLevel(nn.Module):
    """A strided convolution to the next coarser level, and two residual blocks there.

    Parameters
    ----------
    in_channels : int
        Channels of the inputs.
    out_channels : int
        Channels of the outputs.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.down = StridedConvolution(in_channels, in_channels, 2, 2)
        self.down_bn = nn.BatchNorm1d(in_channels)
        self.a = ResidualBlock(in_channels, out_channels)
        self.b = ResidualBlock(out_channels, out_channels)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Apply the level.

        Parameters
        ----------
        x : SparseTensor
            Inputs.

        Returns
        -------
        SparseTensor
            Outputs at the coarser coordinates.
        """
        x = self.down(x)
        return cast(SparseTensor, self.b(self.a(x.with_features(F.relu(self.down_bn(x.features))))))


class UpLevel(nn.Module):
    """A transposed convolution to the next finer level, and two residual blocks on it and a skip connection.

    Parameters
    ----------
    in_channels : int
        Channels of the inputs.
    skip_channels : int
        Channels of the skip connection.
    out_channels : int
        Channels of the outputs.
    """

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = TransposedConvolution(in_channels, out_channels, 2, 2)
        self.up_bn = nn.BatchNorm1d(out_channels)
        self.a = ResidualBlock(out_channels + skip_channels, out_channels)
        self.b = ResidualBlock(out_channels, out_channels)

    def forward(self, x: SparseTensor, skip: SparseTensor) -> SparseTensor:
        """Apply the level.

        Parameters
        ----------
        x : SparseTensor
            Inputs.
        skip : SparseTensor
            Features at the finer coordinates.

        Returns
        -------
        SparseTensor
            Outputs at the finer coordinates.
        """
        x = self.up(x)
        x = x.with_features(F.relu(self.up_bn(x.features)))
        return cast(SparseTensor, self.b(self.a(x.joined(skip))))


class SparseResUNet(nn.Module):
    """MinkUNet-style segmentation network.

    Parameters
    ----------
    in_channels : int, default 4
        Channels of the voxels.
    classes : int, optional
        Number of classes. By default there is no classifier, and the features of the last level are returned.
    width : float, default 1.0
        Factor of all channels but those of the inputs, such as 0.5.

    Attributes
    ----------
    out_channels : int
        Channels of the last level.
    width : float
        The width.

    Raises
    ------
    ConfigError
        If the width leaves a level without channels, or if there are no input channels or classes.

    Notes
    -----
    The network has 49 convolutions, with 21,709,184 weights at width 1 and 5,428,160 at width 0.5.

    Examples
    --------
    >>> import torch
    >>> from pointnet.sparse.sparse_resunet import SparseResUNet
    >>> from pointnet.sparse.sparse_tensor import SparseTensor
    >>> network = SparseResUNet(in_channels=3, classes=5, width=0.25).eval()
    >>> voxels = SparseTensor.from_points(torch.rand(200, 3), voxel_size=0.1)
    >>> network(voxels).features.shape == (len(voxels.coordinates), 5)
    True
    """

    def __init__(self, in_channels: int = 4, classes: int | None = None, width: float = 1.0) -> None:
        super().__init__()
        if not 1 <= width * STEM < float("inf"):
            raise ConfigError(f"width is {width}, which leaves {width * STEM:g} channels")
        if in_channels < 1 or (classes is not None and classes < 1):
            raise ConfigError(
                f"input channels and classes must be at least 1, got {in_channels} and {classes}"
            )
        self.width = width
        stem, *encoder = (int(width * n) for n in (STEM, *ENCODER))
        decoder = [int(width * n) for n in DECODER]
        self.stem = ConvolutionBlock(
            **{"1": SubmanifoldConvolution(in_channels, stem), "2": SubmanifoldConvolution(stem, stem)}
        )
        channels, skips = stem, []
        for i, wanted in enumerate(encoder):
            skips.append(channels)
            self.add_module(f"enc{i}", DownLevel(channels, wanted))
            channels = wanted
        for i, (wanted, skip) in enumerate(zip(decoder, reversed(skips), strict=True)):
            self.add_module(f"dec{i}", UpLevel(channels, skip, wanted))
            channels = wanted
        self.out_channels = channels
        self.classifier = None if classes is None else nn.Linear(channels, classes)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Compute features or logits of every voxel.

        Parameters
        ----------
        x : SparseTensor
            Voxels with `in_channels` channels.

        Returns
        -------
        SparseTensor
            Logits of the classes, or features of the last level, at the same coordinates.
        """
        x = self.stem(x)
        skips = []
        for i in range(len(ENCODER)):
            skips.append(x)
            x = self.get_submodule(f"enc{i}")(x)
        for i in range(len(DECODER)):
            x = self.get_submodule(f"dec{i}")(x, skips.pop())
        return x if self.classifier is None else x.with_features(self.classifier(x.features))
