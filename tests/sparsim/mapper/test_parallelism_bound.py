"""No mapping of a mapspace uses more units than the bound says."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sparsim import NestConstraint, load_accelerator, load_workload, search
from sparsim.mapper.layer_bound import bound_layer
from sparsim.records import Mapspace, macs
from sparsim.records.mapspace import LevelConstraint

LAYER = load_workload("pointnet2_study").layers[-1]
BASE = load_accelerator("eyeriss_like_onchip")


@settings(max_examples=12, deadline=None)
@given(
    columns=st.integers(2, 9), rows=st.integers(2, 7), most=st.integers(1, 12),
    bounds=st.fixed_dictionaries({"M": st.integers(1, 12), "C": st.integers(1, 12), "N": st.integers(1, 3)}),
    split=st.sampled_from([None, 0, 7]),
)  # fmt: skip
def test_the_fastest_mapping_needs_no_fewer_cycles(
    columns: int, rows: int, most: int, bounds: dict[str, int], split: int | None
) -> None:
    mesh = {"DummyBuffer": (columns, 1), "ifmap_spad": (1, rows)}
    storage = tuple(replace(s, mesh=mesh.get(s.name, s.mesh)) for s in BASE.architecture.storage)
    levels = (
        LevelConstraint(level="shared_glb", spatial=NestConstraint(default_at_most=most, split_x=split)),
        LevelConstraint(level="DummyBuffer", spatial=NestConstraint(at_most={"N": 1})),
    )
    accelerator = replace(
        BASE, architecture=replace(BASE.architecture, storage=storage), policy=None,
        mapspace=Mapspace(levels=levels),
    )  # fmt: skip
    layer = replace(LAYER, bounds=LAYER.bounds | bounds, densities={})
    _, cycles = bound_layer(accelerator, layer)
    assert cycles >= macs(layer) / (columns * rows)
    found = search(accelerator, layer, objective="delay", method="random", evaluations=50)
    assert found.cycles >= cycles


def test_powers_of_two_on_fourteen_columns_use_eight() -> None:
    levels = (
        LevelConstraint(level="shared_glb", spatial=NestConstraint(factors={"C": 1, "N": 1})),
        LevelConstraint(level="DummyBuffer", spatial=NestConstraint(factors={"M": 1, "N": 1})),
    )
    accelerator = replace(BASE, policy=None, mapspace=Mapspace(levels=levels))
    layer = replace(LAYER, bounds=LAYER.bounds | {"M": 64, "C": 64, "N": 1}, densities={})
    assert bound_layer(accelerator, layer)[1] == macs(layer) / (8 * 8)
