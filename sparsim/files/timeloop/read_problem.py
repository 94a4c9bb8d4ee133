"""The problem document: shape, bounds, coefficients and densities (model chapter 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparsim.errors import near
from sparsim.files.timeloop.document_node import Node, describe, near_key, or_default, read_once
from sparsim.records import Dataspace, Density, Layer, Shape

_DISTRIBUTIONS = {
    "fixed": "fixed-structured", "fixed-structured": "fixed-structured", "hypergeometric": "hypergeometric",
    "banded": "banded", "diagonal": "banded", "actual": "actual",
}  # fmt: skip
_PARAMETERS = {
    "fixed-structured": ("density",),
    "hypergeometric": ("density", "workload_tensor_size"),
    "banded": ("band_width",),
    "actual": ("mask", "density"),
}

CNN_LAYER = Shape(
    name="cnn-layer",
    dims=("R", "S", "P", "Q", "C", "K", "N"),
    coefficients={"Wstride": 1, "Hstride": 1, "Wdilation": 1, "Hdilation": 1},
    dataspaces=(
        Dataspace(name="Weights", projection=("C", "K", "R", "S")),
        Dataspace(name="Inputs", projection=("N", "C", "R*Wdilation + P*Wstride", "S*Hdilation + Q*Hstride")),
        Dataspace(name="Outputs", projection=("N", "K", "Q", "P"), read_write=True),
    ),
)
_GEMM_ABZ = Shape(
    name="gemm-ABZ",
    dims=("M", "N", "K"),
    dataspaces=(
        Dataspace(name="A", projection=("M", "K")),
        Dataspace(name="B", projection=("N", "K")),
        Dataspace(name="Z", projection=("M", "N"), read_write=True),
    ),
)
_GEMM = Shape(
    name="gemm",
    dims=("M", "N", "K"),
    dataspaces=(
        Dataspace(name="A", projection=("M", "K")),
        Dataspace(name="B", projection=("N", "K")),
        Dataspace(name="C", projection=("M", "N")),
        Dataspace(name="D", projection=("M", "N"), read_write=True),
    ),
)
PREDEFINED_SHAPES = {shape.name: shape for shape in (CNN_LAYER, _GEMM_ABZ, _GEMM)}


def read_problem(problem: Node) -> Layer:
    """Shape, bounds, coefficients and densities. Raises SpecError."""
    shape = _shape(problem)
    instance = problem
    if problem.has("instance"):
        instance = problem.child("instance") or problem.blank()
        problem.report_unknown(("version", "name", "shape", "instance"))
    bounds = {}
    for dim in shape.dims:
        bound = instance.integer(dim)
        if bound is None:
            raise instance.error(f"the bound of dim '{dim}' is missing", hint=instance.misspelt(dim))
        bounds[dim] = bound
    coefficients = {}
    for name, default in shape.coefficients.items():
        value = instance.integer(name)
        if value is not None and value != default:
            coefficients[name] = value
    instance.report_unknown(
        ("version", "name", "shape", *shape.dims, *shape.coefficients, "densities", "commonDensity")
    )
    with instance.located():
        return Layer(
            name=problem.text("name") or shape.name,
            shape=shape,
            bounds=bounds,
            coefficients=coefficients,
            densities=_densities(instance, shape),
        )


def _shape(problem: Node) -> Shape:
    if not problem.has("shape"):
        problem.warn(f"the shape is missing, so the 7-D convolution {','.join(CNN_LAYER.dims)} is assumed")
        return CNN_LAYER
    if not isinstance(problem.get("shape"), str):
        node = problem.child("shape")
        assert node is not None
        return read_once(_shape_map, node, by_value=True)
    name = problem.required(problem.text("shape"), "shape")
    plain = name.removesuffix(".yaml").removesuffix(".yml").removesuffix(".cfg").replace("_", "-")
    shape = PREDEFINED_SHAPES.get(plain)
    if shape is None:
        raise problem.error(f"unknown shape '{name}'", "shape", hint=near(name, PREDEFINED_SHAPES))
    return shape


def _shape_map(node: Node) -> Shape:
    if node.has("flatten"):
        raise node.error("flattened dimensions are not supported", "flatten")
    dims = node.names("dimensions")
    if not dims:
        raise node.error("'dimensions' is missing", hint=node.misspelt("dimensions"))
    for dim in dims:
        if len(dim) != 1:
            raise node.error(f"dim '{dim}' must have 1 character, has {len(dim)}", "dimensions")
    coefficients = {}
    for item in node.children("coefficients"):
        name = item.required(item.text("name"), "name")
        if name in coefficients:
            raise item.error(f"coefficient '{name}' is listed twice")
        coefficients[name] = item.required(item.integer("default"), "default")
        item.report_unknown(("name", "default"))
    dataspaces = node.children("data-spaces")
    if not dataspaces:
        raise node.error("'data-spaces' is missing", hint=node.misspelt("data-spaces"))
    node.report_unknown(("name", "dimensions", "coefficients", "data-spaces"))
    with node.located():
        return Shape(
            name=node.text("name") or "problem",
            dims=dims,
            coefficients=coefficients,
            dataspaces=tuple(_dataspace(item) for item in dataspaces),
        )


def _dataspace(node: Node) -> Dataspace:
    name = node.required(node.text("name"), "name")
    coordinates = node.items("projection")
    if not coordinates:
        raise node.error(f"the 'projection' of '{name}' is missing", hint=node.misspelt("projection"))
    node.report_unknown(("name", "projection", "read-write"))
    return Dataspace(
        name=name,
        projection=tuple(_coordinate(node, value) for value in coordinates),
        read_write=or_default(node.flag("read-write"), False),
    )


def _coordinate(node: Node, value: Any) -> str:
    """`C`, or a list of `[dim]` and `[dim, coefficient]` terms that are added."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        raise node.error(f"coordinate must be a dim or a list of terms, got {describe(value)}", "projection")
    terms = []
    for term in value:
        if not (isinstance(term, list) and len(term) in (1, 2) and all(isinstance(t, str) for t in term)):
            raise node.error(f"term must be [DIM] or [DIM, COEFFICIENT], got {describe(term)}", "projection")
        terms.append("*".join(term))
    return " + ".join(terms)


