"""A small chip with the PEs of Eyeriss v2, and small convolutions for it."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import strategies as st
from msgspec.structs import replace
from numpy.typing import ArrayLike

from sparsim.hardware import EyerissPlan
from sparsim.machines.eyeriss import Chip, load_chip
from sparsim.records import CONV, Density, Layer, Storage
from support.published_nocs import eyeriss_v2_noc


def small_chip(clusters: tuple[int, int] = (2, 1), pe_rows: int = 2, pe_columns: int = 2) -> Chip:
    """Eyeriss v2 with fewer PEs; memories as large as its own."""
    chip = load_chip("eyeriss_v2")
    rows, columns = clusters
    meshes = {
        "cluster_row": (1, rows), "cluster": (columns, 1), "pe_row": (1, pe_rows),
        "weight_spad": (pe_columns, 1),
    }  # fmt: skip
    storage = (
        replace(level, mesh=meshes[level.name]) if level.name in meshes else level
        for level in chip.architecture.storage
    )
    spec = replace(chip.spec, noc=eyeriss_v2_noc(clusters, pe_rows, pe_columns))
    return with_storage(chip._replace(spec=spec), storage)


def with_storage(chip: Chip, storage: Iterable[Storage]) -> Chip:
    """The chip with other storage levels."""
    architecture = replace(chip.architecture, storage=tuple(storage))
    return chip._replace(accelerator=replace(chip.accelerator, architecture=architecture))


def dense_chip() -> Chip:
    """Eyeriss v1 with its PEs and buses, and mappings of every kind as on v2."""
    chip = load_chip("eyeriss_v1")
    spec = replace(
        chip.spec, dataflow="row-stationary-plus", filter_link=None, run_lengths=None, glb_banks=None
    )
    return chip._replace(spec=spec)


def mapping_index(plan: EyerissPlan, densities: ArrayLike) -> list[int]:
    """Which of `tables` of each layer is in use."""
    return [int(plan._table[i]) for i in plan._chosen(plan._checked(densities)).row]


def stored_plainly(plan: EyerissPlan, densities: ArrayLike) -> list[tuple[str, ...]]:
    """Which tensors of each layer are stored plainly, of those that the chip can compress."""
    return [plan._plain[i] for i in plan._chosen(plan._checked(densities)).row]


def conv(*, stride: int = 1, iacts: float = 1.0, weights: float = 1.0, **bounds: int) -> Layer:
    """A convolution; dims that are left out have bound 1."""
    densities = {"Inputs": Density(density=iacts), "Weights": Density(density=weights)}
    strides = {"Wstride": stride, "Hstride": stride}
    return Layer(
        name="tiny", shape=CONV, bounds=dict.fromkeys(CONV.dims, 1) | bounds, densities=densities,
        coefficients=strides,
    )  # fmt: skip


layers = st.builds(
    conv,
    stride=st.integers(1, 2),
    iacts=st.sampled_from([0.2, 0.6, 1.0]),
    weights=st.sampled_from([0.3, 0.7, 1.0]),
    G=st.integers(1, 2), N=st.integers(1, 2), M=st.integers(1, 9), C=st.integers(1, 7),
    R=st.integers(1, 3), S=st.integers(1, 3), P=st.integers(1, 5), Q=st.integers(1, 5),
)  # fmt: skip
