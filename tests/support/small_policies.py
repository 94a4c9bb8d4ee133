"""Hypothesis strategies for small sparse cases: densities, formats, SAFs, limits, and a price per action."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from hypothesis import assume
from hypothesis import strategies as st

from sparsim.records import (
    Accelerator,
    Architecture,
    Density,
    EnergyTable,
    Layer,
    Mapping,
    Option,
    Rank,
    Saf,
    SparsePolicy,
    Storage,
    TensorFormat,
)
from sparsim.records.energy_table import STORAGE_ACTIONS
from support.small_nests import POINTWISE, SLIDING, Case, accelerators, dense_cases, mapped_layers
from validation.random_cases import CONV, GEMM, GROUPED

FULL_TABLE = {action: round(1.0 + 0.37 * i, 2) for i, action in enumerate(STORAGE_ACTIONS)}


@st.composite
def sparse_cases(draw: Any, *, roomy: bool = False) -> Case:
    """Any policy; many do not fit. `roomy`: no limit of any kind but the number of instances."""
    case = draw(dense_cases(shapes=(GEMM, SLIDING, POINTWISE, GROUPED)))
    storage = tuple(limited(draw, level, roomy) for level in case.arch.storage)
    arch = msgspec.structs.replace(case.arch, storage=storage)
    tensors = [d.name for d in case.layer.shape.dataspaces]
    layer = msgspec.structs.replace(case.layer, densities={name: draw(densities) for name in tensors})
    policy = SparsePolicy(
        formats=tuple(f for name in tensors if draw(st.booleans()) for f in formats_of(draw, case, name)),
        safs=tuple(draw(st.lists(safs(arch, tensors), max_size=3))),
        compute_gating=draw(st.booleans()),
        compute_skipping=draw(st.booleans()),
    )
    assume(policy.active)
    return Case(arch, layer, policy, every_price(arch), case.mapping)


def every_price(arch: Architecture) -> EnergyTable:
    """Another energy for every action of every level."""
    actions = {
        level.name: {action: pj * (i + 1) for action, pj in FULL_TABLE.items()}
        for i, level in enumerate(arch.storage)
    }
    compute = {"mac_random": 3.1, "mac_gated": 0.7, "mac_skipped": 0.2}
    return EnergyTable(actions={**actions, arch.compute.name: compute})


class Network(NamedTuple):
    """An accelerator in parts, layers and their mappings; `given` are the arguments of `Frozen`."""

    arch: Architecture
    layers: list[Layer]
    policy: SparsePolicy | None
    energy: EnergyTable | None
    mappings: list[Mapping]

    @property
    def given(self) -> tuple[Accelerator, list[Layer], list[Mapping]]:
        accelerator = Accelerator(architecture=self.arch, policy=self.policy, energy=self.energy)
        return accelerator, self.layers, self.mappings


@st.composite
def networks(draw: Any) -> Network:
    """One to three layers of different shapes on one accelerator; one rank per loop that there may be."""
    arch = draw(accelerators())
    arch = msgspec.structs.replace(arch, storage=tuple(limited(draw, s, roomy=True) for s in arch.storage))
    mapped = draw(st.lists(mapped_layers(arch, (POINTWISE, CONV, GROUPED)), min_size=1, max_size=3))
    tensors = ["Weights", "Inputs", "Outputs"]
    layers = [
        msgspec.structs.replace(layer, densities={name: draw(densities) for name in tensors})
        for layer, _ in mapped
    ]
    ranks = (*[Rank(format="UOP")] * 7, Rank(format=draw(st.sampled_from(["CP", "RLE", "B"]))))
    formatted = draw(st.sets(st.sampled_from(tensors)))
    policy = SparsePolicy(
        formats=tuple(TensorFormat(level="DRAM", dataspace=name, ranks=ranks) for name in sorted(formatted)),
        safs=tuple(draw(st.lists(safs(arch, tensors), max_size=2))),
        compute_gating=draw(st.booleans()),
    )
    return Network(arch, layers, policy, every_price(arch), [mapping for _, mapping in mapped])


densities = st.builds(
    Density,
    distribution=st.sampled_from(["fixed-structured", "hypergeometric"]),
    density=st.sampled_from([0.0, 1 / 64, 0.1, 0.25, 0.3, 0.5, 0.55, 0.7, 0.9, 1.0]) | st.floats(0, 1),
)


def limited(draw: Any, level: Storage, roomy: bool) -> Storage:
    level = msgspec.structs.replace(
        level,
        multiple_buffering=draw(st.sampled_from([1.0, 1.0, 2.0])),
        block_size=draw(st.sampled_from([1, 1, 2, 4])),
        word_bits=draw(st.sampled_from([8, 16])),
        metadata_word_bits=draw(st.sampled_from([0, 4, 8])),
        metadata_width_bits=draw(st.sampled_from([16, 24])),
        metadata_depth=10**6,
        compression_supported=True,
        decompression_supported=True,
    )
    if roomy:
        return level
    bandwidths = st.sampled_from([None, None, None, 0.5, 2.0])
    dram = level.technology == "DRAM"
    return msgspec.structs.replace(
        level,
        size_words=None if dram else draw(st.sampled_from([10**6, 10**6, 10**6, 64])),
        min_utilization=0.0 if dram else draw(st.sampled_from([0.0, 0.0, 0.0, 1e-6])),
        metadata_depth=draw(st.sampled_from([10**6, 10**6, 10**6, 8])),
        read_bandwidth=draw(bandwidths),
        write_bandwidth=draw(bandwidths),
        shared_bandwidth=draw(bandwidths),
        compression_supported=draw(st.sampled_from([True, True, True, False])),
        decompression_supported=draw(st.sampled_from([True, True, True, False])),
        addr_gen_energy_pj=draw(st.sampled_from([None, 0.05])),
    )


def formats_of(draw: Any, case: Case, tensor: str) -> list[TensorFormat]:
    """From the outermost level that keeps the tensor inward, mostly a rank less each time."""
    kept = [m.level for m in case.mapping.levels if tensor not in m.bypass]
    depth = draw(st.integers(1, len(kept)))
    dims = case.layer.shape.dims
    order = draw(st.sampled_from(["outer-to-inner", "inner-to-outer"]))
    ranks = (_rank(draw, dims, ("CP", "RLE", "B", "UB")),)
    found = []
    for level in reversed(kept[:depth]):
        found.append(TensorFormat(level=level, dataspace=tensor, ranks=ranks, order=order))
        upper = [_rank(draw, dims, ("UOP", "U")) for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2])))]
        ranks = (*upper, *ranks)
    return found


def _rank(draw: Any, dims: tuple[str, ...], kinds: tuple[str, ...]) -> Rank:
    split = draw(st.integers(0, len(dims)))
    groups = draw(st.sampled_from([(dims,), (dims,), (dims[:split], dims[split:]), (dims[split:],), ()]))
    word_bits = st.sampled_from([None, 0, 3, 5])
    return Rank(
        format=draw(st.sampled_from(kinds)),
        flattened=groups,
        metadata_word_bits=draw(word_bits),
        payload_word_bits=draw(word_bits),
    )


@st.composite
def safs(draw: Any, arch: Architecture, tensors: list[str]) -> Saf:
    leaders = st.lists(st.sampled_from(tensors), min_size=1, max_size=2, unique=True).map(tuple)
    options = st.builds(Option, target=st.sampled_from(tensors), condition_on=leaders)
    return Saf(
        level=draw(st.sampled_from([level.name for level in arch.storage])),
        type=draw(st.sampled_from(["gating", "skipping"])),
        options=tuple(draw(st.lists(options, min_size=1, max_size=2))),
    )
