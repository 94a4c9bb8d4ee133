"""Padded and imperfect dims: what they are worth, what the results say, what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from support.examples import (
    COMPRESSED,
    FORMATS_OF_A,
    MATMUL,
    SKIP_B,
    accelerator,
    fixed,
    loops,
    mapping,
    matmul,
    uniform,
)
from support.examples import window_layer as make_window
from support.named import names, naming
from support.small_nests import Case

from sparsim import Frozen, Mapspace, evaluate, evaluate_batch
from sparsim.errors import MappingError, SparsimError, SpecError
from sparsim.files.timeloop.stats_reader import parse_stats
from sparsim.files.timeloop.stats_writer import write_stats
from sparsim.files.timeloop.write_documents import mapping_text
from sparsim.records import Density, Layer, Network, Option, Saf, SparsePolicy
from sparsim.records.divisibility import cover, covered, is_tight
from sparsim.records.layer_counts import tensor_shape
from sparsim.report.explain import explain

SKIPPING = SparsePolicy(safs=(SKIP_B,))


def seven(
    kind: str | None = None, policy: SparsePolicy | None = None, m: int = 7, **densities: Density
) -> Case:
    """A result of 7 x 4 whose 7 rows are covered by 2 x 4 = 8."""
    layer = Layer(shape=MATMUL, bounds={"M": m, "N": 4, "K": 8}, densities=densities)
    nests = mapping(in_spad=loops("K", K=8), spread=loops("M", M=4), in_glb=loops("NM", N=4, M=2))
    case = Case(accelerator(), layer, policy, matmul().energy, nests)
    return case._replace(mapping=replace(nests, divisibility={"M": kind})) if kind else case


# ---- what the policies mean


def test_padding_runs_the_padded_layer_with_the_same_nonzeros() -> None:
    densities = {"A": fixed(0.5), "B": fixed(0.25)}
    padded = evaluate(*seven("padded", SKIPPING, **densities).given)
    whole = seven(None, SKIPPING, m=8, A=fixed(0.5 * 7 / 8), B=fixed(0.25), Z=fixed(7 / 8))
    plain = evaluate(*whole.given)
    assert (padded.energy_pj, padded.cycles) == (plain.energy_pj, plain.cycles)
    assert (padded.algorithmic_computes, padded.useful_computes) == (8 * 4 * 8, 7 * 4 * 8)
    (one,) = padded.covers
    assert (one.dim, one.policy, one.bound, one.covered, one.padding) == ("M", "padded", 7, 8, 0.125)


def test_dense_hardware_pays_for_padding_and_not_for_imperfect_factors() -> None:
    padded, imperfect = evaluate(*seven("padded").given), evaluate(*seven("imperfect").given)
    assert padded.compute.cycles == imperfect.compute.cycles == 2 * 4 * 8
    assert padded.cycles > imperfect.cycles  # the GLB is slower, and has less to read
    assert padded.compute.energy_pj == pytest.approx(imperfect.compute.energy_pj * 8 / 7)
    assert imperfect.energy_pj < padded.energy_pj
    assert imperfect.algorithmic_computes == imperfect.useful_computes == 7 * 4 * 8
    assert imperfect.covers[0].padding == 0.0
    assert imperfect.utilization == pytest.approx(7 / 8)
    # words of A and Z as often as they exist; B is sent to the four spads at once, and stays while M moves on
    words = {(level.name, t.dataspace): t for level in imperfect.storage for t in level.tensors}
    assert words["DRAM", "A"].reads.algorithmic == 7 * 8
    assert words["GLB", "A"].reads.algorithmic == 7 * 8 * 4
    assert words["GLB", "B"].reads.algorithmic == 8 * 4
    assert words["GLB", "Z"].updates.algorithmic == 7 * 4
    assert words["spad", "Z"].updates.algorithmic * 4 == 7 * 4 * 8
    assert imperfect.intensity.memory_accesses_required == 7 * 8 + 8 * 4 + 7 * 4


@pytest.mark.parametrize("kind", ["padded", "imperfect"])
def test_a_named_dim_with_perfect_factors_changes_nothing(kind: str) -> None:
    assert evaluate(*seven(kind, SKIPPING, m=8).given) == evaluate(*seven(None, SKIPPING, m=8).given)


@pytest.mark.parametrize("kind", ["padded", "imperfect"])
def test_skipping_still_saves(kind: str) -> None:
    dense, sparse = (evaluate(*seven(kind, SKIPPING, A=fixed(d)).given) for d in (1.0, 0.25))
    assert sparse.energy_pj < dense.energy_pj
    assert sparse.compute.cycles == dense.compute.cycles / 4


def test_batches_may_mix_covered_bounds() -> None:
    case = seven("padded", SKIPPING, A=fixed(0.5))
    other = mapping(in_spad=loops("K", K=8), in_glb=loops("NM", N=4, M=7))
    mappings = [
        case.mapping, other, replace(case.mapping, divisibility={"M": "imperfect"}), case.mapping,
    ]  # fmt: skip
    batch = evaluate_batch(*case.given[:2], mappings)
    each = [evaluate(*case.given[:2], one) for one in mappings]
    assert batch.energy_pj.tolist() == [one.energy_pj for one in each]
    assert batch.cycles.tolist() == [one.cycles for one in each]
    assert len({one.energy_pj for one in each}) == 3


def test_a_fixed_network_takes_imperfect_factors_but_no_padding() -> None:
    case = seven("imperfect", SKIPPING, A=fixed(0.5))
    result = Frozen(case.on(), [case.layer], [case.mapping])([[0.5, 1.0, 1.0]])
    expected = evaluate(*case.given)
    assert (result.energy_pj[0], result.cycles[0]) == (expected.energy_pj, expected.cycles)
    case = seven("padded")
    with pytest.raises(SpecError, match=naming("M Frozen")):
        Frozen(case.on(), [case.layer], [case.mapping])


@given(
    density=st.floats(0, 1), m=st.integers(1, 40), k=st.integers(1, 40), more=st.integers(1, 9),
    kind=st.sampled_from(["fixed-structured", "hypergeometric"]),
)  # fmt: skip
def test_padding_keeps_the_number_of_nonzeros(density: float, m: int, k: int, more: int, kind: Any) -> None:
    one = Density(distribution=kind, density=density)
    layer = Layer(shape=MATMUL, bounds={"M": m, "N": 2, "K": k}, densities=dict.fromkeys("ABZ", one))
    wider = cover(layer, {"M": "padded"}, {"M": m + more})
    for name in "ABZ":
        words, more_words = (math.prod(tensor_shape(each, name)) for each in (layer, wider))
        new = wider.density(name).density
        if kind == "hypergeometric":
            assert math.ceil(new * more_words) == math.ceil(density * words)  # as the kernels count
        else:
            assert new * more_words == pytest.approx(density * words)
    assert wider.density("B") == one


@given(factors=st.lists(st.integers(1, 6), min_size=1, max_size=5), bound=st.integers(1, 400))
def test_tight_factors_cannot_be_lowered(factors: list[int], bound: int) -> None:
    lowered = [[f - (i == j) for j, f in enumerate(factors)] for i, g in enumerate(factors) if g > 1]
    assert is_tight(factors, bound) == all(np.prod(one) < bound for one in lowered)


# ---- what the results say


def test_reports_name_what_is_covered() -> None:
    case = seven("padded", SKIPPING)
    evaluation = evaluate(*case.given)
    text = write_stats(evaluation)
    assert "    M: bound 7, covered 8, padded, 12.50% of the operations are padding\n" in text
    assert "    Useful computes: 224 of 256; energies per compute divide by all of them\n" in text
    fields = {key.field for key in parse_stats(text).fields if key.section == "divisibility"}
    assert fields == {"M", "Useful computes"}
    assert "Divisibility" not in write_stats(evaluate(*seven(None, m=8).given))
    shown = explain(evaluation)
    assert "M: bound 7, covered 8, padded" in shown
    assert "computes count padding, 224 of them are the layer's" in shown
    with pytest.raises(SpecError, match=naming("M Timeloop")):
        mapping_text(case.arch, case.layer, case.mapping)


# ---- what is refused


def refused(case: Case) -> str:
    with pytest.raises(SparsimError) as error:
        evaluate(*case.given)
    return str(error.value)


def test_factors_that_cover_too_little_or_too_much() -> None:
    case = seven("padded", m=9)
    assert names(refused(case), "factors M 8 padded 9")
    assert names(refused(seven(None)), "factors M 8 7")
    assert names(refused(seven("imperfect", m=6)), "factors imperfect M 8 6")
    assert evaluate(*seven("padded", m=6).given).covers[0].padding == 0.25


def test_unknown_dims_are_refused_with_the_near_one() -> None:
    case = seven("padded")
    case = case._replace(mapping=replace(case.mapping, divisibility={"MM": "padded"}))
    assert refused(case) == "mapping, divisibility: unknown dim 'MM' (did you mean 'M'?)"


@pytest.mark.parametrize(("kind", "model"), [("padded", "banded"), ("imperfect", "actual")])
def test_densities_that_need_tables_are_refused(kind: str, model: Any) -> None:
    message = refused(seven(kind, A=Density(distribution=model)))
    assert names(message, f"{model} A padded imperfect fixed-structured hypergeometric")


def test_imperfect_windows_networks_and_spatial_skipping_are_refused() -> None:
    window = make_window(1, 7, 3)
    nests = mapping(spread=loops("P", P=4), in_glb=loops("PR", R=3, P=2))
    case = Case(accelerator(), window, None, None, replace(nests, divisibility={"P": "imperfect"}))
    assert names(refused(case), "P imperfect window I")
    assert evaluate(*case.given[:2], replace(nests, divisibility={"P": "padded"})).covers
    case = seven("imperfect")
    many = accelerator(GLB={"network": Network(type="M:N")})
    assert "dim 'M' is imperfect" in refused(case._replace(arch=many))
    saf = Saf(level="GLB", type="skipping-spatial", options=(Option(target="B", condition_on=("A",)),))
    spatial = SparsePolicy(formats=FORMATS_OF_A, safs=(saf,))
    assert names(refused(case._replace(policy=spatial)), "M imperfect skipping")


def test_the_mapspace_limits_padding_to_a_fraction() -> None:
    for most in (-0.1, 1.5, math.nan):
        with pytest.raises(SpecError, match=naming("most_padding 0 1")):
            Mapspace(most_padding=most)


def test_hypergeometric_padding_is_the_padded_layer() -> None:
    case = seven("padded", COMPRESSED, A=uniform(0.4))
    layer = covered(case.layer, case.mapping)
    assert layer.density("A").density == math.ceil(0.4 * 56) / 64
    with pytest.raises(MappingError):
        evaluate(*seven(None, COMPRESSED, A=uniform(0.4)).given)
