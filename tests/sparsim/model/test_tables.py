"""Masks: where they come from, what they must look like, and what they do to the numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.examples import COMPRESSED, accelerator, fixed, matmul
from support.named import naming
from support.pe_runs import pe_case

from sparsim.errors import FormatError, SpecError
from sparsim.files.timeloop_files import read_documents
from sparsim.model.evaluate import evaluate
from sparsim.model.result import Evaluation
from sparsim.records import (
    Density,
    LevelMapping,
    Mapping,
    Nest,
    Option,
    Rank,
    Saf,
    SparsePolicy,
    TensorFormat,
)

EVEN = np.indices((8, 8)).sum(axis=0) % 2 == 0  # a checkerboard


def actual(mask: str | None = None) -> Density:
    return Density(distribution="actual", mask=mask)


def with_mask(mask: Any, policy: SparsePolicy | None = COMPRESSED, **others: Density) -> Evaluation:
    case = matmul(policy, A=actual(), **others)
    return evaluate(*case.given, masks={"A": mask})


def test_full_mask_is_dense_data() -> None:
    counted, structured = with_mask(np.ones((8, 8))), evaluate(*matmul().given)
    assert (counted.energy_pj, counted.cycles) == (structured.energy_pj, structured.cycles)


def test_checkerboard_is_structured_data() -> None:
    """Every aligned tile of four is half full, so it is what fixed-structured densities stand for."""
    counted, structured = with_mask(EVEN), evaluate(*matmul(A=fixed(0.5)).given)
    assert (counted.energy_pj, counted.cycles) == (structured.energy_pj, structured.cycles)


def test_empty_mask() -> None:
    result, structured = with_mask(np.zeros((8, 8))), evaluate(*matmul(A=fixed(0.0)).given)
    assert (result.compute.actual, result.compute.gated, result.compute.cycles) == (0, 0, 0)
    assert result.cycles == structured.cycles > 0  # the other tensors still pass the GLB


def test_computes_are_counted_where_one_operand_decides_about_the_other() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.random((8, 8)) < 0.4, rng.random((8, 4)) < 0.5
    case = matmul(A=actual(), B=actual())
    compute = evaluate(*case.given, masks={"A": a, "B": b}).compute
    pairs = a[:, None, :] & b.T[None, :, :]
    assert compute.actual == pairs.sum()
    assert compute.gated == 4 * a.sum() - pairs.sum()  # A is nonzero, B a stored zero


def test_files_of_both_kinds(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", EVEN)
    np.savez(tmp_path / "one.npz", weights=EVEN)
    np.savez(tmp_path / "two.npz", A=EVEN, B=np.zeros(3))
    expected = with_mask(EVEN).energy_pj
    for name in ("a.npy", "one.npz", "two.npz"):
        case = matmul(A=actual(str(tmp_path / name)))
        assert evaluate(*case.given).energy_pj == expected


def test_an_array_outranks_the_file() -> None:
    case = matmul(A=actual("nowhere.npy"))
    assert evaluate(*case.given, masks={"A": EVEN}).energy_pj == with_mask(EVEN).energy_pj


def test_weights_of_any_number_are_masks() -> None:
    assert with_mask(np.where(EVEN, -0.25, 0.0)).energy_pj == with_mask(EVEN).energy_pj


@pytest.mark.parametrize(
    ("masks", "text"),
    [
        ({}, "A actual"),
        (
            {"A": np.ones((4, 8))},
            "A mask 4 8",
        ),
        ({"A": np.ones(64)}, "A mask 64 8"),
        ({"A": EVEN, "Q": EVEN}, "Q A B Z"),
        ({"A": EVEN, "B": EVEN}, "B fixed-structured"),
        ({"A": np.where(EVEN, math.nan, 0.0)}, "A"),
        ({"A": np.where(EVEN, "1", "0")}, "A <U1"),
        ({"A": EVEN.astype(object)}, "A"),
    ],
)
def test_wrong_masks(masks: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError, match=naming(text)):
        evaluate(*matmul(A=actual()).given, masks=masks)


def test_wrong_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "others.npz", B=EVEN, C=EVEN)
    np.save(tmp_path / "words.npy", np.array([["a"] * 8] * 8))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "others.npz").read_bytes()[:40])
    for name, text in (
        ("missing.npy", "no such file"),
        ("others.npz", "has no array 'A'"),
        ("words.npy", "numbers or booleans"),
        ("text.npy", "could not be read as a .npy or .npz file"),
        ("empty.npy", "could not be read as a .npy or .npz file"),
        ("cut.npz", "could not be read as a .npy or .npz file"),
        ("", "is a folder"),
    ):
        with pytest.raises(FormatError, match=text):
            evaluate(*matmul(A=actual(str(tmp_path / name))).given)


def test_without_a_policy_masks_have_no_effect() -> None:
    assert with_mask(EVEN, None).energy_pj == evaluate(*matmul(None).given).energy_pj


def test_spatial_skipping_refuses_bands() -> None:
    skip = Saf(level="GLB", type="skipping-spatial", options=(Option(target="A", condition_on=("B",)),))
    case = matmul(SparsePolicy(safs=(skip,)), A=Density(distribution="banded"))
    with pytest.raises(SpecError, match=naming("A banded")):
        evaluate(*case.given)


@pytest.mark.filterwarnings("ignore::sparsim.errors.EnergyWarning")  # the table has no price of decompression
def test_spatial_skipping_counts_the_instances_that_a_mask_leaves() -> None:
    """Four PEs hold a row of B each; rows 1 to 3 of the first half of K and row 2 of the second are zero."""
    inner = (Rank(format="UOP"), Rank(format="CP"))
    policy = SparsePolicy(
        formats=(
            TensorFormat(level="DRAM", dataspace="B", ranks=(Rank(format="UOP"), *inner)),
            TensorFormat(level="GLB", dataspace="B", ranks=inner),
        ),
        safs=(Saf(level="GLB", type="skipping-spatial", options=(Option(target="A", condition_on=("B",)),)),),
    )
    mapping = Mapping(
        levels=(
            LevelMapping(level="DRAM", temporal=Nest(factors={"K": 2})),
            LevelMapping(level="GLB", spatial=Nest(factors={"K": 4}, split_x=3)),
            LevelMapping(level="spad", temporal=Nest(factors={"M": 8, "N": 4})),
        )
    )
    case = matmul(policy, B=actual())
    b = np.ones((8, 4), bool)
    b[1:4], b[6] = False, False
    arch = msgspec.structs.replace(
        case.arch,
        storage=tuple(msgspec.structs.replace(s, decompression_supported=True) for s in case.arch.storage),
    )
    result = evaluate(*case._replace(arch=arch, mapping=mapping).given, masks={"B": b})
    spad = next(t for t in result.level("spad").tensors if t.dataspace == "A")
    assert spad.instances_max == 3  # of the second half; in the first half one
    assert spad.instances_average == pytest.approx(4 * 4 / 8)  # 4 of 8 (PE, step) pairs have work
    assert result.compute.actual + result.compute.gated + result.compute.skipped <= 8 * 4 * 4
    assert spad.reads.actual * spad.instances_average == 8 * 4 * 4  # 4 useful rows, each for 8 x 4 operations


def test_two_leaders_are_counted_together() -> None:
    """Updates of a result that both operands decide about are the operations that happen."""
    rng = np.random.default_rng(3)
    a = np.zeros((8, 8), bool)
    a[:, :4] = rng.random((8, 4)) < 0.7
    for b in (a[:, :4].copy(), np.roll(a, 4, axis=1)[:, :4]):
        option = Option(target="Z", condition_on=("A", "B"))
        policy = SparsePolicy(
            safs=(Saf(level="spad", type="skipping", options=(option,)),), compute_gating=True
        )
        case = matmul(policy, A=actual(), B=actual())
        result = evaluate(*case.given, masks={"A": a, "B": b})
        spad = next(t for t in result.level("spad").tensors if t.dataspace == "Z")
        happen = np.einsum("mk,kn->mn", a.astype(int), b.astype(int))
        assert result.compute.actual == happen.sum()
        updates = spad.updates
        assert updates.actual == math.ceil(happen.sum() / 4)  # four PEs
        assert updates.actual + updates.skipped == updates.algorithmic


def test_capacity_is_that_of_the_fullest_tile() -> None:
    crowded = np.zeros((8, 8), bool)
    crowded[0] = True
    result = with_mask(crowded)
    spad = next(t for t in result.level("spad").tensors if t.dataspace == "A")
    glb = next(t for t in result.level("GLB").tensors if t.dataspace == "A")
    assert (spad.utilized_words, glb.utilized_words) == (4, 4)
    assert spad.instances_average == pytest.approx(4 * 2 / 16)  # 2 of 16 tiles are not empty


def test_masks_of_windows(tmp_path: Path) -> None:
    """A tensor with a halo: the mask has the words of the whole input."""
    case = pe_case()
    rng = np.random.default_rng(0)
    masks = {"Weights": rng.random((8, 16)) < 0.5, "Inputs": rng.random((8, 4, 4)) < 0.5}
    layer = type(case.layer)(
        shape=case.layer.shape, bounds=case.layer.bounds, densities=dict.fromkeys(masks, actual())
    )
    compute = evaluate(*case._replace(layer=layer, energy=None).given, masks=masks).compute
    both = np.einsum("cm,cef->", masks["Weights"].astype(int), masks["Inputs"].astype(int))
    assert compute.actual == both


def test_banded_needs_a_square_matrix() -> None:
    case = matmul(B=Density(distribution="banded", band_width=1))
    with pytest.raises(SpecError, match=naming("banded B 8 4")):
        evaluate(*case.given)


def test_actual_data_need_no_more_room_than_they_take() -> None:
    """Metadata of a nearly empty tensor fit where those of a full one do not."""
    arch = accelerator(GLB={"metadata_depth": 10})
    case = matmul(arch=arch, A=actual())
    single = np.zeros((8, 8), bool)
    single[3, 3] = True
    assert evaluate(*case.given, masks={"A": single}).energy_pj > 0
    with pytest.raises(ValueError, match=naming("GLB")):
        evaluate(*case.given, masks={"A": np.ones((8, 8))})


PRODUCT = Path(__file__).parents[2] / "cases" / "actual-data"  # 8 x 16 times 16 x 8, both half full


@pytest.mark.parametrize(("shift", "operations"), [(0, 512), (4, 256), (8, 0)])
def test_documents_with_masks(shift: int, operations: int) -> None:
    """Both operands are nonzero in one half of K; the second one's half is shifted against the first's."""
    read = read_documents(sorted(PRODUCT.glob("*.yaml")))
    assert read.mapping is not None
    masks = {"Inputs": np.load(PRODUCT / "i.npy"), "Weights": np.roll(np.load(PRODUCT / "w.npy"), shift, 0)}
    result = evaluate(read.accelerator, read.layer(), read.mapping, masks=masks)
    traffic = {(level.name, t.dataspace): t for level in result.storage for t in level.tensors}
    assert result.compute.actual == traffic["Sums", "Outputs"].updates.actual == operations
    assert traffic["Sums", "Outputs"].reads.actual == operations - (64 if operations else 0)
    weights = traffic["Right", "Weights"]
    assert weights.reads.actual == operations
    assert weights.fills.actual == 64
    # a coordinate for each nonzero, and offsets of the 16 fibers
    assert [(u.metadata, u.payload) for u in weights.format_fills.actual] == [(0, 17), (64, 0)]
    assert weights.format_reads.actual[1].metadata == operations
    assert [(u.metadata, u.payload) for u in weights.format_words] == [(0, 17), (64, 0)]
