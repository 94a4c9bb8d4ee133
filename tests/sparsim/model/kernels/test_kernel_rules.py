"""What every kernel keeps to: no exceptions, the same options, one compiled signature, plain arrays."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config
from support.examples import loops, mapping, matmul, sliding_window, uniform
from support.published_pes import EYERISS_V2_PE
from support.small_nests import Case, dense_cases
from support.small_pes import run_pe
from support.small_policies import Network, networks, sparse_cases

from sparsim.errors import MappingError
from sparsim.mapper.search import search
from sparsim.model import arrays as packs
from sparsim.model.density_tables import fill_table
from sparsim.model.evaluate import evaluate, evaluate_batch, evaluate_pack
from sparsim.model.frozen import Frozen
from sparsim.model.kernel_calls import analyse
from sparsim.model.lower import (
    layer_sizes,
    lower_arch,
    lower_density,
    lower_layer,
    lower_mappings,
    lower_padded,
    lower_policy,
)
from sparsim.model.status import REASONS, mapping_error
from sparsim.model.workspace import make_nest, make_scratch, most_children, no_table
from sparsim.records import Density, Mapspace

ROOT = Path(__file__).parents[4]
KERNELS = sorted((ROOT / "sparsim").glob("**/kernels/*.py"))
FILES = [*KERNELS, *sorted((ROOT / "pointnet" / "ops").glob("*_kernels.py"))]
FORBIDDEN = {"prange", "jitclass", "fastmath", "parallel"}
OPTIONS = {"nogil": True, "error_model": "numpy"}  # and a cache of our own


# ---- the source


def faults(source: str) -> Iterator[str]:
    """What kernels must not contain."""
    tree = ast.parse(source)
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        match node:
            case ast.Raise() | ast.Assert():
                yield f"{type(node).__name__.lower()} in line {node.lineno}"
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) | ast.keyword(arg=name):
                if name in FORBIDDEN:
                    yield f"{name} in line {node.lineno}"
                if name in ("njit", "jit") and not isinstance(node, ast.alias) and id(node) not in called:
                    yield f"{name} without options in line {node.lineno}"
            case ast.Call(func=ast.Name(id="njit") | ast.Attribute(attr="njit")):
                given = {k.arg: k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)}
                if OPTIONS.items() - given.items():
                    yield f"njit without {sorted(OPTIONS.keys() - given.keys())} in line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_kernels_keep_the_rules(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert list(faults(source)) == []
    assert path.stem == "jit" or "njit" not in source  # whose kernels are kept on disk with checksums


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("def f(x):\n    raise ValueError", "raise in line 2"),
        ("assert f", "assert in line 1"),
        ("from numba import prange", "prange in line 1"),
        ("for i in numba.prange(3): pass", "prange in line 1"),
        ("@njit\ndef f(x): pass", "njit without options in line 1"),
        ("f = numba.njit(g)", "njit without ['error_model', 'nogil'] in line 1"),
        ("@njit(nogil=True)\ndef f(x): pass", "njit without ['error_model'] in line 1"),
        ("f = njit(nogil=False, error_model='numpy')", "njit without [] in line 1"),
        ("f = njit(inline='always')(g)", "njit without ['error_model', 'nogil'] in line 1"),
        ("f = njit(nogil=True, error_model='numpy', fastmath=True)", "fastmath in line 1"),
    ],
)
def test_broken_rules_are_found(source: str, fault: str) -> None:
    assert list(faults(source)) == [fault]


# ---- what a status means

CODES = {name: value for name, value in vars(packs).items() if name == "OK" or name.startswith("BAD_")}


def test_every_status_has_its_words() -> None:
    assert len(set(CODES.values())) == len(CODES)
    assert set(REASONS) == set(CODES.values())
    assert len(set(REASONS.values())) == len(REASONS)
    case = matmul()
    for code in REASONS.keys() - {packs.OK}:
        assert isinstance(mapping_error(code, np.zeros(4), case.arch, case.layer), MappingError)


def test_every_status_is_one_that_kernels_give() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in KERNELS]
    used = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert used & CODES.keys() == CODES.keys()


# ---- one signature


def entries() -> Iterator[tuple[str, Any]]:
    for path in KERNELS:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and "entry" in map(ast.unparse, node.decorator_list):
                module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
                yield node.name, getattr(module, node.name)


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
def test_entries_are_compiled_once() -> None:
    """Whatever the case, and whatever types the caller has."""
    dense, sparse = sliding_window(), matmul(A=uniform(0.3))
    mask: Any = np.eye(8, dtype=np.int8)[::-1]
    evaluate(*dense.given)
    evaluate(*sparse.given)
    evaluate(*matmul(None).given, accounting="count-all")
    evaluate(*matmul(A=Density(distribution="banded", band_width=1)).given)
    evaluate(*matmul(A=Density(distribution="actual")).given, masks={"A": mask})
    other = mapping(spread=loops("N", N=4), in_glb=loops("KM", K=8, M=8))
    pack = lower_mappings(sparse.on(), sparse.layer.shape, [sparse.mapping, other])
    narrow: Any = [np.asfortranarray(field, np.int32) for field in pack]
    for threads in (1, 2):
        evaluate_batch(*sparse.given[:2], [other], threads=threads)
        for lowered in (pack, packs.MappingPack(*narrow)):
            evaluate_pack(*sparse.given[:2], lowered, threads=threads)
    evaluate_batch(*dense.given[:2], [])
    frozen = Frozen(sparse.on(), [sparse.layer] * 2, [sparse.mapping, other])
    for densities in (np.ones((2, 3), int), np.ones((3, 2), np.float32).T, [[0.1, 0.2, 0.3]] * 2):
        frozen(densities)
    for threads in (1, 2):
        for case in (dense, sparse):
            search(case.on(Mapspace()), case.layer, evaluations=10_000, method="exhaustive", threads=threads)
            search(case.on(Mapspace()), case.layer, evaluations=20, method="local", threads=threads)
    for stride, dtype in ((1, np.bool_), (2, np.float32)):
        iacts, weights = (np.ones(shape, dtype)[::-1] for shape in ((2, 5), (3, 2, 3)))
        run_pe(EYERISS_V2_PE, iacts, weights, stride)
    found = dict(entries())
    compiled = [len(kernel.signatures) for kernel in found.values()]
    assert max(compiled) == 1
    assert sum(compiled) >= 4


# ---- plain arrays


def assert_plain(pack: NamedTuple) -> None:
    """C-contiguous, and of the type that the pack's definition states."""
    for name, kind in get_type_hints(type(pack)).items():
        value = getattr(pack, name)
        if kind is int:
            assert type(value) is int, name
            continue
        assert type(value) is np.ndarray, name
        assert value.dtype == (np.int64 if kind == packs.Ints else np.float64), name
        assert value.flags.c_contiguous, name


