"""Features at the coordinates of voxels, with the kernel maps that were found for them."""

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from gmp.number_checks import is_count
from pointnet.errors import PointnetError
from pointnet.ops.coordinates import Coordinates
from pointnet.ops.kernel_maps import (
    Kernel,
    KernelMap,
    Rule,
    Triple,
    generated_coordinates,
    kernel_map,
    strided_coordinates,
)  # fmt: skip
from pointnet.ops.voxels import Reduction, voxelize


class MapCache:
    """Kernel maps and coordinates of a cloud, each computed once and shared by all layers.

    Coordinates are compared by identity: two tensors share maps if they have the same coordinates object.
    """

    def __init__(self) -> None:
        self._maps: dict[tuple[Coordinates, Coordinates, Kernel], KernelMap] = {}
        self._outputs: dict[tuple[Coordinates, Kernel | Triple], Coordinates] = {}
        self._generated: dict[tuple[Coordinates, Kernel], Coordinates] = {}
        self._finer: dict[tuple[Coordinates, Kernel], tuple[Coordinates, KernelMap]] = {}

    def submanifold(self, coordinates: Coordinates, kernel: Kernel) -> KernelMap:
        """Return the map from coordinates to themselves.

        Parameters
        ----------
        coordinates : Coordinates
            Inputs and outputs.
        kernel : Kernel
            The kernel, of stride 1.

        Returns
        -------
        KernelMap
            The map.
        """
        return self._map(coordinates, coordinates, kernel)

    def strided(self, inputs: Coordinates, kernel: Kernel, rule: Rule) -> tuple[Coordinates, KernelMap]:
        """Return the outputs of a strided layer and its map, which a transposed layer can find again.

        Parameters
        ----------
        inputs : Coordinates
            The inputs.
        kernel : Kernel
            The kernel.
        rule : str
            Rule of the outputs, "floor" or "full".

        Returns
        -------
        Coordinates
            The outputs. Kernels of one stride have the same outputs under the floor rule.
        KernelMap
            The map.
        """
        key = inputs, kernel.stride if rule == "floor" else kernel
        if key not in self._outputs:
            self._outputs[key] = strided_coordinates(inputs, kernel, rule)
        outputs = self._outputs[key]
        found = self._map(inputs, outputs, kernel)
        self._finer[outputs, kernel] = inputs, found
        return outputs, found

    def transposed(self, inputs: Coordinates, kernel: Kernel) -> tuple[Coordinates, KernelMap]:
        """Return the coordinates before a strided layer and its map with inputs and outputs exchanged.

        Parameters
        ----------
        inputs : Coordinates
            Outputs of the strided layer.
        kernel : Kernel
            Kernel of the strided layer.

        Returns
        -------
        Coordinates
            Inputs of the strided layer.
        KernelMap
            The map.

        Raises
        ------
        PointnetError
            If there was no strided layer with this kernel.
        """
        if (inputs, kernel) not in self._finer:
            raise PointnetError(
                f"no strided layer with kernel {kernel.size} and stride {kernel.stride} led to these "
                f"{len(inputs)} coordinates, so that a transposed layer has no coordinates to return to"
            )
        outputs, found = self._finer[inputs, kernel]
        return outputs, found.transposed

    def generated(self, inputs: Coordinates, kernel: Kernel) -> tuple[Coordinates, KernelMap]:
        """Return the outputs of a generative transposed layer and its map.

        Parameters
        ----------
        inputs : Coordinates
            The inputs.
        kernel : Kernel
            The kernel.

        Returns
        -------
        Coordinates
            The outputs.
        KernelMap
            The map.
        """
        if (inputs, kernel) not in self._generated:
            self._generated[inputs, kernel] = generated_coordinates(inputs, kernel)
        finer = self._generated[inputs, kernel]
        return finer, self._map(finer, inputs, kernel).transposed

    def _map(self, inputs: Coordinates, outputs: Coordinates, kernel: Kernel) -> KernelMap:
        key = inputs, outputs, kernel
        if key not in self._maps:
            self._maps[key] = kernel_map(inputs, outputs, kernel)
        return self._maps[key]


