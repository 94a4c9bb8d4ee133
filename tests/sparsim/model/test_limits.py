"""Numbers too large for a machine integer, an exact count, a finite energy or memory are refused where they
enter; what a mapping makes of the others is refused where it is counted.
"""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from support.documents import DOCUMENTS
from support.examples import COMPRESSED, MATMUL, accelerator, fixed, loops, mapping, matmul
from support.named import naming
from support.small_chips import conv, small_chip, with_storage

from sparsim import Frozen, evaluate, evaluate_batch
from sparsim.cli.mapper_command import _large
from sparsim.errors import MappingError, SparsimError, SpecError, near
from sparsim.estimate import estimate
from sparsim.files.timeloop.document_node import near_key
from sparsim.files.timeloop.read_documents import documents_from
from sparsim.files.yaml_reading import parse_yaml
from sparsim.machines.eyeriss import order_search
from sparsim.machines.eyeriss.plan_layer import plan_layer
from sparsim.mapper.search import search
from sparsim.model import arrays as packs
from sparsim.model.banded_density import Banded
from sparsim.model.evaluate import evaluate_pack
from sparsim.model.lower import lower_arch, lower_layer, lower_mappings, lower_policy
from sparsim.model.workspace import make_nest, most_children
from sparsim.records import (
    Accelerator,
    Component,
    Compute,
    Dataspace,
    Density,
    EnergyTable,
    Layer,
    LevelConstraint,
    Mapspace,
    Nest,
    Network,
    Rank,
    Shape,
    SparsePolicy,
    Storage,
    Workload,
)
from sparsim.records.number_limits import MAX_COUNT, MAX_INT, MAX_REAL

HUGE = (2**63, 2**64, 10**30, 10**400, 10**5000, -(2**63), 1.5, math.nan, math.inf, "7")
REAL = (1e31, 10**400, -1.0, math.nan, math.inf, "7")
WHOLE_FIELDS = (
    "word_bits",
    "block_size",
    "cluster_size",
    "size_words",
    "metadata_depth",
    "metadata_width_bits",
)
MANY = 100_000


@pytest.mark.parametrize(
    "value", HUGE, ids=lambda v: str(v)[:8] if not isinstance(v, int) else f"{v.bit_length()}"
)
def test_whole_numbers(value):
    makers = [
        lambda field=field: Storage(name="x", **{"size_words": 8, field: value}) for field in WHOLE_FIELDS
    ]
    makers += [
        lambda: Storage(name="x", size_words=8, mesh=(value, 1)),
        lambda: Compute(name="x", mesh=(1, value)),
        lambda: Network(fill_latency_cycles=value),
        lambda: Nest(factors={"M": value}),
        lambda: Layer(shape=MATMUL, bounds={"M": value, "N": 1, "K": 1}),
        lambda: Layer(shape=MATMUL, bounds={"M": 2**27, "N": 2**27, "K": 1}),
        lambda: Rank(format="CP", metadata_word_bits=value),
        lambda: Density(band_width=value),
    ]
    for make in makers:
        with pytest.raises(SpecError) as refused:
            make()
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 300


@pytest.mark.parametrize("value", REAL, ids=str)
def test_real_numbers(value):
    for make in (
        lambda: Storage(name="x", size_words=8, addr_gen_energy_pj=value),
        lambda: Storage(name="x", size_words=8, cluster_area_um2=value),
        lambda: Network(tile_width_um=value),
        lambda: Density(density=value),
        lambda: Mapspace(min_parallelism=value),
        lambda: Compute(name="x", energy_pj=value),
        lambda: EnergyTable(actions={"GLB": {"read": value}}),
        lambda: EnergyTable(areas={"GLB": value}),
        lambda: EnergyTable(wire_pj_per_bit_mm=value),
    ):
        with pytest.raises(SpecError):
            make()


def test_numbers_at_their_limits_are_taken():
    Storage(
        name="x", size_words=MAX_COUNT, block_size=MAX_INT, word_bits=MAX_INT, addr_gen_energy_pj=MAX_REAL
    )
    Layer(shape=MATMUL, bounds={"M": 2**26, "N": 2**27, "K": 1})


sizes = st.sampled_from([1, 2, 8, 64, 1024, 2**20, MAX_INT - 1, MAX_INT])
amounts = st.sampled_from([0.0, 1e-300, 1.0, 1e15, MAX_REAL])
rates = st.sampled_from([None, 1e-300, 1e-9, 1.0, 1e300, math.inf])


