"""Hypothesis strategies for mapspaces small enough to list: parts of a drawn mapping are set free."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from hypothesis import assume
from hypothesis import strategies as st

from sparsim.errors import EmptyMapspaceError
from sparsim.mapper.indexed_mapspace import Space, lower_mapspace, sizes
from sparsim.records import (
    Accelerator,
    Architecture,
    Compute,
    EnergyTable,
    Layer,
    LevelConstraint,
    Mapping,
    Mapspace,
    NestConstraint,
    Storage,
)
from sparsim.records.objective import objective_names
from support.small_nests import Case, dense_cases
from support.small_policies import every_price, sparse_cases
from validation.random_cases import GROUPED

MOST_MAPPINGS = 600


ACCOUNTINGS = ("timeloop-3", "timeloop-4", "timeloop-2022", "count-all", "count-drains")


class Search(NamedTuple):
    """A case with a mapspace for its mapping, and that lowered; `arguments` are those of `search`."""

    case: Case
    mapspace: Mapspace
    space: Space
    accounting: str

    @property
    def arguments(self) -> tuple[Accelerator, Layer]:
        return self.case.on(self.mapspace), self.case.layer

    def named(self, objective: tuple[str, ...]) -> tuple[str, ...]:
        """The objectives with the levels whose accesses they are."""
        return objective_names(objective, [level.name for level in self.case.arch.storage])


@st.composite
def searches(draw: Any, *, dense: bool | None = None) -> Search:
    """Factors of one to three dims, orders and bypasses of some levels are free. Sizes may be tight."""
    sparse = draw(st.booleans()) if dense is None else not dense
    case = draw(sparse_cases() if sparse else dense_cases())
    if not sparse:
        storage = tuple(_tight(draw, level) for level in case.arch.storage)
        arch = msgspec.structs.replace(case.arch, storage=storage)
        case = case._replace(arch=arch, energy=draw(st.sampled_from([None, every_price(arch)])))
    dims = case.layer.shape.dims
    moved = set(draw(st.lists(st.sampled_from(dims), min_size=1, max_size=3)))
    data = [d.name for d in case.layer.shape.dataspaces]
    levels = tuple(_constraint(draw, level, dims, data, moved) for level in case.mapping.levels)
    mapspace = Mapspace(
        levels=levels, min_parallelism=draw(st.sampled_from([0.0, 0.0, 0.3])),
        most_temporal_loops=draw(st.sampled_from([None, None, 3, 5])),
    )  # fmt: skip
    try:
        space = lower_mapspace(case.on(mapspace), case.layer)
    except EmptyMapspaceError:
        assume(False)
    assume(1 < sizes(space).total <= MOST_MAPPINGS)
    return Search(case, mapspace, space, draw(st.sampled_from(ACCOUNTINGS)))


def losing_a_word() -> Search:
    """Seven words of the operand arrive at each child, and six are counted as fills (model 7.6, 7.10).

    Nothing else costs anything, so a bound that counts what arrives is above every mapping.
    """
    mesh = (4, 5)
    arch = Architecture(
        storage=(
            Storage(name="DRAM", technology="DRAM"),
            Storage(name="spad", mesh=mesh, size_words=64),
        ),
        compute=Compute(name="MAC", mesh=mesh),
    )
    layer = Layer(name="layer", shape=GROUPED, bounds={"R": 4, "P": 5, "C": 7, "M": 1, "G": 1})
    actions = {
        "DRAM": {"read": 0.0, "write": 0.0},
        "spad": {"read": 0.0, "write": 1.0},
        "MAC": {"mac_random": 0.0},
    }
    order = ("P", "C", "M", "G", "R")
    in_time = NestConstraint(factors={"R": 1, "P": 1}, inner=order)
    spatial = NestConstraint(factors={"R": 4, "P": 5, "C": 1}, inner=order, split_x=1)
    mapspace = Mapspace(
        levels=(
            LevelConstraint(level="DRAM", temporal=in_time, spatial=spatial),
            LevelConstraint(level="spad", temporal=in_time, keep=("Inputs",), bypass=("Weights", "Outputs")),
        )
    )
    case = Case(arch, layer, None, EnergyTable(actions=actions), Mapping(levels=()))
    return Search(case, mapspace, lower_mapspace(case.on(mapspace), layer), "timeloop-3")


def _tight(draw: Any, level: Any) -> Any:
    if level.technology == "DRAM":
        return level
    return msgspec.structs.replace(
        level,
        size_words=draw(st.sampled_from([10**6, 10**6, 8, 32])),
        read_bandwidth=draw(st.sampled_from([None, None, 0.5, 2.0])),
        shared_bandwidth=draw(st.sampled_from([None, None, 1.5])),
        block_size=draw(st.sampled_from([1, 4])),
    )


def _constraint(
    draw: Any, level: Any, dims: tuple[str, ...], data: list[str], moved: set[str]
) -> LevelConstraint:
    def nest(given: Any, **more: Any) -> NestConstraint:
        factors = {dim: given.factors.get(dim, 1) for dim in dims if dim not in moved}
        order, part = given.order, draw(st.sampled_from(["inner", "inner", "outer", "both", "none"]))
        cut = draw(st.integers(0, len(order)))
        return NestConstraint(
            factors=factors,
            inner={"inner": order, "both": order[cut:]}.get(part, ()),
            outer={"outer": order, "both": order[: max(cut - 2, 0)]}.get(part, ()),
            default_at_most=draw(st.sampled_from([None, None, 2])),
            **more,
        )

    spatial = None
    if level.spatial is not None:
        split = draw(st.sampled_from([level.spatial.split_x, level.spatial.split_x, None]))
        spatial = nest(level.spatial, split_x=split)
    undecided = draw(st.sampled_from([None, None, None, *data]))
    return LevelConstraint(
        level=level.level,
        temporal=nest(level.temporal),
        spatial=spatial,
        bypass=tuple(name for name in level.bypass if name != undecided),
        keep=tuple(name for name in data if name not in level.bypass and name != undecided),
        no_link_transfer=level.no_link_transfer,
        no_multicast_no_reduction=level.no_multicast_no_reduction,
        no_temporal_reuse=level.no_temporal_reuse,
    )
