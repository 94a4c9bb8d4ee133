"""Machines for products of sparse matrices behind the interface to hardware."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sparsim.hardware.closed_form_plan import ClosedFormMachine, LayerEstimate
from sparsim.machines import spgemm
from sparsim.machines.matrix_layers import matrix_layer
from sparsim.machines.spgemm import SparseMatrix, SparseProduct, sparse_product
from sparsim.records import Layer
from sparsim.records.machine_spec import MachineSpec
from sparsim.records.spgemm_specs import DramBoundSpec, ExtensorSpec, SigmaSpec

DRAM = "DRAM"
BYTE_BITS = 8
DECIMALS = 6


class _Form(NamedTuple):
    """The closed form of one kind of machine."""

    counted: Callable[[Any, SparseProduct], Any]
    expected: Callable[..., Any]
    cycles: Callable[[Any, Any], Mapping[str, float]]  # by what takes them
    together: Callable[[Any], float]  # of these cycles: all of them, or the longest
    units: Callable[[Any], int]
    left_out: tuple[str, ...]


class ProductCost(NamedTuple):
    """What a product of two sparse matrices costs.

    Attributes
    ----------
    product : str
        Names of the operands.
    rows, inner, columns : int
        Sizes of the operands.
    nonzeros : tuple of three int
        Of A, of B and of the product.
    cycles : float
        Cycles, not rounded.
    ns : float
        Time in ns.
    limit : str
        What takes most of the cycles.
    energy_pj : dict of str to float
        Energy in pJ by component, as far as it is known.
    counts : dict of str to float
        What the closed form is a function of: operations, bytes, passes.
    """

    product: str
    rows: int
    inner: int
    columns: int
    nonzeros: tuple[int, int, int]
    cycles: float
    ns: float
    limit: str
    energy_pj: dict[str, float]
    counts: dict[str, float]


class SpgemmMachine(ClosedFormMachine):
    """A machine for products of sparse matrices: SIGMA, Gamma, OuterSPACE or ExTensor.

    The weights of a layer are the left operand A. Its inputs, as often as windows reach them, are the right
    operand B.

    Parameters
    ----------
    spec : MachineSpec
        The record of the machine.

    Attributes
    ----------
    spec : MachineSpec
        The record.
    left_out : tuple of str
        What costs of this machine do not include.
    """

    def __init__(self, spec: MachineSpec) -> None:
        super().__init__(spec)
        self._form = _FORMS[spec.kind]
        self.left_out = (
            *self._form.left_out,
            "energy but that of DRAM" if self._dram_energy else "energy",
            "area",
        )

    @property
    def area_um2(self) -> dict[str, float]:
        return {}

    @property
    def energy_source(self) -> dict[str, dict[str, str]]:
        return {DRAM: {"bit": "machine"}} if self._dram_energy else {}

    def estimate(self, layer: Layer, densities: Sequence[float]) -> LayerEstimate:
        matrix, (weights, inputs, _) = matrix_layer(layer), densities
        counts = self._form.expected(self.spec, matrix.rows, matrix.columns, matrix.vectors, weights, inputs)
        cycles, limit = self._cycles(counts)
        products = matrix.rows * matrix.columns * matrix.vectors * weights * inputs
        busy = products / (cycles * self._form.units(self.spec)) if cycles else 0.0
        energy = {name: energy * matrix.groups for name, energy in self._energy(counts).items()}
        note = "windows as columns (im2col)" if matrix.has_window else ""
        if matrix.groups > 1:
            note = ", ".join(filter(None, (note, f"{matrix.groups} groups one after the other")))
        return LayerEstimate(cycles * matrix.groups, energy, busy, limit, note)

    def product(self, a: SparseMatrix, b: SparseMatrix | None = None) -> ProductCost:
        """Compute what a product of two matrices costs.

        Parameters
        ----------
        a : SparseMatrix
            The left operand.
        b : SparseMatrix, optional
            The right operand; by default `a` if it is square, otherwise its transpose.

        Returns
        -------
        ProductCost

        Raises
        ------
        SpecError
            If the shapes do not match.
        """
        spec = self.spec
        block = spec.tiles[1] * spec.tile if isinstance(spec, ExtensorSpec) else None
        found = sparse_product(a, b, block)
        counts = self._form.counted(spec, found)
        cycles, limit = self._cycles(counts)
        return ProductCost(
            found.name, found.a.rows, found.a.columns, found.b.columns,
            (found.a.nonzeros, found.b.nonzeros, found.nonzeros),
            cycles, cycles * 1e3 / spec.clock_mhz, limit, self._energy(counts), counts._asdict(),
        )  # fmt: skip

    @property
    def _dram_energy(self) -> float:
        return self.spec.dram_pj_per_bit if isinstance(self.spec, DramBoundSpec) else 0.0

    def _cycles(self, counts: Any) -> tuple[float, str]:
        parts = self._form.cycles(self.spec, counts)
        return self._form.together(parts.values()), max(parts, key=lambda part: parts[part])

    def _energy(self, counts: Any) -> dict[str, float]:
        if not self._dram_energy:
            return {}
        total = sum(value for field, value in counts._asdict().items() if field.endswith("_bytes"))
        return {DRAM: total * BYTE_BITS * self._dram_energy}


def _sigma_counted(spec: SigmaSpec, product: SparseProduct) -> spgemm.SigmaCounts:
    return spgemm.sigma_counts(spec, product.a, product.b.columns)


def _sigma_expected(
    spec: SigmaSpec, rows: int, inner: int, columns: int, a_density: float, b_density: float
) -> spgemm.SigmaCounts:
    # rounded, because the density may be that of a matrix
    nonzeros = round(rows * inner * a_density, DECIMALS)
    return spgemm.sigma_expected(spec, inner, columns, nonzeros)


def _sigma_cycles(spec: SigmaSpec, counts: spgemm.SigmaCounts) -> dict[str, float]:
    load = counts.a_words / spec.load_words
    return {"stream": spgemm.sigma_cycles(spec, counts) - load, "load": load}


def _in_cycles(times: Callable[[Any, Any], dict[str, float]]) -> Callable[[Any, Any], dict[str, float]]:
    return lambda spec, counts: {part: ns * spec.clock_mhz / 1e3 for part, ns in times(spec, counts).items()}


_INTERSECTIONS = "intersections, which can take longer than DRAM"
_FORMS: dict[str, _Form] = {
    "sigma": _Form(
        _sigma_counted, _sigma_expected, _sigma_cycles, sum, lambda spec: spec.multipliers,
        ("DRAM: both operands come from on-chip memory",),
    ),
    "gamma": _Form(
        spgemm.gamma_counts, spgemm.gamma_expected, _in_cycles(spgemm.gamma_times), max,
        lambda spec: spec.pes, ("the order of rows that Gamma's preprocessing makes",),
    ),
    "outerspace": _Form(
        spgemm.outerspace_counts, spgemm.outerspace_expected, _in_cycles(spgemm.outerspace_times), max,
        lambda spec: spec.pes, ("the time of merges, which DRAM hides in the model of TeAAL",),
    ),
    "extensor": _Form(
        spgemm.extensor_counts, spgemm.extensor_expected, _in_cycles(spgemm.extensor_times), max,
        lambda spec: spec.pes, (_INTERSECTIONS, "partial results that are zero, which TeAAL counts"),
    ),
}  # fmt: skip