@settings(max_examples=40, deadline=None)
@given(
    block=sizes,
    bits=sizes,
    width=sizes,
    pj=amounts,
    area=amounts,
    rate=rates,
    density=st.sampled_from([0.0, 1e-9, 0.4, 1.0]),
)
@pytest.mark.filterwarnings("ignore::sparsim.errors.EnergyWarning")  # drawn energies replace the table
def test_results_are_finite_and_not_negative(block, bits, width, pj, area, rate, density):
    """Whatever the records hold: the numbers are counts and energies, or there are none."""
    glb = {"block_size": block, "word_bits": bits, "metadata_width_bits": width, "shared_bandwidth": rate}
    spad = {"block_size": block, "cluster_area_um2": area, "vector_access_energy_pj": pj}
    try:
        arch = accelerator(GLB=glb, spad=spad)
        case = matmul(COMPRESSED, arch, A=fixed(density))
        result = evaluate(*case.given)
        batch = evaluate_batch(*case.given[:2], [case.mapping])
        frozen = Frozen(case.on(), [case.layer], [case.mapping])([[density, 1.0, 1.0]])
    except SparsimError:
        return
    for number in (result.energy_pj, result.cycles, batch.energy_pj[0], *frozen.energy_pj, *frozen.cycles):
        assert 0 <= number < math.inf
    for level in result.storage:
        for tensor in level.tensors:
            for access in (tensor.reads, tensor.fills, tensor.updates):
                assert min(access.actual, access.gated, access.skipped) >= 0
            assert 0 <= tensor.energy_pj < math.inf


def test_cycles_beyond_exact_counts():
    case = matmul(None, accelerator(GLB={"read_bandwidth": 1e-300}))
    with pytest.raises(MappingError, match="cycles"):
        evaluate(*case.given)
    result = evaluate_batch(*case.given[:2], [case.mapping])
    assert result.status[0] == packs.BAD_TOTAL
    assert np.isnan(result.energy_pj[0])
    with pytest.raises(MappingError, match="cycles"):
        Frozen(case.on(), [case.layer], [case.mapping])([[1.0, 1.0, 1.0]])


def test_leader_tiles_beyond_exact_counts():
    """Blocks that no tile fills widen the leader's tile."""
    case = matmul(COMPRESSED, accelerator(spad={"block_size": MAX_INT}), A=fixed(0.5))
    case = case._replace(policy=replace(COMPRESSED, formats=()))
    result = evaluate(*case.given)
    assert result.energy_pj >= 0
    assert result.compute.actual >= 0


def test_a_large_mesh_takes_no_memory():
    case = matmul(None, accelerator((50_000_000, 1)))
    tracemalloc.start()
    try:
        result = evaluate(*case.given)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.compute.instances == 50_000_000
    assert peak < 50e6


def test_instances_that_loops_address():
    n = 2 * packs.MAX_CHILDREN
    layer = Layer(shape=MATMUL, bounds={"M": 1, "N": n, "K": 1})
    spread = mapping(spread=loops("N", N=n))
    arch = accelerator((n, 1), GLB={"size_words": 8 * n})
    with pytest.raises(MappingError, match=str(packs.MAX_CHILDREN)):
        evaluate(Accelerator(architecture=arch), layer, spread)
    assert evaluate_batch(Accelerator(architecture=arch), layer, [spread]).status[0] == packs.BAD_CHILDREN


@pytest.mark.parametrize("factors", [(2**32, 2**32), (3, 12297829382473034411), (2**62, 4)])
def test_factors_of_a_pack_that_wrap_around(factors):
    """Products modulo 2^64 may be the bound, or nothing at all."""
    case = matmul(None)
    pack = lower_mappings(case.on(), case.layer.shape, [case.mapping])
    wrong = [f - 2**64 if f >= 2**63 else f for f in factors]
    pack.factor[0, :2, 0] = wrong
    with pytest.raises(MappingError):
        evaluate_pack(*case.given[:2], pack)


def test_products_beyond_all_doubles_have_messages():
    """Of bounds, of words, of factors that are each within their limits; and sizes of mapspaces."""
    dims = tuple(f"D{i}" for i in range(32))
    scaled = tuple(f"{dim}*c" for dim in dims)
    makers = {
        "operations": (dims, MAX_COUNT),
        "words": (scaled, 2),
    }
    for what, (projection, bound) in makers.items():
        spaces = (
            Dataspace(name="A", projection=projection),
            Dataspace(name="Z", projection=dims[:1], read_write=True),
        )
        shape = Shape(dims=dims, coefficients={"c": MAX_COUNT}, dataspaces=spaces)
        with pytest.raises(SpecError, match=naming(f"{what}")):
            Layer(shape=shape, bounds=dict.fromkeys(dims, bound))
    factors = [loops("M", M=MAX_COUNT)] * 4
    with pytest.raises(MappingError, match=naming("M")):
        evaluate(*matmul()._replace(mapping=mapping(*factors)).given)
    assert _large(10**400) == "1.00e+400"


def test_room_for_children_does_not_wrap_around():
    case = matmul(None)
    arch, layer = lower_arch(case.on()), lower_layer(case.layer)
    pack = lower_mappings(case.on(), case.layer.shape, [case.mapping])
    pack.factor[:] = 2**40
    children = most_children(arch, layer, pack)
    assert 1 <= children <= int(layer.bound.prod())
    assert len(make_nest(arch, layer, lower_policy(case.on(), case.layer.shape), children).key) >= children


