"""Every public name has a complete docstring in NumPy style, whose examples run."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import logging
import textwrap
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pytest
from support.model_libraries import library

griffe = pytest.importorskip("griffe", reason="docstrings are parsed with griffe, which is not installed")

ROOT = Path(__file__).parent.parent
PACKAGES = (  # whose names are public
    "sparsim", "sparsim.records", "sparsim.records.chip_spec", "sparsim.records.chip_memory_spec",
    "sparsim.records.row_stationary", "sparsim.records.noc_spec",
    "sparsim.records.pe_spec", "sparsim.records.machine_spec", "sparsim.records.eie_spec",
    "sparsim.records.spgemm_specs", "sparsim.records.tensor_core_spec", "sparsim.records.pointacc_spec",
    "sparsim.records.point_mapping",
    "sparsim.records.mapper_options", "sparsim.model.result", "sparsim.hardware",
    "sparsim.machines.eyeriss", "sparsim.machines.spgemm", "sparsim.machines.tensor_core",
    "sparsim.machines.pointacc",
    "sparsim.files.matrix_files", "sparsim.estimate", "sparsim.sweep", "sparsim.files.documents",
    "sparsim.mapper.search_result", "sparsim.check.check_case", "sparsim.check.recorded_case",
    "sparsim.check.compare_fields", "gmp", "gmp.allocation", "gmp.channels", "gmp.energy", "gmp.oneshot",
    "gmp.sharing",
    "gmp.sensitivity", "gmp.tracing.trace", "gmp.tracing.traced_workload", "gmp.tracing.traced_weights",
    "gmp.tracing.declared_products", "gmp.tracing.weight_views", "gmp.network_coverage",
    "gmp.example_batches", "gmp.masks", "gmp.nonzeros", "gmp.optimizer_steps", "gmp.patterns",
    "gmp.weight_axes", "gmp.tracing.exported_programs",
    "pointnet.trace_clouds", "pointnet.study.run_study", "pointnet.original.reproduce",
    "pointnet.training.batches", "pointnet.training.checkpoint", "pointnet.training.pruning_options",
    "pointnet.training.run_training",
    "pointnet.model", "pointnet.network_config", "pointnet.data", "pointnet.ops.sampling",
    "pointnet.ops.fused_mlp",
    "pointnet.training.settings", "pointnet.training.train",
    "pointnet.training.stored_weights", "pointnet.training.accuracy",
    "pointnet.ops.coordinates",
    "pointnet.ops.kernel_maps", "pointnet.ops.sparse_convolution", "pointnet.ops.voxels",
    "pointnet.sparse.sparse_tensor", "pointnet.sparse.sparse_layers", "pointnet.sparse.sparse_resunet",
    "pointnet.sparse.sparse_classifier",
)  # fmt: skip
INTEGRATIONS = ("gmp.integrations", "gmp.integrations.trainer_pruning")
KINDS = ("parameters", "other parameters", "attributes")


def public_objects(packages: Iterable[str]) -> Iterator[griffe.Object]:
    """What packages export, each once: functions, classes, and public methods and properties of classes."""
    loader = griffe.GriffeLoader(search_paths=[ROOT], docstring_parser="numpy")
    for name in dict.fromkeys(package.partition(".")[0] for package in packages):
        loader.load(name)
    loader.resolve_aliases(external=False)
    seen = set()
    for package in packages:
        module = importlib.import_module(package)
        for name in getattr(module, "__all__", vars(module)):
            value = getattr(module, name)
            home = str(getattr(value, "__module__", ""))
            if name.startswith("_") or not (inspect.isclass(value) or inspect.isfunction(value)):
                continue
            if not hasattr(module, "__all__") and home != package:
                continue
            found = loader.modules_collection[f"{home}.{value.__qualname__}"]
            if found.path in seen:
                continue
            seen.add(found.path)
            yield found
            if found.is_class:
                yield from (member for member in found.members.values() if _is_method(member))


def _is_method(member: griffe.Object) -> bool:
    """Whether a member has a docstring of its own: that of `__init__` is part of its class."""
    is_special = member.name.startswith("_") and member.name != "__call__"
    return (member.is_function or "property" in member.labels) and not is_special


def gaps(found: griffe.Object) -> list[str]:
    """What the docstring lacks, and what it has too much."""
    if found.docstring is None or not found.docstring.value.strip():
        return [] if _is_documented_by_a_base(found) else ["no docstring"]
    sections = {section.kind.value: section for section in found.docstring.parse("numpy", warnings=False)}
    told = {
        word.strip().lstrip("*")
        for kind in KINDS
        for item in (sections[kind].value if kind in sections else ())
        for word in item.name.split(",")
    }
    defaults = {name: value for name, value in _parameters(found).items() if not name.startswith("_")}
    lacking = [f"no parameter {name}" for name in sorted(defaults.keys() - told)]
    lacking += [f"unknown parameter {name}" for name in sorted(told - defaults.keys() - _attributes(found))]
    for item in sections["parameters"].value if "parameters" in sections else ():
        default = defaults.get(item.name)
        if default is not None and _normal(item.default) != _normal(default):
            lacking.append(f"default of {item.name} is {default}, said is {item.default}")
    errors = (
        ", ".join(str(item.annotation) for item in sections["raises"].value) if "raises" in sections else ""
    )
    lacking += [f"no Raises {name}" for name in sorted(_raised(found) - set(errors.split(", ")))]
    if found.is_function:
        returns = str(found.returns or "None")
        if returns not in ("None", "NoReturn") and not {"returns", "yields"} & set(sections):
            lacking.append(f"no Returns ({returns})")
    return lacking


def _parameters(found: griffe.Object) -> dict[str, str | None]:
    """What is passed to a function or class, and the defaults as they are written."""
    if "property" in found.labels:
        return {}
    maker = found if found.is_function else found.members.get("__init__")
    if maker is None:
        return {name: _default(member.value) for name, member in found.members.items() if _is_field(member)}
    is_method = maker.parent is not None and maker.parent.is_class
    skipped = ("self", "cls") if is_method else ()
    return {p.name.lstrip("*"): _default(p.default) for p in maker.parameters if p.name not in skipped}


def _default(value: object) -> str | None:
    """A default as it is written; None if there is none, or if it is no plain value."""
    return None if value is None or str(value).startswith("msgspec.") else str(value)


def _normal(default: object) -> str:
    """A default with one kind of quotes."""
    return str(default).replace('"', "'")


def _is_field(member: griffe.Object) -> bool:
    """Whether a member of a class is a field of its records."""
    return (
        member.is_attribute
        and member.annotation is not None
        and "ClassVar" not in str(member.annotation)
        and "property" not in member.labels
    )


def _attributes(found: griffe.Object) -> set[str]:
    """What a class may document besides its parameters."""
    return (
        {m.name for base in (found, *found.mro()) for m in base.members.values()} if found.is_class else set()
    )


def _raised(found: griffe.Object) -> set[str]:
    """The exceptions that a function raises itself, or those that making an object of a class raises."""
    if found.is_class:
        makers = (found.members.get(name) for name in ("__init__", "__post_init__"))
        return {name for maker in makers if maker is not None for name in _raised(maker)}
    tree = ast.parse(textwrap.dedent(found.source))
    calls = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise))
    names = (call.func for call in calls if isinstance(call, ast.Call))
    return {name.id for name in names if isinstance(name, ast.Name) and name.id[0].isupper()}


def _is_documented_by_a_base(found: griffe.Object) -> bool:
    return (
        found.parent is not None
        and found.parent.is_class
        and any(
            found.name in base.members and base.members[found.name].docstring is not None
            for base in found.parent.mro()
        )
    )


def examples() -> Iterator[str]:
    """The modules with examples in docstrings."""
    for root in dict.fromkeys(package.partition(".")[0] for package in PACKAGES):
        for path in sorted((ROOT / root).rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


def check_docstrings(packages: Collection[str]) -> None:
    logging.getLogger("griffe").setLevel(logging.ERROR)
    found = {each.path: gaps(each) for each in public_objects(packages)}
    assert len(found) > len(packages)
    assert {path: lacking for path, lacking in found.items() if lacking} == {}


def test_docstrings_are_complete() -> None:
    check_docstrings(PACKAGES)


def test_docstrings_of_integrations_are_complete() -> None:
    for name in ("lightning.pytorch", "transformers"):
        library(name)
    check_docstrings(INTEGRATIONS)


@pytest.mark.parametrize("module", list(examples()))
def test_examples_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module), globs={}, optionflags=doctest.ELLIPSIS)
    assert result.attempted
    assert not result.failed