@settings(max_examples=60, deadline=None)
@given(case=dense_cases() | sparse_cases(), more=st.integers(0, 2))
def test_lowered_arrays_are_plain(case: Case, more: int) -> None:
    arch, layer = lower_arch(case.on()), lower_layer(case.layer)
    density, policy = lower_density(case.layer), lower_policy(case.on(), case.layer.shape)
    mappings = lower_mappings(case.on(), case.layer.shape, [case.mapping] * more)
    dims, sides, terms = layer_sizes(case.layer)
    nest = make_nest(arch, layer, policy, most_children(arch, layer, mappings))
    padded = lower_padded(case.layer, (dims + more, sides + more, terms + more))
    scratch = make_scratch(arch, layer, density, policy, nest)
    for pack in (arch, layer, padded, density, policy, mappings, no_table(nest), *scratch):
        assert_plain(pack)


@settings(max_examples=30, deadline=None)
@given(network=networks())
def test_arrays_of_a_fixed_network_are_plain(network: Network) -> None:
    try:
        frozen = Frozen(*network.given)
    except MappingError:
        return
    for pack in (frozen._nests, frozen._rows, frozen._policy, frozen._table, *frozen._workspace()):
        assert_plain(pack)


@pytest.mark.parametrize("distribution", ["banded", "actual"])
def test_tabulated_answers_are_plain(distribution: Any) -> None:
    case = matmul(A=Density(distribution=distribution, band_width=1))
    arch, layer = lower_arch(case.on()), lower_layer(case.layer)
    policy = lower_policy(case.on(), case.layer.shape)
    mappings = lower_mappings(case.on(), case.layer.shape, [case.mapping])
    nest = make_nest(arch, layer, policy, most_children(arch, layer, mappings))
    assert analyse(arch, layer, policy, mappings, packs.ELIDE_FIRST_FILL, True, nest) == packs.OK
    masks = {"A": np.eye(8, dtype=bool)} if distribution == "actual" else {}
    table, _ = fill_table(arch, case.layer, layer, lower_density(case.layer), policy, nest, masks)
    assert len(table.k) > 1
    assert_plain(table)