def _densities(instance: Node, shape: Shape) -> dict[str, Density]:
    names = [d.name for d in shape.dataspaces]
    if instance.has("commonDensity"):
        if instance.has("densities"):
            instance.warn("is overridden by commonDensity", "densities")
        common = _density(instance, "commonDensity")
        return dict.fromkeys(names, common)
    node = instance.child("densities")
    if node is None:
        return {}
    for key in node.data:
        close = near_key(key, names)
        if key not in names and close and not node.has(close):
            raise node.error(f"unknown dataspace '{key}'", hint=f"did you mean '{close}'?")
    node.report_unknown(names)
    return {name: _density(node, name) for name in names if node.holds(name)}


def _density(parent: Node, key: str) -> Density:
    if not isinstance(parent.get(key), dict):
        with parent.located(key):
            return Density(density=parent.required(parent.number(key), key))
    node = parent.child(key)
    assert node is not None
    given = node.required(node.text("distribution"), "distribution")
    distribution = _DISTRIBUTIONS.get(given.replace("_", "-"))
    if distribution is None:
        raise node.error(f"unknown distribution '{given}'", "distribution", hint=near(given, _DISTRIBUTIONS))
    node.report_unknown(("distribution", *_PARAMETERS[distribution]))
    density = node.number("density")
    if distribution in ("fixed-structured", "hypergeometric"):
        density = node.required(density, "density")
    with node.located():
        return Density(
            distribution=distribution,  # type: ignore[arg-type]
            density=density if density is not None and distribution != "banded" else 1.0,
            band_width=or_default(node.integer("band_width"), 0) if distribution == "banded" else 0,
            mask=_mask(node) if distribution == "actual" else None,
        )


def _mask(node: Node) -> str | None:
    """Path of the mask file, relative to the folder of the document that names it."""
    name = node.text("mask")
    return None if name is None else str(Path(node.file).parent / name)
