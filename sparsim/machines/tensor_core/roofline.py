"""The time of a layer on tensor cores: the longer of computation and DRAM traffic, and starting it."""

from __future__ import annotations

import math
from typing import NamedTuple

from sparsim.machines.matrix_layers import matrix_layer
from sparsim.records import Layer, words
from sparsim.records.tensor_core_spec import TensorCoreSpec

BYTE_BITS = 8


class LayerSize(NamedTuple):
    """What the roofline needs of a layer.

    Attributes
    ----------
    macs : int
        Multiplications, those with zeros included.
    channels : int
        Input channels, along which weights have a pattern.
    weights, inputs, outputs : int
        Words of the tensors.
    """

    macs: int
    channels: int
    weights: int
    inputs: int
    outputs: int


class Roofline(NamedTuple):
    """What limits a layer.

    Attributes
    ----------
    compute_us, dram_us, launch_us : float
        Time of each part in us.
    computed_macs : float
        Multiplications that are computed.
    weight_bytes, traffic_bytes : float
        Bytes of the weights as stored, and of all tensors.
    """

    compute_us: float
    dram_us: float
    launch_us: float
    computed_macs: float
    weight_bytes: float
    traffic_bytes: float

    @property
    def us(self) -> float:
        """Time of the layer in us."""
        return max(self.compute_us, self.dram_us) + self.launch_us

    @property
    def limit(self) -> str:
        """The longest part."""
        parts = {"compute": self.compute_us, "DRAM": self.dram_us, "launch": self.launch_us}
        return max(parts, key=lambda part: parts[part])


def layer_size(layer: Layer) -> LayerSize:
    """Return the size of a layer as a product of matrices.

    Parameters
    ----------
    layer : Layer
        A layer with weights, inputs and outputs.

    Returns
    -------
    LayerSize

    Raises
    ------
    SpecError
        If the layer is no product of matrices.
    """
    matrix = matrix_layer(layer)
    offsets = len(layer.kernel_map.pairs) if layer.kernel_map else 1
    return LayerSize(
        matrix.groups * matrix.rows * matrix.columns * matrix.vectors,
        layer.bounds.get("C", matrix.columns),
        offsets * words(layer, "Weights"), words(layer, "Inputs"), words(layer, "Outputs"),
    )  # fmt: skip


def roofline(spec: TensorCoreSpec, size: LayerSize, *, sparse: bool) -> Roofline:
    """Compute what a layer takes with dense weights, or with weights that have the pattern of the machine.

    Parameters
    ----------
    spec : TensorCoreSpec
        The machine.
    size : LayerSize
        The layer.
    sparse : bool
        Whether weights have the pattern. Groups that the channels do not fill are filled with zeros.

    Returns
    -------
    Roofline

    Examples
    --------
    A layer with one sample reads all weights, of which 2:4 stores 9/16 of the bytes:

    >>> from sparsim import gemm, load_hardware
    >>> from sparsim.machines.tensor_core import layer_size, roofline
    >>> spec, size = load_hardware("tensor_core_2_4").spec, layer_size(gemm(4096, 1, 4096))
    >>> dense, sparse = (roofline(spec, size, sparse=sparse) for sparse in (False, True))
    >>> sparse.weight_bytes / dense.weight_bytes
    0.5625
    """
    bits, computed, peak, macs = spec.weight_bits, 1.0, spec.dense_macs_per_cycle, float(size.macs)
    if sparse:
        groups = math.ceil(size.channels / spec.group)
        computed = groups * spec.nonzeros / size.channels
        bits += spec.index_bits
        peak, macs = spec.sparse_peak, size.macs * groups * spec.group / size.channels
    weights = size.weights * computed * bits / BYTE_BITS
    others = (size.inputs * spec.input_bits + size.outputs * spec.output_bits) / BYTE_BITS
    return Roofline(
        macs / (peak * spec.clock_mhz), (weights + others) / (spec.dram_gb_per_s * 1e3), spec.launch_us,
        size.macs * computed, weights, weights + others,
    )  # fmt: skip