NAMES = tuple(f"n{i}" for i in range(MANY))
SAME = (*NAMES, NAMES[-1])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Shape(dims=NAMES, dataspaces=(Dataspace(name="A", projection=("n0",), read_write=True),)),
        lambda: Shape(dims=("n",), dataspaces=(replace(MATMUL.dataspaces[2], projection=("n",) * MANY),)),
        lambda: Nest(order=SAME),
        lambda: LevelConstraint(level="x", keep=NAMES, bypass=(*(f"m{i}" for i in range(MANY)), NAMES[-1])),
        lambda: Workload(layers=tuple(replace(matmul().layer, name=n) for n in NAMES[:2000]) * 2),
        lambda: SparsePolicy(formats=COMPRESSED.formats * 20_000),
        lambda: accelerator(GLB={"name": "DRAM"}),
    ],
)  # fmt: skip
def test_many_names(make):
    """Checks of a list look at each item once: with a look at all others these would take hours."""
    with pytest.raises(SpecError):
        make()


def test_near_matches_of_many_names():
    assert near("x" * 1_000_000, ["x" * 999_999]) != "did you mean"
    assert near("n5x", NAMES) == ""
    assert near_key("x" * 1_000_000, ["depth"]) is None
    assert near_key("dephts", ["depth", *NAMES]) == "depth"


def test_widest_bands():
    """A sum in one formula, and as many groups of rows as the matrix has."""
    layer = Layer(
        shape=MATMUL, bounds={"M": 8, "N": 4, "K": 8}, densities={"A": Density(distribution="banded")}
    )
    for width in (0, 1, 3, 7):
        banded = Banded(lower_layer(layer), 0, 8, width)
        assert banded.point_density == sum(abs(i - j) <= width for i in range(8) for j in range(8)) / 64
    assert math.isfinite(Banded(lower_layer(layer), 0, 8, MAX_COUNT).point_density)


def test_estimates():
    wire = {"name": "w", "class_name": "wire"}
    for attributes in ({"width_bits": 10**400, "length_mm": 1.0}, {"width_bits": 10**18, "length_mm": 1e18}):
        with pytest.raises(SpecError):
            estimate(Component(**wire, attributes=attributes))
    part = Component(
        name="p", class_name="wire", count=MAX_COUNT, attributes={"width_bits": 1, "length_mm": 1e18}
    )
    compound = Component(name="c", class_name="compound", parts=(part,), actions={"go": {"p.transfer": 1e15}})
    with pytest.raises(SpecError):
        estimate(compound)


@pytest.mark.parametrize(
    "options",
    [
        {"evaluations": 2**63}, {"evaluations": 10**400}, {"threads": 10**9}, {"top": 10**12}, {"seed": -1},
        {"seed": 10**400}, {"seconds": math.nan}, {"threads": 1.5},
    ],
    ids=str,
)  # fmt: skip
def test_options_of_a_search(options):
    case = matmul(None)
    with pytest.raises(SpecError):
        search(case.on(Mapspace()), case.layer, **options)


def test_threads_beyond_the_mappings():
    case = matmul(None)
    few = evaluate_batch(*case.given[:2], [case.mapping] * 3, threads=10**9)
    assert (few.energy_pj == evaluate(*case.given).energy_pj).all()


@pytest.mark.parametrize(
    ("name", "old"),
    [("mapping.yaml", "target: spad, type: bypass"), ("mapping.yaml", "M8"), ("arch.yaml", "0..3")],
)
def test_numbers_of_many_digits(name, old):
    """Python refuses to read them, and nothing that they could mean is allowed."""
    digits = "9" * 5000
    new = {"M8": f"M{digits}", "0..3": f"0..{digits}"}.get(old, f"target: '{digits}', type: bypass")
    texts = {**DOCUMENTS, name: DOCUMENTS[name].replace(old, new)}
    with pytest.raises(SpecError, match="digits"):
        documents_from([(name, parse_yaml(text, name)) for name, text in texts.items()])


def test_a_chip_on_which_nothing_fits(monkeypatch):
    """Parts of the outputs get no smaller where it is not the GLB that is too small."""
    chip = small_chip()
    storage = (
        replace(level, size_words=0) if level.name == "psum_spad" else level
        for level in chip.architecture.storage
    )
    smallest = with_storage(chip, storage)
    tiles = []
    make = order_search.make_nests

    def counted(*given):
        tiles.extend(order.pixel_tiles for order in given[-1])
        return make(*given)

    monkeypatch.setattr(order_search, "make_nests", counted)
    with pytest.raises(MappingError):
        plan_layer(smallest, conv(M=3, C=2))
    assert set(tiles) == {1}