@dataclass(frozen=True, eq=False)
class SparseTensor:
    """Features at distinct coordinates.

    Parameters
    ----------
    features : Tensor, shape (N, C)
        Features of each coordinate.
    coordinates : Coordinates
        The N coordinates, in units of `stride`.
    stride : tuple of int, default (1, 1, 1)
        Voxels of the finest level along each axis that one coordinate stands for.
    cache : MapCache, optional
        Kernel maps, shared by all tensors that are computed from one another.

    Raises
    ------
    PointnetError
        If there is not one row of features for each coordinate, if these are not `Coordinates`, or if the
        stride is not positive.

    Examples
    --------
    >>> import torch
    >>> from pointnet.sparse.sparse_tensor import SparseTensor
    >>> tensor = SparseTensor.from_points(torch.rand(100, 3), voxel_size=0.5)
    >>> tensor.features.shape
    torch.Size([8, 3])
    """

    features: Tensor
    coordinates: Coordinates
    stride: Triple = (1, 1, 1)
    cache: MapCache = field(default_factory=MapCache)

    def __post_init__(self) -> None:
        if not isinstance(self.coordinates, Coordinates):
            raise PointnetError(
                f"coordinates must be Coordinates(rows), got a {type(self.coordinates).__name__}"
            )
        stride = self.stride
        if not isinstance(stride, tuple) or len(stride) != 3 or not all(is_count(n) for n in stride):
            raise PointnetError(f"stride must be three positive whole numbers, got {stride!r}")
        if self.features.dim() != 2 or len(self.features) != len(self.coordinates):
            raise PointnetError(
                f"features must have shape ({len(self.coordinates)}, channels), got "
                f"{tuple(self.features.shape)}"
            )

    @classmethod
    def from_points(
        cls, points: Tensor, voxel_size: float, features: Tensor | None = None, reduction: Reduction = "mean"
    ) -> "SparseTensor":
        """Divide clouds into voxels.

        Parameters
        ----------
        points : Tensor, shape (N, 3) or (B, N, 3)
            Points of one cloud or of several.
        voxel_size : float
            Edge of a voxel in the unit of the points, above 0.
        features : Tensor, shape (N, C) or (B, N, C), optional
            Features of the points; by default their offsets from the centre of the voxel, in voxels.
        reduction : str, default "mean"
            Features of a voxel: the "mean" or "sum" over its points, or those of the "first" one.

        Returns
        -------
        SparseTensor
            The voxels, on the device of the points.

        Raises
        ------
        DataError
            If there are no points, if one is not finite, or if a voxel is out of range.
        PointnetError
            If shapes do not fit, or if `voxel_size` is not positive.
        """
        voxels = voxelize(points, voxel_size, features, reduction)
        return cls(voxels.features, voxels.coordinates)

    def with_features(self, features: Tensor) -> "SparseTensor":
        """Return other features at the same coordinates.

        Parameters
        ----------
        features : Tensor, shape (N, C')
            The features.

        Returns
        -------
        SparseTensor
            Tensor with the same coordinates and cache.
        """
        return replace(self, features=features)

    def joined(self, other: "SparseTensor") -> "SparseTensor":
        """Concatenate the channels of two tensors.

        Parameters
        ----------
        other : SparseTensor
            Tensor at the same coordinates.

        Returns
        -------
        SparseTensor
            Tensor with the channels of both.

        Raises
        ------
        PointnetError
            If the tensors do not share their coordinates.
        """
        if other.coordinates is not self.coordinates:
            raise PointnetError("two sparse tensors that do not share their coordinates cannot be joined")
        return self.with_features(torch.cat([self.features, other.features], dim=1))

    def rows(self, units: Literal["renumbered", "original"] = "renumbered") -> Tensor:
        """Return the coordinates in one of two units.

        Parameters
        ----------
        units : str, default "renumbered"
            "renumbered" are units of the stride, as in TorchSparse 2.1 and spconv; "original" are voxels of
            the finest level, as in MinkowskiEngine.

        Returns
        -------
        Tensor, shape (N, 4)
            Coordinates (b, x, y, z) as int32.

        Raises
        ------
        PointnetError
            If the units are unknown.
        """
        if units not in ("renumbered", "original"):
            raise PointnetError(f"units must be renumbered or original, got '{units}'")
        scale = (1, *self.stride) if units == "original" else (1, 1, 1, 1)
        return self.coordinates.rows * torch.tensor(scale, dtype=torch.int32)
