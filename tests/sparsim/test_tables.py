"""Masks: where they come from, what they must look like, and what they do to the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples import COMPRESSED, accelerator, fixed, matmul
from pe import pe_case
from small_nests import Case

from sparsim.errors import FormatError, SpecError
from sparsim.evaluation import evaluate
from sparsim.result import Evaluation
from sparsim.spec import Density, Option, Saf, SparsePolicy

EVEN = np.indices((8, 8)).sum(axis=0) % 2 == 0  # a checkerboard


def actual(mask: str | None = None) -> Density:
    return Density(distribution="actual", mask=mask)


def with_mask(mask: Any, policy: SparsePolicy | None = COMPRESSED, **others: Density) -> Evaluation:
    case = matmul(policy, A=actual(), **others)
    return evaluate(*case, masks={"A": mask})


def test_full_mask_is_dense_data() -> None:
    counted, structured = with_mask(np.ones((8, 8))), evaluate(*matmul())
    assert (counted.energy_pj, counted.cycles) == (structured.energy_pj, structured.cycles)


def test_checkerboard_is_structured_data() -> None:
    """Every aligned tile of four is half full, so it is what fixed-structured densities stand for."""
    counted, structured = with_mask(EVEN), evaluate(*matmul(A=fixed(0.5)))
    assert (counted.energy_pj, counted.cycles) == (structured.energy_pj, structured.cycles)


def test_empty_mask() -> None:
    result, structured = with_mask(np.zeros((8, 8))), evaluate(*matmul(A=fixed(0.0)))
    assert (result.compute.actual, result.compute.gated, result.compute.cycles) == (0, 0, 0)
    assert result.cycles == structured.cycles > 0  # the other tensors still pass the GLB


def test_computes_are_counted_where_one_operand_decides_about_the_other() -> None:
    rng = np.random.default_rng(5)
    a, b = rng.random((8, 8)) < 0.4, rng.random((8, 4)) < 0.5
    case = matmul(A=actual(), B=actual())
    compute = evaluate(*case, masks={"A": a, "B": b}).compute
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
        assert evaluate(*case).energy_pj == expected


def test_an_array_outranks_the_file() -> None:
    case = matmul(A=actual("nowhere.npy"))
    assert evaluate(*case, masks={"A": EVEN}).energy_pj == with_mask(EVEN).energy_pj


def test_weights_of_any_number_are_masks() -> None:
    assert with_mask(np.where(EVEN, -0.25, 0.0)).energy_pj == with_mask(EVEN).energy_pj


@pytest.mark.parametrize(
    ("masks", "text"),
    [
        ({}, r"^layer layer, density of A: 'actual' needs a mask, a file or an array$"),
        (
            {"A": np.ones((4, 8))},
            r"^layer layer, density of A: the mask has shape \(4, 8\), the tensor \(8, 8\)$",
        ),
        ({"A": np.ones(64)}, r"^layer layer, density of A: the mask has shape \(64,\), the tensor \(8, 8\)$"),
        ({"A": EVEN, "Q": EVEN}, r"^layer layer: mask for unknown dataspace 'Q' \(known: A, B, Z\)$"),
        ({"A": EVEN, "B": EVEN}, r"^layer layer: mask for B, whose density is 'fixed-structured', needed is"),
    ],
)
def test_wrong_masks(masks: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        evaluate(*matmul(A=actual()), masks=masks)


def test_wrong_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "others.npz", B=EVEN, C=EVEN)
    np.save(tmp_path / "words.npy", np.array([["a"] * 8] * 8))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "others.npz").read_bytes()[:40])
    for name, text in (
        ("missing.npy", "no such file"),
        ("others.npz", "has no array 'A'"),
        ("words.npy", "numbers or booleans are needed"),
        ("text.npy", "could not be read as a .npy or .npz file"),
        ("empty.npy", "could not be read as a .npy or .npz file"),
        ("cut.npz", "could not be read as a .npy or .npz file"),
        ("", "is a folder"),
    ):
        with pytest.raises(FormatError, match=text):
            evaluate(*matmul(A=actual(str(tmp_path / name))))


def test_without_a_policy_masks_have_no_effect() -> None:
    assert with_mask(EVEN, None).energy_pj == evaluate(*matmul(None)).energy_pj


@pytest.mark.parametrize("distribution", ["actual", "banded"])
def test_spatial_skipping_needs_a_density(distribution: Any) -> None:
    skip = Saf(level="GLB", type="skipping-spatial", options=(Option(target="A", condition_on=("B",)),))
    case = matmul(SparsePolicy(safs=(skip,)), A=Density(distribution=distribution))
    masks = {"A": EVEN} if distribution == "actual" else {}
    with pytest.raises(SpecError, match=f"A is '{distribution}'"):
        evaluate(*case, masks=masks)


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
    compute = evaluate(*Case(case.arch, layer, case.policy, None, case.mapping), masks=masks).compute
    both = np.einsum("cm,cef->", masks["Weights"].astype(int), masks["Inputs"].astype(int))
    assert compute.actual == both


def test_banded_needs_a_square_matrix() -> None:
    case = matmul(B=Density(distribution="banded", band_width=1))
    with pytest.raises(SpecError, match=r"'banded' needs a square matrix, B has shape \(8, 4\)"):
        evaluate(*case)


def test_actual_data_need_no_more_room_than_they_take() -> None:
    """Metadata of a nearly empty tensor fit where those of a full one do not."""
    arch = accelerator(GLB={"metadata_depth": 10})
    case = matmul(arch=arch, A=actual())
    single = np.zeros((8, 8), bool)
    single[3, 3] = True
    assert evaluate(*case, masks={"A": single}).energy_pj > 0
    with pytest.raises(ValueError, match="metadata bits do not fit GLB"):
        evaluate(*case, masks={"A": np.ones((8, 8))})
