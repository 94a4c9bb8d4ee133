"""Mappings from row-stationary parameters that are given, such as published ones."""

from sparsim.errors import MappingError
from sparsim.machines.eyeriss.chip import Chip
from sparsim.machines.eyeriss.conv_dims import CONV_DIMS, ConvDims, conv_dims
from sparsim.machines.eyeriss.row_stationary_counts import sets_of
from sparsim.machines.eyeriss.row_stationary_sets import Sets, check_banks, set_nests, strips_of
from sparsim.records import Layer, Mapping
from sparsim.records.row_stationary import PARAMETERS, RowStationary


def row_stationary_mapping(chip: Chip, layer: Layer, parameters: RowStationary) -> Mapping:
    """Return the mapping of a layer that row-stationary parameters describe.

    Parameters
    ----------
    chip : Chip
        The chip.
    layer : Layer
        A convolution that the chip can run.
    parameters : RowStationary
        The parameters.

    Returns
    -------
    Mapping
        The mapping, for `evaluate_chip`.

    Raises
    ------
    MappingError
        If the parameters exceed the layer, or if sets, PEs or banks are too small for them.

    Examples
    --------
    >>> from sparsim.files.sparsim_yaml import load_workload
    >>> from sparsim.machines.eyeriss import evaluate_chip, load_chip, row_stationary_mapping
    >>> from sparsim.records.row_stationary import RowStationary
    >>> chip, conv5 = load_chip("eyeriss_v1_168"), load_workload("alexnet").layers[4]
    >>> mapping = row_stationary_mapping(chip, conv5, RowStationary(m=64, n=1, e=13, p=16, q=3, r=2, t=2))
    >>> evaluate_chip(chip, conv5, mapping).cycles
    643072
    """
    dims = conv_dims(layer)
    columns = parameters.f or dims.bounds.get("Q", 1)
    sets = Sets(f=columns, **{name: getattr(parameters, name) for name in PARAMETERS})
    _check(chip, layer, dims, sets)
    check_banks(chip, layer, sets)
    nests = set_nests(chip, layer, sets)
    if nests is None:
        axes, rows = chip.spec.noc.axes, strips_of(chip, dims, sets.e).filter_rows
        raise MappingError(
            f"layer {layer.name}: {sets.r * sets.t * sets.g} sets of {rows} x {sets.e} PEs (r={sets.r}, "
            f"t={sets.t}, g={sets.g}) have no place on the {axes['pe_rows']} x {axes['pe_columns']} PEs of "
            f"{chip.name}"
        )
    mapping = nests.mapping(0)
    used = sets_of(chip, layer, mapping)
    for name in ("p", "q", "r", "t", "g", "n"):
        given, need = getattr(sets, name), getattr(used, name)
        if given != need:
            raise MappingError(
                f"layer {layer.name}: {name} must be {need} for as many passes with equal parts, got {given}",
                need=need, have=given,
            )  # fmt: skip
    return mapping


def _check(chip: Chip, layer: Layer, dims: ConvDims, sets: Sets) -> None:
    """Refuse parameters beyond the layer or the PEs. Raises MappingError."""
    bound = {dim: dims.bounds.get(dim, 1) for dim in CONV_DIMS}
    pe, columns = chip.spec.pe, f"{bound['S']} filter columns"
    limits = (
        ("m", sets.m, bound["M"], "filters"), ("n", sets.n, bound["N"], "images"),
        ("e", sets.e, bound["P"], "output rows"), ("f", sets.f, bound["Q"], "output columns"),
        ("g", sets.g, bound["G"], "groups"), ("p times t", sets.p * sets.t, sets.m, "filters of m"),
        ("q times r", sets.q * sets.r, bound["C"], "channels"),
        ("p", sets.p, pe.psum.words, "words of the psum spad"),
        (f"q times {columns}", sets.q * bound["S"], pe.iact_data.words, "words of the iact spad"),
        (f"p times q times {columns}", sets.p * sets.q * bound["S"], pe.weight_data.words * pe.simd_width,
         "words of the filter spad"),
    )  # fmt: skip
    for name, value, most, what in limits:
        if value > most:
            raise MappingError(
                f"layer {layer.name}: {name} must be at most the number of {what}, {most}, got {value}",
                need=value, have=most,
            )  # fmt: skip
