"""Modules that declare what they compute, because torch's operations do not show it.

A sparse convolution, say, may run in a compiled kernel that a trace cannot see into, or as one product of
matrices for each offset of its kernel that a trace would take for as many layers.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from sparsim.files.traced_layers import KernelMapCounts


class DeclaredProduct(NamedTuple):
    """A product of rows with the weights of a module.

    Parameters
    ----------
    rows : int
        Number of rows that are multiplied, for all samples of the call. Each one is multiplied with a matrix
        of `in_channels` by `out_channels` weights.
    in_channels : int
        Elements of a row.
    out_channels : int
        Elements of a row of results.
    inputs : Tensor
        Inputs, whose zeros are counted.
    weights : Tensor
        Parameter with all weights, such as those of all offsets of a kernel.
    result : Tensor
        Results, which are followed to memory through batch norms and activations.
    kernel_map : KernelMapCounts, default None
        Sizes of the kernel map of a sparse convolution, for all samples of the call. Its pairs are the rows.
    """

    rows: int
    in_channels: int
    out_channels: int
    inputs: Tensor
    weights: Tensor
    result: Tensor
    kernel_map: KernelMapCounts | None = None


@runtime_checkable
class DeclaresProducts(Protocol):
    """A module that says what each of its calls computes; a trace then does not look inside."""

    def declared_products(self, arguments: tuple[Any, ...], output: Any) -> Iterable[DeclaredProduct]:
        """Return the products of a call.

        Parameters
        ----------
        arguments : tuple
            Positional arguments of the call.
        output : object
            What the call returned.

        Returns
        -------
        iterable of DeclaredProduct
            The products, in their order.
        """
        ...
